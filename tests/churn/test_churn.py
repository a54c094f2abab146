"""Pods that live for seconds and take each other's addresses: no wrong edge, and nothing lost in silence.

Each run is a world of its own seed, told by the API server in the worst order that watches allow, and seen by two
nodes, which know their pods or do not. The long form, with 100,000 connections a run, is `bench/churn.py`.
"""

import churn_gap
import churn_run
import pytest
from churn_api import Faults
from churn_world import START, Shape

from network_mapper.model import Drop

SHAPE = Shape(connections=8_000, seconds=60)
AWAY = (START + 20_000, START + 35_000)
CLOCKS = (2_500, -1_800)
GAP_SHAPE = Shape(seed=9, connections=3_000, addresses=30, seconds=45)

nodes_that = pytest.mark.parametrize("knowing", [True, False], ids=["know", "do_not_know"])


@pytest.fixture
def run(tmp_path):
    def run(seed, faults, *, knowing):
        return churn_run.run(SHAPE._replace(seed=seed), faults, tmp_path, knowing=knowing)

    return run


@nodes_that
@pytest.mark.parametrize("seed", [1, 2])
def test_events_that_are_late_out_of_step_and_repeated_make_no_wrong_edge(run, seed, knowing):
    result = run(seed, Faults(), knowing=knowing)
    assert churn_run.broken(result) == []
    verdict = result.verdict
    assert (verdict.true, verdict.excused, verdict.unnamed) == (SHAPE.connections, 0, 0)
    assert verdict.named + verdict.ambiguous == verdict.true


@nodes_that
def test_while_the_api_server_is_away_nothing_is_wrong_and_what_is_missed_is_counted(run, knowing):
    result = run(3, Faults(away=AWAY), knowing=knowing)
    assert churn_run.broken(result) == []
    verdict = result.verdict
    assert verdict.excused == sum(result.drops.get(reason, 0) for reason in (Drop.NEVER_SEEN,))


def test_pods_that_the_api_never_told_of_are_named_by_their_nodes(run):
    verdict = run(3, Faults(away=AWAY), knowing=True).verdict
    assert verdict.unowned > 0
    assert verdict.excused < verdict.unowned / 10


@nodes_that
def test_clocks_that_are_seconds_apart_make_no_wrong_edge(run, knowing):
    assert churn_run.broken(run(4, Faults(clocks=CLOCKS), knowing=knowing)) == []


@pytest.mark.parametrize(("knowing", "gap"), [(True, 0), (False, 1_000)], ids=["know", "do_not_know"])
def test_owners_of_an_address_may_be_as_close_as_this(knowing, gap):
    found = churn_gap.sweep(GAP_SHAPE, knowing=knowing, gaps=[each for each in churn_gap.GAPS if each >= gap])
    assert churn_gap.smallest(found) == gap
