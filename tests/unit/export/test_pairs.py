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
        first_seen=st.integers(1, 2**41),
        last_seen=st.integers(1, 2**41),
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
        assert pair.first_seen == min(edge.first_seen for edge in pair.edges)
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


def test_cluster_dns_is_routine_by_service_by_port_and_by_lookup():
    assert routine(DNS, ServiceRef("kube-dns", "kube-system"), 9153)
    assert routine(DNS, None, 53)
    assert routine(Node("node-a"), None, 53)
    assert routine(Service("kube-dns", "kube-system"), None, 0)


def test_dns_outside_the_cluster_is_not_routine():
    assert not routine(External("8.8.8.8/32"), None, 53)


def test_nodes_and_outside_addresses_as_clients_are_routine():
    assert routine(DNS, client=Node("node-a"))
    assert routine(DNS, client=External("203.0.113.7/32"))


def test_a_service_of_the_same_name_elsewhere_is_not_routine():
    assert not routine(Service("kube-dns", "shop"))
    assert not routine(Workload("web", "kube-system", "Deployment"))
