"""Which of the ends that a flood would draw one by one are drawn together.

A scan of the internet, a million addresses that call one door, random names under one domain: each is one thing that
happens, and would be a hundred thousand edges that nobody reads and that take the room of the others. So of one
workload's ends outside the cluster the first few hundred are told apart and further ones belong to a wider block of
addresses or to all names of a domain; likewise the ports of one server that one client tries, and the workloads of one
kind in one namespace. What is drawn already stays as it is, and every observation counts on exactly one edge, so sums
are the same in whatever order things come.

Room that is left is shared: one client may hold as many edges as a quarter of what is free, so that a flood that no
rule above holds back leaves room for everybody else. A group is an edge like others: nothing more is kept of it.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Final

from network_mapper.model import Ambiguous, Drop, External, Service, Workload
from network_mapper.model.shares import Excess

if TYPE_CHECKING:
    from collections.abc import Container

    from network_mapper.model import Peer

GROUP_AFTER: Final = 256
ALL: Final = "*"
"""Name of what stands for all further ones."""

_NAMES_IN_ALL: Final = 4
"""So many times the names that one domain may have are told apart of all domains together."""

_FREE_SHARE: Final = 4
_SMALL: Final = 64
"""Edges that a client may have while there is any room."""

_MOST_TOLD: Final = 10

_KINDS_SHARE: Final = 16
_FEW_WORKLOADS: Final = 1024
"""Workloads of one kind that a namespace may have, however few edges the map may."""

_FIRST: Final = {4: 24, 6: 48}
"""Prefix of the blocks that outside addresses are told apart by."""
_WIDER: Final = {4: (16, 8, 0), 6: (32, 16, 0)}
_OCTETS: Final = frozenset(("24", "16", "8", "0"))


class _Partners:
    """Whom one peer has edges with, in one direction.

    Attributes:
        edges: How many edges there are, by the other end.
        total: How many in all.
        outside: How many other ends there are of each group that `_groups_of` tells.
    """

    __slots__ = ("edges", "outside", "total")

    def __init__(self) -> None:
        self.edges: dict[Peer, int] = {}
        self.total = 0
        self.outside: dict[str, int] = {}

    def add(self, peer: Peer) -> None:
        self.total += 1
        known = self.edges.get(peer, 0)
        self.edges[peer] = known + 1
        if not known and isinstance(peer, External):
            for group in _groups_of(peer.name):
                self.outside[group] = self.outside.get(group, 0) + 1

    def remove(self, peer: Peer) -> None:
        self.total -= 1
        self.edges[peer] -= 1
        if self.edges[peer]:
            return
        del self.edges[peer]
        if isinstance(peer, External):
            for group in _groups_of(peer.name):
                self.outside[group] -= 1
                if not self.outside[group]:
                    del self.outside[group]


class Grouping:
    """Says where an edge that is not in the map yet belongs, and whether there is room for it.

    Args:
        max_edges: As many as the map may have.
        after: So many are told apart: outside blocks of one size and outside names of one domain that a workload has to
            do with, and ports of one server that a client dials.
        known: The ends of edges.

    Attributes:
        refused: Clients for whose observations there was no room, as `namespace/name` or name.
    """

    def __init__(self, max_edges: int, after: int, known: Container[Peer]) -> None:
        self._max_edges = max_edges
        self._after = after
        self._known = known
        self._servers: dict[Peer, _Partners] = {}
        """By client."""
        self._callers: dict[Peer, _Partners] = {}
        """By server: the clients outside the cluster alone."""
        self._workloads: dict[tuple[str, str], int] = {}
        """By namespace and kind: ends of edges."""
        self._edges = 0
        self.refused: Excess[str] = Excess()

    def place(self, client: Peer, server: Peer, port: int) -> tuple[Peer, Peer, int]:
        """The ends and the port of the edge that a new one belongs to: its own, or a group's."""
        client, server = self._workload(client), self._workload(server)
        if isinstance(client, External):
            client = self._outside(client, self._callers.get(server))
        servers = self._servers.get(client)
        if isinstance(server, External):
            server = self._outside(server, servers)
        if servers is not None and servers.edges.get(server, 0) >= self._after:
            port = 0
        return client, server, port

    def admits(self, client: Peer) -> bool:
        """Whether there is room for another edge of this client."""
        servers = self._servers.get(client)
        free = self._max_edges - self._edges
        return free > 0 and (servers is None or servers.total < max(_SMALL, free // _FREE_SHARE))

    def refuse(self, client: Peer, count: int) -> None:
        """Count observations for which there was no room."""
        self.refused.add(_text(client), Drop.EDGES_FULL, count)

    def worst(self) -> list[tuple[str, int]]:
        """The clients for which the most observations found no room, and how many those were."""
        return [(str(client), count) for client, _, count in self.refused.worst(_MOST_TOLD)]

    def add(self, client: Peer, server: Peer) -> None:
        """Note an edge."""
        self._edges += 1
        self._servers.setdefault(client, _Partners()).add(server)
        if isinstance(client, External):
            self._callers.setdefault(server, _Partners()).add(client)

    def remove(self, client: Peer, server: Peer) -> None:
        """Note that an edge has left."""
        self._edges -= 1
        for table, one, other in ((self._servers, client, server), (self._callers, server, client)):
            partners = table.get(one) if table is self._servers or isinstance(client, External) else None
            if partners is not None:
                partners.remove(other)
                if not partners.total:
                    del table[one]

    def add_end(self, peer: Peer) -> None:
        """Note a peer that is an end of an edge from now on."""
        if isinstance(peer, Workload):
            key = peer.namespace, peer.kind
            self._workloads[key] = self._workloads.get(key, 0) + 1

    def remove_end(self, peer: Peer) -> None:
        """Note a peer that is an end no more."""
        if isinstance(peer, Workload):
            key = peer.namespace, peer.kind
            self._workloads[key] -= 1
            if not self._workloads[key]:
                del self._workloads[key]

    def _workload(self, peer: Peer) -> Peer:
        if not isinstance(peer, Workload) or peer in self._known:
            return peer
        if self._workloads.get((peer.namespace, peer.kind), 0) < max(_FEW_WORKLOADS, self._max_edges // _KINDS_SHARE):
            return peer
        return Workload(ALL, peer.namespace, peer.kind)

    def _outside(self, peer: External, partners: _Partners | None) -> External:
        if partners is None:
            return peer
        while peer not in partners.edges and self._is_full(peer.name, partners.outside):
            peer = External(wider(peer.name))
        return peer

    def _is_full(self, name: str, outside: dict[str, int]) -> bool:
        return any(
            outside.get(group, 0) >= self._after * (_NAMES_IN_ALL if group == ALL else 1) for group in _groups_of(name)
        )


def is_group(peer: Peer) -> bool:
    """Whether a peer stands for many that were not told apart."""
    if isinstance(peer, Workload):
        return peer.name == ALL
    if not isinstance(peer, External):
        return False
    block = _block(peer.name)
    return peer.name.startswith(ALL) if block is None else block[2] < _FIRST[block[0]]


def _text(peer: Peer) -> str:
    if isinstance(peer, Ambiguous):
        return " or ".join(map(_text, peer.candidates))
    return f"{peer.namespace}/{peer.name}" if isinstance(peer, Workload | Service) else peer.name


def wider(name: str) -> str:
    """The next wider group of what is outside: of a block `/16`, `/8` and all; of a name its domain and all."""
    block = _block(name)
    if block is not None:
        return _wider_block(*block)
    _, _, domain = name.partition(".")
    return f"{ALL}.{domain}" if domain and not name.startswith(ALL) else ALL


def _wider_block(version: int, first: str, length: int) -> str:
    size = next(size for size in _WIDER[version] if size < length)
    if version == 4:
        octets = first.split(".")
        return f"{'.'.join(octets[: size // 8] + ['0'] * (4 - size // 8))}/{size}"
    return str(ipaddress.IPv6Network((first, length)).supernet(new_prefix=size))


def _groups_of(name: str) -> tuple[str, ...]:
    """Of which groups an outside name or block uses up a place; the widest ones use none."""
    block = _block(name)
    if block is not None:
        version, _, length = block
        return (f"{version}/{length}",) if length else ()
    if name.startswith(ALL):
        return () if name == ALL else (ALL,)
    return ALL, f"{ALL}.{name.partition('.')[2]}"


def _block(name: str) -> tuple[int, str, int] | None:
    """Version, first address and prefix length of a block of addresses; None where a name is none."""
    first, slash, length = name.rpartition("/")
    if not slash:
        return None
    if length in _OCTETS and first.count(".") == 3 and first.replace(".", "").isdecimal():
        return 4, first, int(length)
    with contextlib.suppress(ValueError):
        network = ipaddress.ip_network(name)
        return network.version, str(network.network_address), network.prefixlen
    return None
