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
from network_mapper.export.picture import dot, graph, mermaid, svg
from network_mapper.export.picture.draw import Fold, Options, scene
from network_mapper.export.picture.scene import THEMES
from network_mapper.model import Edge, Workload

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
