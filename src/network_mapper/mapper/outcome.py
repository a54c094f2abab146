"""What became of the rows of a report, in observations and by the minute of their newest one.

Every observation that is merged, dropped or let wait is noted here once, so that the balance sheet needs no second look
at the rows: `seen = merged + held + the sum of what was dropped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.model import Drop, Tally
from network_mapper.store.schema import MINUTE
from network_mapper.wire.report import Volume

if TYPE_CHECKING:
    from network_mapper.wire.report import Row

MAPPED: Final = "mapped"
"""Name in `Outcome.minutes` of what went into the map."""


class Outcome:
    """What `Merger` did with some rows.

    Attributes:
        merged: Observations that went into the map.
        held: Observations that wait.
        details: Names of paths, topics and actions that were kept with their edge, or were there already.
        drops: What was dropped. A reason whose unit is not `observations` stands beside the balance: the observation
            was merged.
        minutes: By the start of a minute, milliseconds since the epoch on the mapper's clock: observations by name,
            `MAPPED` or a value of `model.Drop`. Of rows whose times make no sense: the minute in which they came.
    """

    __slots__ = ("details", "drops", "held", "merged", "minutes")

    def __init__(self) -> None:
        self.merged = 0
        self.held = 0
        self.details = 0
        self.drops = Tally()
        self.minutes: dict[int, dict[str, int]] = {}

    @property
    def dropped(self) -> int:
        """Observations that were dropped."""
        return sum(count for reason, count in self.drops.items() if reason.unit == "observations")

    @property
    def seen(self) -> int:
        """All observations; those that had waited and were decided on now are among them."""
        return self.merged + self.held + self.dropped

    def merge(self, last: int, count: int) -> None:
        """Note observations that went into the map; `last` is when the newest of them was made."""
        self.merged += count
        self._note(last - last % MINUTE, MAPPED, count)

    def drop(self, reason: Drop, last: int, count: int) -> None:
        """Note observations that were dropped."""
        self.drops.add(reason, count)
        self._note(last - last % MINUTE, reason.value, count)

    def _note(self, minute: int, name: str, count: int) -> None:
        names = self.minutes.get(minute)
        if names is None:
            names = self.minutes[minute] = {}
        names[name] = names.get(name, 0) + count


def observations(row: Row) -> int:
    """How many observations a row stands for: its count; of a volume its flows, or one where they are not known."""
    return max(1, row.flows) if isinstance(row, Volume) else row.count
