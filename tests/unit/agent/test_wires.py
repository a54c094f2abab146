"""The reporter between two wires, without a network: which one it speaks, and that nothing is lost on the way."""

from __future__ import annotations

import json
import logging
import random

import msgspec
import pytest

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.model import Drop, Kind, Observation
from network_mapper.wire.report import Receipt, Report

WALL = 1_700_000_000_000
NATIVE, QUERY = "/api/v1/reports", "/query"
MINUTE = 60_000


def seen(kind: Kind = Kind.CONNECTIONS, port: int = 80, at: int = WALL) -> Observation:
    if kind is Kind.LOOKUPS:
        return Observation(kind, "10.0.0.1", f"web-{port}", 0, "udp", 1, at, at, addresses=("10.96.0.1",))
    return Observation(kind, "10.0.0.1", "10.0.0.2", port, "tcp", 1, at, at)


class Rig:
    """A reporter, and what a mapper would answer."""

    def __init__(self, wire: str = "auto") -> None:
        self.forgotten = 0
        self.reporter = Reporter(
            Fold(),
            node="node-1",
            agent="test/1",
            started=WALL,
            boot="boot-1",
            wall=lambda: WALL,
            spread=random.Random(1),
            on_forgotten=self._forget,
            wire=wire,
        )

    def _forget(self) -> None:
        self.forgotten += 1

    def ask(self, now: int) -> str:
        """What is sent: a path, or an operation; empty for nothing."""
        request = self.reporter.next_request(now)
        if request is None:
            return ""
        return json.loads(request.body)["operationName"] if request.path == QUERY else request.path

    def body(self, now: int) -> bytes:
        return self.reporter.next_request(now).body

    def native(self, now: int) -> Report:
        request = self.reporter.next_request(now)
        assert request.path == NATIVE
        return msgspec.msgpack.decode(request.body, type=Report)

    def answer(self, now: int, status: int = 200, body: bytes = b"", **headers: str) -> None:
        self.reporter.answered(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, now)

    def said(self, now: int, value: bool = True) -> str:
        """Answer the operation that is asked; it is returned."""
        operation = self.ask(now)
        field = "health" if operation == "Health" else operation
        self.answer(now, 200, json.dumps({"data": {field: value}}).encode())
        return operation

    def receipt(self, now: int, store: str = "map-1") -> None:
        self.answer(now, 200, msgspec.msgpack.encode(Receipt(store, 1)), content_type="application/msgpack")

    def fall_back(self, now: int = 0) -> None:
        assert self.ask(now) == NATIVE
        self.answer(now, 404, b'{"message":"Not Found"}')
        assert self.said(now) == "Health"


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def fallen(rig):
    """A reporter that speaks GraphQL since time 0."""
    rig.fall_back()
    return rig


@pytest.mark.parametrize("status", [404, 405])
def test_without_a_report_door_graphql_is_looked_for_and_spoken(rig, status, caplog):
    caplog.set_level(logging.INFO)
    rig.reporter.feed([seen()], 0)
    assert rig.ask(0) == NATIVE
    rig.answer(0, status)
    assert rig.said(0) == "Health"
    assert rig.said(0) == "reportTCPCaptureResults"
    assert rig.reporter.idle
    assert caplog.text.count("speaking that") == 1
    assert rig.reporter.drops == {}


def test_a_report_that_was_frozen_for_the_native_door_is_said_in_graphql(rig):
    rig.ask(0)
    rig.receipt(0)
    rig.reporter.feed([seen(), seen(port=81)], 1)
    assert sorted(flow.port for flow in rig.native(1).clients[0].connections) == [80, 81]
    rig.answer(1, 404)
    assert rig.said(1) == "Health"
    assert rig.said(1) == "reportTCPCaptureResults"
    assert rig.reporter.totals.rows == 2
    assert rig.forgotten == 1


def test_where_there_is_no_graphql_either_the_report_is_refused_as_before(rig, caplog):
    rig.ask(0)
    rig.receipt(0)
    rig.reporter.feed([seen()], 1)
    rig.ask(1)
    rig.answer(1, 404, b"nothing here")
    assert rig.ask(1) == "Health"
    rig.answer(1, 404)
    assert rig.reporter.drops == {Drop.REPORT_REFUSED: 1}
    assert "this URL has no report door" in caplog.text
    assert [record.answer for record in caplog.records if hasattr(record, "answer")] == ["nothing here"]


