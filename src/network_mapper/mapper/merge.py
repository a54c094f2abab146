"""From a report's rows to counts in the graph.

Rows that were resolved before take the fast path (`known`). Whatever is unusual about a row (unknown, outside the span,
a strange time) takes the slow one, which resolves it by itself and counts why it was dropped if it was, or lets it wait
where somebody may yet tell who its ends were (`waiting`).

A row's times come on the clock of the node that made it, and are turned to the mapper's at once (`clocks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from network_mapper.cluster.index import canonical
from network_mapper.mapper import resolve, views
from network_mapper.mapper.clocks import Clocks
from network_mapper.mapper.graph import COUNTER
from network_mapper.mapper.known import Batch, Known, Memo, merge_flows, merge_lookups
from network_mapper.mapper.outcome import Outcome, observations
from network_mapper.mapper.resting import Rested
from network_mapper.mapper.waiting import MOST, PATIENCE, Arrivals, WaitingRoom
from network_mapper.model import Ambiguous, Drop, External, Kind, Node, Service, ServiceRef, Workload
from network_mapper.store.writer import Sample
from network_mapper.wire.report import LEGACY_NODE

if TYPE_CHECKING:
    from network_mapper.cluster.index import Index
    from network_mapper.mapper.coverage import Coverage
    from network_mapper.mapper.graph import Entry, Graph
    from network_mapper.mapper.waiting import Waiting
    from network_mapper.model import Peer
    from network_mapper.wire.report import Client, Flow, Lookup, Report, Request, Row, Volume

__all__ = ["Merger", "Outcome", "Rules"]

_PROTOCOLS = frozenset(("tcp", "udp", "sctp"))
_REQUEST_PROTOCOLS = frozenset(("http", "kafka", "aws", "gcp", "azure"))

GIVE_UP = -1
"""In place of a time of arrival: whoever is not known now will not be."""


class Rules(NamedTuple):
    """What is left out of the map.

    Attributes:
        excluded: Namespaces; an edge with an end in one of them is dropped.
        external: Whether the world outside the cluster is drawn.
    """

    excluded: frozenset[str] = frozenset()
    external: bool = True


class _Context(NamedTuple):
    """What belongs to a row beside itself.

    Attributes:
        group: The client's rows.
        memo: What is kept of the client.
        outside: The client, where it is none of the cluster's.
        batch: The report.
    """

    group: Client
    memo: Memo | None
    outside: resolve.Client | None
    batch: Batch


class Merger:
    """Applies reports.

    Args:
        index: Who has which address.
        graph: Where the counts go.
        coverage: Which nodes are watched.
        rules: What is left out.
        patience: Milliseconds that a row waits at most.
        waiting_most: Rows that wait at most.

    Attributes:
        index: As given.
        graph: As given.
        known: Rows that were resolved before.
        room: What waits. While the cluster cannot be followed, set its `hold`.
        clocks: How far the nodes' clocks are ahead.
        reset_at: When the map was emptied, milliseconds since the epoch; 0 when it never was.
        settle: Milliseconds that reports rest before they are merged, because the cluster tells late (`resting`).
    """

    def __init__(
        self,
        index: Index,
        graph: Graph,
        coverage: Coverage,
        rules: Rules | None = None,
        *,
        patience: int = PATIENCE,
        waiting_most: int = MOST,
    ) -> None:
        self._rules = rules or Rules()
        self.index = index
        self.graph = graph
        self._coverage = coverage
        self.known = Known()
        self._plain = views.plain(index)
        self.clocks = Clocks()
        self.room = WaitingRoom(patience, waiting_most)
        self.reset_at = 0
        self.settle = 0
        index.on_change = self.forget

    def forget(self, key: str) -> None:
        """Forget everything that was resolved with the help of this address or name, and wait no longer for it."""
        self.room.told(key)
        self.known.forget(key)

    def forget_all(self) -> None:
        """Forget every resolved row; needed too when edges left the graph."""
        self.known.clear()

    def hear(self, report: Report) -> None:
        """Take in what a report says beside its rows: of its node's clock and its node's pods. Again is no error."""
        if report.node == LEGACY_NODE:
            return
        if _is_live(report) and self.clocks.hear(report.node, report.ahead):
            self.known.clear()
        for sighting in report.pods:
            self.index.sight(report.node, sighting, self.clocks.ahead(report.node))

    def take(self, report: Report, now: int, seen: int) -> Outcome:
        """Take in a report that is new: merge it, or let it rest.

        Args:
            report: The report.
            now: When it came, milliseconds since the epoch.
            seen: How many observations its rows stand for.
        """
        self.hear(report)
        if not self.settle or not _is_live(report):
            return self.apply(report, now)
        self.room.rest(Rested(now, report, sum(client.rows() for client in report.clients), seen))
        outcome = Outcome()
        outcome.held = seen
        return outcome

    def due(self, now: int) -> list[Waiting]:
        """What has rested or waited, and is to be merged now, with `apply`."""
        return self.room.take_due(now, self.settle)

    def apply(self, report: Report, now: int, since: int = 0) -> Outcome:
        """Merge a report's rows, or let them wait; returns what became of them.

        Args:
            report: The report.
            now: The mapper's clock, milliseconds since the epoch.
            since: Of rows that have waited: when they came, or `GIVE_UP`.
        """
        base, view = report.base, self._plain
        if self.clocks.differ and _is_live(report):
            base -= self.clocks.ahead(report.node)
            view = views.corrected(self.index, self.clocks, report.node)
        may_wait = since != GIVE_UP and report.node != LEGACY_NODE
        arrivals = Arrivals(self.room, since) if may_wait else None
        batch = Batch(report, now, base, floor=max(self.reset_at, 1), view=view, arrivals=arrivals)
        for group in report.clients:
            known = self.known.get(group.pod or group.address) or self._begin(group, report, view)
            if isinstance(known, Memo) and known.resolved.node == report.node and not (known.is_node and group.tap > 0):
                self._quickly(group, known, batch)
            else:
                self._group(group, known, batch)
            if group.requests or group.volumes:
                self._watched(_Context(group, None, known if isinstance(known, resolve.Client) else None, batch))
            if arrivals is not None and arrivals.some:
                batch.outcome.held += arrivals.enter(report, now)
        return batch.outcome

    def _group(self, group: Client, known: Memo | resolve.Client | None, batch: Batch) -> None:
        """Merge the rows of a client that does not live on the node that reports, or of which that is not certain."""
        if not isinstance(known, Memo):
            self._slowly(_Context(group, None, known, batch))
        elif self._elsewhere(group, known.resolved, batch):
            pass
        elif batch.report.node in (known.resolved.node, LEGACY_NODE):
            self._quickly(group, known, batch)
        else:
            self._slowly(_Context(group, None, None, batch))

    def _begin(self, group: Client, report: Report, view: views.View) -> Memo | resolve.Client | None:
        """Resolve a client to its present owner, where there is one for certain and the index tells when it changes.

        A client outside the cluster is outside at any time, but nobody tells when it becomes one of the cluster's.
        """
        if group.pod is not None:
            pod = self.index.pod_of_uid(group.pod.uid)
            if pod is None or not pod.addresses:
                return None
            return self.known.begin(group.pod, resolve.pod_client(pod, report.node), pod.addresses)
        found = resolve.client_at(view, group.address, resolve.NOW)
        view.missing.clear()
        if isinstance(found, Drop):
            return None
        if isinstance(found.peer, External):
            return found
        address = resolve.address_of(group.address)
        if found.end < resolve.FOREVER or address is None:
            return None
        return self.known.begin(group.address, found, (address,))

    def _quickly(self, group: Client, memo: Memo, batch: Batch) -> None:
        """Merge what is known, and the rest row by row."""
        for kind, flows in _flows_of(group):
            if flows and (others := merge_flows(memo, flows, COUNTER[kind], batch, self.graph)):
                row = _Context(group, memo, None, batch)
                for flow in others:
                    self._flow(row, kind, flow)
        if group.lookups and (unknown := merge_lookups(memo, group.lookups, batch, self.graph)):
            row = _Context(group, memo, None, batch)
            for lookup in unknown:
                self._lookup(row, lookup)

    def _elsewhere(self, group: Client, client: resolve.Client, batch: Batch) -> bool:
        """Drop what the client's own node counts: the usual case of a connection between two nodes."""
        report, base, now = batch.report, batch.base, batch.now
        own = client.node == report.node
        if (own and not _is_forwarded(client, group, report)) or not self._coverage.is_known(client.node):
            return False
        rows: list[Flow | Lookup] = [*group.connections, *group.attempts, *group.sockets, *group.lookups]
        if not rows:
            return True
        earliest = base + min(row.first for row in rows)
        latest = base + max(row.last for row in rows)
        if not client.start <= earliest <= latest < client.end:
            return False
        covers = self._coverage.covers
        if not own and not (covers(client.node, earliest, now) and covers(client.node, latest, now)):
            return False
        for sighting in rows:
            batch.outcome.drop(Drop.SEEN_ELSEWHERE, base + sighting.last, sighting.count)
        return True

    def _slowly(self, row: _Context) -> None:
        """Resolve and merge every row by itself."""
        for kind, flows in _flows_of(row.group):
            for flow in flows:
                self._flow(row, kind, flow)
        for lookup in row.group.lookups:
            self._lookup(row, lookup)

    def _flow(self, row: _Context, kind: Kind, flow: Flow) -> None:
        """Resolve one flow and merge it, let it wait, or count why not."""
        span = self._span(row, flow)
        if span is None:
            return
        if (flow.port == 0 and row.batch.report.node != LEGACY_NODE) or flow.protocol not in _PROTOCOLS:
            row.batch.outcome.drop(Drop.ROW_MALFORMED, span[1], flow.count)
            return
        client = self._client(row, *span)
        if self._is_over(row, client, span, kind, flow):
            return
        address = canonical(flow.server)
        dialled = resolve.Dialled(flow.server, address, flow.port, flow.protocol, flow.answered_by, flow.answered_port)
        view = row.batch.view
        server = resolve.server_between(view, dialled, *span)
        if view.missing and self._waits(row, kind, flow):
            return
        entry = self._edge(row, flow, span, (client, server), (flow.port, flow.protocol))
        if entry is None:
            return
        entry.by_address = "@" in flow.server and (entry.by_address or not entry.edge.last_seen)
        self.graph.add(entry, kind, flow.count, *span)
        seen = (span[1], row.batch.report.node, kind.value, row.group.address, flow.server, flow.port, flow.answered_by)
        self.graph.sample(entry, Sample(entry.number, *seen))
        if address != flow.server:
            address = resolve.address_of(flow.server)
        memo = self._lasting(row, span, server) if address is not None and flow.port else None
        if memo is not None and address is not None and isinstance(server, resolve.Server):
            self.known.keep_flow(memo, flow, address, server.start, entry)

    def _lookup(self, row: _Context, lookup: Lookup) -> None:
        """Resolve one lookup and merge it, let it wait, or count why not."""
        span = self._span(row, lookup)
        if span is None:
            return
        client = self._client(row, *span)
        if self._is_over(row, client, span, "lookups", lookup):
            return
        server = resolve.name_between(row.batch.view, lookup.name, *span)
        entry = self._edge(row, lookup, span, (client, server), (0, "dns"))
        if entry is None:
            return
        self.graph.add(entry, Kind.LOOKUPS, lookup.count, *span)
        answer = lookup.addresses[0] if lookup.addresses else ""
        seen = (span[1], row.batch.report.node, "lookups", row.group.address, lookup.name, 0, answer)
        self.graph.sample(entry, Sample(entry.number, *seen))
        memo = self._lasting(row, span, server)
        if memo is not None and isinstance(server, resolve.Server):
            self.known.keep_lookup(memo, lookup.name, self.index.keys_of(lookup.name), server.start, entry)

    def _watched(self, row: _Context) -> None:
        """Merge what watchers and meters say; only one of them sees it, so no node's sighting goes before."""
        for request in row.group.requests:
            self._request(row, request)
        for volume in row.group.volumes:
            self._volume(row, volume)

    def _request(self, row: _Context, request: Request) -> None:
        span = self._span(row, request)
        if span is None:
            return
        service = _service_ref(request.service)
        if request.protocol not in _REQUEST_PROTOCOLS or (request.service and service is None):
            row.batch.outcome.drop(Drop.ROW_MALFORMED, span[1], request.count)
            return
        client = self._client(row, *span)
        server = resolve.server_between(
            row.batch.view, resolve.Dialled(request.server, canonical(request.server), 0, request.protocol), *span
        )
        if service is not None and isinstance(server, resolve.Server):
            server = server._replace(service=service)
        entry = self._edge(row, request, span, (client, server), (0, request.protocol), anywhere=True)
        if entry is None:
            return
        self.graph.add_requests(entry, request.count, *span)
        if self.graph.detail(entry, request.name, request.action):
            row.batch.outcome.details += 1
        else:
            row.batch.outcome.drop(Drop.DETAILS_FULL, span[1], 1)
        seen = (span[1], row.batch.report.node, "requests", row.group.address, request.server, 0, "")
        self.graph.sample(entry, Sample(entry.number, *seen))

    def _volume(self, row: _Context, volume: Volume) -> None:
        span = self._span(row, volume)
        if span is None:
            return
        client = self._client(row, *span)
        server = resolve.server_between(
            row.batch.view, resolve.Dialled(volume.server, canonical(volume.server), 0, "ip"), *span
        )
        entry = self._edge(row, volume, span, (client, server), (0, "ip"), anywhere=True)
        if entry is not None:
            self.graph.add_volume(entry, volume.bytes, volume.flows, *span)
            seen = (span[1], row.batch.report.node, "volumes", row.group.address, volume.server, 0, "")
            self.graph.sample(entry, Sample(entry.number, *seen))

    def _span(self, row: _Context, sighting: Row) -> tuple[int, int] | None:
        """A row's times on the mapper's clock, or None where they make no sense."""
        first, last = row.batch.base + sighting.first, row.batch.base + sighting.last
        reason = None
        if first < 1 or first > last:
            reason = Drop.TIME_INVALID
        elif last > row.batch.ceiling:
            reason = Drop.TIME_IN_FUTURE
        elif last < row.batch.floor:
            reason = Drop.BEFORE_RESET
        if reason is not None:
            row.batch.outcome.drop(reason, row.batch.now, observations(sighting))
            return None
        return max(first, row.batch.floor), last

    def _client(self, row: _Context, first: int, last: int) -> resolve.Client | Drop:
        """Who a row's client is; notes in the view what is missing of it and of nothing else."""
        row.batch.view.missing.clear()
        group, memo = row.group, row.memo
        if row.outside is not None:
            return row.outside
        if group.pod is not None:
            pod = self.index.pod_of_uid(group.pod.uid)
            if pod is not None:
                return resolve.pod_client(pod, row.batch.report.node)
            row.batch.view.missing.append((canonical(group.address) or group.pod.uid, last))
            return resolve.unknown_owner(group.pod, row.batch.report.node)
        if memo is not None and first >= memo.resolved.start:
            return memo.resolved
        return resolve.client_between(row.batch.view, group.address, first, last)

    def _is_over(
        self, row: _Context, client: resolve.Client | Drop, span: tuple[int, int], kind: str, sighting: Flow | Lookup
    ) -> bool:
        """Let a row wait, or drop it, for its client's sake, if that is to be whoever its server is."""
        if isinstance(client, resolve.Client) and not self._may_count(client, row, span[1]):
            row.batch.outcome.drop(Drop.SEEN_ELSEWHERE, span[1], sighting.count)
            return True
        if row.batch.view.missing and self._waits(row, kind, sighting):
            return True
        if isinstance(client, Drop):
            row.batch.outcome.drop(client, span[1], sighting.count)
            return True
        return False

    def _waits(self, row: _Context, kind: str, sighting: Flow | Lookup) -> bool:
        """Let a row wait if what is missing of it may yet be told, and there is room."""
        missing, arrivals = row.batch.view.missing, row.batch.arrivals
        awaited = None
        if arrivals is not None:
            awaited = next(
                (key for key, when in missing if arrivals.again or self._may_be_told(key, when, row.batch.now)), None
            )
        missing.clear()
        return awaited is not None and arrivals is not None and arrivals.add(row.group, awaited, kind, sighting)

    def _may_be_told(self, key: str, instant: int, now: int) -> bool:
        return self.room.hold or now - instant < self.room.patience or self.index.may_be_told(key, instant)

    def _edge(
        self,
        row: _Context,
        sighting: Row,
        span: tuple[int, int],
        ends: tuple[resolve.Client | Drop, resolve.Server | Drop],
        way: tuple[int, str],
        *,
        anywhere: bool = False,
    ) -> Entry | None:
        """The edge that a row belongs to, or None with the reason counted.

        `way` is port and protocol; `anywhere` says that the row counts whichever node it comes from.
        """
        client, server = ends
        count = observations(sighting)
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
        elif not anywhere and not self._counts(client, server, row, span[1]):
            reason = Drop.SEEN_ELSEWHERE
        else:
            entry = self.graph.entry(client.peer, server.peer, server.service, *way, count=count)
            if entry is not None:
                row.batch.outcome.merge(span[1], count)
                return entry
        row.batch.outcome.drop(reason, span[1], count)
        return None

    def _is_excluded(self, client: resolve.Client, server: resolve.Server) -> bool:
        excluded = self._rules.excluded
        if server.service is not None and server.service.namespace in excluded:
            return True
        return any(not excluded.isdisjoint(_namespaces(peer)) for peer in (client.peer, server.peer))

    def _may_count(self, client: resolve.Client, row: _Context, instant: int) -> bool:
        """Whether the client's own node leaves this sighting to others, or is the one that made it."""
        if client.node == row.batch.report.node:
            return not _is_forwarded(client, row.group, row.batch.report)
        return not client.node or not self._coverage.covers(client.node, instant, row.batch.now)

    def _counts(self, client: resolve.Client, server: resolve.Server, row: _Context, instant: int) -> bool:
        """Whether the sighting of this node is the one that counts.

        The best placed node that was watched counts: the client's, then the one whose address was dialled, then the
        server's. Where none of them was watched, whoever saw it.
        """
        for best in (client.node, server.entry_node, server.node):
            if best == row.batch.report.node:
                return True
            if best and self._coverage.covers(best, instant, row.batch.now):
                return False
        return True

    def _lasting(self, row: _Context, span: tuple[int, int], server: resolve.Server | Drop) -> Memo | None:
        """The memo to keep a row in, if its answer holds for more than the moment."""
        memo = row.memo
        if memo is None or isinstance(server, Drop) or server.end < resolve.FOREVER:
            return None
        return memo if span[0] >= memo.resolved.start else None


def _is_live(report: Report) -> bool:
    """Whether a report's times are on its node's clock: a recording's are not."""
    return report.node != LEGACY_NODE and report.capture != "file"


def _is_forwarded(client: resolve.Client, group: Client, report: Report) -> bool:
    """Whether something came in from its own node's address: no process of the node opened it.

    It was sent on by the node under its own address, or turned round, and counts where it began.
    """
    return group.tap > 0 and isinstance(client.peer, Node) and client.node == report.node and _is_live(report)


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
