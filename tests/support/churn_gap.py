"""The smallest gap between two owners of an address at which the map is still right: found by trying."""

from __future__ import annotations

import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

import churn_run
from churn_api import Faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from churn_world import Shape

GAPS = (0, 100, 200, 300, 400, 500, 600, 800, 1_000, 1_500, 2_000)
"""Milliseconds from the moment in which an address is taken from one pod to that in which it is given to the next."""


def sweep(shape: Shape, *, knowing: bool, gaps: Iterable[int] = GAPS) -> list[dict[str, Any]]:
    """What each gap makes of a map in which every address is used again after exactly that.

    Args:
        shape: Of the world, without its gap.
        knowing: Whether nodes know their pods.
        gaps: To try, milliseconds.
    """
    found = []
    for gap in gaps:
        with tempfile.TemporaryDirectory() as folder:
            result = churn_run.run(shape._replace(gap=(gap, gap)), Faults(), pathlib.Path(folder), knowing=knowing)
        verdict = result.verdict
        numbers = {"false": verdict.false, "missed": verdict.missed, "ambiguous": verdict.ambiguous}
        found.append({"gap": gap, "kept": churn_run.is_kept(result), "true": verdict.true, **numbers})
    return found


def smallest(found: list[dict[str, Any]]) -> int | None:
    """The smallest gap from which on every one tried was kept, milliseconds; None where the largest was not."""
    kept = None
    for row in sorted(found, key=lambda row: row["gap"], reverse=True):
        if not row["kept"]:
            break
        kept = row["gap"]
    return kept
