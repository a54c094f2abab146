"""A map and the page's script and style, put into one file.

The file is opened from disks, mails and wikis, and the names in it come from a cluster that may not be trusted. So it
forbids itself everything by a content security policy and allows its own script and style by their hashes; the map
stands in it as JSON that no parser of HTML can take for anything else, and the script only ever sets names as text.

The JSON is smaller than a mapper's answer: each peer stands in it once, and fields that are 0 or empty are left out.
"""

from __future__ import annotations

import base64
import hashlib
import html
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from network_mapper.export.picture import MADE_BY
from network_mapper.model import Ambiguous, External, Node, ServiceRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.model import Edge, Peer
    from network_mapper.wire.api import MapDocument


class PagePeer(msgspec.Struct, omit_defaults=True):
    """A peer; `type` is its tag in the mapper's answers, `candidates` are places in `PageMap.peers` before its own."""

    type: str
    name: str = ""
    namespace: str = ""
    kind: str = ""
    candidates: list[int] = []


class PageEdge(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An edge as in `model.Edge`; its ends are places in `PageMap.peers`, its service one in `PageMap.services`."""

    client: int
    server: int
    service: int = -1
    port: int = 0
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


class PageMap(msgspec.Struct):
    """The map in the page. Times are milliseconds since the epoch (UTC); fields are only ever added.

    Attributes:
        format: 1, until a field changes its meaning.
        title: What stands above the map.
        store: As in `MapDocument`, like the next five.
        epoch: Counts the map's resets.
        watching_since: When the first sniffer of this epoch began to watch.
        generated_at: When the map was asked for.
        since: Start of the time range that was asked for, else 0.
        until: End of that range, else 0.
        left_out: Edges of the mapper's answer that were not wanted.
        peers: Each peer once.
        services: Each service that was dialled once.
        edges: In the order of the answer.
    """

    format: int
    title: str
    store: str
    epoch: int
    watching_since: int
    generated_at: int
    since: int
    until: int
    left_out: int
    peers: list[PagePeer]
    services: list[ServiceRef]
    edges: list[PageEdge]


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text("utf-8")


def _hash(text: str) -> str:
    """A source of a content security policy that allows an element with just this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class _Peers:
    """Gives each peer its place."""

    def __init__(self) -> None:
        self.rows: list[PagePeer] = []
        self._places: dict[Peer, int] = {}

    def place(self, peer: Peer) -> int:
        place = self._places.get(peer)
        if place is None:
            row = self._row(peer)
            place = self._places[peer] = len(self.rows)
            self.rows.append(row)
        return place

    def _row(self, peer: Peer) -> PagePeer:
        tag = str(peer.__struct_config__.tag)
        if isinstance(peer, Ambiguous):
            return PagePeer(tag, candidates=[self.place(candidate) for candidate in peer.candidates])
        if isinstance(peer, Node | External):
            return PagePeer(tag, peer.name)
        return PagePeer(tag, peer.name, peer.namespace, getattr(peer, "kind", ""))


def build(answer: MapDocument, edges: Sequence[Edge], title: str) -> PageMap:
    """The map that the page is given: those `edges` of the mapper's `answer` that are to be shown."""
    peers = _Peers()
    services: dict[ServiceRef, int] = {}
    rows = [
        PageEdge(
            client=peers.place(edge.client),
            server=peers.place(edge.server),
            service=-1 if edge.service is None else services.setdefault(edge.service, len(services)),
            port=edge.port,
            protocol=edge.protocol,
            connections=edge.connections,
            attempts=edge.attempts,
            lookups=edge.lookups,
            sockets=edge.sockets,
            first_seen=edge.first_seen,
            last_seen=edge.last_seen,
            requests=edge.requests,
            bytes=edge.bytes,
            flows=edge.flows,
            details=edge.details,
        )
        for edge in edges
    ]
    return PageMap(
        format=1,
        title=title,
        store=answer.store,
        epoch=answer.epoch,
        watching_since=answer.watching_since,
        generated_at=answer.generated_at,
        since=answer.since,
        until=answer.until,
        left_out=len(answer.edges) - len(edges),
        peers=peers.rows,
        services=list(services),
        edges=rows,
    )


def render(answer: MapDocument, edges: Sequence[Edge], *, title: str = "") -> str:
    """The page as a text of HTML, to be written as UTF-8.

    Args:
        answer: The mapper's answer, for what it says about the map as a whole.
        edges: Those of its edges that are to be shown (`export.selection.choose`).
        title: What stands above the map; a general title when empty.
    """
    script, style = _asset("page.js"), _asset("style.css")
    data = msgspec.json.encode(build(answer, edges, title)).decode()
    # In JSON these can only stand inside strings, where an escape means the same.
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<!-- {MADE_BY} -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title or "Network map")}</title>
<style>{style}</style>
</head>
<body>
<noscript>This map is drawn by a script inside this file, and scripts are switched off.</noscript>
<script type="application/json" id="map">{data}</script>
<script>{script}</script>
</body>
</html>
"""
