"""Since when the map has what its sniffers saw, and when a node was watched."""

from __future__ import annotations

import pytest

from network_mapper.mapper import coverage as coverage_module
from network_mapper.mapper.coverage import SILENCE, SKEW, Coverage
from network_mapper.model import Drop
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
    coverage.restore([Sequence("node-a", "boot", 899, NOW - 5000, NOW - HOUR, NOW - 5000)])
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


def test_starts_and_nodes_that_are_kept_are_bounded(coverage, monkeypatch):
    monkeypatch.setattr(coverage_module, "_MAX_NODES", 3)
    for number in range(100):
        coverage.hear(report(9, boot=f"boot-{number}"), NOW)
    assert len(coverage.take_sequences()) == 8
    for number in range(5):
        coverage.hear(report(1, node=f"node-{number}"), NOW + number)
    assert sorted(coverage.sniffers) == ["node-2", "node-3", "node-4"]
    assert not coverage.is_known("node-0")


def speak(coverage, sequence, now, **more):
    """A sniffer's heartbeat that is answered."""
    said = report(sequence, **more)
    said.base = now
    coverage.hear(said, now)
    coverage.answer(said, now)


class TestCovers:
    """Whether another node's sighting is left to the client's own node."""

    def test_from_the_first_packet_to_what_was_told_last(self, coverage):
        speak(coverage, 1, NOW, started=NOW - HOUR)
        assert not coverage.covers("node-a", NOW - HOUR - 1, NOW)
        assert coverage.covers("node-a", NOW - HOUR, NOW)
        assert coverage.covers("node-a", NOW, NOW + HOUR)

    def test_a_sniffer_that_is_heard_is_believed_to_watch_on(self, coverage):
        speak(coverage, 1, NOW)
        assert coverage.covers("node-a", NOW + SILENCE, NOW + SILENCE)

    def test_one_that_is_not_heard_is_not(self, coverage):
        speak(coverage, 1, NOW)
        assert not coverage.covers("node-a", NOW + 1, NOW + SILENCE + 1)

    def test_nobody_watched_between_two_starts(self, coverage):
        speak(coverage, 1, NOW)
        speak(coverage, 1, NOW + 9000, boot="again", started=NOW + 8000)
        now = NOW + 9000
        assert coverage.covers("node-a", NOW, now)
        assert not coverage.covers("node-a", NOW + 1, now)
        assert not coverage.covers("node-a", NOW + 7999, now)
        assert coverage.covers("node-a", NOW + 8000, now)

    def test_what_was_sent_and_not_answered_is_not_told(self, coverage):
        speak(coverage, 1, NOW)
        coverage.hear(report(2), NOW + 4000)
        speak(coverage, 1, NOW + 9000, boot="again", started=NOW + 8000)
        assert not coverage.covers("node-a", NOW + 2000, NOW + 9000)

    def test_a_clock_that_is_ahead_is_set_right(self, coverage):
        said = report(1, started=NOW - HOUR + 3000)
        said.ahead, said.watched_until = 3000, NOW + 3000
        coverage.hear(said, NOW)
        coverage.answer(said, NOW)
        assert coverage.covers("node-a", NOW - HOUR, NOW + HOUR)
        assert not coverage.covers("node-a", NOW + 1, NOW + HOUR)

    def test_a_file_speaks_of_its_own_time_alone(self, coverage):
        said = report(1, started=NOW - 31 * HOUR)
        said.watched_until, said.capture = NOW - 30 * HOUR, "file"
        coverage.hear(said, NOW)
        coverage.answer(said, NOW)
        assert coverage.covers("node-a", NOW - 30 * HOUR, NOW)
        assert not coverage.covers("node-a", NOW - 1, NOW)
        assert list(coverage.blind.windows()) == []


