"""Who was not seen for long leaves, in memory and on disk, and comes back as somebody new."""

import asyncio

import pytest
from cluster_objects import NOW

from network_mapper.mapper.graph import Graph
from network_mapper.mapper.retention import Retention
from network_mapper.mapper.state import State, seen_in
from network_mapper.model import Edge, Kind, Tally, Workload
from network_mapper.store import Checkpoint, Database
from network_mapper.store.database import NEVER
from network_mapper.store.ranges import read_range
from network_mapper.store.schema import HOUR, MINUTE
from network_mapper.store.writer import _write
from network_mapper.wire.report import Client, Flow, Report

DAY = 24 * HOUR
A, B, C = (Workload(name, "shop", "Deployment") for name in "abc")


def graph_of(*seen, at=1):
    """A graph with an edge for each time of a last sighting; all is on disk."""
    graph = Graph(1000)
    for number, last in enumerate(seen, at):
        graph.restore(number, Edge(A, B, None, number, "tcp", 1, first_seen=last, last_seen=last), 0)
    return graph


def bucket(last):
    return (last - last % MINUTE, 1, 1, 0, 0, 0, last, last, 0, 0, 0)


def ports(graph):
    return [entry.edge.port for entry in graph.in_order()]


def test_an_edge_leaves_when_it_was_not_seen_for_the_whole_span():
    graph = graph_of(NOW - DAY - 2 * MINUTE, NOW - DAY, NOW)
    retention = Retention(DAY)
    retention.learn([bucket(NOW)], NOW)
    assert retention.let_go(graph, NOW) == 1
    assert ports(graph) == [2, 3]
    assert retention.let_go(graph, NOW + 2 * MINUTE) == 1
    assert ports(graph) == [3]


def test_for_ever_is_for_ever():
    graph = graph_of(1)
    retention = Retention(0)
    retention.learn([bucket(NOW)], NOW)
    assert (retention.let_go(graph, NOW), retention.kept_since) == (0, 0)


def test_a_map_that_is_told_of_long_ago_keeps_it_for_as_long_as_one_that_is_told_of_today():
    """A capture file of last year."""
    last_year = NOW - 365 * DAY
    graph = graph_of(last_year - 2 * DAY, last_year - HOUR, last_year)
    retention = Retention(DAY)
    retention.learn([bucket(last_year)], NOW)
    retention.let_go(graph, NOW)
    assert ports(graph) == [2, 3]
    retention.let_go(graph, NOW + DAY - MINUTE)
    assert ports(graph) == [3]
    retention.let_go(graph, NOW + DAY + 2 * MINUTE)
    assert ports(graph) == []


def test_what_is_old_leaves_once_something_is_told_of_today():
    graph = graph_of(NOW - 365 * DAY, NOW)
    retention = Retention(DAY)
    retention.learn([bucket(NOW - 365 * DAY)], NOW)
    retention.learn([bucket(NOW - 5)], NOW)
    retention.learn([bucket(NOW - DAY)], NOW)
    assert retention.lag == 5
    retention.let_go(graph, NOW)
    assert ports(graph) == [2]


def test_a_clock_that_is_behind_a_node_gives_no_lag_below_nothing():
    retention = Retention(DAY)
    retention.learn([bucket(NOW + 5)], NOW)
    assert retention.lag == 0


def test_nothing_leaves_before_anything_was_seen():
    graph = graph_of(1)
    assert Retention(DAY).let_go(graph, NOW) == 0


def test_few_leave_at_a_time_and_all_in_the_end():
    graph = graph_of(*([NOW - 3 * DAY] * 25))
    retention = Retention(DAY)
    retention.learn([bucket(NOW)], NOW)
    assert [retention.let_go(graph, NOW + n, most=10) for n in range(5)] == [10, 10, 5, 0, 0]
    assert retention.left == 25


def test_hours_are_kept_until_all_of_them_is_too_old():
    retention = Retention(DAY)
    retention.learn([bucket(NOW)], NOW)
    retention.let_go(graph_of(), NOW)
    assert retention.kept_since == (NOW - DAY) // HOUR * HOUR
    retention.let_go(graph_of(), NOW - 5 * HOUR)
    assert retention.kept_since == (NOW - DAY) // HOUR * HOUR


def test_what_no_checkpoint_has_yet_stays_until_one_has_it():
    graph = graph_of(NOW - 2 * DAY)
    (old,) = graph.in_order()
    graph.add(old, Kind.CONNECTIONS, 1, NOW - 2 * DAY, NOW - 2 * DAY)
    new = graph.entry(A, C, None, 99, "tcp")
    graph.add(new, Kind.CONNECTIONS, 1, NOW - 2 * DAY, NOW - 2 * DAY)
    assert graph.expire(NOW, 10) == 0
    graph.give_back(graph.take_changes())
    assert graph.expire(NOW, 10) == 0
    graph.take_changes()
    assert graph.expire(NOW, 10) == 2
    assert sorted(graph.take_changes().gone) == [1, 2]


