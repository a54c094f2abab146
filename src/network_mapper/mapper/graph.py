"""The map in memory. One task changes it; everybody else reads between two of its steps.

An entry holds the edge as readers see it (totals) and the difference since the last checkpoint for the minute that is
being counted. Merging is commutative and idempotent per report: minimum of first, maximum of last, sums once per
report, so reports may come late, twice or in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from network_mapper.mapper.grouping import GROUP_AFTER, Grouping
from network_mapper.model import Edge, External, Kind, Node, Peer, Service, ServiceRef, Workload
from network_mapper.store.database import NEVER
from network_mapper.store.schema import MINUTE

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
    gone: list[int]
    number: int
    """Of the checkpoint that they make, if it succeeds."""


Key = tuple[Peer, Peer, ServiceRef | None, int, str]


class Graph:
    """All edges.

    Args:
        max_edges: No more than this many.
        group_after: As `Grouping`'s `after`.

    Attributes:
        checkpoints: How many were tried, over all starts.
    """

    def __init__(self, max_edges: int, group_after: int = GROUP_AFTER) -> None:
        self._entries: dict[Key, Entry] = {}
        self._peers: dict[Peer, Peer] = {}
        self._limits = max_edges, group_after
        self.grouping = Grouping(max_edges, group_after, self._peers)
        self.checkpoints = 0
        self._services: dict[ServiceRef, ServiceRef] = {}
        self._next = 1
        self._new: list[Entry] = []
        self._dirty: list[Entry] = []
        self._sealed: list[Bucket] = []
        self._samples: list[Sample] = []
        self._details: list[tuple[int, str, str]] = []
        self._gone: list[int] = []
        self._sorted: list[Entry] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def go_on_after(self, number: int, checkpoints: int) -> None:
        """Use no number of an edge again that was used before, nor one of a checkpoint."""
        self._next = max(self._next, number + 1)
        self.checkpoints = max(self.checkpoints, checkpoints)

    def restore(self, number: int, edge: Edge, samples: int) -> None:
        """Take over an edge from the store."""
        key = self._key(edge.client, edge.server, edge.service, edge.port, edge.protocol)
        edge.client, edge.server, edge.service = key[:3]
        edge.details = edge.details or _NO_DETAILS
        entry = self._entries[key] = Entry(edge, number)
        self.grouping.add(edge.client, edge.server)
        entry.samples = samples
        entry.details = sum(max(1, len(values)) for values in edge.details.values())
        self._next = max(self._next, number + 1)
        self._sorted = None

    def has(self, edge: Edge) -> bool:
        """Whether the map has an edge between these ends in this way."""
        return (edge.client, edge.server, edge.service, edge.port, edge.protocol) in self._entries

    def entry(
        self, client: Peer, server: Peer, service: ServiceRef | None, port: int, protocol: str, *, count: int = 1
    ) -> Entry | None:
        """The entry for an edge, or for the group it belongs to (`grouping`), made when new.

        Returns:
            None when there is no room for another edge of this client; `count` observations are noted as refused.
        """
        found = self._entries.get((client, server, service, port, protocol))
        if found is not None:
            return found
        client, server, port = self.grouping.place(client, server, port)
        found = self._entries.get((client, server, service, port, protocol))
        if found is not None:
            return found
        if not self.grouping.admits(client):
            self.grouping.refuse(client, count)
            return None
        key = self._key(client, server, service, port, protocol)
        edge = Edge(*key, 0, 0, 0, 0, NEVER, 0, 0, 0, 0, _NO_DETAILS)
        entry = self._entries[key] = Entry(edge, self._next)
        self.grouping.add(edge.client, edge.server)
        self._next += 1
        self._new.append(entry)
        self._sorted = None
        return entry

    def _key(self, client: Peer, server: Peer, service: ServiceRef | None, port: int, protocol: str) -> Key:
        # Equal peers become one object, so that 50,000 edges do not hold 100,000 workloads.
        for peer in (client, server):
            if peer not in self._peers:
                self._peers[peer] = peer
                self.grouping.add_end(peer)
        client, server = self._peers[client], self._peers[server]
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

    def expire(self, before: int, most: int) -> int:
        """Forget edges that were last seen before a time, at most so many; returns how many those were.

        Call it between two checkpoints. What is yet to be written stays until it is.
        """
        unwritten = {entry.number for entry in self._new} | {bucket[1] for bucket in self._sealed}
        gone = [
            (key, entry)
            for key, entry in self._entries.items()
            if entry.edge.last_seen < before and entry.delta is None and entry.number not in unwritten
        ][:most]
        if not gone:
            return 0
        for key, entry in gone:
            del self._entries[key]
            self._gone.append(entry.number)
            self.grouping.remove(entry.edge.client, entry.edge.server)
        left = {id(peer) for key in self._entries for peer in key[:3]}
        for peer in [peer for peer in self._peers if id(peer) not in left]:
            del self._peers[peer]
            self.grouping.remove_end(peer)
        self._services = {ref: ref for ref in self._services if id(ref) in left}
        self._sorted = None
        return len(gone)

    @property
    def pending(self) -> int:
        """How many edges and buckets the next `take_changes` has."""
        return len(self._new) + len(self._dirty) + len(self._sealed) + len(self._gone)

    def take_changes(self) -> Changes:
        """Everything since the last call; the caller writes it or gives it back."""
        buckets = self._buckets()
        for entry in self._dirty:
            entry.delta = None
        self.checkpoints += 1
        new = [(entry.number, entry.edge) for entry in self._new]
        changes = Changes(new, buckets, self._samples, self._details, self._gone, self.checkpoints)
        self._forget_changes()
        return changes

    def _buckets(self) -> list[Bucket]:
        dirty = [(entry.minute, entry.number, *entry.delta) for entry in self._dirty if entry.delta is not None]
        return self._sealed + dirty

    def _forget_changes(self) -> None:
        self._new, self._dirty, self._sealed, self._samples, self._details, self._gone = [], [], [], [], [], []

    def unwritten(self) -> tuple[list[Bucket], int]:
        """What the next `take_changes` has of counts, and the number that its checkpoint will have.

        A file that has a checkpoint of that number, or of a later one, has these counts.
        """
        return self._buckets(), self.checkpoints + 1

    def give_back(self, changes: Changes) -> None:
        """Undo `take_changes`: the store could not write them, so the next checkpoint must."""
        for _, edge in changes.edges:
            key = (edge.client, edge.server, edge.service, edge.port, edge.protocol)
            if (entry := self._entries.get(key)) is not None:
                self._new.append(entry)
        self._sealed = changes.buckets + self._sealed
        self._samples = changes.samples + self._samples
        self._details = changes.details + self._details
        self._gone = changes.gone + self._gone

    def clear(self) -> int:
        """Forget every edge and everything not yet written; returns how many edges there were."""
        removed = len(self._entries)
        for entry in self._entries.values():
            entry.delta = None
        self._entries, self._peers, self._services = {}, {}, {}
        self.grouping = Grouping(*self._limits, self._peers)
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


def edge_order(edge: Edge) -> tuple[object, ...]:
    """What edges are sorted by: client, server, service, port, protocol."""
    service = edge.service
    via = (service.namespace, service.name) if service else ("", "")
    return peer_order(edge.client), peer_order(edge.server), via, edge.port, edge.protocol


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
