"""Pictures as files: pixels, pages, and the languages of other programs."""

import html
import io
import itertools
import json
import re
import shutil
import subprocess

import pytest
import synthetic_map
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from network_mapper.export.picture import MADE_BY, dot, graph, graphviz, mermaid, pdf, raster
from network_mapper.export.picture.draw import Engine, Fold, Options, scene
from network_mapper.export.picture.scene import THEMES
from network_mapper.model import Ambiguous, Edge, External, Node, Service, Workload

LIGHT = THEMES["light"]
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")


@pytest.fixture(scope="module")
def shop():
    return graph.build(synthetic_map.shop_map().edges)


@pytest.fixture(scope="module")
def picture(shop):
    return scene(shop, Options())


@pytest.mark.parametrize("draw", [raster.png, raster.jpeg])
def test_pixels_have_the_size_of_the_scale_and_are_not_blank(picture, draw):
    content = draw(picture, LIGHT, 0.5)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == ("PNG" if draw is raster.png else "JPEG")
        assert image.size == pytest.approx((picture.width / 2, picture.height / 2), abs=1)
        assert len(image.convert("RGB").getcolors(1 << 24)) > 50
    assert MADE_BY.encode() in content[:4096]


def test_dark_pixels_are_dark(picture):
    with Image.open(io.BytesIO(raster.png(picture, THEMES["dark"], 0.5))) as image:
        assert image.convert("RGB").getpixel((2, 2)) == (0x12, 0x18, 0x1F)


def test_texts_are_drawn_where_no_font_is_installed(picture, monkeypatch):
    import resvg_py

    asked = {}
    draw = resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **settings: asked.update(settings) or draw(**settings))
    with Image.open(io.BytesIO(raster.png(picture, LIGHT, 1))) as image:
        title = image.convert("L").crop((20, 20, 200, 46))
    assert asked["skip_system_fonts"] is True
    assert title.getextrema()[0] < 100


def test_names_beyond_the_own_font_are_drawn_with_those_of_the_system(monkeypatch):
    import resvg_py

    asked = {}
    draw = resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **settings: asked.update(settings) or draw(**settings))
    edges = [Edge(Workload("名前", "a", "Pod"), Workload("b", "a", "Pod"), None, 80, "tcp", connections=1)]
    raster.png(scene(graph.build(edges), Options()), LIGHT, 1)
    assert asked["skip_system_fonts"] is False


def test_a_picture_too_large_for_pixels_is_drawn_smaller(picture):
    picture = scene(graph.build(synthetic_map.synthetic_map(300, 20, 1500).edges), Options())
    assert raster.fitting_scale(picture, 2) == 2
    scale = raster.fitting_scale(picture, 100)
    assert picture.width * picture.height * scale**2 <= raster.MOST_PIXELS * 1.001


def test_pdf_holds_every_name_as_text(shop, picture, tmp_path):
    content = pdf.render(picture, LIGHT)
    assert content.startswith(b"%PDF-")
    assert MADE_BY.encode() in content[:4096]
    assert content == pdf.render(picture, LIGHT)
    if shutil.which("pdftotext") is None:
        pytest.skip("needs poppler-utils")
    path = tmp_path / "map.pdf"
    path.write_bytes(content)
    ran = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True)
    assert ran.stderr == b""
    for end in shop.ends:
        assert end.name in ran.stdout.decode()
    info = subprocess.run(["pdfinfo", str(path)], capture_output=True, check=True).stdout.decode()
    wide, high = map(float, re.search(r"Page size: +([\d.]+) x ([\d.]+) pts", info).groups())
    assert (wide, high) == pytest.approx((picture.width * 0.75, picture.height * 0.75), abs=0.1)


def graphviz_reads(text):
    ran = subprocess.run(["dot", "-Kosage", "-Tdot_json"], input=text.encode(), capture_output=True, check=True)
    assert ran.stderr == b""
    return json.loads(ran.stdout)


def shown(label):
    """What Graphviz draws for a label: `\\\\` is a backslash, entities are characters."""
    return html.unescape(label.replace("\\\\", "\\"))


