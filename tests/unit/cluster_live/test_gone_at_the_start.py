"""Pods that go while the cluster is still being read, as where a node is drained and the mapper with it."""

from __future__ import annotations

import asyncio

import kube
import pytest

from network_mapper.cluster.identity import IdentityKeys
from network_mapper.cluster.index import Index
from network_mapper.cluster.live import cluster
from network_mapper.model import Workload

WEB = Workload("web", "shop", "Deployment")
POD = kube.pod("web-1-a", "10.0.0.1", uid="1", **kube.owned_by("ReplicaSet", "web-1"))


class Started:
    """An index, and what stands before it while owners are still being listed."""

    def __init__(self) -> None:
        self.index = Index()
        self.owners = cluster.Owners(self.index, IdentityKeys(), lambda _: None)

    def put(self, *items):
        for item in items:
            self.owners.apply(kube.kind_of(item), kube.decoded(item))

    def gone(self, name, second):
        self.owners.delete("Pod", "shop", name, at=kube.instant(second))

    def name_at(self, second):
        claim = self.index.at("10.0.0.1", kube.instant(second))
        return claim and claim.owner.workload


@pytest.fixture
def started():
    return Started()


def test_a_pod_that_goes_before_its_owners_are_listed_has_their_name(started):
    started.put(POD)
    started.gone("web-1-a", 20)
    started.put(kube.replica_set("web-1", "web"))
    started.owners.settle()
    assert [started.name_at(second) for second in (19, 20)] == [WEB, None]
    assert started.index.remembered == 1


def test_a_name_that_is_used_again_meanwhile_is_that_of_two_pods(started):
    started.put(POD)
    started.gone("web-1-a", 20)
    started.put(kube.pod("web-1-a", "10.0.0.1", uid="2", start=22), kube.replica_set("web-1", "web"))
    started.owners.settle()
    assert started.name_at(21) is None
    assert started.name_at(30) == Workload("web-1-a", "shop", "Pod")


def test_afterwards_a_pods_end_is_told_at_once(started):
    started.owners.settle()
    started.put(POD)
    started.gone("web-1-a", 20)
    assert started.index.remembered == 1


def test_other_ends_are_told_at_once(started):
    started.put(kube.service("api", "10.0.0.1"))
    started.owners.delete("Service", "shop", "api", at=kube.instant(20))
    assert started.index.at("10.0.0.1", kube.instant(19)) is None


def test_those_that_wait_are_bounded_and_the_first_go_first(started, monkeypatch):
    monkeypatch.setattr(cluster, "MOST_WAITING", 2)
    started.put(*(kube.pod(name, uid=name) for name in "abc"))
    for name in "abc":
        started.gone(name, 20)
    assert started.index.counts()["pods"] == 2


def test_a_cluster_tells_of_them_when_all_owners_were_listed(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("web-1-a", owner=("apps/v1", "ReplicaSet", "web-1")))
        api.put("replicasets", make_pod("web-1", owner=("apps/v1", "Deployment", "web")))
        api.answer("/replicasets", 503, times=3)
        async with live(api) as followed:
            await asyncio.sleep(0.2)
            assert followed.sink.names() == ["web-1-a"]
            api.remove("pods", "shop", "web-1-a")
            await asyncio.sleep(0.2)
            assert not followed.synced.is_set()
            assert followed.sink.names() == ["web-1-a"]
            await asyncio.wait_for(followed.synced.wait(), 60)
            assert followed.sink.names("ReplicaSet.apps") == ["web-1"]
            assert followed.sink.names() == []

    run(main())
