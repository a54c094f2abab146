"""The tables, and opening them: ours or a new file, never somebody else's.

Counts live in buckets of a minute; minutes that are older than two hours become part of their hour. A bucket holds
differences, so buckets can be added up in any order; an edge's row holds its totals, so that a start need not add them.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import uuid
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from network_mapper.model import Edge, Peer, ServiceRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_APPLICATION = 0x6E6D6170  # "nmap" in the file's header, so that `file` and we can tell whose it is
_SCHEMA = 3

MINUTE = 60_000
HOUR = 60 * MINUTE
NEVER = 2**62
"""Later than any time: the first sighting of an edge that has none."""

COUNTS = (
    "connections",
    "attempts",
    "lookups",
    "sockets",
    "first_seen",
    "last_seen",
    "requests",
    "bytes",
    "flows",
)
"""What is kept of an edge, for ever and by the minute, in the order of `Edge`'s fields."""
_COUNTERS = ", ".join(COUNTS)
_COUNTER_COLUMNS = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNTS)
_BUCKET_COLUMNS = f"start INTEGER NOT NULL, edge INTEGER NOT NULL, {_COUNTER_COLUMNS}, PRIMARY KEY (start, edge)"
_DETAILS = """
CREATE TABLE details (
    edge INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (edge, name, value)
) WITHOUT ROWID
"""
_WAITING = "CREATE TABLE waiting (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL)"
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE edges (
    id INTEGER PRIMARY KEY,
    client TEXT NOT NULL, server TEXT NOT NULL, service TEXT, port INTEGER NOT NULL, protocol TEXT NOT NULL,
    {_COUNTER_COLUMNS}
);
CREATE TABLE minutes ({_BUCKET_COLUMNS}) WITHOUT ROWID;
CREATE TABLE hours ({_BUCKET_COLUMNS}) WITHOUT ROWID;
CREATE TABLE samples (
    edge INTEGER NOT NULL, seen INTEGER NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL,
    client TEXT NOT NULL, server TEXT NOT NULL, port INTEGER NOT NULL, answered_by TEXT NOT NULL,
    PRIMARY KEY (edge, client, server, answered_by)
) WITHOUT ROWID;
CREATE TABLE sequences (
    node TEXT NOT NULL, boot TEXT NOT NULL, sequence INTEGER NOT NULL, heard INTEGER NOT NULL,
    PRIMARY KEY (node, boot)
) WITHOUT ROWID;
CREATE TABLE journal (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL);
{_DETAILS.strip()};
{_WAITING};
"""

_UPGRADES = {
    1: [
        *(
            f"ALTER TABLE {table} ADD COLUMN {counter} INTEGER NOT NULL DEFAULT 0"
            for table in ("edges", "minutes", "hours")
            for counter in ("requests", "bytes", "flows")
        ),
        _DETAILS,
    ],
    2: [_WAITING],
}
"""What makes a schema the next one."""

_NOT_OURS = "is not a map of network-mapper; give another path with --store"


class StoreError(Exception):
    """The file cannot be used as a map; the message says why and what to do."""


class Sequence(NamedTuple):
    """The last report of one sniffer start whose effect is in the map."""

    node: str
    boot: str
    sequence: int
    heard: int


class StoredEdge(NamedTuple):
    """An edge with the number that its buckets refer to."""

    number: int
    edge: Edge


_peer = msgspec.json.Decoder(Peer)
_service = msgspec.json.Decoder(ServiceRef)


def encode_peer(peer: Peer) -> str:
    """Write a peer as the store keeps it."""
    return msgspec.json.encode(peer).decode()


class Database:
    """One connection to the map's file. Each thread that needs one opens its own.

    Args:
        path: File; made when missing.
        sync: `full` survives power loss after each commit, `normal` only a crash of the process.
        max_bytes: The file is not allowed to grow beyond this; 0 means no bound.
        timeout: Seconds to wait for another process that is writing.

    Raises:
        StoreError: Not ours, from a newer version, unreadable, or not writable.
    """

    def __init__(self, path: str, *, sync: str = "full", max_bytes: int = 0, timeout: float = 5.0) -> None:
        self.path = path
        try:
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=timeout)
            self._prepare(sync)
        except sqlite3.DatabaseError as error:
            raise StoreError(self.explain(error)) from None
        if max_bytes:
            page = self.connection.execute("PRAGMA page_size").fetchone()[0]
            self.connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page)}")

    def explain(self, error: Exception) -> str:
        """What an error of SQLite means for whoever runs this, and what to do."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return f"{self.path} {_NOT_OURS}"
        if code == sqlite3.SQLITE_READONLY:
            return f"{self.path} is read-only: give a writable path with --store"
        if code == sqlite3.SQLITE_CANTOPEN:
            who = f" by user {os.getuid()}" if hasattr(os, "getuid") else ""  # volumes of some kinds heed no fsGroup
            return f"{self.path} cannot be opened: the folder must exist and be writable{who} (--store)"
        if code == sqlite3.SQLITE_FULL:
            return f"{self.path} cannot grow: the disk is full, or the file as large as it may be (--store-max-bytes)"
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"{self.path} is in use by another mapper: each mapper needs its own --store"
        return f"{self.path} cannot be used: {error}"

    def _prepare(self, sync: str) -> None:
        run = self.connection.execute
        application = run("PRAGMA application_id").fetchone()[0]
        schema = run("PRAGMA user_version").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != _APPLICATION:
            raise StoreError(f"{self.path} {_NOT_OURS}")
        if schema > _SCHEMA:
            raise StoreError(f"{self.path} was written by a newer version (schema {schema}); this one knows {_SCHEMA}")
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
        run("BEGIN IMMEDIATE")
        try:
            if not tables:
                for statement in _TABLES.split(";\n"):
                    run(statement)
                run(f"PRAGMA application_id = {_APPLICATION}")
                run(f"PRAGMA user_version = {_SCHEMA}")
                meta = {"store": uuid.uuid4().hex, "epoch": "1", "reset_at": "0"}
                self.connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            else:
                for version in range(schema, _SCHEMA):
                    for statement in _UPGRADES[version]:
                        run(statement)
                run(f"PRAGMA user_version = {_SCHEMA}")
            # A write that changes nothing: a file that cannot be written is found now and not at the first report.
            run("UPDATE meta SET value = value WHERE key = 'store'")
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def meta(self) -> dict[str, str]:
        """`store` (identity), `epoch`, `reset_at`, and `since` (`Checkpoint.since`) once that is known."""
        return dict(self.connection.execute("SELECT key, value FROM meta"))

    def edges(self) -> Iterator[StoredEdge]:
        """Every edge with its totals."""
        rows = self.connection.execute(f"SELECT id, client, server, service, port, protocol, {_COUNTERS} FROM edges")
        for number, client, server, service, *rest in rows:
            ref = _service.decode(service) if service else None
            yield StoredEdge(number, Edge(_peer.decode(client), _peer.decode(server), ref, *rest))

    def details(self) -> dict[int, dict[str, list[str]]]:
        """What was asked for over each edge that has such details, as `Edge.details`."""
        found: dict[int, dict[str, list[str]]] = {}
        for edge, name, value in self.connection.execute("SELECT edge, name, value FROM details ORDER BY name, value"):
            found.setdefault(edge, {}).setdefault(name, []).extend(filter(None, (value,)))
        return found

    def sequences(self) -> list[Sequence]:
        """What has been counted of every sniffer start."""
        return [Sequence(*row) for row in self.connection.execute("SELECT node, boot, sequence, heard FROM sequences")]

    def samples(self) -> dict[int, int]:
        """How many samples each edge has."""
        return dict(self.connection.execute("SELECT edge, count(*) FROM samples GROUP BY edge"))

    def journal(self) -> Iterator[tuple[int, int, bytes]]:
        """Reports that are durable and not yet in the tables: number, time of arrival, bytes."""
        return iter(self.connection.execute("SELECT id, received, body FROM journal ORDER BY id"))

    def waiting(self) -> Iterator[tuple[int, int, bytes]]:
        """Rows that waited at the last checkpoint, as reports: number, time of arrival, bytes."""
        return iter(self.connection.execute("SELECT id, received, body FROM waiting ORDER BY id"))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def keep_temporary_files_beside(path: str) -> None:
    """Let SQLite put what does not fit into memory beside a map, for its folder may be all that can be written.

    Call it before any other thread uses SQLite: it holds for the process. Where it cannot be set, SQLite goes on to
    look in /tmp and the like.
    """
    folder = str(pathlib.Path(path).absolute().parent).replace("'", "''")
    with contextlib.closing(sqlite3.connect(":memory:")) as connection, contextlib.suppress(sqlite3.Error):
        connection.execute(f"PRAGMA temp_store_directory = '{folder}'")


