"""The picture of a small map: every workload a box, every pair a line, namespaces as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.export.picture import layered, shapes
from network_mapper.export.picture.graph import describe
from network_mapper.export.picture.page import Body, line_legend, shape_legend
from network_mapper.export.picture.scene import Colour, Group, Item, Rect, Text
from network_mapper.export.picture.text import width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.export.picture.graph import Graph, Line
    from network_mapper.export.picture.layered import Box, Placed
    from network_mapper.export.picture.scene import Point

    Place = Callable[[Sequence[Box], Sequence[float], Sequence[tuple[int, int]]], Placed]

_NAME_SIZE: Final = 12.0


def draw(graph: Graph, place: Place = layered.place) -> Body:
    """The picture, laid out by `place`."""
    namespaces = graph.namespaces
    number = {namespace: index for index, namespace in enumerate(namespaces)}
    boxes = [layered.Box(*shapes.box_size(end), number.get(end.namespace, -1)) for end in graph.ends]
    frames = [width(namespace, _NAME_SIZE, bold=True) + 28 for namespace in namespaces]
    between = [line for line in graph.lines if line.client != line.server]
    placed = place(boxes, frames, [(line.client, line.server) for line in between])
    items: list[Item] = []
    for namespace, rectangle in zip(namespaces, placed.frames, strict=True):
        name = Text(rectangle[0] + 14, rectangle[1] + 19, namespace, _NAME_SIZE, bold=True)
        frame = Rect(*rectangle, Colour.FRAME, Colour.FRAME_EDGE, 8)
        items.append(Group((frame, name), f"namespace {namespace}", "namespace"))
    items += [_line(graph, line, route) for line, route in zip(between, placed.routes, strict=True)]
    lowest = placed.height
    for line in graph.lines:
        if line.client == line.server:
            items.append(_line(graph, line, shapes.loop(*placed.boxes[line.client])))
            _, y, _, high = placed.boxes[line.client]
            lowest = max(lowest, y + high + 14)
    items += [
        Group(tuple(shapes.box(end, *rectangle)), end.full, end.shape, (("id", end.id),))
        for end, rectangle in zip(graph.ends, placed.boxes, strict=True)
    ]
    loops = len(between) < len(graph.lines)
    lines = line_legend({line.outcome for line in graph.lines}, loops=loops)
    return Body(placed.width, lowest, items, [], [*shape_legend(graph), *lines])


def _line(graph: Graph, line: Line, route: Sequence[Point]) -> Group:
    drawn = shapes.line(route, line.outcome)
    if line.unsure:
        drawn += shapes.label(route, "?")
    title = "\n".join([graph.text(line), *describe(line.pair)])
    ends = (("client", graph.ends[line.client].id), ("server", graph.ends[line.server].id))
    return Group(tuple(drawn), title, "line", ends)
