from network_mapper.export import wide

NOW = 1_800_000_000_000


TABLE = """\
CLIENT         SERVER                SERVICE      PORT      CONNECTIONS  ATTEMPTS  LOOKUPS  SOCKETS  REQUESTS  LAST SEEN
shop/frontend  shop/ads              shop/ads     dns                 0         0        7        0         0     6s ago
shop/frontend  shop/ads              shop/ads     80/tcp              3         1        0        2         0     5s ago
shop/frontend  shop/cache (service)  -            6379/tcp            0         4        0        0         0     0s ago
shop/frontend  db/postgres           db/postgres  5432/tcp            9         0        0        0         0     0s ago
"""


def test_table_has_one_aligned_line_per_edge(edges):
    assert wide.render(edges[:4], NOW) == TABLE


def test_every_edge_has_a_line(edges):
    assert len(wide.render(edges, NOW).splitlines()) == len(edges) + 1


def test_no_edges_are_no_table():
    assert wide.render([], NOW) == ""


def test_an_edge_seen_after_the_answer_was_made_is_no_seconds_old(edges):
    assert "-" not in wide.render(edges[:1], NOW - 60_000).splitlines()[1].split()[-2]
