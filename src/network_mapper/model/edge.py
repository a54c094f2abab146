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
        protocol: `tcp`, `udp`, `sctp`, or `dns` for what is known from a lookup.
        connections: Connections that were answered.
        attempts: Connections that were refused or never answered.
        lookups: DNS answers.
        sockets: Sightings of an established socket.
        first_seen: Earliest evidence.
        last_seen: Latest evidence.
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
