"""The reporter without a network: requests are asked for, answers given, and time is a number."""

from __future__ import annotations

import logging
import random

import msgspec
import pytest

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.model import Drop, Kind, Observation, Tally
from network_mapper.wire.report import Receipt, Report, SourceState

WALL = 1_700_000_000_000
MSGPACK = {"content-type": "application/msgpack"}


def seen(port: int = 80, count: int = 1, first: int = WALL) -> Observation:
    return Observation(Kind.CONNECTIONS, "10.0.0.1", "10.0.0.2", port, "tcp", count, first, first)


class Rig:
    """A reporter and what a mapper would do to it."""

    def __init__(self, **options) -> None:
        self.forgotten = 0
        self.wall = WALL
        self.reporter = Reporter(
            Fold(),
            node="node-1",
            agent="test/1",
            started=WALL - 5,
            boot="boot-1",
            wall=lambda: self.wall,
            spread=random.Random(1),
            on_forgotten=self._count,
            **options,
        )

    def _count(self) -> None:
        self.forgotten += 1

    def ask(self, now: int) -> Report | None:
        request = self.reporter.next_request(now)
        return None if request is None else msgspec.msgpack.decode(request.body, type=Report)

    def accept(self, now: int, store: str = "map-1", epoch: int = 1) -> None:
        self.reporter.answered(200, MSGPACK, msgspec.msgpack.encode(Receipt(store, epoch)), now)

    def answer(self, status: int, now: int, body: bytes = b"", **headers: str) -> None:
        self.reporter.answered(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, now)

    def hello(self) -> None:
        assert self.reporter.next_request(0)
        self.accept(0)


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def greeted(rig):
    rig.hello()
    return rig


def ports(report: Report) -> list[int]:
    return sorted(flow.port for client in report.clients for flow in client.connections)


def test_the_first_report_is_a_heartbeat_even_when_there_is_something_to_tell(rig):
    rig.reporter.feed([seen()], 0)
    assert rig.ask(0).clients == []
    rig.accept(1)
    assert ports(rig.ask(1)) == [80]


def test_a_report_says_who_sends_it(rig):
    rig.reporter.set_sources([SourceState("ring", 5, 3)], Tally({Drop.DNS_UNASKED: 2}))
    assert rig.ask(0) == Report(
        node="node-1",
        boot="boot-1",
        sequence=1,
        base=WALL,
        started=WALL - 5,
        agent="test/1",
        drops={"dns_unasked": 2},
        sources=[SourceState("ring", 5, 3)],
    )


def test_a_report_says_until_when_it_watched(greeted):
    greeted.reporter.feed([seen()], 1, WALL + 7)
    assert greeted.ask(1).watched_until == WALL + 7


def test_each_start_has_a_boot_of_its_own():
    boots = {
        msgspec.msgpack.decode(Reporter(Fold(), node="n", agent="a", started=0).next_request(0).body, type=Report).boot
        for _ in range(3)
    }
    assert len(boots) == 3


def test_sequences_count_from_one(greeted):
    found = []
    for step in range(3):
        greeted.reporter.feed([seen(port=step)], step)
        found.append(greeted.ask(step).sequence)
        greeted.accept(step)
    assert found == [2, 3, 4]


def test_the_same_bytes_go_out_until_they_are_answered(greeted):
    greeted.reporter.feed([seen()], 1)
    body = greeted.reporter.next_request(1)
    greeted.reporter.failed(ConnectionError("cut"), 1)
    greeted.reporter.feed([seen(count=5, first=WALL + 3), seen(port=443)], 2)
    assert greeted.reporter.next_request(60_000) == body
    greeted.answer(500, 60_000)
    assert greeted.reporter.next_request(120_000) == body


def test_what_comes_meanwhile_folds_into_the_next_report(greeted):
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    greeted.reporter.feed([seen(port=443, count=2)], 2)
    greeted.reporter.feed([seen(port=443, count=3, first=WALL + 10)], 3)
    assert ports(greeted.ask(3)) == [80]
    greeted.accept(3)
    assert [flow.count for flow in greeted.ask(3).clients[0].connections] == [5]


def test_a_heartbeat_is_due_after_four_seconds_of_silence(greeted):
    assert greeted.reporter.wait(1000) == 3000
    assert greeted.ask(3999) is None
    assert greeted.ask(4000).clients == []


def test_a_report_postpones_the_heartbeat(greeted):
    greeted.reporter.feed([seen()], 3000)
    greeted.ask(3000)
    greeted.accept(3000)
    assert greeted.ask(6999) is None
    assert greeted.ask(7000) is not None


