"""Which part of a map a person wants to see: one set of rules for the list, the exports and the pictures.

The mapper narrows by namespace and time, because that saves the way of most edges; everything else is chosen here, from
what any source of a map gives. So the same options leave the same edges, whatever they are shown as.

What may be one of several peers is shown where it may be what is asked for, and left out only where each of them is
unwanted: a doubt never hides an edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec

from network_mapper.export.labels import namespace_of
from network_mapper.export.pairs import is_routine
from network_mapper.model import Ambiguous, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from network_mapper.model import Edge, Peer
    from network_mapper.wire.api import MapDocument

NO_VALUE = "no_value"
"""What stands for the value of a label where there is none."""


class SelectionError(ValueError):
    """Options that have no meaning, or contradict each other; the message says which, and what is meant by them."""


class Selection(msgspec.Struct, frozen=True):
    """What is wanted; an empty field wants all.

    Attributes:
        namespaces: Of clients.
        sources: Names of clients, each `NAME`, `NAME.NAMESPACE` or `NAMESPACE/NAME`.
        targets: Names of servers, likewise; those of the Services that were dialled count too.
        server: `NAME.NAMESPACE` of a server, whose clients are wanted with everything that they call.
        without: Names of workloads that are not wanted at either end.
        without_labels: Labels of workloads that are not wanted, `KEY=VALUE`, or `KEY` for any value.
        since: The last milliseconds are wanted; 0 for all time.
        as_services: Whether the Service that was dialled stands for what is behind it.
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
        for option, asked in (("--from", made.sources), ("--to", made.targets)):
            both = [name for name in asked if name in made.without]
            if both:
                raise SelectionError(f"{option} asks for {both[0]!r}, and --exclude-services leaves it out")
        for label in made.without_labels:
            if label.startswith("="):
                raise SelectionError(f"--exclude-labels takes KEY or KEY=VALUE, and {label!r} has no key")
        if "=" in made.distinct_by_label:
            raise SelectionError(f"--distinct-by-label takes the key of a label, not {made.distinct_by_label!r}")
        return made

    @property
    def needs_labels(self) -> bool:
        """Whether the source must be asked for labels."""
        return bool(self.label_keys)

    @property
    def label_keys(self) -> tuple[str, ...]:
        """The keys of those labels."""
        keys = [*(label.partition("=")[0] for label in self.without_labels), self.distinct_by_label]
        return tuple(dict.fromkeys(key for key in keys if key))


def ways(peer: Peer) -> frozenset[str]:
    """Every way to name a peer; for one of several, every way to name any of them."""
    if isinstance(peer, Ambiguous):
        return frozenset().union(*map(ways, peer.candidates))
    namespace = namespace_of(peer)
    if not namespace:
        return frozenset((peer.name,))
    return frozenset((peer.name, f"{peer.name}.{namespace}", f"{namespace}/{peer.name}"))


def matches(peer: Peer, wanted: Iterable[str]) -> bool:
    """Whether a peer bears one of these names, or may be one that does."""
    return not ways(peer).isdisjoint(wanted)


def _is_surely(peer: Peer, judge: Callable[[Peer], bool]) -> bool:
    """Whether a peer is of a kind; for one of several, whether all of them are."""
    if isinstance(peer, Ambiguous):
        return bool(peer.candidates) and all(map(judge, peer.candidates))
    return judge(peer)


def choose(answer: MapDocument, selection: Selection) -> list[Edge]:
    """The edges of a map that are wanted, in its order."""
    edges = matching(answer, selection)
    if not selection.everything:
        own = frozenset(answer.own)
        edges = [edge for edge in edges if not is_routine(edge, own)]
    return _by_service(edges) if selection.as_services else edges


def hidden(answer: MapDocument, selection: Selection) -> int:
    """How many edges are left out for nothing but that they are routine."""
    if selection.everything:
        return 0
    own = frozenset(answer.own)
    return sum(is_routine(edge, own) for edge in matching(answer, selection))


