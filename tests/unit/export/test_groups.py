import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export import encode, groups
from network_mapper.export.groups import Group, GroupBy
from network_mapper.export.pairs import group
from network_mapper.export.selection import SelectionError
from network_mapper.model import Ambiguous, Edge, External, Node, Service, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

NOW = 1_800_000_000_000
BY_NAMESPACE, BY_TEAM = GroupBy.of("namespace"), GroupBy.of("label=team")


def answer_of(edges, rows=()):
    return MapDocument("map-1", 1, NOW - 300_000, NOW, 0, 0, list(edges), [], list(rows))


def row(name, namespace, **labels):
    return WorkloadRow(name, namespace, "Pod", 1, labels)


def web(name, namespace="shop"):
    return Workload(name, namespace, "Pod")


EDGES = [
    Edge(web("a"), web("db", "data"), None, 1, "tcp", 3, 1, 0, 2, NOW - 9_000, NOW - 5_000),
    Edge(web("a"), web("db", "data"), None, 0, "dns", lookups=4, first_seen=NOW - 10_000, last_seen=NOW - 6_000),
    Edge(web("b"), web("db", "data"), None, 1, "tcp", 1, last_seen=NOW),
    Edge(web("b"), web("a"), None, 1, "tcp", attempts=2, last_seen=NOW),
    Edge(web("b"), External("example.com"), None, 0, "dns", lookups=1, last_seen=NOW),
    Edge(Node("n"), web("a"), None, 1, "tcp", 1, last_seen=NOW),
]

TEXT = """\
namespace shop calls:
  - namespace data: 2 pairs
  - namespace shop: 1 pair (attempted, never answered)
  - outside the cluster: 1 pair (DNS lookup only)
nodes calls:
  - namespace shop: 1 pair
"""

WIDE = """\
CLIENT          SERVER               PAIRS  CONNECTIONS  ATTEMPTS  LOOKUPS  SOCKETS  REQUESTS  OUTCOME            \
FIRST SEEN  LAST SEEN  SOURCES
namespace shop  namespace data           2            4         1        4        2         0  answered           \
   10s ago     0s ago  connections,sockets,DNS
namespace shop  namespace shop           1            0         2        0        0         0  refused or silent  \
         -     0s ago  connections
namespace shop  outside the cluster      1            0         0        1        0         0  lookup only        \
         -     0s ago  DNS
nodes           namespace shop           1            1         0        0        0         0  answered           \
         -     0s ago  connections
"""


def test_text_by_namespace():
    assert groups.render(groups.fold(answer_of(EDGES), EDGES, BY_NAMESPACE), BY_NAMESPACE) == TEXT


def test_wide_by_namespace():
    assert groups.render_wide(groups.fold(answer_of(EDGES), EDGES, BY_NAMESPACE), BY_NAMESPACE, NOW) == WIDE


def test_wide_on_a_narrow_terminal_is_paragraphs():
    folded = groups.fold(answer_of(EDGES), EDGES[:3], BY_NAMESPACE)
    assert groups.render_wide(folded, BY_NAMESPACE, NOW, columns=70) == (
        "namespace shop calls namespace data\n"
        "  pairs 2, connections 4, attempts 1, lookups 4, sockets 2\n"
        "  outcome answered, first seen 10s ago, last seen 0s ago\n"
        "  sources connections,sockets,DNS\n"
    )


def test_headings_can_be_left_out():
    folded = groups.fold(answer_of(EDGES), EDGES, BY_NAMESPACE)
    bare = groups.render_wide(folded, BY_NAMESPACE, NOW, headers=False)
    assert [line.split() for line in bare.splitlines()] == [line.split() for line in WIDE.splitlines()[1:]]


def test_by_label_what_has_none_is_a_group_of_its_own():
    rows = [row("a", "shop", team="web"), row("db", "data", team="", tier="x")]
    assert groups.render(groups.fold(answer_of(EDGES, rows), EDGES, BY_TEAM), BY_TEAM) == (
        "team=web calls:\n"
        "  - team=: 1 pair\n"
        "team=no_value calls:\n"
        "  - team=: 1 pair\n"
        "  - team=web: 1 pair (attempted, never answered)\n"
        "  - outside the cluster: 1 pair (DNS lookup only)\n"
        "nodes calls:\n"
        "  - team=web: 1 pair\n"
    )


