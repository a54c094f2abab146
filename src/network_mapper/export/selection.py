"""Which part of a map a person wants to see: one set of rules for the list, the exports and the pictures.

The mapper narrows by namespace and time, because that saves the way of most edges; everything else is chosen here, from
what any source of a map gives. So the same options leave the same edges, whatever they are shown as.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec

from network_mapper.export.labels import namespace_of
from network_mapper.export.pairs import is_routine
from network_mapper.model import Ambiguous, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.model import Edge, Peer
    from network_mapper.wire.api import MapDocument


class SelectionError(ValueError):
    """Options that have no meaning, or contradict each other; the message says which, and what is meant by them."""


class Selection(msgspec.Struct, frozen=True):
    """What is wanted; an empty field wants all.

    Attributes:
        namespaces: Of clients.
        sources: Names of clients, each `NAME`, `NAME.NAMESPACE` or `NAMESPACE/NAME`.
        targets: Names of servers, likewise.
        server: `NAME.NAMESPACE` of a server, whose clients are wanted with everything that they call.
        without: Names of workloads that are not wanted at either end.
        without_labels: Labels of workloads that are not wanted, `KEY=VALUE`, or `KEY` for any value.
        since: The last milliseconds are wanted; 0 for all time.
        as_services: Whether the Service that was dialled stands for the workload behind it.
        distinct_by_label: Key of the label whose values tell clients apart.
        everything: Whether routine edges are wanted too (`pairs.is_routine`).
    """

    namespaces: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    server: str = ""
    without: tuple[str, ...] = ()
    without_labels: tuple[str, ...] = ()
    since: int = 0
    as_services: bool = False
    distinct_by_label: str = ""
    everything: bool = False

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Check and make one.

        Raises:
            SelectionError: A value has no meaning, or two of them contradict each other.
        """
        made = cls(**values)
        if made.server:
            name, _, namespace = made.server.partition(".")
            if not name or not namespace or "." in namespace:
                raise SelectionError("invalid server filter. Expected format: <server-name>.<namespace>")
            if made.namespaces:
                raise SelectionError("server filter cannot be used with namespaces filter")
        return made

    @property
    def needs_labels(self) -> bool:
        """Whether the source must be asked for labels."""
        return bool(self.without_labels or self.distinct_by_label)


def matches(peer: Peer, wanted: Iterable[str]) -> bool:
    """Whether a peer bears one of these names."""
    if isinstance(peer, Ambiguous):
        return any(matches(candidate, wanted) for candidate in peer.candidates)
    namespace = namespace_of(peer)
    ways = {peer.name, f"{peer.name}.{namespace}", f"{namespace}/{peer.name}"} if namespace else {peer.name}
    return not ways.isdisjoint(wanted)


def choose(answer: MapDocument, selection: Selection) -> list[Edge]:
    """The edges of a map that are wanted, in its order."""
    edges = answer.edges
    if selection.namespaces:
        wanted = frozenset(selection.namespaces)
        edges = [edge for edge in edges if namespace_of(edge.client) in wanted]
    if selection.server:
        callers = {edge.client for edge in edges if matches(edge.server, (selection.server,))}
        edges = [edge for edge in edges if edge.client in callers]
    if not selection.everything:
        own = frozenset(answer.own)
        edges = [edge for edge in edges if not is_routine(edge, own)]
    if selection.sources:
        edges = [edge for edge in edges if matches(edge.client, selection.sources)]
    if selection.targets:
        edges = [edge for edge in edges if _serves(edge, selection.targets)]
    if selection.without:
        edges = [
            edge
            for edge in edges
            if not matches(edge.client, selection.without) and not matches(edge.server, selection.without)
        ]
    if selection.without_labels:
        hidden = _labelled(answer, selection.without_labels)
        edges = [edge for edge in edges if edge.client not in hidden and edge.server not in hidden]
    return [_by_service(edge) for edge in edges] if selection.as_services else edges


def _serves(edge: Edge, wanted: Iterable[str]) -> bool:
    """Whether an edge leads to one of these names, be it the workload's or that of the service that was dialled."""
    if matches(edge.server, wanted):
        return True
    return edge.service is not None and matches(Service(edge.service.name, edge.service.namespace), wanted)


def _labelled(answer: MapDocument, labels: Iterable[str]) -> set[Peer]:
    wanted = [label.partition("=") for label in labels]
    found: set[Peer] = set()
    for row in answer.workloads:
        if any(key in row.labels and (not equals or row.labels[key] == value) for key, equals, value in wanted):
            found.add(Workload(row.name, row.namespace, row.kind))
    return found


def _by_service(edge: Edge) -> Edge:
    if edge.service is None or not isinstance(edge.server, Workload):
        return edge
    return msgspec.structs.replace(edge, server=Service(edge.service.name, edge.service.namespace))
