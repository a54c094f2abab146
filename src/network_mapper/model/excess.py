"""Who took more than a fair share of a bounded table, so that one can be named and not only counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from network_mapper.model.drops import Drop

Who = TypeVar("Who")

_MOST = 256


class Excess(Generic[Who]):
    """Counts by reason and by who caused it; of more than a few hundred those with the smallest counts are forgotten.

    So a count is a lower bound: one that was forgotten and comes again begins anew. The sum of all is kept elsewhere.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[Who, Drop], int] = {}

    def add(self, who: Who, reason: Drop, count: int = 1) -> None:
        """Count `count` more of what was dropped for `reason` because of `who`."""
        key = who, reason
        known = self._counts.get(key)
        if known is None and len(self._counts) >= _MOST:
            for small in sorted(self._counts, key=self._counts.__getitem__)[: _MOST // 4]:
                del self._counts[small]
        self._counts[key] = (known or 0) + count

    def worst(self, most: int) -> list[tuple[Who, Drop, int]]:
        """Those with the largest counts, largest first."""
        largest = sorted(self._counts.items(), key=lambda item: -item[1])[:most]
        return [(who, reason, count) for (who, reason), count in largest]
