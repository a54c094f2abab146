"""From a report's arrival to its answer.

Every door decodes into the same Report and ends here. A report is applied once: repeated ones are recognised by node,
start and sequence, also while the first is still on its way to the disk. It is applied when the journal has it, and
answered when it is applied, so an answer of 200 can be believed. What cannot be taken in now is refused with 503, and
the sniffer sends the same bytes again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from network_mapper.mapper.decode import ReportError, decode
from network_mapper.model import Drop, Tally
from network_mapper.store import StoreUnavailableError
from network_mapper.wire.report import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.mapper.state import State
    from network_mapper.store import Writer
    from network_mapper.wire.report import Report

_log = logging.getLogger(__name__)


class BusyError(Exception):
    """Not now: the sender keeps the report and comes again. The message says why."""


class Intake:
    """The one way into the map.

    Args:
        state: What reports change.
        writer: Makes them durable.
        clock: Milliseconds since the epoch.
        max_reports: Reports on their way to the disk at once.
    """

    def __init__(self, state: State, writer: Writer, clock: Callable[[], int], max_reports: int) -> None:
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
        if len(self._under_way) >= self._max_reports:
            raise BusyError("as many reports as allowed are being worked on")
        return await self._journal(key, report, packed, drops, rows)

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
        receipt.store, receipt.epoch = self._state.store, self._state.epoch
        return receipt
