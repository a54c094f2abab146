"""What is written on a picture: whole, legible, inside its box, and safe to put into a file."""

import itertools
import math
import xml.etree.ElementTree as ET

import msgspec
import pytest
import synthetic_map
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st

from network_mapper.export.pairs import Outcome
from network_mapper.export.picture import folded, graph, shapes, svg, text, tiles
from network_mapper.export.picture.draw import Fold, Options, scene
from network_mapper.export.picture.scene import SMALLEST, THEMES, Colour, Group, Rect, Text, texts
from network_mapper.model import Ambiguous, Edge, External, Node, Service, Workload

HOSTILE = [
    '"quoted"',
    "a&b<c>",
    "back\\slash",
    "-dash",
    "ünï-код-αβγ",
    "a\x00b\x1b[31m",
    "名前",
    "x" * 63,
    "end",
    "",
    "]]>",
]


def parse(document):
    return ET.fromstring(document)  # noqa: S314  it is our own


def hostile_edges():
    workloads = [Workload(name, "ns-" + name[:40], "Deployment") for name in HOSTILE]
    pairs = zip(workloads, [*workloads[1:], workloads[0]], strict=True)
    outside = External("a-very-long-name." * 14 + "example")
    return [Edge(a, b, None, 80, "tcp", connections=1) for a, b in pairs] + [
        Edge(workloads[0], outside, None, 443, "tcp", connections=1)
    ]


MAPS = {
    "hostile": hostile_edges,
    "shop": lambda: synthetic_map.shop_map().edges,
    "45": lambda: synthetic_map.synthetic_map(45, 5, 110).edges,
    "300": lambda: synthetic_map.synthetic_map(300, 20, 1500).edges,
}


@pytest.fixture(params=[(name, fold) for name in MAPS for fold in (Fold.AUTO, Fold.ALWAYS)], ids=str)
def picture(request):
    name, fold = request.param
    return scene(graph.build(MAPS[name]()), Options(fold=fold))


def extent(item):
    """The rectangle that a text fills."""
    left = item.x - {"start": 0, "middle": 0.5, "end": 1}[item.anchor] * item.width
    if item.turned:
        return item.x - item.size, item.y - item.width, item.x, item.y
    return left, item.y - item.size * 0.75, left + item.width, item.y + item.size * 0.22


def test_no_text_is_small_and_none_leaves_the_page(picture):
    for item in texts(picture.items):
        left, top, right, bottom = extent(item)
        assert item.size >= SMALLEST == 11
        assert left >= 0
        assert top >= 0
        assert right <= picture.width
        assert bottom <= picture.height


def test_no_two_texts_overlap(picture):
    found = sorted(extent(item) for item in texts(picture.items) if item.text)
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            if other[0] >= one[2] - 0.5:
                break
            assert not (min(one[3], other[3]) - max(one[1], other[1]) > 1.5 and other[0] < one[2] - 0.5), (one, other)


def test_names_stay_inside_their_boxes(picture):
    def walk(items):
        for item in items:
            if not isinstance(item, Group):
                continue
            frame = next((inner for inner in item.items if isinstance(inner, Rect)), None)
            if frame and item.kind in ("workload", "service", "external", "ambiguous", "namespace"):
                for name in (inner for inner in item.items if isinstance(inner, Text)):
                    left, top, right, bottom = extent(name)
                    assert frame.x <= left
                    assert right <= frame.x + frame.width
                    assert frame.y <= top
                    assert bottom <= frame.y + frame.height
            walk(item.items)

    walk(picture.items)


@pytest.mark.parametrize("fold", [Fold.AUTO, Fold.ALWAYS])
@pytest.mark.parametrize("name", MAPS)
def test_every_name_is_written_whole(name, fold):
    made = graph.build(MAPS[name]())
    written = "".join(item.text for item in texts(scene(made, Options(fold=fold)).items))
    for end in made.ends:
        assert end.name in written


@pytest.mark.parametrize("theme", THEMES)
def test_svg_of_hostile_names_is_well_formed_and_says_what_it_is(theme):
    document = svg.render(scene(graph.build(hostile_edges()), Options(title='<b>"&')), THEMES[theme])
    root = parse(document)
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.find(f"{space}title").text == '<b>"&'
    assert "11 workloads" in root.find(f"{space}desc").text
    assert {element.tag.removeprefix(space) for element in root.iter()} == {
        "svg",
        "title",
        "desc",
        "g",
        "rect",
        "path",
        "text",
    }
    assert "http" not in document.replace("http://www.w3.org/2000/svg", "")


def test_each_text_of_an_svg_says_how_long_it_is_where_its_font_may_be_another():
    made = scene(graph.build(synthetic_map.shop_map().edges), Options())
    space = "{http://www.w3.org/2000/svg}"
    for element, item in zip(
        parse(svg.render(made, THEMES["light"])).iter(f"{space}text"), texts(made.items), strict=True
    ):
        assert float(element.get("textLength")) == pytest.approx(item.width, abs=0.06)
    assert "textLength" not in svg.render(made, THEMES["light"], fitted=False)