@pytest.mark.parametrize("body", [b"<html>", b'{"data":{"users":[]}}', b'{"errors":[{"message":"no such field"}]}'])
def test_another_service_at_that_path_is_not_spoken_to(rig, body):
    rig.ask(0)
    rig.answer(0, 404)
    rig.ask(0)
    rig.answer(0, 200, body)
    rig.reporter.feed([seen()], 1)
    assert rig.ask(1) == NATIVE


@pytest.mark.parametrize("trouble", ["cut", "503"])
def test_a_mapper_that_fails_while_it_is_looked_for_is_asked_again_from_the_start(rig, trouble):
    rig.reporter.feed([seen()], 0)
    rig.ask(0)
    rig.answer(0, 404)
    assert rig.ask(0) == "Health"
    if trouble == "cut":
        rig.reporter.failed(ConnectionResetError(), 0)
    else:
        rig.answer(0, 503)
    assert rig.ask(0) == ""
    assert rig.ask(1000) == NATIVE
    assert rig.reporter.drops == {}


def test_each_kind_is_said_by_itself_and_only_all_of_them_are_the_report(fallen):
    fallen.reporter.feed([seen(), seen(Kind.ATTEMPTS, 81), seen(Kind.LOOKUPS), seen(Kind.SOCKETS, 82)], 1)
    assert fallen.reporter.unsent_rows == 4
    assert fallen.said(1) == "reportCaptureResults"
    assert fallen.reporter.unsent_rows == 3
    assert fallen.said(1) == "reportTCPCaptureResults"
    assert fallen.reporter.unsent_rows == 1
    assert not fallen.reporter.idle
    assert fallen.said(1) == "reportSocketScanResults"
    assert fallen.reporter.idle
    assert (fallen.reporter.totals.rows, fallen.reporter.totals.sent, fallen.reporter.unsent_rows) == (4, 3, 0)


def test_a_full_queue_is_told_the_same_bytes_again(fallen):
    fallen.reporter.feed([seen()], 1)
    body = fallen.body(1)
    fallen.said(1, value=False)
    fallen.reporter.feed([seen(port=443)], 2)
    assert 250 <= fallen.reporter.wait(1) <= 500
    assert fallen.ask(2) == ""
    assert fallen.body(60_000) == body
    assert fallen.reporter.drops == {}


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, b""), (500, b""), (503, b""), (200, b'{"errors":[{"message":"context canceled"}],"data":null}')],
)
def test_what_passes_is_told_the_same_bytes_again(fallen, status, body):
    fallen.reporter.feed([seen()], 1)
    first = fallen.body(1)
    fallen.answer(1, status, body)
    again = fallen.reporter.next_request(2000)
    if again.path == NATIVE:
        fallen.answer(2000, 404)
    assert fallen.body(2000) == first
    assert fallen.reporter.drops == {}


def test_retry_after_is_honoured_on_this_wire(fallen):
    fallen.reporter.feed([seen()], 1)
    fallen.ask(1)
    fallen.answer(1, 503, retry_after="7")
    assert fallen.reporter.wait(1) == 7000


@pytest.mark.parametrize(
    ("status", "body"), [(422, b'{"errors":[{"message":"bad"}],"data":null}'), (200, b'{"errors":[{"message":"bad"}]}')]
)
def test_a_refused_mutation_is_counted_by_its_rows_and_the_others_go_on(fallen, status, body, caplog):
    for now in (1, 2):
        fallen.reporter.feed([seen(Kind.LOOKUPS, now * 10), seen(Kind.LOOKUPS, now), seen(port=now)], now)
        assert fallen.ask(now) == "reportCaptureResults"
        fallen.answer(now, status, body)
        assert fallen.ask(now) == "reportTCPCaptureResults"
        if now == 2:
            fallen.said(now)
        else:
            fallen.answer(now, status, body)
    assert fallen.reporter.drops == {Drop.REPORT_REFUSED: 5}
    assert (fallen.reporter.totals.rows, fallen.reporter.totals.refused) == (1, 3)
    assert fallen.reporter.idle
    operations = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert operations == ["the mapper refused a mutation"] * 2, "one line for each operation"


def test_there_are_no_heartbeats_but_health_is_asked_every_half_minute(fallen):
    assert fallen.reporter.wait(0) == 30_000
    assert fallen.ask(29_999) == ""
    assert fallen.said(30_000) == "Health"
    assert fallen.reporter.wait(30_000) == 30_000
    assert fallen.reporter.totals.last_success == WALL


def test_a_report_postpones_the_question_for_health(fallen):
    fallen.reporter.feed([seen()], 20_000)
    fallen.said(20_000)
    assert fallen.ask(49_999) == ""
    assert fallen.said(50_000) == "Health"


