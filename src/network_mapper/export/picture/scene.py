"""A picture as shapes at fixed places: what every writer of a file format draws.

The unit is the pixel of a screen at 100 %. Colours are named by what they are for; a theme says which they are.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from network_mapper.export.picture.text import width

Point = tuple[float, float]

SMALLEST: Final = 11.0
"""No text is smaller."""


class Colour(enum.StrEnum):
    """What a colour is for."""

    PAPER = "paper"
    INK = "ink"
    MUTED = "muted"
    LINE = "line"
    ATTEMPT = "attempt"
    LOOKUP = "lookup"
    BOX = "box"
    EDGE = "edge"
    FRAME = "frame"
    FRAME_EDGE = "frame-edge"
    OUTSIDE = "outside"
    HEAT_1 = "heat-1"
    HEAT_2 = "heat-2"
    HEAT_3 = "heat-3"
    HEAT_4 = "heat-4"


Theme = dict[Colour, str]
C = Colour
THEMES: Final[dict[str, Theme]] = {
    "light": {
        C.PAPER: "#ffffff",
        C.INK: "#17212b",
        C.MUTED: "#54626f",
        C.LINE: "#46596b",
        C.ATTEMPT: "#b3341c",
        C.LOOKUP: "#6a48b8",
        C.BOX: "#ffffff",
        C.EDGE: "#2f6f9f",
        C.FRAME: "#f2f6f9",
        C.FRAME_EDGE: "#b9c6d1",
        C.OUTSIDE: "#7a6a3a",
        C.HEAT_1: "#e3eef7",
        C.HEAT_2: "#c2dcee",
        C.HEAT_3: "#94c3e2",
        C.HEAT_4: "#62a6d3",
    },
    "dark": {
        C.PAPER: "#12181f",
        C.INK: "#e8eef3",
        C.MUTED: "#a3b1be",
        C.LINE: "#9fb2c3",
        C.ATTEMPT: "#ff8f73",
        C.LOOKUP: "#b79cff",
        C.BOX: "#1e2832",
        C.EDGE: "#6fb1e0",
        C.FRAME: "#19222b",
        C.FRAME_EDGE: "#3d4c5a",
        C.OUTSIDE: "#d3bf7e",
        C.HEAT_1: "#1c3345",
        C.HEAT_2: "#1f4560",
        C.HEAT_3: "#23587c",
        C.HEAT_4: "#2a6c98",
    },
}
del C

SOLID: Final = ()
DASHES: Final = (9.0, 5.0)
DOTS: Final = (0.1, 5.0)
BORDER: Final = (4.0, 3.0)


class Rect(msgspec.Struct, frozen=True):
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    fill: Colour | None = None
    stroke: Colour | None = None
    radius: float = 0
    thick: float = 1.2
    dash: tuple[float, ...] = SOLID


class Path(msgspec.Struct, frozen=True):
    """A line through points, straight or as cubic Bézier curves.

    Attributes:
        points: Corners; for a curve a start and then three for each piece: two controls and an end.
        curved: Whether they are those of curves.
        closed: Whether the end is joined to the start.
    """

    points: tuple[Point, ...]
    curved: bool = False
    closed: bool = False
    stroke: Colour | None = None
    fill: Colour | None = None
    thick: float = 1.4
    dash: tuple[float, ...] = SOLID


class Text(msgspec.Struct, frozen=True):
    """One line of text. `y` is its base line; `anchor` says which end of it `x` is; `turned` makes it run upwards."""

    x: float
    y: float
    text: str
    size: float = 12
    bold: bool = False
    colour: Colour = Colour.INK
    anchor: str = "start"
    turned: bool = False

    @property
    def width(self) -> float:
        """How long it is."""
        return width(self.text, self.size, bold=self.bold)


class Group(msgspec.Struct, frozen=True):
    """Shapes that belong together.

    Attributes:
        items: In the order of drawing.
        title: What a reader is told of them, and what a pointer over them shows.
        kind: What they stand for, a word such as `line`.
        data: More for programs that read the picture.
    """

    items: tuple[Item, ...]
    title: str = ""
    kind: str = ""
    data: tuple[tuple[str, str], ...] = ()


Item = Rect | Path | Text | Group


class Scene(msgspec.Struct):
    """A whole picture; what is drawn first is covered by what follows."""

    width: float
    height: float
    title: str
    description: str
    items: list[Item]


def texts(items: list[Item] | tuple[Item, ...]) -> list[Text]:
    """Every text among these shapes."""
    found: list[Text] = []
    for item in items:
        if isinstance(item, Text):
            found.append(item)
        elif isinstance(item, Group):
            found += texts(item.items)
    return found
