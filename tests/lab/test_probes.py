"""A node that asks after its own pods, as its kubelet does, is seen as the node."""

from __future__ import annotations

import subprocess
import sys

import pytest

from network_mapper.model import Node, Workload
from network_mapper.testing.lab import wait_for
from network_mapper.testing.topology import Port, Topology
from network_mapper.testing.topology import Workload as Plan

pytestmark = pytest.mark.lab

PROBE = """
import socket, sys
for address in sys.argv[1:]:
    with socket.create_connection((address, 8080), 5) as connection:
        print(connection.getsockname()[0], flush=True)
"""

SHOP = Topology(
    namespace="shop",
    nodes=("node-1", "node-2"),
    workloads=(Plan(name="web", ports=(Port(port=8080),), kind="DaemonSet"),),
)


def test_a_probe_comes_from_the_address_of_the_bridge_and_is_the_nodes(build):
    with build(SHOP) as lab:
        (near, far) = (
            next(pod for pod in lab.plan.pods if pod.node == node and pod.namespace == "shop")
            for node in ("node-1", "node-2")
        )
        command = [sys.executable, "-c", PROBE, near.address4, near.address6, far.address4]
        process = lab.network.spawn_on_node("node-1", command, stdout=subprocess.PIPE, text=True)
        sources = process.communicate(timeout=20)[0].split()
        node = lab.plan.nodes["node-1"]
        assert sources == [node.gateway4, node.gateway6, node.address4]

        def seen() -> list[tuple[object, object, int]] | None:
            edges = [(edge.client, edge.server, edge.connections) for edge in lab.mapper.map().edges]
            return edges if sum(connections for _, _, connections in edges) == 3 else None

        edges = wait_for("the probes", 10, seen)
        assert edges == [(Node("node-1"), Workload("web", "shop", "DaemonSet"), 3)]
        status = lab.mapper.status()
        assert "client_unknown" not in status.drops
        assert status.waiting == 0
