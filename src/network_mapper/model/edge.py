"""An edge of the map: a client, a server, the way it was reached, and how often each kind of evidence was seen."""

from __future__ import annotations

import msgspec

from network_mapper.model.peers import Peer  # noqa: TC001  msgspec reads the annotation at run time


class ServiceRef(msgspec.Struct, frozen=True, cache_hash=True):
    """The Kubernetes Service through which a workload was reached."""

    name: str
    namespace: str


class Edge(msgspec.Struct):
    """Who talks to whom, through which service and port. Times are milliseconds since the epoch (UTC).

    The first five fields identify the edge. A lookup knows no port, so its edges have port 0.

    Attributes:
        client: Who opened the connection or asked for the name.
        server: Who answered, or the best that is certain about it.
        service: The service that was dialled, if it was one.
        port: The port that was dialled (the service's, where there is a service).
        protocol: `tcp`, `udp`, `sctp`, or `dns` for what is known from a lookup; `http`, `kafka`, `aws`, `gcp` and
            `azure` for requests that a watcher saw, `ip` for volumes of unknown ports. All but the first three have
            port 0.
        connections: Connections that were answered.
        attempts: Connections that were refused or never answered.
        lookups: DNS answers.
        sockets: Sightings of an established socket.
        first_seen: Earliest evidence.
        last_seen: Latest evidence.
        requests: Requests that a watcher saw: HTTP requests, Kafka accesses, calls of a cloud's API.
        bytes: Sent by the client, where a reporter measures it.
        flows: Flows in which they were sent.
        details: What was asked for, and how. For `http` methods by path, for `kafka` operations by topic, for `aws`,
            `gcp` and `azure` the `actions`, `dataActions`, `permissions` and `iamRole` themselves.
    """

    client: Peer
    server: Peer
    service: ServiceRef | None
    port: int
    protocol: str
    connections: int = 0
    attempts: int = 0
    lookups: int = 0
    sockets: int = 0
    first_seen: int = 0
    last_seen: int = 0
    requests: int = 0
    bytes: int = 0
    flows: int = 0
    details: dict[str, list[str]] = {}