def legend(edges, fold=Fold.NEVER):
    made = scene(graph.build(edges), Options(fold=fold))
    return [texts([item])[-1].text for item in made.items if isinstance(item, Group) and item.kind == "legend"]


A, B = Workload("a", "n", "Pod"), Workload("b", "n", "Pod")


@pytest.mark.parametrize(
    ("edge", "meaning"),
    [
        (Edge(A, B, None, 80, "tcp", connections=1), "connections, sockets or requests seen"),
        (Edge(A, B, None, 80, "tcp"), "talks to"),
        (Edge(A, B, None, 80, "tcp", attempts=1), "attempts only, never answered"),
        (Edge(A, B, None, 80, "tcp", lookups=1), "DNS lookup only"),
    ],
)
def test_a_legend_has_the_lines_of_the_picture_and_no_other(edge, meaning):
    assert legend([edge]) == ["workload", meaning]
    other = Edge(B, Workload("c", "m", "Pod"), None, 80, "tcp", connections=1)
    across = msgspec.structs.replace(edge, server=other.server)
    assert legend([across], Fold.ALWAYS) == [meaning]


@pytest.mark.parametrize(
    ("peer", "meaning"),
    [
        (Service("s", "n"), "service; what answers is not known"),
        (External("example.com"), "outside the cluster"),
        (Node("node-a"), "node"),
        (Ambiguous((A, B)), "? one of these, not known which"),
    ],
)
def test_a_legend_has_the_forms_of_the_picture_and_no_other(peer, meaning):
    edge = Edge(A, peer, None, 80, "tcp", connections=1)
    assert legend([edge]) == ["workload", meaning, "connections, sockets or requests seen"]


def test_a_legend_tells_of_calls_to_oneself_where_they_are_drawn():
    edge = Edge(A, A, None, 80, "tcp", connections=1)
    assert legend([edge])[-1] == "calls itself"
    assert "calls itself" not in legend([edge], Fold.ALWAYS)


def test_the_forms_of_ends_differ_without_colour():
    def form(shape):
        drawn = shapes.outline(shape, 0, 0, 90, 28)
        return type(drawn), getattr(drawn, "radius", 0) > 10, drawn.dash

    assert len({form(shape) for shape in graph.Shape}) == len(graph.Shape)


@pytest.mark.parametrize("outcome", Outcome)
def test_an_arrow_is_at_the_server(outcome):
    route = [(0.0, 0.0), (30.0, 0.0), (60.0, 40.0), (90.0, 40.0)]
    line, head = shapes.line(route, outcome)
    assert line.points[0] == route[0]
    assert route[-1] in head.points
    assert all(math.dist(point, route[-1]) < 12 for point in head.points)


def test_what_may_be_one_of_several_has_a_question_mark():
    edges = [Edge(A, Ambiguous((A, B)), None, 80, "tcp", connections=1)]
    for fold in (Fold.NEVER, Fold.ALWAYS):
        made = scene(graph.build(edges), Options(fold=fold))
        named = "".join(item.text for item in texts(made.items))
        assert ("? n/a | n/b (ambiguous)" in named) == (fold is Fold.NEVER)
        assert "n/a | n/b (ambiguous)" in named


def test_a_line_to_what_may_be_one_of_several_bears_a_question_mark():
    sure, unsure = (Edge(A, peer, None, 80, "tcp", connections=1) for peer in (B, Ambiguous((B, Node("n")))))
    lines = [
        item for item in scene(graph.build([sure, unsure]), Options()).items if getattr(item, "kind", "") == "line"
    ]
    assert sorted([item.text for item in texts(line.items)] for line in lines) == [[], ["?"]]


@pytest.mark.parametrize(
    ("evidence", "dashed"),
    [({"connections": 1}, False), ({}, False), ({"attempts": 1}, True), ({"lookups": 1}, True)],
)
def test_a_cell_of_the_table_tells_weak_evidence_by_its_border(evidence, dashed):
    peers = [Workload("app", f"n{number:02}", "Pod") for number in range(14)]
    edges = [Edge(a, b, None, 80, "tcp", **evidence) for a, b in itertools.pairwise(peers)]
    made = scene(graph.build(edges), Options(fold=Fold.ALWAYS))
    cells = [item for item in made.items if getattr(item, "kind", "") == "cell"]
    assert len(cells) == 13
    assert {bool(cell.items[0].dash) for cell in cells} == {dashed}


def test_a_service_is_named_as_one_in_its_tile():
    edges = [Edge(A, Service("prices", "n"), None, 80, "tcp", attempts=1)]
    assert "prices (service)" in {
        item.text for item in texts(scene(graph.build(edges), Options(fold=Fold.ALWAYS)).items)
    }


def test_one_long_name_does_not_widen_the_columns_of_its_tile():
    def columns(*more):
        peers = [Workload(name, "n", "Pod") for name in [*(f"app-{number}" for number in range(20)), *more]]
        made = graph.build([Edge(peers[0], peer, None, 80, "tcp", connections=1) for peer in peers[1:]])
        (tile,) = folded.fold(made).tiles
        return tiles.plan(made, tile, 430).column_width

    assert columns("a-name-that-is-much-longer-than-every-other-in-this-namespace") == columns("app-20")


