"""Numbers found by a hash: four bytes a cell instead of the hundred of a dictionary's entry.

A hundred thousand pods that are gone are found by their UIDs and their names. What is hashed is kept elsewhere, so the
table asks for it when it moves its cells.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALLEST = 64


class Serials:
    """Open addressing with linear probing; cells hold a number more than they mean, 0 is an empty one.

    Args:
        hash_of: The hash of what has a number.
    """

    def __init__(self, hash_of: Callable[[int], int]) -> None:
        self._hash_of = hash_of
        self._cells = array("I", bytes(4 * _SMALLEST))
        self._used = 0

    def put(self, hashed: int, number: int, is_it: Callable[[int], bool]) -> int | None:
        """Let a number stand for something; returns the one that stood for it, which `is_it` knows, or None."""
        if 3 * (self._used + 1) > 2 * len(self._cells):
            self._resize(2 * len(self._cells))
        place = self._find(hashed, is_it)
        old = self._cells[place]
        self._cells[place] = number + 1
        if old:
            return old - 1
        self._used += 1
        return None

    def get(self, hashed: int, is_it: Callable[[int], bool]) -> int | None:
        """The number of what `is_it` knows."""
        found = self._cells[self._find(hashed, is_it)]
        return found - 1 if found else None

    def remove(self, hashed: int, number: int) -> None:
        """Let a number stand for nothing; no error where it does not."""
        place = self._find(hashed, number.__eq__)
        if not self._cells[place]:
            return
        cells, mask = self._cells, len(self._cells) - 1
        following = place
        while True:
            following = (following + 1) & mask
            if not cells[following]:
                break
            home = self._hash_of(cells[following] - 1) & mask
            if (following - home) & mask >= (following - place) & mask:  # it may stand in the place that is free
                cells[place] = cells[following]
                place = following
        cells[place] = 0
        self._used -= 1
        if len(cells) > _SMALLEST and 8 * self._used < len(cells):
            self._resize(len(cells) // 2)

    def renumber(self, new: Callable[[int], int]) -> None:
        """Give other numbers to what is held."""
        for place, cell in enumerate(self._cells):
            if cell:
                self._cells[place] = new(cell - 1) + 1

    def __len__(self) -> int:
        return self._used

    def _find(self, hashed: int, is_it: Callable[[int], bool]) -> int:
        cells, mask = self._cells, len(self._cells) - 1
        place = hashed & mask
        while (number := cells[place]) and not is_it(number - 1):
            place = (place + 1) & mask
        return place

    def _resize(self, size: int) -> None:
        old, self._cells = self._cells, array("I", bytes(4 * size))
        for cell in old:
            if cell:
                self._cells[self._find(self._hash_of(cell - 1), _never)] = cell


def _never(_: int) -> bool:
    return False
