"""Tiles: a namespace as a box that names all that lives in it, in columns from top to bottom as `ls` prints files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.export.picture.graph import Shape
from network_mapper.export.picture.page import counted
from network_mapper.export.picture.scene import Colour, Group, Item, Rect, Text
from network_mapper.export.picture.text import broken, width, wrap

if TYPE_CHECKING:
    from network_mapper.export.picture.folded import Folded, Tile
    from network_mapper.export.picture.graph import Graph

SIZE: Final = 11.0
GUTTER: Final = 16.0
MOST_COLUMNS: Final = 24
PITCH: Final = 19.0
_CHIP: Final = 16.0
_PAD: Final = 12.0
_GAP: Final = 6.0
_STEP: Final = 24.0
_NOT_MUCH_LONGER: Final = 1.4
_HEAD: Final = 26.0
_LEADING: Final = 14.0
_WORDS: Final = {Shape.SERVICE: " (service)"}


class Plan(msgspec.Struct, frozen=True):
    """A tile of a given width: the lines of its names by columns, and how high it is.

    Attributes:
        usual: How high it would be if every name had one line, which only depends on how many there are.
    """

    width: float
    height: float
    usual: float
    heading: list[str]
    facts: list[str]
    columns: list[list[tuple[int, list[str]]]]
    column_width: float


def _names(graph: Graph, tile: Tile, widest: float) -> tuple[list[tuple[int, list[str]]], float]:
    """Each end of a tile with its name in lines, and the width that they have.

    It is that of all but the longest tenth of the names, and of those of them that are not much longer; the others
    take several lines: one long name must not widen every column, nor shift all that follows when it comes or goes. For
    the same reason widths go by steps.
    """
    written = [(n, graph.ends[n].name + _WORDS.get(graph.ends[n].shape, "")) for n in tile.ends]
    widths = sorted(width(name, SIZE) for _, name in written)
    common = widths[min(len(widths) - 1, int(len(widths) * 0.9))]
    limit = math.ceil(common / _STEP) * _STEP
    fitting = max(wide for wide in widths if wide <= limit * _NOT_MUCH_LONGER)
    limit = math.ceil(fitting / _STEP) * _STEP
    limit = min(widest, limit)
    return [(n, broken(name, SIZE, limit)) for n, name in written], limit


def facts(graph: Graph, tile: Tile) -> list[str]:
    """What a tile says of itself."""
    workloads = sum(graph.ends[number].shape is Shape.WORKLOAD for number in tile.ends)
    what = counted(workloads, "workload") if workloads == len(tile.ends) else counted(len(tile.ends), "name")
    said = [what, f"calls {tile.calls}", f"called by {tile.callers}"]
    return said + ([f"{counted(len(tile.inside), 'pair')} inside"] if tile.inside else [])


def plan(graph: Graph, tile: Tile, wide: float) -> Plan:
    """Lay out a tile that is as wide as that."""
    entries, limit = _names(graph, tile, wide - 2 * _PAD - 12)
    column = limit + 12 + _GAP
    count = max(1, int((wide - 2 * _PAD + _GAP) // column))
    rows = math.ceil(sum(len(lines) for _, lines in entries) / count)
    columns: list[list[tuple[int, list[str]]]] = [[]]
    used = 0
    for entry in entries:
        if used and used + len(entry[1]) > rows and len(columns) < count:
            columns.append([])
            used = 0
        columns[-1].append(entry)
        used += len(entry[1])
    deepest = max(sum(len(lines) for _, lines in entries_of) for entries_of in columns)
    heading = broken(tile.name, 13, (wide - 2 * _PAD) * 0.94)
    said = wrap(facts(graph, tile), SIZE, wide - 2 * _PAD, between=" · ")
    around = _HEAD + 16 * (len(heading) - 1) + _LEADING * len(said) + 6 + _PAD - 4
    usual = around + math.ceil(len(entries) / count) * PITCH
    return Plan(wide, around + deepest * PITCH, usual, heading, said, columns, column)


def draw(graph: Graph, tile: Tile, made: Plan, x: float, y: float) -> Group:
    """A tile at its place."""
    items: list[Item] = [Rect(x, y, made.width, made.height, Colour.FRAME, Colour.FRAME_EDGE, 8)]
    base = y + 19
    for line in made.heading:
        items.append(Text(x + _PAD, base, line, 13, bold=True))
        base += 16
    for line in made.facts:
        items.append(Text(x + _PAD, base, line, SIZE, colour=Colour.MUTED))
        base += _LEADING
    top = base - 7
    for number, column in enumerate(made.columns):
        left, below = x + _PAD + number * made.column_width, top
        for end, lines in column:
            wide = max(width(line, SIZE) for line in lines) + 12
            radius = _CHIP / 2 if graph.ends[end].shape is Shape.SERVICE else 4
            chip = Rect(left, below, wide, _CHIP + PITCH * (len(lines) - 1), Colour.BOX, Colour.FRAME_EDGE, radius, 1)
            texts = [Text(left + 6, below + 12 + PITCH * row, line, SIZE) for row, line in enumerate(lines)]
            items.append(Group((chip, *texts), "", graph.ends[end].shape, (("id", graph.ends[end].id),)))
            below += PITCH * len(lines)
    title = "\n".join([("namespace " if tile.real else "") + tile.name, *map(graph.text, tile.inside)])
    return Group(tuple(items), title, "tile", (("pairs", str(len(tile.inside))),))


class Shelves(msgspec.Struct, frozen=True):
    """All tiles in columns of one width: by name from top to bottom, then from left to right.

    Attributes:
        plans: Of the tiles.
        columns: For every column its first tile, and the one behind its last.
    """

    plans: list[Plan]
    columns: list[tuple[int, int]]

    @property
    def width(self) -> float:
        """Of all."""
        return len(self.columns) * (self.plans[0].width + GUTTER) - GUTTER

    @property
    def height(self) -> float:
        """Of the tallest column."""
        return max(sum(made.height + GUTTER for made in self.plans[a:b]) for a, b in self.columns) - GUTTER

    @property
    def usual_height(self) -> float:
        """Of the column that would be tallest if every name had one line."""
        return max(sum(made.usual + GUTTER for made in self.plans[a:b]) for a, b in self.columns) - GUTTER

    def draw(self, graph: Graph, folded: Folded) -> list[Item]:
        """The tiles, the first at (0, 0)."""
        items: list[Item] = []
        for number, (first, last) in enumerate(self.columns):
            y = 0.0
            for tile, made in zip(folded.tiles[first:last], self.plans[first:last], strict=True):
                items.append(draw(graph, tile, made, number * (made.width + GUTTER), y))
                y += made.height + GUTTER
        return items


def shelves(graph: Graph, folded: Folded, wide: float) -> list[Shelves]:
    """The ways to set up tiles of that width: in one column, in two, and so on."""
    plans = [plan(graph, tile, wide) for tile in folded.tiles]
    heights = [made.usual + GUTTER for made in plans]
    ways = {}
    for columns in range(1, min(len(plans), MOST_COLUMNS) + 1):
        cut = _partition(heights, columns)
        ways[len(cut)] = Shelves(plans, cut)
    return list(ways.values())


def _partition(heights: list[float], columns: int) -> list[tuple[int, int]]:
    """Cut a row of heights into columns so that the tallest is as low as can be."""
    low, high = max(heights), sum(heights)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if len(_cut(heights, middle)) <= columns else (middle, high)
    return _cut(heights, high + 0.01)


def _cut(heights: list[float], limit: float) -> list[tuple[int, int]]:
    cuts, start, used = [], 0, 0.0
    for number, height in enumerate(heights):
        if used + height > limit and number > start:
            cuts.append((start, number))
            start, used = number, 0.0
        used += height
    return [*cuts, (start, len(heights))]
