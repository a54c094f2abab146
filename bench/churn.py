"""Pods that live for seconds on addresses of each other's: the long form of `tests/churn/test_churn.py`.

    python bench/churn.py [--connections 100000] [--seeds 1 2 3] [--output bench/results/churn.json]

Each run is 100,000 connections among some 5,000 pods that live 2 to 20 seconds, each address used again 1 to 5 seconds
later by another workload, told by an API server that is late, out of step and repeats itself, and that is away in the
middle for half a minute; two nodes report it, once knowing their pods and once not, and once with clocks seconds apart.
Then the smallest gap between two owners of an address is looked for at which nothing is false, missed or ambiguous
beyond what is promised. Time is virtual, so an hour takes minutes. The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "support")]

import churn_gap  # noqa: E402  found through the line above
import churn_run  # noqa: E402
import churn_world  # noqa: E402
from churn_api import Faults  # noqa: E402
from churn_world import START, Shape  # noqa: E402
from run import commit, processor  # noqa: E402

AWAY_SECONDS = 30
CLOCKS = (2_500, -1_800)
GAP_CONNECTIONS = 20_000


def measure(shape: Shape, faults: Faults, *, knowing: bool) -> dict[str, Any]:
    """One run and what came of it."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = churn_run.run(shape, faults, pathlib.Path(folder), knowing=knowing)
    verdict = result.verdict._asdict()
    wrong = verdict.pop("wrong")
    return {
        "seed": shape.seed,
        "knowing": knowing,
        "away": list(faults.away),
        "clocks": list(faults.clocks),
        "pods": len(result.world.lives),
        **verdict,
        "dropped": {reason.value: count for reason, count in result.drops.items()},
        "wrong": list(wrong)[:20],
        "unbalanced": result.unbalanced,
        "kept": churn_run.is_kept(result),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def main() -> int:
    """Run everything; the exit code says whether all promises were kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results" / "churn.json")
    given = parser.parse_args()
    date, began = dt.datetime.now(dt.UTC), time.monotonic()
    middle = START + given.seconds * 500
    away = (middle, middle + AWAY_SECONDS * 1000)
    ways = [(faults, knowing) for faults in (Faults(away=away), Faults(clocks=CLOCKS)) for knowing in (True, False)]
    runs = []
    for seed in given.seeds:
        for faults, knowing in ways:
            shape = Shape(seed, given.connections, seconds=given.seconds)
            runs.append(measure(shape, faults, knowing=knowing))
            print(json.dumps(runs[-1]), flush=True)
    gaps = {}
    for knowing in (True, False):
        word = "knowing" if knowing else "unknowing"
        gaps[word] = churn_gap.sweep(Shape(9, GAP_CONNECTIONS, seconds=150), knowing=knowing)
        print(json.dumps({word: gaps[word]}), flush=True)
    kept = all(run["kept"] for run in runs)
    result = {
        "commit": commit(),
        "date": f"{date:%Y-%m-%d %H:%M} UTC",
        "duration_seconds": round(time.monotonic() - began),
        "machine": f"{os.cpu_count()} x {processor()}",
        "virtual_seconds": given.seconds * len(runs),
        "connections": given.connections * len(runs),
        "lifetimes_milliseconds": [churn_world.SHORTEST, churn_world.LONGEST],
        "kept": kept,
        "smallest_gap_milliseconds": {word: churn_gap.smallest(found) for word, found in gaps.items()},
        "runs": runs,
        "gaps": gaps,
    }
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
