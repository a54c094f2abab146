"""Minutes join their hours and what is too old leaves, a little at a time and unseen by whoever reads."""

import pathlib
import sqlite3

import pytest

from network_mapper.model import Edge, Workload
from network_mapper.store import Checkpoint, Database, housekeeping
from network_mapper.store.database import NEVER, Blind
from network_mapper.store.housekeeping import Housekeeping
from network_mapper.store.ranges import read_range, widened
from network_mapper.store.schema import HOUR, MINUTE
from network_mapper.store.writer import Sample, _write

START = 490_000 * HOUR
REST = (0, 0, 0)


class Store:
    def __init__(self, path, max_bytes=0):
        self.path = str(path)
        self.database = Database(self.path, sync="normal", max_bytes=max_bytes)
        self.run = self.database.connection.execute
        self.housekeeping = Housekeeping()

    def write(self, now, **fields):
        self.run("BEGIN IMMEDIATE")
        point = Checkpoint(now, **fields)
        _write(self.database.connection, point)
        self.run("COMMIT")
        self.housekeeping.plan(point.now, point.kept_since)

    def tidy(self):
        """All that is due; returns in how many steps."""
        steps = 0
        while self.housekeeping.is_due:
            self.housekeeping.step(self.database.connection)
            steps += 1
        return steps

    def count(self, table):
        return self.run(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  our own names

    def pages(self):
        return self.run("PRAGMA page_count").fetchone()[0]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "map.db")
    yield made
    made.database.close()


def edges(count):
    server = Workload("db", "shop", "StatefulSet")
    return [
        (n, Edge(Workload(f"web-{n}", "shop", "Deployment"), server, None, 5432, "tcp", first_seen=NEVER))
        for n in range(1, count + 1)
    ]


def buckets(start, count, more=0):
    return [(start, n, 1, 0, 0, 0, start + more, start + more + 5, *REST) for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((0, 1), (0, HOUR)),
        ((HOUR + 1, 2 * HOUR), (HOUR, 2 * HOUR)),
        ((HOUR + 1, 5 * HOUR + 1), (HOUR, 5 * HOUR + MINUTE)),
        ((3 * HOUR + MINUTE + 1, 3 * HOUR + 2 * MINUTE), (3 * HOUR + MINUTE, 3 * HOUR + 2 * MINUTE)),
        ((3 * HOUR - 1, 3 * HOUR + 1), (2 * HOUR, 3 * HOUR + MINUTE)),
    ],
)
def test_a_range_is_widened_to_hours_before_minutes_have_settled_and_to_minutes_after(asked, told):
    assert widened(*asked, settled=3 * HOUR) == told


def test_a_step_moves_a_bounded_number_of_rows(store, monkeypatch):
    monkeypatch.setattr(housekeeping, "_STEP", 100)
    store.write(START + 5 * HOUR, edges=edges(250), buckets=buckets(START, 250))
    counts = []
    while store.housekeeping.is_due:
        counts.append((store.count("minutes"), store.count("hours")))
        store.housekeeping.step(store.database.connection)
    assert counts == [(250, 0), (150, 100), (50, 200), (0, 250)]


@pytest.mark.parametrize("steps", range(6))
def test_no_answer_depends_on_how_far_settling_has_come(store, monkeypatch, steps):
    monkeypatch.setattr(housekeeping, "_STEP", 3)
    store.write(START + HOUR, edges=edges(4), buckets=[*buckets(START, 4), *buckets(START + MINUTE, 4)])
    store.write(START + 4 * HOUR, buckets=buckets(START + 59 * MINUTE, 4))
    for _ in range(steps):
        store.housekeeping.step(store.database.connection)
    whole = read_range(store.path, START, START + HOUR)
    assert whole.counts == {n: [3, 0, 0, 0, START, START + 59 * MINUTE + 5, *REST] for n in range(1, 5)}
    part = read_range(store.path, START + MINUTE, START + 2 * MINUTE)
    expected = 3 if steps else 1
    assert {counts[0] for counts in part.counts.values()} == {expected}
    assert part.until - part.since == (HOUR if steps else MINUTE)


def test_a_minute_that_comes_late_joins_its_hour(store):
    store.write(START + 4 * HOUR, edges=edges(1), buckets=buckets(START, 1))
    store.tidy()
    store.write(START + 5 * HOUR, buckets=buckets(START + 7 * MINUTE, 1))
    before = read_range(store.path, START, START + 1)
    store.tidy()
    assert (store.count("minutes"), store.count("hours")) == (0, 1)
    assert read_range(store.path, START, START + 1) == before
    assert before.counts == {1: [2, 0, 0, 0, START, START + 7 * MINUTE + 5, *REST]}


