"""Boxes in columns from left to right, so that most arrows point to the right, and groups of boxes in frames.

The method is Sugiyama's: break cycles, give every box a column, let long lines pass through every column between, order
the columns for few crossings, then choose heights. Frames enter it as Sander describes ("Layout of compound directed
graphs", 1996): a frame's upper and lower border are lines of their own that cost much to cross, and the frames keep one
order from top to bottom in all columns. No maintained library for Python lays out frames other than by drawing each
as a box of its own, which makes pictures four times as wide as high.

It is meant for some dozens of boxes: its time grows faster than their number, so callers have a limit.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.export.picture import heights, order
from network_mapper.export.picture.heights import PADDING
from network_mapper.export.picture.layers import Layers, Vertex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.export.picture.scene import Point

_GAP: Final = 58.0
_STEEP: Final = 0.22
"""How much wider a gap between columns gets for each pixel that a line in it rises or falls."""
_WIDEST_GAP: Final = 170.0
PORT: Final = 11.0
"""Between two lines that end at the same side of a box."""


class Box(msgspec.Struct, frozen=True):
    """A box to be placed: its size, and the number of its frame, -1 for none."""

    width: float
    height: float
    frame: int = -1


class Placed(msgspec.Struct):
    """Where everything is; the upper left corner is (0, 0).

    Attributes:
        boxes: x, y, width, height; a box may be higher than asked for, so that its lines have room.
        frames: x, y, width, height.
        routes: For every link a Bézier curve: a start, and three points for each piece.
        width: Of all.
        height: Of all.
    """

    boxes: list[tuple[float, float, float, float]]
    frames: list[tuple[float, float, float, float]]
    routes: list[list[Point]]
    width: float
    height: float


def side_height(ends: int) -> float:
    """How high a box must be for so many lines on one of its sides."""
    return PORT * (ends - 1) + 12 if ends else 0


def place(boxes: Sequence[Box], frames: Sequence[float], links: Sequence[tuple[int, int]]) -> Placed:
    """Lay out.

    Args:
        boxes: In the order that is kept where nothing speaks against it.
        frames: For each the smallest width, which its name needs.
        links: Pairs of different boxes, from where to where.
    """
    if not boxes:
        return Placed([], [], [], 0, 0)
    layers = _layers(boxes, frames, links)
    order.arrange(layers)
    heights.choose(layers)
    return _draw(layers, boxes, frames, links)


def _layers(boxes: Sequence[Box], frames: Sequence[float], links: Sequence[tuple[int, int]]) -> Layers:
    ranks = _ranks(boxes, links)
    right, left = [0] * len(boxes), [0] * len(boxes)
    for a, b in links:
        first, last = (a, b) if ranks[a] < ranks[b] else (b, a)
        right[first] += 1
        left[last] += 1
    made = [
        Vertex(ranks[n], max(box.height, side_height(right[n]), side_height(left[n])), box.frame, real=True)
        for n, box in enumerate(boxes)
    ]
    layers = Layers(made, len(frames), 1 + max(ranks))
    for a, b in links:
        first, last = (a, b) if ranks[a] < ranks[b] else (b, a)
        frame = boxes[a].frame if boxes[a].frame == boxes[b].frame else -1
        layers.chain(first, last, frame)
    return layers


def _ranks(boxes: Sequence[Box], links: Sequence[tuple[int, int]]) -> list[int]:
    """A column for every box."""
    place_of = {n: position for position, n in enumerate(_without_cycles(len(boxes), links))}
    forward = {(a, b) if place_of[a] < place_of[b] else (b, a) for a, b in links}
    before: list[list[int]] = [[] for _ in boxes]
    after: list[list[int]] = [[] for _ in boxes]
    for a, b in sorted(forward):
        before[b].append(a)
        after[a].append(b)
    ranks = [0] * len(boxes)
    for n in sorted(place_of, key=place_of.__getitem__):
        ranks[n] = max((ranks[a] + 1 for a in before[n]), default=0)
    leaves = [[b for b in after[a] if before[b] == [a] and not after[b]] for a in range(len(boxes))]
    for _ in range(len(boxes)):
        moved = False
        for n in sorted(place_of, key=place_of.__getitem__, reverse=True):
            best = _best_rank(n, ranks, before[n], [b for b in after[n] if b not in leaves[n]], boxes)
            moved |= best != ranks[n]
            ranks[n] = best
            for leaf in leaves[n]:
                ranks[leaf] = best + 1
        if not moved:
            break
    used = {rank: number for number, rank in enumerate(sorted(set(ranks)))}
    return [used[rank] for rank in ranks]


def _best_rank(n: int, ranks: list[int], before: list[int], after: list[int], boxes: Sequence[Box]) -> int:
    """The column in which a box's lines are shortest; those inside its frame count double."""
    low = max((ranks[a] + 1 for a in before), default=0)
    high = min((ranks[b] - 1 for b in after), default=max(low, ranks[n]))
    if low >= high:
        return low

    def length(rank: int) -> tuple[int, int]:
        lines = sum(
            abs(rank - ranks[m]) * (2 if boxes[m].frame == boxes[n].frame >= 0 else 1)
            for m in itertools.chain(before, after)
        )
        return lines, rank

    return min(range(low, high + 1), key=length)


