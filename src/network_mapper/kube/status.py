"""What an answer that is no success says: the API's own `Status` object, or else the HTTP status and its first words.

A proxy or load balancer before the API answers in its own form, so nothing here may fail on what it reads.
"""

from __future__ import annotations

import datetime as dt
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from network_mapper.kube.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_DELAY = 3600.0
_QUOTED = 200


class Status(msgspec.Struct, frozen=True):
    """Why the API did not do as asked.

    Attributes:
        code: HTTP status.
        reason: The API's word for it, such as `Forbidden`, `NotFound`, `Expired`, `TooManyRequests`; empty where the
            answer is no `Status` object.
        message: One line for a person.
        retry_after: Seconds to wait before asking again, from the header or from `details.retryAfterSeconds`; None
            where neither is given.
    """

    code: int
    reason: str
    message: str
    retry_after: float | None = None


class _Details(msgspec.Struct):
    seconds: float | None = msgspec.field(default=None, name="retryAfterSeconds")


class _Object(msgspec.Struct):
    kind: str | None = None
    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


_DECODER = msgspec.json.Decoder(_Object)


def read_status(code: int, headers: Mapping[str, str], body: bytes) -> Status:
    """Read an answer that is no success; never fails.

    Args:
        code: Its HTTP status.
        headers: Its headers, with names in lower case.
        body: All of it, or its beginning. The object of a watch event of type ERROR is such a body too.
    """
    delay = retry_after(headers)
    try:
        found = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _Object()
    if found.kind != "Status":
        return Status(code, "", _plain(code, headers, body), delay)
    if delay is None and found.details is not None:
        delay = _bounded(found.details.seconds)
    word = one_line(found.reason or "")
    return Status(found.code or code, word, one_line(found.message or "") or word or _phrase(code), delay)


def retry_after(headers: Mapping[str, str], now: dt.datetime | None = None) -> float | None:
    """Seconds that `Retry-After` asks to wait: a number or a date (RFC 9110, 10.2.3). None for nothing or nonsense."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return _bounded(float(text))
    except ValueError:
        pass
    import email.utils  # noqa: PLC0415  a mail parser, for a form that the API itself never sends

    try:
        when = email.utils.parsedate_to_datetime(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        return _bounded((when - (now or dt.datetime.now(dt.UTC))).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), _LONGEST_DELAY)


def _phrase(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _plain(code: int, headers: Mapping[str, str], body: bytes) -> str:
    """The status, and the body's words where they are meant for people and no page of HTML."""
    if "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<":
        return f"{_phrase(code)}, with an HTML page"
    words = one_line(body[:_QUOTED].decode("utf-8", "replace"))
    return f"{_phrase(code)}: {words}" if words else _phrase(code)
