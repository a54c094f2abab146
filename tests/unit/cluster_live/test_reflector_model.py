"""Whatever happens on the way, in the end the sink holds what the server holds, and no list was made for nothing."""

import asyncio
import random

import fake_api
import followed_fake
import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st

from network_mapper.cluster.live.resources import PODS

CHANGES = st.lists(st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from("abcdefgh")), min_size=1, max_size=6)
WAITS = st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0, 5.0, 100.0, 700.0]))
TURNS = st.tuples(st.just("turns"), st.integers(1, 12))
FAULTS = st.tuples(
    st.sampled_from(
        ["cleanly", "broken", "in a line", "compact", "expire", "busy", "other", "expired event", "garbage"]
    ),
    st.none(),
)
SIMPLE = st.one_of(CHANGES.map(lambda changes: ("changes", changes)), WAITS, TURNS, FAULTS)
OUTAGE = st.lists(SIMPLE, min_size=2, max_size=6).map(lambda during: ("outage", during))
RELIST = st.lists(SIMPLE, min_size=2, max_size=6).map(lambda during: ("relist", during))
ACTIONS = st.one_of(SIMPLE, SIMPLE, OUTAGE, RELIST)


def twisted(seed):
    """Events that are repeated, and that come late."""
    chance = random.Random(seed)
    sent: list[bytes] = []

    def twist(lines):
        out: list[bytes] = []
        if any(b'"ERROR"' in line for line in lines):
            return lines
        for line in lines:
            out.insert(len(out) - chance.randrange(3) if len(out) > 2 and chance.random() < 0.3 else len(out), line)
            sent.append(line)
            if chance.random() < 0.3:
                out.append(chance.choice(sent))
        return out

    return twist


class Play:
    """Does things to a server, and counts those after which a list may be needed."""

    def __init__(self, api):
        self.api = api
        self.faults = 0

    async def do(self, action, value):
        api = self.api
        match action:
            case "changes":
                for what, name in value:
                    if what == "put":
                        api.put("pods", followed_fake.pod(name))
                    elif ("shop", name) in api.collections[api.path("pods")].objects:
                        api.remove("pods", "shop", name)
            case "wait":
                await asyncio.sleep(value)
            case "turns":
                for _ in range(value):
                    await asyncio.sleep(0)
            case "cleanly" | "broken" | "in a line":
                api.cut("pods", cleanly=action == "cleanly", in_line=action == "in a line")
            case "compact":
                api.compact("pods")
                self.faults += 1
            case "expire":
                api.expire_tokens()
                self.faults += 1
            case "busy":
                api.answer("/pods", 429, b"", retry_after="3", watch=True)
            case "other":
                api.put("nodes", {"metadata": {"name": "n"}})
            case "expired event":
                api.say("pods", b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}')
                self.faults += 1
            case "garbage":
                api.say("pods", b'{"type":"ADDED","object":{"metadata":{"name":"x"')
            case "outage":
                api.down = True
                api.cut("pods")
                for item in value:
                    await self.do(*item)
                api.down = False
                await asyncio.sleep(35)
            case "relist":
                await asyncio.sleep(35)
                await self.do("expired event", None)
                for item in value:
                    await self.do(*item)


async def play(actions, seed, *, page, streaming, inconsistent, error_events, bookmarks):
    api = fake_api.FakeApi()
    api.inconsistent, api.error_events, api.bookmarks = inconsistent, error_events, bookmarks
    api.streaming = streaming or "no"
    api.twist = twisted(seed)
    for name in "abcde":
        api.put("pods", followed_fake.pod(name))
    async with followed_fake.following(api, PODS, page=page, streaming=bool(streaming)) as one:
        acts = Play(api)
        for item in actions:
            await acts.do(*item)
        await asyncio.sleep(400)
        objects = api.collections[api.path("pods")].objects
        there = {key: item["metadata"]["resourceVersion"] for key, item in objects.items()}
        assert one.sink.versions() == there
        assert one.reflector.held.versions == {key: int(version) for key, version in there.items()}
        assert api.lists_answered == one.reflector.counts.lists <= 1 + acts.faults


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ACTIONS, max_size=20),
    st.integers(0, 1000),
    st.sampled_from([1, 2, 3, 500]),
    st.sampled_from(["", "yes"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_in_the_end_the_sink_holds_what_the_server_holds(
    actions, seed, page, streaming, inconsistent, error_events, bookmarks
):
    virtual_time.run(
        play(
            actions,
            seed,
            page=page,
            streaming=streaming,
            inconsistent=inconsistent,
            error_events=error_events,
            bookmarks=bookmarks,
        )
    )
