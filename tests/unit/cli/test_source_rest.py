import json
import socket
import threading

import msgspec
import pytest
from model_server import ModelServer

from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import MapQuery
from network_mapper.cli.sources.rest import RestSource
from network_mapper.http_client import HttpClient
from network_mapper.wire.api import Problem, WorkloadRow, WorkloadsDocument


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_mapper_is_an_error_that_names_the_url_and_the_way_out(run):
    url = f"http://127.0.0.1:{closed_port()}"
    result = run("list", "--mapper-url", url)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        f"Error: no mapper answers at {url} (Connection refused). "
        "Start one with 'network-mapper mapper', or name a running one with --mapper-url.\n"
    )


@pytest.mark.parametrize("url", ["mapper", "ftp://mapper", "http://", "http://[::1", "http://host:port"])
def test_no_url_is_an_error(run, url):
    result = run("status", "--mapper-url", url)
    assert result.code == 1
    assert result.err.startswith(f"Error: {url!r} is no URL of a mapper")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("end", ["/query", "/query/", "/"])
def test_the_address_that_the_models_programs_are_given_will_do(run, mapper, end):
    assert run("list", "--mapper-url", mapper.url + end) == run("list", "--mapper-url", mapper.url)


def test_a_socket_that_is_not_there_is_an_error(run, tmp_path):
    assert "No such file or directory" in run("list", "--mapper-url", f"unix:{tmp_path}/none.sock").err


def test_the_url_comes_from_the_environment(run, mapper, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    assert run("list").code == 0


def test_a_problem_is_told_in_the_words_of_the_mapper(ask, mapper):
    mapper.broken = (503, b'{"title": "Starting", "status": 503, "detail": "the snapshot is being read"}')
    result = ask("list")
    assert result.code == 1
    assert result.err == (
        f"Error: the mapper at {mapper.url} answered 503 Starting: the snapshot is being read. Try again in a while.\n"
    )


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>", "a web page"), (b"", "empty"), (b"[]", "other JSON"), (b"\xff\xfe", "text")]
)
@pytest.mark.parametrize("status", [200, 404, 405])
def test_what_is_no_mapper_is_told_with_what_was_found(ask, mapper, status, body, kind):
    mapper.broken = (status, body)
    found = f"HTTP {status}, {kind}"
    for command in ("list", "status"):
        result = ask(command)
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            f"Error: what answers at {mapper.url} is no mapper: /api/v1 gives {found}, and /query {found}. "
            "Check --mapper-url.\n"
        )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (302, "answered HTTP 302 (Found), not as a mapper does. Check --mapper-url."),
        (401, "answered HTTP 401 (Unauthorized): something before the mapper asks who you are"),
        (403, "answered HTTP 403 (Forbidden): something before the mapper asks who you are"),
        (407, "asks who you are"),
        (418, "answered HTTP 418 (I'm a Teapot), not as a mapper does."),
        (499, "answered HTTP 499 (unknown status), not as a mapper does."),
        (500, "answered HTTP 500 (Internal Server Error), not as a mapper does. Check --mapper-url."),
        (502, "answered HTTP 502 (Bad Gateway), not as a mapper does: a proxy reaches no mapper."),
        (503, "a proxy reaches no mapper. Check that it runs."),
    ],
)
def test_a_proxys_refusal_is_told_as_such_and_nothing_else_is_tried(ask, mapper, status, message):
    mapper.broken = (status, b"<html><h1>No</h1></html>")
    result = ask("list")
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert len(mapper.requests) == 1


def test_a_redirect_is_told_with_where_it_leads(run):
    with ModelServer() as server:
        server.answer = (308, {"location": "https://login.example.com/?next=\x1b[2J"}, b"")
        result = run("list", "--mapper-url", server.url)
    assert result.code == 1
    assert "and sends to https://login.example.com/?next=\\x1b[2J. Give --mapper-url the mapper's own" in result.err


