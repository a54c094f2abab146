"""How far each node's clock is ahead of the mapper's.

Every report says by how much the sender's clock was proved to be ahead when the mapper last answered. That proof is a
bound: the slower the exchange, the less of the difference it shows. So of a few successive reports the one that shows
most is believed. A clock that was set gives another bound altogether, and then the newest report alone is believed.

Clocks that differ by less than an exchange can tell are taken to agree, and cost nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from network_mapper.mapper.coverage import SKEW

STEP: Final = 100
"""Milliseconds. A smaller difference is none, and an estimate is replaced when a better one differs by as much."""

UNSURE: Final = 2 * STEP
"""Milliseconds by which an estimate may be wrong: what the fastest exchange hides, and what it lags behind."""

_REPORTS: Final = 5
_SLOWEST: Final = 10_000
"""Milliseconds that hardly an exchange takes. Proofs that differ by more, or that exclude each other, are not of one
clock: it was set meanwhile."""

_MOST: Final = 10_000


class Clocks:
    """The clocks that do not agree with ours; all others have the difference 0.

    Attributes:
        differ: Whether any clock differs.
    """

    def __init__(self) -> None:
        self._proofs: dict[str, deque[int]] = {}
        self._ahead: dict[str, int] = {}
        self._offsets: tuple[int, ...] = (0,)
        self.differ = False

    def hear(self, node: str, ahead: int) -> bool:
        """Take in what a report proves.

        Args:
            node: Where it was made.
            ahead: `Report.ahead`, milliseconds.

        Returns:
            Whether another difference is believed now.
        """
        proofs = self._proofs.get(node)
        if proofs is None:
            if not ahead:
                return False
            proofs = self._proofs[node] = deque(maxlen=_REPORTS)
        proof = max(-SKEW, min(ahead, SKEW))
        if any(abs(proof - other) > _SLOWEST or proof * other < 0 for other in proofs):
            proofs.clear()
        proofs.append(proof)
        believed = max(proofs, key=abs)
        if abs(believed) < STEP:
            believed = 0
        if not any(proofs):
            del self._proofs[node]
        elif len(self._proofs) > _MOST:
            self._forget(next(iter(self._proofs)))
        held = self.ahead(node)
        if believed == held or (believed and held and abs(believed - held) < STEP):
            return False
        if believed:
            self._ahead[node] = believed
        else:
            del self._ahead[node]
        self._changed()
        return True

    def ahead(self, node: str) -> int:
        """By how many milliseconds a node's clock is ahead of ours; negative when behind, 0 where it is not known."""
        return self._ahead.get(node, 0)

    def unsure(self, node: str) -> int:
        """By how many milliseconds `ahead` may be wrong."""
        return UNSURE if node in self._ahead else 0

    def offsets(self) -> tuple[int, ...]:
        """Every difference that some clock has, once; always with 0."""
        return self._offsets

    def _forget(self, node: str) -> None:
        del self._proofs[node]
        if self._ahead.pop(node, 0):
            self._changed()

    def _changed(self) -> None:
        self._offsets = tuple(dict.fromkeys((0, *self._ahead.values())))
        self.differ = len(self._offsets) > 1
