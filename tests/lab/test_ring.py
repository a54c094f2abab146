"""The packet ring on a real node: a bridge, a routed pod, translation, and packets from the kernel."""

from __future__ import annotations

import collections
import select
import socket
import subprocess
import sys
import time

import dns.message
import pytest
from packet_craft import answer, question

from network_mapper.capture.ring import BLOCK_SIZE, RingSource
from network_mapper.model import Drop, Kind
from network_mapper.testing import netns

pytestmark = pytest.mark.lab

NODE, CLIENT, SERVER = "ring-node", "ring-client", "ring-server"
NODE_IP, CLIENT_IP, SERVER_IP = "10.213.2.1", "10.213.1.5", "10.213.2.9"
NODE_IP6, CLIENT_IP6, SERVER_IP6 = "fd00:213:2::1", "fd00:213:1::5", "fd00:213:2::9"
SERVICE, LOOPED = "10.96.213.7", "10.96.213.8"
NAME = "api.shop.svc.cluster.local."
FAMILIES = pytest.mark.parametrize(
    ("client", "server"), [(CLIENT_IP, SERVER_IP), (CLIENT_IP6, SERVER_IP6)], ids=["IPv4", "IPv6"]
)

NODE_LINKS = f"""
link add br0 type bridge
link add veth-c type veth peer name eth0 netns {CLIENT}
link add veth-s type veth peer name eth0 netns {SERVER}
link set veth-c master br0
link set br0 up
link set veth-c up
link set veth-s up
address add 10.213.1.1/24 dev br0
address add fd00:213:1::1/64 dev br0 nodad
address add {NODE_IP}/24 dev veth-s
address add {NODE_IP6}/64 dev veth-s nodad
"""

# What kube-proxy does for two services: one of the server, one of the client itself, which must come back through the
# node and so is masqueraded.
RULES = f"""
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority -100
        ip daddr {SERVICE} tcp dport 80 dnat to {SERVER_IP}:8080
        ip daddr {SERVICE} udp dport 53 dnat to {SERVER_IP}:53
        ip daddr {LOOPED} tcp dport 80 dnat to {CLIENT_IP}:8080
    }}
    chain postrouting {{
        type nat hook postrouting priority 100
        ip saddr {CLIENT_IP} ip daddr {CLIENT_IP} masquerade
    }}
}}
"""

GATE = """
table ip gate {
    chain in {
        type filter hook input priority 0
        ip daddr 10.213.2.77 drop
    }
}
"""


def pod_links(address, gateway, address6, gateway6):
    return [
        f"address add {address}/24 dev eth0",
        f"address add {address6}/64 dev eth0 nodad",
        "link set eth0 up",
        f"route add default via {gateway}",
        f"route add default via {gateway6}",
    ]


