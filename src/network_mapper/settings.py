"""One declaration per component for everything that can be set.

A component declares a msgspec Struct whose fields carry `setting(...)`. From that one declaration come the flags of its
command, its environment variables (`NETWORK_MAPPER_…`), the keys of its file, and the reference in the documentation,
so they cannot disagree. A flag wins over the environment, the environment over the default.
"""

from __future__ import annotations

import os
import typing
from typing import Annotated, Any, TypeVar

import msgspec

PREFIX = "NETWORK_MAPPER_"


class Setting(msgspec.Struct, frozen=True):
    """One thing that can be set.

    Attributes:
        field: Name of the field in its component's Struct.
        flag: `--report-interval`.
        env: `NETWORK_MAPPER_REPORT_INTERVAL`.
        type: `str`, `int`, `float` or `bool`.
        default: Used when nothing else is given.
        help: One sentence.
        metavar: What stands for the value in help texts.
    """

    field: str
    flag: str
    env: str
    type: type
    default: Any
    help: str
    metavar: str


class SettingError(ValueError):
    """A value that its setting does not take; the message names the setting and says what it takes."""


def setting(text: str, metavar: str = "") -> msgspec.Meta:
    """Describe a field of a settings Struct; it goes into the `Annotated` of the field."""
    return msgspec.Meta(description=text, extra={"metavar": metavar})


T = TypeVar("T", bound=msgspec.Struct)


def settings_of(component: type[msgspec.Struct]) -> list[Setting]:
    """All settings of a component, in the order of their declaration."""
    hints = typing.get_type_hints(component, include_extras=True)
    found = []
    for field in msgspec.structs.fields(component):
        hint = hints[field.name]
        if typing.get_origin(hint) is not Annotated:
            raise TypeError(f"{component.__name__}.{field.name} has no setting(...)")
        kind, meta = typing.get_args(hint)[:2]
        found.append(
            Setting(
                field=field.name,
                flag="--" + field.name.replace("_", "-"),
                env=PREFIX + field.name.upper(),
                type=kind,
                default=field.default,
                help=meta.description,
                metavar=meta.extra["metavar"],
            )
        )
    return found


def load(component: type[T], given: dict[str, Any], environ: typing.Mapping[str, str] = os.environ) -> T:
    """Build a component's settings.

    Args:
        component: The declaration.
        given: Values from flags, by field name; None means that the flag was not given.
        environ: The environment; an empty variable counts as not set.

    Raises:
        SettingError: A value has the wrong type or lies out of bounds.
    """
    values: dict[str, Any] = {}
    for item in settings_of(component):
        value: Any = given.get(item.field)
        source = item.flag
        if value is None and environ.get(item.env):
            value, source = environ[item.env], item.env
        if value is None:
            continue
        hint = typing.get_type_hints(component, include_extras=True)[item.field]
        try:
            values[item.field] = msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError as error:
            raise SettingError(f"{source}={value!r}: {error}") from None
    return component(**values)
