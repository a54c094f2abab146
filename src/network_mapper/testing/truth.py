"""The map that a topology's calls must give, and how another map differs from it.

Connections and attempts are compared edge by edge and number by number: they are what the traffic programs make a
known number of times. Lookups are compared on their own (`expected_lookups`, `seen_lookups`): a resolver may ask again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from network_mapper.model import Edge, ServiceRef, Workload
from network_mapper.testing import topology as topo
from network_mapper.testing.plan import DNS_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.testing.plan import Plan
    from network_mapper.testing.topology import Call


class TrueEdge(msgspec.Struct, frozen=True, order=True):
    """What identifies an edge: names with namespaces, the service or "", and the dialled port, 0 for lookups."""

    client: str
    server: str
    service: str
    port: int

    def __str__(self) -> str:
        through = f" through service {self.service}" if self.service else ""
        port = f"port {self.port}" if self.port else "by name"
        return f"{self.client} -> {self.server} {port}{through}"


class Numbers(msgspec.Struct):
    """How often: answered connections, attempts that were refused or never answered, and DNS answers."""

    connections: int = 0
    attempts: int = 0
    lookups: int = 0

    def __str__(self) -> str:
        return f"{self.connections} connections, {self.attempts} attempts, {self.lookups} lookups"


def truth(plan: Plan) -> dict[TrueEdge, Numbers]:
    """The edges that one run of every call makes, each call its known number of times.

    A pod that dials its own address is left out: that never leaves the pod, so no sniffer on its node can see it.
    Questions asked over TCP are connections to the cluster's DNS server.
    """
    expected: dict[TrueEdge, Numbers] = {}
    for call in plan.topology.calls:
        client, server = plan.topology.workload(call.client), plan.topology.workload(call.server)
        port = plan.topology.port_of(call)
        direct = topo.dials_pods(call, server)
        pods = plan.pods_of(client)
        edge = edge_of(plan, call)
        if call.via == "name" and call.lookup == "tcp":
            # The search list begins with the client's own namespace: from outside the first question is in vain.
            questions = 1 if plan.namespace_of(client) == plan.namespace_of(server) else 2
            dns = expected.setdefault(_dns_edge(plan, edge.client), Numbers())
            dns.connections += questions * call.connections * len(pods)
        count = call.connections * len(pods)
        if direct:
            servers = plan.pods_of(server)
            count -= sum(servers[turn % len(servers)] is pod for pod in pods for turn in range(call.connections))
        if not count:
            continue
        numbers = expected.setdefault(edge, Numbers())
        if port.state == "open":
            numbers.connections += count
        else:
            numbers.attempts += count
    return expected


def edge_of(plan: Plan, call: Call) -> TrueEdge:
    """The edge that the connections of a call make."""
    client, server = plan.topology.workload(call.client), plan.topology.workload(call.server)
    port = plan.topology.port_of(call)
    direct = topo.dials_pods(call, server)
    service = None if direct else plan.service_of(server)
    return TrueEdge(
        client=label(client.name, plan.namespace_of(client), client.kind),
        server=label(server.name, plan.namespace_of(server), server.kind),
        service=f"{service.namespace}/{service.name}" if service else "",
        port=port.pod_port if direct else port.port,
    )


def _dns_edge(plan: Plan, client: str) -> TrueEdge:
    server = plan.dns.pods[0].workload
    return TrueEdge(
        client=client,
        server=label(server.name, plan.dns.namespace, server.kind),
        service=f"{plan.dns.namespace}/{plan.dns.name}",
        port=DNS_PORT,
    )


def expected_lookups(plan: Plan) -> Counter[tuple[str, str]]:
    """Answers with an address that one run of every call gets, by client and the server's full service name.

    A name is asked for once a connection and once for each family, and every service here has both.
    """
    expected: Counter[tuple[str, str]] = Counter()
    for call in plan.topology.calls:
        client, server = plan.topology.workload(call.client), plan.topology.workload(call.server)
        service = plan.service_of(server)
        if call.via != "name" or service is None:
            continue
        asking = label(client.name, plan.namespace_of(client), client.kind)
        expected[asking, f"{service.namespace}/{service.name}"] += 2 * call.connections * len(plan.pods_of(client))
    return expected


def seen(edges: Iterable[Edge]) -> dict[TrueEdge, Numbers]:
    """The part of a map that `truth` speaks of: edges with connections or attempts."""
    found: dict[TrueEdge, Numbers] = {}
    for edge in edges:
        if not edge.connections and not edge.attempts:
            continue
        key = TrueEdge(_peer(edge.client), _peer(edge.server), _service(edge.service), edge.port)
        numbers = found.setdefault(key, Numbers())
        numbers.connections += edge.connections
        numbers.attempts += edge.attempts
    return found


def seen_lookups(edges: Iterable[Edge]) -> dict[TrueEdge, Numbers]:
    """The part of a map that is known from lookups; the edges have port 0."""
    found: dict[TrueEdge, Numbers] = {}
    for edge in edges:
        if edge.lookups:
            key = TrueEdge(_peer(edge.client), _peer(edge.server), _service(edge.service), 0)
            found.setdefault(key, Numbers()).lookups += edge.lookups
    return found


def differences(expected: dict[TrueEdge, Numbers], found: dict[TrueEdge, Numbers]) -> list[str]:
    """One sentence for each edge that is missing, too much, or counted otherwise; empty when the maps are equal."""
    sentences = []
    for edge in sorted(expected.keys() | found.keys()):
        want, have = expected.get(edge, Numbers()), found.get(edge, Numbers())
        if edge not in found:
            sentences.append(f"missing: {edge}")
        elif edge not in expected:
            sentences.append(f"too much: {edge} ({have})")
        elif want != have:
            sentences.append(f"counted wrongly: {edge}: {have}, instead of {want}")
    return sentences


def label(name: str, namespace: str, kind: str) -> str:
    """How a workload is written in a `TrueEdge`."""
    return f"{namespace}/{name} ({kind})"


def _peer(peer: object) -> str:
    return label(peer.name, peer.namespace, peer.kind) if isinstance(peer, Workload) else repr(peer)


def _service(service: ServiceRef | None) -> str:
    return f"{service.namespace}/{service.name}" if service else ""
