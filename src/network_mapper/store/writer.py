"""The thread that owns the file's write side.

It takes jobs from a bounded queue and commits as many as are waiting in one transaction, so that the price of making
reports durable is shared by all that arrive together. A job that cannot be committed fails as a whole and says so to
whoever waits for it; the next one is tried afresh, since a full disk may have been emptied. Where none comes, because
a mapper that is not ready is sent nothing, the thread tries by itself.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from network_mapper.store.database import COUNTS, HOUR, MINUTE, NEVER, Database, adding, encode_peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.model import Edge
    from network_mapper.store.database import Sequence

_log = logging.getLogger(__name__)

_QUEUE = 256
_GROUP = 32
_TRY_AGAIN = 1.0
"""Seconds between two trials whether a store that failed can be written again."""
_TRIAL = 256 * 1024
"""Bytes of room that there must be: as much as a large report takes."""
_SILENCE = 60.0
"""Seconds between two lines of the log about it, however often it comes and goes."""
_SETTLED_AFTER = 2 * HOUR
_SEQUENCES_KEPT = 20_000

Bucket = tuple[int, ...]
"""start, edge, and the `COUNTS`."""


class StoreUnavailableError(Exception):
    """Nothing can be made durable right now; the message says why."""


class Sample(NamedTuple):
    """One concrete sighting behind an edge, as it was resolved."""

    edge: int
    seen: int
    node: str
    kind: str
    client: str
    server: str
    port: int
    answered_by: str


class Checkpoint(msgspec.Struct):
    """Everything that changed since the last one.

    Attributes:
        now: Milliseconds since the epoch.
        journal: Journal rows up to this number are contained.
        edges: New edges by number; only what identifies them is written, their counts come from the buckets.
        buckets: Differences to add, to the edges' totals as well.
        samples: New samples.
        details: New details: edge, name and value.
        sequences: Of every sniffer start that reported since.
        reset: Set when the map was emptied: epoch and time. What is in this checkpoint came after it.
        waiting: All rows that wait, as time of arrival and bytes of a report; None where they are the same as before.
        since: Since when the map has what its sniffers saw, milliseconds since the epoch; 0 when nobody has watched.
    """

    now: int
    journal: int = 0
    edges: list[tuple[int, Edge]] = []
    buckets: list[Bucket] = []
    samples: list[Sample] = []
    details: list[tuple[int, str, str]] = []
    sequences: list[Sequence] = []
    reset: tuple[int, int] | None = None
    waiting: list[tuple[int, bytes]] | None = None
    since: int = 0


class _Append(NamedTuple):
    received: int
    body: bytes
    done: Callable[[int | Exception], None]


class _Write(NamedTuple):
    checkpoint: Checkpoint
    done: Callable[[int | Exception], None]


class Writer:
    """Writes for the one event loop that owns the graph.

    Args:
        path: The map's file, already prepared by `Database`.
        sync: As for `Database`.
        max_bytes: As for `Database`.
        deliver: Calls back in the owner's thread; takes what to call and its arguments.
    """

    def __init__(self, path: str, *, sync: str, max_bytes: int, deliver: Callable[..., object]) -> None:
        self._file = (path, sync, max_bytes)
        self._deliver = deliver
        self._jobs: queue.Queue[_Append | _Write | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._failed_at = 0.0
        self._told_at = -math.inf
        self.failure = ""
        """Why the last transaction failed; empty when it did not."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def append(self, received: int, body: bytes, done: Callable[[int | Exception], None]) -> None:
        """Make a report durable; `done` gets its journal number or a `StoreUnavailableError`, in the owner's thread.

        Raises:
            StoreUnavailableError: Too many reports wait already.
        """
        self._put(_Append(received, body, done))

    def write(self, checkpoint: Checkpoint, done: Callable[[int | Exception], None]) -> None:
        """Write a checkpoint in one transaction; `done` as for `append`.

        Raises:
            StoreUnavailableError: Too much waits already.
        """
        self._put(_Write(checkpoint, done))

    def close(self, timeout: float) -> bool:
        """Finish what is queued and stop; False when that takes longer than `timeout` seconds."""
        try:
            self._jobs.put(None, timeout=timeout)
        except queue.Full:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _put(self, job: _Append | _Write) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise StoreUnavailableError("the disk does not keep up with the reports") from None

    def _run(self) -> None:
        path, sync, max_bytes = self._file
        database = Database(path, sync=sync, max_bytes=max_bytes)
        try:
            while (job := self._next(database)) is not None:
                group = [job]
                while len(group) < _GROUP:
                    try:
                        more = self._jobs.get_nowait()
                    except queue.Empty:
                        break
                    if more is None:
                        self._jobs.put(None)
                        break
                    group.append(more)
                self._commit(database, group)
        finally:
            database.close()

    def _next(self, database: Database) -> _Append | _Write | None:
        """Wait for a job, and meanwhile try whether a store that failed can be written again."""
        while self.failure:
            with contextlib.suppress(queue.Empty):
                return self._jobs.get(timeout=_TRY_AGAIN)
            with contextlib.suppress(sqlite3.Error):
                _try_to_write(database.connection)
                self.failure = ""
                if self._told_at == self._failed_at:
                    _log.info("the store can be written again")
        return self._jobs.get()

    def _commit(self, database: Database, group: list[_Append | _Write]) -> None:
        connection = database.connection
        results: list[int | Exception]
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [self._execute(connection, job) for job in group]
            connection.execute("COMMIT")
            self.failure = ""
        except (sqlite3.Error, OverflowError, ValueError) as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            reason = database.explain(error)
            if not self.failure:
                self._failed_at = time.monotonic()
                if self._failed_at >= self._told_at + _SILENCE:
                    self._told_at = self._failed_at
                    _log.error("nothing can be stored", extra={"reason": reason})
            self.failure = reason
            results = [StoreUnavailableError(f"the store cannot be written: {reason}")] * len(group)
        self._deliver(_finish, group, results)

    def _execute(self, connection: sqlite3.Connection, job: _Append | _Write) -> int:
        if isinstance(job, _Append):
            cursor = connection.execute("INSERT INTO journal (received, body) VALUES (?, ?)", (job.received, job.body))
            return cursor.lastrowid or 0
        _write(connection, job.checkpoint)
        return 0


