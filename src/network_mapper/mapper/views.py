"""The index as the sightings of one node are looked up in it.

The API's times of a pod are on its own node's clock: that node's kubelet wrote them. What a node saw has been turned to
the mapper's clock by then. So an owner is right who had the address at that moment as the clock of its own node showed
it. Where all clocks agree that is what the index says, and a view is the index.

A clock's difference is known to a fraction of a second. That does not matter for a pod of the node that reports, whose
times are on the same clock; for others two moments are asked about, and where they have different owners either may be
meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from network_mapper.cluster.index import FOREVER, Claim, Contested, Entry, PodEntry
from network_mapper.mapper.clocks import UNSURE

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.cluster.index import Index
    from network_mapper.mapper.clocks import Clocks

Answer = Claim | Contested | None


class View(NamedTuple):
    """What resolving asks.

    Attributes:
        cluster: For all that does not depend on a node's clock.
        at: As `Index.at`, with instants and spans on the mapper's clock.
        dialled: As `Index.dialled`, likewise.
        missing: Addresses of the cluster's own that nobody is told to have had, and when, as resolving meets them;
            whoever asks empties it.
    """

    cluster: Index
    at: Callable[[str, int], Answer]
    dialled: Callable[[str, int, str, int], Answer]
    missing: list[tuple[str, int]]


def plain(index: Index) -> View:
    """The view where all clocks agree."""
    return View(index, index.at, index.dialled, [])


def corrected(index: Index, clocks: Clocks, node: str) -> View:
    """The view from a node where clocks differ."""

    def at(address: str, instant: int) -> Answer:
        return _find(clocks, node, instant, lambda moment: index.at(address, moment))

    def dialled(address: str, port: int, protocol: str, instant: int) -> Answer:
        return _find(clocks, node, instant, lambda moment: index.dialled(address, port, protocol, moment))

    return View(index, at, dialled, [])


def _find(clocks: Clocks, node: str, instant: int, look: Callable[[int], Answer]) -> Answer:
    """Ask about the moment on every clock, and believe of each answer the owners whose clock it is."""
    found: dict[int, tuple[Entry, int, int]] = {}
    for offset in clocks.offsets():
        moment = instant + offset
        for unsure in sorted({0, *_doubts(clocks, node, offset)}):
            for shift in {-unsure, unsure}:
                for owner, start, end in _owners(look(min(moment + shift, FOREVER - 1))):
                    theirs = owner.node if isinstance(owner, PodEntry) else ""
                    if clocks.ahead(theirs) == offset and _doubt(clocks, node, theirs) == unsure:
                        found[id(owner)] = owner, start - offset + unsure, _less(end, offset + unsure)
    if len(found) > 1:
        return Contested(tuple(owner for owner, _, _ in found.values()))
    return next((Claim(*only) for only in found.values()), None)


def _doubts(clocks: Clocks, node: str, offset: int) -> tuple[int, ...]:
    """By how much a moment may be wrong on the clocks that differ so."""
    own = clocks.unsure(node)
    return (own + UNSURE,) if offset else (own,)


def _doubt(clocks: Clocks, node: str, theirs: str) -> int:
    return 0 if theirs == node else clocks.unsure(node) + clocks.unsure(theirs)


def _owners(answer: Answer) -> list[tuple[Entry, int, int]]:
    match answer:
        case Claim(owner, start, end):
            return [(owner, start, end)]
        case Contested(owners):
            return [(owner, FOREVER, FOREVER) for owner in owners]
    return []


def _less(end: int, shift: int) -> int:
    return end if end >= FOREVER else end - shift
