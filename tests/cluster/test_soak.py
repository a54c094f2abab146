"""The one-minute form of the soak: 2,000 connections a second with pods that come and go; see bench/soak.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from network_mapper.testing import sandbox

BENCH = Path(__file__).parents[2] / "bench"
SECONDS = 300


@pytest.mark.timeout(SECONDS + 30)
def test_in_a_minute_nothing_grows_and_every_edge_has_its_count(programs, record_property):
    # The real node needs network namespaces.
    real = () if sandbox.inside() else ("--real", "0")
    command = [sys.executable, str(BENCH / "soak.py"), "--minutes", "1", "--no-result", *real]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    for name in ("connections", "edges", "pods_came", "on_a_used_address", "mapper_growth_mib", "database_bytes"):
        record_property(name, figures[name])
    assert figures["broken"] == []
    assert figures["connections"] > 60 * 1500
    assert figures["on_a_used_address"] > 50


@pytest.fixture(scope="module")
def soak():
    """The script, as a module."""
    sys.path.insert(0, str(BENCH))
    try:
        import soak

        yield soak
    finally:
        sys.path.remove(str(BENCH))


def figures(**changed):
    well = {
        "mapper_growth_mib": 1.0,
        "mapper_descriptors": [30, 30],
        "database_bytes": 1500,
        "database_used": 1000,
        "database_predicted": 1000,
        "wrong": 0,
        "wrong_first": [],
        "lost": {},
        "api_failures": [],
    }
    return well | changed


def test_what_is_kept_is_not_complained_about(soak):
    assert soak.broken(figures(), ["mapper"], 60) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"mapper_growth_mib": 5.0},
        {"mapper_descriptors": [30, 40]},
        {"database_bytes": 9_000_000},
        {"database_used": 2000},
        {"wrong": 1, "wrong_first": ["an edge"]},
        {"lost": {"fold_full": 1}},
        {"api_failures": ["a pod was not made"]},
    ],
)
def test_each_broken_promise_is_told(soak, changed):
    assert len(soak.broken(figures(**changed), ["mapper"], 60)) == 1


def test_swapped_owner_doubled_and_lost_counts_are_found(soak):
    from collections import Counter

    from network_mapper.testing.truth import Numbers, TrueEdge

    one, other = TrueEdge("soak/a (Job)", "soak/b (Job)", "", 80), TrueEdge("soak/c (Job)", "soak/b (Job)", "", 80)
    truth = Counter({one: 2})
    assert soak.differences(truth, {one: Numbers(connections=2)}, ["soak"]) == []
    assert len(soak.differences(truth, {other: Numbers(connections=2)}, ["soak"])) == 2
    for count in (1, 4):
        assert len(soak.differences(truth, {one: Numbers(connections=count)}, ["soak"])) == 1


def test_trend_of_memory_is_its_slope(soak):
    assert soak.slope([(0, 10.0), (1, 12.0), (2, 14.0)]) == pytest.approx(2.0)
    assert soak.slope([(0, 10.0), (1, 10.0), (2, 10.0)]) == 0
