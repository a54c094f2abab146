"""The index against a model that works every answer out anew, after any changes in any order."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from index_model import (
    API_PORT,
    REMEMBER,
    REMEMBER_MOST,
    Glimpse,
    Model,
    api_objects,
    key_of,
    node_object,
    pod_object,
    service_object,
)
from kube import decoded, end, endpoint_slice, instant, kind_of, node, obj, owned_by

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
from network_mapper.model import PodRef, PodSighting, Workload

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
INSTANTS = [instant(second) for second in (-4, -1, 0, 0.5, 1.5, 2, 2.4, 3.9, 4, 4.5, 5, 8, 20, 30)]

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
    uid=st.sampled_from(["", "1", "1", "2"]),
    life=st.sampled_from([None, None, "waits", (1, 0), (3, 0), (1, 1), (1, 2)]),
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
    uid=st.sampled_from(["", "1", "1", "2"]),
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
    node_object,
    st.sampled_from(ADDRESSES),
    st.lists(st.sampled_from(["10.0.0.0/30", "10.0.0.2/31", "fd00::/126"]), max_size=2),
    st.sampled_from(["", "1", "2"]),
)
api = some_addresses.flatmap(lambda ips: st.sampled_from(list(api_objects(ips))))


class Apply(NamedTuple):
    """An object is there, told at a second, or (None) so for as long as anybody knows."""

    item: dict[str, Any]
    second: float | None
    since: float | None = None


class Delete(NamedTuple):
    """Delete the present object with a number, at a second, or (None) as if it had never been."""

    number: int
    second: float | None


class Forget(NamedTuple):
    """Forget what has been gone for long, at a second."""

    second: int


class Sight(NamedTuple):
    """A node saw a pod with an address."""

    node: str
    name: str
    uid: str
    address: str
    first: float
    last: float
    ahead: int


moments = st.sampled_from([None, None, 0.5, 2.5, 4, 20])
objects = pods | pods | owners | owners | services | slices | slices | old_endpoints | nodes | api
applied = st.builds(Apply, objects, moments, st.sampled_from([None, None, None, -3]))
deletions = st.builds(Delete, st.integers(0, 9), moments)
sights = st.builds(
    lambda node, name, number, address, span, ahead: Sight(node, name, name + number, address, *span, ahead),
    st.sampled_from(["n1", "n1", "n2"]),
    st.sampled_from([*PODS, "z"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(ADDRESSES),
    st.tuples(st.sampled_from([0, 1.5, 2.2, 3.9, 4.5]), st.sampled_from([0, 1.5, 2.2, 3.9, 4.5])).map(sorted),
    st.sampled_from([0, 0, 700]),
)
some_changes = st.lists(
    applied | applied | applied | deletions | sights | st.builds(Forget, st.sampled_from([7, 9, 12])), max_size=30
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
changes = st.builds(
    lambda scene, more: [*(Apply(item, None) for item in scene), *more],
    st.sampled_from([[], SCENE, SCENE]),
    some_changes,
)


def steps(made, *takers):
    """Make the drawn changes of every taker (the index and the model); stops after each but those of the scene."""
    present = {}
    for change in made:
        for taker in takers:
            take(taker, change, present)
        if isinstance(change, Apply):
            present[key_of(change.item)] = change.item
        elif isinstance(change, Delete) and present:
            present.pop(key_of(numbered(present, change.number)))
        if not (isinstance(change, Apply) and any(change.item is item for item in SCENE)):
            yield


def numbered(present, number):
    return present[sorted(present)[number % len(present)]]


def take(taker, change, present):
    """Make a change of the index or the model."""
    if isinstance(change, Apply):
        when = moment(change.second), moment(change.since)
        if isinstance(taker, Index):
            taker.apply(kind_of(change.item), decoded(change.item), *when)
        else:
            taker.apply(change.item, *when)
    elif isinstance(change, Delete):
        if present:
            item = numbered(present, change.number)
            taker.delete(*(key_of(item) if isinstance(taker, Index) else (item,)), moment(change.second))
    elif isinstance(change, Forget):
        taker.forget(instant(change.second))
    else:
        first, last = instant(change.first), instant(change.last)
        if isinstance(taker, Index):
            ref = PodRef("shop", change.name, change.uid)
            taker.sight(change.node, PodSighting(ref, (change.address,), first, last), change.ahead)
        else:
            taker.sight(Glimpse(change.uid, change.name, change.address, change.node, first, last + 1), change.ahead)


def moment(second):
    return None if second is None else instant(second)


def new_index(**more):
    return Index(remember=REMEMBER, remember_most=REMEMBER_MOST, **more)


def described(found, when):
    """An answer of the index in the model's words."""
    owners = ()
    if isinstance(found, Claim):
        assert found.start <= when < found.end
        owners = (found.owner,)
    elif isinstance(found, Contested):
        owners = found.owners
    elif isinstance(found, PodEntry | ServiceEntry | NodeEntry):
        owners = (found,)
    else:
        assert found in (None, MISSING, OUTSIDE)
    assert len(owners) != 1 or not isinstance(found, Contested)
    return {describe(owner, when) for owner in owners}


