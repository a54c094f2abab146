"""What is to be drawn: the ends of a map's edges, each with a name and a shape, and a line for every pair that talks.

Pictures show what lists show. A line is therefore a `Pair`, and the names are those of `Labels`; an end also has an id
that is unique in its picture, `name.namespace` as in the model's own pictures.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from network_mapper.export import operations
from network_mapper.export.labels import Labels, clean, named, namespace_of
from network_mapper.export.pairs import Outcome, Pair, doors, group, sort_key
from network_mapper.model import Ambiguous, External, Node, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from network_mapper.model import Edge, Peer

ARROW = " → "
"""Between client and server in the texts of a picture."""
_MOST_DETAILS = 20


class Shape(enum.StrEnum):
    """The kinds of ends, which differ in form and not only in colour."""

    WORKLOAD = "workload"
    SERVICE = "service"
    EXTERNAL = "external"
    NODE = "node"
    AMBIGUOUS = "ambiguous"


_SHAPES: dict[type, Shape] = {
    Workload: Shape.WORKLOAD,
    Service: Shape.SERVICE,
    External: Shape.EXTERNAL,
    Node: Shape.NODE,
    Ambiguous: Shape.AMBIGUOUS,
}


class End(msgspec.Struct, frozen=True):
    """One end of lines.

    Attributes:
        id: Unique in its graph.
        name: Short, for a box inside its namespace's frame.
        full: With the namespace, for texts.
        namespace: Empty where there is none.
        shape: Its form.
    """

    id: str
    name: str
    full: str
    namespace: str
    shape: Shape


class Line(msgspec.Struct, frozen=True):
    """One pair. `client` and `server` are indices of ends; `unsure` marks a pair of which one end is ambiguous."""

    client: int
    server: int
    outcome: Outcome
    unsure: bool
    pair: Pair


class Graph(msgspec.Struct):
    """All ends, sorted by namespace and name (what has no namespace comes last), and all lines by their ends."""

    ends: list[End]
    lines: list[Line]

    @property
    def workloads(self) -> int:
        """How many ends are workloads."""
        return sum(end.shape is Shape.WORKLOAD for end in self.ends)

    @property
    def namespaces(self) -> list[str]:
        """Names of the namespaces, sorted."""
        return sorted({end.namespace for end in self.ends if end.namespace})

    def text(self, line: Line) -> str:
        """`shop/cart → data/redis`."""
        return self.ends[line.client].full + ARROW + self.ends[line.server].full


def build(edges: Sequence[Edge], tags: Mapping[Peer, str] | None = None) -> Graph:
    """The graph of edges.

    Args:
        edges: To be drawn.
        tags: Words behind the names of clients, where a label tells them apart.
    """
    labels = Labels(edges, tags)
    pairs = group(edges)
    peers = sorted({peer for pair in pairs for peer in (pair.client, pair.server)}, key=_order)
    index = {peer: number for number, peer in enumerate(peers)}
    taken: set[str] = set()
    ends = [_end(peer, labels, taken) for peer in peers]
    lines = [
        Line(
            index[pair.client],
            index[pair.server],
            pair.outcome,
            isinstance(pair.client, Ambiguous) or isinstance(pair.server, Ambiguous),
            pair,
        )
        for pair in pairs
    ]
    return Graph(ends, sorted(lines, key=lambda line: (line.client, line.server)))


def _order(peer: Peer) -> tuple[bool, str, tuple[str, ...]]:
    namespace = namespace_of(peer)
    return not namespace, namespace, sort_key(peer)


def _end(peer: Peer, labels: Labels, taken: set[str]) -> End:
    tag = labels.tag(peer)
    full = labels.cell(peer, client=True)
    namespace = clean(namespace_of(peer))
    match peer:
        case Workload():
            name = labels.bare(peer) + tag
            wanted = f"{name}.{namespace}" if namespace else name
        case Service():
            name = named(peer.name) + tag
            wanted = f"{labels.bare(peer)}.{namespace}" if namespace else labels.bare(peer)
        case Ambiguous():
            name = wanted = full
        case _:
            name, wanted = named(peer.name) + tag, full
    unique, number = wanted, 1
    while unique in taken:
        number += 1
        unique = f"{wanted} #{number}"
    taken.add(unique)
    return End(unique, name, full, namespace, _SHAPES[type(peer)])


def describe(pair: Pair) -> list[str]:
    """What was seen between two ends, a line for each door: port and protocol, counts, requests in detail."""
    found = []
    for edge in doors(pair):
        door = f"{edge.port}/{edge.protocol}" if edge.port else edge.protocol
        counts = [
            f"{count} {word if count != 1 else word[:-1]}"
            for count, word in (
                (edge.connections, "connections"),
                (edge.sockets, "sockets"),
                (edge.requests, "requests"),
                (edge.flows, "flows"),
                (edge.attempts, "unanswered attempts"),
                (edge.lookups, "lookups"),
            )
            if count
        ]
        found.append(", ".join([named(door), *counts]))
        word = operations.shown if edge.protocol == "kafka" else str
        shown = list(edge.details.items())[:_MOST_DETAILS]
        found += [
            f"  {named(what)}: {', '.join(named(word(one)) for one in how)}" if how else f"  {named(what)}"
            for what, how in shown
        ]
        if len(edge.details) > _MOST_DETAILS:
            found.append(f"  and {len(edge.details) - _MOST_DETAILS} more")
    return found
