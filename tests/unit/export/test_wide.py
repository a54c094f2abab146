import pytest

from network_mapper.export import table, wide
from network_mapper.model import Edge, External, Workload

NOW = 1_800_000_000_000


TABLE = """\
CLIENT         SERVER                SERVICE      PORT  PROTOCOL  CONNECTIONS  ATTEMPTS  LOOKUPS  SOCKETS  REQUESTS  \
OUTCOME            FIRST SEEN  LAST SEEN  SOURCES
shop/frontend  shop/ads              shop/ads        -  dns                 0         0        7        0         0  \
lookup only            1m ago     6s ago  DNS
shop/frontend  shop/ads              shop/ads       80  tcp                 3         1        0        2         0  \
answered               1m ago     5s ago  connections,sockets
shop/frontend  shop/cache (service)  -            6379  tcp                 0         4        0        0         0  \
refused or silent           -     0s ago  connections
shop/frontend  db/postgres           db/postgres  5432  tcp                 9         0        0        0         0  \
answered                    -     0s ago  connections
"""

PARAGRAPHS = """\
shop/frontend calls shop/ads
  service shop/ads, protocol dns, lookups 7, outcome lookup only
  first seen 1m ago, last seen 6s ago, sources DNS
shop/frontend calls shop/ads
  service shop/ads, port 80, protocol tcp, connections 3, attempts 1, sockets 2
  outcome answered, first seen 1m ago, last seen 5s ago
  sources connections,sockets
"""


def test_table_has_one_aligned_line_per_edge(edges):
    assert wide.render(edges[:4], NOW) == TABLE


def test_every_edge_has_a_line(edges):
    assert len(wide.render(edges, NOW).splitlines()) == len(edges) + 1


def test_a_terminal_that_is_too_narrow_gets_paragraphs_and_loses_nothing(edges):
    assert wide.render(edges[:2], NOW, columns=80) == PARAGRAPHS


def test_a_terminal_just_wide_enough_gets_the_table(edges):
    needed = max(map(len, TABLE.splitlines()))
    assert wide.render(edges[:4], NOW, columns=needed) == TABLE
    assert wide.render(edges[:4], NOW, columns=needed - 1) != TABLE


def test_no_part_is_wider_than_the_terminal(edges):
    for columns in range(40, 170):
        assert max(map(len, wide.render(edges, NOW, columns=columns).splitlines())) <= max(columns, 55)


def test_headings_can_be_left_out(edges):
    bare = wide.render(edges, NOW, headers=False)
    assert not bare.startswith("CLIENT")
    assert len(bare.splitlines()) == len(edges)


def test_edges_of_a_map_without_counters_say_so():
    edge = Edge(Workload("w", "n", "Pod"), Workload("s", "n", "Pod"), None, 0, "")
    assert " ".join(wide.render([edge], NOW, headers=False).split()) == "n/w n/s - - - 0 0 0 0 0 not counted - - -"


def test_wide_characters_keep_the_columns_straight():
    edges = [
        Edge(Workload("w", "n", "Pod"), External(name), None, 80, "tcp", 1, last_seen=NOW)
        for name in ("例え.jp", "plain.example.com", "e\u0301te.fr")
    ]
    rows = wide.render(edges, NOW).splitlines()
    assert {table.width(row[: row.index(" tcp ")]) for row in rows[1:]} == {
        table.width(rows[0][: rows[0].index(" PROTOCOL")])
    }


@pytest.mark.parametrize(
    ("counters", "words"),
    [({"connections": 1}, "connections"), ({"attempts": 1}, "connections"), ({"sockets": 1}, "sockets"),
     ({"lookups": 1, "requests": 2}, "DNS,requests"), ({"bytes": 5}, "volumes"), ({}, "-")],
)  # fmt: skip
def test_sources_name_the_ways_it_was_seen(counters, words):
    assert wide.sources(Edge(External("a"), External("b"), None, 0, "", **counters)) == words


def test_no_edges_are_no_table():
    assert wide.render([], NOW) == ""


def test_an_edge_seen_after_the_answer_was_made_is_no_seconds_old(edges):
    assert "-" not in wide.render(edges[:1], NOW - 60_000).splitlines()[1].split()[-3]