def counts_between(path: str, since: int, until: int) -> dict[int, tuple[int, ...]]:
    """Read what lies in the buckets that begin in `[since, until)`, beside the writer.

    Returns:
        By edge number: the `COUNTS`, in their order.
    """
    rows = f"SELECT edge, {_COUNTERS} FROM {{}} WHERE start >= ?1 AND start < ?2"
    query = f"""
        SELECT edge, {", ".join(f"{_SUMMED.get(name, 'sum')}({name})" for name in COUNTS)}
        FROM ({rows.format("minutes")} UNION ALL {rows.format("hours")}) GROUP BY edge
    """
    connection = sqlite3.connect(f"{pathlib.Path(path).absolute().as_uri()}?mode=ro", uri=True)
    try:
        return {row[0]: row[1:] for row in connection.execute(query, (since, until))}
    finally:
        connection.close()


_SUMMED = {"first_seen": "min", "last_seen": "max"}


def adding(value: Callable[[str], str]) -> str:
    """SQL that adds to a row's `COUNTS`; `value` gives what is added to a column."""
    parts = []
    for name in COUNTS:
        function = _SUMMED.get(name)
        total = f"{function}({name}, {value(name)})" if function else f"{name} + {value(name)}"
        parts.append(f"{name} = {total}")
    return ", ".join(parts)
