"""Which workloads are parts of this program."""

from __future__ import annotations

import pytest
from kube import apply, delete, instant, owned_by, pod

from network_mapper.cluster.index import Index

LATER = instant(50)


def part(name="mapper-x", labels=None, **more):
    own = {"app.kubernetes.io/part-of": "network-mapper"}
    labels = own if labels is None else labels
    return pod(name, "10.0.0.1", **owned_by("ReplicaSet", "mapper"), labels=labels, namespace="system", **more)


@pytest.fixture
def index():
    return Index()


@pytest.mark.parametrize(
    "labels",
    [
        {"app.kubernetes.io/part-of": "network-mapper"},
        {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "sniffer"},
        {"app": "otterize-network-mapper"},
        {"app": "otterize-network-sniffer"},
        {"app": "otterize-kafka-watcher"},
        {"app": "otterize-istio-watcher"},
    ],
)
def test_parts_are_known_by_their_labels(index, labels):
    assert apply(index, part(labels=labels)).own_workloads() == {_named(index)}


@pytest.mark.parametrize(
    "labels", [{}, {"app": "network-mapper"}, {"app.kubernetes.io/name": "otterize-network-mapper"}]
)
def test_others_are_none(index, labels):
    assert apply(index, part(labels=labels)).own_workloads() == frozenset()


def test_a_pod_that_becomes_a_part_makes_its_workload_one_and_the_other_way_round(index):
    apply(index, part(labels={}), part())
    assert index.own_workloads() == {_named(index)}
    apply(index, part(labels={"app": "x"}))
    assert index.own_workloads() == frozenset()


def test_a_workload_is_a_part_while_its_last_pod_is_remembered(index):
    item = part()
    apply(index, item)
    known = _named(index)
    index.delete("Pod", item["metadata"]["namespace"], item["metadata"]["name"], LATER)
    assert index.own_workloads() == {known}
    index.forget(LATER + 3_600_000)
    assert index.own_workloads() == frozenset()


def test_a_pod_that_never_was_makes_none(index):
    item = part()
    delete(apply(index, item), item)
    assert index.own_workloads() == frozenset()


def _named(index):
    return index.at("10.0.0.1", LATER).owner.workload