def test_settled_stays_where_it_was_when_late_minutes_come_or_the_clock_goes_back(store):
    store.write(START + 9 * HOUR, edges=edges(1), buckets=buckets(START + 5 * HOUR, 1))
    store.tidy()
    store.write(START + 3 * HOUR, buckets=buckets(START, 1))
    store.tidy()
    assert store.database.meta()["settled"] == str(START + 6 * HOUR)


def test_what_is_older_than_is_kept_leaves_the_file_and_no_range_tells_of_it_before(store):
    for hour in range(10):
        store.write(
            START + hour * HOUR,
            edges=edges(3) if not hour else [],
            buckets=buckets(START + hour * HOUR, 3),
            accounts=[(START + hour * HOUR, "mapped", 3)],
            blind=[Blind("node-a", START + hour * HOUR, START + (hour + 1) * HOUR, "sniffer_away")],
        )
        store.tidy()
    store.write(START + 10 * HOUR, kept_since=START + 7 * HOUR)
    for _ in range(2):
        told = read_range(store.path, 0, START + 10 * HOUR)
        assert (told.since, told.kept_since) == (START + 7 * HOUR, START + 7 * HOUR)
        assert {counts[0] for counts in told.counts.values()} == {3}
        assert told.accounts == {"mapped": 9}
        store.tidy()
    assert (store.count("hours"), store.count("minutes")) == (3, 6)
    assert (store.count("account_hours"), store.count("account_minutes")) == (1, 2)
    assert [one.start for one in store.database.blind()] == [START + hour * HOUR for hour in (7, 8, 9)]


def test_a_reset_leaves_no_count_behind(store):
    store.write(START + 5 * HOUR, edges=edges(2), buckets=buckets(START, 2), accounts=[(START, "mapped", 2)])
    store.tidy()
    store.write(START + 5 * HOUR, buckets=buckets(START + 5 * HOUR, 2), accounts=[(START + 5 * HOUR, "mapped", 2)])
    store.write(START + 5 * HOUR, reset=(2, START + 5 * HOUR))
    tables = ("edges", "minutes", "hours", "account_minutes", "account_hours")
    assert {table: store.count(table) for table in tables} == dict.fromkeys(tables, 0)


def test_what_is_kept_never_becomes_less_again(store):
    store.write(START, kept_since=START - HOUR)
    store.write(START, kept_since=0)
    assert store.database.meta()["kept_since"] == str(START - HOUR)


def test_an_edge_that_leaves_takes_its_samples_and_details_and_its_number_with_it(store):
    samples = [Sample(n, START, "node-a", "connections", "10.0.0.1", "10.0.0.2", 5432, "") for n in (1, 2)]
    details = [(1, "/", "GET"), (2, "/", "GET")]
    store.write(START, edges=edges(2), buckets=buckets(START, 2), samples=samples, details=details)
    store.write(START + MINUTE, gone=[2])
    assert [stored.number for stored in store.database.edges()] == [1]
    assert (store.database.samples(), list(store.database.details())) == ({1: 1}, [1])
    assert store.database.meta()["edges"] == "2"


def test_a_file_that_is_written_for_ever_does_not_grow_when_its_retention_is_reached(store):
    kept = 30
    sizes = []
    for hour in range(3 * kept):
        now = START + hour * HOUR
        store.write(
            now,
            edges=edges(300) if not hour else [],
            buckets=[bucket for minute in range(0, 60, 10) for bucket in buckets(now + minute * MINUTE, 300)],
            kept_since=now - kept * HOUR,
        )
        store.tidy()
        sizes.append(store.pages())
    assert sizes[-1] <= sizes[kept + 3]
    assert store.count("hours") == 300 * (kept - 2)


def test_of_a_file_that_is_nearly_full_the_oldest_hours_leave_and_it_goes_on(tmp_path):
    store = Store(tmp_path / "map.db", max_bytes=1_000_000)
    for hour in range(400):
        now = START + hour * HOUR
        store.write(now, edges=edges(200) if not hour else [], buckets=buckets(now, 200))
        store.tidy()
    assert pathlib.Path(store.path).stat().st_size <= 1_000_000
    told = read_range(store.path, 0, START + 400 * HOUR)
    assert START + 200 * HOUR < told.since == told.kept_since < START + 320 * HOUR
    assert {counts[0] for counts in told.counts.values()} == {(START + 400 * HOUR - told.since) // HOUR}
    assert {stored.edge.connections for stored in store.database.edges()} == {400}
    store.database.close()


def test_nothing_is_left_half_done_by_a_step_that_fails(store):
    store.write(START + 5 * HOUR, edges=edges(3), buckets=buckets(START, 3))
    store.run("CREATE TRIGGER refuse BEFORE DELETE ON minutes BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        store.housekeeping.step(store.database.connection)
    assert (store.count("minutes"), store.count("hours")) == (3, 0)
    assert "settled" not in store.database.meta()
    store.run("DROP TRIGGER refuse")
    store.tidy()
    assert (store.count("minutes"), store.count("hours")) == (0, 3)
