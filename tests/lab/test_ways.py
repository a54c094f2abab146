"""Connections that take a shorter way than through the node's routing, and those that were there before."""

from __future__ import annotations

import time

import pytest

from network_mapper.testing import truth
from network_mapper.testing.lab import wait_for
from network_mapper.testing.topology import Call, Port, Topology, Workload

pytestmark = pytest.mark.lab


def _shop(*calls: Call) -> Topology:
    workloads = (
        Workload(name="web", service="none", nodes=("node-1",)),
        Workload(name="db", kind="StatefulSet", nodes=("node-1",), ports=(Port(port=5432, target=6432),)),
    )
    return Topology(namespace="shop", nodes=("node-1", "node-2"), workloads=workloads, calls=calls)


@pytest.mark.parametrize("family", [4, 6])
def test_neighbours_on_a_bridge_are_counted_once(build, family):
    with build(_shop(Call(client="web", server="db", via="pod", family=family, connections=9)), bridged=True) as lab:
        lab.traffic.start()
        lab.traffic.wait()
        assert truth.differences(truth.truth(lab.plan), truth.seen(lab.mapper.settle().edges)) == []


def test_connections_that_were_open_before_the_sniffer_are_seen_as_sockets(build):
    held = {"client": "web", "server": "db", "via": "service", "hold": True}
    calls = (Call(**held, connections=3), Call(**held, family=6, connections=2))

    def connect(traffic) -> None:
        traffic.start()
        while sum(traffic.report().connections.values()) < 5:
            time.sleep(0.05)

    with build(_shop(*calls), before_sniffers=connect) as lab:
        (edge,) = wait_for("the open connections", 15, lambda: lab.mapper.map().edges or None)
        assert (edge.client.name, edge.server.name, edge.service.name, edge.port) == ("web", "db", "db", 5432)
        assert (edge.connections, edge.attempts, edge.lookups) == (0, 0, 0)
        assert edge.sockets >= 5