def test_a_doubt_within_one_group_is_none():
    both = Ambiguous((web("a"), web("b")))
    either = Ambiguous((web("a"), web("db", "data")))
    edges = [Edge(web("c"), both, None, 1, "tcp", 1), Edge(web("c"), either, None, 1, "tcp", 1)]
    servers = [folded.server for folded in groups.fold(answer_of(edges), edges, BY_NAMESPACE)]
    assert servers == [Group("namespace", "shop"), Group("ambiguous")]


def test_the_document_for_programs():
    folded = groups.fold(answer_of(EDGES), EDGES[:2], BY_NAMESPACE)
    assert msgspec.json.decode(encode.to_json(groups.build(answer_of(EDGES), folded, BY_NAMESPACE, 7))) == {
        "store": "map-1",
        "epoch": 1,
        "watching_since": "2027-01-15T07:55:00.000Z",
        "generated_at": "2027-01-15T08:00:00.000Z",
        "since": None,
        "until": None,
        "hidden": 7,
        "group_by": "namespace",
        "groups": [
            {
                "client": {"type": "namespace", "name": "shop"},
                "server": {"type": "namespace", "name": "data"},
                "pairs": 1,
                "connections": 3,
                "attempts": 1,
                "lookups": 4,
                "sockets": 2,
                "requests": 0,
                "bytes": 0,
                "flows": 0,
                "first_seen": "2027-01-15T07:59:50.000Z",
                "last_seen": "2027-01-15T07:59:55.000Z",
            }
        ],
    }


@pytest.mark.parametrize("text", ["", "namespaces", "label", "label=", "label=a=b", "kind", "namespace=shop", "=x"])
def test_what_is_nothing_to_group_by_is_refused(text):
    with pytest.raises(SelectionError, match="there are namespace and label=KEY"):
        GroupBy.of(text)


def test_no_edges_are_no_groups():
    assert groups.render([], BY_TEAM) == groups.render_wide([], BY_TEAM, NOW) == ""


NAMES = st.sampled_from(["a", "b", "", "\n"])
SIMPLE = st.one_of(
    st.builds(Workload, NAMES, NAMES, st.just("Pod")), st.builds(Node, NAMES), st.builds(Service, NAMES, NAMES)
)
PEERS = st.one_of(SIMPLE, st.builds(External, NAMES), st.builds(Ambiguous, st.lists(SIMPLE, max_size=2).map(tuple)))
COUNT = st.integers(0, 99)
MANY = st.lists(
    st.builds(
        Edge, PEERS, PEERS, st.none(), st.just(80), st.just("tcp"), COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT
    ),
    max_size=20,
)
ROWS = st.lists(
    st.builds(WorkloadRow, NAMES, NAMES, st.just("Pod"), st.just(1), st.dictionaries(st.just("team"), NAMES)),
    max_size=4,
)


@given(MANY, ROWS, st.sampled_from([BY_NAMESPACE, BY_TEAM]))
def test_folding_loses_no_pair_and_no_count(edges, rows, by):
    folded = groups.fold(answer_of(edges, rows), edges, by)
    assert sum(one.pairs for one in folded) == len(group(edges))
    for counter in ("connections", "attempts", "lookups", "sockets", "requests"):
        assert sum(getattr(one, counter) for one in folded) == sum(getattr(edge, counter) for edge in edges)
    assert len({(one.client, one.server) for one in folded}) == len(folded)


@given(MANY, ROWS, st.randoms())
def test_groups_do_not_depend_on_the_order_of_edges(edges, rows, random):
    shuffled = list(edges)
    random.shuffle(shuffled)
    assert groups.fold(answer_of(edges, rows), edges, BY_TEAM) == groups.fold(
        answer_of(shuffled, rows), shuffled, BY_TEAM
    )


@given(MANY, ROWS)
def test_every_line_of_the_text_is_a_client_or_a_server(edges, rows):
    folded = groups.fold(answer_of(edges, rows), edges, BY_TEAM)
    lines = groups.render(folded, BY_TEAM).splitlines()
    assert len(lines) == len(folded) + len({one.client for one in folded})
    for client, lines_of in itertools.groupby(folded, key=lambda one: one.client):
        assert f"{groups.name_of(client, BY_TEAM)} calls:" in lines
        assert list(lines_of)


def test_every_field_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "list-document.md").read_text(encoding="utf-8")
    section = page.split("## Groups")[1].split("## Watching")[0]
    added = {"group_by", "groups", "client", "server", "pairs", "type", "name", "first_seen", "last_seen"}
    own_fields = {
        *groups.GroupsDocument.__struct_fields__,
        *groups.GroupEntry.__struct_fields__,
        *Group.__struct_fields__,
    }
    assert added <= own_fields
    assert {name for name in added if f"`{name}`" not in section} == set()
