import io
import json
import sys

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.cli.errors import CliError
from network_mapper.cli.sources import file, plain_yaml
from network_mapper.cli.sources.base import MapQuery, NoStatusError
from network_mapper.cli.sources.file import FileSource
from network_mapper.export import document, encode
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

NOW = 1_800_000_000_000

names = st.text(min_size=1, max_size=12) | st.sampled_from(["no", "1e3", "- x", "a: b", "0x1f", "null", "'", "\x1b[2J"])
workloads = st.builds(Workload, names, names, st.sampled_from(["Deployment", "Pod", ""]))
services = st.builds(Service, names, names)
single = workloads | services | st.builds(Node, names)
peers = single | st.builds(External, names) | st.builds(Ambiguous, st.lists(single, min_size=2, max_size=3).map(tuple))
counters = st.integers(0, 2**53)
moments = st.just(0) | st.integers(1, 253_402_300_799_999)
edges = st.builds(
    Edge,
    peers,
    peers,
    st.none() | st.builds(ServiceRef, names, names),
    st.integers(0, 65535),
    st.sampled_from(["tcp", "udp", "dns", "http", "kafka", "aws", ""]),
    *[counters] * 4,
    moments,
    moments,
    *[counters] * 3,
    st.dictionaries(names, st.lists(names, max_size=3), max_size=3),
)


def identity(edge):
    return (edge.client, edge.server, edge.service, edge.port, edge.protocol)


@st.composite
def maps(draw):
    found = draw(st.lists(edges, max_size=6, unique_by=identity))
    ends = {end for edge in found for end in (edge.client, edge.server) if isinstance(end, Workload)}
    chosen = sorted(ends, key=repr)
    labels = st.dictionaries(names, names, max_size=2)
    return MapDocument(
        draw(names),
        draw(st.integers(0, 2**31)),
        draw(moments),
        draw(moments),
        draw(moments),
        draw(moments),
        found,
        own=[end for end in chosen if draw(st.booleans())],
        workloads=[WorkloadRow(end.name, end.namespace, end.kind, 1, draw(labels)) for end in chosen],
    )


def in_order(answer):
    return msgspec.structs.replace(answer, edges=sorted(answer.edges, key=repr))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@pytest.mark.parametrize("form", ["json", "yaml"])
@given(answer=maps())
def test_a_saved_list_is_the_map_again(folder, form, answer):
    built = document.build(answer, answer.edges)
    text = encode.to_json(built) if form == "json" else encode.to_yaml(built)
    path = folder / f"map.{form}"
    path.write_bytes(text.encode())
    assert in_order(FileSource(str(path)).map()) == in_order(answer)


@given(answer=maps())
def test_a_mappers_answer_is_the_map_as_it_is(folder, answer):
    path = folder / "answer.json"
    path.write_bytes(msgspec.json.encode(answer))
    assert FileSource(str(path)).map() == answer


@pytest.fixture
def answer():
    cart, redis = Workload("cart", "shop", "Deployment"), Workload("redis", "db", "StatefulSet")
    watcher = Workload("network-mapper", "ops", "Deployment")
    made = [
        Edge(cart, redis, ServiceRef("redis", "db"), 6379, "tcp", 4, first_seen=NOW - 9_001, last_seen=NOW - 1),
        Edge(watcher, cart, None, 80, "tcp", 1, last_seen=NOW),
    ]
    rows = [WorkloadRow("cart", "shop", "Deployment", 2, {"tier": "front"})]
    return MapDocument("map-1", 2, NOW - 300_000, NOW, 0, 0, made, [watcher], rows)


@pytest.fixture
def saved(tmp_path, answer):
    path = tmp_path / "map.json"
    path.write_text(encode.to_json(document.build(answer, answer.edges)))
    return path


def failure(path, query=None):
    with pytest.raises(CliError) as caught:
        FileSource(str(path)).map(query or MapQuery())
    message = caught.value.format_message()
    assert "\n" not in message
    return message


def test_list_shows_a_saved_map_and_hides_our_own_traffic(run, saved):
    result = run("list", "--map-file", str(saved))
    assert result.code == 0
    assert result.out == "cart in namespace shop calls:\n  - redis in namespace db\n"


def test_what_list_saved_is_listed_as_before(ask, run, mapper, tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text(ask("list", "--all", "-o", "yaml").out)
    for form in ("text", "json"):
        assert run("list", "--all", "-o", form, "--map-file", str(path)) == ask("list", "--all", "-o", form)


def test_the_standard_input_is_read_once(saved, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(saved.read_bytes())))
    with FileSource("-") as source:
        assert source.where == "the standard input"
        assert source.map() == source.map() == answer


def test_a_namespace_keeps_its_clients_with_their_labels(saved, answer):
    found = FileSource(str(saved)).map(MapQuery(("shop",)))
    assert found == msgspec.structs.replace(answer, edges=answer.edges[:1], own=[])


def test_a_namespace_keeps_its_own_parts_of_this_program(saved, answer):
    found = FileSource(str(saved)).map(MapQuery((answer.own[0].namespace,)))
    ends = [end for edge in found.edges for end in (edge.client, edge.server)]
    assert found.own == [workload for workload in answer.own if workload in ends] != []


def test_a_file_of_the_account_may_be_named_by_its_tilde(saved, answer, monkeypatch):
    monkeypatch.setenv("HOME", str(saved.parent))
    monkeypatch.setenv("USERPROFILE", str(saved.parent))
    assert FileSource(f"~/{saved.name}").map() == answer


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_a_windows_shell_wrote_is_read(tmp_path, answer, monkeypatch, encoding, form):
    monkeypatch.setattr(file, "LARGEST_YAML", file.LARGEST_YAML if form == "yaml" else 0)
    built = document.build(answer, answer.edges)
    text = encode.to_json(built) if form == "json" else encode.to_yaml(built)
    path = tmp_path / "map"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert FileSource(str(path)).map() == answer


