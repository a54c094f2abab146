import json
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export import document, encode
from network_mapper.model import Edge, External, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

NOW = 1_800_000_000_000
NO_REQUESTS = {"requests": 0, "bytes": 0, "flows": 0}


@pytest.fixture
def answer(edges):
    return MapDocument("map-1", 2, NOW - 100_000, NOW, 0, 0, edges)


def test_document_of_one_pair(answer, edges):
    built = json.loads(encode.to_json(document.build(answer, edges[:2], 7)))
    assert built == {
        "store": "map-1",
        "epoch": 2,
        "watching_since": "2027-01-15T07:58:20.000Z",
        "generated_at": "2027-01-15T08:00:00.000Z",
        "since": None,
        "until": None,
        "hidden": 7,
        "own": [],
        "workloads": [],
        "edges": [
            {
                "client": {"type": "workload", "name": "frontend", "namespace": "shop", "kind": "Deployment"},
                "server": {"type": "workload", "name": "ads", "namespace": "shop", "kind": "Deployment"},
                "connections": 3,
                "attempts": 1,
                "lookups": 7,
                "sockets": 2,
                **NO_REQUESTS,
                "first_seen": "2027-01-15T07:58:25.000Z",
                "last_seen": "2027-01-15T07:59:55.000Z",
                "ports": [
                    {
                        "port": 0,
                        "protocol": "dns",
                        "service": {"name": "ads", "namespace": "shop"},
                        "connections": 0,
                        "attempts": 0,
                        "lookups": 7,
                        "sockets": 0,
                        **NO_REQUESTS,
                        "first_seen": "2027-01-15T07:58:25.000Z",
                        "last_seen": "2027-01-15T07:59:54.000Z",
                        "details": {},
                    },
                    {
                        "port": 80,
                        "protocol": "tcp",
                        "service": {"name": "ads", "namespace": "shop"},
                        "connections": 3,
                        "attempts": 1,
                        "lookups": 0,
                        "sockets": 2,
                        **NO_REQUESTS,
                        "first_seen": "2027-01-15T07:58:30.000Z",
                        "last_seen": "2027-01-15T07:59:55.000Z",
                        "details": {},
                    },
                ],
            }
        ],
    }


def test_yaml_says_what_json_says(answer, edges):
    built = document.build(answer, edges)
    assert yaml.safe_load(encode.to_yaml(built)) == json.loads(encode.to_json(built))


@pytest.mark.parametrize("name", ["no", "1e3", "- x", "a: b", "quo'te\"", "é", "0x1f", "null", "&a", "\x1b[2J"])
def test_names_survive_yaml(answer, name):
    answer.edges = [Edge(Workload(name, "n", "Pod"), External(name), None, 1, "tcp", 1)]
    read = yaml.safe_load(encode.to_yaml(document.build(answer, answer.edges)))
    assert read["edges"][0]["client"]["name"] == read["edges"][0]["server"]["name"] == name


scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


class Holder(msgspec.Struct):
    content: object


@given(trees)
def test_any_content_survives_yaml(content):
    assert yaml.safe_load(encode.to_yaml(Holder(content))) == {"content": content}


@pytest.mark.parametrize("value", ["a", ["b"], {"c": "d"}, [], {}])
@pytest.mark.parametrize("length", [999, 1000, 1001, 5000])
def test_long_keys_survive_yaml(value, length):
    content = {"x" * length: value, "é" * length: value, "after": 1}
    assert yaml.safe_load(encode.to_yaml(Holder(content))) == {"content": content}


def test_yaml_is_laid_out_in_blocks(answer, edges):
    built = encode.to_yaml(document.build(answer, edges[:1], 8))
    assert built.startswith(
        "store: map-1\nepoch: 2\nwatching_since: '2027-01-15T07:58:20.000Z'\n"
        "generated_at: '2027-01-15T08:00:00.000Z'\nsince: null\nuntil: null\nhidden: 8\nedges:\n"
        "- client:\n    type: workload\n    name: frontend\n    namespace: shop\n    kind: Deployment\n  server:\n"
    )
    assert "    details: {}\nown: []\nworkloads: []\n" in built


def test_no_edges_are_an_empty_list(answer):
    answer.edges = []
    assert json.loads(encode.to_json(document.build(answer, [])))["edges"] == []


def test_document_names_every_kind_of_peer(answer, edges):
    built = msgspec.to_builtins(document.build(answer, edges))
    types = {entry["server"]["type"] for entry in built["edges"]} | {
        entry["client"]["type"] for entry in built["edges"]
    }
    assert types == {"workload", "service", "node", "external", "ambiguous"}


def test_own_workloads_and_labels_are_those_of_what_is_shown(answer, edges):
    answer.own = [edges[0].client, Workload("elsewhere", "shop", "Deployment")]
    answer.workloads = [
        WorkloadRow("ads", "shop", "Deployment", 2, {"tier": "front"}),
        WorkloadRow("ads", "shop", "CronJob", 1, {}),
        WorkloadRow("postgres", "db", "StatefulSet", 1, {}),
    ]
    built = document.build(answer, edges[:2])
    assert (built.own, built.workloads) == (answer.own[:1], answer.workloads[:1])


def test_a_document_is_the_map_again(answer, edges):
    restored = document.restore(document.build(answer, edges))
    assert sorted(restored.edges, key=repr) == sorted(edges, key=repr)
    answer.edges = restored.edges
    assert restored == answer


PAGE = (Path(__file__).parents[3] / "docs" / "list-document.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("part", [document.ListDocument, document.Entry, document.Port])
def test_every_field_is_documented(part):
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in row.replace(",", " ").split()}
    assert {f"`{field}`" for field in part.__struct_fields__} <= named


def test_the_documented_example_has_the_shape():
    example = PAGE.split("```json\n")[1].split("```")[0]
    msgspec.json.decode(example, type=document.ListDocument)
    assert set(json.loads(example)) == set(document.ListDocument.__struct_fields__)
    assert set(json.loads(example)["edges"][0]) == set(document.Entry.__struct_fields__)
