"""The model's command line, feature by feature, by the shipped program: against our mapper and against the model's.

`ours` is a mapper process that was told a map in the model's words; `model` is a server that knows nothing but the
model's schema and holds the same map, written by hand. What the two cannot agree on is asserted as a difference.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from typing import NamedTuple

import both_maps
import pytest
import yaml
from model_mapper import ModelMapper
from model_server import NAMES_ONLY, WITH_LABELS, ModelServer
from query_door import Between

SIDES = ["ours", "model"]


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Run the program in a process of its own, with no settings and no cluster around it; output as it was written."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))}
    environ = kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "KUBECONFIG": str(home / "none")}
    environ |= {"PYTHONUTF8": "1"}

    def run(*args):
        command = [sys.executable, "-m", "network_mapper", *map(str, args)]
        done = subprocess.run(
            command, capture_output=True, env=environ, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def started(folder):
    return ModelMapper(folder, both_maps.write_cluster(folder / "cluster")).start().wait_ready()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Our mapper with the map. Tests only read it."""
    mapper = started(tmp_path_factory.mktemp("ours"))
    both_maps.report(mapper)
    yield mapper
    mapper.stop()


@pytest.fixture
def fresh(tmp_path):
    """A mapper of our own without a map, to be changed."""
    mapper = started(tmp_path)
    yield mapper
    mapper.stop()


@pytest.fixture
def model():
    """The model's schema and the same map."""
    with ModelServer(both_maps.intents()) as server:
        yield server


@pytest.fixture(params=SIDES)
def side(request):
    return request.param


@pytest.fixture
def ask(side, program, ours, model):
    """Ask one of the two."""
    url = {"ours": ours, "model": model}[side].url
    return lambda *args: program(*args, "--mapper-url", url)


def documents(result):
    assert result.code == 0, result.err
    return [item for item in yaml.safe_load_all(result.out) if item]


def clients(result):
    return [f"{item['metadata']['name']}.{item['metadata']['namespace']}" for item in documents(result)]


def targets(result, name="client"):
    """The targets of one client, `FIELD NAME`."""
    (found,) = [item for item in documents(result) if item["metadata"]["name"] == name]
    return [f"{field} {fields['name']}" for target in found["spec"]["targets"] for field, fields in target.items()]


# List

LIST = """\
api in namespace ns1 calls:
  - client
client in namespace ns1 calls:
  - kafka in namespace kafka
    - Kafka topic: mytopic, operations: [consume describe]
  - kubernetes (service) in namespace default
  - server
  - web in namespace other-ns
    - path /a, methods: [GET,POST]
    - path /b, methods: []
client in namespace ns2 calls:
  - search.v2
client-2 in namespace shop calls:
  - kafka in namespace kafka
    - Kafka topic: mytopic, operations: [describe produce]
  - nginx
    - path /client2-path, methods: [GET,POST]
search.v2 in namespace ns2 calls:
  - server in namespace ns1
"""


def on(side, text):
    """On the model's wire, dots in names of workloads are underscores, and nothing tells what they were."""
    return text.replace("search.v2", "search_v2") if side == "model" else text


def test_list_as_text(ask, side):
    assert ask("list") == (0, on(side, LIST), "")


def test_list_of_some_namespaces(ask, side):
    start, shop, end = (LIST.index(header) for header in ("client in namespace ns2", "client-2 in", "search.v2 in"))
    assert ask("list", "-n", "ns2") == (0, on(side, LIST[start:shop] + LIST[end:]), "")
    assert ask("list", "--namespaces", "ns1,ns2").out == on(side, LIST[:shop] + LIST[end:])


def test_cluster_dns_is_listed_and_exported_only_where_it_is_asked_for(ask):
    assert "coredns" not in ask("list").out + ask("export").out
    assert "  - coredns in namespace kube-system\n" in ask("list", "--all").out
    assert "kubernetes coredns.kube-system" in targets(ask("export", "--all", "-n", "ns1"))


@pytest.mark.parametrize("flag", ["-o", "--output", "--format"])
@pytest.mark.parametrize("output", ["json", "yaml"])
def test_list_in_another_format(ask, flag, output):
    result = ask("list", "-n", "ns1", flag, output)
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out) if output == "json" else yaml.safe_load(result.out)
    pairs = [(entry["client"]["name"], entry["server"]["name"]) for entry in document["edges"]]
    assert pairs == [("api", "client"), *(("client", name) for name in ("kafka", "kubernetes", "server", "web"))]
    (web,) = [entry for entry in document["edges"] if entry["server"]["name"] == "web"]
    details = [port["details"] for port in web["ports"] if port["protocol"] == "http"]
    assert [sorted(found) for found in details] == [["/a", "/b"]]


