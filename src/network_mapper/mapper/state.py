"""Everything the mapper knows, in one place with one owner: the event loop's thread.

It is read from the store at start, where the journal is applied again, and written back by checkpoints: new edges and
bucket differences together with the sequences that are in them and the accounts of them, in one transaction, so that a
crash at any moment neither loses an answered report nor counts one twice.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, NamedTuple

from network_mapper.mapper.accounting import Accounts
from network_mapper.mapper.blind import BlindWindows
from network_mapper.mapper.coverage import Coverage
from network_mapper.mapper.decode import ReportError, decode, encode
from network_mapper.mapper.graph import Graph
from network_mapper.mapper.grouping import GROUP_AFTER
from network_mapper.mapper.merge import Merger, Rules
from network_mapper.mapper.outcome import Outcome, observations
from network_mapper.mapper.preview import preview
from network_mapper.mapper.retention import Retention
from network_mapper.mapper.senders import Senders
from network_mapper.mapper.waiting import MOST, PATIENCE, Waiting
from network_mapper.model import Drop, Tally
from network_mapper.store import Checkpoint, Database, StoreUnavailableError
from network_mapper.wire.report import JSON, LEGACY_NODE, MSGPACK, ROWS, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from network_mapper.cluster.index import Index
    from network_mapper.mapper.keeper import Keeper
    from network_mapper.model import Edge
    from network_mapper.store import Writer
    from network_mapper.store.objects import ObjectRow
    from network_mapper.wire.api import BlindWindow, HopRow
    from network_mapper.wire.report import Client, Report, Row

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
        retention: What leaves by age.
        blind: When nobody watched.
        coverage: The sniffers.
        senders: Who reports in GraphQL.
        accounts: What came in and what became of it, since the map began.
        store: Identity of the map.
        epoch: Counts its resets.
        reset_at: When it was last emptied, milliseconds since the epoch.
        journaled: Number of the newest journal row that is applied and not yet part of a checkpoint; 0 when none is.
        instance: Names this process.
        keeper: Keeps what the cluster's API tells; None where there is none.
        can_watch: Whether a sniffer can run on a node at all.
    """

    def __init__(
        self,
        index: Index,
        max_edges: int,
        rules: Rules | None = None,
        *,
        group_after: int = GROUP_AFTER,
        retention: int = 0,
        patience: int = PATIENCE,
        waiting_most: int = MOST,
    ) -> None:
        self.index = index
        self.graph = Graph(max_edges, group_after)
        self.retention = Retention(retention)
        self.blind = BlindWindows()
        self.coverage = Coverage(self.blind)
        self.senders = Senders()
        self.accounts = Accounts()
        self.keeper: Keeper | None = None
        self.can_watch: Callable[[str], bool] = lambda _: True
        self._merger = Merger(index, self.graph, self.coverage, rules, patience=patience, waiting_most=waiting_most)
        self._writing = asyncio.Lock()
        self._checkpoints: set[asyncio.Task[None]] = set()
        self._reset: tuple[int, int] | None = None
        self._started_at = 0
        self.store = ""
        self.epoch = 0
        self.reset_at = 0
        self.journaled = 0
        self.instance = uuid.uuid4().hex

    # Restarts

    def restore(self, database: Database, now: int) -> None:
        """Read the map from the store, without the reports in its journal."""
        meta = database.meta()
        self.store, self.epoch = meta["store"], int(meta["epoch"])
        self._started_at = now
        self.reset_at = self._merger.reset_at = int(meta["reset_at"])
        samples = database.samples()
        details = database.details()
        counted = 0
        for number, edge in database.edges():
            edge.details = details.get(number, {})
            self.graph.restore(number, edge, samples.get(number, 0))
            counted += edge.connections + edge.attempts + edge.lookups + edge.sockets + edge.requests + edge.flows
        self.graph.go_on_after(int(meta.get("edges", "0")), int(meta.get("number", "0")))
        self.retention.restore(meta)
        self.retention.let_go(self.graph, now, most=len(self.graph))
        ledger = database.ledger()
        self.accounts.restore(ledger)
        if not ledger:
            self.accounts.restore_mapped(counted)
        self.coverage.restore(database.sequences(), database.losses())
        self.coverage.restore_since(int(meta.get("since", "0")))
        self.blind.restore(database.blind(self.reset_at))

    def replay(self, database: Database, now: int) -> int:
        """Apply the journal's reports again; returns how many.

        The cluster must be known by then, and no report have been taken yet.
        """
        journal = _decoded(database.journal())
        for _, received, report, _ in journal:
            self._lost(self.coverage.recall(report, received), received)
        self.coverage.begin(now)
        for _, since, report, _ in _decoded(database.waiting()):
            self._again(Waiting(since, report), now, since)
            self._merger.room.changed = True  # it waits in the store, whatever became of it here
        applied = 0
        for number, received, report, drops in journal:
            self.journaled = number
            if self.coverage.is_counted(report):
                continue
            try:
                self.apply(report, received, seen_in(report), drops)
            except Exception:  # noqa: BLE001  whatever it is, the mapper starts
                _log.exception("a journaled report could not be applied", extra={"number": number})
            else:
                applied += 1
        return applied

    # Reports

    def hear(self, report: Report, now: int) -> None:
        """Note what a report says of its sender and of its node, whether or not its rows can be taken."""
        self._merger.hear(report)
        self._lost(self.coverage.hear(report, now), now)

    def apply(self, report: Report, now: int, seen: int, drops: Tally) -> Receipt:
        """Merge a report that is durable.

        Args:
            report: The report.
            now: When it came, milliseconds since the epoch.
            seen: How many observations its rows stand for.
            drops: What was lost in decoding it, in observations.
        """
        outcome = self._merger.take(report, now, seen)
        self.accounts.report()
        self.accounts.taken(seen, drops, outcome, now)
        self._lost(self.coverage.count(report, now), now)
        dropped = {reason.value: count for reason, count in drops.items()}
        for reason, count in outcome.drops.items():
            dropped[reason.value] = dropped.get(reason.value, 0) + count
        return Receipt("", 0, rows=outcome.merged + outcome.held, dropped=dropped)

    def _lost(self, losses: Tally, now: int) -> None:
        for reason, count in losses.items():
            self.accounts.lost_before(reason, count, now)

    def retry(self, now: int) -> None:
        """Merge what has rested, and the rows whose ends are told of by now."""
        for waiting in self._merger.due(now):
            self._again(waiting, now, waiting.since)

    def give_up(self, now: int) -> None:
        """Drop the rows that have waited for too long."""
        for waiting in self._merger.room.take_overdue(now):
            self._again(waiting, now, -1)

    def _again(self, waiting: Waiting, now: int, since: int) -> None:
        seen = seen_in(waiting.report)
        try:
            outcome = self._merger.apply(waiting.report, now, since)
        except Exception:  # noqa: BLE001  whatever it is, the mapper lives on
            _log.exception("rows that had waited could not be merged", extra={"node": waiting.report.node})
            outcome = Outcome()
            outcome.drop(Drop.ROW_MALFORMED, now, seen)
        self.accounts.retried(seen, outcome)

    # Reading

    def preview(self) -> list[Edge]:
        """New edges that rest yet (`preview`)."""
        return preview(self._merger)

    @property
    def waiting(self) -> int:
        """Observations that wait for their pods to be told of (`waiting`)."""
        return self._merger.room.observations

    def waiting_between(self, since: int, until: int) -> int:
        """Those of them that were made in a time range, milliseconds since the epoch."""
        return sum(
            observations(row)
            for waiting in self._merger.room
            for client in waiting.clients
            for row in _rows(client)
            if since <= waiting.head.base + row.last - self._merger.clocks.ahead(waiting.head.node) < until
        )

    @property
    def began(self) -> int:
        """When the map began, milliseconds since the epoch: as its first sniffer did, or when it was last emptied."""
        return self.coverage.since(self.reset_at) or max(self._started_at, self.reset_at)

    def nodes(self) -> dict[str, int]:
        """The cluster's nodes on which a sniffer can run, and when each came, milliseconds since the epoch."""
        return {node: start for node, start in self.index.node_starts().items() if self.can_watch(node)}

    def look_around(self, now: int, *, api_away_since: int = 0, forbidden: bool = False, late: int = 0) -> None:
        """See who is not watched; call it often.

        Args:
            now: Milliseconds since the epoch.
            api_away_since: Since when the cluster's API cannot be watched; 0 while it can.
            forbidden: Whether a kind of objects may not be read.
            late: Milliseconds by which the cluster may tell late what is the case.
        """
        self._merger.settle = late
        self.blind.look(api_away_since, now, forbidden=forbidden)
        self._merger.room.hold = bool(api_away_since)
        if self.coverage.has_newcomers:
            self.coverage.close_first(self.nodes(), self.senders.watched_nodes(self.index, now), self.began)

    def windows(self, now: int) -> Iterator[BlindWindow]:
        """Every time in which something was not watched; those that last have no end (0)."""
        yield from self.blind.windows()
        watched = self.senders.watched_nodes(self.index, now)
        yield from self.coverage.open_windows(self.nodes(), watched, self.began, now)

    def accounting(self) -> list[HopRow]:
        """The mapper's side of the balance sheet."""
        return self.accounts.rows(self.waiting)

    @property
    def drops(self) -> Tally:
        """What did not reach the map, since it began."""
        return self.accounts.drops

    @property
    def rows(self) -> int:
        """Observations received since the map began."""
        return self.accounts.received

    @property
    def merged(self) -> int:
        """Observations that went into the map, since it began."""
        return self.accounts.mapped

    @property
    def reports(self) -> int:
        """Reports received since the map began."""
        return self.accounts.reports

    # The store

    @property
    def pending(self) -> int:
        """About how many rows the next checkpoint would write; that nodes spoke is not among them."""
        room = self._merger.room
        return self.graph.pending + (room.rows if room.changed else 0)

    def keep(self, writer: Writer, now: int) -> None:
        """Write what the cluster's API has told; what is asked of the writer afterwards is written later."""
        keeper = self.keeper
        while keeper is not None and keeper.pending:
            rows = keeper.take()

            def done(result: int | Exception, rows: list[ObjectRow] = rows) -> None:
                if isinstance(result, Exception):
                    keeper.give_back(rows)

            try:
                writer.keep(rows, done, keeper.forget(now))
            except StoreUnavailableError:
                keeper.give_back(rows)
                return

    async def checkpoint(self, writer: Writer, now: int) -> None:
        """Write what changed.

        Raises:
            StoreUnavailableError: It could not be written; it is kept for the next time.
        """
        # Whoever asked may be cancelled. What was taken out to be written is looked after all the same.
        task = asyncio.create_task(self._checkpoint(writer, now))
        self._checkpoints.add(task)
        task.add_done_callback(self._checkpoints.discard)
        await asyncio.shield(task)

    async def _checkpoint(self, writer: Writer, now: int) -> None:
        async with self._writing:
            if self.retention.let_go(self.graph, now):
                self._merger.forget_all()
                self.blind.forget(self.retention.kept_since)
            room = self._merger.room
            is_changed = room.changed
            waiting = _encoded(room.everything()) if is_changed else None
            changes = self.graph.take_changes()
            self.retention.learn(changes.buckets, now)
            sequences, blind = self.coverage.take_sequences(), self.blind.take()
            books, reset = self.accounts.take(), self._reset
            journaled, self._reset = self.journaled, None
            news = (changes.edges, changes.buckets, changes.gone, books.accounts, sequences, blind, reset, journaled)
            if not any(news) and waiting is None:
                self.accounts.give_back(books)
                return
            point = Checkpoint(
                now=now,
                journal=journaled,
                edges=changes.edges,
                buckets=changes.buckets,
                samples=changes.samples,
                details=changes.details,
                sequences=sequences,
                reset=reset,
                waiting=waiting,
                since=self.coverage.since(self.reset_at),
                ledger=books.ledger,
                accounts=books.accounts,
                blind=blind,
                losses=self.coverage.losses_of(sequences),
                gone=changes.gone,
                kept_since=self.retention.kept_since,
                lag=self.retention.lag,
                number=changes.number,
            )
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def finished(result: int | Exception) -> None:
                if isinstance(result, Exception):
                    done.set_exception(result)
                    return
                self.accounts.written(books)
                if self.journaled == journaled:
                    # No row is left whose number is known, and SQLite numbers those of an empty table from 1 again: a
                    # report that is on its way may get a number that is lower than this one.
                    self.journaled = 0
                done.set_result(None)

            try:
                writer.write(point, finished)
                await done
            except StoreUnavailableError:
                if self._reset is None:  # emptied again meanwhile: then nothing of this is wanted any more
                    self.graph.give_back(changes)
                    self.blind.give_back(blind)
                    self._reset = reset
                self.accounts.give_back(books)
                self.coverage.give_back(sequences)
                room.changed = room.changed or is_changed
                raise

    async def reset(self, writer: Writer, now: int) -> Emptied:
        """Empty the map, durably. What waits goes with it: it was seen before.

        Raises:
            StoreUnavailableError: The map is empty in memory and will be on disk as soon as that can be written.
        """
        since = self.coverage.since(self.reset_at)
        emptied = Emptied(self.graph.clear(), since, self.epoch + 1, now)
        self._merger.forget_all()
        self._merger.room.clear()
        self.retention.clear()
        self.accounts.clear()
        self.blind.clear(now)
        self.epoch = emptied.epoch
        self.reset_at = self._merger.reset_at = now
        self._reset = (self.epoch, now)
        await self.checkpoint(writer, now)
        return emptied


