"""What a flood would draw one by one is drawn together, and nobody else is the worse for it."""

import ipaddress
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network_mapper.mapper.graph import Graph
from network_mapper.mapper.grouping import is_group, wider
from network_mapper.model import Edge, External, Kind, Service, ServiceRef, Workload

HOSTILE, VICTIM, QUIET = (Workload(name, "shop", "Deployment") for name in ("hostile", "victim", "quiet"))
SECOND = 1_000


class Map:
    """A graph, and the true counts of what was merged into it."""

    def __init__(self, max_edges=100_000, group_after=256):
        self.graph = Graph(max_edges, group_after)
        self.merged = 0

    def see(self, client, server, port=443, count=1, protocol="tcp", kind=Kind.CONNECTIONS, service=None):
        entry = self.graph.entry(client, server, service, port, protocol, count=count)
        if entry is not None:
            self.graph.add(entry, kind, count, SECOND, SECOND)
            self.merged += count
        return entry

    def edges(self, client=None):
        return [entry.edge for entry in self.graph.in_order() if client in (None, entry.edge.client)]

    def counted(self):
        return sum(edge.connections + edge.lookups for edge in self.edges())

    def again(self):
        """As it is after a restart."""
        other = Map(*self.graph._limits)
        for entry in self.graph.in_order():
            edge = entry.edge
            other.graph.restore(
                entry.number,
                Edge(edge.client, edge.server, edge.service, edge.port, edge.protocol, edge.connections),
                0,
            )
        return other


def block(number, length=24):
    return External(f"{ipaddress.ip_address(number << (32 - length))}/{length}")


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("203.0.113.0/24", ["203.0.0.0/16", "203.0.0.0/8", "0.0.0.0/0"]),
        ("2001:db8:7::/48", ["2001:db8::/32", "2001::/16", "::/0"]),
        ("10.1.32.0/20", ["10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]),
        ("www.example.com", ["*.example.com", "*"]),
        ("com", ["*"]),
        ("arn:aws:s3:::shop/pictures", ["*"]),
        ("::1/999", ["*"]),
        ("a.b/24", ["*.b/24", "*"]),
    ],
)
def test_each_step_to_a_wider_group_ends_at_all(name, groups):
    found = []
    while name not in ("*", "0.0.0.0/0", "::/0"):
        name = wider(name)
        found.append(name)
    assert found == groups


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (External("203.0.113.0/24"), False),
        (External("2001:db8:7::/48"), False),
        (External("203.0.0.0/16"), True),
        (External("::/0"), True),
        (External("www.example.com"), False),
        (External("*.example.com"), True),
        (Workload("*", "shop", "Pod"), True),
        (QUIET, False),
        (Service("*", "shop"), False),
    ],
)
def test_a_group_is_known_by_its_name(peer, expected):
    assert is_group(peer) is expected


def test_the_first_outside_blocks_are_told_apart_and_further_ones_are_wider():
    drawn = Map(group_after=16)
    for number in range(10_000):
        drawn.see(HOSTILE, block(number * 7919 % 2**24))
    sizes = [int(edge.server.name.rpartition("/")[2]) for edge in drawn.edges()]
    assert (sizes.count(24), sizes.count(16), sizes.count(8), sizes.count(0)) == (16, 16, 16, 1)
    assert drawn.counted() == drawn.merged == 10_000