def test_a_format_that_list_has_not_is_an_error(ask):
    result = ask("list", "--format", "toml")
    assert (result.code, result.out) == (2, "")
    assert "'toml'" in result.err
    assert "Traceback" not in result.err


# Export

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
API_V1 = """\
apiVersion: k8s.otterize.com/v1alpha3
kind: ClientIntents
metadata:
  name: api
  namespace: ns1
spec:
  service:
    name: api
  calls:
    - name: client"""
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
API_JSON = """\
[
  {
    "kind": "ClientIntents",
    "apiVersion": "k8s.otterize.com/v2beta1",
    "metadata": {
      "name": "api",
      "namespace": "ns1",
      "creationTimestamp": null
    },
    "spec": {
      "workload": {
        "name": "api",
        "kind": "Deployment"
      },
      "targets": [
        {
          "kubernetes": {
            "name": "client",
            "kind": "Deployment"
          }
        }
      ]
    },
    "status": {
      "upToDate": false,
      "observedGeneration": 0
    }
  }
]
"""


@pytest.mark.parametrize(
    ("version", "api", "client"), [("v2", API, CLIENT), ("v1", API_V1, CLIENT_V1)], ids=["v2", "v1"]
)
def test_export_as_yaml_byte_for_byte(ask, version, api, client):
    assert ask("export", "-n", "ns1", "--output-version", version) == (0, f"{api}\n---\n{client}\n", "")


def test_export_is_yaml_of_version_2_unless_told_otherwise(ask):
    assert ask("export", "-n", "ns1").out == f"{API}\n---\n{CLIENT}\n"


def test_export_as_json_byte_for_byte(ask):
    assert ask("export", "--format", "json", "-n", "ns1", "--to", "client.ns1") == (0, API_JSON, "")


def test_json_says_what_yaml_says(ask):
    filled = json.loads(ask("export", "--format", "json").out)
    for item in filled:
        assert item.pop("status") == {"upToDate": False, "observedGeneration": 0}
        assert item["metadata"].pop("creationTimestamp", "") is None
    assert filled == documents(ask("export"))


def test_json_heeds_the_version(ask):
    found = json.loads(ask("export", "-n", "ns1", "--format", "json", "--output-version", "v1").out)
    assert [item["apiVersion"] for item in found] == ["k8s.otterize.com/v1alpha3"] * 2
    assert [call["name"] for call in found[1]["spec"]["calls"]][1] == "svc:kubernetes.default"


def test_export_to_a_file(ask, tmp_path):
    path = tmp_path / "intents.yaml"
    assert ask("export", "-n", "ns1", "-o", path) == (0, "", f"Successfully wrote intents into {path}\n")
    assert path.read_bytes().decode() == f"{API}\n---\n{CLIENT}"
    assert ask("export", "-n", "ns1", "-o", path, "--output-type", "single-file").code == 0


def test_export_to_a_folder(ask, tmp_path):
    folder = tmp_path / "intents"
    args = ("export", "-n", "ns1,ns2", "-o", folder, "--output-type", "dir")
    assert ask(*args) == (0, "", f"Successfully wrote intents into {folder}\n")
    found = {one.name: one.read_bytes().decode() for one in folder.iterdir()}
    assert sorted(found) == ["api.ns1.yaml", "client.ns1.yaml", "client.ns2.yaml", "search-v2.ns2.yaml"]
    assert (found["api.ns1.yaml"], found["client.ns1.yaml"]) == (API, CLIENT)
    assert "    name: search_v2\n" in found["search-v2.ns2.yaml"]
    assert os.name == "nt" or folder.stat().st_mode & 0o777 == 0o700


def test_files_of_json_in_a_folder_are_called_so(ask, tmp_path):
    folder = tmp_path / "intents"
    assert ask("export", "-n", "ns1", "--format", "json", "-o", folder, "--output-type", "dir").code == 0
    assert sorted(one.name for one in folder.iterdir()) == ["api.ns1.json", "client.ns1.json"]
    assert (folder / "api.ns1.json").read_text() + "\n" == API_JSON


def test_what_another_program_wrote_is_replaced_only_by_force(ask, tmp_path):
    path = tmp_path / "intents.yaml"
    path.write_text("precious: true\n")
    refused = ask("export", "-n", "ns1", "-o", path)
    assert (refused.code, refused.out, path.read_text()) == (1, "", "precious: true\n")
    assert "--force" in refused.err
    assert ask("export", "-n", "ns1", "-o", path, "--force").code == 0
    assert path.read_text() == f"{API}\n---\n{CLIENT}"


