"""Lists that come as the first part of a watch, and servers that do not offer them."""

import asyncio

import fake_api
import pytest

from network_mapper.cluster.live.reflector import State, Streaming
from network_mapper.cluster.live.resources import NODES, PODS


def test_a_streaming_list_is_one_request(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.streaming = "yes"
        for name in "abc":
            api.put("pods", make_pod(name))
        async with follow(api, PODS, streaming=True) as one:
            await asyncio.sleep(1)
            assert one.sink.names() == ["a", "b", "c"]
            assert one.reflector.listed
            assert one.reflector.state is State.WATCHING
            api.put("pods", make_pod("d"))
            await asyncio.sleep(1)
            assert one.sink.names() == ["a", "b", "c", "d"]
            (request,) = api.requests
            assert request.params["sendInitialEvents"] == "true"
            assert request.params["resourceVersionMatch"] == "NotOlderThan"
            assert request.params["allowWatchBookmarks"] == "true"
            assert "resourceVersion" not in request.params
            await asyncio.sleep(3600)
            assert len([item for item in api.requests if "sendInitialEvents" in item.params]) == 1

    run(main())


def test_what_is_gone_after_a_second_streaming_list_is_deleted(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.streaming, api.bookmarks = "yes", False
        for name in "abc":
            api.put("pods", make_pod(name))
        async with follow(api, PODS, streaming=True) as one:
            await asyncio.sleep(1)
            api.down = True
            api.cut("pods")
            api.remove("pods", "shop", "b")
            api.compact()
            await asyncio.sleep(1)
            api.down = False
            await asyncio.sleep(10)
            assert one.sink.names() == ["a", "c"]
            assert [name for _, _, name, _ in one.sink.deleted] == ["b"]

    run(main())


def test_a_cut_in_the_middle_of_a_streaming_list_deletes_nothing(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.streaming = "yes"
        for name in "abc":
            api.put("pods", make_pod(name))
        async with follow(api, PODS, streaming=True) as one:
            await asyncio.sleep(1)
            api.compact()
            body = fake_api.event("ADDED", make_pod("a", resourceVersion="101"))
            api.version += 1
            api.compact()
            api.cut("pods")
            api.answer("/pods", 410, fake_api.status_body(410, "Expired"), watch=True)
            api.answer("/pods", 200, body, watch=True)
            await asyncio.sleep(10)
            assert one.sink.names() == ["a", "b", "c"]
            assert not one.sink.deleted
            assert one.reflector.state is State.WATCHING

    run(main())


def test_a_server_that_has_them_switched_off_is_asked_for_pages_for_good(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        shared = Streaming(wanted=True)
        async with follow(api, PODS, streaming=True) as one:
            one.reflector._streaming = shared
            await asyncio.sleep(1)
            assert one.sink.names() == ["a"]
            assert [item.watch for item in api.requests] == [True, False, True]
            assert not shared.offered
            assert not one.reflector.counts.errors

    run(main())


@pytest.mark.parametrize("bookmarks", [False, True])
def test_a_server_that_knows_nothing_of_them_is_found_out(run, follow, new_api, make_pod, bookmarks):
    async def main():
        api = new_api()
        api.streaming, api.bookmarks = "ignored", bookmarks
        api.put("pods", make_pod("a"))
        async with follow(api, PODS, streaming=True) as one:
            await asyncio.sleep(100)
            assert one.sink.names() == ["a"]
            assert one.reflector.listed
            assert len(api.lists("pods")) == 1
            assert one.reflector.state is State.WATCHING

    run(main())


def test_events_of_a_streaming_list_that_cannot_be_read_cost_themselves(run, follow, new_api, make_pod):
    async def main():
        api = new_api()
        api.streaming = "yes"
        api.put("nodes", {"metadata": {"name": "n1"}})
        api.put("nodes", {"metadata": {"name": "n2"}, "spec": "none"})
        async with follow(api, NODES, streaming=True) as one:
            await asyncio.sleep(1)
            assert one.sink.names("Node") == ["n1"]
            assert one.reflector.malformed.keys() == {("", "n2")}

    run(main())
