"""The wire of the model with real packets: what arrives at its door, and that our mapper draws the same map from it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from query_door import CONNECTIONS, LOOKUPS, SOCKETS, QueryDoor

from network_mapper.testing import netns, truth
from network_mapper.testing.lab import command_line, environment, wait_for
from network_mapper.testing.network import Network
from network_mapper.testing.plan import make_plan
from network_mapper.testing.topology import Call, Port, Topology, Workload, check
from network_mapper.testing.traffic import Traffic

pytestmark = pytest.mark.lab

NODES = ("node-1", "node-2")


def _topology(*calls, server_node="node-1"):
    """Clients on the first node, a server with another port behind its service, and one whose port is closed."""
    workloads = (
        *(Workload(name=name, service="none", nodes=("node-1",)) for name in ("web", "careful")),
        Workload(name="db", nodes=(server_node,), ports=(Port(port=80, target=8080), Port(port=81, state="refused"))),
    )
    nodes = ("node-1",) if server_node == "node-1" else NODES
    return check(Topology(namespace="shop", nodes=nodes, workloads=workloads, calls=calls))


CALLS = (
    Call(client="web", server="db", connections=6),
    Call(client="web", server="db", via="service", family=6, connections=3),
    Call(client="web", server="db", via="service", port=81, connections=2),
    Call(client="careful", server="db", via="pod", connections=2),
)


class Node:
    """The network of a plan with its first node's sniffer in front of a mapper of the model."""

    def __init__(self, plan, folder, stack):
        self.plan = plan
        self.network = stack.enter_context(Network(plan))
        self.traffic = stack.enter_context(Traffic(self.network))
        self.door = QueryDoor(folder / "door.sock")
        stack.callback(self.door.stop)
        self._log = folder / "sniffer.log"
        self._stack = stack

    def pod(self, name):
        (found,) = self.plan.pods_of(self.plan.topology.workload(name))
        return found

    def service(self, name):
        return self.plan.service_of(self.plan.topology.workload(name))

    def in_pod(self, name, command):
        process = self.network.spawn_in_pod(self.pod(name), ["sh", "-c", command], stdout=subprocess.PIPE, text=True)
        said, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        return said.strip()

    def watch(self):
        argv = command_line("sniffer", "--mapper-url", self.door.url, "--wire", "auto", "--node", "node-1")
        with self._log.open("wb") as log:
            process = self.network.spawn_on_node("node-1", argv, stdout=log, stderr=log, env=environment())
        self._stack.callback(self._end, process)
        wait_for("the sniffer", 20, lambda: "watching" in self._log.read_text() or None)

    @staticmethod
    def _end(process):
        netns.interrupt(process)
        process.wait(10)


@pytest.fixture
def node():
    with contextlib.ExitStack() as stack:
        # Not pytest's folder: a Unix socket's path has a bound of 108 bytes.
        folder = Path(tempfile.mkdtemp(prefix="door-", dir="/run"))
        stack.callback(shutil.rmtree, folder)
        yield lambda *calls: Node(make_plan(_topology(*calls)), folder, stack)


def test_real_connections_are_told_once_with_the_port_that_was_dialled(node):
    lab = node(*CALLS)
    command = "echo 1 > /proc/sys/net/ipv4/tcp_ecn; cat /proc/sys/net/ipv4/tcp_ecn"
    assert lab.in_pod("careful", command) == "1", "its SYNs ask for congestion notification"
    lab.watch()
    lab.traffic.start()
    lab.traffic.wait()
    web, careful, db, service = lab.pod("web"), lab.pod("careful"), lab.pod("db"), lab.service("db")
    expected = {
        (web.address4, service.address4, 80),
        (web.address6, service.address6, 80),
        (web.address4, service.address4, 81),
        (careful.address4, db.address4, 8080),
    }
    lab.door.wait_for(
        lambda: expected <= {(told.client, told.address, told.port) for told in lab.door.told(CONNECTIONS)}
    )
    time.sleep(2)
    counted = Counter((told.client, told.destination, told.address, told.port) for told in lab.door.told(CONNECTIONS))
    assert counted.keys() == {(client, server, server, port) for client, server, port in expected}
    assert max(counted.values()) == 1, "neither the answers, nor the other interfaces, nor the next interval"


