"""The seam between what watches a node and what reports it.

Every way of watching (packet ring, capture file, socket tables) is a source: something to wait for, a bounded piece of
work when it is ready, a drain that hands over what was seen since the last one, and its totals. The sniffer knows
nothing else about them, so another way of watching is another class and no change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from network_mapper.model import Observation, Tally


class SourceStats(msgspec.Struct):
    """Totals since the source was opened.

    Attributes:
        seen: What came in (packets, sockets).
        passed: Events that went into observations: the sum of the `count` of all observations drained so far.
        drops: What did not, and why.
    """

    seen: int
    passed: int
    drops: Tally


class Source(Protocol):
    """One way of watching. Times are milliseconds since the epoch."""

    name: str

    def fileno(self) -> int:
        """Descriptor to wait for; readable means that `read` has work."""

    def read(self, now: int) -> None:
        """Take in what is ready. Bounded: it returns while there may be more, so that reports are not delayed."""

    def drain(self, now: int) -> list[Observation]:
        """Hand over what was seen since the last drain."""

    def flush(self, now: int) -> list[Observation]:
        """Hand over everything, also what is not decided yet, because nothing more will be taken in."""

    def stats(self) -> SourceStats:
        """Totals so far."""

    def close(self) -> None:
        """Release the descriptor and what belongs to it."""
