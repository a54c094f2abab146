"""Each fault of the proxy does what it says, seen by a plain client."""

import socket
import ssl
import time

import pytest
from harness import objects
from harness.faults import at_present
from harness.kube_api import ApiError, path_of
from harness.pki import Authority
from harness.proxy import FaultProxy

pytestmark = pytest.mark.cluster

FAST = 3.0
"""Seconds after which these clients give up."""


@pytest.fixture
def services(control_plane, namespace):
    """Names of three services, and nothing else in the namespace."""
    names = ["a", "b", "c"]
    for name in names:
        control_plane.admin.create(objects.service(namespace, name))
    return names


@pytest.fixture
def client(control_plane, proxy):
    with control_plane.client(url=proxy.url, timeout=FAST) as api:
        yield api


@pytest.fixture
def path(namespace):
    return path_of("services", namespace)


@pytest.fixture
def since(control_plane, path, services):
    """A watch from here tells three events, the first three of the services."""
    for name in services:
        change = {"metadata": {"labels": {"round": "one"}}}
        control_plane.admin.call("PATCH", f"{path}/{name}", change, content_type="application/merge-patch+json")
    listed = control_plane.admin.call("GET", path)
    oldest = min(int(item["metadata"]["resourceVersion"]) for item in listed["items"])
    return {"resourceVersion": oldest - 1, "timeoutSeconds": 30}


def names(events, count=None):
    told = []
    for event in events:
        told.append(event["object"]["metadata"].get("name", event["type"]))
        if len(told) == count:
            break
    return told


def test_without_faults_nothing_changes(client, control_plane, namespace, services):
    assert client.list("services", namespace) == control_plane.admin.list("services", namespace)


def test_writes_pass(client, control_plane, namespace):
    client.create(objects.service(namespace, "web"))
    client.patch("services", namespace, "web", {"metadata": {"labels": {"a": "b"}}})
    assert control_plane.admin.get("services", namespace, "web")["metadata"]["labels"] == {"a": "b"}
    client.delete("services", namespace, "web")
    assert control_plane.admin.list("services", namespace) == []


def test_a_request_with_a_token_is_not_the_admins(control_plane, proxy, namespace):
    with control_plane.client(url=proxy.url, token=control_plane.token(namespace, "default")) as api:
        with pytest.raises(ApiError) as refused:
            api.list("secrets", namespace)
        assert refused.value.status == 403


def test_requests_are_remembered(client, proxy, namespace, services, path):
    list(client.list("services", namespace, limit=2))
    first, second = proxy.seen(path)
    assert (first.method, first.status, first.query["limit"], first.watch) == ("GET", 200, "2", False)
    assert first.bytes > 200
    assert second.query["continue"]
    assert not first.ongoing
    proxy.forget()
    assert proxy.seen() == []


def test_events_pass_as_they_come(client, proxy, namespace, since, path):
    with client.watch("services", namespace, **since) as events:
        assert names(events, 3) == ["a", "b", "c"]
        (watch,) = proxy.wait_seen(path, watch=True, ongoing=True)
        assert watch.lines == 3
        client.create(objects.service(namespace, "d"))
        assert names(events, 1) == ["d"]


def test_a_client_that_leaves_ends_its_watch(client, proxy, namespace, since, path):
    with client.watch("services", namespace, **since) as events:
        next(events)
    proxy.wait_seen(path, watch=True, ongoing=False)


def test_cut_after_events(client, proxy, namespace, since):
    fault = proxy.on(watch=True).cut(after=2)
    with client.watch("services", namespace, **since) as events:
        assert names(events, 2) == ["a", "b"]
        with pytest.raises(OSError, match="was cut"):
            next(events)
    assert fault.used == 1


def test_cut_in_the_middle_of_a_line(client, proxy, namespace, since):
    proxy.on(watch=True).cut(after=1, middle=True)
    with client.watch("services", namespace, **since) as events:
        assert names(events, 1) == ["a"]
        with pytest.raises(OSError, match="middle of a line"):
            next(events)


def test_cut_after_bytes(client, proxy, path, services):
    proxy.on(path, times=1).cut_bytes(100)
    with pytest.raises(OSError, match="IncompleteRead"):
        client.call("POST", path, objects.service("x", "not-a-get"))
    assert proxy.seen(path)[0].bytes == 100