def seen_in(report: Report) -> int:
    """How many observations a report's rows stand for."""
    return sum(seen_by(client) for client in report.clients)


def seen_by(client: Client) -> int:
    """How many observations a client's rows stand for."""
    flows = sum(row.count for rows in (client.connections, client.attempts, client.sockets) for row in rows)
    others = sum(row.count for row in client.lookups) + sum(row.count for row in client.requests)
    return flows + others + sum(observations(row) for row in client.volumes)


def _rows(client: Client) -> Iterator[Row]:
    for name in ROWS:
        yield from getattr(client, name)


def _decoded(rows: Iterable[tuple[int, int, bytes]]) -> list[tuple[int, int, Report, Tally]]:
    """Reports that the store has kept: number, time of arrival, report, and what of it cannot be read."""
    found = []
    for number, received, body in rows:
        try:
            report, _, drops = decode(body, JSON if body.lstrip().startswith(b"{") else MSGPACK)
        except ReportError as error:
            _log.error("a stored report cannot be read", extra={"number": number, "reason": str(error)})
        else:
            if report.node == LEGACY_NODE:
                drops = Tally({reason: report.drops[reason] for reason in Drop if reason in report.drops})
            found.append((number, received, report, drops))
    return found


def _encoded(waiting: Iterable[Waiting]) -> list[tuple[int, bytes]]:
    return [(one.since, encode(one.report)) for one in waiting]
