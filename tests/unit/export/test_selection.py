from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export.pairs import is_routine
from network_mapper.export.selection import Selection, SelectionError, choose, client_tags, hidden, matching, ways
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

NAMES = st.sampled_from(["a", "b", "a.b", "b.a", "a/b", "kube-dns", "-x", "", "q\"'", "é", "\x1b[2J"])
SPACES = st.sampled_from(["a", "b", "kube-system", ""])
WORKLOADS = st.builds(Workload, NAMES, SPACES, st.sampled_from(["Pod", "Deployment"]))
SIMPLE = st.one_of(WORKLOADS, st.builds(Node, NAMES), st.builds(Service, NAMES, SPACES))
PEERS = st.one_of(SIMPLE, st.builds(External, NAMES), st.builds(Ambiguous, st.tuples(SIMPLE, SIMPLE)))
COUNT = st.integers(0, 9)
EDGES = st.lists(
    st.builds(
        Edge,
        client=PEERS,
        server=PEERS,
        service=st.one_of(st.none(), st.builds(ServiceRef, NAMES, SPACES)),
        port=st.sampled_from([0, 53, 80]),
        protocol=st.sampled_from(["tcp", "dns", "http"]),
        connections=COUNT,
        attempts=COUNT,
        lookups=COUNT,
        first_seen=st.integers(0, 9),
        last_seen=st.integers(0, 9),
        details=st.dictionaries(st.sampled_from(["/a", "/b"]), st.lists(st.sampled_from(["GET", "PUT"]), unique=True)),
    ),
    max_size=20,
)
ROWS = st.lists(
    st.builds(
        WorkloadRow, NAMES, SPACES, st.just("Pod"), st.just(1), st.dictionaries(st.sampled_from("kl"), st.just("v"))
    ),
    max_size=5,
)


@st.composite
def maps(draw):
    own = draw(st.lists(WORKLOADS, max_size=2))
    return MapDocument("m", 1, 0, 0, 0, 0, draw(EDGES), own, draw(ROWS))


ASKED = st.lists(st.one_of(NAMES, st.sampled_from(["a.a", "b.a", "a/b", "a.b.a"])), max_size=2, unique=True).map(tuple)
FILTERS = st.one_of(
    st.builds(lambda names: {"namespaces": names}, st.lists(SPACES, max_size=2, unique=True).map(tuple)),
    st.builds(lambda names: {"sources": names}, ASKED),
    st.builds(lambda names: {"targets": names}, ASKED),
    st.builds(lambda names: {"without": names}, ASKED),
    st.builds(lambda label: {"without_labels": (label,)}, st.sampled_from(["k", "k=v", "k=w", "l"])),
    st.builds(lambda flag: {"everything": flag}, st.booleans()),
)
SELECTIONS = st.builds(
    lambda parts, server: Selection(**{**{k: v for part in parts for k, v in part.items()}, "server": server}),
    st.lists(FILTERS, max_size=4),
    st.sampled_from(["", "a.a", "b.kube-system"]),
)


def shown(answer, edges):
    return msgspec.structs.replace(answer, edges=edges)


@given(maps(), SELECTIONS)
def test_what_is_chosen_is_of_the_map_and_in_its_order(answer, selection):
    places = {id(edge): place for place, edge in enumerate(answer.edges)}
    chosen = [places[id(edge)] for edge in choose(answer, selection)]
    assert chosen == sorted(set(chosen))


@given(maps(), SELECTIONS)
def test_choosing_twice_is_choosing_once(answer, selection):
    selection = msgspec.structs.replace(selection, server="")  # it looks at what the others leave out
    once = choose(answer, selection)
    assert choose(shown(answer, once), selection) == once


@given(maps(), FILTERS, FILTERS)
def test_filters_commute_and_add_up(answer, one, other):
    if one.keys() == other.keys():
        return
    first, second = Selection(everything=True), Selection(everything=True)
    first, second = msgspec.structs.replace(first, **one), msgspec.structs.replace(second, **other)
    there = choose(shown(answer, choose(answer, first)), second)
    back = choose(shown(answer, choose(answer, second)), first)
    assert [id(edge) for edge in there] == [id(edge) for edge in back]
    both = Selection(**{"everything": True, **one, **other})
    if "everything" not in {**one, **other}:
        assert [id(edge) for edge in choose(answer, both)] == [id(edge) for edge in there]


@given(maps(), SELECTIONS)
def test_hidden_is_what_all_would_add(answer, selection):
    everything = msgspec.structs.replace(selection, everything=True)
    assert hidden(answer, selection) == len(choose(answer, everything)) - len(choose(answer, selection))
    assert not any(
        is_routine(edge, answer.own) for edge in choose(answer, msgspec.structs.replace(selection, everything=False))
    )


