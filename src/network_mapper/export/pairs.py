"""Edges grouped to pairs: everything between one client and one server, whatever the service, port or protocol.

An edge of the map is a pair seen through one door. People ask about the pair first, so lists show pairs, and keep the
doors inside. Grouping adds up counters kind by kind and loses none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper.model import Ambiguous, Edge, External, Node, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from network_mapper.model import Peer

DNS_PORT = 53
DNS_SERVICE = ("kube-dns", "kube-system")
"""The Service that cluster DNS has in every distribution that follows the Kubernetes DNS specification."""


class Pair(msgspec.Struct):
    """One client, one server, and all edges between them. Times are milliseconds since the epoch (UTC)."""

    client: Peer
    server: Peer
    edges: list[Edge]
    connections: int = 0
    attempts: int = 0
    lookups: int = 0
    sockets: int = 0
    first_seen: int = 0
    last_seen: int = 0
    requests: int = 0
    bytes: int = 0
    flows: int = 0

    @property
    def answered(self) -> bool:
        """Something went over between the two."""
        return bool(self.connections or self.sockets or self.requests or self.flows)

    @property
    def attempted_only(self) -> bool:
        """Nobody ever answered."""
        return bool(self.attempts) and not self.answered

    @property
    def lookup_only(self) -> bool:
        """The name was asked for, and nothing else was seen."""
        return bool(self.lookups) and not self.answered and not self.attempts


def sort_key(peer: Peer) -> tuple[str, str, str, str]:
    """Name first, then namespace; what follows only keeps the order stable."""
    match peer:
        case Workload():
            return peer.name, peer.namespace, "workload", peer.kind
        case Service():
            return peer.name, peer.namespace, "service", ""
        case Node() | External():
            return peer.name, "", type(peer).__name__, ""
        case Ambiguous():
            keys = [sort_key(candidate) for candidate in peer.candidates]
            return " | ".join(key[0] for key in keys), " ".join(key[1] for key in keys), "zz", str(keys)


def group(edges: Iterable[Edge]) -> list[Pair]:
    """All pairs, sorted by client and then by server."""
    found: dict[tuple[Peer, Peer], Pair] = {}
    for edge in edges:
        pair = found.get((edge.client, edge.server))
        if pair is None:
            pair = found[edge.client, edge.server] = Pair(edge.client, edge.server, [], first_seen=edge.first_seen)
        pair.edges.append(edge)
        pair.connections += edge.connections
        pair.attempts += edge.attempts
        pair.lookups += edge.lookups
        pair.sockets += edge.sockets
        pair.requests += edge.requests
        pair.bytes += edge.bytes
        pair.flows += edge.flows
        pair.first_seen = min(pair.first_seen, edge.first_seen)
        pair.last_seen = max(pair.last_seen, edge.last_seen)
    return sorted(found.values(), key=lambda pair: (sort_key(pair.client), sort_key(pair.server)))


def is_routine(edge: Edge, own: Collection[Peer] = ()) -> bool:
    """Whether lists leave an edge out unless asked: cluster DNS, clients that are nodes or outside, our own traffic.

    Every pod asks the cluster DNS, and every node probes its pods, so these edges say nothing about an application.

    Args:
        edge: To judge.
        own: Workloads that are parts of this program (`MapDocument.own`).
    """
    if isinstance(edge.client, Node | External) or edge.client in own or edge.server in own:
        return True
    if isinstance(edge.server, External):
        return False
    if edge.port == DNS_PORT:
        return True
    dialled = edge.service or (edge.server if isinstance(edge.server, Service) else None)
    return dialled is not None and (dialled.name, dialled.namespace) == DNS_SERVICE