@needs_dot
def test_dot_names_and_clusters_are_those_of_the_map(shop):
    parsed = graphviz_reads(dot.render(shop, 'a "title" \\ & <b>'))
    nodes = [item for item in parsed["objects"] if not item["name"].startswith("cluster")]
    assert {node["name"] for node in nodes} == {end.id for end in shop.ends}
    assert "checkout.shop" in {node["name"] for node in nodes}
    clusters = {shown(item["label"]): item["nodes"] for item in parsed["objects"] if item["name"].startswith("cluster")}
    assert sorted(clusters) == shop.namespaces
    names = {item["_gvid"]: item["name"] for item in nodes}
    assert {names[number] for number in clusters["data"]} == {"postgres.data", "redis.data"}
    assert (parsed["rankdir"], shown(parsed["label"])) == ("LR", 'a "title" \\ & <b>')


@needs_dot
def test_dot_tells_evidence_by_style(shop):
    parsed = graphviz_reads(dot.render(shop))
    names = {item["_gvid"]: item["name"] for item in parsed["objects"]}
    styles = {(names[edge["tail"]], names[edge["head"]]): edge for edge in parsed["edges"]}
    assert styles["prometheus.edge", "catalog.shop"]["style"] == "dashed"
    assert styles["nightly-report.shop", "postgres.data"]["style"] == "dotted"
    assert styles["cart.shop", "redis.data"]["style"] == "solid"
    assert styles["nightly-report.shop", "data/postgres | data/redis (ambiguous)"]["label"] == "?"
    assert "/products: GET" in styles["frontend.shop", "catalog.shop"]["tooltip"]


KINDS = {
    "workload": Workload("cart", "shop", "Deployment"),
    "service": Service("prices", "shop"),
    "external": External("example.com"),
    "node": Node("node-a"),
    "ambiguous": Ambiguous((Node("a"), Node("b"))),
}


def test_dot_has_a_form_for_each_kind_of_end_and_declares_each_end_once():
    made = graph.build([Edge(KINDS["workload"], peer, None, 80, "tcp", connections=1) for peer in KINDS.values()])
    text = dot.render(made)
    forms = set()
    for end in made.ends:
        (form,) = re.findall(rf"^ *{re.escape(dot.identifier(end))} \[(.*)\]$", text, re.MULTILINE)
        forms.add(form.partition(", ")[2])
        assert ('label="? ' in form) == (end.shape == "ambiguous")
    assert len(forms) == len(KINDS)


def test_nothing_in_a_label_of_dot_is_an_entity():
    assert dot.label('&lt; "a" \\') == '"&amp;lt; \\"a\\" \\\\"'


def test_mermaid_tells_evidence_by_arrows_and_words(shop):
    text = mermaid.render(shop)
    number = {end.id: number for number, end in enumerate(shop.ends)}

    def arrow(client: str, server: str) -> str:
        (found,) = re.findall(rf"^  n{number[client]} (.*) n{number[server]}$", text, re.MULTILINE)
        return found

    assert arrow("cart.shop", "redis.data") == "-->"
    assert arrow("prometheus.edge", "catalog.shop") == '--x|"attempts only"|'
    assert arrow("nightly-report.shop", "postgres.data") == '-.->|"DNS lookup only"|'
    assert arrow("nightly-report.shop", "data/postgres | data/redis (ambiguous)") == '-->|"?"|'


HOSTILE = st.text(st.sampled_from("ab\"\\<>&;#{}[]|:-.'ü名% \n\t`*_"), min_size=1, max_size=12)


def chain(names):
    peers = [Workload(name, f"n{number % 2}", "Deployment") for number, name in enumerate(names)]
    return graph.build([Edge(a, b, None, 80, "tcp", connections=1) for a, b in itertools.pairwise(peers)])


@needs_dot
@settings(max_examples=40, deadline=None)
@given(st.lists(HOSTILE, min_size=2, max_size=8, unique=True))
def test_graphviz_reads_back_any_names(names):
    made = chain(names)
    parsed = graphviz_reads(dot.render(made))
    nodes = [item for item in parsed["objects"] if not item["name"].startswith("cluster")]
    assert {shown(node["label"]) for node in nodes} == {end.id for end in made.ends}
    ids = {" " * end.id.startswith("%") + end.id for end in made.ends}
    assert {node["name"].replace("\\\\", "\\") for node in nodes} == ids
    assert len(parsed["edges"]) == len(made.lines)