def test_an_output_type_without_an_output_is_an_error(ask):
    result = ask("export", "--output-type", "dir")
    assert (result.code, result.out) == (2, "")
    assert "flag --output-type requires --output to specify output path" in result.err


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("web.other-ns", ["client.ns1"]),
        ("kafka.kafka", ["client.ns1", "client-2.shop"]),
        ("server.ns1", ["client.ns1", "search-v2.ns2"]),
        ("nobody.ns1", []),
    ],
)
def test_a_server_filter_gives_everything_that_its_callers_call(ask, server, expected):
    result = ask("export", "--server", server)
    assert clients(result) == expected
    if server == "web.other-ns":
        assert result.out == f"{CLIENT}\n"


@pytest.mark.parametrize("server", ["web", "web.other-ns.svc", ".other-ns", "web."])
def test_a_malformed_server_filter_is_an_error(ask, server):
    result = ask("export", "--server", server)
    assert (result.code, result.out) == (2, "")
    assert "invalid server filter. Expected format: <server-name>.<namespace>" in result.err


def test_a_server_filter_contradicts_namespaces(ask):
    result = ask("export", "--server", "web.other-ns", "-n", "ns1")
    assert (result.code, result.out) == (2, "")
    assert "server filter cannot be used with namespaces filter" in result.err


def test_excluded_services_go_as_clients_and_as_targets(ask):
    assert clients(ask("export", "--exclude-services", "client")) == ["client-2.shop", "search-v2.ns2"]
    assert targets(ask("export", "-n", "ns1", "--exclude-services", "web,server")) == [
        "kafka kafka.kafka",
        "service kubernetes.default",
    ]
    assert ask("list", "-n", "ns1", "--exclude-services", "client").out == ""
    qualified = ask("list", "-n", "ns1", "--exclude-services", "client.ns2")
    assert qualified.out == LIST[: LIST.index("client in namespace ns2")]


def test_excluded_labels_go_as_clients_and_as_targets(ask):
    assert clients(ask("export", "--exclude-labels", "team=a")) == ["client.ns2", "search-v2.ns2"]
    assert clients(ask("export", "--exclude-labels", "team=c")) == [
        "api.ns1",
        "client.ns1",
        "client.ns2",
        "client-2.shop",
        "search-v2.ns2",
    ]
    assert clients(ask("export", "--exclude-labels", "team=a,team=b")) == ["search-v2.ns2"]
    assert clients(ask("export", "--exclude-labels", "team")) == ["search-v2.ns2"]


def test_services_in_place_of_workloads(ask):
    assert targets(ask("export", "-n", "ns1", "--as-kubernetes-service")) == [
        "kafka kafka.kafka",
        "service kubernetes.default",
        "kubernetes server",
        "service web-svc.other-ns",
    ]
    calls = documents(ask("export", "-n", "ns1", "--as-kubernetes-service", "--output-version", "v1"))[1]["spec"]
    assert [call["name"] for call in calls["calls"]][-1] == "svc:web-svc.other-ns"
    assert "  - web-svc (service) in namespace other-ns\n" in ask("list", "--as-kubernetes-service").out


def test_the_api_server_is_a_service(ask):
    assert "service kubernetes.default" in targets(ask("export", "-n", "ns1"))
    calls = documents(ask("export", "-n", "ns1", "--output-version", "v1"))[1]["spec"]["calls"]
    assert {"name": "svc:kubernetes.default"} in calls


def test_a_typed_target_takes_the_place_of_an_untyped_one(ask):
    found = targets(ask("export", "-n", "ns1"))
    assert found == ["kafka kafka.kafka", "service kubernetes.default", "kubernetes server", "kubernetes web.other-ns"]


def test_clients_told_apart_by_a_label(ask):
    assert clients(ask("export", "--distinct-by-label", "team")) == [
        "api.ns1",
        "client.ns1",
        "client.ns2",
        "client-2.shop",
        "search-v2.ns2",
    ]
    merged = ask("export", "--distinct-by-label", "nobody-has-it", "-n", "ns1,ns2")
    assert clients(merged) == ["api.ns1", "client.ns1", "search-v2.ns2"]
    assert "kubernetes search_v2.ns2" in targets(merged) or "kubernetes search_v2" in targets(merged)
    tagged = ask("list", "--distinct-by-label", "team").out
    assert "client [team=a] in namespace ns1 calls:" in tagged
    assert "api [team=no_value] in namespace ns1 calls:" in tagged


# The same map, the same output

