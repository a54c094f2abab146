"""From a report's rows to counts in the graph: the hot path of the mapper.

A row that was resolved before costs one dictionary look-up. What is remembered is kept per client address, together
with the span of time in which it holds, and the index says when an answer may have changed, so a remembered answer is
never older than the cluster. Whatever is unusual about a row (unknown, outside the span, a strange time) takes the
slow path, which resolves it by itself and counts why it was dropped if it was.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from network_mapper.cluster.index import canonical
from network_mapper.mapper import resolve
from network_mapper.mapper.coverage import SKEW
from network_mapper.mapper.graph import ATTEMPTS, CONNECTIONS, COUNTER
from network_mapper.mapper.waiting import Waiting, WaitingRoom
from network_mapper.model import Ambiguous, Drop, External, Kind, Service, ServiceRef, Tally, Workload
from network_mapper.store.database import MINUTE
from network_mapper.store.writer import Sample
from network_mapper.wire.report import LEGACY_NODE, Client

if TYPE_CHECKING:
    from network_mapper.cluster.index import Index
    from network_mapper.mapper.coverage import Coverage
    from network_mapper.mapper.graph import Entry, Graph
    from network_mapper.model import Peer
    from network_mapper.wire.report import Flow, Lookup, Report

_MEMO_ROWS = 150_000

FlowKey = tuple[str, int, str, str, int]


_PROTOCOLS = frozenset(("tcp", "udp", "sctp"))
_REQUEST_PROTOCOLS = frozenset(("http", "kafka", "aws", "gcp", "azure"))


class Rules(NamedTuple):
    """What is left out of the map.

    Attributes:
        excluded: Namespaces; an edge with an end in one of them is dropped.
        external: Whether the world outside the cluster is drawn.
    """

    excluded: frozenset[str] = frozenset()
    external: bool = True


class _Memo:
    """What is remembered of one client address, and since when it holds; it holds until the index says otherwise."""

    __slots__ = ("client", "flows", "lookups", "start")

    def __init__(self, client: resolve.Client) -> None:
        self.client = client
        self.start = client.start
        self.flows: dict[FlowKey, Entry] = {}
        self.lookups: dict[str, Entry] = {}


class _Row(NamedTuple):
    """What belongs to a row beside itself."""

    group: Client
    memo: _Memo | None
    report: Report
    now: int
    drops: Tally


class Merger:
    """Applies reports.

    Args:
        index: Who has which address.
        graph: Where the counts go.
        coverage: Which nodes are watched.
        rules: What is left out.
    """

    def __init__(self, index: Index, graph: Graph, coverage: Coverage, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._index = index
        self._graph = graph
        self._coverage = coverage
        self._memos: dict[str, _Memo] = {}
        """By client, as reports write it."""
        self._dependants: dict[str, tuple[str, set[str]]] = {}
        """By address or name: its text, and the clients whose remembered rows depend on it."""
        self._rows = 0
        self.reset_at = 0
        self.room = WaitingRoom()
        index.on_change = self.forget

    def forget(self, key: str) -> None:
        """Forget everything that was resolved with the help of this address or name, and wait no longer for it."""
        self.room.told(key)
        _, clients = self._dependants.pop(key, (key, set()))
        for client in (key, *clients):
            memo = self._memos.pop(client, None)
            if memo is not None:
                self._rows -= len(memo.flows) + len(memo.lookups)

    def forget_all(self) -> None:
        """Forget every resolved row."""
        self._memos.clear()
        self._dependants.clear()
        self._rows = 0

    def apply(self, report: Report, now: int, since: int = 0) -> Tally:
        """Merge a report's rows, or let them wait; returns what was dropped, in rows.

        Args:
            report: The report.
            now: The mapper's clock, milliseconds since the epoch.
            since: When it came, if that was earlier; -1 for one of which nothing is to wait.
        """
        drops = Tally()
        for sent in report.clients:
            group = sent
            memo = self._memos.get(group.address) or self._remember(group.address)
            if memo is None and since >= 0 and report.node != LEGACY_NODE:
                group = self._let_wait(report, group, since or now)
            if memo is None:
                self._slowly(_Row(group, None, report, now, drops))
            elif memo.client.node == report.node:
                self._quickly(_Row(group, memo, report, now, drops))
            elif self._elsewhere(memo.client, group, report, now, drops):
                pass
            elif report.node == LEGACY_NODE:
                self._quickly(_Row(group, memo, report, now, drops))
            else:
                self._slowly(_Row(group, None, report, now, drops))
            if group.requests or group.volumes:
                self._watched(_Row(group, None, report, now, drops))
        return drops

    def _let_wait(self, report: Report, group: Client, since: int) -> Client:
        """Let those rows wait of which the client may yet be told; returns the others."""
        address = canonical(group.address)
        if address is None:
            return group
        stay, wait = (Client(group.address, group.tap, group.pod) for _ in range(2))
        for field in ("connections", "attempts", "sockets", "lookups"):
            for row in getattr(group, field):
                waits = self._index.may_be_told(address, report.base + row.last)
                getattr(wait if waits else stay, field).append(row)
        if not wait.rows():
            return group
        stay.requests, stay.volumes = group.requests, group.volumes
        alone = msgspec.structs.replace(report, clients=[wait], drops={}, sources=[])
        return stay if self.room.put(address, Waiting(since, alone)) else group

    def _remember(self, client: str) -> _Memo | None:
        """Resolve a client to its present owner, where there is one for certain and the index tells when it changes."""
        if self._rows >= _MEMO_ROWS or len(self._memos) >= _MEMO_ROWS:
            self.forget_all()
        found = resolve.client_at(self._index, client, resolve.NOW)
        if isinstance(found, Drop) or found.end < resolve.FOREVER:
            return None
        address = resolve.address_of(client)
        if address is None:
            return None
        memo = self._memos[client] = _Memo(found)
        if address != client:
            self._note(client, address)
        return memo

    def _quickly(self, row: _Row) -> None:
        """Merge what is remembered, and the rest row by row."""
        group, memo, report = row.group, row.memo, row.report
        assert memo is not None
        bounds = (max(memo.start, self._floor(report), 1), row.now + SKEW)
        for kind, flows in _flows_of(group):
            if flows:
                for flow in self._known_flows(memo, flows, COUNTER[kind], report.base, bounds):
                    self._flow(row, kind, flow)
        if group.lookups:
            for lookup in self._known_lookups(memo, group.lookups, report.base, bounds):
                self._lookup(row, lookup)

    def _known_flows(self, memo: _Memo, flows: list[Flow], kind: int, base: int, bounds: tuple[int, int]) -> list[Flow]:
        """Merge the rows that are remembered; returns the others."""
        others = []
        get = memo.flows.get
        floor, ceiling = bounds
        reopen = self._graph.open
        for flow in flows:
            entry = get((flow.server, flow.port, flow.protocol, flow.answered_by, flow.answered_port))
            first = base + flow.first
            last = base + flow.last
            if entry is None or not floor <= first <= last <= ceiling:
                others.append(flow)
                continue
            count = flow.count
            edge = entry.edge
            if kind == CONNECTIONS:
                edge.connections += count
            elif kind == ATTEMPTS:
                edge.attempts += count
            else:
                edge.sockets += count
            if first < edge.first_seen:  # noqa: PLR1730  a call a row would be a tenth of this loop
                edge.first_seen = first
            if last > edge.last_seen:  # noqa: PLR1730  likewise
                edge.last_seen = last
            minute = last - last % MINUTE
            delta = entry.delta
            if delta is None or entry.minute != minute:
                delta = reopen(entry, minute)
            delta[kind] += count
            if first < delta[4]:  # noqa: PLR1730  likewise
                delta[4] = first
            if last > delta[5]:  # noqa: PLR1730  likewise
                delta[5] = last
        return others

    def _known_lookups(self, memo: _Memo, lookups: list[Lookup], base: int, bounds: tuple[int, int]) -> list[Lookup]:
        """Merge the lookups that are remembered; returns the others."""
        others = []
        get = memo.lookups.get
        floor, ceiling = bounds
        for lookup in lookups:
            entry = get(lookup.name)
            first = base + lookup.first
            last = base + lookup.last
            if entry is None or not floor <= first <= last <= ceiling:
                others.append(lookup)
            else:
                self._graph.add(entry, Kind.LOOKUPS, lookup.count, first, last)
        return others

    def _elsewhere(self, client: resolve.Client, group: Client, report: Report, now: int, drops: Tally) -> bool:
        """Drop what the client's own node counts: the usual case of a connection between two nodes."""
        if not self._coverage.is_known(client.node):
            return False
        rows: list[Flow | Lookup] = [*group.connections, *group.attempts, *group.sockets, *group.lookups]
        if not rows:
            return True
        earliest = report.base + min(row.first for row in rows)
        latest = report.base + max(row.last for row in rows)
        covers = self._coverage.covers
        same_owner = client.start <= earliest and latest < client.end
        if same_owner and covers(client.node, earliest, now) and covers(client.node, latest, now):
            drops.add(Drop.SEEN_ELSEWHERE, len(rows))
            return True
        return False

    def _slowly(self, row: _Row) -> None:
        """Resolve and merge every row by itself."""
        for kind, flows in _flows_of(row.group):
            for flow in flows:
                self._flow(row, kind, flow)
        for lookup in row.group.lookups:
            self._lookup(row, lookup)

    def _flow(self, row: _Row, kind: Kind, flow: Flow) -> None:
        """Resolve one flow and merge it, or count why not."""
        span = self._span(row, flow.first, flow.last)
        if span is None:
            return
        if (flow.port == 0 and row.report.node != LEGACY_NODE) or flow.protocol not in _PROTOCOLS:
            row.drops.add(Drop.ROW_MALFORMED)
            return
        server = resolve.server_at(
            self._index, flow.server, flow.port, flow.protocol, span[1], answered_by=flow.answered_by
        )
        entry = self._edge(row, span[1], server, flow.port, flow.protocol)
        if entry is None:
            return
        entry.by_address = "@" in flow.server and (entry.by_address or not entry.edge.last_seen)
        self._graph.add(entry, kind, flow.count, *span)
        self._graph.sample(
            entry,
            Sample(
                entry.number,
                span[1],
                row.report.node,
                kind.value,
                row.group.address,
                flow.server,
                flow.port,
                flow.answered_by,
            ),
        )
        address = resolve.address_of(flow.server)
        memo = self._lasting(row, span[1], server) if address is not None and flow.port else None
        if memo is not None and address is not None:
            client = row.group.address
            noted, answered_by = self._note(client, address), self._note(client, flow.answered_by)
            server_text = noted if noted == flow.server else flow.server
            memo.flows[server_text, flow.port, intern(flow.protocol), answered_by, flow.answered_port] = entry

    def _lookup(self, row: _Row, lookup: Lookup) -> None:
        """Resolve one lookup and merge it, or count why not."""
        span = self._span(row, lookup.first, lookup.last)
        if span is None:
            return
        server = resolve.name_at(self._index, lookup.name, span[1])
        entry = self._edge(row, span[1], server, 0, "dns")
        if entry is None:
            return
        self._graph.add(entry, Kind.LOOKUPS, lookup.count, *span)
        answer = lookup.addresses[0] if lookup.addresses else ""
        self._graph.sample(
            entry,
            Sample(entry.number, span[1], row.report.node, "lookups", row.group.address, lookup.name, 0, answer),
        )
        memo = self._lasting(row, span[1], server)
        if memo is not None:
            memo.lookups[lookup.name] = entry
            for key in self._index.keys_of(lookup.name):
                self._note(row.group.address, key)

    def _watched(self, row: _Row) -> None:
        """Merge what watchers and meters say; only one of them sees it, so no node's sighting goes before."""
        for request in row.group.requests:
            span = self._span(row, request.first, request.last)
            if span is None:
                continue
            service = _service_ref(request.service)
            if request.protocol not in _REQUEST_PROTOCOLS or (request.service and service is None):
                row.drops.add(Drop.ROW_MALFORMED)
                continue
            server = resolve.server_at(self._index, request.server, 0, request.protocol, span[1])
            if service is not None and isinstance(server, resolve.Server):
                server = server._replace(service=service)
            entry = self._edge(row, span[1], server, 0, request.protocol, anywhere=True)
            if entry is None:
                continue
            self._graph.add_requests(entry, request.count, *span)
            if not self._graph.detail(entry, request.name, request.action):
                row.drops.add(Drop.DETAILS_FULL)
            self._sample(row, entry, "requests", request.server, span[1])
        for volume in row.group.volumes:
            span = self._span(row, volume.first, volume.last)
            if span is None:
                continue
            server = resolve.server_at(self._index, volume.server, 0, "ip", span[1])
            entry = self._edge(row, span[1], server, 0, "ip", anywhere=True)
            if entry is not None:
                self._graph.add_volume(entry, volume.bytes, volume.flows, *span)
                self._sample(row, entry, "volumes", volume.server, span[1])

    def _sample(self, row: _Row, entry: Entry, kind: str, server: str, seen: int) -> None:
        client = row.group.address
        self._graph.sample(entry, Sample(entry.number, seen, row.report.node, kind, client, server, 0, ""))

    def _span(self, row: _Row, first: int, last: int) -> tuple[int, int] | None:
        """A row's times on the epoch, or None where they make no sense."""
        first, last = row.report.base + first, row.report.base + last
        reason, floor = None, self._floor(row.report)
        if first < 1 or first > last:
            reason = Drop.TIME_INVALID
        elif last > row.now + SKEW:
            reason = Drop.TIME_IN_FUTURE
        elif last < floor:
            reason = Drop.BEFORE_RESET
        if reason is not None:
            row.drops.add(reason)
            return None
        return max(first, floor), last

    def _floor(self, report: Report) -> int:
        """When the map was emptied, on the clock of the one who reports; 0 when it never was."""
        return self.reset_at + report.ahead if self.reset_at else 0

    def _edge(
        self,
        row: _Row,
        instant: int,
        server: resolve.Server | Drop,
        port: int,
        protocol: str,
        *,
        anywhere: bool = False,
    ) -> Entry | None:
        """The edge that a row belongs to, or None with the reason counted.

        `anywhere` says that the row counts whichever node it comes from.
        """
        memo = row.memo
        client: resolve.Client | Drop
        if memo is not None and instant >= memo.client.start:
            client = memo.client
        else:
            client = resolve.client_at(self._index, row.group.address, instant)
        reason = Drop.EDGES_FULL
        if isinstance(client, Drop):
            reason = client
        elif isinstance(server, Drop):
            reason = server
        elif isinstance(client.peer, External) and isinstance(server.peer, External):
            reason = Drop.BOTH_EXTERNAL
        elif not self._rules.external and (isinstance(client.peer, External) or isinstance(server.peer, External)):
            reason = Drop.EXTERNAL_LEFT_OUT
        elif self._rules.excluded and self._is_excluded(client, server):
            reason = Drop.NAMESPACE_EXCLUDED
        elif not anywhere and not self._counts(client, server, row, instant):
            reason = Drop.SEEN_ELSEWHERE
        else:
            entry = self._graph.entry(client.peer, server.peer, server.service, port, protocol)
            if entry is not None:
                return entry
        row.drops.add(reason)
        return None

    def _is_excluded(self, client: resolve.Client, server: resolve.Server) -> bool:
        excluded = self._rules.excluded
        if server.service is not None and server.service.namespace in excluded:
            return True
        return any(not excluded.isdisjoint(_namespaces(peer)) for peer in (client.peer, server.peer))

    def _counts(self, client: resolve.Client, server: resolve.Server, row: _Row, instant: int) -> bool:
        """Whether the sighting of this node is the one that counts.

        The best placed node that was watched counts: the client's, then the one whose address was dialled, then the
        server's. Where none of them was watched, whoever saw it.
        """
        for best in (client.node, server.entry_node, server.node):
            if best == row.report.node:
                return True
            if best and self._coverage.covers(best, instant, row.now):
                return False
        return True

    def _lasting(self, row: _Row, instant: int, server: resolve.Server | Drop) -> _Memo | None:
        """The memo to remember a row in, if its answer holds for more than the moment."""
        memo = row.memo
        if memo is None or isinstance(server, Drop) or server.end < resolve.FOREVER:
            return None
        if instant < memo.client.start or self._memos.get(row.group.address) is not memo:
            return None
        # All rows of a client share one span, so it shrinks to what holds for each of them.
        memo.start = max(memo.start, server.start)
        self._rows += 1
        return memo

    def _note(self, client: str, key: str) -> str:
        """Note that a client's rows depend on `key`; returns the one text that stands for it in all of them."""
        if not key:
            return ""
        held = self._dependants.get(key)
        if held is None:
            held = self._dependants[key] = (key, set())
        held[1].add(client)
        return held[0]


def _flows_of(group: Client) -> tuple[tuple[Kind, list[Flow]], ...]:
    return (
        (Kind.CONNECTIONS, group.connections),
        (Kind.ATTEMPTS, group.attempts),
        (Kind.SOCKETS, group.sockets),
    )


def _namespaces(peer: Peer) -> tuple[str, ...]:
    match peer:
        case Workload() | Service():
            return (peer.namespace,)
        case Ambiguous(candidates):
            return tuple(namespace for candidate in candidates for namespace in _namespaces(candidate))
    return ()


def _service_ref(text: str) -> ServiceRef | None:
    namespace, _, name = text.partition("/")
    return ServiceRef(name, namespace) if namespace and name else None
