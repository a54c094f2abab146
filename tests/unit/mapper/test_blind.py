"""Times in which something was not watched: recorded once, outlasting restarts, never counted as covered."""

from __future__ import annotations

import pytest

from network_mapper.mapper.blind import BlindWindows
from network_mapper.mapper.coverage import SILENCE, Coverage
from network_mapper.store.database import Blind, Sequence
from network_mapper.wire.report import LEGACY_NODE, Report

NOW = 1_700_000_000_000
HOUR = 3_600_000
NODES = {"node-a": NOW - 5 * HOUR}


@pytest.fixture
def blind():
    return BlindWindows()


@pytest.fixture
def coverage(blind):
    return Coverage(blind)


def recorded(blind):
    return [tuple(window) for window in blind.take()]


def speak(coverage, sequence, now, *, started=NOW - HOUR, boot="boot", node="node-a", until=0):
    report = Report(node, boot, sequence, now, started, until)
    coverage.hear(report, now)
    coverage.answer(report, now)


def windows(coverage, now, nodes=NODES, otherwise=(), began=NOW - 2 * HOUR):
    return [(one.node, one.start, one.end, one.reason) for one in coverage.open_windows(nodes, otherwise, began, now)]


class TestSniffers:
    def test_from_the_last_thing_that_was_told_to_the_first_packet_of_the_next_start(self, coverage, blind):
        speak(coverage, 1, NOW)
        speak(coverage, 2, NOW + 4000, until=NOW + 3500)
        speak(coverage, 1, NOW + 20_000, started=NOW + 19_000, boot="next")
        assert recorded(blind) == [("node-a", NOW + 3500, NOW + 19_000, "sniffer_away")]

    def test_what_nobody_answered_was_not_told(self, coverage, blind):
        speak(coverage, 1, NOW)
        coverage.hear(Report("node-a", "boot", 2, NOW + 4000, NOW - HOUR), NOW + 4000)
        speak(coverage, 1, NOW + 20_000, started=NOW + 19_000, boot="next")
        assert recorded(blind) == [("node-a", NOW, NOW + 19_000, "sniffer_away")]

    def test_a_start_that_was_never_answered_told_nothing(self, coverage, blind):
        speak(coverage, 1, NOW)
        coverage.hear(Report("node-a", "short", 1, NOW + 9000, NOW + 8000), NOW + 9000)
        speak(coverage, 1, NOW + 20_000, started=NOW + 19_000, boot="next")
        assert recorded(blind) == [
            ("node-a", NOW, NOW + 8000, "sniffer_away"),
            ("node-a", NOW + 8000, NOW + 19_000, "sniffer_away"),
        ]

    def test_starts_that_overlap_leave_none(self, coverage, blind):
        speak(coverage, 1, NOW)
        speak(coverage, 1, NOW + 1000, started=NOW - 500, boot="next")
        assert recorded(blind) == []

    def test_the_same_start_that_goes_on_has_missed_nothing(self, coverage, blind):
        speak(coverage, 1, NOW)
        speak(coverage, 2, NOW + HOUR)
        assert recorded(blind) == []
        assert windows(coverage, NOW + HOUR) == []

    def test_reports_that_are_missing_between_two_leave_a_window(self, coverage, blind):
        speak(coverage, 1, NOW)
        speak(coverage, 3, NOW + 9000)
        assert recorded(blind) == [("node-a", NOW, NOW + 9000, "sniffer_away")]

    def test_while_it_is_silent_the_window_is_open(self, coverage):
        speak(coverage, 1, NOW)
        assert windows(coverage, NOW + SILENCE) == []
        assert windows(coverage, NOW + SILENCE + 1) == [("node-a", NOW, 0, "sniffer_silent")]

    def test_that_the_mapper_was_away_is_no_silence(self, coverage):
        coverage.restore([Sequence("node-a", "boot", 7, NOW - 9000, NOW - HOUR, NOW - 9000)])
        coverage.begin(NOW + HOUR)
        assert windows(coverage, NOW + HOUR + SILENCE) == []
        assert windows(coverage, NOW + HOUR + SILENCE + 1) == [("node-a", NOW - 9000, 0, "sniffer_silent")]

    def test_a_node_that_left_has_none(self, coverage):
        speak(coverage, 1, NOW)
        assert windows(coverage, NOW + HOUR, nodes={}) == []

    def test_it_is_told_on_the_mappers_clock(self, coverage, blind):
        for sequence, at, boot, started in ((1, NOW, "boot", NOW), (1, NOW + 9000, "next", NOW + 12_000)):
            report = Report("node-a", boot, sequence, at, started, at + 4000, ahead=4000)
            coverage.hear(report, at)
            coverage.answer(report, at)
        assert recorded(blind) == [("node-a", NOW, NOW + 8000, "sniffer_away")]

    def test_senders_that_name_no_node_leave_none(self, coverage, blind):
        coverage.count(Report(LEGACY_NODE, "boot", 1, NOW), NOW)
        coverage.count(Report(LEGACY_NODE, "next", 1, NOW), NOW + HOUR)
        assert recorded(blind) == []


