"""The same map, edge by edge, in everything that draws it."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
import synthetic_map

from network_mapper.export import table_csv
from network_mapper.export.document import build as list_document
from network_mapper.export.labels import Labels
from network_mapper.export.pairs import Outcome
from network_mapper.export.picture import dot, graph, mermaid, svg
from network_mapper.export.picture.draw import Fold, Options, scene
from network_mapper.export.picture.folded import fold
from network_mapper.export.picture.scene import THEMES, Group, Rect, texts
from network_mapper.model import Edge, External, Node, Workload

SVG = "{http://www.w3.org/2000/svg}"
ARROW = " → "


def parse(document):
    return ET.fromstring(document)  # noqa: S314  it is our own


def shop():
    made = synthetic_map.shop_map()
    cart = Workload("cart", "shop", "Deployment")
    made.edges.append(Edge(cart, cart, None, 80, "tcp", connections=1))
    return made


MAPS = {
    "shop": shop,
    "45": lambda: synthetic_map.synthetic_map(45, 5, 110),
    "300": lambda: synthetic_map.synthetic_map(300, 20, 1500),
}


@pytest.fixture(params=MAPS)
def answer(request):
    return MAPS[request.param]()


@pytest.fixture
def listed(answer):
    """What `list -o json` shows, as the names that it has in text."""
    labels = Labels(answer.edges)
    document = list_document(answer, answer.edges)
    return Counter((labels.cell(entry.client), labels.cell(entry.server)) for entry in document.edges)


def drawn_pairs(document):
    """Every pair that an SVG tells of, in the titles of single lines or of what stands for several."""
    found = Counter()
    for group in parse(document).iter(f"{SVG}g"):
        kind = group.get("class")
        lines = group.findtext(f"{SVG}title", "").split("\n")
        if kind == "line":
            found[tuple(lines[0].split(ARROW))] += 1
        elif kind in ("tile", "bundle", "cell", "hub"):
            pairs = [tuple(line.split(ARROW)) for line in lines[1:]]
            assert len(pairs) == int(group.get("data-pairs"))
            found.update(pairs)
    return found


@pytest.mark.parametrize("fold", [Fold.AUTO, Fold.ALWAYS])
def test_svg_names_every_pair_that_list_shows_and_no_other(answer, listed, fold):
    document = svg.render(scene(graph.build(answer.edges), Options(fold=fold)), THEMES["light"])
    assert set(drawn_pairs(document)) == set(listed)


@pytest.mark.parametrize("answer", ["shop", "45"], indirect=True)
def test_unfolded_svg_draws_every_pair_once(listed, answer):
    document = svg.render(scene(graph.build(answer.edges), Options(fold=Fold.NEVER)), THEMES["light"])
    assert drawn_pairs(document) == listed


def test_lines_of_an_svg_bear_the_ids_of_their_ends():
    made = graph.build(shop().edges)
    root = parse(svg.render(scene(made, Options()), THEMES["light"]))
    ids = {group.get("data-id") for group in root.iter(f"{SVG}g")} - {None}
    lines = [group for group in root.iter(f"{SVG}g") if group.get("class") == "line"]
    assert {(line.get("data-client"), line.get("data-server")) for line in lines} == {
        (made.ends[line.client].id, made.ends[line.server].id) for line in made.lines
    }
    assert ids == {end.id for end in made.ends}


def test_dot_has_the_pairs_of_list(answer, listed):
    if shutil.which("dot") is None:
        pytest.skip("needs Graphviz")
    text = dot.render(graph.build(answer.edges))
    parsed = json.loads(
        subprocess.run(["dot", "-Kosage", "-Tdot_json"], input=text.encode(), capture_output=True, check=True).stdout
    )
    tips = [edge["tooltip"].split("\\n")[0].replace("&amp;", "&") for edge in parsed["edges"]]
    assert Counter(tuple(tip.split(ARROW)) for tip in tips) == listed


def test_mermaid_has_the_pairs_of_list(answer, listed):
    made = graph.build(answer.edges)
    text = mermaid.render(made)
    edges = re.findall(r"^  n(\d+) (?:-->|--x|-\.->)(?:\|\"[^\"]*\"\|)? n(\d+)$", text, re.MULTILINE)
    full = [end.full for end in made.ends]
    assert Counter((full[int(a)], full[int(b)]) for a, b in edges) == listed
    assert len(re.findall(r"^ +n\d+[\[({]", text, re.MULTILINE)) == len(full)


def test_csv_has_the_same_number_of_pairs(answer, listed):
    rows = table_csv.to_csv(answer.edges).decode().splitlines()[1:]
    assert len(rows) == len(answer.edges)
    assert len(listed) == len(graph.build(answer.edges).lines)


def test_a_tip_names_kafkas_operations_as_list_does():
    document = svg.render(scene(graph.build(shop().edges), Options()), THEMES["light"])
    assert "orders-dead: describe, produce" in document
    assert "PRODUCE" not in document


def spread(namespaces, callers, outside=0):
    """Namespaces with a workload each, some of which call one hub; and ends outside of them that call it too."""
    hub = Workload("hub", "n00", "Deployment")
    workloads = [Workload("app", f"n{number:02}", "Deployment") for number in range(namespaces)]
    calls = [(client, hub) for client in workloads[1 : callers + 1]]
    calls += [(client, client) for client in (workloads[0], *workloads[callers + 1 :])]
    calls += [(External(f"10.0.0.{number}"), hub) for number in range(outside)]
    calls += [(Node("node-a"), hub)] * bool(outside)
    return graph.build([Edge(client, server, None, 80, "tcp", connections=1) for client, server in calls])


@pytest.mark.parametrize(
    ("namespaces", "callers", "outside", "found"),
    [(40, 21, 0, True), (40, 20, 0, False), (40, 20, 9, False), (12, 9, 0, True), (12, 8, 9, False), (4, 3, 0, False)],
)
def test_a_hub_is_called_by_more_than_half_of_the_namespaces_and_by_more_than_eight(
    namespaces, callers, outside, found
):
    made = fold(spread(namespaces, callers, outside))
    assert [hub.namespaces for hub in made.hubs] == ([callers] if found else [])


def test_a_tile_counts_the_tiles_that_it_calls_and_that_call_it():
    at = {name: Workload("app", name, "Deployment") for name in "abc"}
    calls = [("a", "b"), ("a", "c"), ("b", "c"), ("c", "c")]
    made = fold(graph.build([Edge(at[a], at[b], None, 80, "tcp", connections=1) for a, b in calls]))
    assert {tile.name: (tile.calls, tile.callers, len(tile.inside)) for tile in made.tiles} == {
        "a": (2, 0, 0),
        "b": (1, 1, 0),
        "c": (0, 2, 1),
    }


def test_of_several_pairs_between_two_namespaces_the_strongest_evidence_is_drawn():
    clients = [Workload(f"c{number}", "a", "Deployment") for number in range(3)]
    server = Workload("s", "b", "Deployment")
    evidence = [{"lookups": 1}, {"attempts": 1}, {"connections": 1}]
    edges = [Edge(client, server, None, 80, "tcp", **one) for client, one in zip(clients, evidence, strict=True)]
    for last, outcome in enumerate((Outcome.LOOKUP_ONLY, Outcome.UNANSWERED, Outcome.ANSWERED), 1):
        (bundle,) = fold(graph.build(edges[:last])).bundles
        assert bundle.outcome is outcome


def groups_of(made, kind):
    return [item for item in made.items if isinstance(item, Group) and item.kind == kind]


def pairs_of(groups):
    return sum(int(dict(group.data)["pairs"]) for group in groups)


FOLDED = {
    "shop": lambda: graph.build(shop().edges),
    "45": lambda: graph.build(synthetic_map.synthetic_map(45, 5, 110).edges),
    "300": lambda: graph.build(synthetic_map.synthetic_map(300, 20, 1500).edges),
    "2000": lambda: graph.build(synthetic_map.synthetic_map(2000, 50, 9329).edges),
    "hub": lambda: spread(12, 9),
}


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_said_of_the_folding_is_what_is_drawn(name):
    drawn = FOLDED[name]()
    made = scene(drawn, Options(fold=Fold.ALWAYS))
    bundles, cells, hubs, tiles = (groups_of(made, kind) for kind in ("bundle", "cell", "hub", "tile"))
    few = len(tiles) <= 12 and not cells
    assert not (bundles and cells)
    counted = {
        "pairs": len(drawn.lines),
        "drawn": pairs_of(cells) or pairs_of(bundles),
        "groups": len(cells) or len(bundles),
        "inside": pairs_of(tiles),
    }
    said = " ".join(item.text for item in texts(made.items)).replace(",", "")
    if few:
        pattern = r"(?P<pairs>\d+) pairs that talk; (?P<drawn>\d+) pairs? as (?P<groups>\d+) lines?"
        inside = r" (?P<inside>\d+) inside a namespace as a number"
        assert counted["pairs"] == counted["drawn"] + counted["inside"] + pairs_of(hubs)
    else:
        pattern = r"(?P<pairs>\d+) pairs that talk; (?P<drawn>\d+) pairs? as (?P<groups>\d+) cells? of the table"
        inside = r" of them (?P<inside>\d+) inside a namespace"
        assert counted["pairs"] == counted["drawn"] + pairs_of(hubs)
    found = re.search(pattern + (inside if counted["inside"] else "(?P<inside>)"), said)
    assert found, said
    assert {key: int(value or 0) for key, value in found.groupdict().items()} == counted
    bars = re.search(r"(\d+) to (\d+) hubs? as bars", said)
    assert [int(number) for number in bars.groups()] == [pairs_of(hubs), len(hubs)] if hubs else bars is None


def test_the_bar_of_a_hub_is_its_share_of_the_namespaces():
    made = scene(spread(12, 9), Options(fold=Fold.ALWAYS))
    (bar,) = groups_of(made, "hub")
    whole, part = (item for item in bar.items if isinstance(item, Rect))
    assert part.width / whole.width == pytest.approx(9 / 12)


def ring(ends, lines):
    """So many workloads of one namespace, and so many lines between them."""
    workloads = [Workload(f"app-{number:03}", "shop", "Deployment") for number in range(ends)]
    pairs = [(number % ends, (number + 1 + number // ends) % ends) for number in range(lines)]
    return graph.build([Edge(workloads[a], workloads[b], None, 80, "tcp", connections=1) for a, b in pairs])


@pytest.mark.parametrize(("ends", "lines", "folded"), [(24, 60, False), (25, 25, True), (20, 61, True)])
def test_a_map_is_folded_where_its_lines_could_not_be_read(ends, lines, folded):
    made = scene(ring(ends, lines), Options())
    assert bool(groups_of(made, "tile")) == folded
    assert len(groups_of(made, "line")) == (0 if folded else lines)
