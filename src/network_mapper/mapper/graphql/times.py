"""Times as the model's senders write them: RFC 3339 with nanoseconds, in UTC or with an offset.

A report of a thousand sightings names a few dozen different seconds, so what is remembered is the second: a time costs
one look-up and the reading of three digits.
"""

from __future__ import annotations

import datetime as dt
import functools
import re

_SECOND = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"(.*?)([+-])(\d\d):(\d\d)", re.ASCII | re.DOTALL)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LONGEST_SHOWN = 64


class TimeError(ValueError):
    """A text is no time; the message shows it."""


def milliseconds(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time, cut, not rounded.

    Raises:
        TimeError: It is none.
    """
    shift = 0
    head, rest = text[:19], text[19:]
    if rest[-1:] == "Z":
        rest = rest[:-1]
    else:
        offset = _OFFSET.fullmatch(rest)
        if offset is None:
            raise _error(text)
        rest, sign, hours, minutes = offset.groups()
        if int(hours) > 23 or int(minutes) > 59:
            raise _error(text)
        shift = (int(hours) * 60 + int(minutes)) * (-60_000 if sign == "+" else 60_000)
    try:
        second = _second(head)
    except ValueError:
        raise _error(text) from None
    if not rest:
        return second + shift
    if rest[0] not in ".," or not rest.isascii() or not rest[1:].isdigit():
        raise _error(text)
    return second + shift + int((rest[1:4] + "00")[:3])


@functools.lru_cache(maxsize=4096)
def _second(text: str) -> int:
    match = _SECOND.fullmatch(text)
    if match is None:
        raise ValueError(text)
    moment = dt.datetime(*map(int, match.groups()), tzinfo=dt.UTC)  # type: ignore[arg-type,misc]  # six numbers
    return (moment - _EPOCH) // dt.timedelta(milliseconds=1)


def text_of(instant: int) -> str:
    """RFC 3339 text in UTC of milliseconds since the epoch."""
    moment = _EPOCH + dt.timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(text: str) -> TimeError:
    shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return TimeError(f"{shown!r} is no RFC 3339 time, such as 2025-06-10T08:28:35.123456789Z")
