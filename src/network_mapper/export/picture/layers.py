"""The columns of a layered picture while it is being laid out: boxes, the bends of long lines, and frames' borders."""

from __future__ import annotations

import itertools

import msgspec

Stack = tuple[int, list[int]]
"""Vertices of a column that stand together: the number of their frame and they from top to bottom; or -1 and one."""


class Vertex(msgspec.Struct):
    """Something that takes a place in a column: a box, or the bend of a line that passes through.

    Attributes:
        rank: Its column.
        height: Of the box; 0 for a bend.
        frame: Number of the frame that it is in, -1 for none.
        real: Whether it is a box.
        y: Its middle.
    """

    rank: int
    height: float
    frame: int = -1
    real: bool = False
    y: float = 0.0


class Layers:
    """Boxes, lines as chains of vertices from column to column, and frames.

    Args:
        boxes: The vertices that are boxes.
        frames: How many frames there are; each has a box.
        count: How many columns there are.

    Attributes:
        vertices: The boxes, then the bends.
        chains: For every line its vertices from left to right.
        segments: Pieces of lines from a column to the next: left vertex, right vertex, number of the line.
        spans: For every frame its first and its last column.
        columns: For every column its vertices, as they came.
        stacks: For every column what is in it from top to bottom; a frame is in every column that it spans, also in
            those where it has no vertex, and all frames have the same order in all columns.
        borders: For every frame its upper and lower border.
    """

    def __init__(self, boxes: list[Vertex], frames: int, count: int) -> None:
        self.count = count
        self.frames = frames
        self.vertices = boxes
        self.chains: list[list[int]] = []
        self.segments: list[tuple[int, int, int]] = []
        self.spans = [
            (min(box.rank for box in boxes if box.frame == frame), max(box.rank for box in boxes if box.frame == frame))
            for frame in range(frames)
        ]
        self.columns: list[list[int]] = [[] for _ in range(count)]
        self.stacks: list[list[Stack]] = []
        self.borders: list[tuple[float, float]] = [(0.0, 0.0)] * frames
        for number, box in enumerate(boxes):
            self.columns[box.rank].append(number)

    def chain(self, first: int, last: int, frame: int) -> None:
        """Add a line between boxes of different columns; its bends are in `frame`."""
        chain = [first]
        for rank in range(self.vertices[first].rank + 1, self.vertices[last].rank):
            self.columns[rank].append(len(self.vertices))
            chain.append(len(self.vertices))
            self.vertices.append(Vertex(rank, 0, frame))
        chain.append(last)
        number = len(self.chains)
        self.chains.append(chain)
        self.segments += [(a, b, number) for a, b in itertools.pairwise(chain)]
