"""Waiting, resting and merging against slow and obviously right models.

The first is a list of all that waits. The second is the truth: pods that take each other's addresses, told late by the
API, seen by two nodes whose clocks differ, reported late, twice and out of order. Whatever the order, the map is what
happened.
"""

import collections
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from cluster_objects import NOW, node, pod, write
from hypothesis import given, settings
from hypothesis import strategies as st
from kube import apply as apply_objects

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load
from network_mapper.mapper.state import State, seen_in
from network_mapper.mapper.waiting import PATIENCE, SHARE, Waiting, WaitingRoom
from network_mapper.model import Drop, PodRef, Tally, Workload
from network_mapper.wire.report import Client, Flow, Report

LATE = 5_000
SLOWEST_NEWS = 4_000
NODES = ("node-a", "node-b")
ADDRESSES = (("10.0.0.101", 0), ("10.0.0.102", 0), ("10.0.1.101", 1), ("10.0.1.102", 1))


class Life(NamedTuple):
    """A pod that had an address; whole seconds since the world began, both included."""

    number: int
    address: str
    node: int
    start: int
    end: int
    told: bool
    delays: tuple[int, int]

    @property
    def ref(self):
        return PodRef("shop", f"w{self.number}-x", f"Pod-shop-w{self.number}-x")

    @property
    def workload(self):
        return Workload(f"w{self.number}", "shop", "Job")


class Meeting(NamedTuple):
    """Connections from one pod to another, by when in milliseconds, and how they are reported."""

    client: Life
    server: Life
    at: int
    count: int
    knows: bool
    delay: int
    again: int


@st.composite
def worlds(draw):
    lives = []
    for address, on in ADDRESSES:
        second = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(1, 3))):
            length = draw(st.integers(1, 6))
            delays = draw(st.tuples(st.integers(0, SLOWEST_NEWS), st.integers(0, SLOWEST_NEWS)))
            told = draw(st.integers(0, 9)) > 0
            lives.append(Life(len(lives), address, on, second, second + length, told, delays))
            second += length + draw(st.integers(2, 5))
    pairs = [(a, b) for a in lives for b in lives if a is not b and max(a.start, b.start) <= min(a.end, b.end)]
    meetings = []
    for client, server in draw(st.lists(st.sampled_from(pairs), max_size=7)) if pairs else ():
        begin, end = max(client.start, server.start) * 1000, min(client.end, server.end) * 1000 + 999
        meetings.append(
            Meeting(
                client,
                server,
                draw(st.integers(begin, end)),
                draw(st.integers(1, 5)),
                draw(st.booleans()),
                draw(st.integers(0, 3_000)),
                draw(st.sampled_from([0, 0, 700, 20_000])),
            )
        )
    ahead = draw(st.tuples(*(st.sampled_from([0, 0, -200_000, -40_000, 3_000, 90_000]) for _ in NODES)))
    return lives, meetings, ahead


