"""The spans of one key: when it was seen, and how often in each.

A span ends with a second of silence, so that an address that is used again by another owner is not folded with the
former one, and it never crosses a minute of the clock, because the map counts in minutes. Spans stand in a flat array
of numbers, three each: an agent whose mapper is away for long keeps hundreds of thousands of them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE = 1000
"""Milliseconds without an event after which a span has ended."""
MINUTE = 60_000
_FAR = 2**52
"""No clock of ours reaches it; a damaged capture file's might."""

Span = tuple[int, int, int]
"""Count, first, last."""


def split(count: int, first: int, last: int) -> list[Span]:
    """Cut at a minute what crosses it.

    When the events between the first and the last happened is not known; they are shared out by time, and each part
    keeps at least the one event that is known to lie in it. Sources hand over at least once a second, so an observation
    lies in two minutes at most; of a longer one the minutes between the first and the last get nothing.
    """
    first = min(max(first, -_FAR), _FAR)
    last = min(max(first, last), _FAR)
    if first // MINUTE == last // MINUTE:
        return [(count, first, last)]
    before, after = (first // MINUTE + 1) * MINUTE, last // MINUTE * MINUTE
    if count == 1:
        return [(1, first, before - 1)]
    early = min(count - 1, max(1, count * (before - first) // (last - first)))
    return [(early, first, before - 1), (count - early, after, last)]


class Spans:
    """Spans of one key, oldest first, none touching the next."""

    __slots__ = ("_flat",)

    def __init__(self) -> None:
        self._flat = array("q")

    def __len__(self) -> int:
        return len(self._flat) // 3

    def __iter__(self) -> Iterator[Span]:
        flat = self._flat
        return zip(flat[0::3], flat[1::3], flat[2::3], strict=True)

    def joins(self, first: int) -> bool:
        """Whether an event then would go into the newest span, so that it takes no room."""
        flat = self._flat
        return bool(flat) and flat[-2] <= first <= flat[-1] + SILENCE and flat[-2] // MINUTE == first // MINUTE

    def add(self, count: int, first: int, last: int) -> None:
        """Add events that lie within one minute."""
        flat = self._flat
        if self.joins(first):
            flat[-3] += count
            flat[-1] = max(flat[-1], last)
        elif not flat or first > flat[-1]:
            flat.extend((count, first, last))
        else:
            self._insert((count, first, last))

    def _insert(self, late: Span) -> None:
        """Put in what came out of order; it may close the gap between two spans."""
        merged = array("q")
        for count, first, last in sorted([*self, late], key=lambda span: span[1]):
            if merged and first <= merged[-1] + SILENCE and merged[-2] // MINUTE == first // MINUTE:
                merged[-3] += count
                merged[-1] = max(merged[-1], last)
            else:
                merged.extend((count, first, last))
        self._flat = merged

    def cut(self, most: int) -> list[Span]:
        """Remove and return the oldest ones, at most `most`."""
        taken = list(self)[:most]
        del self._flat[: 3 * most]
        return taken