def matching(answer: MapDocument, selection: Selection) -> list[Edge]:
    """The edges that are asked for, routine or not, with the servers as the map has them."""
    edges = answer.edges
    if selection.namespaces:
        wanted = frozenset(selection.namespaces)
        edges = [edge for edge in edges if namespace_of(edge.client) in wanted]
    if selection.server:
        callers = {edge.client for edge in edges if matches(edge.server, (selection.server,))}
        edges = [edge for edge in edges if edge.client in callers]
    if selection.sources:
        chosen = _bearing(selection.sources, (edge.client for edge in edges))
        edges = [edge for edge in edges if edge.client in chosen]
    if selection.targets:
        chosen = _bearing(selection.targets, (peer for edge in edges for peer in _served(edge)))
        edges = [edge for edge in edges if not chosen.isdisjoint(_served(edge))]
    if selection.without:
        edges = _without(edges, frozenset(selection.without), selection.as_services)
    if selection.without_labels:
        labelled = _labelled(answer, selection.without_labels)

        def unwanted(peer: Peer) -> bool:
            return _is_surely(peer, labelled.__contains__)

        edges = [edge for edge in edges if not unwanted(edge.client) and not unwanted(edge.server)]
    return edges


def client_tags(answer: MapDocument, key: str) -> dict[Peer, str]:
    """What tells the clients of a map apart by a label: `KEY=VALUE` for each, with `no_value` where it has none."""
    values = label_values(answer, key)
    return {edge.client: f"{key}={values.get(edge.client, NO_VALUE)}" for edge in answer.edges}


def label_values(answer: MapDocument, key: str) -> dict[Peer, str]:
    """The value of one label for each workload of the map that has it."""
    return {
        Workload(row.name, row.namespace, row.kind): row.labels[key] for row in answer.workloads if key in row.labels
    }


def _bearing(wanted: Collection[str], peers: Iterable[Peer]) -> set[Peer]:
    """Those of the peers that bear one of these names; each peer is looked at once, however many edges it has."""
    return {peer for peer in set(peers) if matches(peer, wanted)}


def _served(edge: Edge) -> tuple[Peer, ...]:
    """What an edge leads to: its server, and the Service that was dialled."""
    service = _dialled(edge)
    return (edge.server,) if service is None else (edge.server, service)


def _dialled(edge: Edge) -> Service | None:
    return None if edge.service is None else Service(edge.service.name, edge.service.namespace)


def _without(edges: list[Edge], names: Collection[str], as_services: bool) -> list[Edge]:
    def unwanted(peer: Peer | None) -> bool:
        return peer is not None and _is_surely(peer, lambda one: matches(one, names))

    judged: dict[Peer | None, bool] = {}
    kept = []
    for edge in edges:
        ends = (edge.client, edge.server, _dialled(edge) if as_services else None)
        for peer in ends:
            if peer not in judged:
                judged[peer] = unwanted(peer)
        if not any(judged[peer] for peer in ends):
            kept.append(edge)
    return kept


def _labelled(answer: MapDocument, labels: Iterable[str]) -> set[Peer]:
    wanted = [label.partition("=") for label in labels]
    return {
        Workload(row.name, row.namespace, row.kind)
        for row in answer.workloads
        if any(key in row.labels and (not equals or row.labels[key] == value) for key, equals, value in wanted)
    }


def _by_service(edges: Iterable[Edge]) -> list[Edge]:
    """The edges with the Service that was dialled as their server; what becomes the same edge is counted together."""
    found: dict[tuple[Peer, Peer, Any, int, str], Edge] = {}
    for edge in edges:
        server = _dialled(edge) or edge.server
        key = (edge.client, server, edge.service, edge.port, edge.protocol)
        before = found.get(key)
        found[key] = msgspec.structs.replace(edge, server=server) if before is None else _joined(before, edge)
    return list(found.values())


def _joined(one: Edge, other: Edge) -> Edge:
    seen = [first for first in (one.first_seen, other.first_seen) if first]
    return msgspec.structs.replace(
        one,
        connections=one.connections + other.connections,
        attempts=one.attempts + other.attempts,
        lookups=one.lookups + other.lookups,
        sockets=one.sockets + other.sockets,
        requests=one.requests + other.requests,
        bytes=one.bytes + other.bytes,
        flows=one.flows + other.flows,
        first_seen=min(seen, default=0),
        last_seen=max(one.last_seen, other.last_seen),
        details={
            name: sorted({*one.details.get(name, ()), *other.details.get(name, ())})
            for name in (*one.details, *(name for name in other.details if name not in one.details))
        },
    )
