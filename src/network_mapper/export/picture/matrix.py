"""Who calls whom among namespaces, as a table: rows call columns, each cell counts pairs, no line crosses another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.export.pairs import Outcome
from network_mapper.export.picture.scene import SOLID, Colour, Group, Item, Rect, Text
from network_mapper.export.picture.text import width

if TYPE_CHECKING:
    from network_mapper.export.picture.folded import Folded
    from network_mapper.export.picture.graph import Graph, Line
    from network_mapper.export.picture.page import Sample

SIZE: Final = 11.0
_ROW: Final = 20.0
_WIDEST_ROW: Final = 30.0
_HEATS: Final = ((1, Colour.HEAT_1), (3, Colour.HEAT_2), (10, Colour.HEAT_3), (30, Colour.HEAT_4))
"""From how many pairs a cell has which colour."""


def draw(graph: Graph, folded: Folded, room: float = 0) -> tuple[list[Item], float, float]:
    """The table at (0, 0), its width and its height; rows and columns are wider where there is more room in height."""
    cells: dict[tuple[int, int], list[Line]] = {
        (bundle.client, bundle.server): bundle.lines for bundle in folded.bundles
    }
    cells |= {(number, number): tile.inside for number, tile in enumerate(folded.tiles) if tile.inside}
    rows = [n for n, tile in enumerate(folded.tiles) if tile.real or any(client == n for client, _ in cells)]
    columns = [n for n, tile in enumerate(folded.tiles) if tile.real or any(server == n for _, server in cells)]
    names = [tile.name for tile in folded.tiles]
    left = max(width(names[n], SIZE) for n in rows) + 10
    top = max(width(names[n], SIZE) for n in columns) + 32
    row = max(_ROW, min(_WIDEST_ROW, (room - top) / len(rows)))
    column = max(row, max((width(str(len(lines)), SIZE) for lines in cells.values()), default=0) + 8)
    wide, high = left + column * len(columns), top + row * len(rows)
    title = "Rows call columns: how many pairs" + (", without the bars above" if folded.hubs else "")
    items: list[Item] = [Text(0, 13, title, 13, bold=True)]
    for place, number in enumerate(rows):
        y = top + row * place
        if place % 2 == 0:
            items.append(Rect(0, y, wide, row, Colour.FRAME))
        items.append(Text(left - 8, y + row / 2 + 4, names[number], SIZE, anchor="end"))
    for place, number in enumerate(columns):
        x = left + column * place
        items.append(Text(x + column / 2 + 4, top - 6, names[number], SIZE, turned=True))
        items.append(Rect(x, top, 0.5, high - top, Colour.FRAME_EDGE))
    across = {number: left + column * place for place, number in enumerate(columns)}
    down = {number: top + row * place for place, number in enumerate(rows)}
    for where, lines in sorted(cells.items()):
        items.append(_cell(graph, names, where, lines, Rect(across[where[1]], down[where[0]], column, row)))
    return items, max(wide, width(title, 13, bold=True)), high


def _cell(graph: Graph, names: list[str], where: tuple[int, int], lines: list[Line], room: Rect) -> Group:
    client, server = where
    x, y, wide, high = room.x, room.y, room.width, room.height
    outcome = max(line.outcome for line in lines)
    heat = next(colour for least, colour in reversed(_HEATS) if len(lines) >= least)
    seen = outcome in (Outcome.ANSWERED, Outcome.UNKNOWN)
    border = Colour.MUTED if client == server else None
    box = Rect(x + 1, y + 1, wide - 2, high - 2, heat if seen else None, border, 3, 1.2, SOLID)
    if not seen:
        colour = Colour.ATTEMPT if outcome is Outcome.UNANSWERED else Colour.LOOKUP
        box = Rect(x + 1.5, y + 1.5, wide - 3, high - 3, Colour.BOX, colour, 3, 1.2, (3.0, 2.0))
    text = Text(x + wide / 2, y + high / 2 + 4, str(len(lines)), SIZE, anchor="middle")
    title = "\n".join(
        [
            f"{names[client]} calls {names[server]}" if client != server else f"inside {names[client]}",
            *map(graph.text, lines),
        ]
    )
    return Group((box, text), title, "cell", (("pairs", str(len(lines))),))


def legend() -> list[Sample]:
    """What the colours and borders of cells mean."""
    samples: list[Sample] = [
        ([Rect(0, -11, 20, 15, colour, None, 3)], 20, f"from {least} {'pair' if least == 1 else 'pairs'}")
        for least, colour in _HEATS
    ]
    samples.append(([Rect(0, -11, 20, 15, Colour.HEAT_1, Colour.MUTED, 3)], 20, "inside a namespace"))
    dashed = Rect(0, -11, 20, 15, Colour.BOX, Colour.ATTEMPT, 3, 1.2, (3.0, 2.0))
    samples.append(([dashed], 20, "attempts or DNS lookups only"))
    return samples
