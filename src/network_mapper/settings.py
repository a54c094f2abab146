"""One declaration per component for everything that can be set.

A component declares a msgspec Struct whose fields carry `setting(...)`. From that one declaration come the flags of its
command, its environment variables (`NETWORK_MAPPER_…`), the keys of its file, and the reference in the documentation,
so they cannot disagree. A flag wins over the environment, the environment over the file, the file over the default.

A field may also name keys of the Otterize network mapper (`model=`): then `OTTERIZE_…` is read too, after our own
variable and by that program's typing rules, so that a deployment written for it keeps its meaning. There a bare number
is a duration in nanoseconds, a list is split at white space only, and what is no boolean is false.

The file is TOML, for every component. The sniffer's memory is a promise, and the standard library reads TOML for
150 KiB where a YAML library takes 1.2 MiB; TOML has comments and types, a ConfigMap carries it as well as any text, and
`no` or `1m` in it never become something else than what was written.
"""

from __future__ import annotations

import logging
import math
import os
import re
import typing
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar

import msgspec

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

PREFIX = "NETWORK_MAPPER_"
MODEL_PREFIX = "OTTERIZE_"
CONFIG_ENV = PREFIX + "CONFIG"
"""Names the file, where no `--config` does."""

LARGEST_FILE = 64 * 1024
"""Bytes; a file with every setting in it has a tenth of that."""

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(ns|us|µs|μs|ms|[smhd])")
_BARE = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}")
_TRUE = frozenset({"true", "1", "t", "yes", "y", "on"})
_FALSE = frozenset({"false", "0", "f", "no", "n", "off"})
_MODEL_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_MODEL_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_HOST = re.compile(r"[A-Za-z0-9_.:%-]{0,253}")
_LAST_PORT = 65_535
_LINK = re.compile(r"(tcp|udp|sctp)://")
_LINK_NAME = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT(_\d+_(TCP|UDP|SCTP)(_|$)|$)")

_EXPECTED = {
    "text": "text is expected",
    "whole": "a whole number is expected",
    "number": "a number is expected",
    "seconds": "seconds are expected, or a span such as 500ms, 1m or 1h30m",
    "switch": "true or false is expected",
    "words": "a list of words is expected",
    "port": "PORT or HOST:PORT is expected, such as 9091 or 127.0.0.1:9091; 0 for none",
}

Form = Literal["text", "whole", "number", "seconds", "switch", "words", "choice", "port"]


class Setting(msgspec.Struct, frozen=True):
    """One thing that can be set.

    Attributes:
        field: Name of the field in its component's Struct.
        flag: `--report-interval`.
        env: `NETWORK_MAPPER_REPORT_INTERVAL`.
        model: Keys of the Otterize network mapper that mean the same: `sniffer-report-interval`.
        form: How a value is written.
        choices: For `choice`, what there is.
        default: Used when nothing else is given.
        help: One sentence.
        metavar: What stands for the value in help texts.
    """

    field: str
    flag: str
    env: str
    model: tuple[str, ...]
    form: Form
    choices: tuple[str, ...]
    default: Any
    help: str
    metavar: str

    @property
    def key(self) -> str:
        """Its name in a file; with underscores it is understood too."""
        return self.flag.removeprefix("--")

    @property
    def model_env(self) -> list[str]:
        """The variables of the Otterize network mapper that are read."""
        return [model_variable(key) for key in self.model]


class SettingError(ValueError):
    """A value that its setting does not take; the message names the setting and says what it takes."""


class File(msgspec.Struct, frozen=True):
    """What a file sets: its path, and values by field."""

    path: str
    values: dict[str, Any]


def setting(text: str, metavar: str = "", *, model: str | tuple[str, ...] = ()) -> msgspec.Meta:
    """Describe a field of a settings Struct; it goes into the `Annotated` of the field.

    Args:
        text: One sentence for people.
        metavar: What stands for the value; a choice names its words by itself.
        model: Key or keys of the Otterize network mapper that mean the same.
    """
    keys = (model,) if isinstance(model, str) else model
    return msgspec.Meta(description=text, extra={"metavar": metavar, "model": keys})


def seconds(text: str, *, model: str | tuple[str, ...] = ()) -> msgspec.Meta:
    """Like `setting`, for a float that is a span of time: `90`, `500ms` and `1h30m` are understood."""
    made = setting(text, "SECONDS", model=model)
    return msgspec.Meta(description=text, extra={**(made.extra or {}), "form": "seconds"})


