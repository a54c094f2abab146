"""The map as a table: one line per edge, with the evidence for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.export import table
from network_mapper.export.labels import Labels, clean
from network_mapper.export.pairs import group
from network_mapper.export.times import age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.model import Edge

_HEADER = (
    "CLIENT",
    "SERVER",
    "SERVICE",
    "PORT",
    "CONNECTIONS",
    "ATTEMPTS",
    "LOOKUPS",
    "SOCKETS",
    "REQUESTS",
    "LAST SEEN",
)
_NUMBERS = frozenset({4, 5, 6, 7, 8, 9})


def render(edges: Sequence[Edge], now: int) -> str:
    """The table; `now` is the mapper's clock in milliseconds since the epoch. Empty without edges."""
    if not edges:
        return ""
    labels = Labels(edges)
    rows = [
        (
            labels.cell(edge.client),
            labels.cell(edge.server),
            clean(f"{edge.service.namespace}/{edge.service.name}") if edge.service else "-",
            f"{edge.port}/{clean(edge.protocol)}" if edge.port else clean(edge.protocol),
            str(edge.connections),
            str(edge.attempts),
            str(edge.lookups),
            str(edge.sockets),
            str(edge.requests),
            age(now - edge.last_seen) + " ago",
        )
        for pair in group(edges)
        for edge in sorted(pair.edges, key=lambda edge: (edge.port, edge.protocol, str(edge.service)))
    ]
    return table.render(_HEADER, rows, right=_NUMBERS)