def test_a_real_lookup_is_told_with_its_client_and_both_families(node):
    lab = node(CALLS[0])
    lab.watch()
    lab.traffic.start()
    lab.traffic.wait()
    web, service = lab.pod("web"), lab.service("db")
    addresses = {(web.address4, service.domain_name, address) for address in (service.address4, service.address6)}
    lab.door.wait_for(
        lambda: {(told.client, told.destination, told.address) for told in lab.door.told(LOOKUPS)} >= addresses
    )
    assert {(told.client, told.destination, told.address) for told in lab.door.told(LOOKUPS)} == addresses


def test_real_sockets_are_told_by_their_client_alone_and_those_that_wait_for_their_end_are_not(node):
    held = {"client": "web", "server": "db", "via": "service", "hold": True}
    lab = node(Call(**held, connections=3), Call(**held, family=6, connections=2), CALLS[3])
    lab.traffic.start()
    wait_for("the connections", 15, lambda: sum(lab.traffic.report().connections.values()) >= 7 or None)
    lab.watch()
    web, service = lab.pod("web"), lab.service("db")
    expected = {(web.address4, service.address4, 80), (web.address6, service.address6, 80)}

    def found():
        return {(told.client, told.address, told.port) for told in lab.door.told(SOCKETS)}

    lab.door.wait_for(lambda: found() >= expected)
    assert found() == expected


# The same traffic over both wires to our mapper


def _map(build, topology, wire):
    with build(topology, wire=wire) as lab:
        lab.traffic.start()
        lab.traffic.wait()
        edges = lab.mapper.settle(quiet=4).edges
        listed = lab.mapper.run("list")
        assert listed.returncode == 0, listed.stderr
        return lab.plan, edges, listed.stdout, lab.mapper.status()


def _keys(edges):
    return {
        (edge.client.name, edge.server.name, edge.service.name if edge.service else "", edge.port, edge.protocol)
        for edge in edges
    }


def test_on_one_node_the_map_is_the_same_over_both_wires(build):
    topology = _topology(*CALLS)
    _, native, native_list, _ = _map(build, topology, "native")
    plan, told, told_list, status = _map(build, topology, "graphql")
    assert _keys(told) == _keys(native)
    assert told_list == native_list
    assert status.sniffers == []
    assert status.drops == {}
    made = truth.truth(plan)
    assert truth.seen(told).keys() == made.keys()
    for edge, numbers in truth.seen(told).items():
        most = made[edge].connections + made[edge].attempts
        assert 1 <= numbers.connections + numbers.attempts <= most, edge
        assert numbers.attempts == 0, "that wire tells attempts among the connections"


def test_across_nodes_the_servers_node_tells_the_same_connection_by_the_pods_own_address(build):
    topology = _topology(*CALLS, server_node="node-2")
    _, native, native_list, _ = _map(build, topology, "native")
    _, told, told_list, _ = _map(build, topology, "graphql")
    assert told_list == native_list
    more = _keys(told) - _keys(native)
    assert _keys(native) <= _keys(told)
    assert more == {("web", "db", "", 8080, "tcp"), ("web", "db", "", 81, "tcp")}


def test_open_connections_give_the_same_edges_over_both_wires(build):
    held = {"client": "web", "server": "db", "via": "service", "hold": True}
    topology = _topology(Call(**held, connections=3), Call(**held, family=6, connections=2))

    def connect(traffic):
        traffic.start()
        wait_for("the connections", 15, lambda: sum(traffic.report().connections.values()) >= 5 or None)

    def edges(wire):
        with build(topology, wire=wire, before_sniffers=connect) as lab:
            return wait_for("the open connections", 15, lambda: lab.mapper.map().edges or None)

    for wire in ("native", "graphql"):
        found = edges(wire)
        assert _keys(found) == {("web", "db", "db", 80, "tcp")}
        (edge,) = found
        assert edge.sockets
        assert (edge.connections, edge.attempts, edge.lookups) == (0, 0, 0)
