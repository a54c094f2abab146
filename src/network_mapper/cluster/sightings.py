"""What nodes saw of their own pods: whose an address was, for at least some time.

A node knows whose network namespace has an address, to the millisecond, and also of a pod that was gone before the API
server could be watched. But it looks only now and then, and not every node has a sniffer. So sightings decide where the
API's times do not (`Index.at`), and change nothing that these say for certain.

The times of a sighting are left on its node's clock: that is the clock on which the API's times of the pod are.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.cluster.entries import PodEntry
from network_mapper.cluster.spans import ALWAYS, Spans
from network_mapper.model import PodRef, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 100_000
"""Sightings that are kept, one for each pod and address."""

_Key = tuple[str, str]


class Sighted(msgspec.Struct, gc=False, eq=False):
    """That a pod had an address while `start <= instant < end`, milliseconds since the epoch on its node's clock.

    Attributes:
        pod: Who.
        node: Where; empty where several nodes say that it was theirs.
        address: Canonical.
        start: It may have had it earlier.
        end: It may have kept it longer.
        told: When it was told last, on our clock.
    """

    pod: PodRef
    node: str
    address: str
    start: int
    end: int
    told: int

    def entry(self) -> PodEntry:
        """As a pod, of which nobody knows whose it is."""
        pod = self.pod
        return PodEntry(
            namespace=pod.namespace,
            name=pod.name,
            uid=pod.uid,
            node=self.node,
            host_network=False,
            workload=Workload(pod.name, pod.namespace, ""),
            labels={},
            addresses=(self.address,),
            ports=(),
            start=self.start,
            end=self.end,
        )


class Sightings:
    """Sightings by address and by pod. `len()` counts them.

    Args:
        most: How many are kept. When there are more, the one goes that was not told of for the longest time.

    Attributes:
        forgotten_early: How many went for want of room.
        refused: Sightings that make no sense: no UID, no address, an end before the start.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_pod: OrderedDict[_Key, Sighted] = OrderedDict()
        """By UID and address, the one that was told last at the end."""
        self._by_address: dict[str, Spans[Sighted]] = {}
        self._of_pod: dict[str, tuple[str, ...]] = {}
        self.forgotten_early = 0
        self.refused = 0

    def put(self, new: Sighted) -> list[tuple[int, int]]:
        """Take in a sighting; returns the spans, as (start, end), in which it says more than was known.

        Sightings of a pod and an address become one that covers them all, in whatever order they come.
        """
        key = (new.pod.uid, new.address)
        old = self._by_pod.get(key)
        if old is None:
            self._by_pod[key] = new
            self._by_address.setdefault(new.address, _spans()).add(new)
            self._of_pod[new.pod.uid] = (*self._of_pod.get(new.pod.uid, ()), new.address)
            return [(new.start, new.end)]
        self._by_pod.move_to_end(key)
        old.told = max(old.told, new.told)
        if old.node != new.node:
            old.node = ""
        news = []
        if new.end > old.end:
            news.append((old.end, new.end))
            old.end = new.end
            self._by_address[new.address].lengthened(old)
        if new.start < old.start:
            news.append((new.start, old.start))
            spans = self._by_address[new.address]
            spans.remove(old)
            old.start = new.start
            spans.add(old)
        return news

    def near(self, address: str, instant: int) -> tuple[list[Sighted], int, int] | None:
        """Who was seen with an address at an instant, and the span around it in which that is the same.

        None where nobody was ever seen with it.
        """
        spans = self._by_address.get(address)
        return None if spans is None else spans.near(instant)

    def others_until(self, address: str, uid: str) -> int:
        """Until when pods of other UIDs were seen with an address; `ALWAYS` where none was."""
        spans = self._by_address.get(address)
        return ALWAYS if spans is None else spans.last_end(lambda sighted: sighted.pod.uid == uid)

    def addresses_of(self, uid: str) -> tuple[str, ...]:
        """The addresses with which a pod was seen."""
        return self._of_pod.get(uid, ())

    def too_many(self) -> Iterator[Sighted]:
        """Take out those for which there is no room, and count them."""
        while len(self._by_pod) > self._most:
            self.forgotten_early += 1
            yield self._take(next(iter(self._by_pod)))

    def due(self, before: int) -> Iterator[Sighted]:
        """Take out those that were told last before an instant."""
        while self._by_pod:
            key, oldest = next(iter(self._by_pod.items()))
            if oldest.told > before:
                return
            yield self._take(key)

    def __len__(self) -> int:
        return len(self._by_pod)

    def _take(self, key: _Key) -> Sighted:
        gone = self._by_pod.pop(key)
        spans = self._by_address[gone.address]
        spans.remove(gone)
        if not spans:
            del self._by_address[gone.address]
        left = tuple(address for address in self._of_pod[gone.pod.uid] if address != gone.address)
        if left:
            self._of_pod[gone.pod.uid] = left
        else:
            del self._of_pod[gone.pod.uid]
        return gone


def _spans() -> Spans[Sighted]:
    return Spans([], lambda sighted: sighted.start, lambda sighted: sighted.end)
