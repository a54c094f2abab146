"""What nodes saw, where the API's times leave it open whose an address was."""

from __future__ import annotations

import pytest
from kube import apply, decoded, instant, node, pod, time

from network_mapper.cluster.index import Contested, Index
from network_mapper.cluster.sightings import Sighted, Sightings
from network_mapper.model import PodRef, PodSighting, Workload

HOUR = 3_600_000


@pytest.fixture
def index():
    return apply(Index(), node("n1", "192.168.0.1", podCIDRs=["10.0.0.0/24"]))


def saw(index, name, uid, first, last, *addresses, at="n1", ahead=0):
    seen = PodSighting(PodRef("shop", name, uid), addresses or ("10.0.0.9",), instant(first), instant(last))
    index.sight(at, seen, ahead)


def who(index, second, address="10.0.0.9"):
    found = index.at(address, instant(second))
    if isinstance(found, Contested):
        return {owner.uid for owner in found.owners}
    return found and found.owner.uid


def lived(name, uid, began, ended=None, **more):
    item = pod(name, "10.0.0.9", start=began, ended=ended, uid=uid, **more)
    state = item["status"].get("containerStatuses", [{"state": {"running": {}}}])[0]["state"]
    next(iter(state.values()))["startedAt"] = time(began)
    item["status"]["containerStatuses"] = [{"state": state}]
    return item


def test_a_pod_of_which_nobody_told_is_named_and_its_owner_is_unknown(index):
    saw(index, "quick", "u", 10, 12)
    assert [who(index, second) for second in (9.9, 10, 12, 12.1)] == [None, "u", "u", None]
    owner = index.at("10.0.0.9", instant(11)).owner
    assert (owner.workload, owner.node) == (Workload("quick", "shop", ""), "n1")
    assert index.dialled("10.0.0.9", 80, "tcp", instant(11)).owner.uid == "u"


def test_an_address_that_is_not_the_clusters_own_is_not_believed(index):
    saw(index, "liar", "u", 10, 12, "203.0.113.7")
    assert index.at("203.0.113.7", instant(11)) is None


def test_when_the_api_tells_of_a_pod_it_takes_the_place_of_the_sighting(index):
    saw(index, "quick", "u", 10, 12)
    told = []
    index.on_change = told.append
    apply(index, pod("quick", uid="u", start=9, labels={"otterize/service-name": "front"}))
    assert "10.0.0.9" in told
    assert index.at("10.0.0.9", instant(11)).owner.workload.name == "front"


def test_of_two_possible_owners_it_is_the_one_that_was_seen(index):
    apply(index, lived("a", "1", 5, ended=20), lived("b", "2", 20))
    assert who(index, 20.5) == {"1", "2"}
    saw(index, "a", "1", 6, 20.3)
    saw(index, "b", "2", 20.6, 30)
    assert [who(index, second) for second in (20.2, 20.5, 20.7)] == ["1", {"1", "2"}, "2"]


def test_two_that_were_seen_at_once_leave_it_open(index):
    apply(index, lived("a", "1", 5, ended=20), lived("b", "2", 20))
    saw(index, "a", "1", 6, 20.8)
    saw(index, "b", "2", 20.2, 30, at="n2")
    assert who(index, 20.5) == {"1", "2"}


def test_what_containers_own_times_say_is_neither_shrunk_nor_extended(index):
    apply(index, lived("a", "1", 5, ended=20))
    saw(index, "b", "2", 8, 10)
    saw(index, "a", "1", 3, 25)
    assert [who(index, second) for second in (4, 9, 21, 24)] == [None, "1", None, None]


def test_a_pod_whose_end_nobody_told_gives_way_to_another_on_its_node(index):
    apply(index, lived("a", "1", 5))
    saw(index, "b", "2", 15, 17)
    assert [who(index, second) for second in (14, 16, 18)] == ["1", "2", "1"]


def test_where_another_node_saw_somebody_else_either_may_be_meant(index):
    apply(index, lived("a", "1", 5))
    saw(index, "b", "2", 15, 17, at="n2")
    assert who(index, 16) == {"1", "2"}


def test_a_pod_that_was_deleted_by_force_was_there_as_long_as_its_node_saw_it(index):
    apply(index, lived("a", "1", 5))
    index.delete("Pod", "shop", "a", instant(20))
    saw(index, "a", "1", 6, 24)
    assert [who(index, second) for second in (20.5, 24, 25)] == ["1", "1", None]
    assert index.at("10.0.0.9", instant(22)).owner.workload == Workload("a", "shop", "Pod")


