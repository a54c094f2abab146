"""Reading the map: filters and time ranges over the edges, and the status document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper import __version__
from network_mapper.cluster.index import by_name
from network_mapper.model import Ambiguous, Service, Workload
from network_mapper.store.database import COUNTS, counts_between
from network_mapper.wire.api import (
    ClusterStatus,
    InstallationStatus,
    MapDocument,
    SnifferSetStatus,
    Status,
    WorkloadRow,
    WorkloadsDocument,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.cluster.index import Index
    from network_mapper.cluster.installation import Installation
    from network_mapper.mapper.graph import Entry
    from network_mapper.mapper.state import State
    from network_mapper.model import Edge, Peer


_MOST_IGNORED = 16
_MOST_REASONS = 100
_LONGEST_NAME = 64


class Filter(msgspec.Struct, frozen=True):
    """Which edges are asked for; an empty field asks for all.

    Attributes:
        namespaces: Of the client.
        client: Name of the client.
        server: Name of the server.
        since: Start of a time range, milliseconds since the epoch.
        until: End of it, exclusive; 0 means now.
        labels: Whether the labels of the ends are wanted.
        ignored: Parameters that were given and are not known.
    """

    namespaces: frozenset[str] = frozenset()
    client: str = ""
    server: str = ""
    since: int = 0
    until: int = 0
    labels: bool = False
    ignored: tuple[str, ...] = ()

    def takes_client(self, peer: Peer) -> bool:
        """Whether edges of this client are asked for."""
        if self.namespaces and namespace_of(peer) not in self.namespaces:
            return False
        return not self.client or name_of(peer) == self.client


def name_of(peer: Peer) -> str:
    """A peer's own name; an ambiguous one has none."""
    return "" if isinstance(peer, Ambiguous) else peer.name


def namespace_of(peer: Peer) -> str:
    """A peer's namespace; nodes and the outside have none."""
    return peer.namespace if isinstance(peer, Workload | Service) else ""


def map_document(state: State, wanted: Filter, now: int) -> MapDocument:
    """The map with its totals."""
    return _document(state, wanted, now, [entry.edge for entry in _matching(state, wanted)])


def _matching(state: State, wanted: Filter) -> list[Entry]:
    """The entries that pass a filter, in order."""
    entries = state.graph.in_order()
    # There are far fewer peers than edges, and equal peers are one object: names are compared once a peer.
    if wanted.namespaces or wanted.client:
        clients = {id(peer) for peer in state.graph.peers() if wanted.takes_client(peer)}
        entries = [entry for entry in entries if id(entry.edge.client) in clients]
    if wanted.server:
        servers = {id(peer) for peer in state.graph.peers() if name_of(peer) == wanted.server}
        entries = [entry for entry in entries if id(entry.edge.server) in servers]
    return entries


def read_range(path: str, wanted: Filter, now: int) -> Callable[[State], MapDocument]:
    """Read a time range from the store; what is returned makes the document from it in the state's own thread."""
    counts = counts_between(path, wanted.since, wanted.until or now + 1)

    def finish(state: State) -> MapDocument:
        edges = []
        for entry in _matching(state, wanted):
            found = counts.get(entry.number)
            if found is None:
                continue
            edges.append(msgspec.structs.replace(entry.edge, **dict(zip(COUNTS, found, strict=True))))
        return _document(state, wanted, now, edges)

    return finish


def _document(state: State, wanted: Filter, now: int, edges: list[Edge]) -> MapDocument:
    # Equal peers are one object, so ends are told apart by identity: comparing 10,000 of them would take milliseconds.
    everything = len(edges) == len(state.graph)
    peers = state.graph.peers()
    ends = peers if everything else {id(peer): peer for edge in edges for peer in (edge.client, edge.server)}.values()
    own = state.index.own_workloads()
    return MapDocument(
        store=state.store,
        epoch=state.epoch,
        watching_since=state.coverage.since(state.reset_at),
        generated_at=now,
        since=wanted.since,
        until=wanted.until,
        edges=edges,
        own=sorted((peer for peer in ends if isinstance(peer, Workload) and peer in own), key=by_name) if own else [],
        workloads=_rows(state.index, ends) if wanted.labels else [],
        ignored=list(wanted.ignored),
    )


