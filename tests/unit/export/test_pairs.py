import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export import pairs
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

NAMES = st.sampled_from(["a", "b", "a.b"])
SIMPLE = st.one_of(
    st.builds(Workload, NAMES, NAMES, st.sampled_from(["Pod", "Deployment"])),
    st.builds(Node, NAMES),
    st.builds(Service, NAMES, NAMES),
)
PEERS = st.one_of(SIMPLE, st.builds(External, NAMES), st.builds(Ambiguous, st.tuples(SIMPLE, SIMPLE)))
COUNT = st.integers(0, 2**40)
EDGES = st.lists(
    st.builds(
        Edge,
        client=PEERS,
        server=PEERS,
        service=st.one_of(st.none(), st.builds(ServiceRef, NAMES, NAMES)),
        port=st.integers(0, 65535),
        protocol=st.sampled_from(["tcp", "udp", "dns"]),
        connections=COUNT,
        attempts=COUNT,
        lookups=COUNT,
        sockets=COUNT,
        first_seen=st.integers(0, 2**41),
        last_seen=st.integers(0, 2**41),
    ),
    max_size=30,
)


@given(EDGES)
def test_grouping_loses_no_edge_and_no_count(edges):
    grouped = pairs.group(edges)
    assert sorted(map(id, edges)) == sorted(id(edge) for pair in grouped for edge in pair.edges)
    for counter in ("connections", "attempts", "lookups", "sockets"):
        assert sum(getattr(edge, counter) for edge in edges) == sum(getattr(pair, counter) for pair in grouped)


@given(EDGES)
def test_a_pair_stands_once_and_spans_its_edges(edges):
    grouped = pairs.group(edges)
    assert len({(pair.client, pair.server) for pair in grouped}) == len(grouped)
    for pair in grouped:
        assert pair.first_seen == min((edge.first_seen for edge in pair.edges if edge.first_seen), default=0)
        assert pair.last_seen == max(edge.last_seen for edge in pair.edges)


@given(EDGES, st.randoms())
def test_order_does_not_depend_on_the_order_of_edges(edges, random):
    shuffled = list(edges)
    random.shuffle(shuffled)
    before, after = pairs.group(edges), pairs.group(shuffled)
    assert [(pair.client, pair.server) for pair in before] == [(pair.client, pair.server) for pair in after]


def routine(server, service=None, port=80, client=None):
    return pairs.is_routine(Edge(client or Workload("w", "shop", "Pod"), server, service, port, "tcp", 1))


DNS = Workload("coredns", "kube-system", "Deployment")


NODE_CACHE = Service("node-local-dns", "kube-system")


def test_cluster_dns_is_routine_by_service_by_port_and_by_lookup():
    assert routine(DNS, ServiceRef("kube-dns", "kube-system"), 9153)
    assert routine(DNS, None, 53)
    assert routine(Service("kube-dns", "kube-system"), None, 0)
    assert routine(Workload("rke2-coredns", "kube-system", "Deployment"), ServiceRef("rke2-coredns", "kube-system"), 53)
    assert routine(Service("dns-default", "openshift-dns"), None, 5353)


def test_a_dns_cache_on_the_node_is_routine():
    assert routine(Node("node-a"), None, 53)
    assert routine(NODE_CACHE, None, 53)
    assert not routine(Node("node-a"), None, 443)


def test_what_may_be_the_cluster_dns_is_routine():
    assert routine(Ambiguous((DNS, Workload("old", "shop", "Pod"))), None, 53)


def test_another_server_on_port_53_is_not_routine():
    consul = Workload("consul", "infra", "StatefulSet")
    assert not routine(consul, None, 53)
    assert not routine(consul, ServiceRef("consul-dns", "infra"), 53)
    assert not routine(Service("consul-dns", "infra"), None, 53)
    assert not routine(Ambiguous((consul, Workload("old", "shop", "Pod"))), None, 53)


def test_other_ports_of_its_servers_are_not_routine():
    assert not routine(DNS, None, 9153)


def test_what_the_api_server_asks_of_kubelets_is_routine_and_its_other_calls_are_not():
    api = Service("kubernetes", "default")
    assert routine(Node("node-a"), None, 10250, api)
    assert not routine(Workload("webhook", "shop", "Deployment"), ServiceRef("webhook", "shop"), 443, api)
    assert not routine(Node("node-a"), None, 10250)


def test_our_own_traffic_is_routine_at_either_end():
    mapper, prober = Workload("mapper", "nm", "Deployment"), Workload("prober", "shop", "Pod")
    edges = [Edge(mapper, prober, None, 80, "tcp", 1), Edge(prober, mapper, None, 80, "tcp", 1)]
    assert all(pairs.is_routine(edge, {mapper}) for edge in edges)
    assert not any(pairs.is_routine(edge) for edge in edges)


def test_dns_outside_the_cluster_is_not_routine():
    assert not routine(External("8.8.8.8/32"), None, 53)


def test_nodes_and_outside_addresses_as_clients_are_routine():
    assert routine(DNS, client=Node("node-a"))
    assert routine(DNS, client=External("203.0.113.7/32"))


def test_a_service_of_the_same_name_elsewhere_is_not_routine():
    assert not routine(Service("kube-dns", "shop"))
    assert not routine(Workload("web", "kube-system", "Deployment"))


@pytest.mark.parametrize(
    ("counters", "outcome"),
    [({}, "UNKNOWN"), ({"lookups": 1}, "LOOKUP_ONLY"), ({"lookups": 1, "attempts": 1}, "UNANSWERED"),
     ({"attempts": 9, "sockets": 1}, "ANSWERED"), ({"connections": 1}, "ANSWERED"), ({"requests": 1}, "ANSWERED"),
     ({"bytes": 1}, "ANSWERED"), ({"flows": 1}, "ANSWERED")],
)  # fmt: skip
def test_the_strongest_evidence_tells_the_outcome(counters, outcome):
    edge = Edge(DNS, DNS, None, 80, "tcp", **counters)
    assert pairs.outcome_of(edge) is pairs.Outcome[outcome]
    assert pairs.group([edge])[0].outcome is pairs.Outcome[outcome]


def test_doors_are_sorted_by_port_protocol_and_service():
    ways = [(80, "udp", None), (0, "dns", ServiceRef("b", "x")), (80, "tcp", None), (0, "dns", ServiceRef("a", "x")),
            (0, "dns", None)]  # fmt: skip
    pair = pairs.group([Edge(DNS, DNS, service, port, protocol) for port, protocol, service in ways])[0]
    assert [(edge.port, edge.protocol, edge.service) for edge in pairs.doors(pair)] == [
        (0, "dns", None), (0, "dns", ServiceRef("a", "x")), (0, "dns", ServiceRef("b", "x")), (80, "tcp", None),
        (80, "udp", None),
    ]  # fmt: skip