def test_health_that_fails_is_asked_again_with_patience(fallen):
    fallen.ask(30_000)
    fallen.reporter.failed(ConnectionRefusedError(), 30_000)
    assert fallen.ask(30_000) == ""
    assert fallen.ask(31_000) == NATIVE


def test_every_five_minutes_a_report_door_is_looked_for(fallen):
    for minute in range(5):
        now = minute * MINUTE + 30_000
        assert fallen.said(now) == "Health"
    assert fallen.native(5 * MINUTE).clients == []
    fallen.answer(5 * MINUTE, 404)
    assert fallen.said(5 * MINUTE + 30_000) == "Health"
    fallen.reporter.feed([seen()], 9 * MINUTE)
    assert fallen.said(9 * MINUTE) == "reportTCPCaptureResults"
    fallen.reporter.feed([seen(port=81)], 10 * MINUTE)
    assert fallen.native(10 * MINUTE).clients[0].connections[0].port == 81


@pytest.mark.parametrize("status", [404, 405, 400, 403, 500, 503])
def test_what_is_said_there_in_vain_is_said_here_at_once(fallen, status):
    fallen.reporter.feed([seen()], 5 * MINUTE)
    assert fallen.ask(5 * MINUTE) == NATIVE
    fallen.answer(5 * MINUTE, status)
    assert fallen.said(5 * MINUTE) == "reportTCPCaptureResults"
    assert fallen.reporter.totals.rows == 1
    assert fallen.reporter.drops == {}


def test_a_report_door_that_appears_is_used_and_told_everything(fallen, caplog):
    caplog.set_level(logging.INFO)
    fallen.reporter.feed([seen()], 1)
    fallen.said(1)
    fallen.reporter.feed([seen(port=81)], 5 * MINUTE)
    assert fallen.native(5 * MINUTE).clients[0].connections[0].port == 81
    fallen.receipt(5 * MINUTE)
    assert "reporting there" in caplog.text
    assert fallen.forgotten == 1
    fallen.reporter.feed([seen(at=WALL + 1)], 5 * MINUTE + 1)
    assert fallen.native(5 * MINUTE + 1).clients[0].connections[0].port == 80


def test_after_a_lost_connection_a_report_door_is_looked_for_at_once(fallen):
    fallen.reporter.feed([seen()], 1)
    assert fallen.ask(1) == "reportTCPCaptureResults"
    fallen.reporter.failed(ConnectionRefusedError(), 1)
    assert fallen.native(1000).clients[0].connections[0].port == 80
    fallen.receipt(1000)
    assert fallen.reporter.totals.rows == 1
    assert fallen.reporter.idle


def test_of_a_report_that_was_said_in_part_the_new_door_gets_the_rest(fallen):
    fallen.reporter.feed([seen(Kind.LOOKUPS), seen(), seen(Kind.SOCKETS, 82)], 1)
    assert fallen.said(1) == "reportCaptureResults"
    assert fallen.ask(1) == "reportTCPCaptureResults"
    fallen.reporter.failed(ConnectionResetError(), 1)
    (client,) = fallen.native(1000).clients
    assert (len(client.lookups), len(client.connections), len(client.sockets)) == (0, 1, 1)
    fallen.receipt(1000)
    assert fallen.reporter.totals.rows == 3
    assert fallen.reporter.unsent_rows == 0


def test_a_door_that_is_asked_whether_it_appeared_and_breaks_off_is_asked_again(fallen):
    fallen.reporter.feed([seen()], 5 * MINUTE)
    body = fallen.body(5 * MINUTE)
    fallen.reporter.failed(TimeoutError(), 5 * MINUTE)
    assert fallen.body(6 * MINUTE) == body, "it may have been counted, so it must be the same report at the same door"


def test_a_mapper_that_was_away_is_told_everything_again(fallen):
    fallen.reporter.feed([seen()], 1)
    fallen.said(1)
    fallen.reporter.feed([seen(port=81)], 2)
    fallen.ask(2)
    fallen.reporter.failed(ConnectionRefusedError(), 2)
    assert fallen.ask(1000) == NATIVE
    fallen.answer(1000, 404)
    assert fallen.said(1000) == "reportTCPCaptureResults"
    assert fallen.forgotten == 1
    fallen.reporter.feed([seen(at=WALL + 1)], 1001)
    assert fallen.said(1001) == "reportTCPCaptureResults"


