"""The map as a Mermaid flowchart, which GitHub, GitLab and others draw inside Markdown.

Ids are numbers, because names may be words of the language (`end`); names stand in quotes, and every character in them
that means something to Mermaid or to Markdown is written as an entity code, `#35;` (mermaid.js.org, "Flowcharts").
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from network_mapper.export.pairs import Outcome
from network_mapper.export.picture import MADE_BY
from network_mapper.export.picture.graph import Shape

if TYPE_CHECKING:
    from network_mapper.export.picture.graph import End, Graph

MOST_EDGES: Final = 500
"""What a renderer draws unless its `maxEdges` is raised."""
MOST_CHARACTERS: Final = 50_000
"""What a renderer reads unless its `maxTextSize` is raised."""

_SPECIAL: Final = re.compile(r"[^\w ./:|()?\-]")
_LIST: Final = re.compile(r"^(\d+)\. |^- ")
"""What Markdown takes for a list, which Mermaid refuses in a label."""
_SHAPES: Final = {
    Shape.WORKLOAD: ("[", "]", ""),
    Shape.SERVICE: ("([", "])", ""),
    Shape.EXTERNAL: ("[", "]", ":::external"),
    Shape.NODE: ("{{", "}}", ""),
    Shape.AMBIGUOUS: ("[", "]", ":::ambiguous"),
}
_CLASSES: Final = {
    Shape.EXTERNAL: "  classDef external stroke-dasharray: 5 3",
    Shape.AMBIGUOUS: "  classDef ambiguous stroke-dasharray: 2 2",
}
_ARROWS: Final = {
    Outcome.ANSWERED: ("-->", ""),
    Outcome.UNKNOWN: ("-->", ""),
    Outcome.UNANSWERED: ("--x", "attempts only"),
    Outcome.LOOKUP_ONLY: ("-.->", "DNS lookup only"),
}


def quoted(text: str) -> str:
    """The text as a label."""
    escaped = _SPECIAL.sub(lambda found: f"#{ord(found[0])};", text)
    escaped = _LIST.sub(lambda found: f"{found[1]}#46; " if found[1] else "#45; ", escaped)
    return f'"{escaped}"'


def render(graph: Graph, title: str = "") -> str:
    """The document; it ends with a line break."""
    heading = ["---", f"title: {json.dumps(title)}", "---"] if title else []
    lines = [*heading, "flowchart LR", f"  %% {MADE_BY}"]
    numbers = {end.id: number for number, end in enumerate(graph.ends)}
    for number, namespace in enumerate(graph.namespaces):
        inside = [end for end in graph.ends if end.namespace == namespace]
        lines += [f"  subgraph s{number}[{quoted(namespace)}]"]
        lines += [f"    {_node(end, numbers[end.id])}" for end in inside]
        lines += ["  end"]
    lines += [f"  {_node(end, numbers[end.id])}" for end in graph.ends if not end.namespace]
    for line in graph.lines:
        arrow, word = _ARROWS[line.outcome]
        words = " ".join(part for part in (word, "?" if line.unsure else "") if part)
        said = f"|{quoted(words)}|" if words else ""
        lines.append(f"  n{line.client} {arrow}{said} n{line.server}")
    lines += [style for shape, style in _CLASSES.items() if any(end.shape is shape for end in graph.ends)]
    return "\n".join([*lines, ""])


def _node(end: End, number: int) -> str:
    left, right, style = _SHAPES[end.shape]
    text = f"? {end.name}" if end.shape is Shape.AMBIGUOUS else end.name
    return f"n{number}{left}{quoted(text)}{right}{style}"


def too_large(graph: Graph, text: str) -> str:
    """Why renderers will refuse it unless they are told otherwise; empty when they will not."""
    if len(graph.lines) > MOST_EDGES:
        return f"it has {len(graph.lines)} edges, and Mermaid draws {MOST_EDGES} unless its maxEdges is raised"
    if len(text) > MOST_CHARACTERS:
        return f"it has {len(text)} characters, and Mermaid reads {MOST_CHARACTERS} unless its maxTextSize is raised"
    return ""
