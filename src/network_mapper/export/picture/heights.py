"""How high each box, bend and border stands: near to what its lines lead to, and never nearer to others than it may.

This is a system of springs along the lines and of least distances within the columns. It is relaxed step by step, as
games do with bodies that must not overlap, and at last every distance is made right exactly.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from network_mapper.export.picture.layers import Layers, Stack

HEADER: Final = 28.0
"""Above the uppermost box of a frame: its name."""
PADDING: Final = 14.0
"""Between a frame's border and its boxes."""
_BETWEEN_BOXES: Final = 18.0
_BETWEEN_BENDS: Final = 11.0
_BEND_AND_BOX: Final = 15.0
_AROUND_FRAME: Final = 16.0
_ROUNDS: Final = 220

Distance = tuple[int, int, float]
"""Upper body, lower body, least distance between their middles."""


def choose(layers: Layers) -> None:
    """Set `y` of all vertices, and `layers.borders`."""
    distances = _distances(layers)
    springs = _springs(layers)
    size = len(layers.vertices) + 2 * layers.frames
    order = _from_above(size, distances)
    y = _packed(order, distances, [0.0] * size)
    for number in range(_ROUNDS):
        _pull(y, springs, 0.7 if number < _ROUNDS * 0.7 else 0.4)
        for _ in range(3):
            _push(y, distances)
    y = _polished(layers, _packed(order, distances, y), distances, springs)
    y = _closed_up(_parts(layers), distances, y)
    for number, vertex in enumerate(layers.vertices):
        vertex.y = y[number]
    upper = len(layers.vertices)
    layers.borders = [(y[upper + 2 * frame], y[upper + 2 * frame + 1]) for frame in range(layers.frames)]


def _springs(layers: Layers) -> list[list[tuple[int, float]]]:
    """For each body what it is drawn to, and how strongly: long lines shall be straight, frames small."""
    count = len(layers.vertices)
    springs: list[list[tuple[int, float]]] = [[] for _ in range(count + 2 * layers.frames)]
    for a, b, _ in layers.segments:
        real = layers.vertices[a].real + layers.vertices[b].real
        strength = (6.0, 2.0, 1.0)[real]
        springs[a].append((b, strength))
        springs[b].append((a, strength))
    for frame in range(layers.frames):
        top, bottom = count + 2 * frame, count + 2 * frame + 1
        springs[top].append((bottom, 1.0))
        springs[bottom].append((top, 1.0))
    return springs


def _distances(layers: Layers) -> list[Distance]:
    count = len(layers.vertices)
    found: dict[tuple[int, int], float] = {}

    def keep(upper: int, lower: int, least: float) -> None:
        found[upper, lower] = max(found.get((upper, lower), 0), least)

    for stacks in layers.stacks:
        bodies = [body for stack in stacks for body in _bodies(layers, stack)]
        for (a, _, below, a_is_border), (b, above, _, b_is_border) in itertools.pairwise(bodies):
            keep(a, b, below + above + _between(layers, a, b, a_is_border, b_is_border))
    for frame in range(layers.frames):
        keep(count + 2 * frame, count + 2 * frame + 1, HEADER + PADDING)
    return [(a, b, least) for (a, b), least in found.items()]


def _bodies(layers: Layers, stack: Stack) -> list[tuple[int, float, float, bool]]:
    """For each body its number, the room above and below its middle, and whether it is a border."""
    frame, members = stack
    halves = [layers.vertices[v].height / 2 for v in members]
    inner = [(v, half, half, False) for v, half in zip(members, halves, strict=True)]
    if frame < 0:
        return inner
    upper = len(layers.vertices) + 2 * frame
    return [(upper, 0.0, HEADER, True), *inner, (upper + 1, PADDING, 0.0, True)]


def _between(layers: Layers, a: int, b: int, a_is_border: bool, b_is_border: bool) -> float:
    if a_is_border or b_is_border:
        inside = (a_is_border and (a - len(layers.vertices)) % 2 == 0) or (
            b_is_border and (b - len(layers.vertices)) % 2 == 1
        )
        return 0.0 if inside else _AROUND_FRAME
    real = layers.vertices[a].real + layers.vertices[b].real
    return (_BETWEEN_BENDS, _BEND_AND_BOX, _BETWEEN_BOXES)[real]


