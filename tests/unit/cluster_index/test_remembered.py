from __future__ import annotations

import ipaddress

import pytest
from kube import apply, delete, end, endpoint_slice, instant, node, owned_by, pod, replica_set, service, time

from network_mapper.cluster.index import Contested, Index
from network_mapper.model import Workload

WEB = Workload("web", "shop", "Deployment")
HOUR = 3_600_000


@pytest.fixture
def index():
    return apply(Index(), replica_set("web-1", "web"))


def web(*ips, name="web-1-x", uid="1", **more):
    return pod(name, *ips, uid=uid, **owned_by("ReplicaSet", "web-1"), **more)


def gone(index, item, at):
    index.delete("Pod", "shop", item["metadata"]["name"], at)


def name_at(index, address, second):
    found = index.at(address, instant(second))
    return found and found.owner.name


def test_a_pod_that_is_gone_had_its_address_until_then(index):
    apply(index, web("10.0.0.1", start=5))
    gone(index, web(), instant(20))
    assert [name_at(index, "10.0.0.1", second) for second in (4, 5, 19.9, 20)] == [None, "web-1-x", "web-1-x", None]
    assert index.at("10.0.0.1", instant(10)).owner.workload == WEB


def test_without_a_time_a_pod_is_forgotten_at_once(index):
    apply(index, web("10.0.0.1"))
    delete(index, web())
    assert name_at(index, "10.0.0.1", 10) is None
    assert index.remembered == 0


def test_a_pod_that_ended_before_it_was_deleted_keeps_its_end(index):
    apply(index, web("10.0.0.1", ended=7))
    gone(index, web(), instant(20))
    assert name_at(index, "10.0.0.1", 7.9) == "web-1-x"
    assert name_at(index, "10.0.0.1", 8) is None


def test_a_pod_lived_for_a_moment_though_clocks_disagree(index):
    apply(index, web("10.0.0.1", start=20))
    gone(index, web(), instant(15))
    assert name_at(index, "10.0.0.1", 20.9) == "web-1-x"
    assert name_at(index, "10.0.0.1", 21) is None


def test_an_address_used_again_has_both_owners_each_for_its_time(index):
    apply(index, web("10.0.0.1"))
    gone(index, web(), instant(20))
    apply(index, pod("new", "10.0.0.1", start=21))
    assert [name_at(index, "10.0.0.1", second) for second in (19, 20.5, 21)] == ["web-1-x", None, "new"]
    assert index.at("10.0.0.1", instant(19)).end == instant(20)


def test_an_owner_before_the_old_one_was_gone_contests_it(index):
    apply(index, web("10.0.0.1"), pod("new", "10.0.0.1", start=18))
    gone(index, web(), instant(20))
    assert isinstance(index.at("10.0.0.1", instant(19)), Contested)
    assert name_at(index, "10.0.0.1", 20) == "new"
    assert index.problems.lines() == []


def test_the_gone_count_nowhere_as_pods(index):
    apply(index, web("10.0.0.1", labels={"a": "b"}))
    gone(index, web(), instant(20))
    assert index.counts().items() >= {"pods": 0, "services": 0, "nodes": 0, "workloads": 0}.items()
    assert index.workloads() == []
    assert index.pods_of(WEB) == 0
    assert index.remembered == 1


def test_the_gone_are_no_backends(index):
    ends = endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x"), end("10.0.0.2"))
    apply(index, web("10.0.0.1"), pod("p", "10.0.0.2"), service("web"), ends)
    gone(index, web(), instant(20))
    gone(index, pod("p"), instant(20))
    assert index.backends_of("web", "shop") == ()


def test_a_host_name_stands_for_the_pod_that_had_it_then(index):
    ends = endpoint_slice("db-a", "db", end("10.0.0.1", "web-1-x"))
    apply(index, web("10.0.0.1"), service("db"), ends)
    gone(index, web(), instant(20))
    apply(index, web("10.0.0.9", uid="2", start=30))
    name = "web-1-x.db.shop.svc.cluster.local"
    assert [index.name(name, instant(second)).name for second in (10, 25, 30)] == ["web-1-x", "db", "web-1-x"]
    assert index.name(name, instant(10)).uid == "1"


def test_the_name_of_the_gone_does_not_change(index):
    apply(index, web("10.0.0.1"))
    gone(index, web(), instant(20))
    delete(index, replica_set("web-1", "web"))
    assert index.at("10.0.0.1", instant(10)).owner.workload == WEB


def test_a_pod_on_its_nodes_network_is_remembered_too(index):
    spec = {"hostNetwork": True, "containers": [{"name": "c", "ports": [{"containerPort": 9100}]}]}
    apply(index, node("n1", "192.168.0.1"), web("192.168.0.1", spec=spec))
    gone(index, web(), instant(20))
    assert index.dialled("192.168.0.1", 9100, "tcp", instant(19)).owner.name == "web-1-x"
    assert index.dialled("192.168.0.1", 9100, "tcp", instant(20)).owner.name == "n1"
    index.forget(instant(20) + HOUR)
    assert index.dialled("192.168.0.1", 9100, "tcp", instant(19)).owner.name == "n1"


def test_a_pod_that_never_had_an_address_is_not_remembered(index):
    apply(index, web())
    gone(index, web(), instant(20))
    assert index.remembered == 0


# A name that is used again