class TestRestarts:
    """What the mapper knows after it started again."""

    def test_it_knows_what_was_told_before(self, coverage):
        coverage.restore([Sequence("node-a", "boot", 7, NOW - 9000, NOW - HOUR, NOW - 9000)])
        coverage.begin(NOW)
        assert coverage.covers("node-a", NOW - HOUR, NOW)
        assert not coverage.covers("node-a", NOW - HOUR - 1, NOW)

    def test_who_was_heard_to_the_end_has_time_to_speak(self, coverage):
        coverage.restore([Sequence("node-a", "boot", 7, NOW - 9000, NOW - HOUR, NOW - 9000)])
        coverage.begin(NOW)
        assert coverage.covers("node-a", NOW - 1000, NOW + SILENCE)
        assert not coverage.covers("node-a", NOW - 1000, NOW + SILENCE + 1)

    def test_who_was_silent_before_is_not_believed(self, coverage):
        coverage.restore(
            [
                Sequence("node-a", "boot", 7, NOW - HOUR, NOW - 2 * HOUR, NOW - HOUR),
                Sequence("node-b", "boot", 7, NOW - 9000, NOW - 2 * HOUR, NOW - 9000),
            ]
        )
        coverage.begin(NOW)
        assert not coverage.covers("node-a", NOW - 1000, NOW)
        assert coverage.covers("node-b", NOW - 1000, NOW)

    def test_another_start_says_that_nobody_watched_meanwhile(self, coverage):
        coverage.restore([Sequence("node-a", "boot", 7, NOW - 9000, NOW - HOUR, NOW - 9000)])
        coverage.begin(NOW)
        speak(coverage, 1, NOW, boot="again", started=NOW - 2000)
        assert not coverage.covers("node-a", NOW - 5000, NOW)
        assert [(one.start, one.end) for one in coverage.blind.windows()] == [(NOW - 9000, NOW - 2000)]

    def test_what_is_written_down_is_what_is_known(self, coverage):
        speak(coverage, 3, NOW)
        coverage.count(report(3), NOW + 1000)
        assert coverage.take_sequences() == [
            Sequence("node-a", "boot", 3, NOW + 1000, NOW - HOUR, NOW + 1000),
        ]
        assert coverage.take_sequences() == []


class TestPresumed:
    """A node of which nothing is known, because the store is new."""

    def test_it_counts_as_watched_until_its_sniffer_had_time_to_speak(self, coverage):
        coverage.presume("node-a", NOW)
        assert coverage.covers("node-a", NOW - 1000, NOW)
        assert coverage.covers("node-a", NOW + SILENCE, NOW + SILENCE)
        assert not coverage.covers("node-a", NOW, NOW + SILENCE + 1)

    def test_what_was_long_before_is_not_presumed(self, coverage):
        coverage.presume("node-a", NOW)
        assert not coverage.covers("node-a", NOW - SKEW - 1, NOW)

    def test_what_its_sniffer_says_holds_as_soon_as_it_speaks(self, coverage):
        coverage.presume("node-a", NOW)
        speak(coverage, 1, NOW + 3100, started=NOW + 3000)
        assert not coverage.covers("node-a", NOW + 2000, NOW + 4000)
        assert coverage.covers("node-a", NOW + 3000, NOW + 4000)

    def test_nothing_is_presumed_of_a_node_that_is_known(self, coverage):
        coverage.restore([Sequence("node-a", "boot", 7, NOW - HOUR, NOW - 2 * HOUR, NOW - HOUR)])
        coverage.presume("node-a", NOW)
        assert not coverage.covers("node-a", NOW - 1000, NOW)


class TestLosses:
    """What sniffers say that they lost, as totals since their start."""

    def test_only_what_is_new_is_told(self, coverage):
        first, second = report(1), report(2)
        first.drops, second.drops = {"ring_overflow": 5}, {"ring_overflow": 7, "dns_failed": 3}
        assert coverage.hear(first, NOW) == {Drop.RING_OVERFLOW: 5}
        assert coverage.hear(first, NOW) == {}
        assert coverage.hear(second, NOW) == {Drop.RING_OVERFLOW: 2}

    def test_what_another_map_was_told_is_not(self, coverage):
        first, second = report(700), report(701)
        first.drops, second.drops = {"fold_full": 5}, {"fold_full": 6}
        assert coverage.hear(first, NOW) == {}
        assert coverage.hear(second, NOW) == {Drop.FOLD_FULL: 1}

    def test_what_was_told_before_a_restart_is_not_told_again(self, coverage):
        coverage.restore([Sequence("node-a", "boot", 1, NOW)], [("node-a", "boot", "fold_full", 5)])
        said = report(2)
        said.drops = {"fold_full": 6}
        assert coverage.hear(said, NOW) == {Drop.FOLD_FULL: 1}
        assert coverage.losses_of(coverage.take_sequences()) == [("node-a", "boot", "fold_full", 6)]

    def test_a_reason_of_another_version_is_passed_over(self, coverage):
        said = report(1)
        said.drops = {"what_is_this": 5, "row_malformed": 3}
        assert coverage.hear(said, NOW) == {}
