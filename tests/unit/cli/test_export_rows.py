"""The program as it is shipped: what the model's `export` does, row by row, against a mapper of the model's GraphQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest
import yaml
from export_maps import document, everything, hostile
from model_server import API_SERVER, NAMES_ONLY, WITH_LABELS, End, ModelServer, intent
from synthetic_map import synthetic_map

from network_mapper.cli.errors import OUTPUT_CLOSED

LIMIT = 5.0
"""Seconds of processor time for 5,000 edges; a machine in use takes longer than the promise for a free one."""


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """No settings and no cluster around the program."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))}
    return kept | {"HOME": str(home), "KUBECONFIG": str(home / "none"), "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def export(environ):
    """Run `export` in a process of its own; output as it was written."""

    def run(*args):
        command = [sys.executable, "-m", "network_mapper", "export", *map(str, args)]
        done = subprocess.run(
            command, capture_output=True, env=environ, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def server():
    client = End("client", "ns1", labels={"team": "a"})
    kafka = End("kafka", "kafka", "StatefulSet")
    intents = [
        intent(client, "ns1/server"),
        intent(client, "other-ns/web", service="web-svc"),
        intent(client, "other-ns/web", http={"/a": ["GET", "POST"], "/b": ["ALL"]}, service="web-svc"),
        intent(client, API_SERVER),
        intent(client, kafka),
        intent(client, kafka._replace(kind=""), kafka={"mytopic": ["CONSUME", "DESCRIBE"]}),
        intent("ns1/api", client),
    ]
    with ModelServer(intents) as running:
        yield running


@pytest.fixture
def ask(export, server):
    return lambda *args: export("--mapper-url", server.url, *args)


API = """\
apiVersion: k8s.otterize.com/v2beta1
kind: ClientIntents
metadata:
  name: api
  namespace: ns1
spec:
  workload:
    name: api
    kind: Deployment
  targets:
    - kubernetes:
        name: client
        kind: Deployment"""
CLIENT = """\
apiVersion: k8s.otterize.com/v2beta1
kind: ClientIntents
metadata:
  name: client
  namespace: ns1
spec:
  workload:
    name: client
    kind: Deployment
  targets:
    - kafka:
        name: kafka.kafka
        topics:
          - name: mytopic
            operations:
              - consume
              - describe
    - service:
        name: kubernetes.default
    - kubernetes:
        name: server
        kind: Deployment
    - kubernetes:
        name: web.other-ns
        kind: Deployment
        http:
          - path: /a
            methods:
              - GET
              - POST
          - path: /b
            methods: []"""
CLIENT_V1 = """\
apiVersion: k8s.otterize.com/v1alpha3
kind: ClientIntents
metadata:
  name: client
  namespace: ns1
spec:
  service:
    name: client
  calls:
    - name: kafka.kafka
      type: kafka
      kafkaTopics:
        - name: mytopic
          operations:
            - consume
            - describe
    - name: svc:kubernetes.default
    - name: server
    - name: web.other-ns
      type: http
      HTTPResources:
        - path: /a
          methods:
            - GET
            - POST
        - path: /b
          methods: []"""


def targets(result, name="client"):
    """The targets of one client, `FIELD NAME`."""
    assert result.code == 0, result.err
    (found,) = [item for item in yaml.safe_load_all(result.out) if item["metadata"]["name"] == name]
    return [f"{field} {fields['name']}" for target in found["spec"]["targets"] for field, fields in target.items()]


def clients(result):
    assert result.code == 0, result.err
    return [item["metadata"]["name"] for item in yaml.safe_load_all(result.out) if item]


def test_yaml_of_version_2_byte_for_byte(ask):
    assert ask() == (0, f"{API}\n---\n{CLIENT}\n", "")


def test_yaml_of_version_1_byte_for_byte(ask):
    assert ask("--output-version", "v1").out.endswith(f"\n---\n{CLIENT_V1}\n")


def test_json_is_an_array_with_every_field_that_go_writes(ask):
    result = ask("--format", "json", "-n", "ns1")
    item = json.loads(result.out)[0]
    assert list(item) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert item["metadata"] == {"name": "api", "namespace": "ns1", "creationTimestamp": None}
    assert item["status"] == {"upToDate": False, "observedGeneration": 0}
    assert result.out.startswith(
        '[\n  {\n    "kind": "ClientIntents",\n    "apiVersion": "k8s.otterize.com/v2beta1",\n'
    )
    assert result.out.endswith("\n  }\n]\n")


def test_a_file_and_a_folder(ask, tmp_path):
    path, folder = tmp_path / "intents.yaml", tmp_path / "intents"
    assert ask("-o", path) == (0, "", f"Successfully wrote intents into {path}\n")
    assert path.read_bytes().decode() == f"{API}\n---\n{CLIENT}"
    assert ask("-o", folder, "--output-type", "dir") == (0, "", f"Successfully wrote intents into {folder}\n")
    assert {one.name: one.read_bytes().decode() for one in folder.iterdir()} == {
        "api.ns1.yaml": API,
        "client.ns1.yaml": CLIENT,
    }


def test_an_output_type_without_an_output_is_an_error(ask):
    result = ask("--output-type", "dir")
    assert (result.code, result.out) == (2, "")
    assert "flag --output-type requires --output to specify output path" in result.err


def test_a_server_filter(ask):
    assert clients(ask("--server", "web.other-ns")) == ["client"]
    assert len(targets(ask("--server", "web.other-ns"))) == 4
    assert "invalid server filter. Expected format: <server-name>.<namespace>" in ask("--server", "web").err
    conflict = ask("--server", "web.other-ns", "-n", "ns1")
    assert conflict.code == 2
    assert "server filter cannot be used with namespaces filter" in conflict.err


def test_excluded_services_and_labels(ask):
    assert clients(ask("--exclude-services", "client")) == []
    assert targets(ask("--exclude-services", "web,server")) == ["kafka kafka.kafka", "service kubernetes.default"]
    assert clients(ask("--exclude-labels", "team=a")) == []
    assert clients(ask("--exclude-labels", "team=b")) == ["api", "client"]


def test_services_in_place_of_workloads(ask):
    assert targets(ask("--as-kubernetes-service")) == [
        "kafka kafka.kafka",
        "service kubernetes.default",
        "kubernetes server",
        "service web-svc.other-ns",
    ]


def test_a_typed_target_takes_the_place_of_an_untyped_one(ask):
    assert targets(ask()) == [
        "kafka kafka.kafka",
        "service kubernetes.default",
        "kubernetes server",
        "kubernetes web.other-ns",
    ]


def test_clients_told_apart_by_a_label(ask, server):
    server.intents += [intent(End("client", "ns2", labels={"team": team}), "ns2/db") for team in "ab"]
    server.intents += [intent(End("client", "ns3"), "ns3/db")]
    result = ask("--distinct-by-label", "team", "--format", "json")
    found = [(item["metadata"]["name"], item["metadata"]["namespace"]) for item in json.loads(result.out)]
    assert found.count(("client", "ns3")) == 1
    assert ("client", "ns1") in found
    assert server.requests[-1].variables["includedLabels"] == ["team"]


@pytest.mark.parametrize("schema", [WITH_LABELS, NAMES_ONLY])
def test_an_older_mapper_gives_names_and_a_warning(ask, server, schema):
    server.schema = schema
    result = ask()
    assert targets(result) == [
        "kubernetes kafka.kafka",
        "service kubernetes.default",
        "kubernetes server",
        "kubernetes web.other-ns",
    ]
    assert "kind: Deployment" not in result.out
    assert result.err.startswith("Warning: ")
    assert server.operations[-2:] == ["Intents", "ServiceIntents"]


def test_an_empty_map(ask, server):
    server.intents.clear()
    assert ask() == (0, "\n", "No connections found.\n")
    assert ask("--format", "json") == (0, "[]\n", "No connections found.\n")


def test_a_failing_query_is_an_error(ask, server):
    server.errors = ["it broke"]
    result = ask()
    assert (result.code, result.out) == (1, "")
    assert "it broke" in result.err


# Not the model's


@pytest.mark.parametrize("format_", ["yaml", "json", "csv", "json-graph"])
def test_hostile_names_pass_through_whole(export, mapper, format_):
    mapper.everywhere = document([*everything(), *hostile()])
    result = export("--mapper-url", mapper.url, "--format", format_, "--include-internet")
    assert result.code == 0, result.err
    assert "ünïcode-名前-🚀" in result.out
    assert "\x1b" not in result.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_fault(environ, mapper, unbuffered):
    environ = environ | {"PYTHONUNBUFFERED": unbuffered}
    mapper.everywhere = synthetic_map(600, 10, 5000)
    command = [sys.executable, "-m", "network_mapper", "export", "--mapper-url", mapper.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        assert process.stdout.readline() == b"apiVersion: k8s.otterize.com/v2beta1\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == OUTPUT_CLOSED


@pytest.mark.skipif(os.name == "nt", reason="wait4 is of POSIX")
@pytest.mark.parametrize("format_", ["yaml", "json", "csv", "json-graph"])
def test_5000_edges_are_exported_soon(environ, mapper, tmp_path, format_):
    mapper.everywhere = synthetic_map(1000, 20, 5000)
    command = [sys.executable, "-m", "network_mapper", "export", "--mapper-url", mapper.url, "--format", format_]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environ)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert (tmp_path / "out").stat().st_size > 100_000
    assert usage.ru_utime + usage.ru_stime < LIMIT


IMPORTED = """
import json, sys
from network_mapper.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize("args", [["--help"], ["--format", "json"], []])
def test_nothing_heavy_is_imported(environ, server, args):
    command = [sys.executable, "-c", IMPORTED, "export", "--mapper-url", server.url, *args]
    done = subprocess.run(command, capture_output=True, env=environ, check=True, text=True, timeout=60)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    heavy = {"asyncio", "yaml", "network_mapper.mapper", "network_mapper.cluster", "network_mapper.export.table_csv"}
    light = {"http.client", "ssl", "network_mapper.export.clientintents.convert"} if args == ["--help"] else set()
    assert not set(modules) & (heavy | light)
