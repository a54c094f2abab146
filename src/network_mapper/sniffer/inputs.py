"""The sources of a running sniffer: which there are, what they have seen, and what happens when one fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from network_mapper.model import Kind, Tally
from network_mapper.wire.report import SourceState

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
            self._stats = self.source.stats()
        except Exception as error:  # noqa: BLE001  likewise
            self._fail(error)
            return []
        return [seen for seen in observations if seen.kind in self._wanted]

    def _fail(self, error: Exception) -> None:
        logger.error("a source failed and is closed", extra={"source": self.name}, exc_info=error)
        self.failed = True
        self.close()

    def state(self) -> SourceState:
        """Its totals at the last drain."""
        stats = self._stats
        return SourceState(self.name, stats.seen if stats else 0, stats.passed if stats else 0)

    def drops(self) -> Tally:
        """What it had dropped by the last drain."""
        return self._stats.drops if self._stats else Tally()

    def close(self) -> None:
        """Release the source."""
        try:
            self.source.close()
        except Exception:
            logger.exception("a source could not be closed", extra={"source": self.name})


def all_drops(inputs: list[Input]) -> Tally:
    """The drops of several inputs together; a new Tally each time."""
    total = Tally()
    for item in inputs:
        for reason, count in item.drops().items():
            total.add(reason, count)
    return total
