"""Things that each have a start and an end, so kept that those around an instant are found at once.

Hundreds of pods may have had one address within an hour. They are in order of their starts, and hardly any two of them
hold at the same time, so what holds at an instant stands just before the place that bisection finds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableSequence

T = TypeVar("T")

FOREVER: Final = 1 << 62
"""The end of what has not ended."""
ALWAYS: Final = -FOREVER
"""The start of what has been so for as long as anybody knows."""


class Spans(Generic[T]):
    """Items in order of their starts. `len()` counts them.

    Args:
        items: Empty, and only changed here.
        start: When an item starts.
        end: When it ends, exclusive.
    """

    __slots__ = ("_end", "_items", "_reach", "_start")

    def __init__(self, items: MutableSequence[T], start: Callable[[T], int], end: Callable[[T], int]) -> None:
        self._items = items
        self._start = start
        self._end = end
        self._reach = 0
        """No item holds at the start of another that stands more than so many places behind it."""

    def add(self, item: T) -> None:
        """Take in an item."""
        place = bisect_right(self._items, self._start(item), key=self._start)
        self._items.insert(place, item)
        start = self._start(item)
        for other in range(max(0, place - 1 - self._reach), place):
            if self._end(self._items[other]) > start:
                self._reach = max(self._reach, self._distance(other))
        self._reach = max(self._reach, self._distance(place))

    def remove(self, item: T) -> None:
        """Take out an item, which must start as it did when it was taken in."""
        del self._items[self._place(item)]

    def lengthened(self, item: T) -> None:
        """Note that an item ends later than it did."""
        self._reach = max(self._reach, self._distance(self._place(item)))

    def near(self, instant: int) -> tuple[list[T], int, int]:
        """What holds at an instant, and the span around it in which nothing else starts or ends.

        Where nothing starts or ends before the instant, or after it, that side of the span is left at `ALWAYS` or
        `FOREVER`.
        """
        items, end_of, start_of = self._items, self._end, self._start
        place = bisect_right(items, instant, key=start_of)
        start, end = ALWAYS, FOREVER
        if place < len(items):
            end = start_of(items[place])
        found = []
        for number in range(max(0, place - 1 - self._reach), place):
            item = items[number]
            first, last = start_of(item), end_of(item)
            start = max(start, first)
            if last > instant:
                found.append(item)
                end = min(end, last)
            else:
                start = max(start, last)
        return found, start, end

    def last_end(self, but: Callable[[T], bool] | None = None) -> int:
        """When the last one ends; of all but at most one where `but` is given, which says that it is this one."""
        items = self._items
        ends = [
            self._end(items[number])
            for number in range(max(0, len(items) - 2 - self._reach), len(items))
            if but is None or not but(items[number])
        ]
        return max(ends, default=ALWAYS)

    def first(self) -> T:
        """The item that starts first."""
        return self._items[0]

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def _place(self, item: T) -> int:
        start = self._start(item)
        place = bisect_left(self._items, start, key=self._start)
        while self._items[place] != item:
            place += 1
        return place

    def _distance(self, place: int) -> int:
        """How many places behind an item the last one stands that starts before this one has ended."""
        return bisect_left(self._items, self._end(self._items[place]), lo=place, key=self._start) - 1 - place
