"""From when on and until when a pod's addresses are its own, by what the API says of its containers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube import apply, decoded, instant, obj, pod, time

from network_mapper.cluster.index import FOREVER, Claim, Contested, Index

RUNS = {"state": {"running": {"startedAt": time(12)}}}
WAITS = {"state": {"waiting": {"reason": "PodInitializing"}}}
DONE = {"state": {"terminated": {"startedAt": time(7), "finishedAt": time(9)}}}


def told(*main, init=(), phase="Running", start=5, **status):
    item = pod("p", "10.0.0.1", start=start, uid="1", **status.pop("meta", {}))
    item["status"] |= {"phase": phase, "containerStatuses": list(main), "initContainerStatuses": list(init), **status}
    return item


def again(restarts, *, before=None, after=20):
    state = {"state": {"running": {"startedAt": time(after)}}, "restartCount": restarts}
    return state | ({"lastState": {"terminated": {"startedAt": time(before)}}} if before is not None else {})


def start_of(*items):
    index = apply(Index(), *items)
    entry = index.pod_of_uid("1")
    return (entry.start - instant(0)) / 1000, entry.start_told


@pytest.mark.parametrize(
    ("item", "start"),
    [
        (told(), 5),
        (told(RUNS), 12),
        (told(RUNS, {"state": {"running": {"startedAt": time(10)}}}), 10),
        (told(WAITS, init=[DONE]), 7),
        (told(RUNS, init=[DONE, WAITS]), 7),
        (told(RUNS, WAITS), 12),
        (told(again(1, before=8)), 8),
        (told(again(0, before=8)), 8),
        (told({"state": {"terminated": {"startedAt": time(8), "finishedAt": time(9)}}}), 8),
    ],
)
def test_a_pod_starts_with_its_first_container(item, start):
    assert start_of(item) == (start, start != 5)


@pytest.mark.parametrize(
    "item",
    [
        told(again(1)),
        told(again(2, before=8)),
        told(RUNS, again(3, before=8)),
        told(RUNS, init=[again(2, before=8)]),
        told({"state": {"running": {}}}),
        told({"state": {"running": {"startedAt": "soon"}}}),
        told({"state": {"running": {"startedAt": "1970-01-01T00:00:00Z"}}}),
        told({"state": {"terminated": {"finishedAt": time(9)}}}),
        told({"state": {}}),
        told({}),
    ],
)
def test_where_the_first_start_is_not_told_it_is_when_the_kubelet_took_the_pod_on(item):
    assert start_of(item) == (5, False)


def test_a_restart_does_not_move_a_start_that_was_told():
    assert start_of(told(RUNS), told(again(4, before=18))) == (12, True)
    assert start_of(told(RUNS), told(WAITS)) == (12, True)


def test_nobody_speaks_from_a_pod_before_a_container_has_begun():
    index = apply(Index(), told(WAITS))
    assert index.at("10.0.0.1", instant(30)) is None
    assert index.may_be_told("10.0.0.1", instant(30))
    apply(index, told(RUNS))
    assert index.at("10.0.0.1", instant(30)).owner.uid == "1"
    assert index.at("10.0.0.1", instant(11.9)) is None


def test_a_pod_that_went_before_its_start_was_told_may_have_begun_as_soon_as_it_was_taken_on():
    index = apply(Index(), told(WAITS))
    index.delete("Pod", "shop", "p", instant(30))
    assert index.at("10.0.0.1", instant(5)).owner.uid == "1"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_keeps_its_addresses_in_the_api_and_not_in_the_index(phase):
    index = apply(Index(), told(DONE, phase=phase))
    assert [isinstance(index.at("10.0.0.1", instant(second)), Claim) for second in (7, 9.9, 10)] == [True, True, False]


def test_the_last_container_ends_a_pod():
    late = {"state": {"terminated": {"startedAt": time(7), "finishedAt": time(15)}}}
    index = apply(Index(), told(DONE, init=[DONE], phase="Failed", ephemeralContainerStatuses=[late]))
    assert index.pod_of_uid("1").end == instant(16)


def test_a_time_of_deletion_lies_in_the_future_and_ends_nothing():
    index = apply(Index(), told(RUNS, meta={"deletionTimestamp": time(40)}))
    assert index.pod_of_uid("1").end == FOREVER


def test_a_pod_to_be_deleted_ends_when_all_its_containers_have():
    index = apply(Index(), told(DONE, meta={"deletionTimestamp": time(40)}))
    assert (index.pod_of_uid("1").end, index.pod_of_uid("1").end_told) == (instant(10), True)


@pytest.mark.parametrize("meta", [{}, {"deletionTimestamp": time(40)}])
def test_a_container_that_may_begin_again_ends_nothing(meta):
    index = apply(Index(), told(DONE, RUNS, meta=meta))
    assert index.pod_of_uid("1").end == FOREVER


def test_a_pod_whose_node_was_lost_ends_when_it_was_given_up_though_its_containers_seem_to_run():
    condition = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": time(20)}
    index = apply(Index(), told(DONE, RUNS, phase="Failed", conditions=[condition]))
    assert (index.pod_of_uid("1").end, index.pod_of_uid("1").end_told) == (instant(21), False)


def test_an_end_that_was_told_stands_whatever_the_clock_of_the_one_who_heard_of_the_deletion():
    for heard in (9.2, 60):
        index = apply(Index(), told(DONE, phase="Succeeded"))
        index.delete("Pod", "shop", "p", instant(heard))
        assert index.pod_of_uid("1").end == instant(10)


def test_a_pod_that_was_deleted_by_force_ends_when_that_is_heard():
    index = apply(Index(), told(RUNS))
    index.delete("Pod", "shop", "p", instant(30.2))
    assert (index.pod_of_uid("1").end, index.pod_of_uid("1").end_told) == (instant(30.2), False)


def test_an_address_that_a_living_pod_has_lost_was_its_own_until_then():
    index = apply(Index(), told(RUNS))
    other = told(RUNS)
    other["status"]["podIPs"] = [{"ip": "10.0.0.2"}]
    index.apply("Pod", decoded(other), at=instant(40))
    assert index.at("10.0.0.1", instant(39)).owner.uid == "1"
    assert index.at("10.0.0.1", instant(40)) is None
    assert index.at("10.0.0.2", instant(39)).owner.uid == "1"


# The smallest gap


def successive(first_ended, second_began):
    """Two owners of an address; times in milliseconds, of which the API tells the second."""

    def second_of(moment):
        return time(moment // 1000)

    one = told({"state": {"terminated": {"startedAt": time(1), "finishedAt": second_of(first_ended)}}}, phase="Failed")
    two = pod("q", "10.0.0.1", start=0, uid="2")
    two["status"]["containerStatuses"] = [{"state": {"running": {"startedAt": second_of(second_began)}}}]
    return apply(Index(), one, two)


@given(st.integers(2000, 30_000), st.integers(0, 5000), st.integers(0, 5000))
def test_owners_a_second_apart_are_told_apart_wherever_they_speak(ended, pause, later):
    began = ended + 1000 + pause
    index = successive(ended, began)
    assert index.at("10.0.0.1", instant(0) + ended).owner.uid == "1"
    assert index.at("10.0.0.1", instant(0) + began + later).owner.uid == "2"


@given(st.integers(2000, 30_000), st.integers(0, 999))
def test_owners_of_less_than_a_second_apart_are_told_apart_or_both_are_possible(ended, gap):
    index = successive(ended, ended + gap)
    within = ended // 1000 == (ended + gap) // 1000
    for moment in (ended, ended + gap):
        found = index.at("10.0.0.1", instant(0) + moment)
        if within:
            assert isinstance(found, Contested)
            assert {owner.uid for owner in found.owners} == {"1", "2"}
        else:
            assert found.owner.uid == ("1" if moment == ended else "2")


def test_a_mirror_of_a_static_pod_may_be_younger_than_what_it_shows():
    item = told(start=20, meta={"ownerReferences": [{"kind": "Node", "name": "n1", "controller": True}]})
    assert start_of(item, obj("Namespace", "shop", None)) == (0, False)
