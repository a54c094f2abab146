"""What nodes saw of their own pods: whose an address was, for at least some time.

A node knows whose network namespace has an address, to the millisecond, and also of a pod that was gone before the API
server could be watched. But it looks only now and then, and not every node has a sniffer. So sightings decide where the
API's times do not (`witnesses`), and change nothing that these say for certain.

The times of a sighting are left on its node's clock: that is the clock on which the API's times of the pod are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.cluster.entries import PodEntry
from network_mapper.cluster.spans import ALWAYS, FOREVER, Spans
from network_mapper.model import Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST: Final = 100_000
"""Pods of which sightings are kept."""


class Sighted(msgspec.Struct, gc=False, eq=False):
    """That a pod had an address while `start <= instant < end`, milliseconds since the epoch on its node's clock.

    It may have had it earlier, and have kept it longer.

    Attributes:
        namespace: Of the pod.
        name: Of the pod.
        uid: Of the pod.
        node: Where; empty where several nodes say that it was theirs.
        address: Canonical.
        start: When it was first seen with it.
        end: After it was last seen with it.
    """

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    start: int
    end: int

    def entry(self) -> PodEntry:
        """As a pod, of which nobody knows whose it is."""
        return PodEntry(
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            node=self.node,
            host_network=False,
            workload=Workload(self.name, self.namespace, ""),
            labels={},
            addresses=(self.address,),
            ports=(),
            start=self.start,
            end=self.end,
        )


class Sightings:
    """Sightings by address and by pod. `len()` counts the pods.

    Args:
        most: Of how many pods sightings are kept. When there are more, the one goes that was not told of for the
            longest time.

    Attributes:
        forgotten_early: Sightings that went for want of room.
        refused: Those that make no sense: no UID, no address, an end before the start.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_uid: dict[str, tuple[Sighted, ...]] = {}
        """The pod that was told of last at the end."""
        self._by_address: dict[str, Sighted | Spans[Sighted]] = {}
        self.forgotten_early = 0
        self.refused = 0

    def put(self, new: Sighted) -> list[tuple[int, int]]:
        """Take in a sighting; returns the spans, as (start, end), in which it says more than was known.

        Sightings of a pod and an address become one that covers them all, in whatever order they come.
        """
        held = self._by_uid.pop(new.uid, ())
        old = next((sighted for sighted in held if sighted.address == new.address), None)
        self._by_uid[new.uid] = held if old is not None else (*held, new)
        if old is None:
            self._add(new)
            return [(new.start, new.end)]
        if old.node != new.node:
            old.node = ""
        earlier, later = min(old.start, new.start), max(old.end, new.end)
        news = [(old.end, later)] if later > old.end else []
        if earlier < old.start:
            news.append((earlier, old.start))
            self._remove(old)
            old.start, old.end = earlier, later
            self._add(old)
        elif later > old.end:
            old.end = later
            spans = self._by_address[old.address]
            if isinstance(spans, Spans):
                spans.lengthened(old)
        return news

    def near(self, address: str, instant: int) -> tuple[list[Sighted], int, int] | None:
        """Who was seen with an address at an instant, and the span around it in which that is the same.

        None where nobody was ever seen with it.
        """
        held = self._by_address.get(address)
        if held is None:
            return None
        if isinstance(held, Spans):
            return held.near(instant)
        if instant < held.start:
            return [], ALWAYS, held.start
        return ([held], held.start, held.end) if instant < held.end else ([], held.end, FOREVER)

    def others_until(self, address: str, uid: str) -> int:
        """Until when pods of other UIDs were seen with an address; `ALWAYS` where none was."""
        held = self._by_address.get(address)
        if held is None:
            return ALWAYS
        if isinstance(held, Spans):
            return held.last_end(lambda sighted: sighted.uid == uid)
        return ALWAYS if held.uid == uid else held.end

    def addresses_of(self, uid: str) -> Iterator[str]:
        """The addresses with which a pod was seen."""
        return (sighted.address for sighted in self._by_uid.get(uid, ()))

    def addresses(self) -> Iterable[str]:
        """All addresses with which any pod was seen."""
        return self._by_address.keys()

    def too_many(self) -> tuple[Sighted, ...]:
        """Take out those of a pod for which there is no room, and count them; none where there is room."""
        if len(self._by_uid) <= self._most:
            return ()
        gone = self._take(next(iter(self._by_uid)))
        self.forgotten_early += len(gone)
        return gone

    def due(self, before: int) -> Iterator[Sighted]:
        """Take out those that ended before an instant."""
        while self._by_uid:
            uid, oldest = next(iter(self._by_uid.items()))
            if any(sighted.end > before for sighted in oldest):
                return
            yield from self._take(uid)

    def __len__(self) -> int:
        return len(self._by_uid)

    def _take(self, uid: str) -> tuple[Sighted, ...]:
        gone = self._by_uid.pop(uid)
        for sighted in gone:
            self._remove(sighted)
        return gone

    def _add(self, sighted: Sighted) -> None:
        held = self._by_address.get(sighted.address)
        if held is None:
            self._by_address[sighted.address] = sighted
            return
        if not isinstance(held, Spans):
            first, held = held, Spans([], _start, _end)
            held.add(first)
            self._by_address[sighted.address] = held
        held.add(sighted)

    def _remove(self, sighted: Sighted) -> None:
        held = self._by_address[sighted.address]
        if not isinstance(held, Spans):
            del self._by_address[sighted.address]
            return
        held.remove(sighted)
        if len(held) == 1:
            self._by_address[sighted.address] = held.first()


def _start(sighted: Sighted) -> int:
    return sighted.start


def _end(sighted: Sighted) -> int:
    return sighted.end
