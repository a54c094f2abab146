"""The writer thread: all or nothing, shared commits, and failures that are said and end when their cause does."""

import logging
import queue
import sqlite3
import time

import pytest

from network_mapper.model import Edge, Workload
from network_mapper.store import Checkpoint, Database, StoreUnavailableError, Writer, writer
from network_mapper.store.database import HOUR, MINUTE, NEVER, Sequence, counts_between
from network_mapper.store.writer import Sample


class Owner:
    """Stands for the event loop's thread: what the writer delivers is called when the test asks for it."""

    def __init__(self, path, max_bytes=0):
        self._calls = queue.Queue()
        self.writer = Writer(path, sync="normal", max_bytes=max_bytes, deliver=lambda *call: self._calls.put(call))
        self.writer.start()
        self.results = []

    def append(self, body=b"report"):
        self.writer.append(1, body, self.results.append)
        return self._settle()

    def write(self, **fields):
        self.writer.write(Checkpoint(**{"now": 1, **fields}), self.results.append)
        return self._settle()

    def _settle(self):
        function, *arguments = self._calls.get(timeout=10)
        function(*arguments)
        return self.results[-1]


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "map.db")
    Database(path).close()
    return path


@pytest.fixture
def owner(path):
    owner = Owner(path)
    yield owner
    assert owner.writer.close(5)


def test_since_when_the_map_has_what_was_seen_is_kept_and_no_word_about_it_changes_nothing(path, owner):
    owner.write(since=5)
    owner.write()
    assert Database(path).meta()["since"] == "5"


EDGE = Edge(Workload("a", "ns", "Deployment"), Workload("b", "ns", "Deployment"), None, 80, "tcp", first_seen=NEVER)


REST = (0, 0, 0)  # requests, bytes, flows


def read(path, query):
    connection = sqlite3.connect(path)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_an_appended_report_is_in_the_file_when_it_is_answered(owner, path):
    number = owner.append(b"bytes as they came")
    assert read(path, "SELECT id, received, body FROM journal") == [(number, 1, b"bytes as they came")]


def test_a_checkpoint_writes_edges_counts_and_sequences_and_empties_the_journal(owner, path):
    number = owner.append()
    later = owner.append(b"later")
    owner.write(
        journal=number,
        edges=[(1, EDGE)],
        buckets=[(60_000, 1, 5, 1, 0, 0, 60_100, 60_900, 0, 0, 0)],
        samples=[Sample(1, 60_900, "node", "connections", "10.0.0.1", "10.0.0.2", 80, "")],
        sequences=[Sequence("node", "boot", 7, 60_950)],
    )
    assert read(path, "SELECT id, connections, attempts, first_seen, last_seen FROM edges") == [
        (1, 5, 1, 60_100, 60_900)
    ]
    assert read(path, "SELECT node, boot, sequence FROM sequences") == [("node", "boot", 7)]
    assert read(path, "SELECT id FROM journal") == [(later,)]
    assert read(path, "SELECT count(*) FROM samples") == [(1,)]


def test_differences_add_up_in_totals_and_buckets(owner, path):
    owner.write(edges=[(1, EDGE)], buckets=[(60_000, 1, 5, 0, 2, 0, 60_100, 60_900, *REST)])
    owner.write(
        buckets=[(60_000, 1, 3, 0, 0, 1, 60_050, 61_000, *REST), (120_000, 1, 1, 0, 0, 0, 120_001, 120_001, *REST)]
    )
    assert read(path, "SELECT connections, lookups, sockets, first_seen, last_seen FROM edges") == [
        (9, 2, 1, 60_050, 120_001)
    ]
    assert counts_between(path, 60_000, 120_000) == {1: (8, 0, 2, 1, 60_050, 61_000, *REST)}
    assert counts_between(path, 120_000, 180_000) == {1: (1, 0, 0, 0, 120_001, 120_001, *REST)}
    assert counts_between(path, 180_000, 240_000) == {}


def test_a_reset_empties_the_tables_and_keeps_what_came_after_it(owner, path):
    owner.write(edges=[(1, EDGE)], buckets=[(60_000, 1, 5, 0, 0, 0, 60_100, 60_900, *REST)])
    owner.write(reset=(2, 70_000), edges=[(2, EDGE)], buckets=[(60_000, 2, 1, 0, 0, 0, 70_001, 70_001, *REST)])
    assert read(path, "SELECT id, connections FROM edges") == [(2, 1)]
    assert read(path, "SELECT edge FROM minutes") == [(2,)]
    database = Database(path)
    assert (database.meta()["epoch"], database.meta()["reset_at"]) == ("2", "70000")
    database.close()


