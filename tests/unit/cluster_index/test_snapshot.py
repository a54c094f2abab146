from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kube import endpoint_slice, node, obj, owned_by, pod, replica_set, service

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import SnapshotError, load

ITEMS = [
    pod("web-1-x", "10.0.0.1", labels={"version": "1.0"}, **owned_by("ReplicaSet", "web-1")),
    replica_set("web-1", "web"),
    service("web", "10.96.0.1"),
    endpoint_slice("web-a", "web"),
    node("n1", "192.168.0.1"),
]


def listed(*items, kind="List"):
    return {"apiVersion": "v1", "items": list(items), "kind": kind, "metadata": {"resourceVersion": ""}}


def untyped(item):
    return {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}


def names(snapshot):
    return sorted(f"{kind}/{item.metadata.name}" for kind, item in snapshot.objects)


ALL = ["EndpointSlice.discovery.k8s.io/web-a", "Node/n1", "Pod/web-1-x", "ReplicaSet.apps/web-1", "Service/web"]

SHAPES = {
    "list.json": lambda: json.dumps(listed(*ITEMS), indent=4),
    "compact.json": lambda: json.dumps(listed(*ITEMS)),
    "array.json": lambda: json.dumps(ITEMS, indent=2),
    "stream.json": lambda: "\n".join(json.dumps(item, indent=4) for item in ITEMS),
    "joined.json": lambda: "".join(json.dumps(item) for item in ITEMS),
    "lines.json": lambda: "".join(json.dumps(item) + "\n" for item in ITEMS),
    "lists.json": lambda: json.dumps(listed(*ITEMS[:2]), indent=4) + "\n" + json.dumps(listed(*ITEMS[2:]), indent=4),
    "list.yaml": lambda: yaml.safe_dump(listed(*ITEMS)),
    "list.yml": lambda: yaml.safe_dump(listed(*ITEMS), sort_keys=False).replace("\n", "\r\n"),
    "documents.yaml": lambda: "# all of it\n---\n" + "---\n".join(yaml.safe_dump(item) for item in ITEMS) + "---\n",
    "flow.yaml": lambda: yaml.safe_dump(listed(*ITEMS), default_flow_style=True),
    "json.yaml": lambda: json.dumps(listed(*ITEMS)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_that_people_keep_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SHAPES[name]().encode())
    snapshot = load(path)
    assert names(snapshot) == ALL
    assert snapshot.problems.lines() == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["list.json", "list.yaml"])
