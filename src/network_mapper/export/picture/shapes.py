"""How ends and lines look: by form and style of line first, by colour only besides.

Answered is solid; a try that nobody answered has long dashes and an open arrow; what is known from a lookup alone is
dotted; a pair of which one end is ambiguous carries a question mark. What is outside the cluster has a dashed border,
nodes are hexagons, services have round ends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from network_mapper.export.pairs import Outcome
from network_mapper.export.picture.graph import Shape
from network_mapper.export.picture.scene import BORDER, DASHES, DOTS, SOLID, Colour, Path, Rect, Text
from network_mapper.export.picture.text import broken, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.export.picture.graph import End
    from network_mapper.export.picture.scene import Item, Point

SIZE: Final = 12.0
"""Of names in boxes."""
_LEADING: Final = 15.0
_WIDEST: Final = 330.0
_HEAD: Final = 8.0
_STYLES: Final[dict[Outcome, tuple[Colour, float, tuple[float, ...]]]] = {
    Outcome.ANSWERED: (Colour.LINE, 1.4, SOLID),
    Outcome.UNKNOWN: (Colour.LINE, 1.4, SOLID),
    Outcome.UNANSWERED: (Colour.ATTEMPT, 1.5, DASHES),
    Outcome.LOOKUP_ONLY: (Colour.LOOKUP, 2.2, DOTS),
}


def name_lines(end: End) -> list[str]:
    """The name in its box; a long one takes several lines, and none is cut."""
    text = f"? {end.name}" if end.shape is Shape.AMBIGUOUS else end.name
    return broken(text, SIZE, _WIDEST)


def box_size(end: End) -> tuple[float, float]:
    """How large a box the name needs."""
    lines = name_lines(end)
    return max(26.0, *(width(line, SIZE) for line in lines)) + 26, 13 + _LEADING * len(lines)


def box(end: End, x: float, y: float, wide: float, high: float) -> list[Item]:
    """An end's box with its name."""
    lines = name_lines(end)
    base = y + high / 2 - _LEADING * (len(lines) - 1) / 2 + SIZE * 0.36
    names = [
        Text(x + wide / 2, base + _LEADING * number, line, SIZE, anchor="middle") for number, line in enumerate(lines)
    ]
    return [outline(end.shape, x, y, wide, high), *names]


def outline(shape: Shape, x: float, y: float, wide: float, high: float) -> Item:
    """The form of an end."""
    match shape:
        case Shape.EXTERNAL:
            return Rect(x, y, wide, high, Colour.BOX, Colour.OUTSIDE, 2, 1.4, BORDER)
        case Shape.SERVICE:
            return Rect(x, y, wide, high, Colour.BOX, Colour.EDGE, min(high / 2, 14), 1.4)
        case Shape.NODE:
            cut = min(9.0, high / 3)
            upper = ((x, y + high / 2), (x + cut, y), (x + wide - cut, y), (x + wide, y + high / 2))
            lower = ((x + wide - cut, y + high), (x + cut, y + high))
            return Path((*upper, *lower), closed=True, stroke=Colour.MUTED, fill=Colour.BOX)
        case Shape.AMBIGUOUS:
            return Rect(x, y, wide, high, Colour.BOX, Colour.ATTEMPT, 2, 1.4, (1.5, 2.5))
        case _:
            return Rect(x, y, wide, high, Colour.BOX, Colour.EDGE, 5, 1.4)


def line(route: Sequence[Point], outcome: Outcome) -> list[Item]:
    """A curve with its arrow."""
    colour, thick, dash = _STYLES[outcome]
    tip = route[-1]
    tail = next((point for point in reversed(route[:-1]) if math.dist(point, tip) > 1), route[0])
    far = math.dist(tail, tip) or 1.0
    ux, uy = (tip[0] - tail[0]) / far, (tip[1] - tail[1]) / far
    back = (tip[0] - ux * _HEAD, tip[1] - uy * _HEAD)
    wings = tuple((back[0] - side * uy * 3.7, back[1] + side * ux * 3.7) for side in (1, -1))
    if outcome is Outcome.UNANSWERED:
        head: Item = Path((wings[0], tip, wings[1]), stroke=colour, thick=thick)
        return [Path(tuple(route), curved=True, stroke=colour, thick=thick, dash=dash), head]
    head = Path((wings[0], tip, wings[1]), closed=True, fill=colour)
    end = (tip[0] - ux * (_HEAD - 1), tip[1] - uy * (_HEAD - 1))
    return [Path((*route[:-1], end), curved=True, stroke=colour, thick=thick, dash=dash), head]


def loop(x: float, y: float, wide: float, high: float) -> list[Point]:
    """The way from a box's lower side back to it."""
    right, bottom = x + wide, y + high
    return [(right - 24, bottom), (right - 24, bottom + 15), (right - 9, bottom + 15), (right - 9, bottom)]


def label(route: Sequence[Point], text: str) -> list[Item]:
    """A word behind the arrow of a line, on a ground that hides the line."""
    tip = route[-1]
    tail = next((point for point in reversed(route[:-1]) if math.dist(point, tip) > 1), route[0])
    far = math.dist(tail, tip) or 1.0
    wide = width(text, 11, bold=True) + 6
    back = _HEAD + 3 + wide / 2
    x, y = tip[0] - (tip[0] - tail[0]) / far * back, tip[1] - (tip[1] - tail[1]) / far * back
    return [
        Rect(x - wide / 2, y - 6.5, wide, 13, Colour.PAPER, None, 4),
        Text(x, y + 4, text, 11, bold=True, anchor="middle"),
    ]
