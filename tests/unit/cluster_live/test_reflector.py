"""List and watch of one resource against a server in memory, in virtual time."""

import asyncio
import itertools
import json
import random

import fake_api
import pytest

from network_mapper.cluster.live.backoff import delay
from network_mapper.cluster.live.reflector import State
from network_mapper.cluster.live.resources import PODS, Resource
from network_mapper.kube.errors import UnreachableError

REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet")


async def until(condition):
    while not condition():  # noqa: ASYNC110  nothing tells, and the turns of the loop are what is meant
        await asyncio.sleep(0)


def test_a_list_is_read_in_pages_and_then_watched_from_its_version(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        for number in range(7):
            api.put("pods", make_pod(f"p{number}"))
        async with follow(api, PODS, page=3) as one:
            await asyncio.sleep(1)
            assert one.sink.names() == [f"p{number}" for number in range(7)]
            assert [item.params.get("limit") for item in api.pages("pods")] == ["3", "3", "3"]
            (watch,) = api.watches("pods")
            assert watch.params["resourceVersion"] == str(api.version)
            assert watch.params["allowWatchBookmarks"] == "true"
            assert 300 <= int(watch.params["timeoutSeconds"]) <= 600
            assert one.reflector.state is State.WATCHING

    run(main())


def test_events_reach_the_sink(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("old"))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            api.put("pods", make_pod("new"))
            api.put("pods", make_pod("old", labels={"a": "b"}))
            await asyncio.sleep(1)
            assert one.sink.names() == ["new", "old"]
            assert one.sink.objects["Pod", "shop", "old"].metadata.labels == {"a": "b"}
            await asyncio.sleep(10)
            now = asyncio.get_running_loop().wall()
            api.remove("pods", "shop", "new")
            await asyncio.sleep(1)
            assert one.sink.names() == ["old"]
            assert one.sink.deleted == [("Pod", "shop", "new", now)]

    run(main())


def test_a_day_of_watching_lists_once(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        async with follow(api, PODS) as one:
            for number in range(24):
                await asyncio.sleep(3600)
                api.put("pods", make_pod(f"p{number}"))
            await asyncio.sleep(1)
            assert len(one.sink.names()) == 25
            assert len(api.lists("pods")) == 1
            assert 24 * 6 <= len(api.watches("pods")) <= 24 * 12 + 1
            assert one.reflector.counts.repeats == 0
            assert not one.reflector.counts.errors

    run(main())


def test_bookmarks_move_the_watch_past_a_compaction(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            for number in range(10):
                api.put("nodes", {"metadata": {"name": f"n{number}"}})
            await asyncio.sleep(70)
            api.compact()
            api.cut("pods")
            await asyncio.sleep(30)
            assert one.reflector.state is State.WATCHING
            assert len(api.lists("pods")) == 1

    run(main())


@pytest.mark.parametrize("as_event", [False, True])
def test_a_version_too_old_lists_again_and_deletes_what_is_gone(run, follow, new_api, make_pod, as_event):
    async def main():
        api = new_api()
        api.error_events = as_event
        api.bookmarks = False
        for name in "abc":
            api.put("pods", make_pod(name))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            api.down = True
            api.cut("pods")
            api.remove("pods", "shop", "b")
            api.put("pods", make_pod("d"))
            api.compact()
            applied = one.sink.applied
            await asyncio.sleep(5)
            api.down = False
            await asyncio.sleep(60)
            assert one.sink.names() == ["a", "c", "d"]
            assert one.sink.applied == applied + 1  # what is held in the same version is no news
            assert len(api.lists("pods")) == 2
            assert one.reflector.counts.errors["expired"] == 1

    run(main())


@pytest.mark.parametrize("inconsistent", [False, True])
def test_an_expired_page_token_costs_no_more_than_it_must(run, follow, new_api, make_pod, inconsistent):
    async def main():
        api = new_api()
        api.inconsistent = inconsistent
        for number in range(6):
            api.put("pods", make_pod(f"p{number}"))
        api.fail("/pods", UnreachableError("cut"), watch=True)
        async with follow(api, PODS, page=2) as one:
            await until(lambda: len(api.pages("pods")) == 2)
            api.expire_tokens()
            api.remove("pods", "shop", "p0")  # was on a page that is already read
            api.put("pods", make_pod("p9"))
            await asyncio.sleep(60)
            assert one.sink.names() == ["p1", "p2", "p3", "p4", "p5", "p9"]
            assert one.sink.versions() == {key: item["metadata"]["resourceVersion"] for key, item in held(api)}
            assert len(api.lists("pods")) == (1 if inconsistent else 2)

    def held(api):
        return api.collections[api.path("pods")].objects.items()

    run(main())


def test_a_page_that_failed_is_asked_for_again_and_the_list_is_not(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        for number in range(6):
            api.put("pods", make_pod(f"p{number}"))
        async with follow(api, PODS, page=2) as one:
            await until(lambda: api.pages("pods"))
            api.fail("/pods", UnreachableError("cut"))
            await asyncio.sleep(10)
            assert len(one.sink.names()) == 6
            assert len(api.lists("pods")) == 1
            assert len(api.pages("pods")) == 4

    run(main())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("watch", [False, True])
def test_retry_after_is_honoured(run, follow, new_api, status, watch):
    async def main():
        api = new_api()
        api.answer("/pods", status, b"busy", retry_after="17", watch=watch)
        async with follow(api, PODS) as one:
            await asyncio.sleep(60)
            first, second = [item.at for item in api.asked("pods") if item.watch == watch][:2]
            assert 17 <= second - first <= 18.6
            assert len(api.lists("pods")) == (1 if watch else 2)
            assert one.reflector.counts.errors == {"busy": 1}

    run(main())


def test_tries_become_rarer_up_to_thirty_seconds_and_never_stop(run, follow, new_api):
    async def main():
        api = new_api()
        api.down = True
        async with follow(api, PODS) as one:
            await asyncio.sleep(600)
            times = [item.at for item in api.requests]
            waits = [after - before for before, after in itertools.pairwise(times)]
            assert 0.8 <= waits[0] <= 1.6
            assert all(15 <= wait <= 30 for wait in waits[6:])
            assert len(set(waits)) == len(waits)
            assert one.contact.lost_since
            api.down = False
            await asyncio.sleep(31)
            assert one.reflector.state is State.WATCHING
            assert not one.contact.lost_since
            api.down = True
            api.cut("pods")
            before = asyncio.get_running_loop().time()
            seen = len(api.requests)
            await asyncio.sleep(2)
            assert api.requests[seen].at - before <= 1.6  # begun anew after a success

    run(main())


def test_delays_stay_in_their_bounds():
    spread = random.Random(3)
    for failures in range(1, 50):
        assert 0.8 <= delay(failures, spread) <= 30
    assert delay(1, spread, 100.0) == 100
    assert delay(1, spread, 1e9) == 300
    assert delay(9, spread, 0.0) >= 15


@pytest.mark.parametrize("how", ["cut", "in_line"])
def test_a_cut_watch_goes_on_where_it_was(run, follow, new_api, make_pod, how):
    async def main():
        api = new_api()
        async with follow(api, PODS) as one:
            for number in range(20):
                await asyncio.sleep(5)
                api.cut("pods", in_line=how == "in_line")
                api.put("pods", make_pod(f"p{number}"))
            await asyncio.sleep(40)
            assert len(one.sink.names()) == 20
            assert len(api.lists("pods")) == 1
            assert one.reflector.counts.repeats == 0

    run(main())


def test_repeated_and_late_events_do_not_go_back_in_time(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        first = api.put("pods", make_pod("a", labels={"v": "1"}))
        gone = api.put("pods", make_pod("gone"))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            second = api.put("pods", make_pod("a", labels={"v": "2"}))
            api.remove("pods", "shop", "gone")
            await asyncio.sleep(1)
            for item in (first, second, second, gone):
                api.say("pods", fake_api.event("MODIFIED", item))
            api.say("pods", fake_api.event("ADDED", gone))
            api.say("pods", fake_api.event("DELETED", first))
            await asyncio.sleep(1)
            assert one.sink.objects["Pod", "shop", "a"].metadata.labels == {"v": "2"}
            assert one.sink.names() == ["a"]
            assert one.reflector.counts.repeats == 6
            api.cut("pods")
            await asyncio.sleep(5)
            assert api.watches("pods")[-1].params["resourceVersion"] == str(api.version)

    run(main())


def test_an_event_from_before_a_list_does_not_bring_back_what_the_list_lacks(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        first = api.put("pods", make_pod("gone"))
        gone = api.put("pods", make_pod("gone"))
        api.remove("pods", "shop", "gone")
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            api.say("pods", fake_api.event("ADDED", gone))
            api.say("pods", fake_api.event("DELETED", first))
            api.say("pods", fake_api.event("ADDED", gone))
            api.put("pods", make_pod("new"))
            await asyncio.sleep(1)
            assert one.sink.names() == ["new"]

    run(main())


def test_versions_that_are_no_numbers_are_only_compared_for_equality(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            for version in ("zz", "aa", "aa"):
                item = make_pod("a", resourceVersion=version, labels={"v": version})
                api.say("pods", fake_api.event("MODIFIED", item))
            await asyncio.sleep(1)
            assert one.sink.objects["Pod", "shop", "a"].metadata.labels == {"v": "aa"}
            assert one.reflector.counts.repeats == 1

    run(main())


def test_a_server_whose_versions_went_back_is_listed_again(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a", labels={"v": "new"}))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            api.version = 10  # restored from a backup
            api.collections[api.path("pods")].history.clear()
            api.put("pods", make_pod("a", labels={"v": "restored"}))
            await asyncio.sleep(100)
            assert one.sink.objects["Pod", "shop", "a"].metadata.labels == {"v": "restored"}
            assert one.reflector.state is State.WATCHING
            assert len(api.lists("pods")) == 2

    run(main())


def test_objects_that_cannot_be_read_cost_themselves(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        api.put("pods", make_pod("b") | {"spec": {"nodeName": ["no", "name"]}})
        api.put("pods", {"metadata": {"namespace": "shop"}})
        api.put("pods", make_pod("c"))
        api.put("pods", make_pod("nowhere", namespace=None))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            assert one.sink.names() == ["a", "c"]
            assert one.reflector.counts.malformed == 3
            assert "nodeName" in one.reflector.malformed["shop", "b"]
            api.put("pods", make_pod("d"))
            api.put("pods", make_pod("a") | {"status": 7})
            api.put("pods", make_pod("b"))
            await asyncio.sleep(1)
            assert one.sink.names() == ["a", "b", "c", "d"]
            assert ("shop", "b") not in one.reflector.malformed
            assert ("shop", "a") in one.reflector.malformed
            api.remove("pods", "shop", "a")
            await asyncio.sleep(1)
            assert one.sink.names() == ["b", "c", "d"]
            assert ("shop", "a") not in one.reflector.malformed
            assert len(api.lists("pods")) == 1

    run(main())


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"<html>",
        b'{"type":"SURPRISE","object":{"metadata":{"name":"a","namespace":"n"}}}',
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"","namespace":"n"}}}',
        b'{"type":"ADDED","object":[]}',
        b'{"type":"BOOKMARK","object":{"metadata":{}}}',
        b'{"type":"BOOKMARK"}',
        b'{"type":4}',
        b"[]",
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_a_strange_line_costs_nothing_but_itself(run, follow, new_api, make_pod, line):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            api.say("pods", line)
            api.put("pods", make_pod("b"))
            await asyncio.sleep(1)
            assert one.sink.names() == ["a", "b"]
            assert one.reflector.malformed
            assert len(api.requests) == 2

    run(main())


def test_an_error_event_is_met_with_patience_and_then_with_a_list(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        body = fake_api.event("ERROR", json.loads(fake_api.status_body(500, "InternalError", "cannot decode")))
        api.answer("/pods", 200, body, watch=True, times=3)
        async with follow(api, PODS) as one:
            await asyncio.sleep(60)
            assert len(api.lists("pods")) == 2
            assert len(api.watches("pods")) == 4
            assert one.reflector.state is State.WATCHING
            assert one.reflector.counts.errors == {"server": 3}

    run(main())


@pytest.mark.parametrize("watch", [False, True])
def test_html_instead_of_the_api_is_an_error_that_waits(run, follow, new_api, make_pod, watch):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        page = b"<html>\n<body>\nplease log in\n</body></html>"
        api.answer("/pods", 200, page, watch=watch, times=5, content_type="text/html")
        async with follow(api, PODS) as one:
            await asyncio.sleep(10)
            assert one.reflector.last_error == "the answer is text/html, no JSON"
            assert 3 <= one.reflector.counts.errors["answer"] <= 5
            await asyncio.sleep(60)
            assert one.sink.names() == ["a"]
            assert len(api.lists("pods")) == (1 if watch else 6)

    run(main())


def test_a_watch_that_ends_as_soon_as_it_begins_is_not_asked_for_again_at_once(run, follow, new_api):
    async def main():
        api = new_api()
        api.answer("/pods", 200, b" ", watch=True, times=1000)
        async with follow(api, PODS):
            await asyncio.sleep(600)
            assert len(api.watches("pods")) < 40
            assert len(api.lists("pods")) == 1

    run(main())


def test_lists_that_never_lead_to_a_watch_become_rare(run, follow, new_api):
    async def main():
        api = new_api()
        api.answer("/pods", 410, fake_api.status_body(410, "Expired"), watch=True, times=1000)
        async with follow(api, PODS):
            await asyncio.sleep(600)
            assert len(api.lists("pods")) < 40

    run(main())


def test_a_refusal_is_remembered_and_rarely_tried_again(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.forbidden.add("replicasets")
        async with follow(api, REPLICASETS) as one:
            await asyncio.sleep(1000)
            assert one.reflector.state is State.FORBIDDEN
            assert 30 <= len(api.requests) <= 38
            api.forbidden.clear()
            api.put("replicasets", make_pod("rs"))
            await asyncio.sleep(67)
            assert one.sink.names("ReplicaSet.apps") == ["rs"]

    run(main())


def test_only_metadata_is_asked_for_where_only_metadata_is_used(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("replicasets", make_pod("rs", owner=("apps/v1", "Deployment", "web")))
        async with follow(api, REPLICASETS) as one:
            await asyncio.sleep(1)
            page, watch = api.requests
            assert page.accept.startswith("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
            assert watch.accept.startswith("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
            (owner,) = one.sink.objects["ReplicaSet.apps", "shop", "rs"].metadata.owner_references
            assert owner.name == "web"

    run(main())


def test_a_line_that_cannot_be_had_is_replaced_by_a_list(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        async with follow(api, PODS) as one:
            await asyncio.sleep(1)
            lines, fake_api.FakeStream.lines = fake_api.FakeStream.lines, too_long
            try:
                await asyncio.sleep(5)
                api.cut("pods")
                api.put("pods", make_pod("b"))
                while len(api.lists("pods")) < 2:  # noqa: ASYNC110  virtual time
                    await asyncio.sleep(1)
            finally:
                fake_api.FakeStream.lines = lines
            assert len(api.watches("pods")) == 4
            await asyncio.sleep(20)
            assert len(api.lists("pods")) == 2
            assert one.sink.names() == ["a", "b"]

    async def too_long(stream):
        raise UnreachableError("a line has more than 16777216 bytes")
        yield b""

    run(main())


def test_an_idle_watch_that_is_cut_again_and_again_is_no_reason_to_list(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        async with follow(api, PODS):
            for _ in range(100):
                await asyncio.sleep(50)
                api.cut("pods")
            assert len(api.lists("pods")) == 1
            assert len(api.watches("pods")) >= 100

    run(main())


def test_long_pages_let_others_work(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        for number in range(1000):
            api.put("pods", make_pod(f"p{number}"))
        turns = 0
        async with follow(api, PODS, page=1000) as one:
            while not one.reflector.listed:
                await asyncio.sleep(0)
                turns += 1
        assert turns >= 10

    run(main())


def test_a_sink_that_fails_on_one_object_gets_the_others(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        for name in ("a", "bad", "c"):
            api.put("pods", make_pod(name))
        async with follow(api, PODS) as one:
            apply = one.sink.apply

            def failing(kind, item):
                if item.metadata.name == "bad":
                    raise KeyError("oh")
                apply(kind, item)

            one.sink.apply = failing
            await asyncio.sleep(1)
            assert one.sink.names() == ["a", "c"]
            assert one.reflector.malformed == {("shop", "bad"): "KeyError: 'oh'"}

    run(main())