def _try_to_write(connection: sqlite3.Connection) -> None:
    """Write as much as a report takes, and leave nothing of it.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        trial = connection.execute("INSERT INTO journal (received, body) VALUES (0, zeroblob(?))", (_TRIAL,))
        connection.execute("DELETE FROM journal WHERE id = ?", (trial.lastrowid,))
        connection.execute("UPDATE meta SET value = value WHERE key = 'store'")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _finish(group: list[_Append | _Write], results: list[int | Exception]) -> None:
    for job, result in zip(group, results, strict=True):
        job.done(result)


def _edge_row(number: int, edge: Edge) -> tuple[int, str, str, str | None, int, str]:
    service = msgspec.json.encode(edge.service).decode() if edge.service else None
    return number, encode_peer(edge.client), encode_peer(edge.server), service, edge.port, edge.protocol


_ADD_BUCKET = f"ON CONFLICT (start, edge) DO UPDATE SET {adding('excluded.{}'.format)}"
_ADD_TOTAL = adding(lambda name: f"?{COUNTS.index(name) + 3}")
_MARKS = ", ".join("?" * len(COUNTS))
_NOTHING = ", ".join(str(NEVER) if name == "first_seen" else "0" for name in COUNTS)


def _write(connection: sqlite3.Connection, point: Checkpoint) -> None:
    many = connection.executemany
    if point.reset:
        epoch, at = point.reset
        for table in ("edges", "minutes", "hours", "samples", "details"):
            connection.execute(f"DELETE FROM {table}")
        many("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("epoch", str(epoch)), ("reset_at", str(at))])
    many(
        f"INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?, {_NOTHING})",
        (_edge_row(number, edge) for number, edge in point.edges),
    )
    many(f"UPDATE edges SET {_ADD_TOTAL} WHERE id = ?2", point.buckets)
    many(f"INSERT INTO minutes VALUES (?, ?, {_MARKS}) {_ADD_BUCKET}", point.buckets)
    many("INSERT OR IGNORE INTO details VALUES (?, ?, ?)", point.details)
    many(f"INSERT OR IGNORE INTO samples VALUES ({', '.join('?' * 8)})", point.samples)
    many("INSERT OR REPLACE INTO sequences VALUES (?, ?, ?, ?)", point.sequences)
    if point.waiting is not None:
        connection.execute("DELETE FROM waiting")
        many("INSERT INTO waiting (received, body) VALUES (?, ?)", point.waiting)
    if point.since:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('since', ?)", (str(point.since),))
    connection.execute("DELETE FROM journal WHERE id <= ?", (point.journal,))
    _settle(connection, point.now)


def _settle(connection: sqlite3.Connection, now: int) -> None:
    """Move the oldest minute that is two hours old into its hour; one a checkpoint keeps each transaction short."""
    limit = (now - _SETTLED_AFTER) // HOUR * HOUR
    oldest = connection.execute("SELECT min(start) FROM minutes WHERE start < ?", (limit,)).fetchone()[0]
    if oldest is not None:
        connection.execute(
            f"""INSERT INTO hours SELECT start - start % {HOUR}, edge, {", ".join(COUNTS)}
            FROM minutes WHERE start = ? {_ADD_BUCKET}""",
            (oldest,),
        )
        connection.execute("DELETE FROM minutes WHERE start >= ? AND start < ?", (oldest, oldest + MINUTE))
    connection.execute(
        """DELETE FROM sequences WHERE heard < (SELECT heard FROM sequences ORDER BY heard DESC LIMIT 1 OFFSET ?)""",
        (_SEQUENCES_KEPT,),
    )
