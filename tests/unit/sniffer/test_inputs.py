from __future__ import annotations

import pytest

from network_mapper.capture.source import HopTotals, SourceStats
from network_mapper.model import Drop, Hop, Kind, Observation, Tally
from network_mapper.sniffer.inputs import Input, settled, totals, wanted_kinds
from network_mapper.sniffer.settings import SnifferSettings, node_name
from network_mapper.wire.report import Excess, HopState, SourceState


class Scripted:
    """A source that hands over what it was given, and fails when told to."""

    name = "scripted"

    def __init__(self, observations: list[Observation]) -> None:
        self.observations = observations
        self.broken = False
        self.closed = 0

    def read(self, _now: int) -> None:
        if self.broken:
            raise OSError("gone")

    def drain(self, now: int) -> list[Observation]:
        self.read(now)
        return self.observations

    flush = drain

    def stats(self) -> SourceStats:
        hops = [HopTotals(Hop.CAPTURE, "observations", 9, 8, 1), HopTotals(Hop.CAPTURE, "packets", 5, 5, 0)]
        excess = [("10.0.0.1", Drop.DNS_CLIENT_FULL, 3)]
        return SourceStats(9, 5, Tally({Drop.DNS_UNASKED: 4}), hops, excess)

    def settled(self, now: int) -> int:
        return now - 7

    def close(self) -> None:
        self.closed += 1


def one_of_each() -> list[Observation]:
    return [Observation(kind, "10.0.0.1", "10.0.0.2", 80, "tcp", 1, 0, 0) for kind in Kind]


@pytest.mark.parametrize(
    ("off", "missing"),
    [
        ("enable_tcp", {Kind.CONNECTIONS, Kind.ATTEMPTS}),
        ("enable_dns", {Kind.LOOKUPS}),
        ("enable_sockets", {Kind.SOCKETS}),
    ],
)
def test_what_is_switched_off_is_not_passed_on(off, missing):
    item = Input(Scripted(one_of_each()), wanted_kinds(SnifferSettings(**{off: False})))
    assert {seen.kind for seen in item.drain(0)} == set(Kind) - missing


def test_a_source_that_fails_is_closed_and_asked_no_more(caplog):
    source = Scripted(one_of_each())
    item = Input(source, frozenset(Kind))
    item.drain(0)
    source.broken = True
    item.read(1)
    assert item.failed
    assert item.drain(2) == item.flush(3) == []
    assert source.closed == 1
    assert "gone" in caplog.text


def test_the_totals_of_a_failed_source_stay():
    source = Scripted([])
    item = Input(source, frozenset(Kind))
    item.drain(0)
    source.broken = True
    item.drain(1)
    assert item.state() == SourceState("scripted", 9, 5)
    assert totals([item, item]).drops == {Drop.DNS_UNASKED: 8}


def test_hops_of_several_sources_are_added_up_and_what_is_switched_off_is_a_drop():
    item = Input(Scripted(one_of_each()), wanted_kinds(SnifferSettings(enable_tcp=False)))
    item.drain(0)
    found = totals([item, item])
    assert found.hops == [HopState("capture", "observations", 18, 12, 2), HopState("capture", "packets", 10, 10, 0)]
    assert found.drops == {Drop.DNS_UNASKED: 8, Drop.SWITCHED_OFF: 4}
    assert found.excess == [Excess("10.0.0.1", "dns_client_full", 3)] * 2


def test_what_was_watched_is_what_all_inputs_have_handed_over_but_those_that_failed():
    first, second = (Input(Scripted([]), frozenset(Kind)) for _ in range(2))
    assert settled([]) == settled([first]) == 1, "0 would mean until now"
    first.drain(100)
    second.drain(200)
    assert settled([first, second]) == 93
    first.source.broken = True
    first.drain(300)
    assert settled([first, second]) == 193


def test_a_node_is_named_by_the_setting_then_kubernetes_then_the_host(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    assert node_name(SnifferSettings(node="a"), {"NODE_NAME": "b"}) == "a"
    assert node_name(SnifferSettings(), {"NODE_NAME": "b"}) == "b"
    assert node_name(SnifferSettings(), {}) == "host"