SAME = [
    ("export",),
    ("export", "--output-version", "v1"),
    ("export", "--output-version", "v2alpha1", "--format", "json"),
    ("export", "--as-kubernetes-service", "--all"),
    ("export", "--server", "kafka.kafka", "--format", "json"),
    ("export", "--distinct-by-label", "team", "--exclude-services", "web"),
    ("export", "--connected-only", "--include-attempted", "--include-internet"),
    ("list",),
    ("list", "--all"),
    ("list", "--as-kubernetes-service", "--exclude-labels", "team=b"),
    ("list", "--from", "client.ns1", "--to", "web,kafka"),
    ("list", "--group-by", "namespace"),
    ("list", "--distinct-by-label", "team"),
]


@pytest.mark.parametrize("args", SAME, ids=" ".join)
def test_one_map_is_the_same_from_either_mapper_and_either_door(args, program, ours, model):
    direct = program(*args, "--mapper-url", ours.url)
    assert direct.code == 0
    assert direct.out
    door = Between(ours.url)
    try:
        through_graphql = program(*args, "--mapper-url", door.base)
    finally:
        door.stop()
    other = program(*args, "--mapper-url", model.url)
    assert through_graphql == other
    assert (other.code, other.out, other.err) == (0, on("model", direct.out), direct.err)


@pytest.mark.parametrize("options", [[], ["--all"], ["--as-kubernetes-service"], ["-n", "ns1,shop", "--to", "kafka"]])
def test_list_export_and_visualize_show_the_same_pairs(ask, options):
    listed = json.loads(ask("list", "-o", "json", *options).out)["edges"]
    pairs = {
        tuple(f"{entry[end]['name']}.{entry[end]['namespace']}" for end in ("client", "server")) for entry in listed
    }
    assert pairs
    rows = csv.DictReader(io.StringIO(ask("export", "--format", "csv", *options).out, newline=""))
    assert pairs == {
        tuple(f"{row[f'{end}_name']}.{row[f'{end}_namespace']}" for end in ("client", "server")) for row in rows
    }
    drawn = ask("visualize", "--format", "dot", "-o", "-", *options).out.replace(" (service)", "")
    assert pairs == set(re.findall(r'^  "([^"]+)" -> "([^"]+)" \[', drawn, re.MULTILINE))
    intents = set()
    for item in documents(ask("export", *options)):
        home = item["metadata"]["namespace"]
        for target in item["spec"]["targets"]:
            (fields,) = target.values()
            name, _, namespace = fields["name"].partition(".")
            intents.add((f"{item['spec']['workload']['name']}.{home}", f"{name}.{namespace or home}"))
    assert intents == {tuple(end.replace("search.v2", "search_v2") for end in pair) for pair in pairs}


def test_only_our_mapper_tells_evidence_so_only_its_lists_mark_it(program, fresh, model):
    both_maps.report(fresh)
    both_maps.report_lookup(fresh)
    model.intents.append(both_maps.lookup_intent())
    ours, other = (program("list", "-n", "ns1", "--mapper-url", side.url).out for side in (fresh, model))
    assert "  - nginx in namespace shop (DNS lookup only)\n" in ours
    assert other == ours.replace(" (DNS lookup only)", "")


def test_a_lookup_is_exported_from_both_and_left_out_where_the_evidence_is_told(program, fresh, model):
    both_maps.report(fresh)
    both_maps.report_lookup(fresh)
    model.intents.append(both_maps.lookup_intent())

    def exported(side, *args):
        return program("export", "-n", "ns1", *args, "--mapper-url", side.url)

    assert exported(fresh) == exported(model)
    assert targets(exported(fresh), "api") == ["kubernetes client", "kubernetes nginx.shop"]
    assert targets(exported(fresh, "--connected-only"), "api") == ["kubernetes client"]
    assert exported(model, "--connected-only") == exported(model)


def test_only_our_mapper_tells_ports_and_counts(program, ours, model):
    def edge(side):
        listed = program("list", "-n", "ns1", "--to", "server", "-o", "json", "--mapper-url", side.url)
        (entry,) = json.loads(listed.out)["edges"]
        return entry

    told, untold = edge(ours), edge(model)
    assert [(port["port"], port["protocol"]) for port in told["ports"]] == [(80, "tcp")]
    assert told["connections"] == 1
    assert told["last_seen"]
    assert [(port["port"], port["protocol"]) for port in untold["ports"]] == [(0, "")]
    assert untold["connections"] == 0
    assert untold["last_seen"] is None


# Older mappers

NAMES = """\
client in namespace ns1 calls:
  - kafka in namespace kafka
  - kubernetes (service) in namespace default
  - server
  - web in namespace other-ns
"""