def written(second, ahead):
    """A second of the world as a node whose clock is ahead tells it to the API."""
    return datetime.fromtimestamp(NOW // 1000 + second + ahead // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(life, ahead, *, ended):
    finished = written(life.end, ahead) if ended else None
    phase = "Succeeded" if ended else "Running"
    owner = ("Job", life.workload.name)
    item = pod(life.ref.name, NODES[life.node], life.address, owner, phase=phase, finished=finished)
    item["status"]["startTime"] = written(life.start, ahead)
    return item


def reports(meeting, number, ahead):
    """What the nodes report of it: both see it, where they are two."""
    for place in sorted({meeting.client.node, meeting.server.node}):
        at = meeting.at + ahead[place]
        knows = meeting.knows and place == meeting.client.node
        row = Flow(meeting.server.address, 80, "tcp", meeting.count, at, at)
        ref = meeting.client.ref if knows else None
        client = Client(meeting.client.address, 5, ref, connections=[row])
        name = NODES[place]
        yield Report(name, f"b{number}", 1, NOW, NOW - 900_000, NOW, clients=[client], ahead=ahead[place])


def happenings(lives, meetings, ahead):
    """Everything that reaches the mapper, by when: each pod's news in its order, reports late and some twice."""
    found = []
    for life in lives:
        if life.told:
            first = life.start * 1000 + life.delays[0]
            found.append((first, told(life, ahead[life.node], ended=False)))
            last = max(first, life.end * 1000 + 999 + life.delays[1])
            found.append((last, told(life, ahead[life.node], ended=True)))
    for number, meeting in enumerate(meetings):
        for report in reports(meeting, number, ahead):
            found.append((meeting.at + meeting.delay, report))
            if meeting.again:
                found.append((meeting.at + meeting.delay + meeting.again, report))
    return sorted(found, key=lambda each: each[0])


def play(make, lives, meetings, ahead):
    """The state after everything has happened, and every balance on the way."""
    index = make()
    state = State(index, 10_000)
    state.look_around(NOW, late=LATE)
    for place, name in enumerate(NODES):
        hello = Report(name, "hello", 1, NOW, NOW - 900_000, NOW + 900_000, ahead=ahead[place])
        state.hear(hello, NOW)
        state.coverage.count(hello, NOW)
    for at, what in happenings(lives, meetings, ahead):
        state.retry(NOW + at)
        state.give_up(NOW + at)
        if not isinstance(what, Report):
            apply_objects(index, what)
        elif not state.coverage.is_counted(what):
            state.hear(what, NOW + at)
            state.apply(what, NOW + at, seen_in(what), Tally())
        assert state.rows == state.merged + state.waiting + sum(state.drops.values())
    end = NOW + 200_000 + PATIENCE
    state.retry(end)
    state.give_up(end)
    return state


def truth(meetings):
    """What the map and the drops should be."""
    edges, drops = collections.Counter(), collections.Counter()
    for meeting in meetings:
        client, server = meeting.client, meeting.server
        own = client.workload if client.told else Workload(client.ref.name, "shop", "") if meeting.knows else None
        if client.node != server.node:
            drops[Drop.SEEN_ELSEWHERE if client.told else Drop.NEVER_SEEN] += meeting.count
        if own is None or not server.told:
            drops[Drop.NEVER_SEEN] += meeting.count
        else:
            edges[own, server.workload] += meeting.count
    return +edges, +drops


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Makes an index of a cluster of two nodes and a pod of old on each."""
    objects = load(write(tmp_path_factory.mktemp("model") / "cluster")).objects

    def index():
        made = Index("cluster.local")
        for kind, item in objects:
            made.apply(kind, item)
        for number, name in enumerate(NODES):
            apply_objects(made, node(name, f"192.168.1.{number + 1}", f"10.0.{number}.0/24"))
        return made

    return index


@settings(max_examples=250, deadline=None)
@given(world=worlds())
def test_the_map_is_what_happened_whatever_came_late_twice_or_out_of_order(make, world):
    lives, meetings, ahead = world
    state = play(make, lives, meetings, ahead)
    edges, drops = truth(meetings)
    found = {(e.edge.client, e.edge.server): e.edge.connections for e in state.graph.in_order()}
    assert found == edges
    assert state.drops == drops
    assert state.waiting == 0
    for entry in state.graph.in_order():
        edge = entry.edge
        times = [
            NOW + each.at
            for each in meetings
            if each.server.workload == edge.server
            and edge.client.name in (each.client.workload.name, each.client.ref.name)
        ]
        assert min(times) <= edge.first_seen <= edge.last_seen <= max(times)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.sampled_from(["x", "y", "z"]), st.integers(1, 3)),
        st.tuples(st.just("told"), st.sampled_from("abcd")),
        st.tuples(st.just("due")),
        st.tuples(st.just("pass"), st.integers(1, PATIENCE)),
        st.tuples(st.just("overdue")),
        st.tuples(st.just("hold"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps=operations)
def test_a_waiting_room_is_a_list_that_is_looked_through(steps):
    most = 3 * SHARE
    room = WaitingRoom(most=most)
    waits, due, now, released = [], set(), NOW, 0
    for step in steps:
        match step:
            case "put", key, who, rows:
                row = Flow("10.0.0.1", 80, "tcp", 2, 0, 0)
                waiting = Waiting(now, Report("n", "b", 1, NOW, clients=[Client(who, connections=[row] * rows)]))
                sizes = collections.Counter()
                for _, client, held in waits:
                    sizes[client] += held.report.clients[0].rows()
                fits = sizes.total() + rows <= most and sizes[who] + rows <= most // SHARE
                assert room.put(key, waiting) == fits
                if fits:
                    waits.append((key, who, waiting))
            case "told", key:
                room.told(key)
                due |= {key} & {held for held, _, _ in waits}
            case ("due",):
                assert room.take_due(now) == [w for key in sorted(due) for held, _, w in waits if held == key]
                waits = [each for each in waits if each[0] not in due]
                due = set()
            case "pass", time:
                now += time
            case "hold", hold:
                room.hold = hold
            case ("overdue",):
                released = now if room.hold else released
                over = [] if now - released < PATIENCE else [w for _, _, w in waits if w.since <= now - PATIENCE]
                assert sorted(room.take_overdue(now), key=id) == sorted(over, key=id)
                waits = [each for each in waits if not any(each[2] is gone for gone in over)]
        assert sorted(room, key=id) == sorted((w for _, _, w in waits), key=id)
        assert room.rows == sum(w.report.clients[0].rows() for _, _, w in waits)
        assert room.observations == 2 * room.rows