@given(maps(), SELECTIONS)
def test_as_services_changes_the_servers_and_loses_no_count(answer, selection):
    plain = choose(answer, selection)
    asked = msgspec.structs.replace(selection, as_services=True)
    if selection.without:
        plain = choose(answer, msgspec.structs.replace(selection, without=()))
        asked = msgspec.structs.replace(asked, without=())
    served = choose(answer, asked)
    for counter in ("connections", "attempts", "lookups"):
        assert sum(getattr(edge, counter) for edge in plain) == sum(getattr(edge, counter) for edge in served)
    assert {edge.client for edge in plain} == {edge.client for edge in served}
    assert {(path, method) for edge in plain for path, methods in edge.details.items() for method in methods} == {
        (path, method) for edge in served for path, methods in edge.details.items() for method in methods
    }
    keys = [(edge.client, edge.server, edge.service, edge.port, edge.protocol) for edge in served]
    assert len(keys) == len(set(keys))
    for edge in served:
        if edge.service:
            assert edge.server == Service(edge.service.name, edge.service.namespace)


@given(maps(), SELECTIONS)
def test_what_is_given_to_it_is_not_changed(answer, selection):
    before = msgspec.json.encode(answer)
    choose(answer, msgspec.structs.replace(selection, as_services=True))
    assert msgspec.json.encode(answer) == before


CART, REDIS = Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet")
OTHER = Workload("redis", "db", "StatefulSet")


def edge(client, server, service=None, port=80, **counters):
    return Edge(client, server, service and ServiceRef(*service), port, "tcp", **(counters or {"connections": 1}))


def answer_of(*edges, labels=()):
    return MapDocument("m", 1, 0, 0, 0, 0, list(edges), [], list(labels))


def chosen(answer, **wanted):
    return [(e.client, e.server) for e in choose(answer, Selection.of(**wanted))]


@pytest.mark.parametrize("name", ["redis", "redis.shop", "shop/redis"])
def test_a_workload_is_named_in_three_ways(name):
    answer = answer_of(edge(CART, REDIS), edge(REDIS, CART))
    assert chosen(answer, targets=(name,)) == [(CART, REDIS)]
    assert chosen(answer, sources=(name,)) == [(REDIS, CART)]
    assert chosen(answer, without=(name,)) == []


def test_a_bare_name_means_every_namespace_and_a_full_one_does_not():
    answer = answer_of(edge(CART, REDIS), edge(CART, OTHER))
    assert chosen(answer, targets=("redis",)) == [(CART, REDIS), (CART, OTHER)]
    assert chosen(answer, without=("redis.db",)) == [(CART, REDIS)]


def test_names_are_compared_whole():
    answer = answer_of(edge(CART, REDIS))
    for name in ("red", "redis.", "redis.shop.svc", "shop", "REDIS", ".shop"):
        assert chosen(answer, targets=(name,)) == []


def test_a_server_is_also_found_by_the_service_that_was_dialled():
    answer = answer_of(edge(CART, REDIS, ("cache", "shop")))
    assert chosen(answer, targets=("cache.shop",)) == [(CART, REDIS)]
    assert chosen(answer, without=("cache",)) == [(CART, REDIS)]  # as the model: names of workloads


def test_as_services_names_the_service_and_can_leave_it_out_by_either_name():
    answer = answer_of(edge(CART, REDIS, ("cache", "shop")))
    assert chosen(answer, as_services=True) == [(CART, Service("cache", "shop"))]
    assert chosen(answer, as_services=True, without=("cache",)) == []
    assert chosen(answer, as_services=True, without=("redis",)) == []


def test_as_services_counts_two_workloads_behind_one_service_together():
    green = Workload("redis-green", "shop", "StatefulSet")
    one = Edge(CART, REDIS, ServiceRef("redis", "shop"), 80, "http", 2, 1, 0, 0, 7, 9, 1, 5, 1, {"/a": ["GET"]})
    two = Edge(
        CART, green, ServiceRef("redis", "shop"), 80, "http", 3, 0, 4, 1, 0, 8, 2, 6, 1, {"/a": ["PUT"], "/b": []}
    )
    assert choose(answer_of(one, two), Selection(as_services=True)) == [
        Edge(
            CART, Service("redis", "shop"), ServiceRef("redis", "shop"), 80, "http", 5, 1, 4, 1, 7, 9, 3, 11, 2,
            {"/a": ["GET", "PUT"], "/b": []},
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "first"), [(7, 5, 5), (5, 7, 5), (0, 5, 5), (5, 0, 5), (0, 0, 0)])
def test_what_is_counted_together_was_first_seen_when_the_first_of_it_was(one, other, first):
    green = Workload("redis-green", "shop", "StatefulSet")
    edges = [
        edge(CART, server, ("redis", "shop"), connections=1, first_seen=seen, last_seen=9)
        for server, seen in ((REDIS, one), (green, other))
    ]
    assert [e.first_seen for e in choose(answer_of(*edges), Selection(as_services=True))] == [first]


@pytest.mark.parametrize("changed", [{"port": 81}, {"protocol": "http"}, {"service": ServiceRef("redis", "db")}])
def test_as_services_keeps_what_differs_in_more_than_the_workload_apart(changed):
    one = edge(CART, REDIS, ("redis", "shop"))
    assert len(choose(answer_of(one, msgspec.structs.replace(one, **changed)), Selection(as_services=True))) == 2