def test_a_watch_can_end_properly(client, proxy, namespace, since):
    proxy.on(watch=True, times=1).end(after=2)
    with client.watch("services", namespace, **since) as events:
        assert names(events) == ["a", "b"]


def test_410_for_a_list_and_for_a_watch(client, proxy, namespace):
    proxy.on(times=2).gone()
    with pytest.raises(ApiError) as refused:
        client.list("services", namespace)
    assert (refused.value.status, refused.value.reason) == (410, "Expired")
    with pytest.raises(ApiError) as refused, client.watch("services", namespace):
        pass
    assert refused.value.status == 410
    assert client.list("services", namespace) == []


def test_410_as_an_event(client, proxy, namespace, since):
    proxy.on(watch=True).gone_event(after=1)
    with client.watch("services", namespace, **since) as events:
        first, last = list(events)
    assert first["object"]["metadata"]["name"] == "a"
    assert (last["type"], last["object"]["code"], last["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_429_says_when_to_come_again(client, proxy, path):
    proxy.on(path, times=1).too_many(retry_after=7)
    answer = client.request("GET", path)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["reason"] == "TooManyRequests"
    assert client.request("GET", path).status == 200


@pytest.mark.parametrize("with_continue", [True, False])
def test_page_tokens_expire(client, proxy, path, services, with_continue):
    fault = proxy.on(path, times=1).expired_pages(with_continue=with_continue)
    page = client.call("GET", path, query={"limit": 1})
    token = page["metadata"]["continue"]
    answer = client.request("GET", path, query={"limit": 1, "continue": token})
    assert answer.status == 410
    assert answer.json()["metadata"].get("continue") == (at_present(token) if with_continue else None)
    assert fault.used == 1


def test_the_real_server_takes_the_token_of_an_expired_page(client, proxy, path, services):
    proxy.on(path, times=1).expired_pages()
    token = client.call("GET", path, query={"limit": 1})["metadata"]["continue"]
    again = client.request("GET", path, query={"continue": token}).json()["metadata"]["continue"]
    rest = client.call("GET", path, query={"continue": again})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]


def test_events_are_delayed(client, proxy, namespace, since):
    proxy.on(watch=True).delay(0.2)
    began = time.monotonic()
    with client.watch("services", namespace, **since) as events:
        assert names(events, 3) == ["a", "b", "c"]
    assert time.monotonic() - began >= 0.6


def test_events_are_repeated_at_once(client, proxy, namespace, since):
    proxy.on(watch=True).repeat(2)
    with client.watch("services", namespace, **since) as events:
        assert names(events, 6) == list("aabbcc")


def test_old_events_are_repeated_behind_new_ones(client, proxy, namespace, since):
    proxy.on(watch=True).repeat(2, lag=1)
    with client.watch("services", namespace, **since) as events:
        assert names(events, 5) == list("abacb")


def test_a_hanging_server_never_answers(client, proxy, path):
    proxy.on(path, times=1).hang()
    with pytest.raises(TimeoutError):
        client.call("POST", path, {})
    assert proxy.seen(path)[0].status == 0


def test_a_watch_falls_silent(client, proxy, namespace, since):
    proxy.on(watch=True).fall_silent(after=1)
    with client.watch("services", namespace, **since) as events:
        assert names(events, 1) == ["a"]
        with pytest.raises(TimeoutError):
            next(events)


def test_html_with_200(client, proxy, path):
    proxy.on(path).html()
    answer = client.request("GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert answer.body.startswith(b"<html>")


def test_a_certificate_of_another_authority(client, control_plane, proxy, tmp_path):
    other = Authority(tmp_path, "other").issue("server", "kube-apiserver", hosts=["127.0.0.1"])
    proxy.show(other)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.call("GET", "/version")
    proxy.show()
    assert client.call("GET", "/version")


def test_a_certificate_of_another_host(client, control_plane, proxy):
    proxy.show(control_plane.authority.issue("elsewhere", "kube-apiserver", hosts=["elsewhere.example.org"]))
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        client.call("GET", "/version")


def test_401_until_another_token_is_shown(control_plane, proxy, namespace):
    old, new = (control_plane.token(namespace, "default", seconds) for seconds in (3600, 7200))
    fault = proxy.on(token=old).unauthorized()
    with control_plane.client(url=proxy.url, token=old) as api:
        assert api.request("GET", "/version").status == 401
        assert api.request("GET", "/version").status == 401
    with control_plane.client(url=proxy.url, token=new) as api:
        assert api.request("GET", "/version").status == 200
    assert fault.used == 2


def test_the_first_requests_are_dropped(client, proxy):
    fault = proxy.on("/version", times=2).drop()
    for _ in range(2):
        with pytest.raises(OSError, match="closed connection without response"):
            client.request("GET", "/version")
    assert client.request("GET", "/version").status == 200
    assert fault.used == 2


def test_some_requests_are_spared_first(client, proxy):
    proxy.on("/version", skip=1, times=1).refuse(503, "ServiceUnavailable")
    assert [client.request("GET", "/version").status for _ in range(3)] == [200, 503, 200]


def test_a_body_drips(client, proxy):
    proxy.on("/version").drip(size=50, seconds=0.02)
    began = time.monotonic()
    size = len(client.request("GET", "/version").body)
    assert time.monotonic() - began >= size / 50 * 0.02


def test_a_request_is_held_up(client, proxy):
    proxy.on("/version").wait(0.3)
    began = time.monotonic()
    assert client.request("GET", "/version").status == 200
    assert time.monotonic() - began >= 0.3


def test_events_are_edited_and_removed(client, proxy, namespace, since):
    def edit(event):
        if event["object"]["metadata"]["name"] == "a":
            return None
        del event["object"]["spec"]
        return event

    proxy.on(watch=True).edit(edit)
    with client.watch("services", namespace, **since) as events:
        event = next(events)
    assert event["object"]["metadata"]["name"] == "b"
    assert "spec" not in event["object"]


def test_a_document_is_edited(client, proxy, path, services):
    proxy.on(path).edit(lambda document: {**document, "items": None})
    answer = client.call("GET", path)
    assert answer["items"] is None
    assert answer["kind"] == "ServiceList"


def test_a_line_is_inserted(client, proxy, namespace, since):
    proxy.on(watch=True).insert(b'{"type":"STRANGE","object":{"metadata":{}}}\n', after=1)
    with client.watch("services", namespace, **since) as events:
        assert names(events, 3) == ["a", "STRANGE", "b"]


def test_faults_add_up(client, proxy, namespace, since):
    proxy.on(watch=True).repeat(2)
    proxy.on(watch=True).end(after=3)
    with client.watch("services", namespace, **since) as events:
        assert names(events) == ["a", "a", "b"]


def test_faults_are_healed(client, proxy):
    proxy.on().refuse(503, "ServiceUnavailable")
    assert client.request("GET", "/version").status == 503
    proxy.heal()
    assert client.request("GET", "/version").status == 200


def test_a_server_that_is_down_comes_back(client, proxy):
    assert client.request("GET", "/version").status == 200
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        client.request("GET", "/version")
    proxy.listen()
    assert client.request("GET", "/version").status == 200


def test_open_watches_are_cut(client, proxy, namespace, since, path):
    with client.watch("services", namespace, **since) as events:
        next(events)
        assert proxy.cut_open(path, watch=True) == 1
        with pytest.raises(OSError, match="was cut"):
            names(events)


def test_a_proxy_ends_with_all_its_connections(control_plane, namespace, path):
    with FaultProxy(control_plane) as proxy:
        port = int(proxy.url.rpartition(":")[2])
        api = control_plane.client(url=proxy.url, timeout=FAST)
        watch = api.watch("services", namespace)
        watch.__enter__()
        (seen,) = proxy.wait_seen(path, watch=True, ongoing=True)
    assert not seen.ongoing
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    watch.__exit__(None, None, None)


def test_a_handshake_that_is_never_finished_ends_with_the_proxy(control_plane):
    with FaultProxy(control_plane) as proxy:
        host, port = proxy.url.removeprefix("https://").split(":")
        held = [socket.create_connection((host, int(port))) for _ in range(3)]
        time.sleep(0.2)  # they are accepted
    for one in held:
        assert one.recv(1) == b""
        one.close()
