"""Everything the mapper knows, in one place with one owner: the event loop's thread.

It is read from the store at start, where the journal is applied again, and written back by checkpoints: new edges and
bucket differences together with the sequences that are in them, in one transaction, so that a crash at any moment
neither loses an answered report nor counts one twice.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from network_mapper.mapper.coverage import Coverage
from network_mapper.mapper.decode import ReportError, decode, encode
from network_mapper.mapper.graph import Graph
from network_mapper.mapper.merge import Merger, Rules
from network_mapper.mapper.senders import Senders
from network_mapper.mapper.waiting import Waiting
from network_mapper.model import Tally
from network_mapper.store import Checkpoint, Database, StoreUnavailableError
from network_mapper.wire.report import LEGACY_NODE, MSGPACK, Receipt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.index import Index
    from network_mapper.store import Writer
    from network_mapper.wire.report import Report

_log = logging.getLogger(__name__)


class Emptied(NamedTuple):
    """What a reset removed.

    Attributes:
        edges: How many.
        since: Since when the map had been watching, milliseconds since the epoch; 0 when nobody watched.
        epoch: Of the map that begins.
        at: When that is.
    """

    edges: int
    since: int
    epoch: int
    at: int


class State:
    """The map, the sniffers, and what was counted on the way.

    Attributes:
        index: Who has which address.
        graph: The edges.
        coverage: The sniffers.
        senders: Who reports in GraphQL.
        drops: What did not reach the map, since the mapper started.
        reports: Reports received, since the mapper started.
        rows: Rows received, since the mapper started.
        merged: Rows that went into the map, since the mapper started.
        store: Identity of the map.
        epoch: Counts its resets.
        reset_at: When it was last emptied, milliseconds since the epoch.
        journaled: Number of the newest journal row that is applied.
    """

    def __init__(self, index: Index, max_edges: int, rules: Rules | None = None) -> None:
        self.index = index
        self.graph = Graph(max_edges)
        self.coverage = Coverage()
        self.senders = Senders()
        self._merger = Merger(index, self.graph, self.coverage, rules)
        self._writing = asyncio.Lock()
        self._reset: tuple[int, int] | None = None
        self.drops = Tally()
        self.reports = 0
        self.rows = 0
        self.merged = 0
        self.store = ""
        self.epoch = 0
        self.reset_at = 0
        self.journaled = 0

    def restore(self, database: Database, now: int) -> None:
        """Read the map from the store, without the reports in its journal."""
        meta = database.meta()
        self.store, self.epoch = meta["store"], int(meta["epoch"])
        self.reset_at = self._merger.reset_at = int(meta["reset_at"])
        samples = database.samples()
        details = database.details()
        for number, edge in database.edges():
            edge.details = details.get(number, {})
            self.graph.restore(number, edge, samples.get(number, 0))
        self.coverage.restore(database.sequences(), now)
        self.coverage.restore_since(int(meta.get("since", "0")))

    def replay(self, database: Database, now: int) -> int:
        """Apply the journal's reports again; returns how many.

        The cluster must be known by then, and no report have been taken yet.
        """
        for _, since, report in _decoded(database.waiting()):
            self.rows += sum(client.rows() for client in report.clients)
            self._again(Waiting(since, report), now, since)
        journal = _decoded(database.journal())
        for _, received, report in journal:
            if report.node != LEGACY_NODE:
                self.coverage.presume(report.node, max(now, received))
        applied = 0
        for number, received, report in journal:
            self.journaled = number
            if self.coverage.is_counted(report):
                continue
            try:
                self.apply(report, received, sum(client.rows() for client in report.clients), Tally())
            except Exception:  # noqa: BLE001  whatever it is, the mapper starts
                _log.exception("a journaled report could not be applied", extra={"number": number})
            else:
                applied += 1
        return applied

    def apply(self, report: Report, now: int, rows: int, drops: Tally) -> Receipt:
        """Merge a report that is durable; `drops` is what was lost in decoding it, in rows."""
        lost = dict(drops)
        taken = rows
        waited = self.waiting
        for reason, count in self._merger.apply(report, now).items():
            lost[reason] = lost.get(reason, 0) + count
            taken -= count if reason.unit == "rows" else 0
        self.coverage.count(report, now)
        self.rows += rows + sum(drops.values())
        self.merged += taken - (self.waiting - waited)
        for reason, count in lost.items():
            self.drops.add(reason, count)
        return Receipt("", 0, rows=taken, dropped={reason.value: count for reason, count in lost.items()})

    @property
    def waiting(self) -> int:
        """Rows that wait for their clients to be told of (`waiting`)."""
        return self._merger.room.rows

    @property
    def pending(self) -> int:
        """About how many rows the next checkpoint would write; that nodes spoke is not among them."""
        room = self._merger.room
        return self.graph.pending + (room.rows if room.changed else 0)

    def retry(self, now: int) -> None:
        """Merge the rows whose clients are told of by now."""
        for waiting in self._merger.room.take_due():
            self._again(waiting, now, waiting.since)

    def give_up(self, now: int) -> None:
        """Drop the rows that have waited for too long."""
        for waiting in self._merger.room.take_overdue(now):
            self._again(waiting, now, -1)

    def _again(self, waiting: Waiting, now: int, since: int) -> None:
        before = self.waiting
        dropped = self._merger.apply(waiting.report, now, since)
        lost = sum(dropped.values())  # rows all: what watchers and meters say never waits
        self.merged += waiting.client.rows() - lost - (self.waiting - before)
        for reason, count in dropped.items():
            self.drops.add(reason, count)

    async def checkpoint(self, writer: Writer, now: int) -> None:
        """Write what changed.

        Raises:
            StoreUnavailableError: It could not be written; it is kept for the next time.
        """
        async with self._writing:
            changes = self.graph.take_changes()
            sequences = self.coverage.take_sequences()
            reset, self._reset = self._reset, None
            room = self._merger.room
            waiting = _encoded(room.everything()) if room.changed else None
            if not (changes.edges or changes.buckets or sequences or reset or waiting is not None):
                return
            point = Checkpoint(
                now=now,
                journal=self.journaled,
                edges=changes.edges,
                buckets=changes.buckets,
                samples=changes.samples,
                details=changes.details,
                sequences=sequences,
                reset=reset,
                waiting=waiting,
                since=self.coverage.since(self.reset_at),
            )
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def finished(result: int | Exception) -> None:
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(None)

            try:
                writer.write(point, finished)
                await asyncio.shield(done)
            except StoreUnavailableError:
                if self._reset is None:  # emptied again meanwhile: then nothing of this is wanted any more
                    self.graph.give_back(changes)
                    self._reset = reset
                self.coverage.give_back(sequences)
                room.changed = room.changed or waiting is not None
                raise

    async def reset(self, writer: Writer, now: int) -> Emptied:
        """Empty the map, durably.

        Raises:
            StoreUnavailableError: The map is empty in memory and will be on disk as soon as that can be written.
        """
        since = self.coverage.since(self.reset_at)
        emptied = Emptied(self.graph.clear(), since, self.epoch + 1, now)
        self._merger.forget_all()
        self.epoch = emptied.epoch
        self.reset_at = self._merger.reset_at = now
        self._reset = (self.epoch, now)
        await self.checkpoint(writer, now)
        return emptied


def _decoded(rows: Iterable[tuple[int, int, bytes]]) -> list[tuple[int, int, Report]]:
    """Reports that the store has kept: number, time of arrival, report."""
    found = []
    for number, received, body in rows:
        try:
            found.append((number, received, decode(body, MSGPACK)[0]))
        except ReportError as error:
            _log.error("a stored report cannot be read", extra={"number": number, "reason": str(error)})
    return found


def _encoded(waiting: Iterable[Waiting]) -> list[tuple[int, bytes]]:
    return [(one.since, encode(one.report)) for one in waiting]