def test_a_report_holds_at_most_the_limit_and_the_rest_follows():
    rig = Rig(limit=3)
    rig.hello()
    rig.reporter.feed([seen(port=port) for port in range(5)], 1)
    assert ports(rig.ask(1)) == [0, 1, 2]
    rig.accept(1)
    assert ports(rig.ask(1)) == [3, 4]


@pytest.mark.parametrize("status", [503, 429])
def test_retry_after_is_honoured(greeted, status):
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    greeted.answer(status, 1000, retry_after="7")
    assert greeted.reporter.wait(1000) == 7000
    assert greeted.ask(7999) is None
    assert ports(greeted.ask(8000)) == [80]


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_falls_back_to_the_back_off(greeted, value):
    greeted.ask(5000)
    greeted.answer(503, 5000, retry_after=value)
    assert 250 <= greeted.reporter.wait(5000) <= 500


def test_a_retry_after_of_a_day_is_cut_to_five_minutes(greeted):
    greeted.ask(5000)
    greeted.answer(503, 5000, retry_after="86400")
    assert greeted.reporter.wait(5000) == 300_000


def test_the_back_off_doubles_up_to_three_seconds(greeted):
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    waits = []
    for _ in range(12):
        greeted.reporter.failed(TimeoutError(), 0)
        waits.append(greeted.reporter.wait(0))
    longest = [500, 1000, 2000, *[3000] * 9]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert len(set(waits)) > 8


def test_the_back_off_starts_anew_after_an_answer(greeted):
    greeted.ask(5000)
    for _ in range(6):
        greeted.reporter.failed(TimeoutError(), 5000)
    greeted.accept(60_000)
    greeted.ask(70_000)
    greeted.reporter.failed(TimeoutError(), 70_000)
    assert greeted.reporter.wait(70_000) <= 500


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422])
def test_a_refused_report_is_counted_by_its_rows_and_gives_way(greeted, status):
    greeted.reporter.feed([seen(port=1), seen(port=2)], 1)
    greeted.ask(1)
    greeted.answer(status, 1, b"no")
    greeted.reporter.feed([seen(port=3)], 2)
    assert ports(greeted.ask(2)) == [3]
    assert greeted.reporter.drops == {Drop.REPORT_REFUSED: 2}
    assert greeted.reporter.totals.refused == 1