def _from_above(size: int, distances: list[Distance]) -> list[int]:
    """The bodies, each behind those above it."""
    above = [0] * size
    below: list[list[int]] = [[] for _ in range(size)]
    for a, b, _ in distances:
        above[b] += 1
        below[a].append(b)
    ready = [n for n in range(size) if not above[n]]
    for n in ready:
        for b in below[n]:
            above[b] -= 1
            if not above[b]:
                ready.append(b)  # the list grows while it is read: this is its queue
    assert len(ready) == size, "frames have one order in all columns"
    return ready


def _packed(order: list[int], distances: list[Distance], y: list[float]) -> list[float]:
    """Push down what is too near to what is above it."""
    above: list[list[tuple[int, float]]] = [[] for _ in y]
    for a, b, least in distances:
        above[b].append((a, least))
    y = list(y)
    for n in order:
        y[n] = max([y[n]] + [y[a] + least for a, least in above[n]]) if above[n] else y[n]
    return y


def _pull(y: list[float], springs: list[list[tuple[int, float]]], share: float) -> None:
    old = list(y)
    for n, pulls in enumerate(springs):
        if pulls:
            total = sum(strength for _, strength in pulls)
            y[n] += share * (sum(old[m] * strength for m, strength in pulls) / total - y[n])


def _push(y: list[float], distances: list[Distance]) -> None:
    for a, b, least in distances:
        missing = least - (y[b] - y[a])
        if missing > 0:
            y[a] -= missing / 2
            y[b] += missing / 2


def _polished(
    layers: Layers, y: list[float], distances: list[Distance], springs: list[list[tuple[int, float]]]
) -> list[float]:
    """Move each body, within the room that it has, to where it is drawn to; each frame also as a whole."""
    above: list[list[tuple[int, float]]] = [[] for _ in y]
    below: list[list[tuple[int, float]]] = [[] for _ in y]
    for a, b, least in distances:
        above[b].append((a, least))
        below[a].append((b, least))
    count = len(layers.vertices)
    wholes = [[n] for n in range(len(y))] + [
        [v for v in range(count) if layers.vertices[v].frame == frame] + [count + 2 * frame, count + 2 * frame + 1]
        for frame in range(layers.frames)
    ]
    sets = [frozenset(whole) for whole in wholes]
    for _ in range(24):
        for whole, members in zip(wholes, sets, strict=True):
            pulls = [(y[m] - y[n], s) for n in whole for m, s in springs[n] if m not in members]
            if not pulls:
                continue
            wanted = sum(distance * s for distance, s in pulls) / sum(s for _, s in pulls)
            up = [y[a] + least - y[n] for n in whole for a, least in above[n] if a not in members]
            down = [y[b] - least - y[n] for n in whole for b, least in below[n] if b not in members]
            move = max([*up, min([*down, wanted])])
            for n in whole:
                y[n] += move
    return y


def _parts(layers: Layers) -> list[int]:
    """For each body the number of its part: what is joined by lines or frames moves as one."""
    count = len(layers.vertices)
    parent = list(range(count + 2 * layers.frames))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    joined = [(a, b) for a, b, _ in layers.segments]
    joined += [
        (v, count + 2 * vertex.frame + side)
        for v, vertex in enumerate(layers.vertices)
        if vertex.frame >= 0
        for side in (0, 1)
    ]
    for a, b in joined:
        parent[root(a)] = root(b)
    return [root(n) for n in range(len(parent))]


def _closed_up(part: list[int], distances: list[Distance], y: list[float]) -> list[float]:
    """Move parts up to what is above them: no line holds them away from each other."""
    y = list(y)
    for _ in range(len(set(part))):
        room: dict[int, float] = {}
        for a, b, least in distances:
            if part[a] != part[b]:
                room[part[b]] = min(room.get(part[b], math.inf), y[b] - y[a] - least)
        chosen = max(room, key=lambda n: room[n], default=None)
        if chosen is None or room[chosen] < 1:
            break
        y = [value - room[chosen] if part[n] == chosen else value for n, value in enumerate(y)]
    return y
