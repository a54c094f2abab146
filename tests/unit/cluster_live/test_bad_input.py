"""Whatever a server sends, nothing raises, and what it sends afterwards is taken."""

import asyncio
import contextlib
import itertools
import json
import random

import followed_fake
import pytest
from fake_api import FakeAnswer
from hypothesis import given, settings
from hypothesis import strategies as st

from network_mapper.cluster.live.discovery import DiscoveryError, discover
from network_mapper.cluster.live.reflector import Reflector, State
from network_mapper.cluster.live.resources import PODS, Resource

WORDS = """metadata items kind name namespace resourceVersion continue type object spec status ownerReferences
annotations labels versions resources groups verbs responseKind code"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.sampled_from(["ADDED", "ERROR", "BOOKMARK", "DELETED"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
)
BODIES = st.one_of(st.binary(max_size=30), VALUES.map(lambda value: json.dumps(value).encode()))
RESOURCES = st.sampled_from([PODS, Resource("apps", "v1", "replicasets", "ReplicaSet")])


def reflector(resource):
    return Reflector(resource, followed_fake.Recorder(), wall=lambda: 1, spread=random.Random(1), page=2)


def good(resource):
    item = followed_fake.pod("good", resourceVersion="7")
    return {"kind": f"{resource.kind}List", "metadata": {"resourceVersion": "7"}, "items": [item]}


@settings(max_examples=400, deadline=None)
@given(BODIES, RESOURCES, st.sampled_from([200, 200, 200, 400, 404, 410, 429, 500]))
def test_any_page_leaves_a_reflector_that_goes_on(body, resource, status):
    one = reflector(resource)
    one.ask()
    list(one.page(status, {}, body, 0.0))
    for _ in range(3):
        one.ask()
        if not one.listed:
            list(one.page(200, {}, json.dumps(good(resource)).encode(), 1000.0))
    assert one.listed


@settings(max_examples=400, deadline=None)
@given(st.lists(BODIES, max_size=3), RESOURCES)
def test_any_lines_leave_a_reflector_that_goes_on(lines, resource):
    one = reflector(resource)
    one.ask()
    list(one.page(200, {}, json.dumps(good(resource)).encode(), 0.0))
    one.ask()
    one.opened(0.0)
    for line in lines:
        if not one.line(line, 1.0):
            break
    else:
        one.ended(2.0)
    assert one.delay(1000.0) <= 0
    if one.ask().watch:
        one.opened(1000.0)
        event = {"type": "ADDED", "object": followed_fake.pod("later", resourceVersion=str(10**18))}
        assert one.line(json.dumps(event).encode(), 1001.0)
        assert one.state is State.WATCHING
        assert ("shop", "later") in one.held.versions


@settings(max_examples=400, deadline=None)
@given(BODIES, BODIES, st.sampled_from([200, 200, 200, 404, 503]))
def test_any_answer_to_discovery_is_a_catalogue_or_an_error(first, second, status):
    answers = itertools.chain([first], itertools.repeat(second))

    class Api:
        async def get(self, *_, **__):
            return FakeAnswer(status, {}, next(answers))

    with contextlib.suppress(DiscoveryError):
        catalogue = asyncio.run(discover(Api()))
        assert all(kind == resource.group_kind for kind, resource in catalogue.resources.items())


@pytest.mark.parametrize("version", ["1" * 5000, "٣", "-5", "0x10", "", None, 7])
def test_strange_versions_are_taken_as_they_are(version):
    one = reflector(PODS)
    one.ask()
    page = good(PODS)
    page["items"][0]["metadata"]["resourceVersion"] = version
    list(one.page(200, {}, json.dumps(page).encode(), 0.0))
    assert ("shop", "good") in one.held.versions
