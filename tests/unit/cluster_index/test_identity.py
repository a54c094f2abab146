from __future__ import annotations

import pytest

from network_mapper.cluster.identity import (
    LONGEST_NAME,
    IdentityKeys,
    controller,
    generated_name,
    given_name,
    image_name,
    image_names,
    only_naming,
    static_name,
)
from network_mapper.cluster.objects import Container, ObjectMeta, OwnerReference

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


def test_single_keys_can_be_chosen_and_left_out():
    keys = IdentityKeys.chosen("team/name", "own/note", "", fold_generated_names=True)
    assert keys.annotations == ("team/name", KEYS.annotations[1], "own/note")
    assert keys.labels == (KEYS.labels[0],)
    assert (keys.image_names_for_jobs, keys.fold_generated_names) == (False, True)
    assert IdentityKeys.chosen() == KEYS


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


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("reg/x/y:1", "x/y"),
        ("reg.io/team/app:1", "team/app"),
        ("reg.io:5000/team/app", "team/app"),
        ("reg.io/team/app:1.2@sha256:0f", "team/app"),
        ("reg.io/team/app@sha256:0f", "team/app"),
        ("team/app:1", "app"),
        ("nginx:1.2", "nginx"),
        ("nginx", "nginx"),
        ("nginx@sha256:0f", "nginx"),
        (" nginx:1 ", "nginx"),
        ("", ""),
        (":1", ""),
        ("reg.io/", "reg.io"),
        ("reg.io/team/", "team"),
    ],
)
def test_an_image_is_called_without_registry_tag_and_digest(image, name):
    assert image_name(image) == name


def test_side_cars_do_not_name_a_pod():
    named = (("istio-proxy", "x/proxy"), ("my-sidecar-2", "x/car"), ("main", "x/app:1"), ("second", "x/tool"))
    assert image_names([Container(name=name, image=image) for name, image in named]) == "app-tool"


def test_names_of_many_images_are_cut():
    assert len(image_names([Container(name=str(number), image="x/" + "y" * 60) for number in range(9)])) == LONGEST_NAME


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("task-abc12", "task-", "task"),
        ("task-abc12", "task", "task"),
        ("a.b.abc12", "a.b.", "a.b"),
        ("task-abc12", "other-", ""),
        ("--abc12", "--", ""),
        ("task", None, ""),
    ],
)
def test_a_generated_name_is_what_it_begins_with(name, prefix, expected):
    assert generated_name(ObjectMeta(name=name, generate_name=prefix)) == expected
