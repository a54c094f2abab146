"""One request to a mapper, and what its answer means, whichever wire is spoken."""

from __future__ import annotations

import enum
import math
from typing import Final

import msgspec

from network_mapper.wire.report import JSON, MSGPACK, PATH, Receipt

ABSENT: Final = frozenset({404, 405})
"""Statuses of a path that has nothing behind it."""

_TRANSIENT = frozenset({408, 425, 429})
_LONGEST_RETRY_AFTER = 300_000
_SHORTEST_RETRY_AFTER = 100
_NATIVE_HEADERS = {"Content-Type": MSGPACK, "Accept": MSGPACK}


class Request(msgspec.Struct):
    """A POST."""

    path: str
    body: bytes
    headers: dict[str, str]


class Verdict(enum.Enum):
    """What an answer means for what was sent."""

    TAKEN = enum.auto()
    LATER = enum.auto()
    """The mapper cannot take it now."""
    REFUSED = enum.auto()
    """It will never take this."""
    NO_DOOR = enum.auto()
    """There is nothing at this path."""
    FOREIGN = enum.auto()
    """A success, but not in the words of a mapper."""


def native(body: bytes) -> Request:
    """The request for a frozen report, in MessagePack."""
    return Request(PATH, body, _NATIVE_HEADERS)


def verdict_of(status: int) -> Verdict:
    """What a status says by itself; a success still needs its body read."""
    if status == 200:
        return Verdict.TAKEN
    if status in ABSENT:
        return Verdict.NO_DOOR
    return Verdict.REFUSED if 400 <= status < 500 and status not in _TRANSIENT else Verdict.LATER


def receipt_of(status: int, headers: dict[str, str], body: bytes) -> Receipt | None:
    """The receipt in a native answer; None where there is none. Header names are lower case."""
    if status != 200:
        return None
    as_json = headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
    try:
        if as_json:
            return msgspec.json.decode(body, type=Receipt)
        return msgspec.msgpack.decode(body, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def ahead_of(theirs: int, sent: int, received: int) -> int:
    """By how much our clock is ahead of another one, as far as one exchange can prove it.

    Where the other clock's moment lies between the two of ours the clocks may be equal, and are taken to be. Else they
    differ by the distance at least, and by no more than the exchange took beyond that.

    Args:
        theirs: The other's moment, taken between our two; 0 when it did not say.
        sent: Before the request.
        received: After the answer. All in milliseconds.

    Returns:
        Milliseconds, negative when we are behind.
    """
    if not theirs or sent <= theirs <= received:
        return 0
    return sent - theirs if theirs < sent else received - theirs


def retry_after(headers: dict[str, str]) -> int | None:
    """Milliseconds, from a Retry-After in seconds (RFC 9110, 10.2.3); None for its other form, or for nonsense."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return round(min(max(seconds * 1000, _SHORTEST_RETRY_AFTER), _LONGEST_RETRY_AFTER))