def test_fields_of_a_newer_version_are_ignored(saved, answer):
    content = json.loads(saved.read_text())
    content["colour"] = content["edges"][0]["colour"] = content["edges"][0]["ports"][0]["colour"] = "blue"
    saved.write_text(json.dumps(content))
    assert FileSource(str(saved)).map() == answer


def test_fields_that_an_older_version_did_not_write_are_empty(saved, answer):
    content = json.loads(saved.read_text())
    del content["own"], content["workloads"], content["edges"][0]["ports"][0]["details"]
    saved.write_text(json.dumps(content))
    assert FileSource(str(saved)).map() == msgspec.structs.replace(answer, own=[], workloads=[])


def test_times_without_an_offset_are_utc_and_others_are_converted(saved):
    content = json.loads(saved.read_text())
    content["edges"][0]["ports"][0] |= {"first_seen": "2027-01-15T10:00:00.25+02:00", "last_seen": "2027-01-15T08:00"}
    saved.write_text(json.dumps(content))
    edge = FileSource(str(saved)).map().edges[0]
    assert (edge.first_seen, edge.last_seen) == (NOW + 250, NOW)


def test_since_is_refused_because_there_are_only_totals(saved):
    message = failure(saved, MapQuery(since=NOW))
    assert message.startswith(f"{saved} is a saved map: it holds totals")
    assert "Leave out --since" in message


def test_there_is_no_status(run, saved):
    with pytest.raises(NoStatusError):
        FileSource(str(saved)).status()
    result = run("status", "--map-file", str(saved))
    assert (result.code, result.out) == (1, "")
    assert result.err == f"Error: {saved} is a saved map, which has no status. Ask the mapper, without --map-file.\n"


def test_there_is_nothing_to_reset(saved):
    before = saved.read_bytes()
    with pytest.raises(CliError, match="only a mapper's can be emptied"):
        FileSource(str(saved)).reset()
    assert saved.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Save one with"),
        (b" \r\n\t\n", "is empty. Save one with"),
        (b"\xef\xbb\xbf", "is empty. Save one with"),
        (b'{"store": "a", "generated_at": 5, "edges": [', "is no usable JSON (Input data was truncated)"),
        (b"{broken}", "is no usable JSON"),
        (b'{"store": "\xff\xfe"}', "is no usable JSON"),
        (b"{" * 100_000, "is no usable JSON"),
        (b"[" * 100_000, "is no"),
        (b'{"a": ' + b"[" * 100_000, "is no usable JSON"),
        (b'{"edges": ' + b'{"a":' * 100_000, "is no usable JSON"),
        (b"[]", "is no saved map"),
        (b'{"nodes": [], "links": []}', "is no saved map"),
        (b'{"store": 1, "generated_at": 5, "edges": []}', "is no saved map"),
        (b'{"title": "Not now", "status": 503, "detail": "a\\nb"}', "a mapper's refusal (503 Not now: a b)"),
        (b'{"store": "a", "generated_at": 5}', "does not understand"),
        (b'{"store": "a", "generated_at": null, "edges": [{"client": {"type": "cloud"}}]}', "Invalid value 'cloud'"),
        (b"cart in namespace shop calls:\n  - redis\n", "is no saved map"),
        (b"<html><body>log in</body></html>", "is no saved map"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "is neither JSON nor a map in YAML"),
        (b"\xff\xfe\x00\xd8", "is"),
        (b"a: [", "is neither JSON nor a map in YAML"),
        (b"a: b: c", "is neither JSON nor a map in YAML"),
        (b"a: 1\n---\nb: 2\n", "more than one document"),
        (b"a: &x [1]\nb: *x\n", "a part is repeated by an alias, line 2"),
        (b"- " * 100_000, "nested too deeply"),
        (b"a: " + b"[" * 1_000_000, "nested too deeply"),
        (b"? [a]\n: b\n", "a key is no text"),
    ],
)  # fmt: skip
def test_what_is_no_map_is_told_in_a_line(tmp_path, content, message):
    path = tmp_path / "map"
    path.write_bytes(content)
    assert message in failure(path)


def test_a_time_that_is_none_is_told(saved):
    saved.write_text(saved.read_text().replace("2027-01-15T08:00:00.000Z", "yesterday"))
    assert "'yesterday' is no time such as 2027-01-15T08:00:00.000Z" in failure(saved)


def test_a_file_that_is_not_there_and_a_folder_are_told(tmp_path):
    missing = tmp_path / "none"
    assert failure(missing) == f"the saved map {missing} cannot be read (No such file or directory). Check --map-file."
    assert failure(tmp_path) == f"the saved map {tmp_path} cannot be read (it is a folder). Check --map-file."


def test_more_than_the_bound_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(file, "LARGEST", 100)
    assert "is larger than a map is allowed to be" in failure(saved)


def test_more_yaml_than_the_bound_is_not_parsed(tmp_path, monkeypatch):
    path = tmp_path / "map.yaml"
    path.write_text("store: a\n" * 100)
    monkeypatch.setattr(file, "LARGEST_YAML", 100)
    assert "Save the map with -o json." in failure(path)


scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(trees)
def test_yaml_of_the_library_is_understood(content):
    copied = json.loads(json.dumps(content))  # without shared parts, which would become aliases
    assert plain_yaml.load(yaml.safe_dump(copied).encode()) == copied


@pytest.mark.parametrize("text", ["no", "1e3", "2027-01-15T08:00:00Z", "0x1f", "1_000", "012", "1:30", ".5"])
def test_yaml_words_without_quotes_stay_text(text):
    assert plain_yaml.load(text.encode()) == text
