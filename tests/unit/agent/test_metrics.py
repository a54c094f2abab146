from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from network_mapper.agent.fold import Fold
from network_mapper.agent.metrics import Metric, exposition, of_reporter
from network_mapper.agent.reporter import Reporter
from network_mapper.model import Drop, Kind, Observation, Tally
from network_mapper.wire.report import SourceState


def wires(reporter: Reporter) -> dict[str, float]:
    family = parsed(exposition(of_reporter(reporter, "p", "1")))["p_wire"]
    return {sample.labels["wire"]: sample.value for sample in family.samples}


def parsed(page: bytes) -> dict[str, dict]:
    return {family.name: family for family in text_string_to_metric_families(page.decode())}


def test_a_page_is_understood_by_the_reference_parser():
    page = exposition([Metric("a_total", "counter", "What it is.", [({"k": "v"}, 3), ({"k": "w"}, 0.5)])])
    family = parsed(page)["a"]
    assert (family.type, family.documentation) == ("counter", "What it is.")
    assert [(sample.name, sample.labels, sample.value) for sample in family.samples] == [
        ("a_total", {"k": "v"}, 3.0),
        ("a_total", {"k": "w"}, 0.5),
    ]


def test_odd_characters_survive():
    odd = 'back\\slash "quote"\nline'
    family = parsed(exposition([Metric("a", "gauge", "x\\y\nz", [({"k": odd}, 1)])]))["a"]
    assert family.samples[0].labels == {"k": odd}
    assert family.documentation == "x\\y\nz"


def test_a_reporter_tells_what_it_saw_dropped_and_sent():
    reporter = Reporter(Fold(), node="n", agent="a", started=0, capture="packets")
    reporter.set_sources([SourceState("ring", 10, 4)], Tally({Drop.RING_OVERFLOW: 6}))
    reporter.feed([Observation(Kind.CONNECTIONS, "10.0.0.1", "10.0.0.2", 80, "tcp", 1, 0, 0)], 0)
    families = parsed(exposition(of_reporter(reporter, "network_mapper_sniffer", "1.2.3")))
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["network_mapper_sniffer_build_info", ("version", "1.2.3")] == 1
    assert values["network_mapper_sniffer_capture", ("capture", "packets")] == 1
    assert values["network_mapper_sniffer_seen_total", ("source", "ring")] == 10
    assert values["network_mapper_sniffer_observations_total", ("source", "ring")] == 4
    drop = ("hop", "capture"), ("reason", "ring_overflow"), ("unit", "packets")
    assert values["network_mapper_sniffer_drops_total", *drop] == 6
    assert values["network_mapper_sniffer_fold_keys",] == 1
    assert values["network_mapper_sniffer_fold_spans",] == 1
    assert values["network_mapper_sniffer_last_report_timestamp_seconds",] == 0


def test_every_family_says_what_it_means():
    reporter = Reporter(Fold(), node="n", agent="a", started=0)
    for family in parsed(exposition(of_reporter(reporter, "p", "1"))).values():
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge")


def test_the_wire_that_is_spoken_is_told_also_when_it_changes():
    assert wires(Reporter(Fold(), node="n", agent="a", started=0, wire="graphql")) == {"native": 0, "graphql": 1}
    reporter = Reporter(Fold(), node="n", agent="a", started=0, wire="auto")
    assert wires(reporter) == {"native": 1, "graphql": 0}
    reporter.next_request(0)
    reporter.answered(404, {}, b"", 0)
    reporter.next_request(0)
    reporter.answered(200, {}, b'{"data":{"health":true}}', 0)
    assert wires(reporter) == {"native": 0, "graphql": 1}