def test_a_million_outside_clients_are_some_hundred_edges_of_the_server_they_call():
    drawn = Map()
    drawn.see(block(5), VICTIM)
    for number in range(1_000_000 // 50):
        drawn.see(block(number * 104_729 % 2**24), VICTIM, count=50)
    assert len(drawn.graph) <= 3 * 256 + 2
    assert drawn.counted() == 1_000_001
    assert drawn.see(block(5), VICTIM).edge.client == block(5)


def test_outside_clients_of_one_server_are_not_grouped_because_of_another_server():
    drawn = Map(group_after=16)
    for number in range(100):
        drawn.see(block(number), VICTIM)
    assert drawn.see(block(200), QUIET).edge.client == block(200)


def test_blocks_of_both_families_are_counted_apart():
    drawn = Map(group_after=4)
    for number in range(100):
        drawn.see(HOSTILE, block(number))
    server = External("2001:db8:7::/48")
    assert drawn.see(HOSTILE, server).edge.server == server


def test_random_names_of_one_domain_become_the_domain_and_leave_room_for_others():
    drawn = Map(group_after=16)
    for number in range(5_000):
        drawn.see(HOSTILE, External(f"x{number}.evil.example"), 0, protocol="dns", kind=Kind.LOOKUPS)
    names = {edge.server.name for edge in drawn.edges()}
    assert len(names) == 17
    assert "*.evil.example" in names
    api = External("api.good.example")
    assert drawn.see(HOSTILE, api, 0, protocol="dns", kind=Kind.LOOKUPS).edge.server == api
    assert drawn.counted() == 5_001


def test_random_domains_become_one_edge_beyond_a_bound_on_all_names():
    drawn = Map(group_after=16)
    for number in range(5_000):
        drawn.see(HOSTILE, External(f"a.x{number}.example"), 0, protocol="dns", kind=Kind.LOOKUPS)
    names = [edge.server.name for edge in drawn.edges()]
    assert (len(names), names.count("*")) == (4 * 16 + 1, 1)
    assert drawn.counted() == 5_000


def test_ports_of_one_server_beyond_the_bound_are_one_edge_without_a_port():
    drawn = Map(group_after=16)
    for port in range(1, 65_536):
        drawn.see(HOSTILE, VICTIM, port)
    ports = [edge.port for edge in drawn.edges()]
    assert ports == [0, *range(1, 17)]
    assert drawn.counted() == 65_535
    assert drawn.see(HOSTILE, QUIET, 80).edge.port == 80
    assert drawn.see(QUIET, VICTIM, 40_000).edge.port == 40_000


def test_a_scan_of_a_network_takes_a_share_of_the_room_and_the_rest_is_counted_by_client():
    drawn = Map(max_edges=10_000)
    for host, port in itertools.product(range(2_000), range(1, 21)):
        drawn.see(HOSTILE, Workload(f"w{host}", "shop", "Deployment"), port, count=2)
    taken = len(drawn.graph)
    assert 1_900 <= taken <= 2_100
    assert drawn.graph.grouping.worst() == [("shop/hostile", 2 * (40_000 - taken))]
    for port in range(1, 65):
        assert drawn.see(QUIET, VICTIM, port).edge.port == port


def test_many_that_scan_at_once_still_leave_room_for_small_clients():
    drawn = Map(max_edges=10_000)
    scanners = [Workload(f"hostile-{number}", "shop", "Deployment") for number in range(40)]
    for host, scanner in itertools.product(range(1_000), scanners):
        drawn.see(scanner, Workload(f"w{host}", "shop", "Deployment"), 80)
    for port in range(1, 65):
        assert drawn.see(QUIET, VICTIM, port) is not None


def test_a_full_map_takes_no_edge_of_anybody_and_goes_on_to_count_those_it_has():
    drawn = Map(max_edges=50)
    for number in range(60):
        drawn.see(Workload(f"w{number}", "shop", "Deployment"), VICTIM)
    assert len(drawn.graph) == 50
    assert drawn.see(Workload("w7", "shop", "Deployment"), VICTIM).edge.connections == 2


def test_workloads_that_are_made_without_end_become_one_of_their_namespace_and_kind():
    drawn = Map(max_edges=20_000)
    for number in range(5_000):
        drawn.see(Workload(f"run-{number}", "ci", "Pod"), VICTIM)
    clients = {edge.client for edge in drawn.edges()}
    assert len(clients) <= 1251
    assert Workload("*", "ci", "Pod") in clients
    assert drawn.counted() == 5_000
    assert drawn.see(Workload("run-x", "other", "Pod"), VICTIM).edge.client.name == "run-x"
    assert drawn.see(Workload("web", "ci", "Deployment"), VICTIM).edge.client.name == "web"


def test_what_was_drawn_before_a_flood_stays_as_it_is():
    drawn = Map(group_after=16)
    before = [drawn.see(HOSTILE, block(number), port) for number in range(8) for port in (80, 443)]
    for number in range(1_000):
        drawn.see(HOSTILE, block(number + 500), number + 1)
    after = [drawn.see(HOSTILE, block(number), port) for number in range(8) for port in (80, 443)]
    assert after == before
    assert [entry.edge.connections for entry in after] == [2] * 16


def test_another_port_of_an_end_that_is_drawn_already_is_of_that_end():
    drawn = Map(group_after=8)
    for number in range(100):
        drawn.see(HOSTILE, block(number))
        drawn.see(block(number), VICTIM)
        drawn.see(HOSTILE, External(f"x{number}.evil.example"), 0)
    assert drawn.see(HOSTILE, block(3), 8443).edge.server == block(3)
    assert drawn.see(block(3), VICTIM, 8443).edge.client == block(3)
    assert drawn.see(HOSTILE, External("x3.evil.example"), 443).edge.server == External("x3.evil.example")


def test_groups_and_bounds_are_the_same_after_a_restart():
    drawn = Map(max_edges=2_000, group_after=16)
    for number in range(300):
        drawn.see(HOSTILE, block(number * 65_537 % 2**24), 443)
        drawn.see(block(number), VICTIM, 443)
        drawn.see(HOSTILE, External(f"x{number}.evil.example"), 0)
        drawn.see(QUIET, VICTIM, number + 1)
    again = drawn.again()
    before = len(again.graph)
    for number in range(300, 600):
        again.see(HOSTILE, block(number * 65_537 % 2**24), 443)
        again.see(block(number), VICTIM, 443)
        again.see(HOSTILE, External(f"x{number}.evil.example"), 0)
        again.see(QUIET, VICTIM, number + 1)
    more = [edge for edge in again.edges() if not is_group(edge.server) and not is_group(edge.client) and edge.port]
    assert len(more) == len([edge for edge in drawn.edges() if edge.port]) - sum(
        is_group(edge.client) or is_group(edge.server) for edge in drawn.edges() if edge.port
    )
    assert len(again.graph) - before <= 6


def test_edges_that_leave_make_room():
    drawn = Map(group_after=4)
    for number in range(100):
        drawn.see(HOSTILE, block(number), 443)
        drawn.see(HOSTILE, VICTIM, number + 1)
        drawn.see(block(number), VICTIM)
    drawn.graph.take_changes()
    edges = len(drawn.graph)
    assert drawn.graph.expire(SECOND + 1, 1_000) == edges
    table = drawn.graph.grouping
    assert (table._servers, table._callers, table._workloads, table._edges) == ({}, {}, {}, 0)
    assert drawn.see(HOSTILE, block(99), 443).edge.server == block(99)


_outside = st.one_of(
    st.integers(0, 2**12).map(lambda number: block(number * 4099 % 2**24)),
    st.integers(0, 200).map(lambda number: External(f"x{number}.evil.example")),
)
_inside = st.sampled_from([HOSTILE, VICTIM, QUIET])
_sighting = st.tuples(
    *(st.one_of(_inside, _outside), st.one_of(_inside, _outside), st.integers(1, 30), st.integers(1, 5))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_sighting, min_size=50, max_size=400), st.randoms(use_true_random=False))