def test_a_checkpoint_that_fails_keeps_who_left_for_the_next():
    graph = graph_of(1)
    graph.expire(2, 10)
    changes = graph.take_changes()
    graph.give_back(changes)
    assert graph.take_changes().gone == [1]
    assert graph.take_changes().gone == []


def test_ends_that_are_of_no_edge_any_more_are_forgotten():
    graph = graph_of(1)
    graph.restore(7, Edge(A, C, None, 1, "tcp", 1, first_seen=5, last_seen=5), 0)
    graph.expire(3, 10)
    assert set(graph.peers()) == {A, C}
    entry = graph.entry(C, A, None, 80, "tcp")
    assert entry.edge.server is next(one.edge.client for one in graph.in_order() if one.number == 7)


class Mapper:
    """A state and its file, with the writer in the caller's thread."""

    def __init__(self, index, path, retention):
        self.database = Database(str(path), sync="normal")
        self.state = State(index, 1000, retention=retention)
        self.state.restore(self.database, NOW)
        self.path = str(path)
        self.sequence = 0

    def see(self, now, port, age=0):
        self.sequence += 1
        flow = Flow("10.0.1.2", port, "tcp", 1, -age, -age)
        report = Report("node-a", "boot", self.sequence, now, clients=[Client("10.0.0.1", connections=[flow])])
        self.state.hear(report, now)
        self.state.apply(report, now, seen_in(report), Tally())

    def checkpoint(self, now):
        asyncio.run(self.state.checkpoint(self, now))

    def write(self, point, done):
        self.database.connection.execute("BEGIN")
        _write(self.database.connection, point)
        self.database.connection.execute("COMMIT")
        done(0)

    def edges(self):
        return [(entry.edge.port, entry.edge.connections, entry.number) for entry in self.state.graph.in_order()]

    def stored(self):
        return sorted((one.edge.port, one.edge.connections, one.number) for one in self.database.edges())


@pytest.fixture
def mapper(index, tmp_path):
    made = Mapper(index, tmp_path / "map.db", 2 * DAY)
    yield made
    made.database.close()


def test_an_edge_that_comes_back_is_a_new_one_also_for_rows_that_were_remembered(mapper):
    for port in (80, 443):
        mapper.see(NOW, port)
    mapper.checkpoint(NOW)
    later = NOW + 2 * DAY + 5 * MINUTE
    mapper.see(later, 443)
    mapper.checkpoint(later)
    mapper.checkpoint(later + MINUTE)
    assert mapper.edges() == mapper.stored() == [(443, 2, 2)]
    mapper.see(later + MINUTE, 80)
    mapper.checkpoint(later + MINUTE)
    assert mapper.edges() == mapper.stored() == [(80, 1, 3), (443, 2, 2)]
    counts = read_range(mapper.path, 0, later + DAY).counts
    assert {number: counts[number][0] for number in (2, 3)} == {2: 1 + (later - 2 * DAY - HOUR <= NOW), 3: 1}


def test_a_start_after_a_long_rest_lets_go_of_everything_that_is_too_old_at_once(index, tmp_path, mapper):
    for port in range(1, 30):
        mapper.see(NOW - 3 * DAY, port)
    mapper.checkpoint(NOW - 3 * DAY)
    again = Mapper(index, tmp_path / "map.db", 2 * DAY)
    assert again.edges() == []
    again.checkpoint(NOW)
    assert again.stored() == []
    again.database.close()
    # Their numbers are still in buckets that have yet to leave, so nobody else gets them.
    third = Mapper(index, tmp_path / "map.db", 2 * DAY)
    third.see(NOW, 80)
    assert third.edges() == [(80, 1, 30)]
    third.database.close()


def test_the_number_of_an_edge_that_left_is_not_used_again_after_a_restart(tmp_path):
    path = str(tmp_path / "map.db")
    database = Database(path)
    edge = Edge(A, B, None, 80, "tcp", first_seen=NEVER)
    _write(database.connection, Checkpoint(NOW, edges=[(5, edge)], buckets=[(NOW, 5, *bucket(NOW)[2:])]))
    _write(database.connection, Checkpoint(NOW, gone=[5]))
    graph = Graph(10)
    meta = database.meta()
    graph.go_on_after(int(meta["edges"]), int(meta["number"]))
    assert graph.entry(A, B, None, 80, "tcp").number == 6
    database.close()
