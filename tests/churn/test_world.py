"""The worlds are what the runs say that they are."""

import itertools

import churn_api
import churn_world
import pytest
from churn_api import Faults
from churn_world import LONGEST, SHORTEST, Shape

SHAPE = Shape(seed=3, connections=3_000, addresses=20, seconds=90)


@pytest.fixture(scope="module")
def world():
    return churn_world.make(SHAPE)


def owners(world):
    """The pods of each address, in order."""
    found = {}
    for life in sorted(world.lives, key=lambda life: life.given):
        found.setdefault(life.addresses, []).append(life)
    return found.values()


def test_equal_shapes_make_equal_worlds(world):
    assert churn_world.make(SHAPE) == world
    assert churn_world.make(SHAPE._replace(seed=4)) != world


def test_an_address_is_used_again_after_the_gap_by_another_workload(world):
    pairs = [pair for held in owners(world) for pair in itertools.pairwise(held)]
    assert len(pairs) > 100
    low, high = SHAPE.gap
    assert all(low <= later.given - former.taken <= high for former, later in pairs)
    assert all(former.workload != later.workload for former, later in pairs)


def test_pods_speak_for_two_to_twenty_seconds(world):
    spans = [life.ended - life.started for life in world.lives]
    assert SHORTEST <= min(spans) < 3_000
    assert 18_000 < max(spans) <= LONGEST


def test_connections_are_made_by_pods_that_speak_to_pods_that_are_there(world):
    assert len(world.connections) == SHAPE.connections
    for made in world.connections:
        assert made.client.started <= made.at < made.client.ended
        assert made.server.started <= made.at < made.server.ended
        assert made.client is not made.server
        assert made.service in (None, made.server.service)


def test_connections_are_made_at_the_very_ends_of_lives(world):
    assert any(made.at == made.client.started for made in world.connections)
    assert any(made.at == made.client.ended - 1 for made in world.connections)


def test_every_kind_of_owner_lives(world):
    assert {life.workload.kind for life in world.lives} == {"Deployment", "CronJob", "StatefulSet", "Job", "Pod"}


def test_several_workloads_stand_behind_one_service(world):
    behind = {}
    for made in world.connections:
        if made.service:
            behind.setdefault(made.service, set()).add(made.server.workload)
    assert any(len(workloads) > 1 for workloads in behind.values())


def test_pods_of_one_name_never_live_together(world):
    held = {}
    for life in sorted(world.lives, key=lambda life: life.base):
        assert held.get(life.pod, 0) < life.base
        held[life.pod] = life.gone
    assert len(held) < len(world.lives)


def test_kinds_are_told_late_in_order_and_out_of_step(world):
    found = churn_api.happenings(world, Faults())
    told = churn_api.told_at(found, Faults(), churn_world.random.Random(1))
    late = [at - each.at for at, each in told]
    assert min(late) == 0
    assert max(late) > churn_api.LATEST * 0.9
    by_kind = {}
    for _, each in told:
        by_kind.setdefault(each.resource, []).append(each)
    for resource, events in by_kind.items():
        assert events == [each for each in found if each.resource == resource]
    assert [each for _, each in told] != found


def test_nothing_is_late_without_faults(world):
    calm = Faults(latest=0, repeats=False, cuts=False)
    told = churn_api.told_at(churn_api.happenings(world, calm), calm, churn_world.random.Random(1))
    assert all(at == each.at for at, each in told)


def test_times_of_pods_are_those_of_their_nodes_clocks(world):
    right, ahead = (
        {(each.at, each.name): each.object for each in churn_api.happenings(world, faults) if each.resource == "pods"}
        for faults in (Faults(), Faults(clocks=(0, 7_000)))
    )
    life = next(life for life in world.lives if life.node == "node2")
    key = next(key for key in right if key[1] == life.pod[1] and right[key] and right[key]["status"].get("startTime"))
    times = [item[key]["status"]["startTime"] for item in (right, ahead)]
    assert times[0] < times[1]
    assert right[key]["metadata"] == ahead[key]["metadata"]
