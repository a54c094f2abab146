"""How long to wait after something failed: longer each time, never in step with others, as long as the server asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

SHORTEST: Final = 0.8
LONGEST: Final = 30.0
LONGEST_ASKED: Final = 300.0
"""Seconds; the bounds are those of client-go's reflector, the last is the longest Retry-After that is honoured."""


def delay(failures: int, spread: random.Random, asked: float | None = None) -> float:
    """Seconds to wait before the next try.

    Args:
        failures: How many tries have failed in a row, at least 1.
        spread: Source of the jitter: two processes that failed together must not come back together.
        asked: What `Retry-After` said.
    """
    top = min(LONGEST, 2 * SHORTEST * 2.0 ** min(failures - 1, 10))
    own = spread.uniform(top / 2, top)
    return own if asked is None else max(own, min(asked, LONGEST_ASKED))
