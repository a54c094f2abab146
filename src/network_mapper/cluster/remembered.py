"""Pods that are gone. What a node saw of them may still be on its way, so they answer for their time a while longer.

In the order in which they went; the oldest go first, when their time is over or when there are too many.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.cluster.entries import PodEntry


class Remembered:
    """Pods that are gone, by name. `len()` counts them.

    Args:
        span: How long after its end a pod is remembered, milliseconds.
        most: How many are.

    Attributes:
        forgotten_early: Pods that had to go before their time.
    """

    def __init__(self, span: int, most: int) -> None:
        self._span = span
        self._most = most if span > 0 else 0
        self._order: deque[PodEntry] = deque()
        self._by_name: dict[tuple[str, str], tuple[PodEntry, ...]] = {}
        self.forgotten_early = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is remembered at all."""
        return self._most > 0

    def add(self, pod: PodEntry) -> None:
        """Take in a pod whose end is known."""
        self._order.append(pod)
        key = (pod.namespace, pod.name)
        self._by_name[key] = (*self._by_name.get(key, ()), pod)

    def too_many(self) -> Iterator[PodEntry]:
        """Take out the oldest for which there is no room, and count them."""
        while len(self._order) > self._most:
            self.forgotten_early += 1
            yield self._oldest()

    def due(self, now: int) -> Iterator[PodEntry]:
        """Take out those whose time is over."""
        while self._order and self._order[0].end + self._span <= now:
            yield self._oldest()

    def of_name(self, namespace: str, name: str) -> tuple[PodEntry, ...]:
        """The pods that had this name, the one that went first first."""
        return self._by_name.get((namespace, name), ())

    def __iter__(self) -> Iterator[PodEntry]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)

    def _oldest(self) -> PodEntry:
        pod = self._order.popleft()
        key = (pod.namespace, pod.name)
        left = tuple(other for other in self._by_name[key] if other is not pod)
        if left:
            self._by_name[key] = left
        else:
            del self._by_name[key]
        return pod