class TestNever:
    def test_a_node_without_a_sniffer_is_not_watched_since_it_is_there(self, coverage):
        assert windows(coverage, NOW, began=NOW - 9 * HOUR) == [("node-a", NOW - 5 * HOUR, 0, "never_watched")]

    def test_or_since_the_map_began(self, coverage):
        assert windows(coverage, NOW) == [("node-a", NOW - 2 * HOUR, 0, "never_watched")]

    def test_it_ends_with_the_first_packet_of_the_first_one(self, coverage, blind):
        speak(coverage, 1, NOW, started=NOW - HOUR)
        coverage.close_first(NODES, (), NOW - 2 * HOUR)
        coverage.close_first(NODES, (), NOW - 2 * HOUR)
        assert recorded(blind) == [("node-a", NOW - 2 * HOUR, NOW - HOUR, "never_watched")]

    def test_it_is_noted_when_the_node_becomes_known(self, coverage, blind):
        speak(coverage, 1, NOW, started=NOW - HOUR)
        coverage.close_first({}, (), NOW - 2 * HOUR)
        assert (recorded(blind), coverage.has_newcomers) == ([], True)
        coverage.close_first(NODES, (), NOW - 2 * HOUR)
        assert (len(recorded(blind)), coverage.has_newcomers) == (1, False)

    def test_what_a_sniffer_told_another_map_this_one_does_not_have(self, coverage, blind):
        speak(coverage, 900, NOW, started=NOW - HOUR)
        coverage.close_first(NODES, (), NOW - 2 * HOUR)
        assert recorded(blind) == [("node-a", NOW - 2 * HOUR, NOW, "never_watched")]

    def test_sniffers_of_another_kind_watch_too(self, coverage, blind):
        assert windows(coverage, NOW, otherwise={"node-a"}) == []
        speak(coverage, 1, NOW)
        coverage.close_first(NODES, {"node-a"}, NOW - 2 * HOUR)
        assert recorded(blind) == []

    def test_a_node_whose_sniffer_is_yet_to_speak_is_presumed_watched(self, coverage):
        coverage.presume("node-a", NOW)
        assert windows(coverage, NOW + SILENCE) == []
        assert len(windows(coverage, NOW + SILENCE + 1)) == 1


class TestCluster:
    def look(self, blind, now, away=0, *, forbidden=False):
        blind.look(away, now, forbidden=forbidden)
        return [(one.node, one.start, one.end, one.reason) for one in blind.windows()]

    def test_the_api_server_is_away_until_it_answers(self, blind):
        assert self.look(blind, NOW) == []
        assert self.look(blind, NOW + 250, NOW + 100) == [("", NOW + 100, 0, "api_away")]
        assert self.look(blind, NOW + 5000, NOW + 100) == [("", NOW + 100, 0, "api_away")]
        assert self.look(blind, NOW + 6000) == [("", NOW + 100, NOW + 6000, "api_away")]
        assert recorded(blind) == [("", NOW + 100, NOW + 6000, "api_away")]

    def test_a_long_absence_is_written_down_bit_by_bit_and_told_as_one(self, blind):
        for second in range(200):
            self.look(blind, NOW + second * 1000, NOW)
        assert self.look(blind, NOW + 200_000) == [("", NOW, NOW + 200_000, "api_away")]
        pieces = recorded(blind)
        assert [piece[1] for piece in pieces] == [NOW, NOW + 60_000, NOW + 120_000, NOW + 180_000]
        again = BlindWindows()
        again.restore(Blind(*piece) for piece in pieces)
        assert self.look(again, NOW) == [("", NOW, NOW + 200_000, "api_away")]

    def test_a_kind_is_forbidden_until_it_is_granted(self, blind):
        assert self.look(blind, NOW, forbidden=True) == [("", NOW, 0, "forbidden")]
        assert self.look(blind, NOW + 9000) == [("", NOW, NOW + 9000, "forbidden")]


class TestKept:
    def test_no_more_than_allowed_are_kept_and_that_is_counted(self):
        blind = BlindWindows(most=3)
        for number in range(5):
            blind.record(f"node-{number}", NOW, NOW + 1, "sniffer_away")
        assert [one.node for one in blind.windows()] == ["node-2", "node-3", "node-4"]
        assert (len(blind), blind.forgotten) == (3, 2)

    def test_what_could_not_be_written_is_written_the_next_time(self, blind):
        blind.record("node-a", NOW, NOW + 1, "sniffer_away")
        taken = blind.take()
        blind.record("node-b", NOW, NOW + 1, "sniffer_away")
        blind.give_back(taken)
        assert [window.node for window in blind.take()] == ["node-a", "node-b"]

    def test_a_reset_forgets_them_and_what_lasts_goes_on_from_there(self, blind):
        blind.record("node-a", NOW, NOW + 1, "sniffer_away")
        blind.look(NOW, NOW + 250, forbidden=True)
        blind.clear(NOW + 9000)
        assert [(one.node, one.start) for one in blind.windows()] == [("", NOW + 9000), ("", NOW + 9000)]
        assert blind.take() == []

    def test_old_ones_leave(self, blind):
        blind.record("node-a", NOW, NOW + 1, "sniffer_away")
        blind.record("node-b", NOW, NOW + 9, "sniffer_away")
        blind.forget(NOW + 5)
        assert [one.node for one in blind.windows()] == ["node-b"]
