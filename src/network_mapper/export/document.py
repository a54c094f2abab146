"""The map as a JSON or YAML document for programs; `docs/list-document.md` describes it.

One entry per pair of client and server, with the ports inside. The shape is its own and not the mapper's answer, so
that scripts do not break when the interface between command line and mapper grows. Fields are only ever added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper.export.pairs import group
from network_mapper.export.times import rfc3339
from network_mapper.model import Peer, ServiceRef  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.model import Edge
    from network_mapper.wire.api import MapDocument


class Port(msgspec.Struct):
    """One way in which the client reached the server. A lookup has port 0 and protocol `dns`."""

    port: int
    protocol: str
    service: ServiceRef | None
    connections: int
    attempts: int
    lookups: int
    sockets: int
    requests: int
    bytes: int
    flows: int
    first_seen: str | None
    last_seen: str | None
    details: dict[str, list[str]]


class Entry(msgspec.Struct):
    """One client and one server; counters are the sums over `ports`, times are RFC 3339."""

    client: Peer
    server: Peer
    connections: int
    attempts: int
    lookups: int
    sockets: int
    requests: int
    bytes: int
    flows: int
    first_seen: str | None
    last_seen: str | None
    ports: list[Port]


class ListDocument(msgspec.Struct):
    """What `list -o json` prints.

    Attributes:
        store: Identity of the map.
        epoch: Counts the map's resets.
        watching_since: When the first sniffer of this epoch began to watch; null when none has.
        generated_at: The mapper's clock.
        since: Start of the time range that was asked for, else null.
        until: End of the time range that was asked for, else null.
        hidden: Edges left out because they are routine (`--all` shows them).
        edges: Sorted by client, then by server.
    """

    store: str
    epoch: int
    watching_since: str | None
    generated_at: str | None
    since: str | None
    until: str | None
    hidden: int
    edges: list[Entry]


def build(answer: MapDocument, edges: Sequence[Edge]) -> ListDocument:
    """The document of those `edges` of the mapper's `answer` that are to be shown."""
    entries = [
        Entry(
            client=pair.client,
            server=pair.server,
            connections=pair.connections,
            attempts=pair.attempts,
            lookups=pair.lookups,
            sockets=pair.sockets,
            requests=pair.requests,
            bytes=pair.bytes,
            flows=pair.flows,
            first_seen=rfc3339(pair.first_seen),
            last_seen=rfc3339(pair.last_seen),
            ports=[
                Port(
                    port=edge.port,
                    protocol=edge.protocol,
                    service=edge.service,
                    connections=edge.connections,
                    attempts=edge.attempts,
                    lookups=edge.lookups,
                    sockets=edge.sockets,
                    requests=edge.requests,
                    bytes=edge.bytes,
                    flows=edge.flows,
                    first_seen=rfc3339(edge.first_seen),
                    last_seen=rfc3339(edge.last_seen),
                    details=edge.details,
                )
                for edge in sorted(pair.edges, key=lambda edge: (edge.port, edge.protocol, str(edge.service)))
            ],
        )
        for pair in group(edges)
    ]
    return ListDocument(
        store=answer.store,
        epoch=answer.epoch,
        watching_since=rfc3339(answer.watching_since),
        generated_at=rfc3339(answer.generated_at),
        since=rfc3339(answer.since),
        until=rfc3339(answer.until),
        hidden=len(answer.edges) - len(edges),
        edges=entries,
    )