def test_files_that_powershell_wrote_are_read(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_text(SHAPES[name](), encoding=encoding)
    assert names(load(path)) == ALL


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_the_items_of_a_typed_list_need_no_kind(tmp_path, write):
    path = tmp_path / "pods"
    path.write_text(write(listed(untyped(ITEMS[0]), kind="PodList")))
    assert names(load(path)) == ["Pod/web-1-x"]


def test_a_folder_is_read_with_its_folders_and_nothing_else(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name, item in [("a.json", 0), ("sub/b.YAML", 1), ("sub/c.yml", 2), ("d.txt", 3), (".hidden/e.json", 4)]:
        (tmp_path / name).write_text(json.dumps(ITEMS[item]))
    assert names(load(tmp_path)) == ["Pod/web-1-x", "ReplicaSet.apps/web-1", "Service/web"]


def test_objects_can_be_handed_on_as_they_are_read(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(SHAPES["list.json"]())
    index = Index()
    snapshot = load(path, take=index.apply)
    assert snapshot.objects == []
    assert index.counts().items() >= {"pods": 1, "services": 1, "nodes": 1, "workloads": 1}.items()


def test_unknown_kinds_are_counted_and_kept_where_they_are_owned(tmp_path):
    owned = obj("Widget", "w", api_version="example.org/v1", meta=owned_by("Gadget", "g"))
    path = tmp_path / "all.json"
    path.write_text(json.dumps(listed(owned, obj("Namespace", "shop", None), ITEMS[0])))
    snapshot = load(path)
    assert names(snapshot) == ["Pod/web-1-x", "Widget.example.org/w"]
    assert snapshot.kinds == {"Widget.example.org": 1, "Namespace": 1, "Pod": 1}
    assert snapshot.problems.lines() == []


def test_secrets_and_config_maps_are_skipped(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps(listed(obj("Secret", "s", data={"k": 1}), obj("ConfigMap", "c"), ITEMS[0])))
    snapshot = load(path)
    assert (names(snapshot), snapshot.skipped, snapshot.problems.lines()) == (["Pod/web-1-x"], 2, [])


def test_annotations_that_name_nobody_are_dropped(tmp_path):
    path = tmp_path / "pod.json"
    kept = {"intents.otterize.com/workload-name": "web"}
    path.write_text(json.dumps(pod("p", annotations={"other": "x", **kept})))
    assert load(path).objects[0][1].metadata.annotations == kept


def test_yaml_times_and_numbers_stay_what_they_are(tmp_path):
    path = tmp_path / "pod.yaml"
    path.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, creationTimestamp: 2026-01-01T00:00:00Z}\n"
    )
    assert load(path).objects[0][1].metadata.creation_timestamp == "2026-01-01T00:00:00Z"


def test_yaml_aliases_between_items_are_followed(tmp_path):
    path = tmp_path / "list.yaml"
    text = yaml.safe_dump(listed(ITEMS[0], ITEMS[2])).replace("  metadata:", "  metadata: &m", 1)
    path.write_text(text + "extra: *m\n")
    assert names(load(path)) == ["Pod/web-1-x", "Service/web"]


def test_services_without_slices_are_a_problem(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps(listed(ITEMS[2])))
    assert load(path).problems.lines() == [
        "services: there are no EndpointSlices: it cannot be told which workloads they have"
    ]


# Bad input


@pytest.mark.parametrize(
    "text", ["", "   \n", "# nothing\n", "---\n---\n", "[]", "{}", json.dumps(listed()), "hello", "- 1"]
)
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_path_without_any_object_is_an_error_of_one_line(tmp_path, text, suffix):
    path = tmp_path / f"empty{suffix}"
    path.write_text(text)
    with pytest.raises(SnapshotError, match=r"\Ano Kubernetes objects in .*\Z"):
        load(path)


def test_a_missing_path_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(SnapshotError, match="no such file or folder"):
        load(tmp_path / "no")
    with pytest.raises(SnapshotError, match="no Kubernetes objects"):
        load(tmp_path)


BROKEN = ["{", "a: [", "kind: {", "a:\n\t- b", "\x00\x01", "%", "&a *b", "[[" * 50_000, '{"a": ' * 50_000]
DEEP = ["{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: " + "[" * 900_000, "k: [" + '"]", [' * 100_000]


@pytest.mark.parametrize("broken", BROKEN + DEEP)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_broken_file_costs_only_itself(tmp_path, broken, suffix):
    (tmp_path / f"broken.{suffix}").write_text(broken)
    (tmp_path / "good.json").write_text(json.dumps(ITEMS[0]))
    snapshot = load(tmp_path)
    assert names(snapshot) == ["Pod/web-1-x"]
    assert snapshot.problems.lines()[0].startswith(f"broken.{suffix}")


def test_a_broken_yaml_document_costs_only_itself(tmp_path):
    documents = [yaml.safe_dump(ITEMS[0]), "a: b: c\n", yaml.safe_dump(ITEMS[2]), yaml.safe_dump(ITEMS[3])]
    path = tmp_path / "all.yaml"
    path.write_text("---\n".join(documents))
    snapshot = load(path)
    assert len(snapshot.objects) == 3
    assert len(snapshot.problems) == 1
    assert snapshot.problems.lines()[0].startswith("all.yaml, document 2: broken YAML: mapping values are not allowed")


def test_a_broken_item_of_a_yaml_list_costs_only_itself(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(listed(*ITEMS)).replace("web-1-x", "{oh: no", 1))
    snapshot = load(path)
    assert names(snapshot) == [name for name in ALL if name != "Pod/web-1-x"]
    assert snapshot.problems.lines()[0].startswith("all.yaml, item 1: broken YAML")


def test_a_broken_json_document_costs_only_itself(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(
        "\n".join([json.dumps(ITEMS[0], indent=4), '{"kind": "Pod", oops}', json.dumps(ITEMS[3], indent=4)])
    )
    snapshot = load(path)
    assert names(snapshot) == ["EndpointSlice.discovery.k8s.io/web-a", "Pod/web-1-x"]
    assert snapshot.problems.lines()[0].startswith("all.json, document 2: ")


@pytest.mark.parametrize("indent", [2, 4])
def test_a_json_list_that_was_cut_off_keeps_its_whole_items(tmp_path, indent):
    text = json.dumps(listed(*ITEMS), indent=indent)
    path = tmp_path / "all.json"
    path.write_text(text[: text.rindex("192.168.0.1")])
    snapshot = load(path)
    assert names(snapshot) == [name for name in ALL if name != "Node/n1"]
    assert len(snapshot.problems) == 1


@pytest.mark.parametrize(
    ("item", "cause"),
    [
        (pod("bad") | {"spec": {"hostNetwork": "yes"}}, "item 2 (Pod shop/bad): Expected `bool | null`, got `str`"),
        (pod("bad", labels={"a": 1}), "item 2 (Pod shop/bad): Expected `str`, got `int`"),
        (pod("bad") | {"metadata": []}, "item 2 (Pod without a readable name): Expected `object | null`, got `array`"),
        ({"apiVersion": "v1", "kind": "Pod"}, "item 2 (Pod): it has no name"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ""}}, "item 2 (Pod): it has no name"),
        ({"metadata": {"name": "x"}}, "item 2: no Kubernetes object: it has no kind"),
        ({"kind": 7}, "item 2: no Kubernetes object: Expected `str`, got `int`"),
        (7, "item 2: no Kubernetes object: Expected `object`, got `int`"),
        ({"apiVersion": "v1", "kind": "Status", "status": "Failure"}, "item 2 (Status): it has no name"),
    ],
)
@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_a_bad_item_costs_only_itself_and_is_named(tmp_path, item, cause, write):
    path = tmp_path / "all"
    path.write_text(write(listed(ITEMS[0], item, ITEMS[3])))
    snapshot = load(path)
    assert len(snapshot.objects) == 2
    assert snapshot.problems.lines()[0].startswith(f"all, {cause}")


def test_problems_are_bounded_and_the_rest_counted(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps([ITEMS[0], *([{"kind": "Pod"}] * 3000)]))
    lines = load(path).problems.lines()
    assert len(lines) == 101
    assert lines[-1] == "and 2900 more"


def test_nothing_of_a_secret_stands_in_a_problem(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text("kind: Secret\ndata:\n  password: hunter2: x\n---\n" + yaml.safe_dump(ITEMS[0]))
    lines = load(path).problems.lines()
    assert len(lines) == 1
    assert "hunter2" not in lines[0]


DAMAGE = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 40), st.binary(max_size=6)), min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), DAMAGE)
def test_no_damage_raises_anything_but_a_snapshot_error(tmp_path_factory, name, damage):
    data = SHAPES[name]().encode()
    for place, length, inserted in damage:
        at = place % (len(data) + 1)
        data = data[:at] + inserted + data[at + length :]
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(data)
    try:
        load(path, take=Index().apply)
    except SnapshotError:
        return
