"""Edges grouped to pairs: everything between one client and one server, whatever the service, port or protocol.

An edge of the map is a pair seen through one door. People ask about the pair first, so lists show pairs, and keep the
doors inside. Grouping adds up counters kind by kind and loses none.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.model import Ambiguous, Edge, External, Node, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from network_mapper.model import Peer

DNS_PORT: Final = 53
DNS_SERVICES: Final = frozenset((("kube-dns", "kube-system"), ("dns-default", "openshift-dns")))
"""Names and namespaces of the Service that cluster DNS has: by the Kubernetes DNS specification, and on OpenShift."""
DNS_NAMESPACES: Final = frozenset(namespace for _, namespace in DNS_SERVICES)
"""Where the servers behind it run, and the other Services that distributions give them."""
CONTROL_PLANE: Final = Service("kubernetes", "default")
"""What the API server is on the map."""


class Outcome(enum.IntEnum):
    """What became of a client's tries to reach a server, from the weakest evidence to the strongest."""

    UNKNOWN = 0
    """The source of the map counts nothing: a mapper that knows only the model's queries."""
    LOOKUP_ONLY = 1
    """The name was asked for, and nothing else was seen."""
    UNANSWERED = 2
    """Connections were tried, and refused or never answered."""
    ANSWERED = 3
    """Something went over."""


def outcome_of(evidence: Edge | Evidence) -> Outcome:
    """What the counters tell; one that is not 0 is never `UNKNOWN`."""
    if evidence.connections or evidence.sockets or evidence.requests or evidence.flows or evidence.bytes:
        return Outcome.ANSWERED
    if evidence.attempts:
        return Outcome.UNANSWERED
    return Outcome.LOOKUP_ONLY if evidence.lookups else Outcome.UNKNOWN


class Evidence(msgspec.Struct, kw_only=True):
    """Counters of several edges, each kind for itself. Times are milliseconds since the epoch (UTC), 0 for never."""

    connections: int = 0
    attempts: int = 0
    lookups: int = 0
    sockets: int = 0
    first_seen: int = 0
    last_seen: int = 0
    requests: int = 0
    bytes: int = 0
    flows: int = 0

    def add(self, other: Edge | Evidence) -> None:
        """Count what another edge, or several, have seen."""
        self.connections += other.connections
        self.attempts += other.attempts
        self.lookups += other.lookups
        self.sockets += other.sockets
        self.requests += other.requests
        self.bytes += other.bytes
        self.flows += other.flows
        if other.first_seen and (not self.first_seen or other.first_seen < self.first_seen):
            self.first_seen = other.first_seen
        self.last_seen = max(self.last_seen, other.last_seen)

    @property
    def outcome(self) -> Outcome:
        """What became of the tries."""
        return outcome_of(self)

    @property
    def answered(self) -> bool:
        """Something went over between the two."""
        return self.outcome is Outcome.ANSWERED

    @property
    def attempted_only(self) -> bool:
        """Nobody ever answered."""
        return self.outcome is Outcome.UNANSWERED

    @property
    def lookup_only(self) -> bool:
        """The name was asked for, and nothing else was seen."""
        return self.outcome is Outcome.LOOKUP_ONLY


class Pair(Evidence):
    """One client, one server, and all edges between them."""

    client: Peer
    server: Peer
    edges: list[Edge]


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
            pair = found[edge.client, edge.server] = Pair(edge.client, edge.server, [])
        pair.edges.append(edge)
        pair.add(edge)
    return sorted(found.values(), key=lambda pair: (sort_key(pair.client), sort_key(pair.server)))


def doors(pair: Pair) -> list[Edge]:
    """The edges of a pair by port, protocol and service."""
    return sorted(
        pair.edges,
        key=lambda edge: (
            edge.port,
            edge.protocol,
            (edge.service.namespace, edge.service.name) if edge.service else (),
        ),
    )


def is_routine(edge: Edge, own: Collection[Peer] = ()) -> bool:
    """Whether lists leave an edge out unless asked: cluster DNS, clients that are nodes or outside, our own traffic.

    Every pod asks the cluster DNS, and every node probes its pods, so these edges say nothing about an application. No
    more does the API server that asks a kubelet for logs, or for a port-forward such as that of the list itself.

    Args:
        edge: To judge.
        own: Workloads that are parts of this program (`MapDocument.own`).
    """
    if isinstance(edge.client, Node | External) or edge.client in own or edge.server in own:
        return True
    if edge.client == CONTROL_PLANE and isinstance(edge.server, Node):
        return True
    return _is_cluster_dns(edge)


def _is_cluster_dns(edge: Edge) -> bool:
    """Whether the server is the cluster's DNS, and not some other server that happens to have its port."""
    dialled = edge.service or (edge.server if isinstance(edge.server, Service) else None)
    if dialled is not None and (dialled.name, dialled.namespace) in DNS_SERVICES:
        return True
    if edge.port != DNS_PORT:
        return False
    if dialled is not None and dialled.namespace in DNS_NAMESPACES:
        return True
    candidates = edge.server.candidates if isinstance(edge.server, Ambiguous) else (edge.server,)
    # A node that answers on port 53 is a cache for the pods on it (NodeLocal DNSCache), or DNS in the node's network.
    return any(
        isinstance(candidate, Node)
        or (isinstance(candidate, Workload | Service) and candidate.namespace in DNS_NAMESPACES)
        for candidate in candidates
    )
