"""Several runs of one measurement, and their medians: single figures of a busy machine prove little."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def report(name: str, runs: int, measure: Callable[[], dict[str, Any]]) -> None:
    """Measure, print each run as JSON, and print the medians of all figures that are numbers."""
    figures = []
    for _ in range(runs):
        figures.append(measure())
        print(json.dumps({name: figures[-1]}), flush=True)
    numbers = [key for key, value in figures[0].items() if type(value) in (int, float)]
    medians = {key: round(statistics.median(run[key] for run in figures), 3) for key in numbers}
    print(json.dumps({f"{name}, median of {runs}": medians}), flush=True)
