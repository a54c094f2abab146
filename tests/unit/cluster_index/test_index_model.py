"""The index against a model that works every answer out anew, after any changes in any order."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from index_model import (
    API_PORT,
    REMEMBER,
    REMEMBER_MOST,
    Model,
    api_objects,
    key_of,
    pod_object,
    service_object,
)
from kube import apply, end, endpoint_slice, instant, kind_of, node, obj, owned_by

from network_mapper.cluster.index import (
    FOREVER,
    MISSING,
    OUTSIDE,
    Claim,
    Contested,
    Index,
    NodeEntry,
    PodEntry,
    ServiceEntry,
)

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"]
PODS = ["a", "b", "c"]
SERVICES = ["s", "t"]
OWNERS = [("ReplicaSet", "r"), ("ReplicaSet", "q"), ("Deployment", "d"), ("Pod", "a")]
SECONDS = [0, 2, 4]
NODE_PORT = 30080
PORTS = [80, 8080, NODE_PORT, API_PORT]
BALANCER = "lb.example.org"
NAMES = [
    *(f"{service}.shop.svc.cluster.local" for service in SERVICES),
    *(f"{host}.s.shop.svc.cluster.local" for host in ("a", "b", "h", "10-0-0-1", "fd00--1")),
    *("10-0-0-1.shop.pod.cluster.local", "fd00--1.shop.pod.cluster.local", BALANCER),
]
INSTANTS = [instant(second) for second in (-1, 0, 1.5, 2, 3.9, 4, 4.5, 5, 30)]

some_addresses = st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True)
some_owner = st.sampled_from(OWNERS).map(lambda owner: owned_by(*owner, "v1" if owner[0] == "Pod" else "apps/v1"))
ends = st.builds(
    end, st.sampled_from(ADDRESSES), st.sampled_from([None, *PODS]), st.sampled_from([None, None, "h", "b"])
)
pods = st.builds(
    pod_object,
    name=st.sampled_from(PODS),
    ips=some_addresses,
    start=st.sampled_from(SECONDS),
    ended=st.sampled_from([None, None, 3, 4]),
    host=st.sampled_from([False, False, True]),
    owner=some_owner | st.just({}),
    labels=st.sampled_from([{}, {"app": "x"}, {"otterize/service-name": "given"}, {"otterize/service-name": ""}]),
    uid=st.sampled_from(["", "1", "2"]),
    ports=st.lists(st.sampled_from(PORTS), max_size=2),
)
owners = st.builds(
    lambda key, owner: obj(key[0], key[1], api_version="apps/v1", meta=owner),
    st.sampled_from(OWNERS[:3]),
    some_owner | st.just({}),
)
services = st.builds(
    service_object,
    name=st.sampled_from(SERVICES),
    ips=some_addresses,
    external=some_addresses,
    node_port=st.sampled_from([0, NODE_PORT, 8080]),
    host=st.sampled_from(["", BALANCER]),
)
slices = st.builds(
    lambda name, of, members: endpoint_slice(name, of, *members),
    st.sampled_from(["x", "y"]),
    st.sampled_from(SERVICES),
    st.lists(ends, max_size=3),
)
old_endpoints = st.builds(
    lambda name, ips: obj("Endpoints", name, subsets=[{"addresses": [{"ip": ip} for ip in ips]}]),
    st.sampled_from(SERVICES),
    some_addresses,
)
nodes = st.builds(
    lambda address, blocks: node("n1", address, podCIDRs=blocks),
    st.sampled_from(ADDRESSES),
    st.lists(st.sampled_from(["10.0.0.0/30", "10.0.0.2/31", "fd00::/126"]), max_size=2),
)
api = some_addresses.flatmap(lambda ips: st.sampled_from(list(api_objects(ips))))


class Delete(NamedTuple):
    """Delete the present object with a number, at a second, or (None) as if it had never been."""

    number: int
    second: float | None


class Forget(NamedTuple):
    """Forget what has been gone for long, at a second."""

    second: int


objects = pods | pods | owners | owners | services | slices | slices | old_endpoints | nodes | api
deletions = st.builds(Delete, st.integers(0, 9), st.sampled_from([None, 0.5, 2.5, 4, 20]))
some_changes = st.lists(
    objects | objects | objects | deletions | st.builds(Forget, st.sampled_from([7, 9, 12])), max_size=30
)
SCENE = [
    node("n1", "10.0.0.1"),
    pod_object("a", ["10.0.0.1"], host=True, uid="1", labels={"app": "x"}, ports=[80, API_PORT]),
    pod_object("b", ["10.0.0.2"], start=2, uid="1", labels={"app": "x"}, owner=owned_by("ReplicaSet", "r")),
    service_object("s", ["10.0.0.3"], [], NODE_PORT, BALANCER),
    endpoint_slice("x", "s", end("10.0.0.1", "a"), end("10.0.0.2", "b", "h")),
    *api_objects(["10.0.0.1", "10.0.0.2"]),
]
"""Where much depends on each other already, which chance alone would seldom bring about."""
changes = st.builds(lambda scene, more: [*scene, *more], st.sampled_from([[], SCENE, SCENE]), some_changes)


def steps(made, *takers):
    """Make the drawn changes of every taker (the index and the model); stops after each but those of the scene."""
    present = {}
    for change in made:
        if isinstance(change, Delete):
            if not present:
                continue
            item = present.pop(sorted(present)[change.number % len(present)])
            at = None if change.second is None else instant(change.second)
            for taker in takers:
                if isinstance(taker, Index):
                    taker.delete(*key_of(item), at)
                else:
                    taker.delete(item, at)
        elif isinstance(change, Forget):
            for taker in takers:
                taker.forget(instant(change.second))
        else:
            present[key_of(change)] = change
            for taker in takers:
                if isinstance(taker, Index):
                    apply(taker, change)
                else:
                    taker.apply(change)
        if not any(change is item for item in SCENE):
            yield


def new_index(**more):
    return Index(remember=REMEMBER, remember_most=REMEMBER_MOST, **more)


def described(found):
    """An answer of the index in the model's words."""
    owners = ()
    if isinstance(found, Claim):
        owners = (found.owner,)
    elif isinstance(found, Contested):
        owners = found.owners
    elif isinstance(found, PodEntry | ServiceEntry | NodeEntry):
        owners = (found,)
    else:
        assert found in (None, MISSING, OUTSIDE)
    assert len(owners) != 1 or not isinstance(found, Contested)
    return {describe(owner) for owner in owners}


