"""Remembers which pod had which address from when to when, and says whose an address certainly was.

Looks at a node are moments, so each end of a pod's stay at its addresses lies between two of them: it began after the
last look that did not find the pod (`since`) and not later than the first that did (`first`), and ended after the last
look that found it (`last`) and not later than the first that did not (`until`). An address certainly was a pod's where
no other pod's stay can have touched the time in question and the pod's own can have covered it. Between `since` and
`first`, as between `last` and `until`, that relies on nobody having come and gone unseen between two looks; looks are a
fraction of a second apart whenever something comes or goes (`capture.pods`), and no more than a second is trusted.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from network_mapper.capture.podfolders import is_static
from network_mapper.model import PodSighting

if TYPE_CHECKING:
    from network_mapper.model import PodRef

_TRUSTED = 1_000
"""Milliseconds before the first sighting and after the last one."""
_TELL_AGAIN = 10_000
_TELL_SELDOM = 300_000
"""Milliseconds after which a stay that goes on is told again: as long as it has lasted, within these."""
_KEPT = 600_000
"""Milliseconds for which a stay that has ended is remembered."""


class Stay:
    """One pod at its addresses. Times are milliseconds since the epoch, on the node's clock.

    Attributes:
        pod: Who.
        addresses: Canonical.
        since: It cannot have had them before; 0 where nobody looked before.
        first: When it was first seen there.
        last: When it was last seen there.
        until: When it was found to be gone; None while it is there.
    """

    __slots__ = ("addresses", "first", "last", "pod", "since", "told", "told_last", "until")

    def __init__(self, pod: PodRef, addresses: tuple[str, ...], since: int, now: int) -> None:
        self.pod = pod
        self.addresses = addresses
        self.since = since
        self.first = self.last = now
        self.until: int | None = None
        self.told = 0
        self.told_last = -1

    def touches(self, first: int, last: int) -> bool:
        """Whether the pod can have been there at some time of a span."""
        return self.since <= last and (self.until is None or self.until >= first)

    def covers(self, first: int, last: int) -> bool:
        """Whether it was there for all of it, if nobody else was."""
        begin = max(self.since, self.first - _TRUSTED) if self.since else self.first
        end = self.last if self.until is None else min(self.until, self.last + _TRUSTED)
        return begin <= first and last <= end


class Stays:
    """The stays of a node's pods. `owner` and `tell_again` may be called from any thread, the rest from one.

    Args:
        most: Stays that are kept. Those that ended first make room; what finds none is left out and counted.

    Attributes:
        crowded: Stays that found no room, since the start.
    """

    def __init__(self, most: int = 4096) -> None:
        self.crowded = 0
        self._most = most
        self._lock = threading.Lock()
        self._at: dict[str, list[Stay]] = {}
        self._present: dict[Stay, None] = {}
        self._ended: deque[Stay] = deque()
        self._news: dict[Stay, None] = {}
        self._all_again = False

    @property
    def present(self) -> int:
        """Pods that are there."""
        return len(self._present)

    @property
    def remembered(self) -> int:
        """Stays that have ended."""
        return len(self._ended)

    def begin(self, pod: PodRef, addresses: tuple[str, ...], since: int, now: int) -> Stay | None:
        """A pod has been seen at addresses.

        Args:
            pod: Who.
            addresses: All that it has.
            since: When it was not there yet; 0 where nobody looked before.
            now: When it was seen.

        Returns:
            Its stay; None when there is no room.
        """
        if len(self._present) >= self._most:
            self.crowded += 1
            return None
        stay = Stay(pod, addresses, min(since, now), now)
        with self._lock:
            while len(self._present) + len(self._ended) >= self._most:
                self._drop(self._ended.popleft())
            self._present[stay] = None
            for address in addresses:
                self._at.setdefault(address, []).append(stay)
        self._news[stay] = None
        return stay

    def end(self, stay: Stay, now: int) -> None:
        """A look that began after `stay.last`, and was over by now, has not found the pod there."""
        with self._lock:
            stay.until = max(now, stay.last)
            self._present.pop(stay, None)
            self._ended.append(stay)
        self._news[stay] = None

    def forget(self, now: int) -> None:
        """Forget stays that ended long ago."""
        with self._lock:
            while self._ended and (self._ended[0].until or 0) < now - _KEPT:
                self._drop(self._ended.popleft())

    def forget_times(self, now: int) -> None:
        """The clock was set back: what it said before means nothing now."""
        with self._lock:
            while self._ended:
                self._drop(self._ended.popleft())
            for stay in self._present:
                stay.since, stay.first, stay.last = 0, now, now
                stay.told_last = -1
                self._news[stay] = None

    def _drop(self, stay: Stay) -> None:
        self._news.pop(stay, None)
        for address in stay.addresses:
            left = [each for each in self._at[address] if each is not stay]
            if left:
                self._at[address] = left
            else:
                del self._at[address]

    def here(self, address: str) -> list[Stay]:
        """The stays at an address that go on."""
        return [stay for stay in self._at.get(address, ()) if stay.until is None]

    def owner(self, address: str, first: int, last: int) -> PodRef | None:
        """The pod that for certain had an address from a first to a last moment; None where that is not certain."""
        with self._lock:
            touching = [stay for stay in self._at.get(address, ()) if stay.touches(first, last)]
            if len(touching) == 1 and touching[0].covers(first, last) and not is_static(touching[0].pod):
                return touching[0].pod
        return None

    def tell_again(self) -> None:
        """Have all be news."""
        self._all_again = True

    def take_news(self, now: int) -> list[PodSighting]:
        """Stays that are new, have ended, or have gone on for a while, since they were last taken."""
        if self._all_again:
            self._all_again = False
            self._news = dict.fromkeys([*self._ended, *self._present])
            for stay in self._news:
                stay.told_last = -1
        for stay in self._present:
            if now - stay.told >= min(_TELL_SELDOM, max(_TELL_AGAIN, stay.told - stay.first)):
                self._news[stay] = None
        told = [stay for stay in self._news if stay.last != stay.told_last and not is_static(stay.pod)]
        for stay in told:
            stay.told, stay.told_last = now, stay.last
        self._news = {}
        return [PodSighting(stay.pod, stay.addresses, stay.first, stay.last) for stay in told]
