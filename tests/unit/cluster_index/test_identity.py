from __future__ import annotations

import pytest

from network_mapper.cluster.identity import IdentityKeys, controller, given_name, only_naming, static_name
from network_mapper.cluster.objects import ObjectMeta, OwnerReference

KEYS = IdentityKeys()
NAMING = [("annotations", key) for key in KEYS.annotations] + [("labels", key) for key in KEYS.labels]


@pytest.mark.parametrize("first", range(len(NAMING)))
def test_the_first_key_that_names_wins(first):
    meta = ObjectMeta(name="p", annotations={}, labels={})
    for number, (where, key) in enumerate(NAMING[first:], first):
        getattr(meta, where)[key] = f"name-{number}"
    assert given_name(meta, KEYS, []) == f"name-{first}"


@pytest.mark.parametrize("value", ["", "  ", "\n", "x" * 254, "a\x1bb", "a\nb"])
def test_a_value_that_is_no_name_is_passed_over_and_noted(value):
    problems: list[str] = []
    meta = ObjectMeta(name="p", annotations={KEYS.annotations[0]: value}, labels={KEYS.labels[0]: "web"})
    assert given_name(meta, KEYS, problems) == "web"
    assert len(problems) == 1
    assert KEYS.annotations[0] in problems[0]


@pytest.mark.parametrize("name", ["a.b.c", "x" * 253])
def test_names_keep_dots_and_may_be_long(name):
    assert given_name(ObjectMeta(annotations={KEYS.annotations[1]: name}), KEYS, []) == name


def test_the_keys_can_be_chosen():
    keys = IdentityKeys(annotations=("team/name",), labels=())
    meta = ObjectMeta(annotations={KEYS.annotations[0]: "other", "team/name": "mine"}, labels={KEYS.labels[0]: "no"})
    assert given_name(meta, keys, []) == "mine"


def test_only_naming_annotations_are_kept():
    assert only_naming({"big": "x" * 10**6, KEYS.annotations[2]: "web"}, KEYS) == {KEYS.annotations[2]: "web"}
    assert only_naming({"big": "x"}, KEYS) is None


def test_the_controller_owns_not_the_first():
    references = [OwnerReference("v1", "A", "a"), OwnerReference("v1", "B", "b", controller=True)]
    assert controller(references) is references[1]


def test_without_a_controller_the_first_owns():
    references = [OwnerReference("v1", "A", "a", controller=False), OwnerReference("v1", "B", "b")]
    assert controller(references) is references[0]


def test_references_without_name_or_kind_do_not_own():
    assert controller([OwnerReference("v1", "", "a"), OwnerReference("v1", "A", "", controller=True)]) is None


@pytest.mark.parametrize(
    ("pod", "node", "name"),
    [
        ("etcd-node.example.org", "node.example.org", "etcd"),
        ("etcd", "node", "etcd"),
        ("-node", "node", "-node"),
        ("kube-proxy-node-2", "node", "kube-proxy-node-2"),
    ],
)
def test_a_static_pod_loses_its_nodes_name(pod, node, name):
    assert static_name(pod, node) == name