@pytest.mark.parametrize("status", [301, 408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_is_no_refusal_keeps_the_report(greeted, status):
    greeted.reporter.feed([seen()], 1)
    body = greeted.reporter.next_request(1)
    greeted.answer(status, 1)
    assert greeted.reporter.next_request(40_000) == body
    assert greeted.reporter.drops == {}


def test_a_refusal_is_logged_once_with_the_answers_text(greeted, caplog):
    for step in range(3):
        greeted.reporter.feed([seen(port=step)], step)
        greeted.ask(step)
        greeted.answer(400, step, b"row 3 is wrong")
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.answer for record in errors] == ["row 3 is wrong"]


def test_a_url_without_a_report_door_is_named(greeted, caplog):
    greeted.ask(5000)
    greeted.answer(404, 5000)
    assert "no report door" in caplog.text


def test_a_success_without_a_receipt_is_no_success(greeted, caplog):
    greeted.reporter.feed([seen()], 1)
    body = greeted.reporter.next_request(1)
    greeted.reporter.answered(200, {"content-type": "text/html"}, b"<html>welcome</html>", 1)
    assert greeted.reporter.next_request(40_000) == body
    assert "no mapper" in caplog.text


def test_a_receipt_may_come_as_json(greeted):
    greeted.ask(5000)
    greeted.reporter.answered(
        200, {"content-type": "application/json; charset=utf-8"}, b'{"store":"map-1","epoch":1}', 5000
    )
    assert greeted.reporter.idle


@pytest.mark.parametrize(("store", "epoch"), [("map-2", 1), ("map-1", 2)])
def test_another_map_is_told_everything_again(greeted, store, epoch):
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    greeted.accept(1)
    greeted.reporter.feed([seen(first=WALL + 1)], 2)
    assert greeted.ask(2) is None
    greeted.ask(5001)
    greeted.accept(5001, store, epoch)
    assert greeted.forgotten == 1
    assert ports(greeted.ask(5002)) == [80]


def test_the_first_map_and_the_same_map_are_no_reason_to_tell_again(greeted):
    greeted.ask(5000)
    greeted.accept(5000)
    assert greeted.forgotten == 0


def test_a_map_that_appears_where_reports_were_refused_is_told_again(rig):
    rig.ask(0)
    rig.answer(404, 0)
    rig.reporter.feed([seen()], 1)
    rig.ask(1)
    rig.answer(404, 1)
    rig.ask(5001)
    rig.accept(5001)
    assert rig.forgotten == 1


def test_drops_of_sources_fold_and_transport_are_added_up(greeted):
    greeted.reporter.fold.drops.add(Drop.FOLD_FULL, 4)
    greeted.reporter.set_sources([], Tally({Drop.RING_OVERFLOW: 3}))
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    greeted.answer(400, 1)
    assert greeted.ask(6000).drops == {"ring_overflow": 3, "fold_full": 4, "report_refused": 1}


def test_closing_sends_what_only_repeats_and_then_nothing(greeted):
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    greeted.accept(1)
    greeted.reporter.feed([seen(first=WALL + 1)], 2)
    greeted.reporter.close(2)
    assert ports(greeted.ask(2)) == [80]
    greeted.accept(2)
    assert greeted.reporter.idle
    assert greeted.ask(60_000) is None


def test_closing_sends_the_last_totals_once(greeted):
    greeted.reporter.set_sources([SourceState("ring", 9, 9)], Tally())
    greeted.reporter.close(1)
    assert greeted.ask(1).sources == [SourceState("ring", 9, 9)]
    greeted.accept(1)
    assert greeted.reporter.idle


def test_closing_does_not_wait_for_a_long_back_off(greeted):
    greeted.ask(5000)
    greeted.answer(503, 5000, retry_after="60")
    greeted.reporter.close(6000)
    assert greeted.ask(6000) is not None
    greeted.answer(503, 6000, retry_after="60")
    assert greeted.reporter.wait(6000) <= 250


def test_giving_up_counts_every_unanswered_row(greeted):
    greeted.reporter.feed([seen(port=1), seen(port=2)], 1)
    greeted.ask(1)
    greeted.reporter.feed([seen(port=3)], 2)
    assert greeted.reporter.give_up() == 3
    assert greeted.reporter.drops == {Drop.STOPPED_UNSENT: 3}


def test_an_outage_is_logged_once(greeted, caplog):
    caplog.set_level(logging.INFO)
    greeted.ask(5000)
    for _ in range(5):
        greeted.reporter.failed(ConnectionRefusedError("no"), 5000)
    greeted.accept(90_000)
    assert [record.getMessage() for record in caplog.records] == [
        "no answer from the mapper; trying again every few seconds",
        "the mapper answers",
    ]


def test_a_long_outage_is_logged_every_five_minutes_with_its_present_cause_and_what_waits(greeted, caplog):
    greeted.reporter.feed([seen()], 1)
    for minute in range(11):
        greeted.ask(60_000 * minute + 5000)
        greeted.reporter.failed(OSError(f"cause {minute}"), 60_000 * minute + 5000)
    told = [
        (record.getMessage().partition(" answer")[0], record.error, record.waiting_rows) for record in caplog.records
    ]
    assert told == [
        ("no", "OSError: cause 0", 1),
        ("still no", "OSError: cause 5", 1),
        ("still no", "OSError: cause 10", 1),
    ]


def test_a_mapper_that_was_away_for_long_is_tried_again_within_five_seconds(greeted):
    now = 5000
    for _ in range(30):
        assert greeted.ask(now)
        greeted.reporter.failed(ConnectionRefusedError("no"), now)
        wait = greeted.reporter.wait(now)
        assert 0 < wait <= 5000
        now += wait


def test_totals_say_what_became_of_the_reports(greeted):
    greeted.reporter.feed([seen(port=1), seen(port=2)], 1)
    greeted.ask(1)
    greeted.reporter.failed(TimeoutError(), 1)
    greeted.accept(2)
    totals = greeted.reporter.totals
    assert (totals.sent, totals.rows, totals.failed, totals.last_success) == (2, 2, 1, WALL)


@pytest.mark.parametrize(
    ("theirs", "ahead"), [(WALL - 700, 700), (WALL, 0), (WALL + 20, 0), (WALL + 40, 0), (WALL + 1000, -960), (0, 0)]
)
def test_a_report_says_how_far_our_clock_is_from_the_mappers_as_the_last_answer_proved_it(rig, theirs, ahead):
    rig.ask(0)
    rig.wall = WALL + 40
    rig.reporter.answered(200, MSGPACK, msgspec.msgpack.encode(Receipt("map-1", 1, now=theirs)), 1)
    rig.reporter.feed([seen()], 1)
    assert rig.ask(1).ahead == ahead


def test_what_two_clocks_differ_by_is_measured_anew_with_each_try(greeted):
    greeted.reporter.feed([seen()], 1)
    greeted.ask(1)
    greeted.reporter.failed(ConnectionError("cut"), 1)
    greeted.wall = WALL + 60_000
    assert greeted.ask(60_000)
    greeted.reporter.answered(200, MSGPACK, msgspec.msgpack.encode(Receipt("map-1", 1, now=WALL + 60_000)), 60_000)
    greeted.reporter.feed([seen(port=81)], 60_000)
    assert greeted.ask(60_000).ahead == 0
