"""What a node only forwards is no connection of the node, however the addresses are translated on the way.

A node with a pod behind it and a host beside it, which stands for whatever is not on this node. The rules are what
kube-proxy and a network plugin have for a port of the node that leads to a pod elsewhere, and for a pod that speaks to
somebody outside: both replace the client's address by the node's.
"""

from __future__ import annotations

import collections
import select
import socket
import time

import pytest

from network_mapper.capture.ring import RingSource
from network_mapper.model import Kind
from network_mapper.testing import netns

pytestmark = pytest.mark.lab

NODE, POD, HOST, SERVER = "fwd-node", "fwd-pod", "fwd-host", "fwd-server"
ADDRESSES = {
    4: {
        "pod": "10.213.11.5",
        "host": "10.213.12.9",
        "server": "10.213.13.9",
        "node": "10.213.12.1",
        "up": "10.213.13.1",
    },
    6: {
        "pod": "fd00:213:11::5",
        "host": "fd00:213:12::9",
        "server": "fd00:213:13::9",
        "node": "fd00:213:12::1",
        "up": "fd00:213:13::1",
    },
}
GATEWAYS = {4: "10.213.11.1", 6: "fd00:213:11::1"}
NODE_PORT, PORT = 30080, 8080

RULES = "".join(
    f"""
table {family} nat {{
    chain prerouting {{
        type nat hook prerouting priority -100
        {family} daddr {at["node"]} tcp dport {NODE_PORT} dnat to {server}:{PORT}
    }}
    chain postrouting {{
        type nat hook postrouting priority 100
        ct status dnat masquerade
        {family} saddr {at["pod"]} masquerade fully-random
    }}
}}
"""
    for family, at, server in (
        ("ip", ADDRESSES[4], ADDRESSES[4]["server"]),
        ("ip6", ADDRESSES[6], f"[{ADDRESSES[6]['server']}]"),
    )
)


@pytest.fixture(scope="module")
def node():
    with netns.Namespaces() as made:
        made.add(NODE, POD, HOST, SERVER)
        links = []
        for name, where, network in (("veth-p", POD, 11), ("veth-h", HOST, 12), ("veth-s", SERVER, 13)):
            links += [
                f"link add {name} type veth peer name eth0 netns {where}",
                f"address add 10.213.{network}.1/24 dev {name}",
                f"address add fd00:213:{network}::1/64 dev {name} nodad",
                f"link set {name} up",
            ]
        netns.ip(NODE, links)
        for where, network, number in ((POD, 11, 5), (HOST, 12, 9), (SERVER, 13, 9)):
            netns.ip(
                where,
                [
                    f"address add 10.213.{network}.{number}/24 dev eth0",
                    f"address add fd00:213:{network}::{number}/64 dev eth0 nodad",
                    "link set eth0 up",
                    f"route add default via 10.213.{network}.1",
                    f"route add default via fd00:213:{network}::1",
                ],
            )
        netns.sysctl(NODE, {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"})
        netns.nft(NODE, RULES)
        yield made


@pytest.fixture
def ring(node):
    source = netns.call(NODE, RingSource)
    yield source
    source.close()


@pytest.fixture(params=[1, 0], ids=["timestamps", "no timestamps"])
def clients(node, request):
    """Whether clients put timestamps into their SYNs, as Linux does unless told otherwise."""
    for where in (POD, HOST, NODE):
        netns.sysctl(where, {"ipv4/tcp_timestamps": str(request.param)})


def now() -> int:
    return time.time_ns() // 1_000_000


def seen_of(ring: RingSource, where: str, to: str, address: str, port: int, count: int = 20) -> collections.Counter:
    """Connect some times and return what the node's ring made of it."""
    listener = netns.call(to, lambda: socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True))

    def connect() -> None:
        for _ in range(count):
            socket.create_connection((address, port), timeout=5).close()

    with listener:
        netns.call(where, connect)
        while select.select([ring], [], [], 0.4)[0]:
            ring.read(now())
    found: collections.Counter = collections.Counter()
    for seen in ring.flush(now()):
        found[seen.kind, seen.client, seen.server, seen.port, seen.answered_by, seen.answered_port] += seen.count
    return found


FAMILIES = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])


@FAMILIES
@pytest.mark.usefixtures("clients")
def test_what_comes_to_a_port_of_the_node_and_goes_on_to_a_pod_elsewhere_is_the_clients(ring, version):
    at = ADDRESSES[version]
    with netns.call(SERVER, lambda: socket.create_server(("", PORT), family=socket.AF_INET6, dualstack_ipv6=True)):
        found = seen_of(ring, HOST, SERVER, at["node"], NODE_PORT)
    assert found == {(Kind.CONNECTIONS, at["host"], at["node"], NODE_PORT, at["server"], PORT): 20}


@FAMILIES
@pytest.mark.usefixtures("clients")
def test_what_a_pod_sends_to_the_outside_under_the_nodes_address_is_the_pods(ring, version):
    at = ADDRESSES[version]
    found = seen_of(ring, POD, HOST, at["host"], 9000)
    assert found == {(Kind.CONNECTIONS, at["pod"], at["host"], 9000, "", 0): 20}


@FAMILIES
@pytest.mark.usefixtures("clients")
def test_a_pod_that_dials_a_port_of_the_node_is_the_client(ring, version):
    at = ADDRESSES[version]
    with netns.call(SERVER, lambda: socket.create_server(("", PORT), family=socket.AF_INET6, dualstack_ipv6=True)):
        found = seen_of(ring, POD, SERVER, at["node"], NODE_PORT)
    assert found == {(Kind.CONNECTIONS, at["pod"], at["node"], NODE_PORT, at["server"], PORT): 20}


@FAMILIES
@pytest.mark.usefixtures("clients")
def test_what_a_process_of_the_node_opens_is_the_nodes(ring, version):
    at = ADDRESSES[version]
    found = seen_of(ring, NODE, SERVER, at["server"], PORT)
    assert found == {(Kind.CONNECTIONS, at["up"], at["server"], PORT, "", 0): 20}


@FAMILIES
@pytest.mark.usefixtures("clients")
def test_forwarded_attempts_that_are_refused_or_never_answered_are_the_clients(ring, version):
    at = ADDRESSES[version]

    def knock() -> None:
        for _ in range(10):
            with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET) as endpoint:
                endpoint.connect_ex((at["host"], 9))

    netns.call(POD, knock)
    while select.select([ring], [], [], 0.4)[0]:
        ring.read(now())
    found = collections.Counter()
    for seen in ring.flush(now()):
        found[seen.kind, seen.client, seen.server, seen.port] += seen.count
    assert found == {(Kind.ATTEMPTS, at["pod"], at["host"], 9): 10}
