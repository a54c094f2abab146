"""Times as people and programs read them: RFC 3339 in documents, ages in tables."""

from __future__ import annotations

import datetime as dt

_STEPS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))
_END = 253_402_300_799_999
"""The last millisecond of the year 9999, which is as far as RFC 3339 goes."""


def rfc3339(ms: int) -> str | None:
    """Milliseconds since the epoch as `2026-01-31T12:00:00.000Z`; None for 0, which stands for "never"."""
    if not ms:
        return None
    ms = min(max(ms, 0), _END)
    when = dt.datetime.fromtimestamp(ms // 1000, dt.UTC).replace(microsecond=ms % 1000 * 1000)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(ms: int) -> str:
    """A span of milliseconds in its largest unit, as `kubectl get` shows ages: `45s`, `3m`, `7h`, `12d`."""
    for step, unit in _STEPS:
        if ms >= step:
            return f"{ms // step}{unit}"
    return "0s"


def ago(then: int, now: int) -> str:
    """How long ago a moment was, `3m ago`; `-` where it never was."""
    return f"{age(now - then)} ago" if then else "-"
