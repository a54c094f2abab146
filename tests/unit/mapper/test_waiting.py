"""Rows whose client is told of later than it spoke: they wait, are merged once, and survive the mapper's death."""

import asyncio
import contextlib
import itertools

import msgspec
import pytest
from cluster_objects import NOW, pod
from kube import apply as apply_objects

from network_mapper.mapper import run
from network_mapper.mapper.decode import encode
from network_mapper.mapper.state import State
from network_mapper.mapper.waiting import PATIENCE, Waiting, WaitingRoom
from network_mapper.model import Drop, Tally
from network_mapper.store import Database, StoreUnavailableError, Writer
from network_mapper.wire.report import (
    LEGACY_NODE,
    Client,
    Flow,
    Lookup,
    PodRef,
    Report,
    Request,
    SourceState,
    Volume,
)

_sequence = itertools.count(1)
NEW = "10.0.0.50"
DB = "StatefulSet:db"
ROW = Flow("10.96.0.5", 5432, "tcp", 3, -200, -100)


def report(*clients, node="node-a"):
    return Report(node, "boot", next(_sequence), NOW, started=NOW - 60_000, clients=list(clients))


def new_pod(address=NEW, owner="cron"):
    return pod(f"{owner}-1", "node-a", address, ("CronJob", owner))


@pytest.fixture
def apply(state):
    """Merge a report and return what was dropped."""

    def run(sent, now=NOW):
        state.coverage.hear(sent, now)
        return state.apply(sent, now, sum(client.rows() for client in sent.clients), Tally()).dropped

    return run


def test_rows_of_a_client_that_is_told_later_wait_and_are_merged_once(apply, state, index, edges):
    lookup = Lookup("db.shop.svc.cluster.local", 2, -300, -300)
    assert apply(report(Client(NEW, connections=[ROW], lookups=[lookup]))) == {}
    assert (edges(), state.waiting, state.merged) == ({}, 2, 0)
    apply_objects(index, new_pod())
    state.retry(NOW + 1000)
    state.retry(NOW + 1250)
    assert edges() == {
        ("CronJob:cron", DB, "db", 5432, "tcp"): (3, 0, 0, 0),
        ("CronJob:cron", DB, "db", 0, "dns"): (0, 0, 2, 0),
    }
    assert (state.waiting, state.merged, state.rows) == (0, 2, 2)


def test_news_of_another_address_does_not_end_the_waiting(apply, state, index):
    apply(report(Client(NEW, connections=[ROW])))
    apply_objects(index, new_pod("10.0.0.51"))
    state.retry(NOW)
    assert state.waiting == 1


def test_a_pod_that_came_after_the_row_is_not_its_client(apply, state, index, edges):
    apply(report(Client(NEW, connections=[ROW])))
    late = new_pod()
    late["status"]["startTime"] = "2099-01-01T00:00:00Z"
    apply_objects(index, late)
    state.retry(NOW)
    assert edges() == {}
    assert state.drops == {Drop.CLIENT_UNKNOWN: 1}


def test_what_waits_too_long_is_given_up_and_counted_by_row(apply, state):
    apply(report(Client(NEW, connections=[ROW, ROW])))
    state.give_up(NOW + 59_999)
    assert (state.waiting, state.drops) == (2, {})
    state.give_up(NOW + 60_000)
    assert (state.waiting, state.drops) == (0, {Drop.CLIENT_UNKNOWN: 2})
    assert (state.rows, state.merged) == (2, 0)


def test_a_running_mapper_gives_up_by_itself(apply, state, monkeypatch):
    monkeypatch.setattr(run, "_FORGET_INTERVAL", 0)
    monkeypatch.setattr(run, "clock", lambda: NOW + PATIENCE)
    apply(report(Client(NEW, connections=[ROW])))
    with contextlib.suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(run._forget_the_dead(state), 0.2))
    assert state.drops == {Drop.CLIENT_UNKNOWN: 1}


def test_retrying_in_vain_does_not_prolong_the_waiting(apply, state, index):
    apply(report(Client(NEW, connections=[ROW])))
    state._merger.room.told(NEW)
    state.retry(NOW + PATIENCE - 1)
    assert (state.waiting, state.merged) == (1, 0)
    state.give_up(NOW + PATIENCE)
    assert state.waiting == 0


def test_rows_of_one_client_part_where_only_some_have_to_wait(apply, state, index, edges):
    ended = 1_767_226_200_000 - NOW  # when the job of the tests' cluster was over
    early = Flow("10.96.0.5", 5432, "tcp", 1, ended - 60_000, ended - 60_000)
    rows = [early, ROW]
    assert apply(report(Client("10.0.0.7", connections=rows))) == {}
    assert edges() == {("Job:job", DB, "db", 5432, "tcp"): (1, 0, 0, 0)}
    assert state.waiting == 1


