from __future__ import annotations

import pytest

from network_mapper.capture.source import SourceStats
from network_mapper.model import Drop, Kind, Observation, Tally
from network_mapper.sniffer.inputs import Input, all_drops, wanted_kinds
from network_mapper.sniffer.settings import SnifferSettings, node_name
from network_mapper.wire.report import SourceState


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
        return SourceStats(9, 5, Tally({Drop.DNS_UNASKED: 4}))

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
    assert all_drops([item, item]) == {Drop.DNS_UNASKED: 8}


def test_a_node_is_named_by_the_setting_then_kubernetes_then_the_host(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    assert node_name(SnifferSettings(node="a"), {"NODE_NAME": "b"}) == "a"
    assert node_name(SnifferSettings(), {"NODE_NAME": "b"}) == "b"
    assert node_name(SnifferSettings(), {}) == "host"
