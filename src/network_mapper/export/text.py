"""The list that people read first: every client, and under it what it calls."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from network_mapper.export import operations
from network_mapper.export.labels import Labels, clean, named, namespace_of
from network_mapper.export.pairs import Outcome, group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from network_mapper.export.pairs import Evidence
    from network_mapper.model import Edge, Peer

_MARKS = {Outcome.UNANSWERED: " (attempted, never answered)", Outcome.LOOKUP_ONLY: " (DNS lookup only)"}
_CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "GCP"}


def bold(text: str, colour: bool) -> str:
    """The text so that it stands out, where `colour` is asked for."""
    return f"\x1b[1m{text}\x1b[0m" if colour else text


def dim(text: str, colour: bool) -> str:
    """The text so that it stands back, where `colour` is asked for."""
    return f"\x1b[2m{text}\x1b[0m" if colour and text else text


def mark(evidence: Evidence) -> str:
    """What is said behind a server where no answer was seen; empty where one was, or nothing is counted."""
    return _MARKS.get(evidence.outcome, "")


def details(edges: Iterable[Edge]) -> list[str]:
    """A line for each path, topic or kind of cloud action that was asked for, sorted."""
    found: dict[tuple[str, str], set[str]] = {}
    for edge in edges:
        for name, values in edge.details.items():
            found.setdefault((edge.protocol, name), set()).update(values)
    return [_detail(protocol, name, sorted(values)) for (protocol, name), values in sorted(found.items())]


def _detail(protocol: str, name: str, values: Sequence[str]) -> str:
    match protocol:
        case "kafka":
            words = sorted({operations.shown(value) for value in values}, key=str.lower)
            return f"Kafka topic: {named(name)}, operations: [{' '.join(map(clean, words))}]"
        case "http":
            methods = ",".join(clean(value) for value in values if value != "ALL")
            return f"path {named(name)}, methods: [{methods}]"
        case _:
            cloud = _CLOUDS.get(protocol, clean(protocol))
            return f"{cloud} {named(name)}: [{','.join(clean(value) for value in values)}]"


def render(edges: Sequence[Edge], *, tags: Mapping[Peer, str] | None = None, colour: bool = False) -> str:
    """The list; weaker evidence than an answer is marked. Empty without edges.

    Args:
        edges: To show.
        tags: Words to put behind the names of clients.
        colour: Whether a terminal shows it.
    """
    labels = Labels(edges, tags)
    lines = []
    for client, pairs in groupby(group(edges), key=lambda pair: pair.client):
        lines.append(f"{bold(labels.sentence(client, client=True), colour)} calls:\n")
        home = namespace_of(client)
        for pair in pairs:
            lines.append(f"  - {labels.sentence(pair.server, home)}{dim(mark(pair), colour)}\n")
            lines += [f"    - {line}\n" for line in details(pair.edges)]
    return "".join(lines)