@pytest.mark.parametrize("kind", ["connections", "attempts", "sockets"])
def test_rows_of_every_kind_wait_and_count_as_what_they_are(apply, state, index, edges, kind):
    assert apply(report(Client(NEW, **{kind: [ROW]}))) == {}
    apply_objects(index, new_pod())
    state.retry(NOW)
    counts = {"connections": (3, 0, 0, 0), "attempts": (0, 3, 0, 0), "sockets": (0, 0, 0, 3)}
    assert edges() == {("CronJob:cron", DB, "db", 5432, "tcp"): counts[kind]}


def test_a_row_waits_for_who_was_there_at_its_end(apply, state):
    before_the_job_was_over = 1_767_226_200_000 - NOW - 60_000
    apply(report(Client("10.0.0.7", connections=[Flow("10.96.0.5", 5432, "tcp", 2, before_the_job_was_over, -100)])))
    assert state.waiting == 1


def test_what_a_watcher_says_of_such_a_client_does_not_wait(apply, state):
    request = Request("10.0.1.2", "http", "/", "GET", 1, -100, -100)
    volume = Volume("10.0.1.2", 1000, 1, -100, -100)
    sent = report(Client(NEW, connections=[ROW], requests=[request], volumes=[volume]))
    assert apply(sent) == {"client_unknown": 2}
    assert state.waiting == 1


def test_an_address_written_in_another_way_is_waited_for_as_the_same(apply, state, index, edges):
    apply(report(Client(f"::ffff:{NEW}", connections=[ROW])))
    apply_objects(index, new_pod())
    state.retry(NOW)
    assert edges() == {("CronJob:cron", DB, "db", 5432, "tcp"): (3, 0, 0, 0)}


@pytest.mark.parametrize("address", ["127.0.0.1", "fe80::1", "224.0.0.1", "0.0.0.0", "10.0.0.", ""])
def test_who_can_never_be_told_of_does_not_wait(apply, state, address):
    apply(report(Client(address, connections=[ROW])))
    assert state.waiting == 0


def test_the_outside_does_not_wait(apply, state, edges):
    apply(report(Client("198.51.100.7", connections=[ROW])))
    assert state.waiting == 0
    assert list(edges()) == [("External:198.51.100.0/24", DB, "db", 5432, "tcp")]


def test_reports_that_name_no_node_do_not_wait(apply, state):
    assert apply(report(Client(NEW, connections=[ROW]), node=LEGACY_NODE)) == {"client_unknown": 1}


def test_the_other_nodes_sighting_waits_too_and_counts_elsewhere(apply, state, index, edges):
    for node in ("node-a", "node-b"):
        apply(report(Client(NEW, connections=[ROW]), node=node))
    apply_objects(index, new_pod())
    state.retry(NOW)
    assert edges() == {("CronJob:cron", DB, "db", 5432, "tcp"): (3, 0, 0, 0)}
    assert state.drops == {Drop.SEEN_ELSEWHERE: 1}


def test_more_than_there_is_room_for_is_dropped_at_once(apply, state):
    state._merger.room = WaitingRoom(most=2)
    assert apply(report(Client(NEW, connections=[ROW, ROW]))) == {}
    assert apply(report(Client("10.0.0.51", connections=[ROW]))) == {"client_unknown": 1}
    assert state.waiting == 2


def test_there_is_room_for_fifty_thousand_rows():
    room = WaitingRoom()
    assert room.put(NEW, Waiting(NOW, report(Client(NEW, connections=[ROW] * 50_000))))
    assert not room.put(NEW, Waiting(NOW, report(Client(NEW, connections=[ROW]))))


def test_news_is_acted_on_once():
    room = WaitingRoom()
    room.put(NEW, Waiting(NOW, report(Client(NEW, connections=[ROW]))))
    room.told(NEW)
    assert len(room.take_due()) == 1
    room.put(NEW, Waiting(NOW, report(Client(NEW, connections=[ROW]))))
    assert room.take_due() == []


def test_news_of_addresses_that_nobody_waits_for_is_not_kept():
    room = WaitingRoom()
    room.told(NEW)
    room.put(NEW, Waiting(NOW, report(Client(NEW, connections=[ROW]))))
    assert room.take_due() == []


def test_rows_from_before_a_reset_are_dropped_when_their_client_comes(apply, state, index, edges):
    apply(report(Client(NEW, connections=[ROW])))
    state.reset_at = state._merger.reset_at = NOW
    apply_objects(index, new_pod())
    state.retry(NOW + 1)
    assert edges() == {}
    assert state.drops == {Drop.BEFORE_RESET: 1}


