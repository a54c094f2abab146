"""Opening the map's file, ours or a new one and never somebody else's, and reading what a start needs of it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import uuid
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from network_mapper.model import Edge, Peer, ServiceRef
from network_mapper.store.objects import read_objects
from network_mapper.store.schema import APPLICATION, COUNTS, SCHEMA, TABLES, UPGRADES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.store.objects import ObjectRow

NEVER = 2**62
"""Later than any time: the first sighting of an edge that has none."""

_COUNTERS = ", ".join(COUNTS)

_NOT_OURS = "is not a map of network-mapper; give another path with --store"


class StoreError(Exception):
    """The file cannot be used as a map; the message says why and what to do."""


class Sequence(NamedTuple):
    """The last report of one sniffer start whose effect is in the map.

    `started` and `until` say from when until when this start has watched as far as its answered reports say,
    milliseconds since the epoch on the node's clock; 0 when it did not say.
    """

    node: str
    boot: str
    sequence: int
    heard: int
    started: int = 0
    until: int = 0


class Blind(NamedTuple):
    """A time that has ended in which something was not watched; fields as in `wire.api.BlindWindow`."""

    node: str
    start: int
    end: int
    reason: str


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
        if tables and application != APPLICATION:
            raise StoreError(f"{self.path} {_NOT_OURS}")
        if schema > SCHEMA:
            raise StoreError(f"{self.path} was written by a newer version (schema {schema}); this one knows {SCHEMA}")
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
        run("BEGIN IMMEDIATE")
        try:
            if not tables:
                for statement in TABLES:
                    run(statement)
                run(f"PRAGMA application_id = {APPLICATION}")
                run(f"PRAGMA user_version = {SCHEMA}")
                meta = {"store": uuid.uuid4().hex, "epoch": "1", "reset_at": "0"}
                self.connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            else:
                for version in range(schema, SCHEMA):
                    for statement in UPGRADES[version]:
                        run(statement)
                run(f"PRAGMA user_version = {SCHEMA}")
            # A write that changes nothing: a file that cannot be written is found now and not at the first report.
            run("UPDATE meta SET value = value WHERE key = 'store'")
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def meta(self) -> dict[str, str]:
        """What is known of the map as a whole, as text.

        `store` (identity), `epoch` and `reset_at`; and once they are known `since`, `lag`, `kept_since` and `number`
        (as in `Checkpoint`), `settled` (before which time counts are by the hour), and `edges` (the highest number that
        an edge ever had).
        """
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
        rows = self.connection.execute("SELECT node, boot, sequence, heard, started, until FROM sequences")
        return [Sequence(*row) for row in rows]

    def ledger(self) -> list[tuple[str, str, str, int]]:
        """The balance sheet, as `Checkpoint.ledger`."""
        return list(self.connection.execute("SELECT hop, unit, name, total FROM ledger"))

    def losses(self) -> list[tuple[str, str, str, int]]:
        """What every sniffer start had lost as it last said: node, start, `model.Drop`, total."""
        return list(self.connection.execute("SELECT node, boot, name, total FROM losses"))

    def blind(self, since: int = 0) -> list[Blind]:
        """Blind windows that ended after `since`, in order."""
        rows = self.connection.execute(
            "SELECT node, began, ended, reason FROM blind WHERE ended > ? ORDER BY began, node, reason", (since,)
        )
        return [Blind(*row) for row in rows]

    def objects(self) -> Iterator[ObjectRow]:
        """The cluster's objects as they were last known, and those that are gone: these first, as they went."""
        return read_objects(self.connection)

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
