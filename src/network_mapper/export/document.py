"""The map as a JSON or YAML document for programs; `docs/list-document.md` describes it.

One entry per pair of client and server, with the ports inside. The shape is its own and not the mapper's answer, so
that scripts do not break when the interface between command line and mapper grows. Fields are only ever added.

It is also what a saved map is: `restore` gives back the map that `build` was given, as far as its edges were shown.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.export.pairs import group
from network_mapper.export.times import rfc3339
from network_mapper.model import Edge, Peer, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.export.pairs import Evidence

_COUNTERS: Final = ("connections", "attempts", "lookups", "sockets", "requests", "bytes", "flows")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)


class TimeError(ValueError):
    """A time in a document is no time; the message holds it."""


class Port(msgspec.Struct):
    """One way in which the client reached the server. A lookup has port 0 and protocol `dns`."""

    port: int
    protocol: str
    service: ServiceRef | None = None
    connections: int = 0
    attempts: int = 0
    lookups: int = 0
    sockets: int = 0
    requests: int = 0
    bytes: int = 0
    flows: int = 0
    first_seen: str | None = None
    last_seen: str | None = None
    details: dict[str, list[str]] = {}


class Entry(msgspec.Struct):
    """One client and one server; counters are the sums over `ports`, times are RFC 3339."""

    client: Peer
    server: Peer
    connections: int = 0
    attempts: int = 0
    lookups: int = 0
    sockets: int = 0
    requests: int = 0
    bytes: int = 0
    flows: int = 0
    first_seen: str | None = None
    last_seen: str | None = None
    ports: list[Port] = []


class ListDocument(msgspec.Struct):
    """What `list -o json` prints.

    Attributes:
        store: Identity of the map; empty where it has none.
        epoch: Counts the map's resets.
        watching_since: When the first sniffer of this epoch began to watch; null when none has.
        generated_at: The mapper's clock.
        since: Start of the time range that was asked for, else null.
        until: End of the time range that was asked for, else null.
        hidden: Edges left out because they are routine (`--all` shows them).
        edges: Sorted by client, then by server.
        own: Workloads that are parts of this program, where an edge of theirs is shown.
        workloads: Labels of the workloads that are shown, where they were asked for.
    """

    store: str
    epoch: int
    watching_since: str | None
    generated_at: str | None
    since: str | None
    until: str | None
    hidden: int
    edges: list[Entry]
    own: list[Workload] = []
    workloads: list[WorkloadRow] = []


def counted(seen: Edge | Evidence) -> dict[str, Any]:
    """The counters and times of an edge, or of several together, as documents have them."""
    counts: dict[str, Any] = {name: getattr(seen, name) for name in _COUNTERS}
    return counts | {"first_seen": rfc3339(seen.first_seen), "last_seen": rfc3339(seen.last_seen)}


def origin(answer: MapDocument) -> dict[str, Any]:
    """What documents say of the map that they are made of."""
    times = ("watching_since", "generated_at", "since", "until")
    return {"store": answer.store, "epoch": answer.epoch} | {name: rfc3339(getattr(answer, name)) for name in times}


def build(answer: MapDocument, edges: Sequence[Edge], hidden: int = 0) -> ListDocument:
    """The document of those `edges` of the mapper's `answer` that are to be shown.

    Args:
        answer: What the source gave.
        edges: Of its edges.
        hidden: How many were left out because they are routine.
    """
    entries = [
        Entry(
            client=pair.client,
            server=pair.server,
            **counted(pair),
            ports=[
                Port(
                    port=edge.port,
                    protocol=edge.protocol,
                    service=edge.service,
                    **counted(edge),
                    details=edge.details,
                )
                for edge in sorted(pair.edges, key=lambda edge: (edge.port, edge.protocol, str(edge.service)))
            ],
        )
        for pair in group(edges)
    ]
    shown = {end for entry in entries for end in (entry.client, entry.server) if isinstance(end, Workload)}
    return ListDocument(
        **origin(answer),
        hidden=hidden,
        edges=entries,
        own=[workload for workload in answer.own if workload in shown],
        workloads=[row for row in answer.workloads if Workload(row.name, row.namespace, row.kind) in shown],
    )


def restore(document: ListDocument) -> MapDocument:
    """The map that a document was made of, with the edges that it shows.

    Raises:
        TimeError: A time is no RFC 3339.
    """
    return MapDocument(
        store=document.store,
        epoch=document.epoch,
        watching_since=_milliseconds(document.watching_since),
        generated_at=_milliseconds(document.generated_at),
        since=_milliseconds(document.since),
        until=_milliseconds(document.until),
        edges=[
            Edge(
                client=entry.client,
                server=entry.server,
                service=port.service,
                port=port.port,
                protocol=port.protocol,
                first_seen=_milliseconds(port.first_seen),
                last_seen=_milliseconds(port.last_seen),
                **{name: getattr(port, name) for name in _COUNTERS},
                details=port.details,
            )
            for entry in document.edges
            for port in entry.ports
        ],
        own=document.own,
        workloads=document.workloads,
    )


def _milliseconds(text: str | None) -> int:
    """The inverse of `rfc3339`; times without an offset are taken as UTC."""
    if text is None:
        return 0
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        raise TimeError(f"{text!r} is no time such as 2027-01-15T08:00:00.000Z") from None
    return ((when if when.tzinfo else when.replace(tzinfo=dt.UTC)) - _EPOCH) // _MILLISECOND
