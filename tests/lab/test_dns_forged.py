"""An answer that nobody asked for makes no edge: anyone on the network can send one."""

from __future__ import annotations

import socket

import pytest

from network_mapper.testing import dns, netns
from network_mapper.testing.lab import wait_for
from network_mapper.testing.topology import Call, Port, Topology, Workload

pytestmark = pytest.mark.lab


def _send(message: bytes, target: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind(("0.0.0.0", 53))
        forger.sendto(message, (target, port))


def test_a_forged_answer_makes_no_edge_and_is_counted(build):
    shop = Topology(
        namespace="shop",
        nodes=("node-1", "node-2"),
        workloads=(
            Workload(name="victim", service="none", nodes=("node-1",)),
            Workload(name="forger", service="none", nodes=("node-2",)),
            Workload(name="bank", ports=(Port(port=80),)),
            Workload(name="news", ports=(Port(port=80),)),
        ),
        calls=(Call(client="victim", server="news"),),
    )
    with build(shop) as lab:
        victim, forger = (lab.plan.pods_of(shop.workload(name))[0] for name in ("victim", "forger"))
        bank = lab.plan.service_of(shop.workload("bank"))
        question = dns.question(4711, bank.domain_name, dns.A)
        forged = dns.answer(question, {bank.domain_name: [bank.address4, bank.address6]}, "cluster.local")
        netns.call(forger.netns, _send, forged, victim.address4, 40000)

        def counted() -> int | None:
            drops = [sniffer.drops.get("dns_unasked", 0) for sniffer in lab.mapper.status().sniffers]
            return sum(drops) or None

        wait_for("the forged answer to be counted", 10, counted)
        lab.traffic.start()
        lab.traffic.wait()
        edges = lab.mapper.settle().edges
        assert any(edge.lookups for edge in edges)
        assert not [edge for edge in edges if "bank" in (edge.server.name, edge.service.name if edge.service else "")]