def port(text: str, *, model: str | tuple[str, ...] = ()) -> msgspec.Meta:
    """Like `setting`, for a text that says where to listen: `9091` on all addresses, `127.0.0.1:9091`, `0` nowhere."""
    made = setting(text, "[HOST:]PORT", model=model)
    return msgspec.Meta(description=text, extra={**(made.extra or {}), "form": "port"})


class LogSettings(msgspec.Struct):
    """What every long-running command can be told about its log."""

    debug: Annotated[bool, setting("Log more, and show the traceback of an error.", model="debug")] = False
    log_format: Annotated[
        Literal["auto", "text", "json"],
        setting("Log lines for people or JSON objects; auto is text on a terminal."),
    ] = "auto"


T = TypeVar("T", bound=msgspec.Struct)


def model_variable(key: str) -> str:
    """The variable that the Otterize network mapper reads for one of its keys."""
    return MODEL_PREFIX + key.replace("-", "_").upper()


def _form(kind: Any) -> Form:
    if typing.get_origin(kind) is Literal:
        return "choice"
    forms: dict[Any, Form] = {str: "text", int: "whole", float: "number", bool: "switch", tuple[str, ...]: "words"}
    return forms[kind]


def settings_of(component: type[msgspec.Struct]) -> list[Setting]:
    """All settings of a component, in the order of their declaration."""
    hints = typing.get_type_hints(component, include_extras=True)
    found = []
    for field in msgspec.structs.fields(component):
        hint = hints[field.name]
        if typing.get_origin(hint) is not Annotated:
            raise TypeError(f"{component.__name__}.{field.name} has no setting(...)")
        kind, meta = typing.get_args(hint)[:2]
        choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
        found.append(
            Setting(
                field=field.name,
                flag="--" + field.name.replace("_", "-"),
                env=PREFIX + field.name.upper(),
                model=meta.extra["model"],
                form=meta.extra.get("form") or _form(kind),
                choices=choices,
                default=field.default,
                help=meta.description,
                metavar=meta.extra["metavar"] or "|".join(choices),
            )
        )
    return found


def load(
    component: type[T],
    given: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    file: File | None = None,
) -> T:
    """Build a component's settings.

    Args:
        component: The declaration.
        given: Values from flags, by field name; None means that the flag was not given.
        environ: The environment; an empty variable counts as not set.
        file: What `read_file` found.

    Raises:
        SettingError: A value has the wrong type or lies out of bounds.
        TypeError: A setting without default is not given.
    """
    hints = typing.get_type_hints(component, include_extras=True)
    values: dict[str, Any] = {}
    for item in settings_of(component):
        found = _find(item, given, environ, file)
        if found is None:
            continue
        source, raw, value = found
        if isinstance(value, float) and not math.isfinite(value):
            raise _refuse(item, raw, source)
        try:
            values[item.field] = msgspec.convert(value, hints[item.field])
        except msgspec.ValidationError as error:
            message = f"expected one of {', '.join(item.choices)}" if item.choices else str(error)
            raise SettingError(f"{source}={raw!r}: {message}") from None
    return component(**values)


def _find(
    item: Setting, given: Mapping[str, Any], environ: Mapping[str, str], file: File | None
) -> tuple[str, Any, Any] | None:
    """Where a setting is given, what is written there, and what that means; None where it is not given."""
    flag = given.get(item.field)
    if flag is not None:
        return item.flag, flag, _read(item, flag, item.flag) if isinstance(flag, str) else flag
    for name in (item.env, *item.model_env):
        text = environ.get(name)
        if not text or (item.form in ("whole", "port") and _LINK.match(text)):  # Kubernetes' own for a Service
            continue
        read = _read if name == item.env else _read_as_model
        return name, text, read(item, text, name)
    if file is not None and item.field in file.values:
        value, source = file.values[item.field], f"{file.path}: {item.key}"
        return source, value, _check_type(item, value, source)
    return None


def _refuse(item: Setting, text: object, source: str) -> SettingError:
    return SettingError(f"{source}={text!r}: {_EXPECTED[item.form]}")


def _read(item: Setting, text: str, source: str) -> Any:
    """What the text of a flag or of a variable of ours means."""
    try:
        match item.form:
            case "whole":
                return msgspec.convert(text, int, strict=False)
            case "number":
                return msgspec.convert(text, float, strict=False)
            case "seconds":
                return span(text)
            case "switch":
                word = text.strip().lower()
                if word not in _TRUE | _FALSE:
                    raise ValueError(word)  # noqa: TRY301  the handler words it
                return word in _TRUE
            case "words":
                return [word for word in re.split(r"[,\s]+", text) if word]
            case "port":
                host_and_port(text)
                return text.strip()
            case _:
                return text
    except (ValueError, msgspec.ValidationError):
        raise _refuse(item, text, source) from None


