"""A cluster read from files, as `kubectl get … -o json` or `-o yaml` writes them.

People keep such files in every shape: one object, a list, a folder of either, several YAML documents in a file, JSON
objects one after the other, a file of PowerShell in UTF-16. All are taken. What cannot be read costs as little as
possible: one object, or one document, and a line that says which.

JSON of a whole cluster is large (67 MB for ten thousand pods), so an item is first cut out undecoded, then looked at
for its kind, then decoded to the fields of that kind alone. YAML lists are cut into their items as text for the same
reason; YAML is still many times slower.
"""

from __future__ import annotations

import codecs
import functools
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.cluster.identity import IdentityKeys, only_naming
from network_mapper.cluster.objects import (
    ENDPOINT_SLICE,
    ENDPOINTS,
    INDEXED,
    SERVICE,
    Object,
    ObjectMeta,
    Owner,
    group_kind,
)
from network_mapper.cluster.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIXES: Final = (".json", ".yaml", ".yml")
"""Files of a folder that are read."""

_JSON = re.compile(rb'\s*(\[|\{\s*["}])')  # in YAML's flow style a mapping's first key has no quotes
_DEEPEST = 500  # levels of YAML; real objects have some twenty
_MAYBE_DEEP = re.compile(rf"(?m)^[ \-?:\t]{{{_DEEPEST}}}")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: for wrong shapes and types, for bytes that are no UTF-8, for endless nesting."""

_SKIPPED = frozenset({"Secret", "ConfigMap"})


class SnapshotError(Exception):
    """There is nothing to read at a path; one line for a person."""


class Snapshot(msgspec.Struct):
    """The objects of a cluster at one time.

    Attributes:
        path: Where it was read.
        objects: Pairs of `objects.group_kind` and the object, unless `load` handed them on. Of kinds that are not
            indexed only those that have an owner: an owner without one adds nothing to the reference to it.
        kinds: How many objects of each kind were read, kept or not.
        skipped: How many Secrets and ConfigMaps were met; their contents are never decoded into objects of ours.
        problems: What could not be read.
    """

    path: str
    objects: list[tuple[str, Object]]
    kinds: dict[str, int]
    skipped: int
    problems: Problems


class _Head(msgspec.Struct, rename="camel", gc=False):
    api_version: str = ""
    kind: str = ""


class _JsonList(msgspec.Struct, rename="camel", gc=False):
    api_version: str = ""
    kind: str = ""
    items: list[msgspec.Raw] | None = None


class _Name(msgspec.Struct, gc=False):
    name: str = ""
    namespace: str | None = None


class _Named(msgspec.Struct, gc=False):
    metadata: _Name | None = None


def load(
    path: str | os.PathLike[str],
    keys: IdentityKeys | None = None,
    take: Callable[[str, Object], None] | None = None,
) -> Snapshot:
    """Read a file, or every `*.json`, `*.yaml` and `*.yml` file below a folder (hidden folders left out).

    Args:
        path: File or folder.
        keys: Annotations to keep; all others are dropped at once.
        take: Gets each kind and object as it is read, such as `Index.apply`; they are then not collected. A big
            cluster so takes a third of the memory: objects that come and go one by one leave no holes behind.

    Raises:
        SnapshotError: The path does not exist or holds no Kubernetes object at all.
    """
    where = Path(path)
    found = Snapshot(str(where), [], {}, 0, Problems())
    reader = _Reader(found, keys or IdentityKeys(), take or (lambda kind, item: found.objects.append((kind, item))))
    if where.is_dir():
        for file in _files(where):
            reader.read(file, str(file.relative_to(where)))
    elif where.exists():
        reader.read(where, where.name)
    else:
        raise SnapshotError(f"no snapshot at {where}: no such file or folder")
    if not found.kinds:
        first = found.problems.lines()[:1]
        raise SnapshotError(f"no Kubernetes objects in {where}" + (f" ({first[0]})" if first else ""))
    if SERVICE in found.kinds and not {ENDPOINT_SLICE, ENDPOINTS} & found.kinds.keys():
        found.problems.put("services", ["there are no EndpointSlices: it cannot be told which workloads they have"])
    return found


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        # A mounted ConfigMap shows its files as links into a hidden folder: they would be read twice.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(parent, name)
            if name.lower().endswith(SUFFIXES) and file.is_file():
                yield file


class _Reader:
    """Finds the objects in files."""

    def __init__(self, snapshot: Snapshot, keys: IdentityKeys, take: Callable[[str, Object], None]) -> None:
        self._snapshot = snapshot
        self._keys = keys
        self._take = take

    def read(self, file: Path, name: str) -> None:
        """Read one file, whatever it holds."""
        try:
            data = file.read_bytes()
        except OSError as error:
            self._problem(name, error.strerror or "cannot be read")
            return
        data = _utf8(data)
        if not data[:4096].strip():
            self._problem(name, "empty file")
        elif _JSON.match(data):
            self._json(data, name)
        else:
            self._yaml(data.decode(errors="replace"), name)

    def _problem(self, where: str, cause: str) -> None:
        self._snapshot.problems.put(where, [cause])

    # JSON

    def _json(self, data: bytes, where: str) -> None:
        try:
            items, head = _json_items(data)
        except RecursionError:
            self._problem(where, "nested too deeply")
            return
        except _UNREADABLE as error:
            parts = list(_json_documents(data))
            if len(parts) > 1:
                for number, part in enumerate(parts, 1):
                    self._json(part, f"{where}, document {number}")
            else:
                self._broken_json(data, where, str(error))
            return
        for number, item in enumerate(items, 1):
            self._item(item, head, f"{where}, item {number}" if len(items) > 1 else where, _from_json)

    def _broken_json(self, data: bytes, where: str, cause: str) -> None:
        """Keep the whole items of a list that is broken or cut off, where line breaks show where they begin."""
        self._problem(where, cause)
        opening = re.search(rb'"items": \[\r?\n( +)\{\r?\n', data)
        if opening is None:
            return
        indent = opening[1]
        for number, item in enumerate(re.split(rb"\n%s\{\r?\n" % indent, data[opening.start() :])[1:], 1):
            closed = re.match(rb"(.*?\n%s\})" % indent, item, re.DOTALL)
            if closed is None:
                continue  # the one that is cut off: the line above says so
            try:
                whole = msgspec.json.decode(b"{" + closed[1], type=msgspec.Raw)
            except _UNREADABLE as error:
                self._problem(f"{where}, item {number}", str(error))
            else:
                self._item(whole, _Head(), f"{where}, item {number}", _from_json)

    # YAML

    def _yaml(self, text: str, where: str) -> None:
        documents = [part for part in re.split(r"(?m)^---(?=\s|$).*\n?", text) if _says_something(part)]
        if not documents:
            self._problem(where, "holds no document")
        for number, document in enumerate(documents, 1):
            self._document(document, f"{where}, document {number}" if len(documents) > 1 else where)

    def _document(self, text: str, where: str) -> None:
        head, items = _yaml_items(text)
        content = self._parse(head, where)
        if content is None:
            if items:
                content = {}
            else:
                return
        if not items:
            listed = content.get("items") if isinstance(content, dict) else content
            if not isinstance(listed, list):
                self._item(content, _Head(), where, _from_yaml)
                return
            parsed = listed
        else:
            parsed = [self._parse(item, f"{where}, item {number}") for number, item in enumerate(items, 1)]
            parsed = [item[0] if isinstance(item, list) and item else item for item in parsed]
        default = _head_of(content)
        for number, item in enumerate(parsed, 1):
            if item is not None:
                self._item(item, default, f"{where}, item {number}", _from_yaml)

    def _parse(self, text: str, where: str) -> Any:
        import yaml  # noqa: PLC0415  a quarter of the command line's start time, needed for YAML alone

        loader = _yaml_loader()
        try:
            if _too_deep(text, loader):
                self._problem(where, "nested too deeply")
                return None
            return yaml.load(text, loader)  # noqa: S506  a SafeLoader
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            cause = getattr(error, "problem", None) or str(error).splitlines()[0]
            self._problem(where, f"broken YAML: {cause}" + (f" (its line {mark.line + 1})" if mark else ""))
        except (RecursionError, ValueError) as error:
            self._problem(where, f"broken YAML: {type(error).__name__}")
        return None

    # Objects

    def _item(self, item: Any, default: _Head, where: str, convert: Callable[[Any, Any], Any]) -> None:
        """Take in one object; `default` is the kind that the items of a typed list need not repeat."""
        try:
            head: _Head = convert(item, _Head)
        except _UNREADABLE as error:
            self._problem(where, f"no Kubernetes object: {error}")
            return
        kind = group_kind(head.api_version or default.api_version, head.kind or default.kind)
        if not kind or not (head.kind or default.kind):
            self._problem(where, "no Kubernetes object: it has no kind")
            return
        if kind in _SKIPPED:
            self._snapshot.skipped += 1
            self._count(kind)
            return
        try:
            decoded: Object = convert(item, INDEXED.get(kind, Owner))
        except _UNREADABLE as error:
            self._problem(f"{where} ({kind} {_name_of(item, convert)})", str(error))
            return
        meta = decoded.metadata
        if meta is None or not meta.name:
            self._problem(f"{where} ({kind})", "it has no name")
            return
        self._count(kind)
        if isinstance(meta, ObjectMeta):
            meta.annotations = only_naming(meta.annotations, self._keys)
        elif not meta.owner_references:
            return
        self._take(kind, decoded)

    def _count(self, kind: str) -> None:
        self._snapshot.kinds[kind] = self._snapshot.kinds.get(kind, 0) + 1


def _from_json(item: Any, wanted: Any) -> Any:
    return msgspec.json.decode(item, type=wanted)


def _from_yaml(item: Any, wanted: Any) -> Any:
    return msgspec.convert(item, wanted)


def _name_of(item: Any, convert: Callable[[Any, Any], Any]) -> str:
    try:
        meta = convert(item, _Named).metadata
    except _UNREADABLE:
        return "without a readable name"
    if meta is None or not meta.name:
        return "without a name"
    return f"{meta.namespace}/{meta.name}" if meta.namespace else str(meta.name)


def _utf8(data: bytes) -> bytes:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _json_items(data: bytes | msgspec.Raw) -> tuple[list[msgspec.Raw], _Head]:
    """The objects in a JSON document, undecoded, and the kind that a typed list gives to them."""
    if bytes(data[:4096]).lstrip().startswith(b"["):
        return msgspec.json.decode(data, type=list[msgspec.Raw]), _Head()
    try:
        document = msgspec.json.decode(data, type=_JsonList)
    except msgspec.ValidationError:
        return [msgspec.json.decode(data, type=msgspec.Raw)], _Head()
    if document.items is None and not document.kind.endswith("List"):
        return [msgspec.json.decode(data, type=msgspec.Raw)], _Head()
    return document.items or [], _listed(document.api_version, document.kind)


def _json_documents(data: bytes) -> Iterator[bytes]:
    """Cut JSON documents that follow each other.

    A line that begins with a brace begins a document, unless the line before it is not finished. Where documents
    follow each other within a line, the standard library's decoder, which is slow, says where each ends.
    """
    for part in re.split(rb"(?<=[^\s,\[:])\s*\n(?=\{)", data):
        try:
            msgspec.json.decode(part, type=msgspec.Raw)
        except _UNREADABLE as error:
            yield from _joined_documents(part) if "trailing" in str(error) else (part,)
        else:
            yield part


def _joined_documents(data: bytes) -> Iterator[bytes]:
    text = data.decode(errors="replace").strip()
    decoder = json.JSONDecoder()
    while text:
        try:
            _, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            end = len(text)
        yield text[:end].encode()
        text = text[end:].lstrip()


def _listed(api_version: str, kind: str) -> _Head:
    """`v1 PodList` lists `v1 Pod`s; a plain `List` lists anything."""
    item = kind.removesuffix("List")
    return _Head(api_version, item) if item and item != kind else _Head()


def _head_of(content: Any) -> _Head:
    try:
        head = msgspec.convert(content, _Head)
    except msgspec.ValidationError:
        return _Head()
    return _listed(head.api_version, head.kind)


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith(("#", "%")) for line in text.splitlines())


def _yaml_items(text: str) -> tuple[str, list[str]]:
    """Cut a list as kubectl writes it into the text around its items and the text of each item.

    A parsed YAML document takes a hundred times its size, and one mistake costs all of it. Lists in another style, and
    those with aliases, which may point from one item to another, come back whole.
    """
    opening = re.search(r"(?m)^items:[ \t]*\r?\n(?=( *)- )", text)
    if opening is None or re.search(r"(?m)(^|[:\-] )\*\w", text):
        return text, []
    start = opening.end()
    closing = re.compile(r"(?m)^[^\s\-#]").search(text, start)
    end = closing.start() if closing else len(text)
    items = re.split(rf"(?m)^(?={opening[1]}- )", text[start:end])
    return text[: opening.start()] + text[end:], [item for item in items if item.strip()]


def _too_deep(text: str, loader: Any) -> bool:
    """Whether PyYAML, whose C part takes a stack frame a level and checks nothing, must not see this."""
    import yaml  # noqa: PLC0415  see above

    if text.count("[") + text.count("{") < _DEEPEST and not _MAYBE_DEEP.search(text):
        return False
    depth = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            return True
    return False


@functools.cache
def _yaml_loader() -> Any:
    """PyYAML's safe loader, in C where it was built so, that leaves times as text like JSON does."""
    import yaml  # noqa: PLC0415  see above

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in base.yaml_implicit_resolvers.items()
    }
    return type("_Loader", (base,), {"yaml_implicit_resolvers": resolvers})
