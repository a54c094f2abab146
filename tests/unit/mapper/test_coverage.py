"""Since when the map has what its sniffers saw."""

from __future__ import annotations

import pytest

from network_mapper.mapper.coverage import SILENCE, SKEW, Coverage
from network_mapper.store.database import Sequence
from network_mapper.wire.report import Report

NOW = 1_700_000_000_000
HOUR = 3_600_000


@pytest.fixture
def coverage():
    return Coverage()


def report(sequence: int, started: int = NOW - HOUR, boot: str = "boot", node: str = "node-a") -> Report:
    return Report(node, boot, sequence, NOW, started)


def test_nobody_has_watched(coverage):
    assert coverage.since(0) == coverage.since(NOW) == 0


def test_a_sniffer_that_tells_everything_counts_from_its_start(coverage):
    coverage.hear(report(1), NOW)
    coverage.hear(report(2), NOW + 4000)
    assert coverage.since(0) == NOW - HOUR


def test_a_sniffer_that_told_its_beginning_to_another_map_counts_from_when_it_came(coverage):
    coverage.hear(report(900), NOW)
    coverage.hear(report(901), NOW + 4000)
    assert coverage.since(0) == NOW


def test_one_that_this_map_has_counted_before_a_restart_counts_from_its_start(coverage):
    coverage.restore([Sequence("node-a", "boot", 899, NOW - 5000)], NOW)
    coverage.hear(report(900), NOW)
    assert coverage.since(0) == NOW - HOUR


def test_the_first_of_several_counts_also_when_it_is_gone(coverage):
    coverage.hear(report(1, NOW - HOUR), NOW)
    coverage.hear(report(1, NOW - 2 * HOUR, node="node-b"), NOW)
    coverage.hear(report(1, NOW, boot="again", node="node-b"), NOW + HOUR)
    assert coverage.since(0) == NOW - 2 * HOUR


def test_a_start_that_becomes_known_later_counts(coverage):
    coverage.hear(report(1, started=0), NOW)
    assert coverage.since(0) == 0
    coverage.hear(report(2), NOW)
    assert coverage.since(0) == NOW - HOUR


def test_what_was_before_a_reset_does_not_count(coverage):
    coverage.hear(report(1), NOW)
    assert coverage.since(NOW - 1000) == NOW - 1000


@pytest.mark.parametrize(("restored", "since"), [(NOW - 2 * HOUR, NOW - 2 * HOUR), (NOW, NOW - HOUR), (0, NOW - HOUR)])
def test_what_was_said_before_a_restart_counts(coverage, restored, since):
    coverage.restore_since(restored)
    coverage.hear(report(1), NOW)
    assert coverage.since(0) == since


def test_starts_that_are_forgotten_leave_nothing_behind(coverage):
    for number in range(100):
        coverage.hear(report(9, boot=f"boot-{number}"), NOW)
    (sniffer,) = coverage.sniffers.values()
    assert len(sniffer.joined) == len(sniffer.watched) == 8


class TestPresumed:
    """A node whose sniffer has not said hello yet."""

    def test_it_counts_as_watched_for_a_while_and_no_longer(self, coverage):
        coverage.presume("node-a", NOW)
        assert coverage.covers("node-a", NOW - 1000, NOW)
        assert coverage.covers("node-a", NOW + SILENCE, NOW + HOUR)
        assert not coverage.covers("node-a", NOW + SILENCE + 1, NOW + HOUR)

    def test_a_sniffer_that_starts_later_does_not_change_what_was_before(self, coverage):
        coverage.presume("node-a", NOW)
        coverage.hear(report(1, started=NOW + 3000), NOW + 3100)
        assert coverage.covers("node-a", NOW - 1000, NOW + 4000)
        assert not coverage.covers("node-a", NOW + 2000, NOW + 4000)
        assert coverage.covers("node-a", NOW + 3000, NOW + 4000)

    def test_what_was_long_before_is_told_by_the_sniffer_alone(self, coverage):
        coverage.presume("node-a", NOW)
        coverage.hear(report(1, started=NOW + 3000), NOW + 3100)
        assert not coverage.covers("node-a", NOW - SKEW - 1, NOW + 4000)
