"""The map in the JSON Graph Format (https://jsongraphformat.info, version 2), which libraries for graphs read.

A node is one end of an edge, under an identifier that tells what it is; there is one edge of the graph for each edge of
the map, so two nodes may have several. What the format has no field for stands in `metadata`, in the words of
`docs/list-document.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.export.labels import Labels
from network_mapper.export.pairs import group
from network_mapper.export.times import rfc3339
from network_mapper.model import Ambiguous, External, Node, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.model import Edge, Peer
    from network_mapper.wire.api import MapDocument

TYPE = "network-map"
RELATION = "calls"
_ESCAPED = str.maketrans({"%": "%25", "/": "%2F", "|": "%7C"})


def to_json_graph(answer: MapDocument, edges: Sequence[Edge]) -> bytes:
    """Those `edges` of a mapper's `answer` that are wanted, as a graph; nodes and edges are sorted by name."""
    labels = Labels(edges)
    pairs = group(edges)
    ids: dict[Peer, str] = {}
    nodes: dict[str, dict[str, Any]] = {}
    for peer in (peer for pair in pairs for peer in (pair.client, pair.server)):
        if peer not in ids:
            ids[peer] = identifier(peer)
            nodes[ids[peer]] = {"label": labels.cell(peer), "metadata": msgspec.to_builtins(peer)}
    graph = {
        "directed": True,
        "type": TYPE,
        "label": "Network map",
        "metadata": {
            "store": answer.store,
            "epoch": answer.epoch,
            "watching_since": rfc3339(answer.watching_since),
            "generated_at": rfc3339(answer.generated_at),
            "since": rfc3339(answer.since),
            "until": rfc3339(answer.until),
        },
        "nodes": {key: nodes[key] for key in sorted(nodes)},
        "edges": [
            {
                "source": ids[pair.client],
                "target": ids[pair.server],
                "relation": RELATION,
                "metadata": _metadata(edge),
            }
            for pair in pairs
            for edge in sorted(pair.edges, key=lambda edge: (edge.port, edge.protocol, str(edge.service)))
        ],
    }
    return msgspec.json.format(msgspec.json.encode({"graph": graph}), indent=2) + b"\n"


def identifier(peer: Peer) -> str:
    """The node's key, such as `workload:shop/Deployment/cart`; different peers have different ones."""
    if isinstance(peer, Ambiguous):
        return "ambiguous:" + "|".join(identifier(candidate) for candidate in peer.candidates)
    if isinstance(peer, External):
        return f"external:{peer.name}"
    if isinstance(peer, Node):
        return f"node:{peer.name.translate(_ESCAPED)}"
    middle = (peer.kind,) if isinstance(peer, Workload) else ()
    parts = (part.translate(_ESCAPED) for part in (peer.namespace, *middle, peer.name))
    return f"{'workload' if middle else 'service'}:{'/'.join(parts)}"


def is_earlier(head: bytes) -> bool:
    """Whether a file that begins so was written by `to_json_graph`."""
    begin = f'{{\n  "graph": {{\n    "directed": true,\n    "type": "{TYPE}",'
    return head.replace(b"\r\n", b"\n").startswith(begin.encode())


def _metadata(edge: Edge) -> dict[str, Any]:
    return {
        "service": msgspec.to_builtins(edge.service),
        "port": edge.port,
        "protocol": edge.protocol,
        "connections": edge.connections,
        "attempts": edge.attempts,
        "lookups": edge.lookups,
        "sockets": edge.sockets,
        "requests": edge.requests,
        "bytes": edge.bytes,
        "flows": edge.flows,
        "first_seen": rfc3339(edge.first_seen),
        "last_seen": rfc3339(edge.last_seen),
        "details": edge.details,
    }
