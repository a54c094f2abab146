"""The picture of a large map: a tile for each namespace, and a table of who calls whom, or lines where they are few.

Whole-graph pictures of more than some twenty workloads cannot be read, however they are laid out: lines cover each
other, or names shrink to specks. So names stay and lines are folded. Few namespaces with few lines between them are
drawn as boxes with lines; more of them get the table, in which every line has its own cell.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from network_mapper.export.picture import layered, matrix, shapes, tiles
from network_mapper.export.picture.folded import fold
from network_mapper.export.picture.page import Body, counted, line_legend, moved
from network_mapper.export.picture.scene import Colour, Group, Item, Rect, Text
from network_mapper.export.picture.text import width

if TYPE_CHECKING:
    from network_mapper.export.picture.folded import Folded, Hub
    from network_mapper.export.picture.graph import Graph

MOST_TILES_WITH_LINES: Final = 12
MOST_LINES: Final = 30
_WIDTHS: Final = (230.0, 330.0, 430.0, 560.0, 720.0, 940.0, 1240.0)
_ASPECT: Final = 1.6
_APART: Final = 40.0


def draw(graph: Graph) -> Body:
    """The folded picture."""
    folded = fold(graph)
    few = len(folded.tiles) <= MOST_TILES_WITH_LINES and len(folded.bundles) <= MOST_LINES
    made = _with_lines(graph, folded) if few else _with_table(graph, folded)
    bars, high = _bars(graph, folded, made.width)
    made.items = [*bars, *moved(made.items, 0, high)]
    made.height += high
    made.remarks = _remarks(graph, folded, table=not few)
    return made


def _with_lines(graph: Graph, folded: Folded) -> Body:
    most = max(len(tile.ends) for tile in folded.tiles)
    plans = [tiles.plan(graph, tile, 200 if most <= 15 else 290) for tile in folded.tiles]
    boxes = [layered.Box(made.width, made.height) for made in plans]
    placed = layered.place(boxes, [], [(bundle.client, bundle.server) for bundle in folded.bundles])
    items: list[Item] = []
    counts: list[Item] = []
    for bundle, route in zip(folded.bundles, placed.routes, strict=True):
        names = [folded.tiles[number].name for number in (bundle.client, bundle.server)]
        title = "\n".join([" calls ".join(names), *map(graph.text, bundle.lines)])
        line = shapes.line(route, bundle.outcome)
        items.append(Group(tuple(line), title, "bundle", (("pairs", str(len(bundle.lines))),)))
        counts += shapes.label(route, str(len(bundle.lines)))
    items += counts
    for tile, made, (x, y, _, high) in zip(folded.tiles, plans, placed.boxes, strict=True):
        items.append(tiles.draw(graph, tile, made, x, y + (high - made.height) / 2))
    return Body(placed.width, placed.height, items, [], line_legend({bundle.outcome for bundle in folded.bundles}))


def _with_table(graph: Graph, folded: Folded) -> Body:
    table, table_width, table_height = matrix.draw(graph, folded)
    ways = [way for wide in _WIDTHS for way in tiles.shelves(graph, folded, wide)]

    def size(way: tiles.Shelves, beside: bool, tiles_height: float) -> tuple[float, float]:
        if beside:
            return way.width + _APART + table_width, max(tiles_height, table_height)
        return max(way.width, table_width), tiles_height + _APART + table_height

    def cost(choice: tuple[tiles.Shelves, bool]) -> float:
        wide, high = size(*choice, choice[0].usual_height)
        ratio = wide / high / _ASPECT
        return wide * high * math.pow(max(ratio, 1 / ratio), 1.5)

    way, beside = min(((way, beside) for way in ways for beside in (True, False)), key=cost)
    if beside:
        table, table_width, table_height = matrix.draw(graph, folded, way.height)
    corner = (way.width + _APART, 0.0) if beside else (0.0, way.height + _APART)
    items = [*way.draw(graph, folded), *moved(table, *corner)]
    return Body(*size(way, beside, way.height), items, [], matrix.legend())


def _bars(graph: Graph, folded: Folded, wide: float) -> tuple[list[Item], float]:
    """A bar for each hub, as long as its share of the namespaces; and the height of all."""
    if not folded.hubs:
        return [], 0.0
    items: list[Item] = [Text(0, 13, "Called by more than half of the namespaces", 13, bold=True)]
    y = 24.0
    names = [graph.ends[hub.end].full for hub in folded.hubs]
    left = max(width(name, 12, bold=True) for name in names) + 14
    longest = max(120.0, min(420.0, wide - left - 330))
    for hub, name in zip(folded.hubs, names, strict=True):
        items.append(_bar(graph, folded, hub, name, (left, y, longest)))
        y += 24
    return items, y + 20


def _bar(graph: Graph, folded: Folded, hub: Hub, name: str, room: tuple[float, float, float]) -> Group:
    left, y, longest = room
    share = hub.namespaces / max(1, folded.namespaces)
    said = f"{hub.namespaces} of {folded.namespaces} namespaces, {counted(len(hub.lines), 'pair')}"
    drawn: list[Item] = [
        Text(0, y + 14, name, 12, bold=True),
        Rect(left, y + 3, longest, 15, None, Colour.FRAME_EDGE, 3),
        Rect(left, y + 3, longest * share, 15, Colour.HEAT_3, Colour.EDGE, 3),
        Text(left + longest + 10, y + 14, said, 11, colour=Colour.MUTED),
    ]
    title = "\n".join([f"calls of {name} from other namespaces", *map(graph.text, hub.lines)])
    return Group(tuple(drawn), title, "hub", (("pairs", str(len(hub.lines))),))


def _remarks(graph: Graph, folded: Folded, *, table: bool) -> list[str]:
    """What is folded, so that nobody takes the picture for more, or for less, than it is."""
    inside = sum(len(tile.inside) for tile in folded.tiles)
    bundled = sum(len(bundle.lines) for bundle in folded.bundles)
    parts = []
    if table:
        cells = len(folded.bundles) + sum(bool(tile.inside) for tile in folded.tiles)
        parts.append(f"{counted(bundled + inside, 'pair')} as {counted(cells, 'cell')} of the table")
        parts.append(f"of them {inside:,} inside a namespace (outlined)")
    else:
        parts.append(f"{counted(bundled, 'pair')} as {counted(len(folded.bundles), 'line')}")
        if inside:
            parts.append(f"{inside:,} inside a namespace as a number in its tile")
    if folded.hubs:
        hubs = sum(len(hub.lines) for hub in folded.hubs)
        parts.append(f"{hubs:,} to {counted(len(folded.hubs), 'hub')} as bars")
    return [
        f"Folded by namespace: {counted(len(graph.lines), 'pair')} that talk; {', '.join(parts)}. No pair is left out.",
        "An SVG names the pairs of a line, cell, bar or tile where the pointer rests.",
    ]