def test_as_services_ends_a_doubt_about_what_is_behind_it():
    answer = answer_of(edge(CART, Ambiguous((REDIS, OTHER)), ("redis", "shop")))
    assert chosen(answer, as_services=True) == [(CART, Service("redis", "shop"))]


def test_what_may_be_wanted_is_shown_and_what_may_be_something_else_is_not_left_out():
    answer = answer_of(edge(CART, Ambiguous((REDIS, OTHER))))
    assert len(chosen(answer, targets=("redis.db",))) == 1
    assert len(chosen(answer, without=("redis.db",))) == 1
    assert chosen(answer, without=("redis",)) == []


def test_the_server_filter_keeps_everything_that_its_clients_call():
    answer = answer_of(edge(CART, REDIS), edge(CART, OTHER), edge(OTHER, CART))
    assert chosen(answer, server="redis.shop") == [(CART, REDIS), (CART, OTHER)]


def test_the_server_filter_looks_at_edges_that_are_then_hidden():
    dns = Workload("coredns", "kube-system", "Deployment")
    answer = answer_of(edge(CART, dns, ("kube-dns", "kube-system"), 53), edge(CART, REDIS))
    assert chosen(answer, server="coredns.kube-system") == [(CART, REDIS)]


@pytest.mark.parametrize("server", ["redis", ".shop", "redis.", "redis.shop.svc", "."])
def test_a_malformed_server_filter_is_told_the_format(server):
    with pytest.raises(SelectionError, match=r"invalid server filter\. Expected format: <server-name>\.<namespace>"):
        Selection.of(server=server)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server": "a.b", "namespaces": ("b",)}, "server filter cannot be used with namespaces filter"),
        ({"sources": ("a", "b"), "without": ("b",)}, "--from asks for 'b', and --exclude-services leaves it out"),
        ({"targets": ("a",), "without": ("a",)}, "--to asks for 'a', and --exclude-services leaves it out"),
        ({"without_labels": ("=v",)}, "--exclude-labels takes KEY or KEY=VALUE, and '=v' has no key"),
        ({"distinct_by_label": "k=v"}, "--distinct-by-label takes the key of a label, not 'k=v'"),
    ],
)
def test_what_contradicts_itself_is_refused(options, message):
    with pytest.raises(SelectionError) as caught:
        Selection.of(**options)
    assert str(caught.value) == message


def row(workload, **labels):
    return WorkloadRow(workload.name, workload.namespace, workload.kind, 1, labels)


@pytest.mark.parametrize(
    ("label", "left"),
    [("team=data", 1), ("team", 0), ("team=", 2), ("tier=db", 1), ("tier", 1), ("te", 2), ("team=da", 2)],
)
def test_labels_leave_out_edges_at_either_end(label, left):
    answer = answer_of(
        edge(CART, OTHER), edge(REDIS, CART), labels=[row(CART, team="web"), row(REDIS, team="data", tier="db")]
    )
    assert len(chosen(answer, without_labels=(label,))) == left


def test_two_values_of_one_label_can_be_left_out():
    answer = answer_of(edge(CART, OTHER), edge(REDIS, OTHER), labels=[row(CART, team="a"), row(REDIS, team="b")])
    assert chosen(answer, without_labels=("team=a", "team=b")) == []


def test_a_label_of_one_kind_does_not_stick_to_its_namesake():
    twin = Workload("cart", "shop", "CronJob")
    answer = answer_of(edge(twin, REDIS), labels=[row(CART, team="a")])
    assert chosen(answer, without_labels=("team",)) == [(twin, REDIS)]


def test_clients_are_told_apart_by_their_label():
    node = Node("n")
    answer = answer_of(edge(CART, REDIS), edge(OTHER, REDIS), edge(node, REDIS), labels=[row(CART, team="web")])
    assert client_tags(answer, "team") == {CART: "team=web", OTHER: "team=no_value", node: "team=no_value"}


def test_everything_of_a_namespace_is_that_of_its_clients():
    answer = answer_of(edge(CART, OTHER), edge(OTHER, CART), edge(Node("shop"), CART))
    assert chosen(answer, namespaces=("shop",), everything=True) == [(CART, OTHER)]


def test_an_address_block_is_named_as_it_is_shown():
    outside = External("203.0.113.0/24")
    assert chosen(answer_of(edge(CART, outside)), targets=("203.0.113.0/24",)) == [(CART, outside)]


def test_what_nobody_could_be_bears_no_name():
    assert ways(Ambiguous(())) == frozenset()
    answer = answer_of(edge(CART, Ambiguous(())))
    assert len(chosen(answer, without=("cart.db", "redis"))) == 1


def test_names_are_judged_once_however_many_edges_there_are(monkeypatch):
    seen = []
    real = ways
    monkeypatch.setattr("network_mapper.export.selection.ways", lambda peer: seen.append(peer) or real(peer))
    answer = answer_of(*(edge(CART, REDIS, port=port) for port in range(100)))
    matching(answer, Selection(sources=("cart",), targets=("redis",), without=("x",)))
    assert len(seen) < 10
