"""The mapper's side of the balance sheet: what came to each hop, and what became of it.

Every number is counted where it arises. A hop's `seen` is not worked out from its fates, so the sheet shows a fault of
ours as a line that does not add up. It begins with the map and again with each reset, and it is durable: a checkpoint
writes it as of the same journal row as the edges, so that after a crash the rest of the journal brings it to where it
was. What leaves no row in the journal (heartbeats, reports that are malformed, repeated, or to come again) is counted
up to the last checkpoint.

Beside the sheet the same fates are counted by the minute, since completeness is asked for by time range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from network_mapper.mapper.outcome import MAPPED, Outcome
from network_mapper.model import Drop, Hop, Tally
from network_mapper.store.schema import MINUTE
from network_mapper.wire.api import HopRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPORTS: Final = "reports"
OBSERVATIONS: Final = "observations"
DETAILS: Final = "details"
_SEEN, _PASSED = "seen", "passed"

_LINES: Final = (
    (Hop.INTAKE, REPORTS),
    (Hop.INTAKE, OBSERVATIONS),
    (Hop.RESOLVE, OBSERVATIONS),
    (Hop.GRAPH, OBSERVATIONS),
    (Hop.GRAPH, DETAILS),
    (Hop.STORE, OBSERVATIONS),
)

Total = tuple[str, str, str, int]
"""Hop, unit, name (`seen`, `passed`, or a `model.Drop`) and how many: a row of the store's ledger."""
Account = tuple[int, str, int]
"""Start of a minute, name (`mapped` or a `model.Drop`) and how many more: a row of the store's accounts."""


class Books(NamedTuple):
    """What a checkpoint writes of the accounts.

    Attributes:
        ledger: The sheet, as it will be when this checkpoint is on disk.
        accounts: What was counted by the minute since the last one.
        observations: How many this checkpoint puts on disk.
        sheet: Which sheet they are of.
    """

    ledger: list[Total]
    accounts: list[Account]
    observations: int
    sheet: int