def test_a_nodes_own_address_is_the_nodes_whoever_was_seen_with_it(index):
    saw(index, "agent", "u", 10, 12, "192.168.0.1")
    assert index.at("192.168.0.1", instant(11)).owner.name == "n1"


def test_the_end_of_a_pod_is_taken_on_its_nodes_clock(index):
    apply(index, lived("a", "1", 5))
    saw(index, "other", "u", 10, 12, "10.0.0.7", ahead=3000)
    index.delete("Pod", "shop", "a", instant(20))
    assert [who(index, second) for second in (22.9, 23)] == ["1", None]


def test_seeing_the_one_who_is_known_to_be_alone_tells_nothing_anew(index):
    apply(index, lived("a", "1", 5))
    told = []
    index.on_change = told.append
    saw(index, "a", "1", 6, 20)
    saw(index, "a", "1", 6, 30)
    assert told == []
    saw(index, "b", "2", 31, 32)
    assert told == ["10.0.0.9"]


@pytest.mark.parametrize(
    ("uid", "first", "last", "address"),
    [("", 10, 12, "10.0.0.9"), ("u", 12, 10, "10.0.0.9"), ("u", 10, 12, "ten"), ("u" * 254, 10, 12, "10.0.0.9")],
)
def test_sightings_that_make_no_sense_are_counted(index, uid, first, last, address):
    saw(index, "odd", uid, first, last, address)
    assert (index.sightings, index.sightings_refused) == (0, 1)


def test_sightings_are_forgotten_like_those_who_are_gone(index):
    saw(index, "quick", "u", 10, 12)
    index.forget(instant(12) + HOUR)
    assert index.sightings == 1
    index.forget(instant(12) + HOUR + 1)
    assert (index.sightings, who(index, 11)) == (0, None)


def test_when_there_are_too_many_the_pod_that_was_not_told_of_for_longest_goes_and_is_counted():
    sightings = Sightings(most=2)
    for name in ("a", "b", "a", "c"):
        sightings.put(Sighted("shop", name, name, "n1", f"address of {name}", 1, 2))
    assert [gone.name for gone in sightings.too_many()] == ["b"]
    assert sightings.too_many() == ()
    assert (len(sightings), sightings.forgotten_early) == (2, 1)


def test_a_pod_that_was_seen_again_is_one_sighting_in_whatever_order(index):
    for first, last in ((14, 16), (10, 11), (12, 18)):
        saw(index, "quick", "u", first, last)
    assert [who(index, second) for second in (9.9, 11.5, 18)] == [None, "u", "u"]
    assert index.sightings == 1


def test_a_pod_is_found_by_its_uid_present_and_gone(index):
    uid = "0f8fad5b-d9cb-469f-a165-70867728950e"
    apply(index, pod("p", "10.0.0.9", uid=uid))
    assert index.pod_of_uid(uid).name == "p"
    index.delete("Pod", "shop", "p", instant(20))
    assert (index.pod_of_uid(uid).name, index.pod_of_uid(uid).uid) == ("p", uid)
    assert index.pod_of_uid("") is None
    assert index.pod_of_uid("0f8fad5b-d9cb-469f-a165-70867728950f") is None


def test_a_pod_that_was_said_to_be_gone_and_is_not_is_one_pod(index):
    item = lived("a", "1", 5)
    apply(index, item)
    index.delete("Pod", "shop", "a", instant(20))
    index.apply("Pod", decoded(item), at=instant(21))
    assert (index.remembered, who(index, 10), who(index, 30)) == (0, "1", "1")


def test_hundreds_of_gone_pods_are_each_found_by_time_name_and_uid():
    index = Index(remember_most=500)
    for number in range(700):
        name, second = f"p{number % 50}", f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
        item = pod(name, f"10.0.0.{number % 7}", uid=f"uid-{number}")
        item["status"]["containerStatuses"] = [{"state": {"running": {"startedAt": second}}}]
        index.apply("Pod", decoded(item))
        index.delete("Pod", "shop", name, instant(number + 1))
    assert (index.remembered, index.forgotten_early) == (500, 200)
    for number in range(700):
        found = (
            index.pod_of_uid(f"uid-{number}"),
            index.pod("shop", f"p{number % 50}", instant(number + 0.5)),
            (claim := index.at(f"10.0.0.{number % 7}", instant(number + 0.5))) and claim.owner,
        )
        uids = [each and each.uid for each in found]
        assert uids == [f"uid-{number}" if number >= 200 else None] * 3
