"""From a report's arrival to its answer.

Every door decodes into the same Report and ends here. A report is applied once: repeated ones are recognised by node,
start and sequence, also while the first is still on its way to the disk. It is applied when the journal has it, and
answered when it is applied, so an answer of 200 can be believed. What cannot be taken in now is refused with 503, and
the sniffer sends the same bytes again.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING

from network_mapper.mapper.decode import ReportError, decode, encode
from network_mapper.mapper.model_metrics import ModelCounters
from network_mapper.model import Drop, Tally
from network_mapper.store import StoreUnavailableError
from network_mapper.wire.report import LEGACY_NODE, Receipt, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.mapper.state import State
    from network_mapper.store import Writer
    from network_mapper.wire.report import Client

_log = logging.getLogger(__name__)


_PAUSE = 0.05
"""Seconds between two tries to take in what a sender is held for."""

_MOST_HELD = 1024
"""Senders that are held at once: one for each node of a large cluster."""


class BusyError(Exception):
    """Not now: the sender keeps the report and comes again. The message says why."""


class Intake:
    """The one way into the map.

    Args:
        state: What reports change.
        writer: Makes them durable.
        clock: Milliseconds since the epoch.
        max_reports: Reports on their way to the disk at once.
        obstacle: Why no report can be resolved at present; empty when they can.
        patience: Seconds for which a sender that cannot retry is held before it is refused.

    Attributes:
        counters: What such senders reported, and what of it was refused.
    """

    def __init__(
        self,
        state: State,
        writer: Writer,
        clock: Callable[[], int],
        max_reports: int,
        *,
        obstacle: Callable[[], str] = str,
        patience: float = 2.0,
    ) -> None:
        self._obstacle = obstacle
        self._patience = patience
        self.counters = ModelCounters()
        self._boot = uuid.uuid4().hex
        self._sequence = 0
        self._held = 0
        self._state = state
        self._writer = writer
        self._clock = clock
        self._max_reports = max_reports
        self._under_way: dict[tuple[str, str, int], asyncio.Future[Receipt]] = {}

    async def accept(self, body: bytes, encoding: str) -> Receipt:
        """Take in one report.

        Raises:
            ReportError: It cannot be read.
            BusyError: It cannot be made durable now.
        """
        state = self._state
        try:
            report, packed, drops = decode(body, encoding)
        except ReportError:
            state.drops.add(Drop.REPORT_MALFORMED)
            raise
        now = self._clock()
        state.reports += 1
        state.coverage.hear(report, now)
        rows = sum(client.rows() for client in report.clients)
        if not rows and not drops:
            return self._receipt(Receipt("", 0))
        if state.coverage.is_counted(report):
            state.drops.add(Drop.REPORT_REPEATED)
            return self._receipt(Receipt("", 0, repeated=True))
        key = (report.node, report.boot, report.sequence)
        waiting = self._under_way.get(key)
        if waiting is not None:
            state.drops.add(Drop.REPORT_REPEATED)
            return await asyncio.shield(waiting)
        self._check_capacity()
        return await self._journal(key, report, packed, drops, rows)

    async def take(self, clients: list[Client], base: int, drops: Tally) -> None:
        """Take in rows of a sender that has no report of its own to number, and that may not come again.

        Args:
            clients: The rows.
            base: Milliseconds since the epoch that their times are relative to.
            drops: What was lost in decoding them, in rows.

        Raises:
            ReportError: They cannot be applied.
            BusyError: They could not be made durable for as long as the sender is held.
        """
        state = self._state
        state.reports += 1
        rows = sum(client.rows() for client in clients)
        if not rows and not drops:
            return
        if self._held >= _MOST_HELD:
            state.drops.add(Drop.REPORT_HELD_TOO_LONG)
            self.counters.dropped(clients)
            raise BusyError("as many reports as allowed are waiting")
        self._held += 1
        try:
            await self._hold(clients, base, drops, rows)
        finally:
            self._held -= 1

    async def _hold(self, clients: list[Client], base: int, drops: Tally, rows: int) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._check_capacity()
                self._sequence += 1
                report = Report(LEGACY_NODE, self._boot, self._sequence, base, clients=clients)
                await self._journal((LEGACY_NODE, self._boot, self._sequence), report, encode(report), drops, rows)
            except BusyError:
                if time.monotonic() + _PAUSE > deadline:
                    self._state.drops.add(Drop.REPORT_HELD_TOO_LONG)
                    self.counters.dropped(clients)
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                self.counters.reported(clients)
                return

    def _check_capacity(self) -> None:
        if obstacle := self._obstacle():
            raise BusyError(obstacle)
        if len(self._under_way) >= self._max_reports:
            raise BusyError("as many reports as allowed are being worked on")

    async def _journal(
        self, key: tuple[str, str, int], report: Report, packed: bytes, drops: Tally, rows: int
    ) -> Receipt:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        now = self._clock()

        def durable(result: int | Exception) -> None:
            del self._under_way[key]
            if isinstance(result, Exception):
                future.set_exception(BusyError(str(result)))
                future.exception()  # whoever asked may have gone; that is no error of ours
                return
            self._state.journaled = result
            try:
                receipt = self._state.apply(report, now, rows, drops)
            except Exception as error:  # noqa: BLE001  whatever it is, the mapper lives on
                # A fault of ours. Sent again it would fail again, so it is refused, and the next one is taken.
                _log.exception("a report could not be applied", extra={"node": report.node})
                self._state.drops.add(Drop.REPORT_MALFORMED)
                future.set_exception(ReportError(f"it cannot be applied: {error}"))
                future.exception()
                return
            future.set_result(self._receipt(receipt))

        try:
            self._writer.append(now, packed, durable)
        except StoreUnavailableError as error:
            raise BusyError(str(error)) from None
        self._under_way[key] = future
        return await asyncio.shield(future)

    def _receipt(self, receipt: Receipt) -> Receipt:
        receipt.store, receipt.epoch, receipt.now = self._state.store, self._state.epoch, self._clock()
        return receipt
