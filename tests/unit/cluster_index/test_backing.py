"""Who was behind a service at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube import apply, decoded, delete, end, endpoint_slice, instant, owned_by, pod, service

from network_mapper.cluster.backing import HEEDED_WITHIN, MOST, TOLD_WITHIN, History
from network_mapper.cluster.index import Index
from network_mapper.model import Workload

V1, V2 = Workload("v1", "shop", "ReplicaSet"), Workload("v2", "shop", "ReplicaSet")
SLICE = "EndpointSlice.discovery.k8s.io"


def slice_of(*pods):
    return endpoint_slice("s-a", "s", *(end(f"10.0.0.{number}", name) for number, name in enumerate(pods, 1)))


@pytest.fixture
def index():
    owned = [pod(name, f"10.0.0.{name[1]}", uid=name, **owned_by("ReplicaSet", name)) for name in ("v1", "v2")]
    return apply(Index(), *owned, service("s", "10.96.0.1"), slice_of("v1"))


def move(index, at, since=None):
    index.apply(SLICE, decoded(slice_of("v2")), at=at, since=since)


def behind(index, second):
    return index.service("shop", "s").backends_at(instant(second))


def test_a_service_that_moved_has_those_behind_it_who_were_there_then(index):
    move(index, instant(30))
    assert [behind(index, second) for second in (0, 24.9, 25, 34.9, 35)] == [(V1,), (V1,), (V1, V2), (V1, V2), (V2,)]


def test_the_bounds_of_a_change_are_what_the_constants_say(index):
    move(index, instant(30))
    found = index.service("shop", "s").backing(instant(30))
    assert (found.start, found.end) == (instant(30) - TOLD_WITHIN, instant(30) + HEEDED_WITHIN)


def test_a_change_that_was_told_late_may_have_happened_since_the_last_word(index):
    move(index, instant(30), since=instant(10))
    assert [behind(index, second) for second in (9.9, 10, 35)] == [(V1,), (V1, V2), (V2,)]


def test_what_has_always_been_so_has_no_history(index):
    apply(index, slice_of("v2"))
    assert behind(index, 0) == (V2,)


def test_a_pod_that_goes_leaves_the_service_it_was_behind(index):
    index.delete("Pod", "shop", "v1", instant(30))
    assert [behind(index, second) for second in (20, 30, 40)] == [(V1,), (V1,), ()]


def test_a_new_name_of_a_workload_is_no_other_workload_at_another_time(index):
    item = pod("v1", "10.0.0.1", uid="v1", labels={"otterize/service-name": "front"}, **owned_by("ReplicaSet", "v1"))
    index.apply("Pod", decoded(item), at=instant(30))
    assert behind(index, 20) == (V1,)
    assert behind(index, 40) == (Workload("front", "shop", "ReplicaSet"),)


def test_a_service_that_is_changed_otherwise_keeps_its_history(index):
    move(index, instant(30))
    index.apply("Service", decoded(service("s", "10.96.0.1", port=81)), at=instant(40))
    assert behind(index, 20) == (V1,)


def test_a_service_that_is_gone_answers_with_who_was_behind_it_then(index):
    move(index, instant(20))
    index.delete("Service", "shop", "s", instant(30))
    delete(index, slice_of())
    gone = index.dialled("10.96.0.1", 80, "tcp", instant(10)).owner
    assert (gone.name, gone.backends_at(instant(10)), gone.backends_at(instant(28))) == ("s", (V1,), (V2,))
    assert index.name("s.shop.svc.cluster.local", instant(10)) is gone
    assert index.dialled("10.96.0.1", 80, "tcp", instant(30)) is None


def test_an_address_of_a_service_that_is_used_again_has_each_owner_for_its_time(index):
    index.delete("Service", "shop", "s", instant(20))
    heir = service("t", "10.96.0.1")
    heir["metadata"]["creationTimestamp"] = "2026-01-01T00:00:25Z"
    index.apply("Service", decoded(heir), at=instant(25.5))
    owners = [index.at("10.96.0.1", instant(second)) for second in (19, 22, 25)]
    assert [found and found.owner.name for found in owners] == ["s", None, "t"]


def test_a_service_made_anew_under_its_name_is_another_one(index):
    first = service("u", "10.96.0.7")
    first["metadata"]["uid"] = "1"
    apply(index, first)
    second = service("u", "10.96.0.8")
    second["metadata"] |= {"uid": "2", "creationTimestamp": "2026-01-01T00:00:25Z"}
    index.apply("Service", decoded(second), at=instant(26))
    assert index.at("10.96.0.7", instant(25)).owner.uid == "1"
    assert index.at("10.96.0.7", instant(26)) is None
    assert index.name("u.shop.svc.cluster.local", instant(10)).uid == "1"
    assert index.name("u.shop.svc.cluster.local", instant(30)).uid == "2"


def test_an_address_that_a_service_has_lost_was_its_own_until_then(index):
    index.apply("Service", decoded(service("s", "10.96.0.2")), at=instant(30))
    owners = [index.at("10.96.0.1", instant(second)) for second in (29, 30)]
    assert [found and found.owner.name for found in owners] == ["s", None]


def test_history_is_forgotten_like_those_who_are_gone():
    index = Index(remember=10_000)
    owned = [pod(name, f"10.0.0.{name[1]}", uid=name, **owned_by("ReplicaSet", name)) for name in ("v1", "v2")]
    apply(index, *owned, service("s", "10.96.0.1"), slice_of("v1"))
    move(index, instant(20))
    index.forget(instant(34.9))
    assert behind(index, 0) == (V1,)
    index.forget(instant(35))
    assert behind(index, 0) == (V2,)


def test_changes_without_end_are_bounded_and_the_earliest_become_one():
    history = History()
    for number in range(MOST + 10):
        history.put((Workload(f"w{number}", "n", "Job"),), number * 1000, number * 1000 + 500)
    assert len(history) == MOST
    assert history.at(-1, ()).workloads == tuple(sorted((Workload(f"w{n}", "n", "Job") for n in range(11)), key=repr))
    assert history.at((MOST + 8) * 1000 + 600, ()).workloads == (Workload(f"w{MOST + 9}", "n", "Job"),)


some_changes = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 8), st.integers(1, 8)), max_size=8)


@given(some_changes, st.integers(-10, 80))
def test_who_was_behind_is_whoever_may_have_been_between_two_changes(told, instant_asked):
    history, model, latest = History(), [], 0
    for number, (at, before, after) in enumerate(sorted(told)):
        latest = max(latest, at + after)
        history.put((Workload(f"w{number}", "n", "Job"),), at - before, at + after)
        model.append((at - before, latest))
    now = Workload(f"w{len(told)}", "n", "Job")
    expected = set()
    for number in range(len(model) + 1):
        since = model[number - 1][0] if number else -100
        until = model[number][1] if number < len(model) else 100
        if since <= instant_asked < until:
            expected.add(f"w{number}")
    found = history.at(instant_asked, (now,))
    assert {workload.name for workload in found.workloads} == expected
    assert found.start <= instant_asked < found.end
    for edge in (max(found.start, -1000), min(found.end, 1000) - 1):
        assert history.at(edge, (now,)).workloads == found.workloads