class TestKept:
    """In the store."""

    @pytest.fixture
    def path(self, tmp_path):
        return str(tmp_path / "map.db")

    @staticmethod
    def checkpoint(state, path):
        async def run():
            loop = asyncio.get_running_loop()
            Database(path).close()
            writer = Writer(path, sync="normal", max_bytes=0, deliver=loop.call_soon_threadsafe)
            writer.start()
            await state.checkpoint(writer, NOW)
            await asyncio.to_thread(writer.close, 5)

        asyncio.run(run())

    @staticmethod
    def restart(index, path, now=NOW):
        state = State(index, max_edges=1000)
        database = Database(path)
        state.restore(database, now)
        state.replay(database, now)
        database.close()
        return state

    @staticmethod
    def stored(path):
        database = Database(path)
        found = len(list(database.waiting()))
        database.close()
        return found

    def test_what_waits_outlives_the_mapper_and_is_counted_once(self, apply, state, index, path):
        apply(report(Client(NEW, connections=[ROW])))
        self.checkpoint(state, path)
        again = self.restart(index, path)
        assert (again.waiting, again.rows, again.merged) == (1, 1, 0)
        apply_objects(index, new_pod())
        again.retry(NOW)
        self.checkpoint(again, path)
        last = self.restart(index, path)
        assert (last.waiting, [entry.edge.connections for entry in last.graph.in_order()]) == (0, [3])

    def test_its_patience_goes_on(self, apply, state, index, path):
        apply(report(Client(NEW, connections=[ROW])))
        self.checkpoint(state, path)
        again = self.restart(index, path, NOW + PATIENCE - 1)
        assert again.waiting == 1
        again.give_up(NOW + PATIENCE)
        assert again.drops == {Drop.CLIENT_UNKNOWN: 1}

    def test_what_waits_no_more_is_not_in_the_store(self, apply, state, index, path):
        apply(report(Client(NEW, connections=[ROW])))
        self.checkpoint(state, path)
        assert self.stored(path) == 1
        apply_objects(index, new_pod())
        state.retry(NOW)
        state.give_up(NOW)
        self.checkpoint(state, path)
        assert self.stored(path) == 0

    def test_what_was_given_up_is_not_in_the_store_though_nothing_else_has_changed(self, apply, state, path):
        apply(report(Client(NEW, connections=[ROW])))
        self.checkpoint(state, path)
        state.give_up(NOW + PATIENCE)
        self.checkpoint(state, path)
        assert self.stored(path) == 0

    def test_since_when_the_map_watches_outlives_the_mapper(self, apply, state, index, path):
        first = report(Client(NEW, connections=[ROW]))
        first.sequence = 1
        apply(first)
        assert state.coverage.since(0) == NOW - 60_000
        self.checkpoint(state, path)
        assert self.restart(index, path).coverage.since(0) == NOW - 60_000

    def test_what_came_is_in_the_store_though_nothing_went_meanwhile(self, apply, state, path):
        apply(report(Client(NEW, connections=[ROW])))
        state.give_up(NOW)
        self.checkpoint(state, path)
        assert self.stored(path) == 1

    def test_it_is_written_again_only_when_it_has_changed(self, apply, state):
        points = []

        class Watched:
            @staticmethod
            def write(point, done):
                points.append(point)
                done(0)

        apply(report(Client(NEW, connections=[ROW])))
        asyncio.run(state.checkpoint(Watched(), NOW))
        apply(report(Client("198.51.100.7", connections=[ROW])))
        asyncio.run(state.checkpoint(Watched(), NOW))
        assert [point.waiting is None for point in points] == [False, True]

    def test_what_could_not_be_written_is_written_the_next_time(self, apply, state, path):
        class FullDisk:
            @staticmethod
            def write(_point, done):
                done(StoreUnavailableError("the disk is full"))

        apply(report(Client(NEW, connections=[ROW])))
        with pytest.raises(StoreUnavailableError):
            asyncio.run(state.checkpoint(FullDisk(), NOW))
        self.checkpoint(state, path)
        database = Database(path)
        ((_, since, body),) = database.waiting()
        database.close()
        assert since == NOW
        assert body == encode(state._merger.room.everything()[0].report)


def test_what_waits_is_one_clients_and_nothing_else_of_its_report(apply, state):
    client = Client(NEW, tap=7, pod=PodRef("shop", "cron-1", "u"), connections=[ROW])
    others = [Client("198.51.100.7", connections=[ROW]), Client("10.0.0.51", connections=[ROW])]
    sent = report(*others, client)
    sent.drops, sent.sources = {"ring_overflow": 3}, [SourceState("ring", 9, 9)]
    apply(sent)
    (_, waits) = state._merger.room.everything()
    assert waits == Waiting(NOW, msgspec.structs.replace(sent, clients=[client], drops={}, sources=[]))
    assert waits.client == client
