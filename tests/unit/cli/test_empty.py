import pytest

from network_mapper.cli import empty
from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import NoStatusError
from network_mapper.export.selection import Selection
from network_mapper.model import Edge, Workload
from network_mapper.wire.api import MapDocument

CART, REDIS = Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet")
EDGE = Edge(CART, REDIS, None, 80, "tcp", 1)


class Source:
    """A map whose status is an answer or an error."""

    where = "somewhere"

    def __init__(self, status, *edges):
        self._status = status
        self._edges = list(edges)

    def map(self, _=None):
        return answer_of(*self._edges)

    def status(self):
        if isinstance(self._status, Exception):
            raise self._status
        return self._status


def answer_of(*edges):
    return MapDocument("m", 1, 0, 0, 0, 0, list(edges))


def test_a_source_without_a_status_has_nothing_more_to_say():
    assert empty.explain(Source(NoStatusError("none")), answer_of(), Selection()) == ["No connections found."]


def test_a_mapper_that_fails_while_it_is_asked_why_is_an_error():
    with pytest.raises(CliError, match="gone"):
        empty.explain(Source(CliError("gone")), answer_of(), Selection())


def test_a_mapper_in_a_cluster_is_no_address_for_a_sniffer(mapper):
    mapper.status.edges, mapper.status.sniffers, mapper.status.drops = 0, [], {}
    lines = empty.explain(Source(mapper.status), answer_of(), Selection())
    assert lines[1].endswith("network-mapper sniffer --mapper-url URL")


def test_what_stands_in_the_way_of_the_sniffers_is_told(mapper):
    mapper.status.edges, mapper.status.sniffers, mapper.status.drops = 0, [], {}
    mapper.status.installation.problems = ["namespace maps refuses the sniffers"]
    lines = empty.explain(Source(mapper.status), answer_of(), Selection())
    assert "Installation: namespace maps refuses the sniffers" in lines


def test_of_very_many_problems_of_the_installation_the_first_are_told(mapper):
    mapper.status.edges, mapper.status.sniffers, mapper.status.drops = 0, [], {}
    mapper.status.installation.problems = [f"problem {number}" for number in range(50)]
    lines = empty.explain(Source(mapper.status), answer_of(), Selection())
    assert [line for line in lines if line.startswith("Installation: ")] == [
        f"Installation: problem {number}" for number in range(8)
    ]


def test_many_namespaces_do_not_bury_the_sentence():
    edges = [Edge(Workload("w", f"namespace-{n:03}", "Pod"), REDIS, None, 80, "tcp", 1) for n in range(100)]
    (line,) = empty.unmatched(Source(None, *edges), answer_of(), Selection(namespaces=("zzz",)))
    assert line.endswith("namespace-007 and 92 more.")


def test_an_empty_map_has_no_namespaces_to_name():
    assert empty.unmatched(Source(None), answer_of(), Selection(namespaces=("shop",))) == []


def test_names_near_are_written_as_the_one_that_was_given():
    def near(name):
        (line,) = empty.unmatched(Source(None), answer_of(EDGE), Selection(targets=(name,)))
        return line.partition("Did you mean ")[2]

    assert [near("redi"), near("redi.shop"), near("shop/redi"), near("qqq")] == [
        "redis?", "redis.shop?", "shop/redis?", "",
    ]  # fmt: skip
