from __future__ import annotations

import itertools

import pytest

from network_mapper.cluster.owners import DEEPEST, OwnerTree


def key(name: str) -> tuple[str, str, str]:
    return ("Thing", "ns", name)


def tree(*links: tuple[str, str]) -> OwnerTree:
    made = OwnerTree()
    for child, parent in links:
        made.put(key(child), key(parent))
    return made


@pytest.mark.parametrize("order", list(itertools.permutations([("pod", "rs"), ("rs", "deploy"), ("deploy", "app")])))
def test_the_root_does_not_depend_on_the_order_of_arrival(order):
    assert tree(*order).root(key("pod")) == key("app")


def test_an_owner_never_seen_is_the_root():
    assert tree(("pod", "rs")).root(key("pod")) == key("rs")


@pytest.mark.parametrize("start", ["pod", "c", "a", "b"])
def test_a_circle_ends_at_its_smallest_member(start):
    assert tree(("pod", "c"), ("c", "a"), ("a", "b"), ("b", "c")).root(key(start)) == key("a")


def test_an_object_that_owns_itself_is_its_root():
    assert tree(("pod", "pod")).root(key("pod")) == key("pod")


def test_a_chain_without_end_is_cut():
    made = tree(*((str(n), str(n + 1)) for n in range(1000)))
    assert made.root(key("0")) == key(str(DEEPEST))


def test_everything_below_is_found_once_even_in_a_circle():
    made = tree(("pod", "a"), ("a", "b"), ("b", "a"))
    assert sorted(made.below(key("a"))) == [key("a"), key("b"), key("pod")]


def test_a_deleted_owner_is_remembered_while_something_descends_from_it():
    made = tree(("pod", "rs"), ("rs", "deploy"))
    made.remove(key("rs"))
    assert made.root(key("pod")) == key("deploy")


def test_a_deleted_owner_goes_with_its_last_descendant():
    made = tree(("pod", "rs"), ("rs", "deploy"), ("deploy", "app"))
    for name in ("deploy", "rs", "pod"):
        made.remove(key(name))
    assert len(made) == 0
    assert list(made.below(key("app"))) == []


def test_deleted_owners_in_a_circle_go_too():
    made = tree(("pod", "a"), ("a", "b"), ("b", "a"))
    for name in ("a", "b", "pod"):
        made.remove(key(name))
    assert len(made) == 0


def test_an_owner_that_is_no_longer_owned_becomes_the_root():
    made = tree(("pod", "rs"), ("rs", "deploy"))
    assert made.put(key("rs"), None)
    assert made.root(key("pod")) == key("rs")


def test_what_is_known_is_no_news():
    assert not tree(("pod", "rs")).put(key("pod"), key("rs"))
