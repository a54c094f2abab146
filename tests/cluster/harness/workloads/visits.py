"""Reads what visitors wrote down, and says how a map differs from it; see `visitor`.

Connections and lookups are compared edge by edge and number by number. For what failed nobody said who was meant, so
attempts are compared with the client, the service and the port alone, and may be fewer: an address that nobody has is
no server, and what never left the node was never seen.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from harness.workloads import judge
from network_mapper.model import Service, Workload
from network_mapper.testing import truth
from network_mapper.testing.truth import Numbers, TrueEdge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from network_mapper.model import Edge

_NUMBERS = ("connections", "attempts", "lookups")


class Deed(NamedTuple):
    """One line of a visitor; `at` is in milliseconds since the epoch."""

    at: int
    what: str
    client: str
    server: str
    service: str
    port: int
    address: str


class Verdict(NamedTuple):
    """What is wrong with a map.

    Attributes:
        false: Edges that are too much, and what was counted too often.
        missed: Edges that are not there, and what was counted too seldom.
        edges: How many there are in truth.
        connections: How many connections were made in truth.
        lookups: How many answers came in truth.
        failed: How many connections failed in truth.
        unanswered: How many were made, but nobody said who answered.
    """

    false: list[str]
    missed: list[str]
    edges: int
    connections: int
    lookups: int
    failed: int
    unanswered: int


def read(folder: Path) -> list[Deed]:
    """Everything that was written down, in the order of time."""
    deeds = []
    for file in (folder / "did").iterdir():
        # The last line of a pod that was killed may be half.
        whole = file.read_text().rpartition("\n")[0]
        deeds += [Deed(*json.loads(line)) for line in whole.splitlines()]
    return sorted(deeds)


def expected(deeds: Iterable[Deed]) -> dict[TrueEdge, Numbers]:
    """The edges of connections that were answered, and of names that were found."""
    edges: dict[TrueEdge, Numbers] = {}
    for deed in deeds:
        if deed.what in ("connections", "lookups"):
            numbers = edges.setdefault(TrueEdge(deed.client, deed.server, deed.service, deed.port), Numbers())
            setattr(numbers, deed.what, getattr(numbers, deed.what) + 1)
    return edges


def compare(deeds: Sequence[Deed], edges: Sequence[Edge], namespace: str) -> Verdict:
    """Compare a map with what was done.

    Args:
        deeds: What was done by all who are in the namespace.
        edges: The map's, all of them.
        namespace: Whose; an edge with one end in it must be true.
    """
    want = expected(deeds)
    have = _seen(edges, namespace)
    failed, unanswered = (
        Counter((deed.client, deed.service, deed.port) for deed in deeds if deed.what == what)
        for what in ("failed", "unanswered")
    )
    false, missed = [], []
    for edge in sorted(want.keys() | have.keys()):
        wanted, found = want.get(edge, Numbers()), have.get(edge, Numbers())
        excess = {what: getattr(found, what) - getattr(wanted, what) for what in _NUMBERS}
        for what, loose in (("attempts", failed), ("connections", unanswered)):
            excused = min(max(excess[what], 0), loose[edge.client, edge.service, edge.port])
            loose[edge.client, edge.service, edge.port] -= excused
            excess[what] -= excused
        false += [f"{edge}: {much} {what} too much" for what, much in excess.items() if much > 0]
        missed += [
            f"{edge}: {-much} of {getattr(wanted, what)} {what} are missing"
            for what, much in excess.items()
            if much < 0
        ]
        if edge not in want and found == Numbers() and not _is_dialled(edge, want):
            false.append(f"{edge}: an open socket that nobody had")
    counts = Counter(deed.what for deed in deeds)
    return Verdict(
        false, missed, len(want), counts["connections"], counts["lookups"], counts["failed"], counts["unanswered"]
    )


def _is_dialled(edge: TrueEdge, want: Iterable[TrueEdge]) -> bool:
    """Whether the server is a service that was dialled: a table of sockets does not tell who answered there."""
    service = repr(Service(*reversed(edge.service.split("/")))) if edge.service else ""
    same = (edge.client, edge.service, edge.port)
    return edge.server == service and any((one.client, one.service, one.port) == same for one in want)


def _seen(edges: Iterable[Edge], namespace: str) -> dict[TrueEdge, Numbers]:
    """The map's edges with an end in the namespace; those of open sockets alone have no numbers."""
    edges = list(edges)
    found = judge.seen(edges, [namespace])
    for edge in edges:
        ends = [end.namespace for end in (edge.client, edge.server) if isinstance(end, Workload | Service)]
        if namespace in ends and edge.sockets and not edge.connections and not edge.attempts:
            [key] = truth.seen([msgspec.structs.replace(edge, connections=1)])
            found.setdefault(key, Numbers())
    return found
