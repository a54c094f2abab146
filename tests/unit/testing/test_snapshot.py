from __future__ import annotations

import json

import pytest

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load as load_snapshot
from network_mapper.testing.demo import RECORDING
from network_mapper.testing.plan import make_plan
from network_mapper.testing.snapshot import encode, snapshot
from network_mapper.testing.topology import BOUTIQUE, load, random_topology

CREATED = 1_700_000_000_000


@pytest.fixture(scope="module")
def plan():
    return make_plan(random_topology(8, 40))


@pytest.fixture(scope="module")
def items(plan):
    return snapshot(plan, CREATED)["items"]


def test_the_same_plan_gives_the_same_snapshot(plan):
    assert encode(snapshot(plan, CREATED)) == encode(snapshot(plan, CREATED))


def test_every_object_has_its_own_identity(items):
    uids = [item["metadata"]["uid"] for item in items]
    assert len(set(uids)) == len(uids)


def test_every_owner_that_is_referred_to_is_there(items):
    uids = {item["metadata"]["uid"] for item in items}
    references = [owner for item in items for owner in item["metadata"].get("ownerReferences", ())]
    assert references
    assert {owner["uid"] for owner in references} <= uids


def test_everything_was_there_before(items):
    assert {item["metadata"]["creationTimestamp"] for item in items} == {"2023-11-14T22:13:20Z"}


def test_the_mapper_reads_it_without_a_problem_and_finds_every_workload(plan, tmp_path):
    path = tmp_path / "cluster.json"
    path.write_bytes(encode(snapshot(plan, CREATED)))
    index = Index()
    read = load_snapshot(path, take=index.apply)
    assert read.problems.lines() == []
    assert index.problems.lines() == []
    expected = {
        (workload.name, plan.namespace_of(workload), workload.kind, len(plan.pods_of(workload)))
        for workload in (*plan.topology.workloads, plan.dns.pods[0].workload)
    }
    found = {(workload.name, workload.namespace, workload.kind, pods) for workload, pods, _ in index.workloads()}
    assert found == expected


def test_the_recording_belongs_to_the_boutique_and_is_small():
    recorded = json.loads((RECORDING / "cluster.json").read_bytes())
    assert [item["metadata"]["uid"] for item in recorded["items"]] == [
        item["metadata"]["uid"] for item in snapshot(make_plan(load(BOUTIQUE)), CREATED)["items"]
    ]
    assert sum(path.stat().st_size for path in RECORDING.iterdir()) < 300_000
