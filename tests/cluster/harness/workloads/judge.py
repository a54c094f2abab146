"""Compares a map with what the programs of pods really did, row by row of a table of expectations.

The table says which edge a call must make, and why. How often it was made is taken from the pods' reports and never
from the plan; a pod that did not do what it was told is a complaint of its own, because then the test is at fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from network_mapper.model import Ambiguous, Edge, Service, Workload
from network_mapper.testing import truth
from network_mapper.testing.truth import Numbers, TrueEdge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.objects import Object

Edges = dict[TrueEdge, Numbers]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way in which one workload calls another.

    Attributes:
        name: Unique; also the name of the call in orders and reports.
        client: `namespace/app` of the pods that call.
        call: See `program`.
        edge: What the map must show for the connections; None where no connection is made.
        by_name: What it must show for the lookups; None where nothing is looked up.
        reason: Why the map must show that, where it is not plain.
        pods: How many pods make the call.
        refused: Whether nobody listens.
        at_start: Whether the pods make the call at their start, instead of when they are told.
    """

    name: str
    client: str
    call: Object
    edge: TrueEdge | None
    by_name: TrueEdge | None = None
    reason: str = ""
    pods: int = 1
    refused: bool = False
    at_start: bool = False


@dataclass(frozen=True)
class Report:
    """What one container of a pod says about one order; see `program`."""

    client: str
    pod: str
    order: str
    calls: Mapping[str, Any]


def expected(rows: Iterable[Row], reports: Sequence[Report]) -> Edges:
    """The edges that the map must show: identified by the table, counted by the reports."""
    edges: Edges = {}
    for row in rows:
        for did in _done(row, reports):
            made = sum(did["connections"].values())
            failed = _refused(did)
            if row.edge is not None and (made or failed):
                numbers = edges.setdefault(row.edge, Numbers())
                numbers.connections += made
                numbers.attempts += failed
            answers = sum(counts.get("answered", 0) for counts in did["lookups"].values())
            if row.by_name is not None and answers:
                edges.setdefault(row.by_name, Numbers()).lookups += answers
    return edges


def complaints(rows: Iterable[Row], reports: Sequence[Report], runs: Mapping[str, int] | None = None) -> list[str]:
    """Where the pods did not do what they were told; then a comparison with a map says nothing.

    Args:
        rows: The table.
        reports: What was done.
        runs: How many pods made a row's call, where that is only known afterwards, by the row's name.
    """
    found = []
    for row in rows:
        did = list(_done(row, reports))
        pods = (runs or {}).get(row.name, row.pods)
        if len(did) != pods:
            found.append(f"{row.name}: {len(did)} pods of {row.client} reported instead of {pods}")
        for one in did:
            made = _refused(one) if row.refused else sum(one["connections"].values())
            wanted = row.call["count"] if row.call["port"] else 0
            if made != wanted:
                failures = f": {one['failures']}" if one["failures"] else ""
                found.append(f"{row.name}: {row.client} made {made} instead of {wanted}{failures}")
    return found


def seen(edges: Iterable[Edge], namespaces: Iterable[str]) -> Edges:
    """The part of a map that has one end in these namespaces: connections, attempts and lookups."""
    inside = frozenset(namespaces)
    ours = [edge for edge in edges if not inside.isdisjoint(_namespaces(edge))]
    # A lookup's edge has no port and a connection's has one, so no key is in both.
    return truth.seen(ours) | truth.seen_lookups(ours)


def differences(expected: Edges, found: Edges) -> list[str]:
    """One sentence for each edge that is missing, too much or counted wrongly."""
    return truth.differences(expected, found)


def _namespaces(edge: Edge) -> list[str]:
    found = []
    for end in (edge.client, edge.server):
        peers = end.candidates if isinstance(end, Ambiguous) else (end,)
        found += [peer.namespace for peer in peers if isinstance(peer, Workload | Service)]
    return found


def _done(row: Row, reports: Sequence[Report]) -> Iterable[Any]:
    return (report.calls[row.name] for report in reports if report.client == row.client and row.name in report.calls)


def _refused(did: Mapping[str, Any]) -> int:
    """Attempts: what failed after a lookup."""
    failures = did["failures"].items()
    return sum(count for reason, count in failures if not reason.startswith("lookup: "))
