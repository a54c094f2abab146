"""`export` of a mapper's answer: formats, files, what is left out, and what is said of it."""

import csv
import io
import json
import os
import stat
from pathlib import Path

import pytest
import yaml
from export_maps import API, API_REF, asked, deployment, document, documented, everything, hostile, looked_up, tcp

from network_mapper.model import Edge, External, Node, ServiceRef, Workload

GOLDEN = Path(__file__).parents[2] / "fixtures" / "export"
CART, REDIS = deployment("cart"), Workload("redis", "db", "StatefulSet")
SECRET = b"nobody wants to lose this"


@pytest.fixture
def export(ask, mapper):
    """Export a map of edges; labels are those of workloads by name."""

    def run(edges, *args, labels=None):
        mapper.map = mapper.everywhere = document(edges, labels)
        return ask("export", *args)

    return run


def documents(result):
    assert result.code == 0, result.err
    return [item for item in yaml.safe_load_all(result.out) if item]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def target_names(result):
    return [next(iter(target.values()))["name"] for item in documents(result) for target in item["spec"]["targets"]]


# Formats

GOLDEN_FILES = {
    "v2beta1.yaml": [],
    "v2alpha1.yaml": ["--output-version", "v2alpha1"],
    "v1alpha3.yaml": ["--output-version", "v1alpha3"],
    "internet.yaml": ["--include-internet", "--include-attempted", "--all"],
    "services.yaml": ["--as-kubernetes-service", "--connected-only"],
    "v2beta1.json": ["--format", "json"],
    "v1alpha3.json": ["--format", "json", "--output-version", "v1"],
    "map.csv": ["--format", "csv"],
    "map.graph.json": ["--format", "json-graph"],
}


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_every_format_is_as_in_its_golden_file(export, name, tmp_path):
    path = tmp_path / name
    result = export(everything(), *GOLDEN_FILES[name], "-o", str(path))
    assert result.code == 0, result.err
    golden = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(path.read_bytes())
    assert path.read_bytes() == golden.read_bytes()


@pytest.mark.parametrize(("short", "version"), [("v1", "v1alpha3"), ("v2", "v2beta1")])
@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_the_short_forms_of_versions_mean_one_each_in_either_format(export, short, version, format_):
    answers = {export(documented(), "--format", format_, "--output-version", name) for name in (short, version)}
    assert len(answers) == 1
    assert f"k8s.otterize.com/{version}" in answers.pop().out


def test_version_2_is_the_usual_one(export):
    assert export(documented()) == export(documented(), "--output-version", "v2")


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_the_standard_output_ends_with_one_line_feed_and_a_file_with_none(export, format_, tmp_path):
    path = tmp_path / "intents"
    export(documented(), "--format", format_, "-o", str(path))
    content = path.read_bytes()
    assert not content.endswith(b"\n")
    assert export(documented(), "--format", format_).out.encode() == content + b"\n"
    assert export(documented(), "--format", format_, "-o", "-").out.encode() == content + b"\n"


def test_percent_signs_and_braces_stay_as_they_are(export):
    edge = Edge(CART, REDIS, None, 0, "http", requests=1, details={"/a%20b%s%n/{id}": ["GET"]})
    assert "          - path: /a%20b%s%n/{id}\n" in export([edge]).out


def test_a_table_can_go_without_its_header(export):
    whole = export(everything(), "--format", "csv").out
    assert export(everything(), "--format", "csv", "--no-headers").out == whole.partition("\n")[2]


def test_all_formats_hold_the_same_pairs(export):
    edges = [edge for edge in everything() if isinstance(edge.client, Workload) and isinstance(edge.server, Workload)]
    rows = csv.DictReader(io.StringIO(export(edges, "--format", "csv").out))
    pairs = {(row["client_name"], row["client_kind"], row["server_name"], row["server_kind"]) for row in rows}
    graph = json.loads(export(edges, "--format", "json-graph").out)["graph"]
    ends = [[graph["nodes"][edge[end]]["metadata"] for end in ("source", "target")] for edge in graph["edges"]]
    assert {(one["name"], one["kind"], two["name"], two["kind"]) for one, two in ends} == pairs
    found = set()
    for item in documents(export(edges)):
        for target in item["spec"]["targets"]:
            (fields,) = target.values()
            name = fields["name"].partition(".")[0]
            found.add((item["spec"]["workload"]["name"], item["spec"]["workload"]["kind"], name))
    assert found == {(one.replace(".", "_"), kind, two.replace(".", "_")) for one, kind, two, _ in pairs}


def identity(peer):
    names = [f"{one.get('namespace', '')}/{one['name']}".removeprefix("/") for one in peer.get("candidates", ())]
    return peer["type"], " | ".join(names) or peer["name"], peer.get("namespace", ""), peer.get("kind", "")


