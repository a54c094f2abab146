"""From a report's arrival to its answer.

Every door decodes into the same Report and ends here. A report is applied once: repeated ones are recognised by node,
start and sequence, also while the first is still on its way to the disk. It is applied when the journal has it, and
answered when it is applied, so an answer of 200 can be believed. What cannot be taken in now is refused with 503, and
the sniffer sends the same bytes again.

Each report has one fate in the balance sheet. A heartbeat leaves no row in the journal, for what it says (that a node
is watched, and what its sniffer has lost) is said again by the next; but the first of each start does, so that a mapper
which is killed a moment later knows who watches.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from network_mapper.mapper.decode import ReportError, decode, encode
from network_mapper.mapper.model_metrics import ModelCounters
from network_mapper.mapper.state import seen_by, seen_in
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
        state, accounts = self._state, self._state.accounts
        now = self._clock()
        try:
            report, packed, drops = _read(body, encoding)
        except ReportError:
            accounts.malformed(now)
            raise
        state.hear(report, now)
        seen = seen_in(report)
        if state.coverage.is_counted(report):
            return self._repeated(seen, drops)
        key = (report.node, report.boot, report.sequence)
        waiting = self._under_way.get(key)
        if waiting is not None:
            self._waits_too(waiting, report, seen, drops, now)
            return await asyncio.shield(waiting)
        if not seen and not drops and state.coverage.has_counted(report):
            accounts.report()
            state.coverage.answer(report, now)
            return self._receipt(Receipt("", 0))
        try:
            self._check_capacity()
        except BusyError:
            self._comes_again(report)
            raise
        return await self._journal(key, report, packed, drops, seen)

    def _waits_too(self, waiting: asyncio.Future[Receipt], report: Report, seen: int, drops: Tally, now: int) -> None:
        """Hold a report that came while the same one is on its way to the disk: what becomes of that becomes of it."""
        accounts, held = self._state.accounts, seen + sum(drops.values())

        def decided(first: asyncio.Future[Receipt]) -> None:
            accounts.leave(held)
            error = first.exception()
            if error is None:
                self._repeated(seen, drops)
            elif isinstance(error, BusyError):
                self._comes_again(report)
            else:
                accounts.malformed(now)

        accounts.enter(held)
        waiting.add_done_callback(decided)

    def _comes_again(self, report: Report) -> None:
        """Count a report that is not taken; of a sender that cannot come again that is counted when it is given up."""
        if report.node != LEGACY_NODE:
            self._state.accounts.report(Drop.REPORT_ASKED_AGAIN)

    def _repeated(self, seen: int, drops: Tally) -> Receipt:
        accounts = self._state.accounts
        accounts.report(Drop.REPORT_REPEATED)
        accounts.repeated(seen + sum(drops.values()))
        return self._receipt(Receipt("", 0, repeated=True))

    async def take(self, clients: list[Client], base: int, drops: Tally) -> None:
        """Take in rows of a sender that has no report of its own to number, and that may not come again.

        Args:
            clients: The rows.
            base: Milliseconds since the epoch that their times are relative to.
            drops: What was lost in decoding them, in observations.

        Raises:
            ReportError: They cannot be applied.
            BusyError: They could not be made durable for as long as the sender is held.
        """
        seen = sum(seen_by(client) for client in clients)
        if not seen and not drops:
            self._state.accounts.report()
            return
        if self._held >= _MOST_HELD:
            self._held_too_long(clients, seen, drops)
            raise BusyError("as many reports as allowed are waiting")
        self._held += 1
        try:
            await self._hold(clients, base, drops, seen)
        finally:
            self._held -= 1

    def _held_too_long(self, clients: list[Client], seen: int, drops: Tally) -> None:
        """Count what a sender brought that does not come again."""
        accounts = self._state.accounts
        accounts.report(Drop.REPORT_HELD_TOO_LONG)
        accounts.lost_with(Drop.HELD_TOO_LONG, seen + sum(drops.values()), self._clock())
        self.counters.dropped(clients)

    async def _hold(self, clients: list[Client], base: int, drops: Tally, seen: int) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._check_capacity()
                self._sequence += 1
                key = (LEGACY_NODE, self._state.instance, self._sequence)
                lost = {reason.value: count for reason, count in drops.items()}  # the journal has nothing else of it
                report = Report(*key, base, clients=clients, drops=lost)
                await self._journal(key, report, encode(report), drops, seen)
            except BusyError:
                if time.monotonic() + _PAUSE > deadline:
                    self._held_too_long(clients, seen, drops)
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
        self, key: tuple[str, str, int], report: Report, packed: bytes, drops: Tally, seen: int
    ) -> Receipt:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        now = self._clock()
        accounts, held = self._state.accounts, seen + sum(drops.values())

        def durable(result: int | Exception) -> None:
            del self._under_way[key]
            accounts.leave(held)
            if isinstance(result, Exception):
                self._comes_again(report)
                future.set_exception(BusyError(str(result)))
                future.exception()  # whoever asked may have gone; that is no error of ours
                return
            self._state.journaled = result
            try:
                receipt = self._state.apply(report, now, seen, drops)
            except Exception as error:  # noqa: BLE001  whatever it is, the mapper lives on
                # A fault of ours. Sent again it would fail again, so it is refused, and the next one is taken.
                _log.exception("a report could not be applied", extra={"node": report.node})
                accounts.malformed(now)
                future.set_exception(ReportError(f"it cannot be applied: {error}"))
                future.exception()
                return
            future.set_result(self._receipt(receipt))

        try:
            self._state.keep(self._writer, now)
            self._writer.append(now, packed, durable)
        except StoreUnavailableError as error:
            self._comes_again(report)
            raise BusyError(str(error)) from None
        accounts.enter(held)
        self._under_way[key] = future
        return await asyncio.shield(future)

    def _receipt(self, receipt: Receipt) -> Receipt:
        state = self._state
        receipt.store, receipt.epoch, receipt.now = state.store, state.epoch, self._clock()
        receipt.instance = state.instance
        return receipt


def _read(body: bytes, encoding: str) -> tuple[Report, bytes, Tally]:
    """Decode what comes through the report door, where nobody can be of the other one.

    Raises:
        ReportError: It cannot be read.
    """
    found = decode(body, encoding)
    if found[0].node == LEGACY_NODE:
        raise ReportError(f"no node can be called {LEGACY_NODE}")
    return found