def _without_cycles(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """An order in which few lines run backwards (Eades, Lin and Smyth, 1993)."""
    targets: list[set[int]] = [set() for _ in range(count)]
    sources: list[set[int]] = [set() for _ in range(count)]
    for a, b in links:
        targets[a].add(b)
        sources[b].add(a)
    left, right, rest = [], [], set(range(count))
    while rest:
        sinks = [n for n in sorted(rest) if not targets[n]]
        if sinks:
            chosen = sinks[0]
            right.append(chosen)
        else:
            chosen = max(sorted(rest), key=lambda n: (not sources[n], len(targets[n]) - len(sources[n])))
            left.append(chosen)
        rest.discard(chosen)
        for n in targets[chosen]:
            sources[n].discard(chosen)
        for n in sources[chosen]:
            targets[n].discard(chosen)
    return left + right[::-1]


def _draw(layers: Layers, boxes: Sequence[Box], frames: Sequence[float], links: Sequence[tuple[int, int]]) -> Placed:
    lefts, rights = _columns(layers, boxes, frames)
    ys = [vertex.y for vertex in layers.vertices]
    corners = []
    for n, box in enumerate(boxes):
        rank = layers.vertices[n].rank
        middle = (lefts[rank] + rights[rank]) / 2
        corners.append((middle - box.width / 2, ys[n] - layers.vertices[n].height / 2))
    ports = _ports(layers)
    routes = []
    for number, (a, _) in enumerate(links):
        chain = layers.chains[number]
        points = [(corners[chain[0]][0] + boxes[chain[0]].width, ys[chain[0]] + ports[number, 0])]
        points.append((rights[layers.vertices[chain[0]].rank], points[0][1]))
        for n in chain[1:-1]:
            rank = layers.vertices[n].rank
            points += [(lefts[rank], ys[n]), (rights[rank], ys[n])]
        end = (corners[chain[-1]][0], ys[chain[-1]] + ports[number, 1])
        points += [(lefts[layers.vertices[chain[-1]].rank], end[1]), end]
        curve = _curve(points)
        routes.append(curve if chain[0] == a else curve[::-1])
    rectangles = []
    for frame in range(len(frames)):
        inside = [n for n, box in enumerate(boxes) if box.frame == frame]
        x = min(corners[n][0] for n in inside) - PADDING
        right = max(corners[n][0] + boxes[n].width for n in inside) + PADDING
        wide = max(right - x, frames[frame])
        # A name that is wider than what is in the frame takes room of the frame's own columns and of no other.
        low, high = layers.spans[frame]
        x = min(max(lefts[low] - PADDING, x - (wide - (right - x)) / 2), rights[high] + PADDING - wide)
        top, bottom = layers.borders[frame]
        rectangles.append((x, top, wide, bottom - top))
    return _at_origin(
        corners, [(box.width, layers.vertices[n].height) for n, box in enumerate(boxes)], rectangles, routes
    )


def _columns(layers: Layers, boxes: Sequence[Box], frames: Sequence[float]) -> tuple[list[float], list[float]]:
    """Left and right sides of the columns."""
    widths = [0.0] * layers.count
    steepest = [0.0] * layers.count
    for n, box in enumerate(boxes):
        rank = layers.vertices[n].rank
        widths[rank] = max(widths[rank], box.width)
    for frame, least in enumerate(frames):
        low, high = layers.spans[frame]
        missing = least - 2 * PADDING - sum(widths[low : high + 1]) - _GAP * (high - low)
        if missing > 0:
            widths[low] += missing
    for a, b, _ in layers.segments:
        rank = layers.vertices[a].rank
        steepest[rank] = max(steepest[rank], abs(layers.vertices[a].y - layers.vertices[b].y))
    lefts, rights, x = [], [], 0.0
    for wide, steep in zip(widths, steepest, strict=True):
        lefts.append(x)
        rights.append(x + wide)
        x += wide + min(_WIDEST_GAP, _GAP + _STEEP * steep)
    return lefts, rights


def _ports(layers: Layers) -> dict[tuple[int, int], float]:
    """Where each line meets its box, as the distance from the box's middle: key is its number and its end, 0 or 1."""
    sides: dict[tuple[int, int], list[tuple[float, float, int]]] = {}
    for number, chain in enumerate(layers.chains):
        for end, (box, neighbour) in enumerate(((chain[0], chain[1]), (chain[-1], chain[-2]))):
            far = layers.vertices[chain[-1 if end == 0 else 0]].y
            sides.setdefault((box, end), []).append((layers.vertices[neighbour].y, far, number))
    found = {}
    for (box, end), lines in sides.items():
        room = layers.vertices[box].height - 12
        step = min(PORT * 1.3, room / max(1, len(lines) - 1))
        for place_in_order, (_, _, number) in enumerate(sorted(lines)):
            found[number, end] = (place_in_order - (len(lines) - 1) / 2) * step
    return found


def _curve(points: Sequence[Point]) -> list[Point]:
    """A smooth curve through points, level wherever it changes its height."""
    curve = [points[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if (x0, y0) == (x1, y1):
            continue
        bend = (x1 - x0) * (0.5 if y0 != y1 else 1 / 3)
        curve += [(x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
    return curve


def _at_origin(
    corners: list[Point],
    sizes: list[tuple[float, float]],
    frames: list[tuple[float, float, float, float]],
    routes: list[list[Point]],
) -> Placed:
    rectangles = [(x, y, wide, high) for (x, y), (wide, high) in zip(corners, sizes, strict=True)] + frames
    points = [point for route in routes for point in route]
    left = min([x for x, *_ in rectangles] + [x for x, _ in points])
    top = min([y for _, y, *_ in rectangles] + [y for _, y in points])
    right = max([x + wide for x, _, wide, _ in rectangles] + [x for x, _ in points])
    bottom = max([y + high for _, y, _, high in rectangles] + [y for _, y in points])
    return Placed(
        [(x - left, y - top, wide, high) for (x, y), (wide, high) in zip(corners, sizes, strict=True)],
        [(x - left, y - top, wide, high) for x, y, wide, high in frames],
        [[(x - left, y - top) for x, y in route] for route in routes],
        right - left,
        bottom - top,
    )