@pytest.mark.parametrize("options", [[], ["--all"], ["--as-kubernetes-service", "-n", "shop"], ["--to", "redis"]])
def test_tables_and_graphs_hold_the_edges_of_the_list(export, ask, options):
    table = export(everything(), "--format", "csv", "--include-attempted", *options)
    graph = json.loads(export(everything(), "--format", "json-graph", "--include-attempted", *options).out)["graph"]
    listed = [
        (*identity(entry["client"]), *identity(entry["server"]), str(port["port"] or ""), port["protocol"])
        for entry in json.loads(ask("list", "-o", "json", *options).out)["edges"]
        for port in entry["ports"]
    ]
    peers = {key: identity(node["metadata"]) for key, node in graph["nodes"].items()}
    drawn = [
        (
            *peers[edge["source"]],
            *peers[edge["target"]],
            str(edge["metadata"]["port"] or ""),
            edge["metadata"]["protocol"],
        )
        for edge in graph["edges"]
    ]
    rows = list(csv.reader(io.StringIO(table.out)))[1:]
    assert [(*row[:8], *row[10:12]) for row in rows] == listed == drawn
    assert listed


# What is exported


def test_what_was_never_answered_stays_out_unless_it_is_wanted(export):
    edges = [tcp(CART, REDIS), tcp(CART, deployment("gone"), attempts=3)]
    result = export(edges)
    assert target_names(result) == ["redis.db"]
    assert result.err == "Edges left out: 1 only attempted (--include-attempted).\n"
    result = export(edges, "--include-attempted")
    assert target_names(result) == ["gone", "redis.db"]
    assert result.err == ""


def test_what_is_known_from_dns_is_exported_unless_connections_are_wanted(export):
    edges = [looked_up(CART, REDIS), tcp(CART, deployment("web"))]
    assert target_names(export(edges)) == ["redis.db", "web"]
    result = export(edges, "--connected-only")
    assert target_names(result) == ["web"]
    assert result.err == "Edges left out: 1 only looked up.\n"


def test_the_outside_is_exported_when_it_is_wanted(export):
    edges = [tcp(CART, REDIS), tcp(CART, External("api.example.com"), 443)]
    result = export(edges)
    assert "internet" not in result.out
    assert result.err == "Edges left out: 1 out of the cluster (--include-internet).\n"
    (item,) = documents(export(edges, "--include-internet"))
    assert item["spec"]["targets"][0] == {"internet": {"domains": ["api.example.com"], "ports": [443]}}


def test_what_cannot_be_a_client_or_a_server_is_told(export):
    edges = [tcp(CART, REDIS), tcp(Node("n"), CART), tcp(CART, Node("n")), tcp(External("192.0.2.0/24"), CART)]
    assert export(edges, "--all").err == (
        "Edges left out: 2 from nodes, from outside the cluster, or from one of several workloads; "
        "1 to nodes or to one of several workloads.\n"
    )


def test_quiet_leaves_out_what_was_left_out(export):
    assert export(everything(), "--quiet").err == (
        "Warning: ClientIntents do not know the HTTP methods 'HEAD'; they are left out of 1 path.\n"
        "Warning: ClientIntents do not know the operations 'WHATEVER'; they are left out of 1 topic.\n"
    )


def test_an_end_without_a_name_is_a_warning(export):
    result = export([tcp(CART, REDIS), tcp(CART, deployment(""))])
    assert target_names(result) == ["redis.db"]
    assert result.err == "Warning: 1 edge is left out: an end has no name, or a namespace that cannot exist.\n"


def test_actions_in_azure_have_no_place_in_version_1(export):
    edges = [tcp(CART, REDIS), asked(CART, External("/subscriptions/1"), "azure", actions=["a/read"])]
    assert export(edges).err == ""
    assert export(edges, "--output-version", "v1").err == (
        "Warning: 1 edge is left out: v1alpha3 has no place for what is done in Azure, v2beta1 has.\n"
    )


# What the model's rows ask for


def test_a_server_filter_keeps_all_calls_of_its_callers(export):
    other = deployment("other")
    edges = [tcp(CART, REDIS), tcp(CART, deployment("web")), tcp(other, deployment("web"))]
    assert [item["metadata"]["name"] for item in documents(export(edges, "--server", "redis.db"))] == ["cart"]
    assert target_names(export(edges, "--server", "redis.db")) == ["redis.db", "web"]


@pytest.mark.parametrize("value", ["redis", "redis.", ".db", "a.b.c"])
def test_a_server_filter_needs_two_parts(export, value):
    result = export([], "--server", value)
    assert result.code == 2
    assert "invalid server filter. Expected format: <server-name>.<namespace>" in result.err