def describe(owner, when):
    if isinstance(owner, PodEntry):
        return "Pod", owner.name, owner.workload
    if isinstance(owner, ServiceEntry):
        return "Service", owner.name, owner.backends_at(when)
    return "Node", owner.name


QUESTIONS = [
    *(("at", address) for address in ADDRESSES),
    *(("dialled", address, port, "tcp") for address in ADDRESSES for port in PORTS),
    *(("name", name) for name in NAMES),
]


def ask(index, question, when):
    verb, *asked = question
    return described(getattr(index, verb)(*asked, when), when)


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
    for number, _ in enumerate(steps(made, index, model)):
        for question in QUESTIONS:
            for when in INSTANTS[number % 4 :: 4]:  # all of them in turn
                assert ask(index, question, when) == expected(model, question, when), (question, when)
    for question, when in itertools.product(QUESTIONS, INSTANTS):
        assert ask(index, question, when) == expected(model, question, when), (question, when)


@settings(max_examples=150, deadline=None)
@given(changes)
def test_pods_are_found_by_name_host_and_application_as_the_model_finds_them(made):
    model, index = Model(), new_index()
    for number, _ in enumerate(steps(made, index, model)):
        for when in INSTANTS[number % 4 :: 4]:
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
            for when in INSTANTS[::2]:
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
            inside = [each for each in (*INSTANTS, answer.start, answer.end - 1) if answer.start <= each < answer.end]
            for each in inside:
                again = getattr(index, verb)(*asked, each)
                assert isinstance(again, Claim)
                assert describe(again.owner, when) == describe(answer.owner, when)
                backing = answer.owner.backing(each) if isinstance(answer.owner, ServiceEntry) else None
                if backing:
                    assert backing.start <= each < backing.end
                    edges = [max(backing.start, answer.start), min(backing.end, answer.end) - 1]
                    assert {answer.owner.backends_at(edge) for edge in edges} == {backing.workloads}


@settings(max_examples=120, deadline=None)
@given(changes)
def test_pods_are_found_by_uid_and_workloads_exist_as_the_model_says(made):
    model, index = Model(), new_index()
    for _ in steps(made, index, model):
        for uid in (name + number for name in PODS for number in "12"):
            found, seen = index.pod_of_uid(uid), model.pod_of_uid(uid)
            assert (found and (found.name, found.workload)) == (seen and (seen.name, seen.workload))
        for kind, name in [*OWNERS, ("Deployment", "given"), ("", "a"), ("Pod", "given")]:
            workload = Workload(name, "shop", kind)
            assert index.exists(workload) == model.exists(workload), workload


@settings(max_examples=100, deadline=None)
@given(changes)
def test_every_change_made_twice_changes_no_answer(made):
    once, twice = new_index(), new_index()
    present = {}
    for change in made:
        take(once, change, present)
        take(twice, change, present)
        take(twice, change, present)
        if isinstance(change, Apply):
            present[key_of(change.item)] = change.item
        elif isinstance(change, Delete) and present:
            present.pop(key_of(numbered(present, change.number)))
    for question, when in itertools.product(QUESTIONS, INSTANTS):
        assert ask(once, question, when) == ask(twice, question, when), (question, when)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(objects | sights, max_size=12, unique_by=lambda each: key_of(each) if isinstance(each, dict) else each),
    st.randoms(),
)
def test_the_order_in_which_objects_and_sightings_are_told_does_not_matter(told, random):
    one, other = new_index(), new_index()
    mixed = list(told)
    random.shuffle(mixed)
    for index, every in ((one, told), (other, mixed)):
        for each in every:
            take(index, Apply(each, None) if isinstance(each, dict) else each, {})
    for question, when in itertools.product(QUESTIONS, INSTANTS):
        assert ask(one, question, when) == ask(other, question, when), (question, when)


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
    assert index.remembered == sum(not each.part for each in model.gone_pods())
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
        if isinstance(change, Apply):
            index.delete(*key_of(change.item))
    index.forget(FOREVER)
    assert left_in(index) == {}


def left_in(index):
    """All containers of the index, and of its parts, that are not empty."""
    left = {}
    for name, part in vars(index).items():
        if name in ("domain", "keys", "on_change", "_kinds", "_news", "_dialled_nodes", "_roots", "_ahead", "_unfound"):
            continue  # settings, what is learned for good, and what only points to the others
        parts = vars(part) if hasattr(part, "__dict__") else {"": part}
        for field, value in parts.items():
            if hasattr(value, "__len__") and len(value):
                left[f"{name}.{field}"] = value
    return left


def test_the_model_is_asked_about_every_kind():
    assert {kind_of(item) for item in api_objects(ADDRESSES)} == {"Service", "EndpointSlice.discovery.k8s.io"}