def describe(owner):
    if isinstance(owner, PodEntry):
        return "Pod", owner.name, owner.workload
    if isinstance(owner, ServiceEntry):
        return "Service", owner.name, owner.backends
    return "Node", owner.name, tuple(each.name for each in owner.host_pods)


QUESTIONS = [
    *(("at", address) for address in ADDRESSES),
    *(("dialled", address, port, "tcp") for address in ADDRESSES for port in PORTS),
    *(("name", name) for name in NAMES),
]


def ask(index, question, when):
    verb, *asked = question
    return described(getattr(index, verb)(*asked, when))


def expected(model, question, when):
    verb, asked, *more = question
    if verb == "at":
        return model.at(asked, when)
    return model.dialled(asked, more[0], when) if verb == "dialled" else model.name(asked, when, ADDRESSES)


def keys_of(index, question):
    return index.keys_of(question[1]) if question[0] == "name" else (question[1],)


@settings(max_examples=150, deadline=None)
@given(changes)
def test_after_any_changes_every_answer_is_the_models(made):
    model, index = Model(), new_index()
    for _ in steps(made, index, model):
        for question in QUESTIONS:
            for when in INSTANTS:
                assert ask(index, question, when) == expected(model, question, when), (question, when)


@settings(max_examples=150, deadline=None)
@given(changes)
def test_pods_are_found_by_name_host_and_application_as_the_model_finds_them(made):
    model, index = Model(), new_index()
    for _ in steps(made, index, model):
        for when in INSTANTS:
            for name in PODS:
                found, seen = index.pod("shop", name, when), model.lived(name, when)
                assert (found and (found.uid, found.workload)) == (seen and (seen.uid, seen.workload))
            for name, address in itertools.product(PODS, ADDRESSES):
                found = index.hosted(name, address, when)
                assert (found and found.workload) == model.hosted(name, address, when)
            found = index.applications("shop", "x", when)
            assert {pod.workload for pod in found} == model.applications("x", when)


