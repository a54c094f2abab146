"""The map as comma-separated values (RFC 4180): one row per edge, for spreadsheets and for programs that read tables.

Spreadsheets run what begins like a formula, and names of the outside world come from DNS answers. A text that begins so
gets an apostrophe before it, as https://owasp.org/www-community/attacks/CSV_Injection advises; no name that Kubernetes
takes is touched. Columns are only ever added, at the end.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec

from network_mapper.export.labels import namespace_of
from network_mapper.export.pairs import group
from network_mapper.export.times import rfc3339
from network_mapper.model import Ambiguous, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.model import Edge, Peer

COLUMNS = (
    *(f"{end}_{field}" for end in ("client", "server") for field in ("type", "name", "namespace", "kind")),
    "service_name",
    "service_namespace",
    "port",
    "protocol",
    "connections",
    "attempts",
    "lookups",
    "sockets",
    "requests",
    "bytes",
    "flows",
    "first_seen",
    "last_seen",
    "details",
)
_HEADER = ",".join(COLUMNS).encode()
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(edges: Iterable[Edge], *, header: bool = True) -> bytes:
    """A line of COLUMNS, if wanted, then the edges, sorted by client, server, port, protocol and service.

    It is UTF-8, and lines end in CRLF. Where nothing is known a field is empty. Of several possible owners, the name
    holds all as `namespace/name`. Times are RFC 3339. The details are a JSON object, as in `docs/list-document.md`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if header:
        writer.writerow(COLUMNS)
    for pair in group(edges):
        ends = [*_peer(pair.client), *_peer(pair.server)]
        for edge in sorted(pair.edges, key=lambda edge: (edge.port, edge.protocol, str(edge.service))):
            service = edge.service
            writer.writerow(
                [
                    *ends,
                    _safe(service.name if service else ""),
                    _safe(service.namespace if service else ""),
                    edge.port or "",
                    _safe(edge.protocol),
                    edge.connections,
                    edge.attempts,
                    edge.lookups,
                    edge.sockets,
                    edge.requests,
                    edge.bytes,
                    edge.flows,
                    rfc3339(edge.first_seen) or "",
                    rfc3339(edge.last_seen) or "",
                    msgspec.json.encode(edge.details).decode() if edge.details else "",
                ]
            )
    return text.getvalue().encode()


def is_earlier(head: bytes) -> bool:
    """Whether a file that begins so was written by `to_csv`, of this version or another with fewer columns."""
    first = head.partition(b"\n")[0].rstrip(b"\r")
    return bool(first) and (_HEADER.startswith(first) or first.startswith(_HEADER)) and first.count(b",") > 10


def _peer(peer: Peer) -> tuple[str, str, str, str]:
    if isinstance(peer, Ambiguous):
        names = [f"{namespace_of(one)}/{one.name}".removeprefix("/") for one in peer.candidates]
        return "ambiguous", _safe(" | ".join(names)), "", ""
    kind = peer.kind if isinstance(peer, Workload) else ""
    return str(peer.__struct_config__.tag), _safe(peer.name), _safe(namespace_of(peer)), _safe(kind)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
