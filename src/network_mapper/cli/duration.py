"""Spans of time as people type them: `90s`, `15m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

import click

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d{1,9})(ms|[smhdw])")


def parse(text: str) -> int:
    """A span in milliseconds.

    Raises:
        ValueError: The text is no span, or an empty one.
    """
    parts = _PART.findall(text)
    span = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not span:
        raise ValueError(f"{text!r} is no span of time such as 90s, 15m, 1h30m or 2d")
    return span


def option_callback(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Parse the value of an option; None stays None."""
    try:
        return None if value is None else parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
