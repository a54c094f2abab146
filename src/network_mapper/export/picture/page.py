"""What is around a picture: its title above, the legend and the remarks below."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.export.pairs import Outcome
from network_mapper.export.picture import shapes
from network_mapper.export.picture.graph import Shape
from network_mapper.export.picture.scene import Colour, Group, Item, Path, Scene, Text
from network_mapper.export.picture.text import width, wrap

if TYPE_CHECKING:
    from collections.abc import Collection

    from network_mapper.export.picture.graph import Graph

MARGIN: Final = 24.0
_LEAST_WIDTH: Final = 480.0
_LEADING: Final = 16.0


Sample = tuple[list[Item], float, str]
"""An entry of a legend: shapes on the base line at (0, 0), their width, and what they mean."""


class Heading(msgspec.Struct, frozen=True):
    """The title of a picture, and a line below it."""

    title: str
    subtitle: str


class Body(msgspec.Struct):
    """The picture itself, its upper left corner at (0, 0), and sentences to be written below it."""

    width: float
    height: float
    items: list[Item]
    remarks: list[str]
    legend: list[Sample]


def counted(number: int, one: str, many: str = "") -> str:
    """`1 workload`, `300 workloads`, `1,278 pairs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moved(items: list[Item], dx: float, dy: float) -> list[Item]:
    """The same shapes at another place."""
    return [_moved(item, dx, dy) for item in items]


def _moved(item: Item, dx: float, dy: float) -> Item:
    if isinstance(item, Group):
        return msgspec.structs.replace(item, items=tuple(moved(list(item.items), dx, dy)))
    if isinstance(item, Path):
        return msgspec.structs.replace(item, points=tuple((x + dx, y + dy) for x, y in item.points))
    return msgspec.structs.replace(item, x=item.x + dx, y=item.y + dy)


def shape_legend(graph: Graph) -> list[Sample]:
    """The forms of the ends in a graph."""
    kinds = {end.shape for end in graph.ends}
    return [
        ([shapes.outline(shape, 0, -9, 24, 12)], 24, meaning)
        for shape, meaning in (
            (Shape.WORKLOAD, "workload"),
            (Shape.SERVICE, "service; what answers is not known"),
            (Shape.EXTERNAL, "outside the cluster"),
            (Shape.NODE, "node"),
            (Shape.AMBIGUOUS, "? one of these, not known which"),
        )
        if shape in kinds
    ]


def line_legend(outcomes: Collection[Outcome], *, loops: bool = False) -> list[Sample]:
    """The styles of lines, and that some are loops."""
    way = [(0.0, -4.0), (14.0, -4.0), (28.0, -4.0), (42.0, -4.0)]
    samples: list[Sample] = [
        (shapes.line(way, outcome), 42, meaning)
        for outcome, meaning in (
            (Outcome.ANSWERED, "connections, sockets or requests seen"),
            (Outcome.UNKNOWN, "talks to"),
            (Outcome.UNANSWERED, "attempts only, never answered"),
            (Outcome.LOOKUP_ONLY, "DNS lookup only"),
        )
        if outcome in outcomes
    ]
    if loops:
        samples.append((shapes.line(shapes.loop(0, -24, 28, 12), Outcome.ANSWERED), 24, "calls itself"))
    return samples


def compose(heading: Heading, body: Body, description: str) -> Scene:
    """The whole picture."""
    wide = max(body.width, _LEAST_WIDTH)
    items: list[Item] = []
    y = MARGIN + 16
    for line in wrap(heading.title.split(" "), 18, wide):
        items.append(Text(MARGIN, y, line, 18, bold=True))
        y += 24
    for line in wrap(heading.subtitle.split("; "), 12, wide, between="; "):
        items.append(Text(MARGIN, y - 4, line, 12, colour=Colour.MUTED))
        y += _LEADING
    y += 8
    items += moved(body.items, MARGIN + max(0.0, (wide - body.width) / 2), y)
    y += body.height + 28
    x = MARGIN
    for sample, sample_width, meaning in body.legend:
        length = sample_width + 8 + width(meaning, 11)
        if x > MARGIN and x + length > MARGIN + wide:
            x, y = MARGIN, y + 20
        entry = [*moved(sample, x, y), Text(x + sample_width + 8, y, meaning, 11, colour=Colour.MUTED)]
        items.append(Group(tuple(entry), kind="legend"))
        x += length + 22
    if body.legend:
        y += 22
    for remark in body.remarks:
        for line in wrap(remark.split(" "), 11, wide):
            items.append(Text(MARGIN, y, line, 11, colour=Colour.MUTED))
            y += _LEADING
    return Scene(math.ceil(wide + 2 * MARGIN), math.ceil(y + MARGIN - 12), heading.title, description, items)