def test_sums_are_the_same_in_any_order_and_small_ends_are_untouched(sightings, random):
    quiet = [(QUIET, Workload("api", "shop", "Deployment"), port, 3) for port in (80, 443)]
    orders = []
    for _ in range(2):
        mixed = [*sightings, *quiet]
        random.shuffle(mixed)
        drawn = Map(max_edges=2_000, group_after=6)
        for client, server, port, count in mixed:
            assert drawn.see(client, server, port, count) is not None
        orders.append(drawn)
        own = {edge.port: edge.connections for edge in drawn.edges(QUIET) if edge.server == quiet[0][1]}
        assert own == {80: 3, 443: 3}
    one, other = orders
    assert one.counted() == other.counted() == sum(count for *_, count in sightings) + 6
    for client in (HOSTILE, VICTIM, QUIET):
        assert sum(edge.connections for edge in one.edges(client)) == sum(
            edge.connections for edge in other.edges(client)
        )


def test_a_service_that_was_dialled_stays_with_a_group_of_ports():
    drawn = Map(group_after=2)
    service = ServiceRef("db", "shop")
    for port in range(1, 5):
        drawn.see(HOSTILE, VICTIM, port, service=service)
    assert {(edge.service, edge.port) for edge in drawn.edges()} == {(service, 0), (service, 1), (service, 2)}
