"""The map in memory. One task changes it; everybody else reads between two of its steps.

An entry holds the edge as readers see it (totals) and the difference since the last checkpoint for the minute that is
being counted. Merging is commutative and idempotent per report: minimum of first, maximum of last, sums once per
report, so reports may come late, twice or in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from network_mapper.model import Edge, External, Kind, Node, Peer, Service, ServiceRef, Workload
from network_mapper.store.database import MINUTE, NEVER

if TYPE_CHECKING:
    from collections.abc import Collection

    from network_mapper.store.writer import Bucket, Sample

CONNECTIONS, ATTEMPTS, LOOKUPS, SOCKETS, FIRST, LAST, REQUESTS, BYTES, FLOWS = range(9)
"""Where a count stands in `Entry.delta`: the order of the store's `COUNTS`."""

COUNTER = {
    Kind.CONNECTIONS: CONNECTIONS,
    Kind.ATTEMPTS: ATTEMPTS,
    Kind.LOOKUPS: LOOKUPS,
    Kind.SOCKETS: SOCKETS,
}

_SAMPLES_PER_EDGE = 8
DETAILS_PER_EDGE = 1000

_NO_DETAILS: dict[str, list[str]] = {}
"""The details of every edge that has none; never changed."""


class Entry:
    """An edge and what is not yet in the store of it.

    Attributes:
        edge: Totals, as readers see them.
        number: Of the edge in the store.
        minute: Start of the minute that `delta` counts, milliseconds.
        delta: Counts since the last checkpoint; None when the store has everything.
        samples: How many samples are kept of this edge.
        details: How many details it has.
        by_address: Every sighting named the server's pod, which does not resolve, beside its address, which does.
    """

    __slots__ = ("by_address", "delta", "details", "edge", "minute", "number", "samples")

    def __init__(self, edge: Edge, number: int) -> None:
        self.edge = edge
        self.number = number
        self.minute = 0
        self.delta: list[int] | None = None
        self.samples = 0
        self.details = 0
        self.by_address = False


class Changes(NamedTuple):
    """What the store does not have yet."""

    edges: list[tuple[int, Edge]]
    buckets: list[Bucket]
    samples: list[Sample]
    details: list[tuple[int, str, str]]


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
        self._details: list[tuple[int, str, str]] = []
        self._sorted: list[Entry] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def restore(self, number: int, edge: Edge, samples: int) -> None:
        """Take over an edge from the store."""
        key = self._key(edge.client, edge.server, edge.service, edge.port, edge.protocol)
        edge.client, edge.server, edge.service = key[:3]
        edge.details = edge.details or _NO_DETAILS
        entry = self._entries[key] = Entry(edge, number)
        entry.samples = samples
        entry.details = sum(max(1, len(values)) for values in edge.details.values())
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
        edge = Edge(*key, 0, 0, 0, 0, NEVER, 0, 0, 0, 0, _NO_DETAILS)
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
            self._sealed.append((entry.minute, entry.number, *entry.delta))
        entry.minute = minute
        entry.delta = delta = [0, 0, 0, 0, NEVER, 0, 0, 0, 0]
        return delta

    def add(self, entry: Entry, kind: Kind, count: int, first: int, last: int) -> None:
        """Merge one sighting. The fast path of `merge` does the same in line."""
        edge = entry.edge
        setattr(edge, kind.value, getattr(edge, kind.value) + count)
        self._seen(entry, first, last)[COUNTER[kind]] += count

    def add_requests(self, entry: Entry, count: int, first: int, last: int) -> None:
        """Merge requests that a watcher saw."""
        entry.edge.requests += count
        self._seen(entry, first, last)[REQUESTS] += count

    def add_volume(self, entry: Entry, size: int, flows: int, first: int, last: int) -> None:
        """Merge how many bytes went to the server, in how many flows."""
        entry.edge.bytes += size
        entry.edge.flows += flows
        delta = self._seen(entry, first, last)
        delta[BYTES] += size
        delta[FLOWS] += flows

    def _seen(self, entry: Entry, first: int, last: int) -> list[int]:
        """Widen an entry's times and return the counters of the minute."""
        edge = entry.edge
        edge.first_seen = min(edge.first_seen, first)
        edge.last_seen = max(edge.last_seen, last)
        minute = last - last % MINUTE
        delta = entry.delta
        if delta is None or entry.minute != minute:
            delta = self.open(entry, minute)
        delta[FIRST] = min(delta[FIRST], first)
        delta[LAST] = max(delta[LAST], last)
        return delta

    def detail(self, entry: Entry, name: str, value: str) -> bool:
        """Keep what was asked for over an edge; False when it has as many details as it may.

        An empty value says that the name was asked for and not how.
        """
        edge = entry.edge
        values = edge.details.get(name)
        if values is not None and (not value or value in values):
            return True
        if entry.details >= DETAILS_PER_EDGE:
            return False
        self._details.append((entry.number, name, value))
        # Replaced and not changed: most edges share one empty dict.
        edge.details = {**edge.details, name: sorted([*(values or ()), *filter(None, (value,))])}
        entry.details += 1
        return True

    def sample(self, entry: Entry, sample: Sample) -> None:
        """Keep a concrete sighting, the first few of an edge."""
        if entry.samples < _SAMPLES_PER_EDGE:
            entry.samples += 1
            self._samples.append(sample)

    @property
    def pending(self) -> int:
        """How many edges and buckets the next `take_changes` has."""
        return len(self._new) + len(self._dirty) + len(self._sealed)

    def take_changes(self) -> Changes:
        """Everything since the last call; the caller writes it or gives it back."""
        buckets = self._sealed
        for entry in self._dirty:
            assert entry.delta is not None
            buckets.append((entry.minute, entry.number, *entry.delta))
            entry.delta = None
        new = [(entry.number, entry.edge) for entry in self._new]
        changes = Changes(new, buckets, self._samples, self._details)
        self._forget_changes()
        return changes

    def _forget_changes(self) -> None:
        self._new, self._dirty, self._sealed, self._samples, self._details = [], [], [], [], []

    def give_back(self, changes: Changes) -> None:
        """Undo `take_changes`: the store could not write them, so the next checkpoint must."""
        for _, edge in changes.edges:
            key = (edge.client, edge.server, edge.service, edge.port, edge.protocol)
            if (entry := self._entries.get(key)) is not None:
                self._new.append(entry)
        self._sealed = changes.buckets + self._sealed
        self._samples = changes.samples + self._samples
        self._details = changes.details + self._details

    def clear(self) -> int:
        """Forget every edge and everything not yet written; returns how many edges there were."""
        removed = len(self._entries)
        for entry in self._entries.values():
            entry.delta = None
        self._entries, self._peers, self._services = {}, {}, {}
        self._forget_changes()
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
