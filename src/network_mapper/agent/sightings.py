"""Pods that the mapper is to be told of, until it has answered for them.

Sightings of one pod with the same addresses become one, so that what waits while no mapper answers is bounded by the
pods of the node and not by time. Beyond a bound the oldest go, counted.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from network_mapper.agent.account import Account
from network_mapper.model import Drop, Hop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.model import PodRef, PodSighting

MOST_IN_A_REPORT = 4000


class Sightings:
    """A queue in which each pod with its addresses stands once, and a report's worth of them that is on its way.

    Args:
        most: Sightings that may wait.

    Attributes:
        account: Pods that came, were answered for, wait or are on their way, or were dropped.
    """

    def __init__(self, most: int = 16_384) -> None:
        self.account = Account(Hop.TRANSPORT, "pods")
        self._most = most
        self._waiting: dict[tuple[PodRef, tuple[str, ...]], PodSighting] = {}
        self._told: list[PodSighting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, news: Iterable[PodSighting]) -> None:
        """Put sightings in; one that is there already is extended."""
        for sighting in news:
            key = sighting.pod, sighting.addresses
            known = self._waiting.get(key)
            if known is not None:
                first, last = min(known.first, sighting.first), max(known.last, sighting.last)
                self._waiting[key] = msgspec.structs.replace(sighting, first=first, last=last)
                continue
            if len(self._waiting) >= self._most:
                del self._waiting[next(iter(self._waiting))]
                self.account.drop(Drop.PODS_FULL, 1)
            self._waiting[key] = sighting
            self.account.take(1)

    def take(self) -> list[PodSighting]:
        """The oldest ones, for a report; they are on their way until one of the following is called."""
        keys = list(islice(self._waiting, MOST_IN_A_REPORT))
        self._told = [self._waiting.pop(key) for key in keys]
        return self._told

    @property
    def on_their_way(self) -> int:
        """How many the report has that is not answered."""
        return len(self._told)

    def answered(self) -> None:
        """The mapper has those that were on their way."""
        self.account.give(len(self._told))
        self._told = []

    def refused(self) -> None:
        """The mapper will never take them."""
        self.account.drop(Drop.PODS_REFUSED, len(self._told))
        self._told = []

    def keep(self) -> None:
        """The report is not sent any more: they wait again, before what came since."""
        newer = list(self._waiting.values())
        self._waiting = {(each.pod, each.addresses): each for each in self._told}
        self._told = []
        self.account.held -= len(newer)
        self.account.seen -= len(newer)
        self.add(newer)
