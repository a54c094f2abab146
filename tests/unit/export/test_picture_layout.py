"""Boxes do not overlap, frames hold their own and nothing else, lines go round boxes, and small changes move little."""

import itertools
import math
import statistics

import pytest
import synthetic_map
from hypothesis import example, given, settings
from hypothesis import strategies as st

from network_mapper.export.picture import graph, graphviz, layered, shapes
from network_mapper.export.picture.draw import Options, scene
from network_mapper.export.picture.layered import Box
from network_mapper.export.picture.scene import Group, Rect
from network_mapper.model import Edge, Workload


@st.composite
def problems(draw):
    count = draw(st.integers(1, 14))
    frames = draw(st.integers(0, 4))
    boxes = [
        Box(draw(st.floats(30, 200)), draw(st.floats(28, 60)), draw(st.integers(-1, frames - 1)) if frames else -1)
        for _ in range(count)
    ]
    used = sorted({box.frame for box in boxes} - {-1})
    boxes = [Box(box.width, box.height, used.index(box.frame) if box.frame >= 0 else -1) for box in boxes]
    ends = st.integers(0, count - 1)
    links = draw(st.lists(st.tuples(ends, ends).filter(lambda link: link[0] != link[1]), unique=True, max_size=30))
    return boxes, [draw(st.floats(40, 160)) for _ in used], links


def overlap(a, b):
    return (
        min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) > 0.5 and min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) > 0.5
    )


def inside(inner, outer):
    return (
        inner[0] >= outer[0] - 0.5
        and inner[1] >= outer[1] - 0.5
        and inner[0] + inner[2] <= outer[0] + outer[2] + 0.5
        and inner[1] + inner[3] <= outer[1] + outer[3] + 0.5
    )


def points(route, steps=24):
    for n in range(0, len(route) - 1, 3):
        a, b, c, d = route[n : n + 4]
        for step in range(steps + 1):
            t = step / steps
            w = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield tuple(sum(k * p[axis] for k, p in zip(w, (a, b, c, d), strict=True)) for axis in (0, 1))


def on_border(point, box):
    x, y, wide, high = box
    return (min(abs(point[0] - x), abs(point[0] - x - wide)) < 0.5) and y - 0.5 <= point[1] <= y + high + 0.5


@settings(max_examples=150, deadline=None)
@given(problems())
@example(([Box(30, 28, 0), Box(30, 28, 1)], [400, 40], [(0, 1)]))
@example(([Box(30, 28, 0), Box(30, 28, 1)], [40, 400], [(0, 1)]))
@example(([Box(30, 28, 0), Box(80, 28, 0), Box(30, 28, 1)], [400, 300], [(0, 1), (1, 2)]))
def test_everything_has_its_own_place(problem):
    boxes, frames, links = problem
    placed = layered.place(boxes, frames, links)
    for a, b in itertools.combinations(placed.boxes, 2):
        assert not overlap(a, b)
    for a, b in itertools.combinations(placed.frames, 2):
        assert not overlap(a, b)
    for box, rectangle in zip(boxes, placed.boxes, strict=True):
        assert rectangle[2] == pytest.approx(box.width)
        assert rectangle[3] >= box.height - 1e-6
        for number, frame in enumerate(placed.frames):
            assert inside(rectangle, frame) if box.frame == number else not overlap(rectangle, frame)
    for least, frame in zip(frames, placed.frames, strict=True):
        assert frame[2] >= least - 1e-6


@settings(max_examples=150, deadline=None)
@given(problems())
def test_a_line_runs_from_its_client_to_its_server_and_through_no_other_box(problem):
    boxes, frames, links = problem
    placed = layered.place(boxes, frames, links)
    for (a, b), route in zip(links, placed.routes, strict=True):
        assert on_border(route[0], placed.boxes[a])
        assert on_border(route[-1], placed.boxes[b])
        others = [box for n, box in enumerate(placed.boxes) if n not in (a, b)]
        for x, y in points(route):
            assert not any(
                left + 1 < x < left + wide - 1 and top + 1 < y < top + high - 1 for left, top, wide, high in others
            )
        assert all(0 <= x <= placed.width + 1e-6 and 0 <= y <= placed.height + 1e-6 for x, y in points(route))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_two_lines_never_meet_a_box_at_the_same_point(problem):
    placed = layered.place(*problem)
    ends = [point for route in placed.routes for point in (route[0], route[-1])]
    for a, b in itertools.combinations(ends, 2):
        assert math.dist(a, b) > 2


def test_the_same_map_makes_the_same_picture():
    edges = synthetic_map.shop_map().edges
    first, again = (scene(graph.build(order), Options()) for order in (edges, edges[::-1]))
    assert first == again


