"""What the file needs beside writing: minutes join their hours, and what is too old leaves.

Too old is what the retention says, and the oldest hour of a file that has nearly the size it may have: a map without
its oldest counts is better than one that nothing can be added to. Both can be millions of rows, so they are done in
steps of a few thousand, each a transaction of its own, and between two of them a report may be written. Nothing that
can be read depends on how far they have come: a range that reaches before `settled` is told by the hour, and nothing is
told of what lies before `kept_since`. Pages that become free are used again, so the file is as large as it ever had to
be, and does not grow with its age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from network_mapper.store.ranges import adding
from network_mapper.store.schema import COUNTS, HOUR, MINUTE, TIMES

if TYPE_CHECKING:
    import sqlite3

SETTLED_AFTER = 2 * HOUR
"""For so long counts are kept by the minute, at least."""

_FULL = 0.9
"""Of the size that a file may have, so much is used when the oldest hour leaves."""

_STEP = 5_000
"""Rows that one transaction moves or removes: some 20 milliseconds."""


class _Buckets(NamedTuple):
    """Tables of the same counts by the minute and by the hour."""

    minutes: str
    hours: str
    key: str
    columns: str
    adding: str


_FROM_HOUR = ", ".join(
    f"{name} + start * {MINUTE} - start * {MINUTE} / {HOUR} * {HOUR}" if name in TIMES else name for name in COUNTS
)
_BUCKETS = (
    _Buckets("minutes", "hours", "edge", _FROM_HOUR, adding("excluded.{}".format)),
    _Buckets("account_minutes", "account_hours", "name", "count", "count = count + excluded.count"),
)


class Housekeeping:
    """What is to be done, as the last checkpoint said."""

    def __init__(self) -> None:
        self._settle_before = 0
        self._kept_since = 0
        self._is_due = False

    def plan(self, now: int, kept_since: int) -> None:
        """Note what time it is, and before which time buckets leave."""
        self._settle_before = (now - SETTLED_AFTER) // HOUR * HOUR
        self._kept_since = max(self._kept_since, kept_since)
        self._is_due = True

    @property
    def is_due(self) -> bool:
        """Whether something may be left to do."""
        return self._is_due

    def put_off(self) -> None:
        """Do nothing until the next `plan`: the file cannot be written."""
        self._is_due = False

    def step(self, connection: sqlite3.Connection) -> None:
        """Do a little of it, in a transaction.

        Raises:
            sqlite3.Error: It could not be done; nothing has changed.
        """
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._make_room(connection)
            self._is_due = self._remove(connection) or self._settle(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Let the oldest hour leave where the file is nearly full, unless removing is going on anyway."""
        pages, free, most = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "max_page_count")
        )
        oldest = connection.execute("SELECT min(start) FROM hours").fetchone()[0]
        if pages - free <= most * _FULL or oldest is None or oldest * HOUR < self._kept_since:
            return
        self._kept_since = (oldest + 1) * HOUR
        keep_greatest(connection, "kept_since", self._kept_since)

    def _remove(self, connection: sqlite3.Connection) -> bool:
        """Remove some buckets before `kept_since`; returns whether there were any."""
        connection.execute("DELETE FROM blind WHERE ended <= ?", (self._kept_since,))
        for buckets in _BUCKETS:
            for table, unit in ((buckets.minutes, MINUTE), (buckets.hours, HOUR)):
                last = _last_of_step(connection, table, buckets.key, self._kept_since // unit)
                if last is not None:
                    connection.execute(f"DELETE FROM {table} WHERE (start, {buckets.key}) <= (?, ?)", last)
                    return True
        return False

    def _settle(self, connection: sqlite3.Connection) -> bool:
        """Move some of the minutes that are over for long into their hours; returns whether there were any."""
        for buckets in _BUCKETS:
            key = buckets.key
            last = _last_of_step(connection, buckets.minutes, key, self._settle_before // MINUTE)
            if last is None:
                continue
            connection.execute(
                f"""INSERT INTO {buckets.hours} SELECT start * {MINUTE} / {HOUR}, {key}, {buckets.columns}
                FROM {buckets.minutes} WHERE (start, {key}) <= (?, ?)
                ON CONFLICT (start, {key}) DO UPDATE SET {buckets.adding}""",
                last,
            )
            connection.execute(f"DELETE FROM {buckets.minutes} WHERE (start, {key}) <= (?, ?)", last)
            settled = (last[0] * MINUTE // HOUR + 1) * HOUR
            keep_greatest(connection, "settled", settled)
            return True
        return False


def keep_greatest(connection: sqlite3.Connection, key: str, value: int) -> None:
    """Write a number of `meta` that never becomes less."""
    connection.execute(
        """INSERT INTO meta VALUES (?1, CAST(?2 AS TEXT)) ON CONFLICT (key)
        DO UPDATE SET value = CAST(max(CAST(value AS INTEGER), ?2) AS TEXT)""",
        (key, value),
    )


def _last_of_step(connection: sqlite3.Connection, table: str, key: str, before: int) -> tuple[int, int | str] | None:
    """The last row that a step takes of those that start before a bucket; None where there is no row."""
    found = connection.execute(
        f"""SELECT start, {key} FROM (SELECT start, {key} FROM {table} WHERE start < ? ORDER BY start, {key} LIMIT ?)
        ORDER BY start DESC, {key} DESC LIMIT 1""",
        (before, _STEP),
    ).fetchone()
    return (found[0], found[1]) if found else None
