"""One map, whatever it holds: every output is read back and must have the pairs of the map, each as often.

The readers share nothing with the writers but the names for people. What ClientIntents cannot say is counted by them,
so what they say and what they count is the whole map too.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter

import msgspec
import pytest
import yaml
from export_maps import HOSTILE, everything, hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_map import document, shop_map

from network_mapper.export import json_graph, table_csv, text, wide
from network_mapper.export.clientintents.convert import convert
from network_mapper.export.clientintents.write import to_json, to_yaml
from network_mapper.export.document import build
from network_mapper.export.labels import Labels, clean, named, namespace_of
from network_mapper.export.page import render as render_page
from network_mapper.export.picture import dot, graph, mermaid, svg
from network_mapper.export.picture.draw import Fold, Options, scene
from network_mapper.export.picture.scene import THEMES
from network_mapper.model import Ambiguous, Edge, External, Node, Peer, Service, ServiceRef, Workload

ARROW = " → "
SVG = "{http://www.w3.org/2000/svg}"
MARKS = (" (attempted, never answered)", " (DNS lookup only)")

names = (
    st.sampled_from(HOSTILE) | st.sampled_from(["web", "db", "api.v2", "API_v2", "kubernetes"]) | st.text(max_size=6)
)
# A list shows servers by their indentation, which no name of Kubernetes begins with.
names = names.filter(lambda name: name == name.lstrip() and not name.endswith(MARKS))
kinds = st.sampled_from(["Deployment", "StatefulSet", "CronJob", "", "a: b"])
namespaces = st.sampled_from(["shop", "db", "default"])


def peers(homes):
    singles = st.builds(Workload, names, homes, kinds) | st.builds(Service, names, homes) | st.builds(Node, names)
    ambiguous = st.lists(singles, min_size=2, max_size=3, unique=True).map(tuple).map(Ambiguous)
    return singles | st.builds(External, names) | ambiguous


def maps(homes, most=8):
    """Edges of a few ends, so that pairs meet, in both directions and in several ways; no edge twice."""

    def edges(ends):
        services = st.none() | st.just(ServiceRef("kubernetes", "default")) | st.builds(ServiceRef, names, homes)
        details = st.dictionaries(names, st.lists(st.sampled_from(["GET", "CONSUME", "x\ny"]), max_size=2), max_size=2)
        edge = st.builds(
            Edge,
            client=st.sampled_from(ends),
            server=st.sampled_from(ends),
            service=services,
            port=st.sampled_from([0, 80, 5432]),
            protocol=st.sampled_from(["tcp", "dns", "http", "kafka", ""]),
            connections=st.integers(0, 2),
            attempts=st.integers(0, 1),
            lookups=st.integers(0, 1),
            details=details,
        )
        return st.lists(
            edge, max_size=most, unique_by=lambda one: (one.client, one.server, one.service, one.port, one.protocol)
        )

    return st.lists(peers(homes), min_size=1, max_size=5, unique=True).flatmap(edges)


hostile_namespaces = namespaces | names.filter(bool)
FIXED = {"shop": shop_map().edges, "everything": everything(), "hostile": hostile()}


def pairs_of(edges):
    return {(edge.client, edge.server) for edge in edges}


def key(peer):
    """A peer as plain data, from our own types."""
    if isinstance(peer, Ambiguous):
        return "ambiguous", tuple(key(one) for one in peer.candidates)
    fields = {"name": "", "namespace": "", "kind": ""} | msgspec.to_builtins(peer)
    return fields["type"], fields["name"], fields["namespace"], fields["kind"]


# Readers: each gives the pairs of an output, and says what they should be


def of_json(edges):
    """`list -o json`."""
    shown = json.loads(msgspec.json.encode(build(document([]), edges)))
    read = Counter()
    for entry in shown["edges"]:
        ends = tuple(msgspec.convert(entry[end], type=Peer) for end in ("client", "server"))
        read[ends] += len(entry["ports"])
    return read, Counter((edge.client, edge.server) for edge in edges)


def of_text(edges):
    """`list`."""
    read, client = Counter(), ""
    for line in text.render(edges).split("\n")[:-1]:
        if line.startswith("    - "):
            continue
        if line.startswith("  - "):
            server = line.removeprefix("  - ")
            for mark in MARKS:
                server = server.removesuffix(mark)
            read[client, server] += 1
        else:
            assert line.endswith(" calls:")
            client = line.removesuffix(" calls:")
    labels = Labels(edges)
    return read, Counter(
        (labels.sentence(client), labels.sentence(server, namespace_of(client))) for client, server in pairs_of(edges)
    )


def of_wide(edges):
    """`list -o wide`. Names may hold what parts columns, so each line is looked up among what may stand there."""
    labels = Labels(edges)
    expected = Counter((labels.cell(edge.client), labels.cell(edge.server)) for edge in edges)
    read = Counter()
    for line in wide.render(edges, 0).split("\n")[1:-1]:
        fitting = [
            (client, server)
            for client, server in expected
            if re.match(rf"{re.escape(client)} +{re.escape(server)}  ", line)
        ]
        assert fitting, line
        read[max(fitting, key=lambda found: (len(found[0]), len(found[1])))] += 1
    return read, expected


def of_csv(edges):
    """`export --format csv`."""

    def safe(name):
        return f"'{name}" if name[:1] in {"=", "+", "-", "@", "\t", "\r"} and name else name

    def cells(peer):
        if isinstance(peer, Ambiguous):
            inside = (f"{namespace_of(one)}/{one.name}".removeprefix("/") for one in peer.candidates)
            return "ambiguous", safe(" | ".join(inside)), "", ""
        kind, *rest = key(peer)
        return kind, *map(safe, rest)

    rows = csv.DictReader(io.StringIO(table_csv.to_csv(edges).decode(), newline=""), strict=True)
    fields = ("type", "name", "namespace", "kind")
    read = Counter(
        tuple(tuple(row[f"{end}_{field}"] for field in fields) for end in ("client", "server")) for row in rows
    )
    return read, Counter((cells(edge.client), cells(edge.server)) for edge in edges)


def of_json_graph(edges):
    """`export --format json-graph`."""
    made = json.loads(json_graph.to_json_graph(document([]), edges))["graph"]
    ends = {node: msgspec.convert(fields["metadata"], type=Peer) for node, fields in made["nodes"].items()}
    read = Counter((ends[edge["source"]], ends[edge["target"]]) for edge in made["edges"])
    return read, Counter((edge.client, edge.server) for edge in edges)


def of_page(edges):
    """`visualize -o map.html`."""
    page = render_page(document([]), edges)
    (data,) = re.findall(r'<script type="application/json" id="map">(.*?)</script>', page, re.DOTALL)
    held = json.loads(data)
    ends = []
    for row in held["peers"]:
        if row["type"] == "ambiguous":
            ends.append((row["type"], tuple(ends[place] for place in row["candidates"])))
        else:
            ends.append((row["type"], *(row.get(field, "") for field in ("name", "namespace", "kind"))))
    read = Counter((ends[row["client"]], ends[row["server"]]) for row in held["edges"])
    return read, Counter((key(edge.client), key(edge.server)) for edge in edges)


def arrows(edges):
    """The pairs as pictures write them."""
    labels = Labels(edges)
    return Counter(labels.cell(client) + ARROW + labels.cell(server) for client, server in pairs_of(edges))


def of_dot(edges):
    """`visualize --format dot`: ends by their ids, and the pair in the tip of each edge."""
    made = graph.build(edges)
    quoted = r'"((?:[^"\\]|\\.)*)"'
    rows = re.findall(rf"^  {quoted} -> {quoted} \[.*tooltip={quoted}\]$", dot.render(made), re.MULTILINE)
    read, ends = Counter(), Counter()
    for client, server, tip in rows:
        shown = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], tip)
        read[shown.split("\n")[0].replace("&amp;", "&")] += 1
        ends[client, server] += 1
    assert set(ends.values()) <= {1}
    return read, arrows(edges)


def of_mermaid(edges):
    """`visualize --format mermaid`: names inside frames of namespaces."""
    labels = Labels(edges)

    def end(peer):
        match peer:
            case Workload():
                return clean(peer.namespace), labels.bare(peer)
            case Service():
                return clean(peer.namespace), named(peer.name)
            case Ambiguous():
                return "", f"? {labels.cell(peer)}"
            case _:
                return "", named(peer.name)

    def plain(label):
        return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)

    read, ends, frame = Counter(), {}, ""
    for line in mermaid.render(graph.build(edges)).split("\n"):
        if found := re.fullmatch(r'  subgraph s\d+\["(.*)"\]', line):
            frame = plain(found[1])
        elif line == "  end":
            frame = ""
        elif found := re.fullmatch(r'  +(n\d+)[\[({]+"(.*)"[\])}]+(?::::\w+)?', line):
            ends[found[1]] = (frame, plain(found[2]))
        elif found := re.fullmatch(r'  (n\d+) (?:-->|--x|-\.->)(?:\|"[^"]*"\|)? (n\d+)', line):
            read[ends[found[1]], ends[found[2]]] += 1
    return read, Counter((end(client), end(server)) for client, server in pairs_of(edges))


def _of_svg(edges, fold):
    made = scene(graph.build(edges), Options(fold=fold))
    read = Counter()
    for group in ET.fromstring(svg.render(made, THEMES["light"])).iter(f"{SVG}g"):  # noqa: S314  it is our own
        lines = group.findtext(f"{SVG}title", "").split("\n")
        if group.get("class") == "line":
            read[lines[0]] += 1
        elif pairs := int(group.get("data-pairs", 0)):
            read.update(lines[-pairs:])
    return read


def of_svg(edges):
    """`visualize --fold never`: a line for each pair."""
    return _of_svg(edges, Fold.NEVER), arrows(edges)


def of_folded_svg(edges):
    """`visualize --fold always`: the pairs behind each tile, line and cell. An ambiguous end may stand in several."""
    return Counter(set(_of_svg(edges, Fold.ALWAYS))), Counter(set(arrows(edges)))


READERS = [of_json, of_text, of_wide, of_csv, of_json_graph, of_page, of_dot, of_mermaid]
PICTURES = [of_svg, of_folded_svg]


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_an_output_has_the_pairs_of_the_map(reader, name):
    read, expected = reader(FIXED[name])
    assert read == expected
    assert expected


@pytest.mark.parametrize("reader", PICTURES, ids=lambda reader: reader.__name__)
def test_a_picture_has_the_pairs_of_the_map(reader):
    for name in ("shop", "everything"):
        read, expected = reader(FIXED[name])
        assert read == expected


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@settings(max_examples=60, deadline=None)
@given(edges=maps(hostile_namespaces))
def test_an_output_has_the_pairs_of_any_map(reader, edges):
    read, expected = reader(edges)
    assert read == expected


@pytest.mark.parametrize("reader", PICTURES, ids=lambda reader: reader.__name__)
@settings(max_examples=40, deadline=None)
@given(edges=maps(hostile_namespaces))
def test_a_picture_has_the_pairs_of_any_map(reader, edges):
    read, expected = reader(edges)
    assert read == expected


# ClientIntents

API = Service("kubernetes", "default")
API_REF = ServiceRef("kubernetes", "default")


def said(edge):
    """The client and the server of an edge as ClientIntents name them; None where they cannot."""
    server = API if edge.service == API_REF else edge.server
    client = Workload("kubernetes", "default", "") if edge.client == API else edge.client
    if not isinstance(client, Workload) or not isinstance(server, Workload | Service):
        return None
    if not client.name or not server.name:
        return None
    shown = client.name.replace(".", "_"), client.namespace, client.kind
    return shown, (server.name.replace(".", "_"), server.namespace)


def read_intents(documents):
    found = set()
    for item in documents:
        workload, home = item["spec"]["workload"], item["metadata"]["namespace"]
        client = workload["name"], home, workload.get("kind", "")
        for target in item["spec"]["targets"]:
            (fields,) = target.values()
            name, _, namespace = fields["name"].partition(".")
            found.add((client, (name, namespace or home)))
    return found


def left_of(converted):
    left = converted.left
    return left.clients + left.servers + left.internet + left.nameless + left.azure


@settings(max_examples=150, deadline=None)
@given(maps(namespaces))
def test_clientintents_say_or_count_every_edge_of_any_map(edges):
    converted = convert(edges)
    expected = {pair for edge in edges if (pair := said(edge))}
    assert read_intents(filter(None, yaml.safe_load_all(to_yaml(converted.documents, "v2beta1")))) == expected
    assert read_intents(json.loads(to_json(converted.documents, "v2beta1"))) == expected
    assert left_of(converted) == sum(said(edge) is None for edge in edges)


def test_clientintents_of_the_shop_are_the_pairs_of_its_list():
    edges = shop_map().edges
    converted = convert(edges)
    listed = {
        ((pair.client.name, pair.client.namespace, pair.client.kind), (pair.server.name, pair.server.namespace))
        for pair in build(shop_map(), edges).edges
        if isinstance(pair.client, Workload) and isinstance(pair.server, Workload | Service)
    }
    assert read_intents(yaml.safe_load_all(to_yaml(converted.documents, "v2beta1"))) == listed
