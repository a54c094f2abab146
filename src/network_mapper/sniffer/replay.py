"""Plays capture files: the same way from packets to reports as on a node, with the packets' own time.

Time passes with the packets, a second of theirs is a tick, and reports go out as fast as the mapper takes them. Where
the mapper is slower than the disk, reading waits for it, because a file can wait and nothing of it should be lost.
"""

from __future__ import annotations

import logging
import select
import sys
from typing import TYPE_CHECKING

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.agent.sender import Sender
from network_mapper.capture.pcapfile import FileSource
from network_mapper.sniffer.inputs import Input, all_drops, wanted_kinds
from network_mapper.sniffer.settings import AGENT, node_name
from network_mapper.sniffer.stop import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.http_client import HttpClient
    from network_mapper.model import Observation
    from network_mapper.sniffer.settings import SnifferSettings
    from network_mapper.sniffer.stop import Stop

logger = logging.getLogger(__name__)

_LAST_SENDING = 2.0
_TICK = 1000
_NOTHING_YET = 1
"""Until when a replay has watched before its first packet: 0 would mean until now."""


class Replay:
    """Plays files one after the other into one sequence of reports.

    Args:
        settings: Those of the sniffer.
        client: Speaks to the mapper.
        stop: Ends it early.
    """

    def __init__(self, settings: SnifferSettings, client: HttpClient, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._wanted = wanted_kinds(settings)
        self._reporter = Reporter(
            Fold(settings.repeat_interval),
            node=node_name(settings),
            agent=AGENT,
            started=0,
            heartbeat_interval=settings.heartbeat_interval,
            wire=settings.wire,
            capture="file",
        )
        self._reporter.feed((), 0, _NOTHING_YET)
        self._sender = Sender(self._reporter, client)
        self._url = client.url
        self._inputs: list[Input] = []
        self._observations = 0
        self._lost_mapper = False
        self._clock = 0

    def play(self, paths: Sequence[str]) -> int:
        """Play all files and wait until every report is answered.

        Returns:
            0, or 1 when a file could not be opened, no mapper took the reports, or it refused one.
        """
        unreadable = False
        self._sender.start()
        for path in paths:
            if self._stop.requested or self._lost_mapper:
                break
            try:
                with self._stop.interrupting():
                    source = FileSource(path)
            except Interrupted:
                break
            except OSError as error:
                unreadable = True
                logger.error("a capture file cannot be read: %s", error)  # noqa: TRY400
                continue
            self._play_file(source)
        if not self._inputs:
            self._sender.close()
            self._sender.finish(0.1)
            return int(unreadable)
        unsent = self._finish()
        refused = self._sender.look(lambda reporter: reporter.totals.refused)
        self._summarise()
        broken = any(item.failed for item in self._inputs)
        return int(bool(unreadable or unsent or refused or broken or self._lost_mapper))

    def _play_file(self, source: FileSource) -> None:
        item = Input(source, self._wanted)
        self._inputs.append(item)
        ticked = 0
        while not (source.finished or item.failed or self._stop.requested or self._lost_mapper):
            waited = not self._is_ready(source)
            if not waited:
                item.read(source.clock)
            if waited or source.clock // _TICK > ticked:
                ticked = source.clock // _TICK
                self._hand_over(item.drain(source.clock), source.clock)
        self._hand_over(item.flush(source.clock), source.clock)
        item.close()

    def _is_ready(self, source: FileSource) -> bool:
        """Whether `read` will not wait. A file never does; a pipe is waited for, a second at most."""
        pipe = source.fileno()
        if pipe < 0:
            return True
        return pipe in select.select([pipe, self._stop.fileno()], [], [], _TICK / 1000)[0]

    def _hand_over(self, observations: list[Observation], clock: int) -> None:
        self._observations += len(observations)
        if not self._clock:
            started = min((seen.first for seen in observations), default=clock)
            self._sender.look(lambda reporter: reporter.set_started(started))
        self._clock = max(self._clock, clock)
        states = [each.state() for each in self._inputs]
        self._sender.feed(observations, self._clock, self._clock, states, all_drops(self._inputs))
        if self._sender.look(lambda reporter: reporter.fold.crowded()):
            self._sender.flush()
            self._lost_mapper = not self._wait(lambda reporter: not reporter.fold.crowded())

    def _wait(self, condition: Callable[[Reporter], bool]) -> bool:
        patience = self._settings.replay_patience
        return self._sender.wait_until(lambda reporter: condition(reporter) or self._stop.requested, patience)

    def _finish(self) -> int:
        """Send the rest; returns the rows that nobody took."""
        self._sender.close()
        self._lost_mapper = self._lost_mapper or not self._wait(lambda reporter: reporter.idle)
        if self._lost_mapper:
            logger.error(
                "gave up: no mapper took a report in time",
                extra={"to": self._url, "seconds": self._settings.replay_patience},
            )
        return self._sender.finish(_LAST_SENDING if self._stop.requested else 0.1)

    def _summarise(self) -> None:
        totals = self._sender.look(lambda reporter: reporter.totals)
        drops = self._sender.look(lambda reporter: reporter.drops)
        packets = sum(item.state().seen for item in self._inputs)
        lost = ", ".join(f"{reason.value} {count}" for reason, count in sorted(drops.items())) or "none"
        sys.stderr.write(
            f"{packets} packets, {self._observations} observations, {totals.sent} reports with {totals.rows} rows; "
            f"drops: {lost}\n"
        )
