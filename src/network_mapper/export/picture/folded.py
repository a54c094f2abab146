"""A map folded to namespaces: tiles that name every workload, the lines between them with counts, and hubs.

What lives outside of namespaces has tiles of its own. A hub is a workload that more than half of the namespaces call;
lines to it would cover everything else, so it is told of in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.export.picture.graph import Shape

if TYPE_CHECKING:
    from network_mapper.export.pairs import Outcome
    from network_mapper.export.picture.graph import End, Graph, Line

HUB_FROM_NAMESPACES: Final = 8
"""More callers than these, and more than half of all: then it is a hub."""
_OUTSIDE: Final = {
    Shape.EXTERNAL: "outside the cluster",
    Shape.NODE: "nodes",
    Shape.AMBIGUOUS: "ambiguous",
}


class Tile(msgspec.Struct):
    """A namespace, or another place.

    Attributes:
        name: Shown above.
        real: Whether it is a namespace.
        ends: What is in it, by name.
        inside: Pairs of two of them.
        calls: How many tiles it calls.
        callers: How many tiles call it.
    """

    name: str
    real: bool
    ends: list[int]
    inside: list[Line]
    calls: int = 0
    callers: int = 0


class Bundle(msgspec.Struct):
    """All pairs from one tile to another."""

    client: int
    server: int
    lines: list[Line]

    @property
    def outcome(self) -> Outcome:
        """The strongest evidence among the pairs."""
        return max(line.outcome for line in self.lines)


class Hub(msgspec.Struct):
    """An end that most namespaces call, with all pairs from other tiles than its own."""

    end: int
    lines: list[Line]
    namespaces: int


class Folded(msgspec.Struct):
    """The folded map. Every line of the graph is in one tile, bundle or hub."""

    tiles: list[Tile]
    bundles: list[Bundle]
    hubs: list[Hub]

    @property
    def namespaces(self) -> int:
        """How many tiles are namespaces."""
        return sum(tile.real for tile in self.tiles)


def fold(graph: Graph) -> Folded:
    """Fold a graph."""
    tile_of: list[int] = []
    tiles: list[Tile] = []
    numbers: dict[tuple[bool, str], int] = {}
    for number, end in enumerate(graph.ends):
        key = _place(end)
        if key not in numbers:
            numbers[key] = len(tiles)
            tiles.append(Tile(key[1], key[0], [], []))
        tile_of.append(numbers[key])
        tiles[tile_of[-1]].ends.append(number)
    hubs = _hubs(graph, tiles, tile_of)
    bundles: dict[tuple[int, int], Bundle] = {}
    for line in graph.lines:
        client, server = tile_of[line.client], tile_of[line.server]
        if client == server:
            tiles[client].inside.append(line)
        elif line.server in hubs:
            hubs[line.server].lines.append(line)
        else:
            bundles.setdefault((client, server), Bundle(client, server, [])).lines.append(line)
    for client, server in {(tile_of[line.client], tile_of[line.server]) for line in graph.lines}:
        if client != server:
            tiles[client].calls += 1
            tiles[server].callers += 1
    return Folded(tiles, [bundles[key] for key in sorted(bundles)], list(hubs.values()))


def _place(end: End) -> tuple[bool, str]:
    if end.namespace:
        return True, end.namespace
    return False, _OUTSIDE.get(end.shape, "no namespace")


def _hubs(graph: Graph, tiles: list[Tile], tile_of: list[int]) -> dict[int, Hub]:
    callers: dict[int, set[int]] = {}
    for line in graph.lines:
        client, server = tile_of[line.client], tile_of[line.server]
        if client != server and tiles[client].real:
            callers.setdefault(line.server, set()).add(client)
    least = max(HUB_FROM_NAMESPACES, sum(tile.real for tile in tiles) // 2)
    found = {end: len(of) for end, of in callers.items() if len(of) > least}
    return {end: Hub(end, [], found[end]) for end in sorted(found, key=lambda end: (-found[end], end))}
