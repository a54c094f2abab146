"""Merging against a slow and obviously right model: any order, any repetition, any split gives the same map."""

import collections

import pytest
from cluster_objects import NOW, write
from hypothesis import given, settings
from hypothesis import strategies as st

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load
from network_mapper.mapper.state import State
from network_mapper.mapper.waiting import PATIENCE
from network_mapper.model import Drop, Tally
from network_mapper.wire.report import Client, Flow, Lookup, Report

NODES = {"10.0.0.1": "node-a", "10.0.1.1": "node-b", "10.0.1.2": "node-b", "192.168.1.1": "node-a"}
flows = st.builds(
    Flow,
    st.sampled_from(["10.0.0.1", "10.0.1.2", "10.96.0.5", "10.96.0.6", "10.96.0.7", "198.51.100.9", "10.0.0.99", "x"]),
    st.sampled_from([80, 5432]),
    st.just("tcp"),
    st.integers(1, 5),
    st.integers(-100_000, 0),
    st.integers(0, 100_000),
    st.sampled_from(["", "", "10.0.1.2", "10.0.0.1"]),
)
lookups = st.builds(
    Lookup,
    st.sampled_from(
        ["db.shop.svc.cluster.local", "mixed.shop.svc.cluster.local", "example.org", "no.shop.svc.cluster.local"]
    ),
    st.integers(1, 5),
    st.integers(-100_000, 0),
    st.integers(0, 100_000),
)
clients = st.builds(
    Client,
    st.sampled_from([*NODES, "10.0.0.7"]),
    connections=st.lists(flows, max_size=4),
    attempts=st.lists(flows, max_size=2),
    sockets=st.lists(flows, max_size=2),
    lookups=st.lists(lookups, max_size=2),
)
reports = st.lists(
    st.tuples(st.sampled_from(["node-a", "node-b"]), st.lists(clients, max_size=4), st.integers(-200_000, 0)),
    max_size=6,
)


def fresh(index):
    state = State(index, max_edges=10_000)
    for node in ("node-a", "node-b"):
        state.coverage.hear(Report(node, "hello", 1, NOW), NOW)
    return state


def send(state, sent):
    """Take in reports as the intake does; returns what was dropped."""
    drops = Tally()
    for sequence, (node, groups, base) in sent:
        report = Report(node, f"boot-{sequence}", 1, NOW + base, clients=groups)
        if not state.coverage.is_counted(report):
            state.apply(report, NOW, sum(client.rows() for client in groups), Tally())
    state.give_up(NOW + PATIENCE)
    for reason, count in state.drops.items():
        drops.add(reason, count)
    return drops


def shape(state):
    return {
        (repr(e.client), repr(e.server), repr(e.service), e.port, e.protocol): (
            (e.connections, e.attempts, e.lookups, e.sockets),
            (e.first_seen, e.last_seen),
        )
        for e in (entry.edge for entry in state.graph.in_order())
    }


def buckets(state):
    """Sum of the differences that a checkpoint would write, by edge number and minute."""
    sums = collections.defaultdict(lambda: [0, 0, 0, 0])
    for start, number, *counters in state.graph.take_changes()[1]:
        for place in range(4):
            sums[number, start][place] += counters[place]
    return dict(sums)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Makes an index of the tests' cluster; its files are read once."""
    objects = load(write(tmp_path_factory.mktemp("properties") / "cluster")).objects

    def index():
        made = Index("cluster.local")
        for kind, item in objects:
            made.apply(kind, item)
        return made

    return index


@settings(max_examples=150)
@given(sent=reports, order=st.randoms(use_true_random=False), repeats=st.lists(st.integers(0, 5), max_size=6))
def test_order_and_repetition_change_nothing(make, sent, order, repeats):
    numbered = list(enumerate(sent))
    once = fresh(make())
    drops = send(once, numbered)
    mixed = numbered + [numbered[n] for n in repeats if n < len(numbered)]
    order.shuffle(mixed)
    again = fresh(make())
    assert send(again, mixed) == drops
    assert shape(again) == shape(once)
    rows = sum(client.rows() for _, groups, _ in sent for client in groups)
    assert once.rows == rows == once.merged + sum(drops.values())


@settings(max_examples=150)
@given(sent=reports)
def test_remembered_rows_give_what_fresh_ones_give(make, sent):
    remembering, forgetting = fresh(make()), fresh(make())
    for numbered in enumerate(sent):
        send(remembering, [numbered])
        forgetting._merger.forget_all()
        send(forgetting, [numbered])
    assert shape(remembering) == shape(forgetting)
    assert remembering.drops == forgetting.drops


@settings(max_examples=100)
@given(sent=reports)
def test_buckets_add_up_to_the_totals(make, sent):
    state = fresh(make())
    send(state, list(enumerate(sent)))
    totals = collections.defaultdict(lambda: [0, 0, 0, 0])
    for (number, start), counters in buckets(state).items():
        assert start % 60_000 == 0
        for place in range(4):
            totals[number][place] += counters[place]
    expected = {
        entry.number: [entry.edge.connections, entry.edge.attempts, entry.edge.lookups, entry.edge.sockets]
        for entry in state.graph.in_order()
    }
    assert dict(totals) == expected


@settings(max_examples=100)
@given(sent=reports)
def test_a_client_counts_on_its_own_node_alone(make, sent):
    state = fresh(make())
    drops = send(state, list(enumerate(sent)))
    elsewhere = sum(
        client.rows() for node, groups, _ in sent for client in groups if NODES.get(client.address, node) != node
    )
    assert drops.get(Drop.SEEN_ELSEWHERE, 0) <= elsewhere
    foreign = fresh(make())
    only = [
        (n, (node, [c for c in groups if NODES.get(c.address, node) != node], base))
        for n, (node, groups, base) in enumerate(sent)
    ]
    send(foreign, only)
    assert len(foreign.graph) == 0
