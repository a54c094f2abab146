"""The account of one hop on the sender's side: what came in is passed on, held, or dropped for a named reason.

Each of the four is counted where it happens and none is worked out from the others, so that
`seen = passed + held + dropped` can fail, and then shows a mistake of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.model import Tally
from network_mapper.wire.report import HopState

if TYPE_CHECKING:
    from network_mapper.model import Drop, Hop


class Account:
    """Counts of one hop in one unit, since the start."""

    __slots__ = ("_hop", "_unit", "drops", "held", "passed", "seen")

    def __init__(self, hop: Hop, unit: str) -> None:
        self._hop = hop
        self._unit = unit
        self.seen = self.passed = self.held = 0
        self.drops = Tally()

    def take(self, count: int) -> None:
        """Count what came in and is held now."""
        self.seen += count
        self.held += count

    def give(self, count: int) -> None:
        """Count what was held and is passed on now."""
        self.held -= count
        self.passed += count

    def drop(self, reason: Drop, count: int) -> None:
        """Count what was held and goes no further."""
        if count:
            self.held -= count
            self.drops.add(reason, count)

    def state(self) -> HopState:
        """As it is told to the mapper."""
        return HopState(self._hop.value, self._unit, self.seen, self.passed, self.held)
