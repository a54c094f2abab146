"""The index against a model that holds the present objects and works every answer out anew, slowly and obviously."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from kube import (
    apply,
    delete,
    end,
    endpoint_slice,
    instant,
    kind_of,
    node,
    obj,
    owned_by,
    pod,
    service,
)

from network_mapper.cluster.index import FOREVER, MISSING, Claim, Contested, Index, NodeEntry, PodEntry, ServiceEntry
from network_mapper.model import Workload

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"]
PODS = ["a", "b", "c"]
SERVICES = ["s", "t"]
OWNERS = [("ReplicaSet", "r"), ("ReplicaSet", "q"), ("Deployment", "d"), ("Pod", "a")]
SECONDS = [0, 2, 4]

QUESTIONS = [
    *ADDRESSES,
    *(f"{service}.shop.svc.cluster.local" for service in SERVICES),
    *(f"{host}.s.shop.svc.cluster.local" for host in ("a", "b", "h", "10-0-0-1", "fd00--1")),
    *("10-0-0-1.shop.pod.cluster.local", "fd00--1.shop.pod.cluster.local"),
]
INSTANTS = [instant(second) for second in (-1, 0, 1.5, 2, 3.9, 4, 4.5, 5, 30)]

some_addresses = st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True)
some_owner = st.sampled_from(OWNERS).map(lambda owner: owned_by(*owner, "v1" if owner[0] == "Pod" else "apps/v1"))
ends = st.builds(
    end, st.sampled_from(ADDRESSES), st.sampled_from([None, *PODS]), st.sampled_from([None, None, "h", "b"])
)
pods = st.builds(
    lambda name, ips, start, ended, host, owner, labels: pod(
        name, *ips, start=start, ended=ended, spec={"hostNetwork": host}, labels=labels, **owner
    ),
    st.sampled_from(PODS),
    some_addresses,
    st.sampled_from(SECONDS),
    st.sampled_from([None, None, 3, 4]),
    st.sampled_from([False, False, True]),
    some_owner | st.just({}),
    st.sampled_from([{}, {"app": "x"}, {"otterize/service-name": "given"}, {"otterize/service-name": ""}]),
)
owners = st.builds(
    lambda key, owner: obj(key[0], key[1], api_version="apps/v1", meta=owner),
    st.sampled_from(OWNERS[:3]),
    some_owner | st.just({}),
)
services = st.builds(
    lambda name, ips, external: service(name, *ips, externalIPs=external),
    st.sampled_from(SERVICES),
    some_addresses,
    some_addresses,
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
nodes = st.builds(node, st.just("n1"), st.sampled_from(ADDRESSES))
objects = pods | pods | owners | owners | services | slices | slices | old_endpoints | nodes
changes = st.lists(objects | objects | st.integers(0, 9), max_size=30)
"""Objects are applied; a number deletes the present object with that number."""


def steps(made):
    """Turn drawn changes into ("apply" or "delete", object)."""
    present = {}
    for change in made:
        if not isinstance(change, int):
            present[key_of(change)] = change
            yield "apply", change
        elif present:
            yield "delete", present.pop(sorted(present)[change % len(present)])


def key_of(item):
    return kind_of(item), item["metadata"].get("namespace", ""), item["metadata"]["name"]


def parent_of(item):
    references = item["metadata"].get("ownerReferences")
    if not references:
        return None
    kind = references[0]["kind"]
    return (kind if kind == "Pod" else f"{kind}.apps", "shop", references[0]["name"])


class Model:
    """The present objects, and the parents of deleted ones that something present still descends from."""

    def __init__(self):
        self.objects = {}
        self.gone = {}

    def change(self, verb, item):
        key = key_of(item)
        self.gone.pop(key, None)
        if verb == "apply":
            self.objects[key] = item
        elif key in self.objects:
            parent = parent_of(self.objects.pop(key))
            if parent:
                self.gone[key] = parent
        self.gone = {key: parent for key, parent in self.gone.items() if self.has_living(key)}

    def has_living(self, key):
        return any(key in self.chain(living)[1:] for living in self.objects if self.parent(living))

    def parent(self, key):
        return parent_of(self.objects[key]) if key in self.objects else self.gone.get(key)

    def chain(self, key):
        """The way up, where a circle is closed by its first member once more."""
        way = [key]
        while (parent := self.parent(way[-1])) is not None:
            way.append(parent)
            if parent in way[:-1]:
                break
        return way

    def of_kind(self, kind):
        return {key[2]: item for key, item in self.objects.items() if key[0] == kind}

    def workload(self, name):
        way = self.chain(("Pod", "shop", name))
        root = way[-1]
        if root in way[:-1]:
            root = min(way[way.index(root) :])
        given = self.of_kind("Pod")[name]["metadata"].get("labels", {}).get("otterize/service-name")
        return Workload(given or root[2], "shop", root[0].partition(".")[0])

    def span(self, name):
        status = self.of_kind("Pod")[name]["status"]
        start = int(status["startTime"][-3:-1])
        ended = status.get("containerStatuses")
        end = instant(int(ended[0]["state"]["terminated"]["finishedAt"][-3:-1]) + 1) if ended else FOREVER
        return instant(start), end

    def claims(self, address):
        """(owner as (kind, name), start, end) of all that ever had the address."""
        found = []
        for name, item in self.of_kind("Pod").items():
            if {"ip": address} in item["status"]["podIPs"] and not item["spec"]["hostNetwork"]:
                found.append((("Pod", name), *self.span(name)))
        for name, item in self.of_kind("Service").items():
            if address in item["spec"]["clusterIPs"] + item["spec"]["externalIPs"]:
                found.append((("Service", name), instant(0), FOREVER))
        for name, item in self.of_kind("Node").items():
            if item["status"]["addresses"][0]["address"] == address:
                found.append((("Node", name), instant(0), FOREVER))
        return found

    def at(self, address, when):
        valid = {owner for owner, start, end in self.claims(address) if start <= when < end}
        return {owner for owner in valid if owner[0] != "Service"} or valid

    def endpoints(self, service):
        slices = [
            item
            for item in self.of_kind("EndpointSlice.discovery.k8s.io").values()
            if item["metadata"]["labels"]["kubernetes.io/service-name"] == service
        ]
        if slices:
            return [each for item in slices for each in item["endpoints"]]
        old = self.of_kind("Endpoints").get(service)
        return [{"addresses": [each["ip"]]} for each in old["subsets"][0]["addresses"]] if old else []

    def backends(self, service):
        found = set()
        for each in self.endpoints(service):
            if "targetRef" in each:
                names = {each["targetRef"]["name"]} & self.of_kind("Pod").keys()
            else:
                claims = self.claims(each["addresses"][0])
                names = {owner[1] for owner, _, end in claims if owner[0] == "Pod" and end == FOREVER}
                names = names if len(names) == 1 else set()
            found |= {self.workload(name) for name in names}
        return sorted(found, key=lambda workload: (workload.name, workload.kind))

    def host(self, service, host, when):
        """The owners that `host.service` stands for."""
        targets = [each for each in self.endpoints(service) if "targetRef" in each]
        named = (
            {each["targetRef"]["name"] for each in targets if each.get("hostname") == host},
            {each["targetRef"]["name"] for each in targets if each["targetRef"]["name"] == host},
            {each["targetRef"]["name"] for each in targets if dashed(each["addresses"][0]) == host},
        )
        pods = next((found for found in named if found), set())
        if len(pods) == 1:
            name = next(iter(pods))
            if name in self.of_kind("Pod") and self.span(name)[0] <= when < self.span(name)[1]:
                return {("Pod", name)}
        for address in ADDRESSES:
            found = self.at(address, when)
            if dashed(address) == host and found and (len(found) > 1 or next(iter(found))[0] == "Pod"):
                return found
        return {("Service", service)}

    def answer(self, question, when):
        if question in ADDRESSES:
            return self.at(question, when)
        *above, name, _, kind, _, _ = question.split(".")
        if kind == "pod":
            return next(self.at(address, when) for address in ADDRESSES if dashed(address) == name)
        if name not in self.of_kind("Service"):
            return set()
        return self.host(name, above[0], when) if above else {("Service", name)}

    def full(self, question, when):
        return {(*owner, self.detail(*owner)) for owner in self.answer(question, when)}

    def detail(self, kind, name):
        if kind == "Pod":
            return self.workload(name)
        if kind == "Service":
            return tuple(self.backends(name))
        pods = self.of_kind("Pod").items()
        return tuple(sorted(each for each, item in pods if item["spec"]["hostNetwork"]))


def dashed(address):
    return address.replace(".", "-").replace(":", "-")


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
        assert found in (None, MISSING)
    assert len(owners) != 1 or not isinstance(found, Contested)
    return {describe(owner) for owner in owners}


def describe(owner):
    if isinstance(owner, PodEntry):
        return "Pod", owner.name, owner.workload
    if isinstance(owner, ServiceEntry):
        return "Service", owner.name, owner.backends
    return "Node", owner.name, tuple(each.name for each in owner.host_pods)


def ask(index, question, when):
    return described(index.at(question, when) if question in ADDRESSES else index.name(question, when))


@settings(max_examples=400, deadline=None)
@given(changes)
def test_after_any_changes_every_answer_is_the_models(made):
    model, index = Model(), Index()
    for verb, item in steps(made):
        model.change(verb, item)
        apply(index, item) if verb == "apply" else delete(index, item)
        for question in QUESTIONS:
            for when in INSTANTS:
                assert ask(index, question, when) == model.full(question, when), (question, when)


@settings(max_examples=200, deadline=None)
@given(changes)
def test_answers_kept_until_their_keys_are_told_stay_true(made):
    kept = {}
    keys = {}

    def forget(key):
        for question in keys.get(key, ()):
            for when in INSTANTS:
                kept.pop((question, when), None)

    index = Index(on_change=forget)
    for question in QUESTIONS:
        for key in [question] if question in ADDRESSES else index.keys_of(question):
            keys.setdefault(key, []).append(question)
    for verb, item in steps(made):
        apply(index, item) if verb == "apply" else delete(index, item)
        for question in QUESTIONS:
            for when in INSTANTS:
                answer = ask(index, question, when)
                assert kept.setdefault((question, when), answer) == answer, (question, when)


@settings(max_examples=200, deadline=None)
@given(changes)
def test_an_answer_is_the_same_all_through_its_span(made):
    index = Index()
    for verb, item in steps(made):
        apply(index, item) if verb == "apply" else delete(index, item)
    for address, when in itertools.product(ADDRESSES, INSTANTS):
        answer = index.at(address, when)
        if isinstance(answer, Claim):
            assert answer.start <= when < answer.end
            inside = [each for each in (*INSTANTS, answer.start, answer.end - 1) if answer.start <= each < answer.end]
            assert all(described(index.at(address, each)) == described(answer) for each in inside)


@settings(max_examples=200, deadline=None)
@given(changes)
def test_workloads_and_counts_are_the_models(made):
    model, index = Model(), Index()
    for verb, item in steps(made):
        model.change(verb, item)
        apply(index, item) if verb == "apply" else delete(index, item)
    names = model.of_kind("Pod")
    living = Counter(model.workload(name) for name in names if model.span(name)[1] == FOREVER)
    known = {model.workload(name) for name in names}
    assert {workload: count for workload, count, _ in index.workloads()} == {each: living[each] for each in known}
    assert index.counts() == {
        "pods": len(names),
        "services": len(model.of_kind("Service")),
        "nodes": len(model.of_kind("Node")),
        "workloads": len(known),
    }


@settings(max_examples=100, deadline=None)
@given(changes)
def test_nothing_is_left_when_everything_is_deleted(made):
    index = Index()
    for verb, item in steps(made):
        apply(index, item) if verb == "apply" else delete(index, item)
    for change in made:
        if not isinstance(change, int):
            delete(index, change)
    held = [name for name, value in vars(index).items() if name not in ("domain", "keys", "on_change", "_kinds")]
    parts = {name: getattr(index, name) for name in held}
    parts |= {f"owners{name}": value for name, value in vars(parts.pop("_owners")).items()}
    parts |= {f"endpoints{name}": value for name, value in vars(parts.pop("_endpoints")).items()}
    parts |= {f"claims{name}": value for name, value in vars(parts.pop("_claims")).items()}
    assert {name: value for name, value in parts.items() if len(value)} == {}
