import json
import socket
import threading

import msgspec
import pytest

from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.rest import RestSource


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
    assert result.err == f"Error: the mapper at {mapper.url} answered 503 Starting: the snapshot is being read\n"


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"\xff\xfe"])
def test_another_servers_refusal_is_told_as_such(ask, mapper, body):
    mapper.broken = (404, body)
    assert f"{mapper.url} answered HTTP 404 (Not Found), not as a mapper does." in ask("list").err


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"\xff\xfe", b'{"edges": [{"client": {"type": "cloud"}}]}'])
def test_an_answer_that_is_not_ours_is_told_as_such(ask, mapper, body):
    mapper.broken = (200, body)
    result = ask("list")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"Error: the answer of {mapper.url} is none that version")
    assert result.err.count("\n") == 1


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
    with RestSource(mapper.url) as source, pytest.raises(CliError) as caught:
        source.status()
    assert isinstance(caught.value.__cause__, msgspec.ValidationError)
