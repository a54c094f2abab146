"""The list that people read first: every client, and under it what it calls."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from network_mapper.export.labels import Labels, namespace_of
from network_mapper.export.pairs import group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.export.pairs import Pair
    from network_mapper.model import Edge


def _mark(pair: Pair) -> str:
    if pair.attempted_only:
        return " (attempted, never answered)"
    if pair.lookup_only:
        return " (DNS lookup only)"
    return ""


def render(edges: Sequence[Edge]) -> str:
    """The list; weaker evidence than a connection is marked. Empty without edges."""
    labels = Labels(edges)
    lines = []
    for client, pairs in groupby(group(edges), key=lambda pair: pair.client):
        lines.append(f"{labels.sentence(client)} calls:\n")
        home = namespace_of(client)
        lines += [f"  - {labels.sentence(pair.server, home)}{_mark(pair)}\n" for pair in pairs]
    return "".join(lines)
