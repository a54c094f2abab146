"""The program as it is shipped, against a mapper that has nothing but the model's GraphQL."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest
from cluster_objects import write
from mapper_process import MapperProcess
from model_server import API_SERVER, NAMES_ONLY, WITH_LABELS, End, ModelServer, intent
from query_door import Between

from network_mapper.http_client import HttpClient
from network_mapper.wire.report import Client, Flow, Report


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Run the program in a process of its own, with no settings and no cluster around it."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))}
    environ = kept | {"HOME": str(home), "KUBECONFIG": str(home / "none")}

    def run(*args):
        command = [sys.executable, "-m", "network_mapper", *args]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environ, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def shop():
    client = End("client-2", "shop", labels={"tier": "front"})
    return [
        intent(client, End("kafka", "kafka", "StatefulSet"), kafka={"mytopic": ["PRODUCE", "DESCRIBE"]}),
        intent(client, "shop/nginx", http={"/client2-path": ["GET", "POST"]}, service="web"),
        intent(client, API_SERVER),
        intent("tutorial/client", "tutorial/server"),
        intent("tutorial/client", "kube-system/coredns", service="kube-dns"),
    ]


@pytest.fixture
def server():
    with ModelServer(shop()) as running:
        yield running


@pytest.fixture
def ask(program, server):
    return lambda *args: program(*args, "--mapper-url", server.url)


LIST = """\
client in namespace tutorial calls:
  - server
client-2 in namespace shop calls:
  - kafka in namespace kafka
    - Kafka topic: mytopic, operations: [describe produce]
  - kubernetes (service) in namespace default
  - nginx
    - path /client2-path, methods: [GET,POST]
