"""Which edges are good enough to be written down as what a workload calls.

A list shows weak evidence and marks it. A file that becomes a network policy has no marks, so what was never answered
stays out of it, and what is known from a lookup alone can be left out too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from network_mapper.export.pairs import group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.model import Edge


class Found(NamedTuple):
    """The edges that are left, and how many are not: only attempted, only looked up."""

    edges: list[Edge]
    attempted: int
    lookups: int


def choose(edges: Iterable[Edge], *, attempted: bool, lookups: bool) -> Found:
    """The edges whose evidence is good enough, sorted by client, then by server.

    Args:
        edges: Of a map.
        attempted: Whether attempts that were never answered are evidence.
        lookups: Whether a lookup of the server's name is, where nothing else was seen between the two.
    """
    chosen: list[Edge] = []
    count = unanswered = asked = 0
    for pair in group(edges):
        count += len(pair.edges)
        if pair.lookup_only and not lookups:
            asked += len(pair.edges)
        elif attempted:
            chosen += pair.edges
        elif not pair.attempted_only:
            chosen += [edge for edge in pair.edges if not _only_attempted(edge)]
    unanswered = count - asked - len(chosen)
    return Found(chosen, unanswered, asked)


def _only_attempted(edge: Edge) -> bool:
    others = edge.connections or edge.lookups or edge.sockets or edge.requests or edge.flows
    return bool(edge.attempts) and not others