class _Line:
    """One hop and unit."""

    __slots__ = ("dropped", "passed", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.passed = 0
        self.dropped = Tally()


class Accounts:
    """Counts reports and observations on their way into the map. What is held is measured, not counted here.

    Attributes:
        held_reports: On their way to the disk, or held because their sender cannot come again.
        held_observations: In those that are on their way to the disk.
    """

    def __init__(self) -> None:
        self._lines = {key: _Line() for key in _LINES}
        self._intake_reports, self._intake, self._resolve, self._graph, self._details, self._store = (
            self._lines[key] for key in _LINES
        )
        self._minutes: dict[tuple[int, str], int] = {}
        self._before = Tally()
        """Losses that sniffers told of."""
        self._fresh = self._writing = 0
        """Observations in edges that no checkpoint has taken, and that one is writing."""
        self._sheet = 0
        self.held_reports = 0
        self.held_observations = 0

    def restore(self, ledger: Iterable[Total]) -> None:
        """Go on from what the store has; a name that this version does not know is passed over."""
        lines = {(hop.value, unit): line for (hop, unit), line in self._lines.items()}
        for hop, unit, name, count in ledger:
            line = lines.get((hop, unit))
            reason = _REASONS.get(name)
            if line is None:
                if reason is not None:
                    self._before[reason] = count
            elif name == _SEEN:
                line.seen = count
            elif name == _PASSED:
                line.passed = count
            elif reason is not None:
                line.dropped[reason] = count

    def restore_mapped(self, observations: int) -> None:
        """Begin with what is in the edges of a map that kept no sheet so far."""
        for line in (self._intake, self._resolve, self._graph, self._store):
            line.seen = line.passed = observations

    def clear(self) -> None:
        """Begin a new sheet: the map was emptied."""
        for line in self._lines.values():
            line.seen = line.passed = 0
            line.dropped.clear()
        self._before.clear()
        self._minutes.clear()
        self._fresh = self._writing = 0
        self._sheet += 1

    # Reports

    def enter(self, observations: int) -> None:
        """A report is held until the disk has it."""
        self.held_reports += 1
        self.held_observations += observations

    def leave(self, observations: int) -> None:
        """It is held no more; what became of it is told with `report`."""
        self.held_reports -= 1
        self.held_observations -= observations

    def report(self, reason: Drop | None = None) -> None:
        """A report was taken, or was not for this reason."""
        line = self._intake_reports
        line.seen += 1
        if reason is None:
            line.passed += 1
        else:
            line.dropped.add(reason)

    def malformed(self, now: int) -> None:
        """A report could not be read, so nobody knows how many observations went with it."""
        self.report(Drop.REPORT_MALFORMED)
        self._note(now, Drop.REPORT_MALFORMED, 1)

    def repeated(self, observations: int) -> None:
        """Observations came again that were counted with the report that came first."""
        self._intake.seen += observations
        self._intake.dropped.add(Drop.REPEATED, observations)

    def lost_with(self, reason: Drop, observations: int, now: int) -> None:
        """A readable report was not taken, and these observations with it."""
        self._intake.seen += observations
        self._intake.dropped.add(reason, observations)
        self._note(now, reason, observations)

    # Observations

    def taken(self, observations: int, unreadable: Mapping[Drop, int], outcome: Outcome, now: int) -> None:
        """A report was merged.

        Args:
            observations: In its rows.
            unreadable: Beside those: what could not be read of it.
            outcome: What became of the rows.
            now: When the report came, milliseconds since the epoch.
        """
        for reason, count in unreadable.items():
            self._intake.dropped.add(reason, count)
            self._note(now, reason, count)
        self._intake.seen += observations + sum(unreadable.values())
        self._merged(outcome, outcome.held)

    def retried(self, observations: int, outcome: Outcome) -> None:
        """Rows that had waited were decided on, or wait again."""
        self._merged(outcome, outcome.held - observations)

    def _merged(self, outcome: Outcome, more_held: int) -> None:
        self._details.seen += outcome.details
        self._details.passed += outcome.details
        in_graph = outcome.merged
        on_the_way = 0
        for reason, count in outcome.drops.items():
            if reason.unit == DETAILS:
                self._details.dropped.add(reason, count)
                self._details.seen += count
            elif reason.hop is Hop.INTAKE:
                self._intake.dropped.add(reason, count)
            elif reason.hop is Hop.GRAPH:
                self._graph.dropped.add(reason, count)
                in_graph += count
            else:
                self._resolve.dropped.add(reason, count)
                on_the_way += count
        to_resolve = in_graph + on_the_way + more_held
        self._intake.passed += to_resolve
        self._resolve.seen += to_resolve
        self._resolve.passed += in_graph
        self._graph.seen += in_graph
        self._graph.passed += outcome.merged
        self._store.seen += outcome.merged
        self._fresh += outcome.merged
        minutes = self._minutes
        for minute, names in outcome.minutes.items():
            for name, count in names.items():
                key = minute, name
                minutes[key] = minutes.get(key, 0) + count

    def lost_before(self, reason: Drop, count: int, now: int) -> None:
        """A sniffer told of a loss of its own."""
        self._before.add(reason, count)
        self._note(now, reason, count)

    def _note(self, moment: int, reason: Drop, count: int) -> None:
        key = moment - moment % MINUTE, reason.value
        self._minutes[key] = self._minutes.get(key, 0) + count

    # Reading

    @property
    def drops(self) -> Tally:
        """What did not reach the map, over all hops and units."""
        total = Tally()
        for line in self._lines.values():
            for reason, count in line.dropped.items():
                total.add(reason, count)
        return total

    @property
    def received(self) -> int:
        """Observations in the reports that were taken or that came again."""
        return self._intake.seen

    @property
    def mapped(self) -> int:
        """Observations in the edges' counts."""
        return self._graph.passed

    @property
    def reports(self) -> int:
        """Reports that were decided on."""
        return self._intake_reports.seen

    def totals(self) -> dict[str, int]:
        """What the minutes add up to since the map began: by `mapped` or a `model.Drop`, of our hops and before."""
        total = self.drops
        for reason, count in self._before.items():
            total.add(reason, count)
        return {MAPPED: self.mapped} | {reason.value: count for reason, count in total.items()}

    def rows(self, waiting: int) -> list[HopRow]:
        """The sheet. `waiting` is how many observations wait for their clients to be told of."""
        held = {
            (Hop.INTAKE, REPORTS): self.held_reports,
            (Hop.INTAKE, OBSERVATIONS): self.held_observations,
            (Hop.RESOLVE, OBSERVATIONS): waiting,
            (Hop.STORE, OBSERVATIONS): self._fresh + self._writing,
        }
        return [
            HopRow(
                hop.value,
                unit,
                line.seen + (held[hop, unit] if hop is Hop.INTAKE else 0),
                line.passed,
                held.get((hop, unit), 0),
                {reason.value: count for reason, count in sorted(line.dropped.items())},
            )
            for (hop, unit), line in self._lines.items()
        ]

    def minutes(self) -> list[Account]:
        """What was counted by the minute and is in no checkpoint yet."""
        return [(minute, name, count) for (minute, name), count in self._minutes.items()]

    # Keeping

    def take(self) -> Books:
        """What the next checkpoint writes; tell `written` or `give_back` afterwards."""
        fresh, self._fresh = self._fresh, 0
        self._writing = fresh
        accounts, self._minutes = self.minutes(), {}
        ledger: list[Total] = []
        for (hop, unit), line in self._lines.items():
            passed = line.passed + (fresh if line is self._store else 0)
            ledger += [(hop.value, unit, _SEEN, line.seen), (hop.value, unit, _PASSED, passed)]
            ledger += [(hop.value, unit, reason.value, count) for reason, count in line.dropped.items()]
        ledger += [(reason.hop.value, reason.unit, reason.value, count) for reason, count in self._before.items()]
        return Books(ledger, accounts, fresh, self._sheet)

    def written(self, books: Books) -> None:
        """The store has them."""
        if books.sheet == self._sheet:
            self._writing -= books.observations
            self._store.passed += books.observations

    def give_back(self, books: Books) -> None:
        """Undo `take`: the store could not write them."""
        if books.sheet != self._sheet:
            return
        self._writing -= books.observations
        self._fresh += books.observations
        for minute, name, count in books.accounts:
            self._minutes[minute, name] = self._minutes.get((minute, name), 0) + count


_REASONS: Final = {reason.value: reason for reason in Drop}

__all__ = ["DETAILS", "MAPPED", "OBSERVATIONS", "REPORTS", "Account", "Accounts", "Books", "Total"]