def test_a_server_filter_cannot_be_used_with_namespaces(export):
    result = export([], "--server", "redis.db", "-n", "shop")
    assert result.code == 2
    assert "server filter cannot be used with namespaces filter" in result.err


def test_excluded_services_are_neither_clients_nor_targets_and_empty_clients_go(export):
    edges = [tcp(CART, REDIS), tcp(CART, deployment("web")), tcp(deployment("job"), REDIS), tcp(REDIS, CART)]
    result = export(edges, "--exclude-services", "redis,nobody")
    assert [item["metadata"]["name"] for item in documents(result)] == ["cart"]
    assert target_names(result) == ["web"]


def test_excluded_labels_are_asked_for_and_neither_clients_nor_targets(export, mapper):
    edges = [tcp(CART, REDIS), tcp(CART, deployment("web")), tcp(REDIS, CART)]
    result = export(edges, "--exclude-labels", "tier=data", labels={"redis": {"tier": "data"}})
    assert target_names(result) == ["web"]
    assert "labels=true" in mapper.requests[0]


def test_services_that_were_dialled_stand_for_workloads_on_request(export):
    edges = [tcp(CART, REDIS, 6379, ServiceRef("cache", "db")), tcp(CART, deployment("web"))]
    (item,) = documents(export(edges, "--as-kubernetes-service"))
    assert item["spec"]["targets"] == [
        {"service": {"name": "cache.db"}},
        {"kubernetes": {"name": "web", "kind": "Deployment"}},
    ]
    (item,) = documents(export(edges, "--as-kubernetes-service", "--output-version", "v1"))
    assert item["spec"]["calls"] == [{"name": "svc:cache.db"}, {"name": "web"}]


def test_the_api_server_is_a_service_in_both_versions(export):
    edge = tcp(CART, API, 443, API_REF)
    assert "    - service:\n        name: kubernetes.default\n" in export([edge]).out
    assert "    - name: svc:kubernetes.default\n" in export([edge], "--output-version", "v1").out


def test_a_label_tells_clients_apart(export):
    clients = [deployment("api", "ns1"), deployment("api", "ns2"), Workload("web", "ns3", "")]
    labels = {"api": {"app": "api"}}
    result = export([tcp(client, REDIS) for client in clients], "--distinct-by-label", "app", labels=labels)
    found = [(item["metadata"]["name"], item["metadata"]["namespace"]) for item in documents(result)]
    assert found == [("api", "ns1"), ("web", "ns3")]


def test_an_empty_map_is_no_failure(export, mapper):
    mapper.no_edges()
    for args, out in ([], "\n"), (["--format", "json"], "[]\n"):
        result = export([], *args)
        assert (result.code, result.out) == (0, out)
        assert result.err.startswith("No connections found.\n")


def test_a_map_of_which_nothing_can_be_exported_says_so(export):
    result = export([tcp(CART, REDIS, attempts=1)])
    assert (result.code, result.out) == (0, "\n")
    assert result.err == "No connections found.\nEdges left out: 1 only attempted (--include-attempted).\n"


# Files


def test_a_file_is_written_and_told_of(export, tmp_path):
    path = tmp_path / "intents.yaml"
    result = export(documented(), "-o", str(path))
    assert (result.out, result.err) == ("", f"Successfully wrote intents into {path}\n")
    assert path.read_text() == export(documented()).out.removesuffix("\n")
    assert names(tmp_path) == ["intents.yaml"]


def test_a_folder_has_a_file_for_each_client(export, tmp_path):
    folder = tmp_path / "deep" / "intents"
    result = export(documented(), "-o", str(folder), "--output-type", "dir")
    assert (result.out, result.err) == ("", f"Successfully wrote intents into {folder}\n")
    assert names(folder) == ["api.ns1.yaml", "client.ns1.yaml"]
    together = "\n---\n".join((folder / name).read_text() for name in names(folder))
    assert together + "\n" == export(documented()).out
    if os.name != "nt":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_of_json_has_files_of_that_name_with_one_document_each(export, tmp_path):
    export(documented(), "-o", str(tmp_path), "--output-type", "dir", "--format", "json")
    assert names(tmp_path) == ["api.ns1.json", "client.ns1.json"]
    for name in names(tmp_path):
        (item,) = json.loads((tmp_path / name).read_bytes())
        assert f"{item['metadata']['name']}.{item['metadata']['namespace']}.json" == name


def test_hostile_names_make_files_that_every_system_takes(export, tmp_path):
    result = export(hostile(), "-o", str(tmp_path), "--output-type", "dir")
    assert result.code == 0, result.err
    contents = [yaml.safe_load(path.read_bytes()) for path in tmp_path.iterdir()]
    assert {item["spec"]["workload"]["name"] for item in contents} == {
        edge.client.name.replace(".", "_") for edge in hostile()
    }
    assert len(contents) == len({name.lower() for name in names(tmp_path)})
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._") for name in names(tmp_path))
    assert "con_.shop.yaml" in names(tmp_path)