def _rows(index: Index, ends: Iterable[Peer]) -> list[WorkloadRow]:
    workloads = sorted((peer for peer in ends if isinstance(peer, Workload)), key=by_name)
    return [
        WorkloadRow(
            workload.name, workload.namespace, workload.kind, index.pods_of(workload), index.labels_of(workload)
        )
        for workload in workloads
    ]


def workloads_document(state: State, wanted: Filter) -> WorkloadsDocument:
    """Every workload of the cluster."""
    return WorkloadsDocument(
        [
            WorkloadRow(workload.name, workload.namespace, workload.kind, pods, labels)
            for workload, pods, labels in state.index.workloads()
            if not wanted.namespaces or workload.namespace in wanted.namespaces
        ],
        ignored=list(wanted.ignored),
    )


def status_document(state: State, cluster: ClusterStatus, now: int, installation: Installation | None = None) -> Status:
    """The state of everything."""
    watching = state.senders.watched_nodes(state.index, now)
    nodes = [node for node in state.index.nodes() if installation is None or installation.runs_sniffers(node)]
    covered = [node for node in nodes if node in watching or state.coverage.is_connected(node, now)]
    uncovered = [node for node in nodes if node not in covered]
    return Status(
        version=__version__,
        store=state.store,
        epoch=state.epoch,
        reset_at=state.reset_at,
        watching_since=state.coverage.since(state.reset_at),
        now=now,
        edges=len(state.graph),
        rows=state.rows,
        merged=state.merged,
        waiting=state.waiting,
        drops={reason.value: count for reason, count in sorted(state.drops.items())},
        sniffers=state.coverage.status(now),
        uncovered_nodes=uncovered,
        cluster=cluster,
        covered_nodes=covered,
        senders=state.senders.status(state.index, now),
        installation=_installation(installation, uncovered) if installation else InstallationStatus(),
    )


def _installation(installation: Installation, uncovered: list[str]) -> InstallationStatus:
    return InstallationStatus(
        namespace=installation.namespace,
        pod_security=installation.pod_security,
        sniffer_sets=[SnifferSetStatus(*one) for one in installation.sniffer_sets()],
        other_mappers=installation.others(),
        problems=installation.problems(),
        reasons={node: installation.reason(node) for node in uncovered[:_MOST_REASONS]},
    )


class FilterError(ValueError):
    """A parameter of a query that cannot be understood; the message names it."""


def filter_of(parameters: Iterable[tuple[str, str]]) -> Filter:
    """Read a query string's parameters.

    What is not known is passed over and named in the answer, so that a newer program gets from an older mapper what
    that can tell, and knows what it has to do by itself.

    Raises:
        FilterError: The value of a known one is wrong.
    """
    namespaces = set()
    values: dict[str, str] = {}
    ignored: dict[str, None] = {}
    for name, value in parameters:
        if name == "namespace":
            namespaces.add(value)
        elif name in ("client", "server", "since", "until", "labels"):
            values[name] = value
        elif len(ignored) < _MOST_IGNORED:
            ignored[name[:_LONGEST_NAME]] = None
    since, until = _instant("since", values), _instant("until", values)
    if until and until <= since:
        raise FilterError("until must be later than since")
    labels = values.get("labels", "false")
    if labels not in ("true", "false"):
        raise FilterError(f"labels takes true or false, not {labels!r:.60}")
    client, server = values.get("client", ""), values.get("server", "")
    return Filter(frozenset(namespaces), client, server, since, until, labels == "true", tuple(ignored))


def _instant(name: str, values: dict[str, str]) -> int:
    text = values.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise FilterError(f"{name} takes milliseconds since the epoch, not {text!r}")
    return int(text)