def test_another_pod_of_the_name_ends_the_first_though_nobody_said_it_was_deleted(index):
    apply(index, web("10.0.0.1"))
    apply(index, web("10.0.0.2", uid="2", start=21, creationTimestamp=time(20)))
    assert [name_at(index, "10.0.0.1", second) for second in (20.9, 21)] == ["web-1-x", None]
    assert index.at("10.0.0.1", instant(10)).owner.uid == "1"
    assert index.at("10.0.0.2", instant(30)).owner.uid == "2"
    assert (index.counts()["pods"], index.remembered) == (1, 1)


def test_another_pod_of_the_name_may_have_the_same_address(index):
    apply(index, web("10.0.0.1"))
    apply(index, web("10.0.0.1", uid="2", start=21, creationTimestamp=time(20)))
    assert [index.at("10.0.0.1", instant(second)).owner.uid for second in (20.9, 21)] == ["1", "2"]
    assert index.problems.lines() == []


@pytest.mark.parametrize(("first", "second"), [("1", "1"), ("", "1"), ("1", "")])
def test_the_same_pod_with_a_new_address_is_no_other_one(index, first, second):
    apply(index, web("10.0.0.1", uid=first), web("10.0.0.2", uid=second))
    assert index.remembered == 0
    assert name_at(index, "10.0.0.1", 10) is None


def test_pods_are_found_by_name_and_time(index):
    apply(index, web("10.0.0.1"))
    gone(index, web(), instant(10))
    apply(index, web("10.0.0.2", uid="2", start=12))
    gone(index, web(), instant(20))
    apply(index, web("10.0.0.3", uid="3", start=22))
    found = [index.pod("shop", "web-1-x", instant(second)) for second in (-1, 5, 11, 15, 21, 30)]
    assert [pod and pod.uid for pod in found] == [None, "1", None, "2", None, "3"]
    assert index.pod("other", "web-1-x", instant(30)) is None


def test_of_two_pods_of_a_name_that_may_have_lived_the_later_one_is_found(index):
    apply(index, web("10.0.0.1"))
    apply(index, web("10.0.0.2", uid="2", start=20, creationTimestamp=time(20)))
    gone(index, web(), instant(30))
    assert index.pod("shop", "web-1-x", instant(20.5)).uid == "2"


# Forgetting


def test_the_gone_are_forgotten_when_their_time_is_over(index):
    apply(index, web("10.0.0.1", labels={"a": "b"}))
    gone(index, web(), instant(20))
    assert index.forget(instant(20) + HOUR - 1) == 0
    assert index.labels_of(WEB) == {"a": "b"}
    assert index.forget(instant(20) + HOUR) == 1
    assert name_at(index, "10.0.0.1", 10) is None
    assert index.pod("shop", "web-1-x", instant(10)) is None
    assert index.labels_of(WEB) == {}
    assert (index.remembered, index.forgotten_early) == (0, 0)


def test_when_there_are_too_many_the_oldest_are_forgotten_and_counted():
    index = Index(remember_most=2)
    for number in range(5):
        apply(index, pod(f"p{number}", f"10.0.0.{number}"))
        gone(index, pod(f"p{number}"), instant(20 + number))
    assert [name_at(index, f"10.0.0.{number}", 10) for number in range(5)] == [None, None, None, "p3", "p4"]
    assert (index.remembered, index.forgotten_early) == (2, 3)


@pytest.mark.parametrize("options", [{"remember": 0}, {"remember_most": 0}])
def test_nothing_is_remembered_where_that_is_switched_off(options):
    index = apply(Index(**options), pod("p", "10.0.0.1"))
    gone(index, pod("p"), instant(20))
    assert name_at(index, "10.0.0.1", 10) is None
    assert (index.remembered, index.forgotten_early) == (0, 0)


def test_what_is_forgotten_is_told(index):
    apply(index, web("10.0.0.1"), service("web"), endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x")))
    gone(index, web(), instant(20))
    told = []
    index.on_change = told.append
    index.forget(instant(20) + HOUR)
    assert sorted(told) == ["10.0.0.1", "name:web/shop"]


def test_addresses_of_the_gone_and_their_neighbours_are_inside_until_they_are_forgotten(index):
    apply(index, web("10.0.7.1"))
    gone(index, web(), instant(20))
    assert index.is_inside(ipaddress.ip_address("10.0.7.1"))
    assert index.is_inside(ipaddress.ip_address("10.0.7.99"))
    index.forget(instant(20) + HOUR)
    assert not index.is_inside(ipaddress.ip_address("10.0.7.1"))


def test_labels_and_names_of_a_workload_outlive_its_pods(index):
    given = {"labels": {"otterize/service-name": "front"}}
    apply(index, web("10.0.0.1", **given))
    front = Workload("front", "shop", "Deployment")
    gone(index, web(), instant(20))
    assert index.is_named(front)
    assert index.labels_of(front) == given["labels"]
    assert index.workload_named("shop", "front") == front
    index.forget(instant(20) + HOUR)
    assert not index.is_named(front)
    assert index.workload_named("shop", "front") is None


def test_a_hundred_pods_in_turn_on_one_address_each_have_their_second(index):
    for number in range(100):
        apply(index, pod("p", "10.0.0.1", uid=str(number), start=number // 2, creationTimestamp=time(number // 2)))
        gone(index, pod("p"), instant(number // 2 + 1))
    assert index.remembered == 100
    assert {owner.uid for owner in index.at("10.0.0.1", instant(7.5)).owners} == {"14", "15"}
