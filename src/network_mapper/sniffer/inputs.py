"""The sources of a running sniffer: which there are, what they have seen, and what happens when one fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from network_mapper.agent.reporter import SourceTotals
from network_mapper.model import Drop, Hop, Kind, Tally
from network_mapper.wire.report import Excess, HopState, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.capture.source import Source, SourceStats
    from network_mapper.model import Observation
    from network_mapper.sniffer.settings import SnifferSettings

logger = logging.getLogger(__name__)

_FAMILIES = {
    "enable_tcp": frozenset({Kind.CONNECTIONS, Kind.ATTEMPTS}),
    "enable_dns": frozenset({Kind.LOOKUPS}),
    "enable_sockets": frozenset({Kind.SOCKETS}),
}


def wanted_kinds(settings: SnifferSettings) -> frozenset[Kind]:
    """The kinds of evidence that are switched on."""
    return frozenset().union(*(kinds for field, kinds in _FAMILIES.items() if getattr(settings, field)))


class Input:
    """One source, fenced in: an error in it is logged, closes it, and leaves the others alone.

    Args:
        source: What watches.
        wanted: Kinds of evidence to pass on; the others are switched off, not lost.
    """

    def __init__(self, source: Source, wanted: frozenset[Kind]) -> None:
        self.source = source
        self.name = source.name
        self.failed = False
        self._wanted = wanted
        self._stats: SourceStats | None = None
        self._settled = 0
        self._unwanted = 0

    def read(self, now: int) -> None:
        """Let the source take in what is ready."""
        try:
            self.source.read(now)
        except Exception as error:  # noqa: BLE001  whatever it is, the other sources go on
            self._fail(error)

    def drain(self, now: int) -> list[Observation]:
        """What the source has seen, of the kinds that are wanted."""
        return self._take(self.source.drain, now)

    def flush(self, now: int) -> list[Observation]:
        """Likewise, with what is not decided yet: the last call."""
        return self._take(self.source.flush, now)

    def _take(self, ask: Callable[[int], list[Observation]], now: int) -> list[Observation]:
        if self.failed:
            return []
        try:
            observations = ask(now)
            self._stats, self._settled = self.source.stats(), self.source.settled(now)
        except Exception as error:  # noqa: BLE001  likewise
            self._fail(error)
            return []
        wanted = [seen for seen in observations if seen.kind in self._wanted]
        if len(wanted) < len(observations):
            self._unwanted += sum(seen.count for seen in observations if seen.kind not in self._wanted)
        return wanted

    def _fail(self, error: Exception) -> None:
        logger.error("a source failed and is closed", extra={"source": self.name}, exc_info=error)
        self.failed = True
        self.close()

    def state(self) -> SourceState:
        """Its totals at the last drain."""
        stats = self._stats
        return SourceState(self.name, stats.seen if stats else 0, stats.passed if stats else 0)

    def drops(self) -> Tally:
        """What it had dropped by the last drain, with what is switched off."""
        drops = Tally(self._stats.drops if self._stats else ())
        if self._unwanted:
            drops.add(Drop.SWITCHED_OFF, self._unwanted)
        return drops

    def hops(self) -> list[HopState]:
        """Its side of the balance sheet at the last drain."""
        hops = []
        for hop, unit, seen, passed, held in self._stats.hops if self._stats else ():
            unwanted = self._unwanted if (hop, unit) == (Hop.CAPTURE, "observations") else 0
            hops.append(HopState(hop.value, unit, seen, passed - unwanted, held))
        return hops

    def excess(self) -> list[Excess]:
        """Who took more than a fair share of its tables."""
        return [Excess(who, reason.value, count) for who, reason, count in (self._stats.excess if self._stats else ())]

    def settled(self) -> int:
        """Until when all that it saw has been handed over, as of the last drain; 0 before the first."""
        return self._settled

    def close(self) -> None:
        """Release the source."""
        try:
            self.source.close()
        except Exception:
            logger.exception("a source could not be closed", extra={"source": self.name})


def totals(inputs: list[Input]) -> SourceTotals:
    """The totals of several inputs together."""
    drops = Tally()
    hops: dict[tuple[str, str], HopState] = {}
    for item in inputs:
        for reason, count in item.drops().items():
            drops.add(reason, count)
        for state in item.hops():
            total = hops.setdefault((state.hop, state.unit), HopState(state.hop, state.unit, 0, 0, 0))
            total.seen += state.seen
            total.passed += state.passed
            total.held += state.held
    excess = [each for item in inputs for each in item.excess()]
    return SourceTotals([item.state() for item in inputs], drops, list(hops.values()), excess)


def settled(inputs: list[Input]) -> int:
    """Until when all that the inputs saw has been handed over, milliseconds since the epoch; at least 1.

    One that failed sees nothing any more, so it holds nothing back.
    """
    return max(1, min((item.settled() for item in inputs if not item.failed), default=1))
