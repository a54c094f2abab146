"""The cluster's objects as the mapper last knew them, and those that are gone and still remembered.

They are written no later than the reports that were resolved with them, so that a mapper which starts again resolves
the reports in its journal, and those that sniffers have kept for it, as of their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator


class ObjectRow(NamedTuple):
    """One object, or that it is gone.

    Attributes:
        kind: As the index calls it (`Pod`, `ReplicaSet.apps`).
        namespace: Empty for kinds without.
        name: Of the object.
        uid: Empty where it is not known; objects of the same name have another one.
        gone: When it was gone, milliseconds since the epoch; 0 while it is there.
        body: Its fields, packed; empty for what is written already and is gone now.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    gone: int
    body: bytes


TABLE = """
CREATE TABLE objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, gone INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (kind, namespace, name, uid)
) WITHOUT ROWID
"""
INDEX = "CREATE INDEX gone_objects ON objects (gone) WHERE gone > 0"


def write_objects(connection: sqlite3.Connection, rows: Iterable[ObjectRow]) -> None:
    """Write what changed."""
    for row in rows:
        if row.body:
            connection.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)", row)
        else:
            connection.execute(
                "UPDATE objects SET gone = ?5 WHERE kind = ?1 AND namespace = ?2 AND name = ?3 AND uid = ?4", row[:5]
            )


def forget_objects(connection: sqlite3.Connection, before: int, most: int) -> None:
    """Remove what has been gone since before a time, and the oldest of what is gone beyond a number."""
    connection.execute("DELETE FROM objects WHERE gone > 0 AND gone < ?", (before,))
    oldest = connection.execute(
        "SELECT gone FROM objects WHERE gone > 0 ORDER BY gone DESC LIMIT 1 OFFSET ?", (most,)
    ).fetchone()
    if oldest is not None:
        connection.execute("DELETE FROM objects WHERE gone > 0 AND gone <= ?", oldest)


def read_objects(connection: sqlite3.Connection) -> Iterator[ObjectRow]:
    """All of them: those that are gone first, in the order in which they went."""
    for row in connection.execute(
        "SELECT kind, namespace, name, uid, gone, body FROM objects ORDER BY gone = 0, gone, kind, namespace, name"
    ):
        yield ObjectRow(*row)