@settings(max_examples=120, deadline=None)
@given(changes)
def test_answers_kept_until_their_keys_are_told_stay_true(made):
    kept = {}
    keys = {}

    def forget(key):
        for question in keys.pop(key, ()):
            for when in INSTANTS:
                kept.pop((question, when), None)

    index = new_index(on_change=forget)
    for _ in steps(made, index):
        for question in QUESTIONS:
            for key in keys_of(index, question):
                keys.setdefault(key, set()).add(question)
            for when in INSTANTS:
                answer = ask(index, question, when)
                assert kept.setdefault((question, when), answer) == answer, (question, when)


@settings(max_examples=120, deadline=None)
@given(changes)
def test_an_answer_is_the_same_all_through_its_span(made):
    index = new_index()
    for _ in steps(made, index):
        pass
    for (verb, *asked), when in itertools.product(QUESTIONS, INSTANTS):
        answer = getattr(index, verb)(*asked, when)
        if isinstance(answer, Claim):
            assert answer.start <= when < answer.end
            inside = [each for each in (*INSTANTS, answer.start, answer.end - 1) if answer.start <= each < answer.end]
            assert all(described(getattr(index, verb)(*asked, each)) == described(answer) for each in inside)


@settings(max_examples=120, deadline=None)
@given(changes)
def test_workloads_and_counts_are_the_models(made):
    model, index = Model(), new_index()
    for _ in steps(made, index, model):
        pass
    pods = model.pods()
    present = {seen.workload for seen in pods}
    listed = [
        (each, sum(seen.end == FOREVER for seen in pods if seen.workload == each), model.labels(each))
        for each in sorted(present, key=lambda workload: (workload.name, workload.kind))
    ]
    assert index.workloads() == listed
    counts = {
        "pods": len(pods),
        "services": len(model.of_kind("Service")),
        "nodes": len(model.of_kind("Node")),
        "workloads": len(present),
    }
    assert index.counts().items() >= counts.items()
    assert index.remembered == len(model.gone)
    for workload, seen in model.known().items():
        assert index.labels_of(workload) == model.labels(workload)
        assert index.is_named(workload) == any(each.named for each in seen)
        assert index.workload_named("shop", workload.name) == model.named(workload.name)
    for name in PODS:
        assert index.workload_named("shop", name) == model.named(name)


@settings(max_examples=100, deadline=None)
@given(changes)
def test_nothing_is_left_when_everything_is_deleted(made):
    index = new_index()
    index.applications("shop", "x", 0)
    for _ in steps(made, index):
        pass
    for change in made:
        if isinstance(change, dict):
            index.delete(*key_of(change))
    index.forget(FOREVER)
    assert left_in(index) == {}


def left_in(index):
    """All containers of the index, and of its parts, that are not empty."""
    left = {}
    for name, part in vars(index).items():
        if name in ("domain", "keys", "on_change", "_kinds", "_news", "_dialled_nodes"):
            continue  # settings, what is learned for good, and what only points to the others
        parts = vars(part) if hasattr(part, "__dict__") else {"": part}
        for field, value in parts.items():
            if hasattr(value, "__len__") and len(value):
                left[f"{name}.{field}"] = value
    return left


def test_the_model_is_asked_about_every_kind():
    assert {kind_of(item) for item in api_objects(ADDRESSES)} == {"Service", "EndpointSlice.discovery.k8s.io"}
