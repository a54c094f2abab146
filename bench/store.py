"""How large the map's file becomes, and how long its longest transaction takes.

    python bench/store.py [--edges 50000] [--hours 720] [--minutes 1] [--beyond 48]

Every edge is seen in every hour, in so many of its minutes: the worst that a map of this size can do. The shipped
writer's own statements write the counts, in checkpoints of one minute, with its housekeeping between them; a retention
of `--hours` is reached, and the file is written for `--beyond` hours more, in which it must not grow. Prints one JSON
object:

- `bytes_per_edge_hour`, `bytes_per_edge_minute`, `bytes_per_edge`: what a row of each table takes, indexes and unused
  room included; the file is predicted as their sum over the rows (docs/operations.md);
- `file_mib`: the file when the retention is reached; `file_mib_beyond`: after the hours beyond it;
- `step_ms`: the longest transaction of the housekeeping; `checkpoint_ms`: the longest checkpoint, of all edges;
- `cpu_us_per_row`: CPU per edge and minute, from the checkpoint until it has left;
- `range_seconds`: CPU of a range of the whole time, of a day, and of an hour by the minute.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import tempfile
import time
from typing import Any

from network_mapper.model import Edge, ServiceRef, Workload
from network_mapper.store import Checkpoint, Database
from network_mapper.store.housekeeping import Housekeeping
from network_mapper.store.ranges import read_range
from network_mapper.store.schema import HOUR, MINUTE
from network_mapper.store.writer import Sample, _write

BEGIN = 1_790_000_000_000 // HOUR * HOUR


class Store:
    """The file, and the longest transactions."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.database = Database(path, sync="normal")
        self.housekeeping = Housekeeping()
        self.checkpoint_ms = self.step_ms = 0.0

    def write(self, point: Checkpoint) -> None:
        """One checkpoint as the writer commits it, and all the housekeeping that it makes due."""
        connection = self.database.connection
        began = time.process_time()
        connection.execute("BEGIN IMMEDIATE")
        _write(connection, point)
        connection.execute("COMMIT")
        self.checkpoint_ms = max(self.checkpoint_ms, (time.process_time() - began) * 1000)
        self.housekeeping.plan(point.now, point.kept_since)
        while self.housekeeping.is_due:
            began = time.process_time()
            self.housekeeping.step(connection)
            self.step_ms = max(self.step_ms, (time.process_time() - began) * 1000)

    def mib(self) -> float:
        """The file with all that is written so far."""
        self.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return round(pathlib.Path(self.path).stat().st_size / 2**20, 1)

    def bytes_of(self, *tables: str) -> int:
        """Room that tables take."""
        pages = self.database.connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
        return sum(size for name, size in pages if name in tables)

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.database.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  ours


def edge(number: int) -> Edge:
    """An edge as clusters have them: Deployments, a service, a port."""
    client = Workload(f"checkout-service-{number % 700}", f"team-{number % 40}", "Deployment")
    server = Workload(f"payment-service-{number % 900}", f"team-{number % 37}", "Deployment")
    return Edge(client, server, ServiceRef(f"payment-service-{number % 900}", f"team-{number % 37}"), 8080, "tcp")


def times(start: int) -> list[int]:
    """When an edge was first and last seen in a minute."""
    return sorted(start + random.randrange(MINUTE) for _ in range(2))


def measure(path: str, args: argparse.Namespace) -> dict[str, Any]:
    """Fill a file and take the figures."""
    store = Store(path)
    numbers = range(1, args.edges + 1)
    samples = [
        Sample(n, BEGIN, f"node-{n % 100}", "connections", f"10.0.{n % 250}.{m}", f"10.96.{n % 250}.9", 8080, "")
        for n in numbers
        for m in range(2)
    ]
    first = Checkpoint(BEGIN, edges=[(number, edge(number)) for number in numbers], samples=samples)
    found: dict[str, Any] = {"edges": args.edges, "hours": args.hours}
    began = time.process_time()
    for hour in range(args.hours + args.beyond):
        for minute in range(args.minutes):
            start = BEGIN + hour * HOUR + minute * (60 // args.minutes) * MINUTE
            buckets = [(start, n, random.randrange(1, 500), 0, 0, 0, *times(start), 0, 0, 0) for n in numbers]
            now = start + 2 * MINUTE
            point = Checkpoint(now, buckets=buckets, kept_since=(now - args.hours * HOUR) // HOUR * HOUR)
            if first.edges:
                point.edges, point.samples = first.edges, first.samples
                first = Checkpoint(BEGIN)
            store.write(point)
        if hour == args.hours:
            found["file_mib"] = store.mib()
    spent = time.process_time() - began
    found["file_mib_beyond"] = store.mib()
    found["bytes_per_edge_hour"] = round(store.bytes_of("hours") / store.rows("hours"), 1)
    found["bytes_per_edge_minute"] = round(store.bytes_of("minutes") / store.rows("minutes"), 1)
    found["bytes_per_edge"] = round(store.bytes_of("edges", "samples") / args.edges)
    found["step_ms"], found["checkpoint_ms"] = round(store.step_ms, 1), round(store.checkpoint_ms, 1)
    found["cpu_us_per_row"] = round(spent / ((args.hours + args.beyond) * args.minutes * args.edges) * 1e6, 1)
    end = BEGIN + (args.hours + args.beyond) * HOUR
    found["range_seconds"] = {}
    for name, since in (("all", 0), ("a day", end - 26 * HOUR), ("an hour", end - HOUR)):
        began = time.process_time()
        counted = read_range(path, since, end)
        found["range_seconds"][name] = round(time.process_time() - began, 2)
        assert len(counted.counts) == args.edges
    return found


def main() -> None:
    """Measure in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=50_000)
    parser.add_argument("--hours", type=int, default=720)
    parser.add_argument("--minutes", type=int, default=1)
    parser.add_argument("--beyond", type=int, default=48)
    args = parser.parse_args()
    random.seed(7)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(f"{folder}/map.db", args), indent=2))


if __name__ == "__main__":
    main()