"""


@pytest.mark.parametrize("end", ["", "/", "/query"])
def test_list_shows_names_and_details_without_a_mark(program, server, end):
    assert program("list", "--mapper-url", server.url + end) == (0, LIST, "")


def test_all_shows_cluster_dns_too(ask):
    assert "  - coredns in namespace kube-system\n" in ask("list", "--all").out


def test_namespaces_are_the_mappers_to_choose(ask, server):
    result = ask("list", "-n", "tutorial")
    assert result == (0, "client in namespace tutorial calls:\n  - server\n", "")
    assert server.requests[-1].variables["namespaces"] == ["tutorial"]


def test_a_dialled_service_may_stand_for_its_workload(ask):
    assert "  - web (service)\n" in ask("list", "--as-kubernetes-service").out


def test_a_label_leaves_out_its_workloads(ask):
    assert ask("list", "--exclude-labels", "tier=front").out == "client in namespace tutorial calls:\n  - server\n"


def test_json_holds_the_edges_with_their_details(ask):
    result = ask("list", "--all", "-o", "json")
    document = json.loads(result.out)
    assert (result.code, result.err, document["store"], document["hidden"]) == (0, "", "", 0)
    ports = {entry["server"]["name"]: entry["ports"] for entry in document["edges"]}
    assert {name: [(port["port"], port["protocol"]) for port in found] for name, found in ports.items()} == {
        "server": [(0, "")],
        "coredns": [(0, "")],
        "kafka": [(0, "kafka")],
        "nginx": [(0, "http")],
        "kubernetes": [(0, "")],
    }
    assert ports["nginx"][0]["details"] == {"/client2-path": ["GET", "POST"]}
    assert ports["nginx"][0]["service"] == {"name": "web", "namespace": "shop"}
    labels = {row["name"]: row["labels"] for row in document["workloads"]}
    assert labels["client-2"] == {"tier": "front"}


def test_a_saved_map_of_it_is_listed_as_before(ask, program, tmp_path):
    path = tmp_path / "map.json"
    path.write_text(ask("list", "--all", "-o", "json").out)
    assert program("list", "--map-file", str(path)) == (0, LIST, "")


def test_an_empty_map_is_no_failure(ask, server):
    server.intents.clear()
    assert ask("list") == (0, "", "No connections found.\n")


def test_a_namespace_that_has_no_client_is_told(ask):
    result = ask("list", "-n", "shpo")
    assert (result.code, result.out) == (0, "")
    assert "No client in namespace shpo was seen." in result.err


NO_CONNECTIONS = "No connections found"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {}, b"boom"), "answered HTTP 500"),
        ((503, {}, b"<html>"), "a proxy reaches no mapper"),
        ((302, {"location": "https://login.example.com/"}, b""), "sends to https://login.example.com/"),
        ((401, {}, b"<html>"), "asks who you are"),
        ((403, {}, b"<html>"), "asks who you are"),
        ((404, {}, b"<html>"), "is no mapper"),
        ((200, {}, b"<html>"), "is no mapper"),
        ((200, {}, b""), "is no mapper"),
        ((200, {}, b'{"data": null}'), "holds no intents"),
        ((422, {}, b'{"errors": [{"message": "no such field"}], "data": null}'), "knows neither the query"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["list", "-n", "shop"], ["reset", "--yes"]])
def test_a_failure_is_never_an_empty_map(run, server, command, answer, message):
    server.answer = answer
    result = run(*command, "--mapper-url", server.url)
    assert (result.code, result.out) == (1, "")
    assert NO_CONNECTIONS not in result.err
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert message in result.err


def test_an_error_of_the_query_is_never_an_empty_map(ask, server):
    server.errors = ["the cache is not ready"]
    message = "could not answer: the cache is not ready (HTTP 200). Its log may say more."
    assert ask("list") == (1, "", f"Error: the mapper at {server.url} {message}\n")


def test_a_mapper_that_does_not_answer_in_time_is_never_an_empty_map(run, server, monkeypatch):
    monkeypatch.setattr("network_mapper.http_client.HttpClient", functools.partial(HttpClient, timeout=0.05))
    server.delay = 30
    result = run("list", "--mapper-url", server.url)
    server.delay = 0
    assert (result.code, result.out) == (1, "")
    assert "did not answer in time" in result.err


def test_an_older_mapper_is_listed_by_names_with_a_warning(ask, server):
    server.schema = NAMES_ONLY
    result = ask("list", "-n", "shop")
    assert result.code == 0
    assert result.out == (
        "client-2 in namespace shop calls:\n"
        "  - kafka in namespace kafka\n"
        "  - kubernetes (service) in namespace default\n"
        "  - nginx\n"
    )
    assert result.err.startswith(f"Warning: the mapper at {server.url} is of an older version")
    assert result.err.count("\n") == 1
    assert [asked.status for asked in server.requests if asked.operation.endswith("ntents")] == [422, 200]


def test_labels_of_an_older_mapper_leave_out_their_workloads(ask, server):
    server.schema = WITH_LABELS
    result = ask("list", "--exclude-labels", "tier=front")
    assert result.code == 0
    assert result.out == "client in namespace tutorial calls:\n  - coredns in namespace kube-system\n  - server\n"
    assert server.requests[-1].variables["includedLabels"] == ["tier"]


def test_labels_that_an_older_mapper_cannot_tell_are_an_error(ask, server):
    server.schema = NAMES_ONLY
    result = ask("list", "--exclude-labels", "tier=front")
    assert (result.code, result.out) == (1, "")
    assert "is too old to tell labels" in result.err
    assert "Upgrade it" in result.err


def test_since_is_refused(ask):
    result = ask("list", "--since", "1h")
    assert (result.code, result.out) == (1, "")
    assert "does not tell when it saw what" in result.err


@pytest.mark.parametrize("output", ["text", "json"])
def test_status_says_that_there_is_none(ask, output):
    result = ask("status", "-o", output)
    assert (result.code, result.out) == (1, "")
    assert "has no status to show" in result.err
    assert "Traceback" not in result.err


def test_reset_empties_it(ask, server):
    result = ask("reset", "--yes")
    assert result.code == 0
    assert result.out.startswith("Removed 5 edges")
    assert server.intents == []
    assert ask("list").err == "No connections found.\n"


# Our own mapper, with nothing but its GraphQL door in reach


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapper")
    mapper = MapperProcess(folder, write(folder / "cluster")).start().wait_ready()
    yield mapper
    mapper.stop(signal.SIGTERM)


@pytest.fixture
def only_query(ours):
    door = Between(ours.url)
    yield door
    door.stop()


def report(ours, boot):
    now = time.time_ns() // 1_000_000
    flow = Flow("10.96.0.5", 5432, "tcp", 1, -200, -100, "10.0.1.2", 8080)
    client = Client("10.0.0.1", connections=[flow])
    assert ours.report(Report("node-a", boot, 1, now, started=now - 1000, clients=[client]))[0] == 200


def test_both_doors_of_our_mapper_give_the_same_list(program, ours, only_query):
    report(ours, "list")
    direct = program("list", "--mapper-url", ours.url)
    assert direct.code == 0
    assert direct.out.endswith("calls:\n  - db\n")
    assert program("list", "--mapper-url", only_query.base) == direct


def test_both_doors_of_our_mapper_give_the_same_labels(program, ours, only_query):
    report(ours, "labels")
    for url in (ours.url, only_query.base):
        document = json.loads(program("list", "--all", "-o", "json", "--mapper-url", url).out)
        labels = {row["name"]: row["labels"] for row in document["workloads"]}
        assert labels["db"]["app"] == "db"


def test_reset_through_the_query_door_empties_our_map(program, ours, only_query):
    report(ours, "reset")
    result = program("reset", "--yes", "--mapper-url", only_query.base)
    assert result.code == 0
    assert result.out.startswith("Removed 1 edge")
    assert ours.get("/api/v1/map")["edges"] == []
