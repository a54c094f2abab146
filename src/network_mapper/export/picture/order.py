"""The order of each column, chosen so that few lines cross each other and fewest cross a frame.

The borders of frames take part as vertices whose lines are dear to cross. Within one order of the frames from top to
bottom, columns are swept by barycentres and then improved by exchanging neighbours; a few orders of the frames are
tried. Nothing depends on chance: the same picture comes of the same map.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.export.picture.layers import Layers, Stack

_BORDER: Final = 5
"""How many crossings of lines one crossing of a frame's border is worth."""
_SWEEPS: Final = 6
_PASSES: Final = 6
_ALL_LADDERS_UP_TO: Final = 4
_TRIES: Final = 24
_SIZE_OF_A_TRY: Final = 6_000
"""Vertices that may be arranged over all tries: larger pictures get fewer of them."""

Score = tuple[int, float]


def arrange(layers: Layers) -> None:
    """Set `layers.stacks`."""
    tries = max(1, min(_TRIES, _SIZE_OF_A_TRY // max(1, len(layers.vertices) * 4)))
    found = (_Columns(layers, list(ladder)).best() for ladder in itertools.islice(_ladders(layers), tries))
    layers.stacks = min(found, key=lambda scored: scored[0])[1]


def _ladders(layers: Layers) -> Iterator[tuple[int, ...]]:
    if layers.frames <= _ALL_LADDERS_UP_TO:
        yield from itertools.permutations(range(layers.frames))
        return
    yield tuple(range(layers.frames))
    chance = random.Random(0)  # noqa: S311  any fixed sequence will do
    while True:
        yield tuple(chance.sample(range(layers.frames), layers.frames))


class _Columns:
    """The columns for one order of the frames. An entry of a column is a free vertex or, below 0, a frame."""

    def __init__(self, layers: Layers, ladder: list[int]) -> None:
        self._layers = layers
        self._step = {frame: number for number, frame in enumerate(ladder)}
        count = len(layers.vertices)
        borders = sum(2 * (high - low + 1) for low, high in layers.spans)
        self._left: list[list[tuple[int, int]]] = [[] for _ in range(count + borders)]
        self._right: list[list[tuple[int, int]]] = [[] for _ in range(count + borders)]
        for a, b, _ in layers.segments:
            self._join(a, b, 1)
        self._inside: list[dict[int, list[int]]] = [{} for _ in range(layers.count)]
        number = count
        for frame, (low, high) in enumerate(layers.spans):
            for rank in range(low, high + 1):
                members = [v for v in layers.columns[rank] if layers.vertices[v].frame == frame]
                self._inside[rank][frame] = [number, *members, number + 1]
                if rank > low:
                    self._join(number - 2, number, _BORDER)
                    self._join(number - 1, number + 1, _BORDER)
                number += 2
        self._entries = [
            sorted((-1 - frame for frame in self._inside[rank]), key=lambda entry: self._step[-1 - entry])
            + [v for v in layers.columns[rank] if layers.vertices[v].frame < 0]
            for rank in range(layers.count)
        ]
        self._place = [0.0] * number
        for rank in range(layers.count):
            self._settle(rank)

    def _join(self, a: int, b: int, weight: int) -> None:
        self._right[a].append((b, weight))
        self._left[b].append((a, weight))

    def _members(self, rank: int, entry: int) -> list[int]:
        return [entry] if entry >= 0 else self._inside[rank][-1 - entry]

    def _flat(self, rank: int) -> list[int]:
        return [v for entry in self._entries[rank] for v in self._members(rank, entry)]

    def _settle(self, rank: int) -> None:
        """Number the vertices of a column, its middle being 0."""
        flat = self._flat(rank)
        middle = (len(flat) - 1) / 2
        for number, v in enumerate(flat):
            self._place[v] = number - middle

    def best(self) -> tuple[Score, list[list[Stack]]]:
        best = self._score(), self._result()
        for sweep in range(_SWEEPS):
            rightwards = sweep % 2 == 0
            ranks = range(1, self._layers.count) if rightwards else range(self._layers.count - 2, -1, -1)
            for rank in ranks:
                self._by_barycentre(rank, self._left if rightwards else self._right)
            for _ in range(_PASSES):
                if not sum(self._exchange(rank) for rank in range(self._layers.count)):
                    break
            score = self._score()
            if score < best[0]:
                best = score, self._result()
        return best

    def _result(self) -> list[list[Stack]]:
        return [
            [(-1, [entry]) if entry >= 0 else (-1 - entry, self._inside[rank][-1 - entry][1:-1]) for entry in entries]
            for rank, entries in enumerate(self._entries)
        ]

    def _score(self) -> Score:
        """Crossings, then the height that lines have to overcome."""
        crossings, rise = 0, 0.0
        for rank in range(self._layers.count - 1):
            lines = [(self._place[a], self._place[b], weight) for a in self._flat(rank) for b, weight in self._right[a]]
            lines.sort()
            for number, (a, b, weight) in enumerate(lines):
                rise += abs(a - b) * weight
                crossings += sum(weight * w for x, y, w in lines[number + 1 :] if x > a and y < b)
        return crossings, rise

    def _by_barycentre(self, rank: int, neighbours: list[list[tuple[int, int]]]) -> None:
        def mean_of(v: int) -> float:
            near = neighbours[v]
            return sum(self._place[n] for n, _ in near) / len(near) if near else self._place[v]

        value = {v: mean_of(v) for v in self._flat(rank)}
        for members in self._inside[rank].values():
            members[1:-1] = sorted(members[1:-1], key=value.__getitem__)
        frames = [entry for entry in self._entries[rank] if entry < 0]
        means = [_mean([value[v] for v in self._members(rank, entry)]) for entry in frames]
        value |= dict(zip(frames, _rising(means), strict=True))
        self._entries[rank].sort(key=lambda entry: (value[entry], self._step[-1 - entry] if entry < 0 else -1))
        self._settle(rank)

    def _exchange(self, rank: int) -> bool:
        """Exchange neighbours where that saves crossings; frames keep their order."""
        entries = self._entries[rank]
        changed = False
        for upper in range(len(entries) - 1):
            a, b = entries[upper], entries[upper + 1]
            if (a >= 0 or b >= 0) and self._gain(self._members(rank, a), self._members(rank, b)) > 0:
                entries[upper], entries[upper + 1] = b, a
                changed = True
        for members in self._inside[rank].values():
            for upper in range(1, len(members) - 2):
                if self._gain([members[upper]], [members[upper + 1]]) > 0:
                    members[upper], members[upper + 1] = members[upper + 1], members[upper]
                    changed = True
        if changed:
            self._settle(rank)
        return changed

    def _gain(self, above: list[int], below: list[int]) -> int:
        """Crossings saved by exchanging what is above with what is below."""
        gain = 0
        for neighbours in (self._left, self._right):
            upper = [(self._place[n], w) for v in above for n, w in neighbours[v]]
            lower = [(self._place[n], w) for v in below for n, w in neighbours[v]]
            for p, w in upper:
                for q, x in lower:
                    if p > q:
                        gain += w * x
                    elif p < q:
                        gain -= w * x
        return gain


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _rising(values: list[float]) -> list[float]:
    """The nearest values, by squares, that never fall (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = value, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean = (mean * size + other * count) / (size + count)
            size += count
        pools.append((mean, size))
    return [mean for mean, size in pools for _ in range(size)]