@pytest.fixture(scope="module")
def node():
    with netns.Namespaces() as made:
        made.add(NODE, CLIENT, SERVER)
        netns.ip(NODE, NODE_LINKS.strip().splitlines())
        netns.ip(CLIENT, pod_links(CLIENT_IP, "10.213.1.1", CLIENT_IP6, "fd00:213:1::1"))
        netns.ip(SERVER, pod_links(SERVER_IP, NODE_IP, SERVER_IP6, NODE_IP6))
        netns.sysctl(NODE, {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"})
        netns.nft(NODE, RULES)
        yield made


@pytest.fixture
def ring(node):
    source = netns.call(NODE, RingSource)
    yield source
    source.close()


@pytest.fixture
def index(node):
    """Interface index by name, on the node."""
    return netns.call(NODE, lambda: {name: number for number, name in socket.if_nameindex()})


def listen(where, port):
    """Listen in both families; the kernel accepts connections by itself."""
    return netns.call(where, lambda: socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True))


def connect(where, address, port, count):
    def body():
        for _ in range(count):
            socket.create_connection((address, port), timeout=5).close()

    netns.call(where, body)


def datagrams(where, port, family=socket.AF_INET):
    def body():
        endpoint = socket.socket(family, socket.SOCK_DGRAM)
        endpoint.settimeout(5)
        endpoint.bind(("", port))
        return endpoint

    return netns.call(where, body)


def exchange(asked, told, address):
    """Ask for a name, from a client to a server that really gets the question and really answers."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with datagrams(CLIENT, 0, family) as client, datagrams(SERVER, 53, family) as server:
        client.sendto(asked.to_wire(), (address, 53))
        wire, origin = server.recvfrom(4096)
        assert dns.message.from_wire(wire).question == asked.question
        server.sendto(told.to_wire(), origin)
        client.recvfrom(4096)


def now():
    return time.time_ns() // 1_000_000


def collect(source):
    """Read until no more packets come."""
    while select.select([source], [], [], 0.4)[0]:
        source.read(now())
    return source.drain(now())


def by_kind(observations):
    total = collections.Counter()
    for seen in observations:
        total[seen.kind] += seen.count
    return dict(total)


@FAMILIES
def test_every_connection_counts_once_though_three_interfaces_see_it(ring, index, client, server):
    with listen(SERVER, 8080):
        connect(CLIENT, server, 8080, 50)
        observations = collect(ring)
    assert by_kind(observations) == {Kind.CONNECTIONS: 50}
    assert {(seen.client, seen.server, seen.port, seen.tap) for seen in observations} == {
        (client, server, 8080, index["veth-c"])
    }
    assert ring.stats().seen >= 50 * 2 * 3
    assert not ring.stats().drops


def test_a_process_of_the_node_is_told_by_its_tap(ring, index):
    with listen(SERVER, 8080):
        connect(NODE, SERVER_IP, 8080, 3)
        observations = collect(ring)
    assert {(seen.client, seen.server, seen.tap) for seen in observations} == {(NODE_IP, SERVER_IP, -index["veth-s"])}
    assert by_kind(observations) == {Kind.CONNECTIONS: 3}


def test_a_translated_service_is_one_edge_with_the_pod_that_answered(ring):
    with listen(SERVER, 8080):
        connect(CLIENT, SERVICE, 80, 20)
        observations = collect(ring)
    assert by_kind(observations) == {Kind.CONNECTIONS: 20}
    assert {(seen.client, seen.server, seen.port, seen.answered_by, seen.answered_port) for seen in observations} == {
        (CLIENT_IP, SERVICE, 80, SERVER_IP, 8080)
    }


def test_a_pod_that_reaches_itself_through_its_service_is_one_edge(ring):
    netns.sysctl(NODE, {"ipv4/conf/all/send_redirects": "0", "ipv4/conf/br0/send_redirects": "0"})
    netns.ip(NODE, ["link set veth-c type bridge_slave hairpin on"])
    with listen(CLIENT, 8080):
        connect(CLIENT, LOOPED, 80, 5)
        observations = collect(ring)
    assert by_kind(observations) == {Kind.CONNECTIONS: 5}
    assert {(seen.client, seen.server, seen.answered_by) for seen in observations} == {(CLIENT_IP, LOOPED, CLIENT_IP)}


@FAMILIES
def test_a_refused_connection_is_an_attempt(ring, client, server):
    for _ in range(4):
        with pytest.raises(ConnectionRefusedError):
            connect(CLIENT, server, 9, 1)
    observations = collect(ring)
    assert by_kind(observations) == {Kind.ATTEMPTS: 4}
    assert {(seen.client, seen.server, seen.port) for seen in observations} == {(client, server, 9)}


def test_an_unanswered_connection_is_an_attempt_when_its_time_is_up(ring):
    def try_in_vain():
        with socket.socket() as endpoint:
            endpoint.settimeout(0.2)
            endpoint.connect(("10.213.2.77", 80))

    netns.ip(SERVER, ["address add 10.213.2.77/32 dev lo"])
    netns.nft(SERVER, GATE)
    with pytest.raises(TimeoutError):
        netns.call(CLIENT, try_in_vain)
    assert collect(ring) == []
    assert by_kind(ring.drain(now() + 5000)) == {Kind.ATTEMPTS: 1}


@pytest.mark.parametrize("address", [SERVER_IP, SERVER_IP6, SERVICE], ids=["IPv4", "IPv6", "translated"])
def test_a_dns_exchange_is_one_lookup(ring, index, address):
    asked = question(NAME)
    exchange(asked, answer(asked, (NAME, "CNAME", "a.example."), ("a.example.", "A", "10.96.0.1")), address)
    (seen,) = collect(ring)
    assert (seen.kind, seen.count, seen.client) == (Kind.LOOKUPS, 1, CLIENT_IP6 if ":" in address else CLIENT_IP)
    assert (seen.server, seen.addresses, seen.tap) == (NAME[:-1], ("10.96.0.1",), index["veth-c"])
    assert not ring.stats().drops


def test_a_forged_answer_makes_nothing(ring):
    told = answer(question(NAME), (NAME, "A", "10.6.6.6"))
    with datagrams(CLIENT, 40000), datagrams(SERVER, 53) as forger:
        forger.sendto(told.to_wire(), (CLIENT_IP, 40000))
        assert collect(ring) == []
    assert set(ring.stats().drops) == {Drop.DNS_UNASKED}


@pytest.mark.parametrize("size", [1, 100], ids=["one segment", "many segments"])
def test_a_dns_exchange_over_tcp_is_one_lookup(ring, size):
    asked = question(NAME)
    told = answer(asked, *[(NAME, "A", f"10.96.1.{number}") for number in range(size)]).to_wire()
    with listen(SERVER, 53) as server:
        client = netns.call(CLIENT, lambda: socket.create_connection((SERVER_IP, 53), 5))
        accepted, _ = server.accept()
        with client, accepted:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(len(asked.to_wire()).to_bytes(2, "big") + asked.to_wire())
            accepted.recv(4096)
            data = len(told).to_bytes(2, "big") + told
            for begin in range(0, len(data), 300):
                accepted.sendall(data[begin : begin + 300])
            lookups = [seen for seen in collect(ring) if seen.kind == Kind.LOOKUPS]
    assert [(seen.protocol, seen.count, len(seen.addresses)) for seen in lookups] == [("tcp", 1, size)]
    assert not ring.stats().drops


def test_what_goes_over_an_open_connection_does_not_reach_the_ring(node):
    with listen(SERVER, 8080) as server:
        client = netns.call(CLIENT, lambda: socket.create_connection((SERVER_IP, 8080), 5))
        accepted, _ = server.accept()
        ring = netns.call(NODE, RingSource)
        with client, accepted:
            for _ in range(20):
                client.sendall(b"ping")
                accepted.recv(4)
        assert collect(ring) == []
        assert ring.stats().seen == 0
        ring.close()


def test_what_came_a_moment_before_the_end_is_handed_over(node):
    ring = netns.call(NODE, RingSource)
    with listen(SERVER, 8080):
        connect(CLIENT, SERVER_IP, 8080, 3)
    now = time.time_ns() // 1_000_000
    assert [(seen.kind, seen.count) for seen in ring.flush(now)] == [(Kind.CONNECTIONS, 3)]
    ring.close()


def test_packets_that_do_not_fit_into_the_ring_are_counted(node):
    ring = netns.call(NODE, RingSource, 2 * BLOCK_SIZE)
    asked = question(NAME).to_wire()
    with datagrams(NODE, 0) as client:
        for _ in range(6000):
            client.sendto(asked, (SERVER_IP, 53))
    collect(ring)
    stats = ring.stats()
    ring.close()
    assert stats.drops[Drop.RING_OVERFLOW] > 0
    assert 6000 <= stats.seen <= 6100


def test_without_the_capability_it_says_what_to_grant(node):
    assert "NET_RAW" in try_with("-net_raw")


def test_the_capability_alone_is_enough(node):
    assert try_with("-all,+net_raw") == "opened"


def try_with(capabilities):
    """Open a ring on the node with a bounding set of capabilities."""
    code = (
        "from network_mapper.capture.ring import RingSource\n"
        "try: RingSource().close(); print('opened')\n"
        "except PermissionError as error: print(error)\n"
    )
    argv = ["setpriv", "--bounding-set", capabilities, "--inh-caps", "-all", sys.executable, "-c", code]
    done = subprocess.run(netns.command(NODE, argv), capture_output=True, text=True, check=True)
    return done.stdout.strip()
