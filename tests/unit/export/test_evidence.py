import pytest
from export_maps import deployment, everything, hostile

from network_mapper.export.evidence import choose
from network_mapper.model import Edge

CART, WEB = deployment("cart"), deployment("web")


def edge(port=80, **counts):
    return Edge(CART, WEB, None, port, "tcp", **counts)


@pytest.mark.parametrize("kind", ["connections", "sockets", "requests", "flows"])
def test_an_answer_of_any_kind_is_evidence(kind):
    one = edge(**{kind: 1, "attempts": 9})
    assert choose([one], attempted=False, lookups=False) == ([one], 0, 0)


def test_attempts_are_evidence_only_where_that_is_wanted():
    one = edge(attempts=1)
    assert choose([one], attempted=False, lookups=True) == ([], 1, 0)
    assert choose([one], attempted=True, lookups=True) == ([one], 0, 0)


def test_a_lookup_is_evidence_unless_it_is_not_wanted():
    one = edge(0, lookups=1)
    assert choose([one], attempted=False, lookups=True) == ([one], 0, 0)
    assert choose([one], attempted=True, lookups=False) == ([], 0, 1)


def test_a_lookup_before_attempts_that_failed_is_no_evidence():
    both = [edge(0, lookups=1), edge(attempts=1)]
    assert choose(both, attempted=False, lookups=True) == ([], 2, 0)
    assert choose(both, attempted=True, lookups=False).edges == both


def test_of_an_answered_pair_only_what_was_never_answered_is_left_out():
    edges = [edge(0, lookups=1), edge(80, connections=1), edge(81, attempts=1)]
    assert choose(edges, attempted=False, lookups=False) == (edges[:2], 1, 0)


def test_of_an_answered_pair_what_was_looked_up_and_then_refused_stays():
    edges = [edge(80, connections=1), edge(0, lookups=1, attempts=1)]
    assert choose(edges, attempted=False, lookups=True) == (edges, 0, 0)


def test_an_edge_without_any_count_is_believed():
    one = edge(0)
    assert choose([one], attempted=False, lookups=False) == ([one], 0, 0)


def test_every_edge_is_chosen_or_counted():
    edges = [*everything(), *hostile()]
    found = choose(edges, attempted=False, lookups=False)
    assert len(found.edges) + found.attempted + found.lookups == len(edges)
    assert found.attempted
    assert found.lookups