def _read_as_model(item: Setting, text: str, source: str) -> Any:
    """What the Otterize network mapper would take a variable for; it reads the forms of Go."""
    if item.form == "switch":
        if text not in _MODEL_TRUE | _MODEL_FALSE:
            logger.warning("%s=%r is no boolean and counts as false", source, text)
        return text in _MODEL_TRUE
    if item.form == "words":
        return text.split()
    if item.form == "seconds":
        try:
            return span(text, bare="ns")
        except ValueError:
            raise _refuse(item, text, source) from None
    return _read(item, text, source)


def _check_type(item: Setting, value: Any, source: str) -> Any:
    """A value of a file: it has a type already, and it must be the right one."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match item.form:
        case "seconds" | "words" | "port" if isinstance(value, str):
            return _read(item, value, source)
        case "port" if isinstance(value, int):
            return _read(item, str(value), source)
        case "seconds" | "number":
            right = number
        case "whole":
            right = number and isinstance(value, int)
        case "switch":
            right = isinstance(value, bool)
        case "words":
            right = isinstance(value, list) and all(isinstance(word, str) for word in value)
        case _:
            right = isinstance(value, str)
    if not right:
        raise SettingError(f"{source}={value!r}: {_EXPECTED.get(item.form, _EXPECTED['text'])}")
    return float(value) if item.form in ("seconds", "number") else value


def span(text: str, bare: str = "s") -> float:
    """A span of time in seconds: `90`, `500ms`, `1h30m`, `1.5h`, `2d`.

    Args:
        text: As it was written; Go's notation, and days.
        bare: Unit of a number without one.

    Raises:
        ValueError: It is something else, or negative.
    """
    text = text.strip()
    if _BARE.fullmatch(text):
        return float(text) * _UNITS[bare]
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no span of time")
    return math.fsum(float(number) * _UNITS[unit] for number, unit in parts)


def host_and_port(text: str) -> tuple[str, int]:
    """Where to listen: `9091`, `:9091`, `localhost:9091`, `[::1]:9091`.

    Returns:
        The host, without brackets and empty for all addresses; and the port, 0 for none.

    Raises:
        ValueError: It is something else.
    """
    host, colon, number = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    if not (number.isascii() and number.isdigit() and int(number) <= _LAST_PORT):
        raise ValueError(f"{text!r} names no port")
    if (colon and (":" in name) != bracketed) or not _HOST.fullmatch(name):
        raise ValueError(f"{text!r} names no host")
    return name, int(number)


def read_file(path: str, *components: type[msgspec.Struct]) -> File:
    """Read a TOML file of settings, `metrics-port = 9091` and so on, without tables.

    Args:
        path: Of the file.
        components: Whose settings may stand in it.

    Raises:
        SettingError: It cannot be read, is no TOML, is too large, or sets something that does not exist.
    """
    import tomllib  # noqa: PLC0415  only for those who use a file

    try:
        with open(path, "rb") as stream:  # noqa: PTH123  bounded, which Path.read_bytes is not
            content = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise SettingError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST_FILE:
        raise SettingError(f"{path}: larger than {LARGEST_FILE} bytes, so it is no file of settings")
    try:
        table = tomllib.loads(content.decode())
    except RecursionError:
        raise SettingError(f"{path}: values are nested too deeply") from None
    except ValueError as error:
        hint = "; the file is TOML: key = value" if PurePath(path).suffix in (".yaml", ".yml", ".json") else ""
        raise SettingError(f"{path}: {error}{hint}") from None
    known = {item.key: item for component in components for item in settings_of(component)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        item = known.get(key.replace("_", "-"))
        if item is None:
            raise SettingError(f"{path}: there is no setting {key!r}{_nearest(key, known)}")
        if item.field in values:
            raise SettingError(f"{path}: {item.key!r} is set twice")
        values[item.field] = value
    return File(path, values)


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    import difflib  # noqa: PLC0415  only needed after a typo

    names = {name: name for name in known} | {name: key for key, item in known.items() for name in item.model}
    close = difflib.get_close_matches(key.replace("_", "-").lower(), names, n=1)
    return f", did you mean {names[close[0]]!r}?" if close else "; --help lists them"


def without_effect(environ: Mapping[str, str], *components: type[msgspec.Struct]) -> list[str]:
    """Variables of the Otterize network mapper that are set and that none of these components reads.

    What Kubernetes sets for the Services of a namespace (`OTTERIZE_NETWORK_MAPPER_SERVICE_HOST`) is not meant.
    """
    read = {name for component in components for item in settings_of(component) for name in item.model_env}
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(MODEL_PREFIX) and value and name not in read and not _LINK_NAME.search(name)
    )