@given(st.lists(HOSTILE, min_size=2, max_size=8, unique=True))
def test_mermaid_labels_are_safe_and_hold_the_whole_name(names):
    made = chain(names)
    text = mermaid.render(made)
    labels = re.findall(r'^ +n\d+\["(.*)"\]$', text, re.MULTILINE)
    assert [re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) for label in labels] == [
        end.name for end in made.ends
    ]
    for label in labels:
        assert re.fullmatch(r"(?:[\w ./:|()?-]|#\d+;)*", label)
        assert not re.match(r"\d+\. |- ", label)


def test_mermaid_of_a_word_of_the_language():
    text = mermaid.render(chain(["end", "subgraph"]), "My: map")
    assert text == (
        '---\ntitle: "My: map"\n---\nflowchart LR\n  %% Made by network-mapper\n'
        '  subgraph s0["n0"]\n    n0["end"]\n  end\n  subgraph s1["n1"]\n    n1["subgraph"]\n  end\n  n0 --> n1\n'
    )


def test_mermaid_knows_what_renderers_refuse(shop):
    assert mermaid.too_large(shop, mermaid.render(shop)) == ""
    large = graph.build(synthetic_map.synthetic_map(300, 20, 1500).edges)
    assert "maxEdges" in mermaid.too_large(large, mermaid.render(large))
    assert "maxTextSize" in mermaid.too_large(shop, "x" * 50_001)


def test_an_unfolded_map_has_a_limit():
    large = graph.build(synthetic_map.synthetic_map(2000, 50, 9329).edges)
    for engine in Engine:
        with pytest.raises(graphviz.LayoutError, match=r"2,0.* names with .* lines are too many to be drawn unfolded"):
            scene(large, Options(fold=Fold.NEVER, engine=engine))


@pytest.mark.parametrize(("ends", "lines"), [(501, 501), (100, 1501)])
def test_graphviz_has_a_limit_of_names_and_one_of_lines(ends, lines, monkeypatch):
    workloads = [Workload(f"w{number}", "n", "Pod") for number in range(ends)]
    pairs = itertools.islice(
        (
            (a, b)
            for step in range(1, ends)
            for a, b in zip(workloads, workloads[step:] + workloads[:step], strict=True)
        ),
        lines,
    )
    made = graph.build([Edge(a, b, None, 80, "tcp", connections=1) for a, b in pairs])
    assert (len(made.ends), len(made.lines)) == (ends, lines)
    monkeypatch.setattr(graphviz, "place", lambda *_: pytest.fail("Graphviz was started"))
    with pytest.raises(graphviz.LayoutError, match="at most 500 with 1,500"):
        scene(made, Options(fold=Fold.NEVER, engine=Engine.DOT))


def test_graphviz_lays_out_what_is_too_large_for_the_own_layout(monkeypatch):
    made = graph.build(synthetic_map.synthetic_map(130, 6, 300).edges)
    asked = []
    monkeypatch.setattr(graphviz, "installed", lambda: "/usr/bin/dot")
    real = graphviz.place

    def place(*problem):
        asked.append(len(problem[0]))
        return real(*problem) if shutil.which("dot") else pytest.skip("needs Graphviz")

    monkeypatch.setattr(graphviz, "place", place)
    scene(made, Options(fold=Fold.NEVER))
    scene(graph.build(synthetic_map.shop_map().edges), Options())
    assert asked == [len(made.ends)]


def test_missing_and_failing_graphviz_are_told(shop, monkeypatch, tmp_path):
    monkeypatch.setattr(graphviz, "installed", lambda: None)
    with pytest.raises(graphviz.LayoutError, match="not installed"):
        scene(shop, Options(engine=Engine.DOT))
    broken = tmp_path / "dot"
    broken.write_text("#!/bin/sh\necho 'out of order' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(graphviz, "installed", lambda: str(broken))
    with pytest.raises(graphviz.LayoutError, match="Graphviz failed: out of order"):
        scene(shop, Options(engine=Engine.DOT))
