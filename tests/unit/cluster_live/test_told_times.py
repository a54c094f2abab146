"""When a change is told to have happened: on arrival, or at any time since the resource was last heard of."""

from __future__ import annotations

import json
import random

import pytest

from network_mapper.cluster.live.reflector import Reflector
from network_mapper.cluster.live.resources import PODS


class Sink:
    def __init__(self) -> None:
        self.told: list[tuple[str, int | None, int | None]] = []

    def apply(self, _kind, item, /, *, at=None, since=None):
        self.told.append((item.metadata.name, at, since))

    def delete(self, _kind, _namespace, name, /, *, at, since=None):
        self.told.append((f"-{name}", at, since))


class Player:
    """Plays the server for one reflector, at seconds of one clock."""

    def __init__(self) -> None:
        self.sink, self.second = Sink(), 0.0
        self.reflector = Reflector(PODS, self.sink, wall=lambda: round(self.second * 1000), spread=random.Random(1))

    def list(self, second, version, *names):
        self.second = second
        self.reflector.ask()
        items = [_object(name, version) for name in names]
        body = {"kind": "PodList", "metadata": {"resourceVersion": str(version)}, "items": items}
        for _ in self.reflector.page(200, {}, json.dumps(body).encode(), second):
            pass

    def watch(self, second):
        self.second = second
        assert self.reflector.ask().watch
        self.reflector.opened(second)

    def event(self, second, kind, name, version):
        self.second = second
        item = (
            {"kind": "Pod", "metadata": {"resourceVersion": str(version)}}
            if kind == "BOOKMARK"
            else _object(name, version)
        )
        assert self.reflector.line(json.dumps({"type": kind, "object": item}).encode(), second)

    def take(self):
        told, self.sink.told = self.sink.told, []
        return told


def _object(name, version):
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)}}


@pytest.fixture
def player():
    player = Player()
    player.list(10, 1, "a")
    return player


def test_what_the_first_list_tells_has_always_been_so(player):
    assert player.take() == [("a", None, None)]


def test_a_watch_tells_at_once_what_happened_before_it_was_opened(player):
    player.take()
    player.watch(12)
    player.event(13, "ADDED", "b", 2)
    player.event(30, "DELETED", "b", 3)
    assert player.take() == [("b", 13_000, 10_000), ("-b", 30_000, None)]


def test_a_bookmark_says_that_nothing_is_left_to_tell(player):
    player.take()
    player.watch(12)
    player.event(13, "BOOKMARK", "", 2)
    player.event(14, "ADDED", "b", 3)
    assert player.take() == [("b", 14_000, None)]


def test_after_an_interruption_a_change_may_have_happened_since_the_last_word(player):
    player.watch(12)
    player.event(40, "ADDED", "b", 2)
    player.take()
    player.reflector.failed(ConnectionError("lost"), 60)
    player.watch(90)
    player.event(91, "DELETED", "b", 3)
    assert player.take() == [("-b", 91_000, 40_000)]


def test_a_later_list_tells_what_has_changed_since_the_last_word(player):
    player.watch(12)
    player.event(40, "ADDED", "b", 2)
    player.take()
    player.reflector.refused(410, {}, b"{}", 60)
    player.list(90, 9, "b", "c")
    assert player.take() == [("b", 90_000, 40_000), ("c", 90_000, 40_000), ("-a", 90_000, 40_000)]


def test_a_watch_that_ended_as_watches_do_was_heard_until_then(player):
    player.watch(12)
    player.event(40, "ADDED", "b", 2)
    player.take()
    player.second = 60
    player.reflector.ended(60)
    player.watch(61)
    player.event(62, "DELETED", "b", 3)
    assert player.take() == [("-b", 62_000, 60_000)]
