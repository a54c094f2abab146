"""Reports that rest for a few seconds before anybody looks whose their addresses were.

What the API tells comes late: a pod has died and another has its address, and for a second or a few the first is still
said to live. Whoever resolves a connection in that time draws it to the dead. No look at the answer shows that it is
old, so the rows are kept until the API has had time to tell what was the case when they were made. A node's own word
for which pod is which is taken in at once (`Merger.hear`), and a report is durable before it rests.

While the API cannot be watched nothing is told at all. Reports rest on then, but not for ever: what is known is
better than no map.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.wire.report import Report

MOST: Final = 50_000
"""Rows that rest at most. When there are more, the oldest have rested enough: memory goes before patience."""


class Rested(NamedTuple):
    """A report that rests.

    Attributes:
        since: When it came, milliseconds since the epoch.
        report: What came.
        rows: How many rows it has.
        observations: How many observations they stand for.
    """

    since: int
    report: Report
    rows: int
    observations: int


class Resting:
    """Reports in the order in which they came.

    Args:
        longest: Milliseconds that a report rests at most.

    Attributes:
        rows: How many rows rest.
        observations: How many observations they stand for.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._reports: deque[Rested] = deque()
        self._released = 0
        self.rows = 0
        self.observations = 0

    def put(self, rested: Rested) -> None:
        """Let a report rest."""
        self._reports.append(rested)
        self.rows += rested.rows
        self.observations += rested.observations

    def take(self, now: int, settle: int, *, hold: bool) -> Iterator[Rested]:
        """Take out what has rested enough.

        Args:
            now: Milliseconds since the epoch.
            settle: How long a report is to rest.
            hold: Whether the API tells nothing at present. Afterwards it has as long as always to tell.
        """
        if hold:
            self._released = now
        while self._reports:
            oldest = self._reports[0]
            enough = max(oldest.since, self._released) + settle
            if now < min(enough, oldest.since + self._longest) and self.rows <= MOST:
                return
            self._reports.popleft()
            self.rows -= oldest.rows
            self.observations -= oldest.observations
            yield oldest

    def clear(self) -> None:
        """Let nothing rest any more."""
        self._reports.clear()
        self.rows = self.observations = 0

    def __iter__(self) -> Iterator[Rested]:
        return iter(self._reports)
