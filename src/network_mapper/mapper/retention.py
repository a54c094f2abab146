"""What leaves the map by age: edges that were not seen for long, and counts of time ranges that long ago.

Age is that of an observation. A capture file tells of the day it was made, and all of it would be too old on arrival;
so the age is less the delay with which the map is told things at the least: nothing where sniffers watch now, a year
where all there is comes from a file of last year. From then on time passes as it does everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.store.schema import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from network_mapper.mapper.graph import Graph
    from network_mapper.store.writer import Bucket

_MOST: Final = 2_000
"""Edges that leave with one checkpoint, so that it stays short."""
_LAST = 7
"""Where a bucket has the time of the last sighting."""


class Retention:
    """Decides what is too old.

    Args:
        span: Milliseconds after which what was not seen again leaves; 0 for never.

    Attributes:
        lag: The least delay between an observation and its arrival, milliseconds; None before there was any.
        kept_since: Before this time no buckets are kept, milliseconds since the epoch.
        left: Edges that have left since the mapper started.
    """

    def __init__(self, span: int) -> None:
        self._span = span
        self._looked = 0
        self.lag: int | None = None
        self.kept_since = 0
        self.left = 0

    def restore(self, meta: Mapping[str, str]) -> None:
        """Go on from what the store says (`Database.meta`)."""
        self.lag = int(meta["lag"]) if "lag" in meta else None
        self.kept_since = int(meta.get("kept_since", "0"))

    def clear(self) -> None:
        """Begin anew: the map was emptied."""
        self.lag = None

    def learn(self, buckets: Iterable[Bucket], now: int) -> None:
        """Note how late that was told what has just been counted."""
        newest = max((bucket[_LAST] for bucket in buckets), default=0)
        if newest:
            lag = max(0, now - newest)
            self.lag = lag if self.lag is None else min(self.lag, lag)

    def let_go(self, graph: Graph, now: int, most: int = _MOST) -> int:
        """Take out of the graph what is too old, at most so many edges; returns how many left.

        There is a look once a minute, and the next time again where not all could leave at once.
        """
        if not self._span or self.lag is None:
            return 0
        horizon = now - self.lag - self._span
        horizon -= horizon % MINUTE
        if horizon <= self._looked:
            return 0
        # An hour's bucket stays until all of it is too old.
        self.kept_since = max(self.kept_since, horizon - horizon % HOUR)
        left = graph.expire(horizon, most)
        if left < most:
            self._looked = horizon
        self.left += left
        return left
