"""Objects as nobody should store them, and clusters as few people have them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kube import apply, delete, end, endpoint_slice, instant, kind_of, node, obj, owned_by, pod, service, time

from network_mapper.cluster.index import FOREVER, Index
from network_mapper.cluster.objects import INDEXED, Owner
from network_mapper.cluster.owners import DEEPEST
from network_mapper.model import Workload

LATER = instant(50)


@pytest.fixture
def index():
    return Index()


WHOLE = [
    pod("p", "10.0.0.1", spec={"hostname": "h", "hostNetwork": False}, **owned_by("ReplicaSet", "r")),
    service("s", "10.96.0.1", type="NodePort", externalIPs=["198.51.100.1"]),
    endpoint_slice("s-1", "s", end("10.0.0.1", "p", "h")),
    node("n1", "192.168.0.1", podCIDRs=["10.0.0.0/24"]),
    obj("Endpoints", "s", subsets=[{"addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "p"}}]}]),
    obj("ServiceCIDR", "c", None, "networking.k8s.io/v1", spec={"cidrs": ["10.96.0.0/16"]}),
    obj("ReplicaSet", "r", api_version="apps/v1", meta=owned_by("Deployment", "d")),
]


def fields_of(item, path=()):
    """The paths of all fields below apiVersion and kind."""
    found = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, value in found:
        if (*path, key) not in (("apiVersion",), ("kind",)):
            yield (*path, key)
            yield from fields_of(value, (*path, key))


def without(item, path, null):
    """A copy of `item` without the field at `path`, or with null there."""
    copy = msgspec.json.decode(msgspec.json.encode(item))
    *above, last = path
    place = copy
    for key in above:
        place = place[key]
    if null and isinstance(place, dict):
        place[last] = None
    else:
        del place[last]
    return copy


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_any_field_may_be_missing_and_a_null_is_taken_or_refused_by_the_decoder(number, null):
    whole = WHOLE[number]
    for path in fields_of(whole):
        item = without(whole, path, null)
        try:
            decoded = msgspec.convert(item, INDEXED.get(kind_of(item), Owner))
        except msgspec.ValidationError:
            assert null, path
            continue
        index = apply(Index(), *(each for each in WHOLE if each is not whole))
        index.apply(kind_of(item), decoded)
        for address in ("10.0.0.1", "192.168.0.1", "10.96.0.1"):
            index.dialled(address, 80, "tcp", LATER)
        index.name("h.s.shop.svc.cluster.local", LATER)
        index.workloads()
        delete(index, whole)


scraps = st.recursive(st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=5), st.lists, max_leaves=3)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(WHOLE), st.data())
def test_no_object_that_decodes_raises(whole, data):
    item = msgspec.json.decode(msgspec.json.encode(whole))
    path = data.draw(st.sampled_from(list(fields_of(item))))
    *above, last = path
    place = item
    for key in above:
        place = place[key]
    place[last] = data.draw(scraps)
    try:
        decoded = msgspec.convert(item, INDEXED.get(kind_of(item), Owner))
    except msgspec.ValidationError:
        return
    index = apply(Index(), *WHOLE)
    index.apply(kind_of(item), decoded)
    index.dialled("192.168.0.1", 80, "tcp", LATER)
    index.name("h.s.shop.svc.cluster.local", LATER)


# Owners


def test_an_owner_that_is_missing_or_may_not_be_read_names_its_pods(index):
    apply(index, pod("p", "10.0.0.1", **owned_by("Rollout", "web.v2", "argoproj.io/v1alpha1")))
    assert index.at("10.0.0.1", LATER).owner.workload == Workload("web.v2", "shop", "Rollout")


def test_owners_in_a_circle_of_three_name_one_of_them_for_every_pod(index):
    for child, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        apply(index, obj("Thing", child, api_version="x.org/v1", meta=owned_by("Thing", parent, "x.org/v1")))
        apply(index, pod(f"p-{child}", **owned_by("Thing", child, "x.org/v1")))
    assert [workload for workload, _, _ in index.workloads()] == [Workload("a", "shop", "Thing")]


def test_a_pod_that_owns_itself_is_itself(index):
    assert apply(index, pod("p", "10.0.0.1", **owned_by("Pod", "p", "v1"))).workloads()[0][0].name == "p"


def test_a_chain_of_owners_without_end_is_cut(index):
    for number in range(DEEPEST * 3):
        apply(
            index,
            obj("Thing", f"t{number}", api_version="x.org/v1", meta=owned_by("Thing", f"t{number + 1}", "x.org/v1")),
        )
    apply(index, pod("p", "10.0.0.1", **owned_by("Thing", "t0", "x.org/v1")))
    assert index.at("10.0.0.1", LATER).owner.workload.kind == "Thing"


# Size


def test_five_thousand_namespaces_are_kept_apart(index):
    for number in range(5000):
        item = pod("web", f"10.{number >> 8}.{number & 255}.1")
        item["metadata"]["namespace"] = f"team-{number}"
        apply(index, item)
    assert index.counts()["workloads"] == 5000
    assert index.at("10.19.135.1", LATER).owner.workload == Workload("web", "team-4999", "Pod")
    assert index.workload_named("team-77", "web") == Workload("web", "team-77", "Pod")
    assert index.problems.lines() == []


@pytest.mark.parametrize("name", ["a.b.c-d", "x" * 253, ".".join(["y" * 62] * 4)])
def test_names_with_dots_and_253_characters_are_names(index, name):
    ends = endpoint_slice(name, "web", end("10.0.0.1", name))
    apply(index, pod(name, "10.0.0.1"), service("web"), ends)
    assert index.at("10.0.0.1", LATER).owner.workload.name == name
    assert index.pod("shop", name, LATER).name == name
    assert [workload.name for workload in index.backends_of("web", "shop")] == [name]


@pytest.mark.parametrize("port", [-1, 0, 65536, 1 << 60])
def test_ports_that_are_none_do_no_harm(index, port):
    ports = [{"port": port, "nodePort": port, "targetPort": port}]
    spec = {"hostNetwork": True, "containers": [{"name": "c", "ports": [{"containerPort": port}]}]}
    apply(
        index, node("n1", "192.168.0.1"), service("s", type="NodePort", ports=ports), pod("p", "192.168.0.1", spec=spec)
    )
    assert index.dialled("192.168.0.1", 80, "tcp", LATER).owner.name == "n1"


# Pods whose phase is over


def over(*conditions, phase="Failed"):
    item = pod("p", "10.0.0.1")
    item["status"] |= {
        "phase": phase,
        "conditions": [
            {"type": kind, "status": status, "lastTransitionTime": when} for kind, status, when in conditions
        ],
    }
    return item


@pytest.mark.parametrize(
    ("conditions", "end"),
    [
        ([("Ready", "False", time(9)), ("ContainersReady", "False", time(8))], instant(10)),
        ([("Ready", "False", time(3)), ("DisruptionTarget", "True", time(9))], instant(10)),
        ([("Ready", "True", time(9)), ("PodScheduled", "True", time(9))], FOREVER),
        ([("Ready", "False", "soon"), ("Ready", "False", None)], FOREVER),
        ([], FOREVER),
    ],
)
def test_an_evicted_pod_ended_when_its_conditions_say(index, conditions, end):
    apply(index, over(*conditions))
    assert index.at("10.0.0.1", instant(5)).end == end
    assert bool(index.problems.lines()) == (end == FOREVER)


def test_conditions_do_not_end_a_pod_that_runs(index):
    apply(index, over(("Ready", "False", time(9)), phase="Running"))
    assert index.at("10.0.0.1", LATER).end == FOREVER


def test_a_pending_pod_whose_init_containers_run_owns_its_address_from_its_start(index):
    item = pod("p", "10.0.0.1", start=5)
    item["status"] |= {"phase": "Pending", "initContainerStatuses": [{"state": {"running": {"startedAt": time(7)}}}]}
    assert apply(index, item).at("10.0.0.1", LATER).start == instant(5)


def test_an_address_of_a_finished_pod_belongs_to_its_new_owner(index):
    apply(index, pod("old", "10.0.0.1", ended=10), pod("new", "10.0.0.1", start=12))
    assert index.at("10.0.0.1", LATER).owner.name == "new"
    assert index.at("10.0.0.1", instant(9)).owner.name == "old"
    assert index.problems.lines() == []
