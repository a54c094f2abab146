"""The tables of the map's file, and what makes a file of an earlier version one of this.

Counts live in buckets of a minute; minutes that are over for long become part of their hour. A bucket holds
differences, so buckets can be added up in any order; an edge's row holds its totals, so that a start need not add them.
A busy map has far more buckets than all else together, so numbers in them are small: `start` counts minutes or hours
since the epoch, and times are milliseconds since the bucket's start, which costs three bytes where the time itself
costs six.
"""

from __future__ import annotations

from network_mapper.store import objects

APPLICATION = 0x6E6D6170  # "nmap" in the file's header, so that `file` and we can tell whose it is
SCHEMA = 4

MINUTE = 60_000
HOUR = 60 * MINUTE

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

TIMES = ("first_seen", "last_seen")
"""Those of `COUNTS` of which the least and the greatest are kept; all others are added up."""

_COUNTER_COLUMNS = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNTS)
_BUCKET_COLUMNS = f"start INTEGER NOT NULL, edge INTEGER NOT NULL, {_COUNTER_COLUMNS}, PRIMARY KEY (start, edge)"
_DETAILS = """
CREATE TABLE details (
    edge INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (edge, name, value)
) WITHOUT ROWID
"""
_WAITING = "CREATE TABLE waiting (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL)"
_ACCOUNT_COLUMNS = """
    start INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (start, name)
"""
_LEDGER = """
CREATE TABLE ledger (
    hop TEXT NOT NULL, unit TEXT NOT NULL, name TEXT NOT NULL, total INTEGER NOT NULL, PRIMARY KEY (hop, unit, name)
) WITHOUT ROWID
"""
_BLIND = """
CREATE TABLE blind (
    node TEXT NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (node, began, reason)
) WITHOUT ROWID
"""
_LOSSES = """
CREATE TABLE losses (
    node TEXT NOT NULL, boot TEXT NOT NULL, name TEXT NOT NULL, total INTEGER NOT NULL, PRIMARY KEY (node, boot, name)
) WITHOUT ROWID
"""
_ACCOUNTS = [
    f"CREATE TABLE account_minutes ({_ACCOUNT_COLUMNS}) WITHOUT ROWID",
    f"CREATE TABLE account_hours ({_ACCOUNT_COLUMNS}) WITHOUT ROWID",
]

TABLES = [
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"""CREATE TABLE edges (
        id INTEGER PRIMARY KEY,
        client TEXT NOT NULL, server TEXT NOT NULL, service TEXT, port INTEGER NOT NULL, protocol TEXT NOT NULL,
        {_COUNTER_COLUMNS}
    )""",
    f"CREATE TABLE minutes ({_BUCKET_COLUMNS}) WITHOUT ROWID",
    f"CREATE TABLE hours ({_BUCKET_COLUMNS}) WITHOUT ROWID",
    """CREATE TABLE samples (
        edge INTEGER NOT NULL, seen INTEGER NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL,
        client TEXT NOT NULL, server TEXT NOT NULL, port INTEGER NOT NULL, answered_by TEXT NOT NULL,
        PRIMARY KEY (edge, client, server, answered_by)
    ) WITHOUT ROWID""",
    """CREATE TABLE sequences (
        node TEXT NOT NULL, boot TEXT NOT NULL, sequence INTEGER NOT NULL, heard INTEGER NOT NULL,
        started INTEGER NOT NULL DEFAULT 0, until INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (node, boot)
    ) WITHOUT ROWID""",
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL)",
    _DETAILS,
    _WAITING,
    _LEDGER,
    *_ACCOUNTS,
    _BLIND,
    _LOSSES,
    objects.TABLE,
    objects.INDEX,
]


def _smaller(table: str, unit: int) -> str:
    times = ", ".join(f"{name} = {name} - start" for name in TIMES)
    return f"UPDATE {table} SET start = start / {unit}, {times}"


UPGRADES = {
    1: [
        *(
            f"ALTER TABLE {table} ADD COLUMN {counter} INTEGER NOT NULL DEFAULT 0"
            for table in ("edges", "minutes", "hours")
            for counter in ("requests", "bytes", "flows")
        ),
        _DETAILS,
    ],
    2: [_WAITING],
    3: [
        _smaller("minutes", MINUTE),
        _smaller("hours", HOUR),
        "ALTER TABLE sequences ADD COLUMN started INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sequences ADD COLUMN until INTEGER NOT NULL DEFAULT 0",
        _LEDGER,
        *_ACCOUNTS,
        _BLIND,
        _LOSSES,
        objects.TABLE,
        objects.INDEX,
        f"""INSERT OR REPLACE INTO meta
            SELECT 'settled', CAST((max(start) + 1) * {HOUR} AS TEXT) FROM hours HAVING max(start) IS NOT NULL""",
        "INSERT OR REPLACE INTO meta SELECT 'edges', CAST(ifnull(max(id), 0) AS TEXT) FROM edges",
    ],
}
"""What makes a schema the next one."""