def test_a_map_of_many_namespaces_makes_the_same_picture_each_time():
    made = graph.build(synthetic_map.synthetic_map(22, 9, 30).edges)
    assert len(made.namespaces) > 4
    assert scene(made, Options()) == scene(made, Options()) == scene(made, Options())


def cross(a, b):
    """Whether two curves do."""

    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return any(
        side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0
        for p, q in itertools.pairwise(a)
        for r, s in itertools.pairwise(b)
    )


READABLE = {
    "shop": (synthetic_map.shop_map, 3, 0),
    "15": (lambda: synthetic_map.synthetic_map(15, 3, 25), 2, 0),
    "20": (lambda: synthetic_map.synthetic_map(20, 4, 35), 2, 0),
    "24": (lambda: synthetic_map.synthetic_map(24, 6, 40), 3, 0),
    "24 in 8": (lambda: synthetic_map.synthetic_map(24, 8, 50), 25, 6),
}


@pytest.mark.parametrize("name", READABLE)
def test_few_lines_cross_each_other_or_a_frame_that_is_not_theirs(name):
    make, crossings, strangers = READABLE[name]
    made = graph.build(make().edges)
    number = {namespace: index for index, namespace in enumerate(made.namespaces)}
    boxes = [Box(*shapes.box_size(end), number.get(end.namespace, -1)) for end in made.ends]
    links = [(line.client, line.server) for line in made.lines]
    placed = layered.place(boxes, [0.0] * len(number), links)
    curves = [list(points(route, 12)) for route in placed.routes]
    assert sum(cross(a, b) for a, b in itertools.combinations(curves, 2)) <= crossings
    through = [
        (link, frame)
        for link, curve in zip(links, curves, strict=True)
        for frame, (left, top, wide, high) in enumerate(placed.frames)
        if frame not in {boxes[end].frame for end in link}
        and any(left < x < left + wide and top < y < top + high for x, y in curve)
    ]
    assert len(through) <= strangers


def test_arrows_of_a_chain_point_to_the_right():
    placed = layered.place([Box(60, 28)] * 5, [], [(n, n + 1) for n in range(4)])
    lefts = [box[0] for box in placed.boxes]
    assert lefts == sorted(lefts)
    assert len({round(box[1]) for box in placed.boxes}) == 1


@settings(max_examples=10, deadline=None)
@given(problems())
def test_graphviz_places_boxes_and_routes_in_the_same_terms(problem):
    if graphviz.installed() is None:
        pytest.skip("needs Graphviz")
    boxes, frames, links = problem
    placed = graphviz.place(boxes, frames, links)
    for a, b in itertools.combinations(placed.boxes, 2):
        assert not overlap(a, b)
    for box, rectangle in zip(boxes, placed.boxes, strict=True):
        assert rectangle[2] == pytest.approx(box.width, abs=1)
        if box.frame >= 0:
            assert inside(rectangle, placed.frames[box.frame])
    for (a, b), route in zip(links, placed.routes, strict=True):
        assert len(route) % 3 == 1
        middle = [(box[0] + box[2] / 2, box[1] + box[3] / 2, box[2] / 2 + box[3] / 2) for box in placed.boxes]
        assert math.dist(route[0], middle[a][:2]) <= middle[a][2] + 2
        assert math.dist(route[-1], middle[b][:2]) <= middle[b][2] + 2


def chips(answer):
    """Where each name of a folded picture stands."""
    found = {}

    def walk(items):
        for item in items:
            if isinstance(item, Group):
                ids = dict(item.data).get("id")
                if ids:
                    box = next(inner for inner in item.items if isinstance(inner, Rect))
                    found[ids] = (box.x, box.y)
                walk(item.items)

    made = scene(graph.build(answer.edges), Options())
    walk(made.items)
    return found, math.hypot(made.width, made.height)


def renamed(answer, share):
    """The same map, in which every so-manieth workload has been replaced by one of another name."""
    peers = sorted({p for e in answer.edges for p in (e.client, e.server) if isinstance(p, Workload)}, key=str)
    other = {p: Workload(f"{p.name[:-1]}-new", p.namespace, p.kind) for p in peers[:: round(1 / share)]}
    edges = [
        Edge(other.get(e.client, e.client), other.get(e.server, e.server), None, e.port, e.protocol, connections=1)
        for e in answer.edges
    ]
    return synthetic_map.document(edges)


@pytest.mark.parametrize(("workloads", "namespaces", "edges"), [(300, 20, 1500), (2000, 50, 9329)])
def test_replacing_one_workload_in_a_hundred_moves_little(workloads, namespaces, edges):
    answer = synthetic_map.synthetic_map(workloads, namespaces, edges)
    before, diagonal = chips(answer)
    after, _ = chips(renamed(answer, 0.01))
    moves = [math.dist(before[name], after[name]) for name in before if name in after]
    assert len(moves) > 0.97 * len(before)
    assert statistics.median(moves) < 0.01 * diagonal
