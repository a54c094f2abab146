"""The seam between what watches a node and what reports it.

Every way of watching (packet ring, capture file, socket tables) is a source: something to wait for, a bounded piece of
work when it is ready, a drain that hands over what was seen since the last one, and its totals. The sniffer knows
nothing else about them, so another way of watching is another class and no change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from network_mapper.model import Drop, Hop, Observation, Tally


class HopTotals(NamedTuple):
    """One hop's side of the balance sheet in one unit: `seen = passed + held + dropped`, each counted by itself.

    What was dropped is in `SourceStats.drops`, under the reasons of this hop and unit.
    """

    hop: Hop
    unit: str
    seen: int
    passed: int
    held: int = 0


class SourceStats(msgspec.Struct):
    """Totals since the source was opened.

    Attributes:
        seen: What came in (packets, sockets).
        passed: Events that went into observations: the sum of the `count` of all observations drained so far.
        drops: What did not, and why.
        hops: The source's hops, each in each of its units.
        excess: Who took more than a fair share of a table: an address or an interface, what for, and how often.
    """

    seen: int
    passed: int
    drops: Tally
    hops: list[HopTotals] = []
    excess: list[tuple[str, Drop, int]] = []


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

    def settled(self, now: int) -> int:
        """Until when all that happened has been handed over, as of the last drain."""

    def stats(self) -> SourceStats:
        """Totals so far."""

    def close(self) -> None:
        """Release the descriptor and what belongs to it."""
