"""The map in Graphviz's language DOT: one node per end, one edge per pair, a cluster per namespace.

Ids and labels are `name.namespace` as in the model's pictures. Quoting follows https://graphviz.org/doc/info/lang.html:
in double quotes only the quote itself is an escape; in labels a backslash begins one (`escString`) and `&` an entity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.export.pairs import Outcome
from network_mapper.export.picture import MADE_BY
from network_mapper.export.picture.graph import Shape, describe

if TYPE_CHECKING:
    from network_mapper.export.picture.graph import End, Graph, Line

_SHAPES: Final = {
    Shape.WORKLOAD: 'shape=box, style="rounded"',
    Shape.SERVICE: "shape=ellipse",
    Shape.EXTERNAL: 'shape=box, style="dashed"',
    Shape.NODE: "shape=hexagon",
    Shape.AMBIGUOUS: 'shape=octagon, style="dotted"',
}
_STYLES: Final = {
    Outcome.ANSWERED: "style=solid",
    Outcome.UNKNOWN: "style=solid",
    Outcome.UNANSWERED: "style=dashed, arrowhead=open",
    Outcome.LOOKUP_ONLY: "style=dotted",
}


def quoted(text: str) -> str:
    r"""The text as an id: in quotes. A backslash is doubled, which Graphviz shows as one in labels."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def identifier(end: End) -> str:
    """The id of an end. Graphviz keeps names that begin with a percent sign for what has no name of its own."""
    return quoted(f" {end.id}" if end.id.startswith("%") else end.id)


def label(text: str) -> str:
    """The text to be shown: as `quoted`, and nothing in it is an entity; a line break stays one."""
    return quoted(text.replace("&", "&amp;")).replace("\n", "\\n")


def render(graph: Graph, title: str = "") -> str:
    """The document; it ends with a line break."""
    named = f", label={label(title)}, labelloc=t" if title else ""
    lines = [
        f"// {MADE_BY}",
        "digraph network_map {",
        f'  graph [rankdir=LR, fontname="Helvetica"{named}]',
        '  node [fontname="Helvetica", margin=0.2]',
        '  edge [fontname="Helvetica"]',
    ]
    for number, namespace in enumerate(graph.namespaces):
        lines += [
            f"  subgraph cluster_{number} {{",
            f'    graph [label={label(namespace)}, style="rounded", color="gray60"]',
            *(f"    {_node(end)}" for end in graph.ends if end.namespace == namespace),
            "  }",
        ]
    lines += [f"  {_node(end)}" for end in graph.ends if not end.namespace]
    lines += [f"  {_edge(graph, line)}" for line in graph.lines]
    return "\n".join([*lines, "}", ""])


def _node(end: End) -> str:
    shown = f"? {end.id}" if end.shape is Shape.AMBIGUOUS else end.id
    return f"{identifier(end)} [label={label(shown)}, {_SHAPES[end.shape]}]"


def _edge(graph: Graph, line: Line) -> str:
    unsure = ', label="?"' if line.unsure else ""
    tip = label("\n".join([graph.text(line), *describe(line.pair)]))
    ends = f"{identifier(graph.ends[line.client])} -> {identifier(graph.ends[line.server])}"
    return f"{ends} [{_STYLES[line.outcome]}{unsure}, tooltip={tip}]"
