"""New edges are shown while their reports rest, where it is certain who the client is."""

import itertools

import pytest
from cluster_objects import NOW, pod
from kube import apply as apply_objects

from network_mapper.mapper import query
from network_mapper.mapper.state import seen_in
from network_mapper.model import PodRef, Tally
from network_mapper.wire.report import Client, Flow, Lookup, Report

_sequence = itertools.count(1)
WEB = "10.0.0.50"
REF = PodRef("shop", "web-1", "uid-web-1")
ROW = Flow("10.96.0.5", 5432, "tcp", 3, -200, -100)
SETTLE = 5_000


@pytest.fixture
def resting(state, index):
    """A state whose reports rest, and in whose cluster a client is known by its UID."""
    new = pod("web-1", "node-a", WEB, ("Deployment", "web"))
    new["metadata"]["uid"] = REF.uid
    apply_objects(index, new)
    state.look_around(NOW, api_away_since=0, forbidden=False, late=SETTLE)
    return state


@pytest.fixture
def send(resting):
    def run(*clients):
        sent = Report("node-a", "boot", next(_sequence), NOW, started=NOW - 60_000, clients=list(clients))
        resting.coverage.hear(sent, NOW)
        resting.apply(sent, NOW, seen_in(sent), Tally())

    return run


def shown(state, **wanted):
    edges = query.map_document(state, query.Filter(**wanted), NOW).edges
    return {(edge.client.name, edge.server.name, edge.port): edge.connections or edge.lookups for edge in edges}


def test_a_new_edge_is_shown_at_once_and_is_merged_when_it_has_rested(resting, send, edges):
    send(Client(WEB, pod=REF, connections=[ROW], lookups=[Lookup("db.shop.svc.cluster.local", 2, -300, -300)]))
    assert shown(resting) == {("web", "db", 5432): 3, ("web", "db", 0): 2}
    assert edges() == {}
    resting.retry(NOW + SETTLE)
    assert len(edges()) == 2
    assert shown(resting) == {("web", "db", 5432): 3, ("web", "db", 0): 2}
    assert resting.preview() == []


def test_nothing_is_counted_twice_by_looking(resting, send, edges):
    send(Client(WEB, pod=REF, connections=[ROW]))
    before = resting.accounting()
    for _ in range(3):
        shown(resting)
    assert resting.accounting() == before
    resting.retry(NOW + SETTLE)
    assert [counts[0] for counts in edges().values()] == [3]


def test_who_is_known_by_an_address_alone_is_shown_when_it_has_rested(resting, send):
    send(Client(WEB, connections=[ROW]))
    assert shown(resting) == {}
    resting.retry(NOW + SETTLE)
    assert shown(resting) == {("web", "db", 5432): 3}


def test_a_pod_that_nobody_has_told_of_is_not_shown(resting, send):
    send(Client("10.0.0.51", pod=PodRef("shop", "web-2", "uid-web-2"), connections=[ROW]))
    assert shown(resting) == {}


def test_an_edge_of_the_map_shows_the_counts_that_have_rested(resting, send):
    send(Client(WEB, pod=REF, connections=[ROW]))
    resting.retry(NOW + SETTLE)
    send(Client(WEB, pod=REF, connections=[ROW]))
    assert shown(resting) == {("web", "db", 5432): 3}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [({"client": "web"}, 1), ({"client": "db"}, 0), ({"server": "db"}, 1), ({"server": "web"}, 0)],
)
def test_filters_hold_for_what_rests(resting, send, wanted, found):
    send(Client(WEB, pod=REF, connections=[ROW]))
    assert len(shown(resting, **wanted)) == found


def test_edges_that_rest_stand_in_order_among_the_others(resting, send):
    send(Client(WEB, pod=REF, connections=[ROW]))
    resting.retry(NOW + SETTLE)
    send(Client(WEB, pod=REF, connections=[Flow("10.96.0.5", 1, "tcp", 1, -200, -100)]))
    ports = [edge.port for edge in query.map_document(resting, query.Filter(), NOW).edges]
    assert ports == [1, 5432]
