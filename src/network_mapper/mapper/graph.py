"""The map in memory. One task changes it; everybody else reads between two of its steps.

An entry holds the edge as readers see it (totals) and the difference since the last checkpoint for the minute that is
being counted. Merging is commutative and idempotent per report: minimum of first, maximum of last, sums once per
report, so reports may come late, twice or in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.model import Edge, External, Kind, Node, Peer, Service, ServiceRef, Workload
from network_mapper.store.database import MINUTE, NEVER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from network_mapper.store.writer import Bucket, Sample

CONNECTIONS, ATTEMPTS, LOOKUPS, SOCKETS = range(4)
"""Where a kind's counter stands in `Entry.delta`."""

COUNTER = {
    Kind.CONNECTIONS: CONNECTIONS,
    Kind.ATTEMPTS: ATTEMPTS,
    Kind.LOOKUPS: LOOKUPS,
    Kind.SOCKETS: SOCKETS,
}

_SAMPLES_PER_EDGE = 8


class Entry:
    """An edge and what is not yet in the store of it.

    Attributes:
        edge: Totals, as readers see them.
        number: Of the edge in the store.
        minute: Start of the minute that `delta` counts, milliseconds.
        delta: Four counters, first and last sighting; None when the store has everything.
        samples: How many samples are kept of this edge.
    """

    __slots__ = ("delta", "edge", "minute", "number", "samples")

    def __init__(self, edge: Edge, number: int) -> None:
        self.edge = edge
        self.number = number
        self.minute = 0
        self.delta: list[int] | None = None
        self.samples = 0


Key = tuple[Peer, Peer, ServiceRef | None, int, str]


class Graph:
    """All edges.

    Args:
        max_edges: No more than this many.
    """

    def __init__(self, max_edges: int) -> None:
        self._max_edges = max_edges
        self._entries: dict[Key, Entry] = {}
        self._peers: dict[Peer, Peer] = {}
        self._services: dict[ServiceRef, ServiceRef] = {}
        self._next = 1
        self._new: list[Entry] = []
        self._dirty: list[Entry] = []
        self._sealed: list[Bucket] = []
        self._samples: list[Sample] = []
        self._sorted: list[Entry] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def restore(self, number: int, edge: Edge, samples: int) -> None:
        """Take over an edge from the store."""
        key = self._key(edge.client, edge.server, edge.service, edge.port, edge.protocol)
        edge.client, edge.server, edge.service = key[:3]
        entry = self._entries[key] = Entry(edge, number)
        entry.samples = samples
        self._next = max(self._next, number + 1)
        self._sorted = None

    def entry(self, client: Peer, server: Peer, service: ServiceRef | None, port: int, protocol: str) -> Entry | None:
        """The entry for an edge, made when new; None when the graph is full."""
        found = self._entries.get((client, server, service, port, protocol))
        if found is not None:
            return found
        if len(self._entries) >= self._max_edges:
            return None
        key = self._key(client, server, service, port, protocol)
        edge = Edge(*key, 0, 0, 0, 0, NEVER, 0)
        entry = self._entries[key] = Entry(edge, self._next)
        self._next += 1
        self._new.append(entry)
        self._sorted = None
        return entry

    def _key(self, client: Peer, server: Peer, service: ServiceRef | None, port: int, protocol: str) -> Key:
        # Equal peers become one object, so that 50,000 edges do not hold 100,000 workloads.
        client = self._peers.setdefault(client, client)
        server = self._peers.setdefault(server, server)
        if service is not None:
            service = self._services.setdefault(service, service)
        return client, server, service, port, protocol

    def open(self, entry: Entry, minute: int) -> list[int]:
        """Begin to count another minute for an entry and return its fresh counters."""
        if entry.delta is None:
            self._dirty.append(entry)
        else:
            self._sealed.append((entry.minute, entry.number, *entry.delta))  # type: ignore[arg-type]  # six counters
        entry.minute = minute
        entry.delta = delta = [0, 0, 0, 0, NEVER, 0]
        return delta

    def add(self, entry: Entry, kind: Kind, count: int, first: int, last: int) -> None:
        """Merge one sighting. The fast path of `merge` does the same in line."""
        edge = entry.edge
        setattr(edge, kind.value, getattr(edge, kind.value) + count)
        edge.first_seen = min(edge.first_seen, first)
        edge.last_seen = max(edge.last_seen, last)
        minute = last - last % MINUTE
        delta = entry.delta
        if delta is None or entry.minute != minute:
            delta = self.open(entry, minute)
        delta[COUNTER[kind]] += count
        delta[4] = min(delta[4], first)
        delta[5] = max(delta[5], last)

    def sample(self, entry: Entry, sample: Sample) -> None:
        """Keep a concrete sighting, the first few of an edge."""
        if entry.samples < _SAMPLES_PER_EDGE:
            entry.samples += 1
            self._samples.append(sample)

    def take_changes(self) -> tuple[list[tuple[int, Edge]], list[Bucket], list[Sample]]:
        """New edges, bucket differences and samples since the last call; the caller writes them or gives them back."""
        buckets = self._sealed
        for entry in self._dirty:
            assert entry.delta is not None
            buckets.append((entry.minute, entry.number, *entry.delta))  # type: ignore[arg-type]  # six counters
            entry.delta = None
        new = [(entry.number, entry.edge) for entry in self._new]
        samples = self._samples
        self._new, self._dirty, self._sealed, self._samples = [], [], [], []
        return new, buckets, samples

    def give_back(self, edges: Iterable[tuple[int, Edge]], buckets: list[Bucket], samples: list[Sample]) -> None:
        """Undo `take_changes`: the store could not write them, so the next checkpoint must."""
        for _, edge in edges:
            key = (edge.client, edge.server, edge.service, edge.port, edge.protocol)
            if (entry := self._entries.get(key)) is not None:
                self._new.append(entry)
        self._sealed = buckets + self._sealed
        self._samples = samples + self._samples

    def clear(self) -> int:
        """Forget every edge and everything not yet written; returns how many edges there were."""
        removed = len(self._entries)
        for entry in self._entries.values():
            entry.delta = None
        self._entries, self._peers, self._services = {}, {}, {}
        self._new, self._dirty, self._sealed, self._samples = [], [], [], []
        self._sorted = None
        return removed

    def peers(self) -> Collection[Peer]:
        """Every client and server; the edges hold these very objects."""
        return self._peers.keys()

    def in_order(self) -> list[Entry]:
        """Every entry, sorted by client, server, service, port and protocol; not to be changed by the caller."""
        if self._sorted is None:
            order = {peer: peer_order(peer) for peer in self._peers}

            def by_name(entry: Entry) -> tuple[object, ...]:
                edge = entry.edge
                service = edge.service
                via = (service.namespace, service.name) if service else ("", "")
                return order[edge.client], order[edge.server], via, edge.port, edge.protocol

            self._sorted = sorted(self._entries.values(), key=by_name)
        return self._sorted


def peer_order(peer: Peer) -> tuple[str, str, str, str]:
    """What peers are sorted by: name, namespace, type, kind."""
    match peer:
        case Workload(name, namespace, kind):
            return name, namespace, "", kind
        case Service(name, namespace):
            return name, namespace, "service", ""
        case Node(name):
            return name, "", "node", ""
        case External(name):
            return name, "", "external", ""
        case _:
            first = min(peer_order(candidate) for candidate in peer.candidates)
            return first[0], first[1], "ambiguous", str(len(peer.candidates))