@pytest.mark.parametrize("schema", [WITH_LABELS, NAMES_ONLY], ids=["labels", "names"])
def test_an_older_mapper_gives_names_and_a_warning(program, model, schema):
    model.schema = schema
    listed = program("list", "--from", "client.ns1", "--exclude-services", "coredns", "--mapper-url", model.url)
    assert (listed.code, listed.out) == (0, NAMES)
    assert listed.err.startswith("Warning: ")
    assert model.operations[-2:] == ["Intents", "ServiceIntents"]
    exported = program("export", "-n", "ns1", "--exclude-services", "coredns", "--mapper-url", model.url)
    assert targets(exported) == [
        "kubernetes kafka.kafka",
        "service kubernetes.default",
        "kubernetes server",
        "kubernetes web.other-ns",
    ]
    assert "kind: Deployment" not in exported.out
    assert exported.err.startswith("Warning: ")


# Visualize

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff", "svg": b"<svg ", "SVG": b"<svg "}


@pytest.mark.parametrize("format_", MAGIC)
def test_a_picture_has_the_format_that_is_asked_for(ask, tmp_path, format_):
    path = tmp_path / "map"
    result = ask("visualize", "-o", path, "--format", format_)
    assert (result.code, result.out) == (0, "")
    assert result.err == f"Exported graph as {format_.lower()} format to path {path}\n"
    assert path.read_bytes().startswith(MAGIC[format_])


def test_a_picture_is_a_png_unless_its_name_says_otherwise(ask, tmp_path):
    for name, magic in (("map", MAGIC["png"]), ("map.svg", MAGIC["svg"])):
        assert ask("visualize", "--output-path", tmp_path / name).code == 0
        assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_graph_runs_from_left_to_right_and_its_ids_are_names_with_namespaces(ask, side):
    text = ask("visualize", "--format", "dot", "-o", "-").out
    assert "rankdir=LR" in text
    assert "margin=0.2" in text
    for pair in ('"api.ns1" -> "client.ns1"', '"client.ns1" -> "web.other-ns"', '"client.ns2" -> "search.v2.ns2"'):
        assert text.count(on(side, pair)) == 1


def test_a_picture_leaves_out_what_is_excluded(ask):
    text = ask("visualize", "--format", "dot", "-o", "-", "--exclude-services", "web", "-n", "ns1").out
    assert '"server.ns1"' in text
    assert "web" not in text


def test_a_picture_needs_a_place_and_a_format_that_there_is(ask, tmp_path):
    assert ask("visualize").code == 2
    result = ask("visualize", "-o", tmp_path / "map", "--format", "bmp")
    assert result.code == 2
    assert "unsupported format: bmp" in result.err
    assert list(tmp_path.glob("map*")) == []


# Reset, and the empty map


def test_a_reset_empties_the_map(side, program, fresh, model):
    both_maps.report(fresh)
    url = {"ours": fresh, "model": model}[side].url
    assert program("list", "--mapper-url", url).out == on(side, LIST)
    result = program("reset", "--yes", "--mapper-url", url)
    assert (result.code, result.out.startswith("Removed ")) == (0, True)
    after = program("list", "--mapper-url", url)
    assert (after.code, after.out) == (0, "")
    assert after.err.startswith("No connections found.\n")
    assert fresh.intents() == [] if side == "ours" else model.intents == []


def test_a_reset_without_an_answer_removes_nothing(ask, side, ours, model):
    assert ask("reset").code == 1
    assert ours.intents() if side == "ours" else model.intents


def test_an_empty_map_is_no_failure_in_any_command(side, program, fresh, model, tmp_path):
    model.intents.clear()
    url = {"ours": fresh, "model": model}[side].url
    for args, out in (
        (["list"], ""),
        (["export"], "\n"),
        (["export", "--format", "json"], "[]\n"),
        (["visualize", "-o", tmp_path / "map.svg"], ""),
    ):
        result = program(*args, "--mapper-url", url)
        assert (result.code, result.out) == (0, out)
        assert result.err.startswith("No connections found.\n")
    assert b"Nothing to draw." in (tmp_path / "map.svg").read_bytes()


@pytest.mark.parametrize("command", [["list"], ["export"], ["visualize", "-o", "-"], ["reset", "--yes"]], ids=" ".join)
def test_a_mapper_that_fails_is_an_error_and_no_empty_map(program, model, command):
    model.errors = ["it broke"]
    result = program(*command, "--mapper-url", model.url)
    assert (result.code, result.out) == (1, "")
    assert "it broke" in result.err
    assert "No connections found" not in result.err