def test_a_name_is_broken_where_it_has_a_mark():
    assert text.broken("payments-service.production", 12, 110) == ["payments-service.", "production"]


def test_an_empty_picture_says_why():
    made = scene(graph.build([]), Options(), "No sniffer has reported.")
    assert {"Nothing to draw.", "No sniffer has reported."} <= {item.text for item in texts(made.items)}


def test_above_a_picture_stands_how_much_it_shows():
    def said(edges):
        return " ".join(item.text for item in texts(scene(graph.build(edges), Options()).items)[1:3])

    assert said(synthetic_map.shop_map().edges).startswith(
        "11 workloads in 4 namespaces and 6 other ends; 20 pairs of client and server"
    )
    assert said([Edge(A, B, None, 80, "tcp", connections=1)]).startswith(
        "2 workloads in 1 namespace; 1 pair of client and server"
    )


def test_many_details_of_a_line_are_counted_and_not_all_told():
    details = {f"/{n:02}": ["GET"] for n in range(25)}
    (line,) = graph.build([Edge(A, B, None, 80, "http", requests=1, details=details)]).lines
    told = graph.describe(line.pair)
    assert len(told) == 22
    assert told[-1] == "  and 5 more"


def test_ids_of_ends_differ_where_their_names_do_not():
    twins = [
        Workload("b.c", "a", "Pod"),
        Workload("b", "c.a", "Pod"),
        Service("x", "n"),
        Workload("x (service)", "n", ""),
    ]
    made = graph.build([Edge(A, twin, None, 80, "tcp", connections=1) for twin in twins])
    assert len({end.id for end in made.ends}) == len(made.ends) == 5


def test_a_label_that_tells_clients_apart_stands_in_their_boxes():
    made = graph.build([Edge(A, B, None, 80, "tcp", connections=1)], {A: "team=x"})
    written = {item.text for item in texts(scene(made, Options()).items)}
    assert {"a [team=x]", "b"} <= written


@given(st.text())
def test_any_text_survives_xml(value):
    read = parse(f'<a b="{svg.escape(value)}">{svg.escape(value)}</a>').text or ""
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    assert len(read) == len(plain)
    assert all(b in (a, "\ufffd") for a, b in zip(plain, read, strict=True))


@given(st.text(max_size=300), st.floats(20, 400))
def test_a_broken_text_is_whole_and_narrow(value, limit):
    lines = text.broken(value, 12, limit)
    assert "".join(lines) == value
    assert all(text.width(line, 12) <= limit or len(line) == 1 for line in lines)


@pytest.mark.parametrize("bold", [False, True])
def test_widths_are_those_of_the_font_file(bold):
    font = TTFont(text.font_file(bold=bold))
    cmap, advances, unit = font.getBestCmap(), font["hmtx"], font["head"].unitsPerEm
    for code, name in cmap.items():
        assert text.width(chr(code), 1000, bold=bold) == round(1000 * advances[name][0] / unit)
    font.close()


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_colours_can_be_told_from_what_is_behind_them(theme):
    colours = THEMES[theme]
    for ground in (Colour.PAPER, Colour.FRAME, Colour.BOX):
        assert contrast(colours[Colour.INK], colours[ground]) >= 4.5
        assert contrast(colours[Colour.MUTED], colours[ground]) >= 4.5
        for line in (Colour.LINE, Colour.ATTEMPT, Colour.LOOKUP, Colour.EDGE, Colour.OUTSIDE):
            assert contrast(colours[line], colours[ground]) >= 3
    for heat in (Colour.HEAT_1, Colour.HEAT_2, Colour.HEAT_3, Colour.HEAT_4):
        assert contrast(colours[Colour.INK], colours[heat]) >= 4.5


def test_the_kinds_of_evidence_differ_without_colour():
    root = parse(svg.render(scene(graph.build(synthetic_map.shop_map().edges), Options()), THEMES["light"]))
    space = "{http://www.w3.org/2000/svg}"
    styles = {}
    for group in root.iter(f"{space}g"):
        if group.get("class") == "line":
            word = group.find(f"{space}title").text
            kind = (
                "attempt"
                if "unanswered" in word
                else "lookup"
                if "connection" not in word and "lookup" in word
                else "seen"
            )
            line, head = group.findall(f"{space}path")[:2]
            styles.setdefault(kind, set()).add((line.get("stroke-dasharray"), head.get("fill") == "none"))
    assert styles == {"seen": {(None, False)}, "attempt": {("9 5", True)}, "lookup": {("0.1 5", False)}}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=6, unique=True))
def test_any_names_make_a_well_formed_picture(names):
    peers = [Workload(name, name, "Deployment") for name in names]
    edges = [Edge(a, b, None, 80, "tcp", connections=1) for a, b in itertools.pairwise(peers)]
    for fold in (Fold.NEVER, Fold.ALWAYS):
        parse(svg.render(scene(graph.build(edges), Options(fold=fold)), THEMES["dark"]))
