"""A map as a scene: which picture fits it, and what is said around it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.export.picture import graphviz, large, layered, whole
from network_mapper.export.picture.page import Body, Heading, compose, counted
from network_mapper.export.picture.scene import Text
from network_mapper.export.times import rfc3339

if TYPE_CHECKING:
    from network_mapper.export.picture.graph import Graph
    from network_mapper.export.picture.scene import Scene

MOST_ENDS: Final = 24
"""Up to so many names, every pair is a line of its own."""
MOST_LINES: Final = 60
"""And up to so many lines."""
MOST_ENDS_UNFOLDED: Final = 120
MOST_LINES_UNFOLDED: Final = 400
"""What the own layout places within some seconds."""
MOST_ENDS_GRAPHVIZ: Final = 500
MOST_LINES_GRAPHVIZ: Final = 1500


class Fold(enum.StrEnum):
    """Whether a map is folded to namespaces."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class Engine(enum.StrEnum):
    """Who places the boxes of an unfolded map."""

    AUTO = "auto"
    BUILTIN = "builtin"
    DOT = "dot"


class Options(msgspec.Struct, frozen=True):
    """What a person wants of a picture; `seen` is the clock of the map, in milliseconds since the epoch."""

    title: str = "Network map"
    fold: Fold = Fold.AUTO
    engine: Engine = Engine.AUTO
    seen: int = 0


def scene(graph: Graph, options: Options, why_empty: str = "") -> Scene:
    """The picture of a graph; of an empty one it is a page that says why, in the words of `why_empty`.

    Raises:
        LayoutError: The map cannot be drawn in the way that is wanted.
    """
    if not graph.lines:
        body = Body(480, 30, [Text(0, 20, "Nothing to draw.", 14)], [why_empty] if why_empty else [], [])
        return compose(Heading(options.title, _time(options.seen)), body, "An empty map.")
    folded = options.fold is Fold.ALWAYS or (
        options.fold is Fold.AUTO and (len(graph.ends) > MOST_ENDS or len(graph.lines) > MOST_LINES)
    )
    body = large.draw(graph) if folded else whole.draw(graph, _engine(graph, options.engine))
    said = f"{counted(graph.workloads, 'workload')} in {counted(len(graph.namespaces), 'namespace')}"
    others = len(graph.ends) - graph.workloads
    if others:
        said += f" and {counted(others, 'other end')}"
    said += f"; {counted(len(graph.lines), 'pair')} of client and server"
    subtitle = f"{said}; {_time(options.seen)}" if options.seen else said
    return compose(Heading(options.title, subtitle), body, f"Who talks to whom: {said}.")


def _time(ms: int) -> str:
    when = rfc3339(ms)
    return f"as seen at {when[:16].replace('T', ' ')} UTC" if when else ""


def _engine(graph: Graph, engine: Engine) -> whole.Place:
    """The way to place boxes: our own while it copes, beyond that Graphviz, where it is installed."""
    fits = len(graph.ends) <= MOST_ENDS_UNFOLDED and len(graph.lines) <= MOST_LINES_UNFOLDED
    if engine is Engine.BUILTIN or (engine is Engine.AUTO and (fits or graphviz.installed() is None)):
        if not fits:
            raise graphviz.LayoutError(_too_large(graph, MOST_ENDS_UNFOLDED, MOST_LINES_UNFOLDED))
        return layered.place
    if len(graph.ends) > MOST_ENDS_GRAPHVIZ or len(graph.lines) > MOST_LINES_GRAPHVIZ:
        raise graphviz.LayoutError(_too_large(graph, MOST_ENDS_GRAPHVIZ, MOST_LINES_GRAPHVIZ))
    return graphviz.place


def _too_large(graph: Graph, ends: int, lines: int) -> str:
    return (
        f"{counted(len(graph.ends), 'name')} with {counted(len(graph.lines), 'line')} are too many to be drawn unfolded"
        f" (at most {ends:,} with {lines:,})"
    )