def test_a_full_queue_and_a_slow_answer_are_no_reason_to_tell_again(fallen):
    fallen.reporter.feed([seen()], 1)
    fallen.said(1, value=False)
    fallen.ask(1000)
    fallen.reporter.failed(TimeoutError(), 1000)
    fallen.ask(5000)
    fallen.answer(5000, 404)
    fallen.said(5000)
    assert fallen.forgotten == 0


def test_a_graphql_door_that_is_gone_is_left_for_the_report_door(fallen):
    fallen.reporter.feed([seen()], 1)
    fallen.ask(1)
    fallen.answer(1, 404)
    assert fallen.ask(1) == "", "two doors that both say 404 are not asked without a pause"
    assert fallen.native(1000).clients[0].connections[0].port == 80


def test_forced_graphql_begins_with_health_and_never_looks_for_another_door():
    rig = Rig("graphql")
    assert rig.said(0) == "Health"
    rig.reporter.feed([seen()], 1)
    assert rig.said(1) == "reportTCPCaptureResults"
    assert rig.said(6 * MINUTE) == "Health"
    rig.ask(7 * MINUTE)
    rig.reporter.failed(ConnectionRefusedError(), 7 * MINUTE)
    assert rig.ask(8 * MINUTE) == "Health"


def test_forced_graphql_at_a_mapper_without_it_is_a_refusal(caplog):
    rig = Rig("graphql")
    rig.reporter.feed([seen()], 0)
    assert rig.ask(0) == "reportTCPCaptureResults"
    rig.answer(0, 404)
    assert rig.reporter.drops == {Drop.REPORT_REFUSED: 1}
    assert "no GraphQL door" in caplog.text
    assert rig.reporter.idle


def test_forced_native_never_asks_for_graphql():
    rig = Rig("native")
    rig.ask(0)
    rig.answer(0, 404)
    assert rig.ask(5000) == NATIVE


def test_closing_says_what_only_repeats_and_then_nothing(fallen):
    fallen.reporter.feed([seen()], 1)
    fallen.said(1)
    fallen.reporter.feed([seen(at=WALL + 1)], 2)
    fallen.reporter.close(2)
    assert fallen.said(2) == "reportTCPCaptureResults"
    assert fallen.reporter.idle
    assert fallen.ask(10 * MINUTE) == ""


def test_giving_up_counts_what_is_left_of_a_report(fallen):
    fallen.reporter.feed([seen(Kind.LOOKUPS), seen(), seen(port=81)], 1)
    fallen.said(1)
    assert fallen.reporter.give_up() == 2
    assert fallen.reporter.drops == {Drop.STOPPED_UNSENT: 2}
    assert fallen.reporter.totals.rows == 1


def test_rows_without_words_are_counted_and_hold_nothing_up(fallen):
    fallen.reporter.feed([Observation(Kind.CONNECTIONS, "pod:shop/web-0", "10.0.0.2", 80, "tcp", 1, WALL, WALL)], 1)
    assert fallen.ask(1) == ""
    assert fallen.reporter.idle
    assert fallen.reporter.drops == {Drop.REPORT_REFUSED: 1}


@pytest.mark.parametrize("seed", range(200))
def test_whatever_the_mapper_does_every_row_is_taken_refused_or_unsent(seed):
    chance = random.Random(seed)
    rig = Rig(chance.choice(["auto", "auto", "graphql", "native"]))
    fed = now = 0
    for step in range(120):
        now += chance.choice([0, 1, 400, 40_000, 301_000])
        for kind in chance.sample(list(Kind), chance.randrange(4)):
            rig.reporter.feed([seen(kind, fed, WALL + fed)], now)
            fed += 1
        request = rig.reporter.next_request(now)
        if request is not None:
            what = chance.random()
            if what < 0.15:
                rig.reporter.failed(chance.choice([ConnectionResetError(), TimeoutError()]), now)
            elif what < 0.55:
                rig.answer(now, chance.choice([404, 404, 405, 422, 500, 503]))
            elif what < 0.6:
                rig.answer(now, 200, b"<html>")
            elif request.path == NATIVE:
                rig.receipt(now, f"map-{step % 2}")
            else:
                operation = json.loads(request.body)["operationName"]
                field = "health" if operation == "Health" else operation
                value = b"true" if chance.random() < 0.7 else b"false"
                rig.answer(now, 200, b'{"data":{"%s":%s}}' % (field.encode(), value))
        refused = rig.reporter.drops.get(Drop.REPORT_REFUSED, 0)
        assert rig.reporter.totals.rows + refused + rig.reporter.unsent_rows == fed
        assert request is not None or rig.reporter.wait(now) > 0, "nothing is sent though something is due"