def test_minutes_become_part_of_their_hour_without_changing_any_sum(owner, path):
    owner.write(
        edges=[(1, EDGE)], buckets=[(n * MINUTE, 1, 1, 0, 0, 0, n * MINUTE, n * MINUTE, *REST) for n in range(90)]
    )
    for _ in range(70):
        owner.write(now=4 * HOUR)
    assert read(path, "SELECT count(*), sum(connections) FROM minutes") == [(20, 20)]
    assert read(path, "SELECT start, connections FROM hours ORDER BY start") == [(0, 60), (HOUR, 10)]
    assert counts_between(path, 0, 4 * HOUR)[1][0] == 90


def test_a_full_file_refuses_whole_and_works_again_when_there_is_room(path):
    small = Owner(path, max_bytes=200_000)
    assert isinstance(small.append(b"x" * 500_000), StoreUnavailableError)
    assert "full" in small.writer.failure
    assert isinstance(small.append(b"small"), int)
    assert small.writer.failure == ""
    assert read(path, "SELECT body FROM journal") == [(b"small",)]
    assert small.writer.close(5)


def eventually(probe):
    deadline = time.monotonic() + 10
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(writer, "_TRY_AGAIN", 0.02)


def test_a_store_that_failed_is_found_to_work_again_though_nothing_is_sent(path, caplog):
    caplog.set_level(logging.INFO)
    small = Owner(path, max_bytes=600_000)
    assert isinstance(small.append(b"x" * 800_000), StoreUnavailableError)
    eventually(lambda: small.writer.failure == "")
    assert read(path, "SELECT body FROM journal") == []
    assert [record.getMessage() for record in caplog.records] == [
        "nothing can be stored",
        "the store can be written again",
    ]
    assert small.writer.close(5)


@pytest.mark.usefixtures("quick")
def test_a_store_without_room_for_a_report_stays_one_that_failed(path):
    small = Owner(path, max_bytes=200_000)
    assert isinstance(small.append(b"x" * 500_000), StoreUnavailableError)
    time.sleep(0.3)
    assert "the disk is full, or the file as large as it may be (--store-max-bytes)" in small.writer.failure
    assert small.writer.close(5)


@pytest.mark.usefixtures("quick")
def test_a_store_that_fails_and_works_in_turn_does_not_fill_the_log(path, caplog):
    caplog.set_level(logging.INFO)
    small = Owner(path, max_bytes=600_000)
    for _ in range(5):
        assert isinstance(small.append(b"x" * 800_000), StoreUnavailableError)
        eventually(lambda: small.writer.failure == "")
    assert [record.getMessage() for record in caplog.records] == [
        "nothing can be stored",
        "the store can be written again",
    ]
    assert small.writer.close(5)


@pytest.mark.parametrize("refused", [sqlite3.SQLITE_INSERT, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_UPDATE])
def test_a_trial_that_fails_leaves_the_store_as_it_was(path, refused):
    database = Database(path)
    database.connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_DENY if action == refused else sqlite3.SQLITE_OK
    )
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        writer._try_to_write(database.connection)
    database.connection.set_authorizer(None)
    assert not database.connection.in_transaction
    assert list(database.journal()) == []
    database.close()


def test_rows_that_wait_come_back_as_they_were_written(owner, path):
    rows = [(3, b"the first"), (1, b"the second"), (2, b"the third")]
    owner.write(waiting=rows)
    assert read(path, "SELECT received, body FROM waiting ORDER BY id") == rows
    database = Database(path)
    assert [row[1:] for row in database.waiting()] == rows
    database.close()


def test_a_number_sqlite_cannot_hold_fails_that_transaction_and_not_the_thread(owner, path):
    assert isinstance(owner.write(buckets=[(0, 1, 2**70, 0, 0, 0, 0, 0, *REST)]), StoreUnavailableError)
    assert isinstance(owner.append(b"next"), int)


def test_waiting_jobs_are_bounded(path):
    idle = Writer(path, sync="normal", max_bytes=0, deliver=lambda *_: None)  # never started: nothing is taken out
    for _ in range(256):
        idle.append(1, b"", lambda _: None)
    with pytest.raises(StoreUnavailableError, match="does not keep up"):
        idle.append(1, b"", lambda _: None)