@pytest.mark.parametrize("output_type", ["single-file", "dir"])
def test_an_export_may_be_repeated(export, tmp_path, output_type):
    path = tmp_path / "intents"
    first = export(everything(), "-o", str(path), "--output-type", output_type)
    again = export(everything(), "-o", str(path), "--output-type", output_type)
    assert again == first
    assert first.code == 0


def test_what_an_earlier_export_left_in_a_folder_is_told_and_stays(export, tmp_path):
    export(documented(), "-o", str(tmp_path), "--output-type", "dir")
    (tmp_path / "notes.yaml").write_bytes(SECRET)
    result = export(documented()[:1], "-o", str(tmp_path), "--output-type", "dir")
    assert result.code == 0
    assert result.err.endswith(
        f"Warning: {tmp_path} also holds what an earlier export wrote: api.ns1.yaml. Remove what is no longer of use.\n"
    )
    assert names(tmp_path) == ["api.ns1.yaml", "client.ns1.yaml", "notes.yaml"]


@pytest.mark.parametrize("format_", ["yaml", "json", "csv", "json-graph"])
def test_another_file_stays_and_the_mapper_is_not_asked_unless_forced(export, mapper, tmp_path, format_):
    path = tmp_path / "precious"
    path.write_bytes(SECRET)
    result = export(documented(), "-o", str(path), "--format", format_)
    assert (result.code, result.out) == (1, "")
    assert result.err == f"Error: {path} exists already. Name another file, or replace it with --force.\n"
    assert (path.read_bytes(), mapper.requests) == (SECRET, [])
    assert export(documented(), "-o", str(path), "--format", format_, "--force").code == 0
    assert path.read_bytes() != SECRET


def test_another_file_in_a_folder_stays_and_nothing_is_written_beside_it(export, tmp_path):
    (tmp_path / "client.ns1.yaml").write_bytes(SECRET)
    result = export(documented(), "-o", str(tmp_path), "--output-type", "dir")
    assert result.code == 1
    assert "client.ns1.yaml exists already" in result.err
    assert names(tmp_path) == ["client.ns1.yaml"]


def test_an_output_that_cannot_be_written_is_an_error_in_one_line(export, mapper, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    wrong = {
        ("-o", str(tmp_path)): "is a folder",
        ("-o", str(tmp_path / "missing" / "a")): "there is no folder",
        ("-o", str(tmp_path / "file" / "a")): "cannot write",
        ("-o", str(tmp_path / "file"), "--output-type", "dir"): "is a file and no folder",
    }
    for args, words in wrong.items():
        result = export(documented(), *args)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith("Error: ")
        assert words in result.err
        assert result.err.count("\n") == 1
    assert mapper.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device_is_an_error_in_one_line(export):
    result = export(documented(), "-o", "/dev/full")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "No space left on device" in result.err


# Wrong usage


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--output-type", "dir"], "flag --output-type requires --output to specify output path"),
        (["--output-type", "single-file"], "flag --output-type requires --output to specify output path"),
        (["--output-type", "dir", "-o", "-"], "must name a folder"),
        (["--output-type", "tree", "-o", "x"], "'tree' is not one of 'single-file', 'dir'"),
        (["--format", "xml"], "'xml' is not one of 'yaml', 'json', 'csv', 'json-graph'"),
        (["--output-version", "v3"], "'v3' is not one of 'v2beta1', 'v2alpha1', 'v1alpha3', 'v2', 'v1'"),
        (["--format", "csv", "--output-version", "v2"], "--format csv has no versions"),
        (["--format", "csv", "--output-type", "dir", "-o", "x"], "--format csv is one file"),
        (["--format", "json-graph", "--distinct-by-label", "app"], "--distinct-by-label is for ClientIntents"),
    ],
)
def test_flags_that_contradict_each_other_are_a_wrong_usage(export, mapper, args, words):
    result = export(documented(), *args)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert mapper.requests == []


def test_a_mapper_that_fails_is_an_error_and_no_empty_export(export, mapper, tmp_path):
    mapper.broken = (500, b"{}")
    path = tmp_path / "intents.yaml"
    result = export(documented(), "-o", str(path))
    assert (result.code, result.out) == (1, "")
    assert not path.exists()


def test_options_come_from_variables_of_either_name(export, monkeypatch):
    monkeypatch.setenv("OTTERIZE_OUTPUT_VERSION", "v1")
    monkeypatch.setenv("NETWORK_MAPPER_FORMAT", "json")
    assert json.loads(export(documented()).out)[0]["apiVersion"] == "k8s.otterize.com/v1alpha3"