def test_a_mapper_whose_answer_is_not_understood_is_of_another_version(ask, mapper):
    mapper.broken = (200, b'{"store": "a", "epoch": 1, "edges": [{"client": {"type": "cloud"}}]}')
    result = ask("list")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"Error: the mapper at {mapper.url} is of another version than this program (")
    assert "Invalid value 'cloud' - at `$.edges[0].client.type`" in result.err
    assert len(mapper.requests) == 1


def test_fields_that_an_older_mapper_does_not_send_are_empty(ask, mapper):
    document = json.loads(msgspec.json.encode(mapper.map))
    del document["own"], document["workloads"]
    for edge in document["edges"]:
        del edge["requests"], edge["bytes"], edge["flows"], edge["details"]
    mapper.broken = (200, json.dumps(document).encode())
    assert ask("list").out == "cart in namespace shop calls:\n  - redis\n"


REFUSED = (400, Problem("Wrong parameter", 400, "there is no parameter 'labels'; there are namespace, client"))


@pytest.mark.parametrize("way", ["refused", "ignored"])
def test_labels_of_an_older_mapper_come_from_its_workloads(mapper, way):
    cart = WorkloadRow("cart", "shop", "Deployment", 2, {"tier": "front"})
    other = WorkloadRow("cart", "shop", "CronJob", 1, {})
    ignoring = (200, msgspec.structs.replace(mapper.map, ignored=["labels"]))
    first = [REFUSED, (200, mapper.map)] if way == "refused" else [ignoring]
    answers = iter([*first, (200, WorkloadsDocument([other, cart]))])

    def answer(request):
        mapper.requests.append(request)
        status, content = next(answers)
        return status, msgspec.json.encode(content)

    mapper.answer = answer
    with RestSource(HttpClient(mapper.url), mapper.url) as source:
        assert source.map(MapQuery(("shop",), labels=True)).workloads == [cart]
    again = ["GET /api/v1/map?namespace=shop"] if way == "refused" else []
    assert mapper.requests == ["GET /api/v1/map?namespace=shop&labels=true", *again, "GET /api/v1/workloads"]


def test_a_time_that_a_mapper_ignores_is_an_error(ask, mapper):
    mapper.everywhere = msgspec.structs.replace(mapper.map, ignored=["since"])
    result = ask("list", "--since", "1h")
    assert (result.code, result.out) == (1, "")
    assert "does not know --since" in result.err


def test_another_wrong_parameter_is_an_error(mapper):
    mapper.broken = (400, b'{"title": "Wrong parameter", "status": 400, "detail": "since takes milliseconds"}')
    with RestSource(HttpClient(mapper.url), mapper.url) as source, pytest.raises(CliError, match="since takes"):
        source.map(MapQuery(since=1, labels=True))
    assert len(mapper.requests) == 1


def test_a_mapper_that_cannot_tell_labels_now_is_not_taken_for_an_older_one(mapper):
    mapper.broken = (503, b'{"title": "Busy", "status": 503, "detail": "the labels are not read yet"}')
    with RestSource(HttpClient(mapper.url), mapper.url) as source, pytest.raises(CliError, match="not read yet"):
        source.map(MapQuery(labels=True))
    assert len(mapper.requests) == 1


def test_something_that_is_not_http_is_told_as_such(run):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        result = run("list", "--mapper-url", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert result.code == 1
    assert "is no mapper" in result.err


def test_fields_of_a_newer_mapper_are_ignored(ask, mapper):
    document = json.loads(msgspec.json.encode(mapper.map))
    document["colour"] = "blue"
    document["edges"][0]["bytes"] = 12
    document["edges"][0]["client"]["team"] = "x"
    mapper.broken = (200, json.dumps(document).encode())
    assert ask("list").out == "cart in namespace shop calls:\n  - redis\n"


def test_the_error_keeps_its_cause_for_debug(mapper):
    mapper.broken = (200, b"[]")
    with RestSource(HttpClient(mapper.url), mapper.url) as source, pytest.raises(CliError) as caught:
        source.status()
    assert isinstance(caught.value.__cause__, msgspec.ValidationError)
