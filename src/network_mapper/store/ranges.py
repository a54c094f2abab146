"""Reading time ranges beside the writer, exactly at the resolution of the buckets.

Before `settled` there is one bucket an hour, from there on one a minute. A range is widened to whole buckets and the
answer says so; a minute that came late and has yet to join its hour lies wholly on one side of every edge of a range.
All is read in one transaction, so that what a checkpoint writes is in the answer as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from network_mapper.store.schema import COUNTS, HOUR, MINUTE, TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Counted(NamedTuple):
    """What a time range holds.

    Attributes:
        since: Where it really begins, milliseconds since the epoch.
        until: Where it really ends, exclusive.
        counts: By edge number: the `COUNTS`, in their order. What was seen first may lie before `since`, as an
            observation counts where it ends.
        accounts: Observations by name, as in `Checkpoint.accounts`.
        kept_since: Before that time nothing is kept; a range that begins earlier was cut.
        number: Of the last checkpoint that is in it (`Checkpoint.number`).
    """

    since: int
    until: int
    counts: dict[int, list[int]]
    accounts: dict[str, int]
    kept_since: int
    number: int


def read_range(path: str, since: int, until: int) -> Counted:
    """Read what is in the buckets that `[since, until)` touches.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    with _reading(path) as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('settled', 'kept_since', 'number')"))
        kept_since = int(meta.get("kept_since", "0"))
        since, until = widened(since, until, int(meta.get("settled", "0")))
        since = max(since, kept_since)
        connection.execute(f"CREATE TEMP TABLE sums (edge INTEGER PRIMARY KEY, {', '.join(COUNTS)})")
        accounts: dict[str, int] = {}
        for buckets, accounted, unit in (("minutes", "account_minutes", MINUTE), ("hours", "account_hours", HOUR)):
            bounds = since // unit, until // unit
            columns = ", ".join(f"start * {unit} + {name}" if name in TIMES else name for name in COUNTS)
            # Added up in place: sorted by edge they would need as much room again as all buckets of the range have.
            connection.execute(
                f"""INSERT INTO sums SELECT edge, {columns} FROM {buckets}
                WHERE start >= ? AND start < ? ON CONFLICT (edge) DO UPDATE SET {adding("excluded.{}".format)}""",
                bounds,
            )
            rows = f"SELECT name, sum(count) FROM {accounted} WHERE start >= ? AND start < ? GROUP BY name"
            for name, count in connection.execute(rows, bounds):
                accounts[name] = accounts.get(name, 0) + count
        counts = {edge: row for edge, *row in connection.execute("SELECT * FROM sums")}
    return Counted(since, until, counts, accounts, kept_since, int(meta.get("number", "0")))


def widened(since: int, until: int, settled: int) -> tuple[int, int]:
    """A range as whole buckets: of an hour before `settled`, of a minute from there on."""
    since -= since % (HOUR if since < settled else MINUTE)
    until += -until % (HOUR if until < settled else MINUTE)
    return since, until


def adding(value: Callable[[str], str]) -> str:
    """SQL that adds to a row's `COUNTS`; `value` gives what is added to a column."""
    functions = dict(zip(TIMES, ("min", "max"), strict=True))
    parts = []
    for name in COUNTS:
        function = functions.get(name)
        total = f"{function}({name}, {value(name)})" if function else f"{name} + {value(name)}"
        parts.append(f"{name} = {total}")
    return ", ".join(parts)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[sqlite3.Connection]:
    """One transaction of a connection that cannot write to the file."""
    connection = sqlite3.connect(f"{pathlib.Path(path).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("BEGIN")
        yield connection
