"""Kubeconfig files: their fields, and how several of them are one.

Field names and rules are those of kubectl: where two files name the same cluster, user or context, the first file's
entry counts as a whole; the first `current-context` counts; paths are relative to the file they stand in. Types are
checked, and nothing else: an entry that is wrong harms only those who use it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from network_mapper.kube.errors import KubeConfigError, one_line, reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LARGEST = 16 * 1024 * 1024
_DEEPEST = 200


class Extension(msgspec.Struct):
    """Something of a program's own, by name."""

    name: str | None = None
    extension: Any = None


class Cluster(msgspec.Struct, rename="kebab"):
    """Where a cluster's API is."""

    server: str | None = None
    tls_server_name: str | None = None
    insecure_skip_tls_verify: bool | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    proxy_url: str | None = None
    disable_compression: bool | None = None
    extensions: list[Extension] | None = None


class Variable(msgspec.Struct):
    """An environment variable of a plugin."""

    name: str | None = None
    value: str | None = None


class Plugin(msgspec.Struct, rename="camel"):
    """A program that prints credentials."""

    command: str | None = None
    args: list[str | None] | None = None
    env: list[Variable] | None = None
    api_version: str | None = None
    install_hint: str | None = None
    provide_cluster_info: bool | None = None
    interactive_mode: str | None = None


class User(msgspec.Struct, rename="kebab"):
    """Who somebody is, and the proof."""

    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    act_as: str | None = msgspec.field(default=None, name="as")
    act_as_uid: str | None = msgspec.field(default=None, name="as-uid")
    act_as_groups: list[str] | None = msgspec.field(default=None, name="as-groups")
    act_as_extra: dict[str, list[str]] | None = msgspec.field(default=None, name="as-user-extra")
    username: str | None = None
    password: str | None = None
    auth_provider: Any = None
    exec: Plugin | None = None


class Context(msgspec.Struct):
    """A user at a cluster."""

    cluster: str | None = None
    user: str | None = None
    namespace: str | None = None


class _NamedCluster(msgspec.Struct):
    name: str | None = None
    cluster: Cluster | None = None


class _NamedUser(msgspec.Struct):
    name: str | None = None
    user: User | None = None


class _NamedContext(msgspec.Struct):
    name: str | None = None
    context: Context | None = None


class _File(msgspec.Struct, rename="kebab"):
    kind: str | None = None
    current_context: str | None = None
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


_T = TypeVar("_T")
_Placed = tuple[_T, Path]


class KubeConfig(msgspec.Struct):
    """One or several files as one; every entry with the file it came from.

    Attributes:
        files: The files that were read.
        current_context: The context to use where none is named; empty for none.
        clusters: By name.
        users: By name.
        contexts: By name.
    """

    files: list[Path] = msgspec.field(default_factory=list)
    current_context: str = ""
    clusters: dict[str, tuple[Cluster, Path]] = msgspec.field(default_factory=dict)
    users: dict[str, tuple[User, Path]] = msgspec.field(default_factory=dict)
    contexts: dict[str, tuple[Context, Path]] = msgspec.field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The files, for messages."""
        return ", ".join(map(str, self.files))

    def add(self, file: Path, text: bytes) -> None:
        """Add a file whose entries count where none of the same name came before.

        Raises:
            KubeConfigError: It is no kubeconfig.
        """
        parsed = parse(text, str(file))
        self.files.append(file)
        self.current_context = self.current_context or parsed.current_context or ""
        _merge(self.clusters, [(item.name, item.cluster or Cluster()) for item in parsed.clusters or ()], file)
        _merge(self.users, [(item.name, item.user or User()) for item in parsed.users or ()], file)
        _merge(self.contexts, [(item.name, item.context or Context()) for item in parsed.contexts or ()], file)


def _merge(known: dict[str, _Placed[_T]], found: Iterable[tuple[str | None, _T]], file: Path) -> None:
    seen = set()
    for name, entry in found:
        if name in seen:
            kind = type(entry).__name__.lower()
            raise KubeConfigError(f"{file} has two entries for the {kind} {name!r}; remove one")
        seen.add(name)
        known.setdefault(name or "", (entry, file))


def parse(text: bytes, where: str) -> _File:
    """Decode one file.

    Raises:
        KubeConfigError: It is neither YAML nor JSON, or has fields of other types.
    """
    try:
        found = msgspec.convert(_load(text, where), _File)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise KubeConfigError(f"{where} is no kubeconfig: {reason(error)}") from None
    except RecursionError:
        raise KubeConfigError(f"{where} is no kubeconfig: it is nested too deeply") from None
    if found.kind not in (None, "", "Config"):
        raise KubeConfigError(f"{where} is no kubeconfig: it holds a {one_line(found.kind)!r}, expected a 'Config'")
    return found


def _load(text: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    import yaml  # noqa: PLC0415  30 ms that only readers of YAML pay for

    # libyaml is ten times as fast, which is 70 ms for a file of thirty clusters. Its loader dies of deep nesting, with
    # the process; its parser does not, so that measures first.
    fast = getattr(yaml, "CSafeLoader", None)
    loader = yaml.SafeLoader(b"")
    try:
        if fast is not None:
            _check_depth(yaml, fast, text, where)
        loader = (fast or yaml.SafeLoader)(text)
        found = loader.get_single_data()
    except KubeConfigError:
        raise
    except RecursionError:
        raise KubeConfigError(f"{where} is no kubeconfig: it is nested too deeply") from None
    except Exception as error:  # noqa: BLE001  constructors of dates, numbers and tags raise whatever they met
        raise KubeConfigError(f"{where} is no YAML: {_yaml_words(error)}") from None
    finally:
        loader.dispose()
    return {} if found is None else found


def _check_depth(yaml: Any, loader: Any, text: bytes, where: str) -> None:
    depth = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise KubeConfigError(f"{where} is no kubeconfig: it is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _yaml_words(error: Exception) -> str:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem and mark is not None:
        return one_line(f"line {mark.line + 1}: {problem}")
    return reason(error)


def read(file: Path) -> bytes:
    """The content of a kubeconfig.

    Raises:
        KubeConfigError: It cannot be read, or is far too large.
    """
    try:
        with file.open("rb") as handle:
            text = handle.read(_LARGEST + 1)
    except FileNotFoundError:
        raise KubeConfigError(f"there is no kubeconfig at {file}") from None
    except (OSError, ValueError) as error:
        raise KubeConfigError(f"cannot read the kubeconfig {file}: {reason(error)}") from None
    if len(text) > _LARGEST:
        raise KubeConfigError(f"{file} is no kubeconfig: it has more than {_LARGEST >> 20} MiB")
    return text


def load(files: Sequence[Path], *, missing_ok: bool) -> KubeConfig:
    """Read several files, of which the first counts most.

    Args:
        files: Where they are.
        missing_ok: Whether files that do not exist are passed over, as long as one does.

    Raises:
        KubeConfigError: One of them cannot be used, or none exists.
    """
    config = KubeConfig()
    for file in dict.fromkeys(files):
        if missing_ok and len(files) > 1 and not file.exists():
            continue
        config.add(file, read(file))
    if not config.files:
        raise KubeConfigError(f"none of these kubeconfigs exists: {', '.join(map(str, files))}")
    return config
