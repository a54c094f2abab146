"""A sender against a real HTTP server that behaves as the Otterize network mapper does: one queue for each kind of
report, which says false when it is full, 422 for what it cannot validate, and 404 for every path but its own."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.agent.sender import Sender, steady_clock
from network_mapper.http_client import HttpClient
from network_mapper.model import Drop, Kind, Observation, Tally
from network_mapper.sniffer.settings import SnifferSettings, mapper_address
from network_mapper.wire.report import Receipt, Report

WALL = 1_700_000_000_000
FIELDS = {"destination", "destinationIP", "destinationPort", "TTL", "lastSeen", "srcPorts"}


class Model:
    """The server's state; `full` counts how often each queue is full before it takes something."""

    def __init__(self) -> None:
        self.full: Counter[str] = Counter()
        self.refuses: set[str] = set()
        self.has_native_door = False
        self.rows: list[tuple] = []
        self.tries: list[tuple[str, bytes]] = []
        self.health = 0
        self.native: list[Report] = []

    def answer(self, path: str, content_type: str, body: bytes) -> tuple[int, bytes, str]:
        if path == "/api/v1/reports" and self.has_native_door:
            self.native.append(msgspec.msgpack.decode(body, type=Report))
            return 200, msgspec.msgpack.encode(Receipt("map-1", 1)), "application/msgpack"
        if path != "/query":
            return 404, b'{"message":"Not Found"}', "application/json"
        if content_type != "application/json":
            return 400, b'{"errors":[{"message":"transport not supported"}],"data":null}', "application/json"
        return *self.query(body), "application/json"

    def query(self, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        operation = asked["operationName"]
        assert operation in asked["query"]
        if operation == "Health":
            self.health += 1
            return 200, b'{"data":{"health":true}}'
        self.tries.append((operation, body))
        if operation in self.refuses:
            code = {"code": "GRAPHQL_VALIDATION_FAILED"}
            return 422, json.dumps({"errors": [{"message": "no", "extensions": code}], "data": None}).encode()
        if self.full[operation] > 0:
            self.full[operation] -= 1
            return 200, json.dumps({"data": {operation: False}}).encode()
        for source in asked["variables"]["results"]["results"]:
            assert source["srcHostname"] == ""
            for row in source["destinations"]:
                assert set(row) == FIELDS
                whom = (row["destination"], row["destinationIP"], row["destinationPort"], row["lastSeen"])
                self.rows.append((operation, source["srcIp"], *whom))
        return 200, json.dumps({"data": {operation: True}}).encode()


@pytest.fixture
def model():
    state = Model()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, answer, content_type = state.answer(self.path, self.headers["content-type"], body)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/query"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sender(model):
    """A sender with the address that the model's own sniffer would have; it is closed at the end."""
    made = []

    def start(wire: str = "auto", limit: int = 2000) -> Sender:
        settings = SnifferSettings(mapper_url=model.url)
        reporter = Reporter(Fold(), node="node-1", agent="test/1", started=WALL, wire=wire, limit=limit)
        made.append(Sender(reporter, HttpClient(mapper_address(settings))))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.close()
        each.finish(10)


def observations() -> list[Observation]:
    return [
        *(
            Observation(Kind.CONNECTIONS, f"10.0.0.{n}", "10.96.0.1", 80 + n, "tcp", n, WALL, WALL + n)
            for n in range(1, 9)
        ),
        Observation(Kind.ATTEMPTS, "10.0.0.1", "2001:db8::5", 443, "tcp", 1, WALL, WALL),
        Observation(Kind.SOCKETS, "10.0.0.2", "10.96.0.9", 5432, "tcp", 3, WALL, WALL),
        Observation(
            Kind.LOOKUPS, "10.0.0.3", "web.shop.svc.cluster.local", 0, "udp", 7, WALL, WALL, 0, "", 0, ("10.96.0.2",)
        ),
    ]


def expected() -> set[tuple]:
    operations = {
        Kind.CONNECTIONS: "reportTCPCaptureResults",
        Kind.ATTEMPTS: "reportTCPCaptureResults",
        Kind.SOCKETS: "reportSocketScanResults",
        Kind.LOOKUPS: "reportCaptureResults",
    }
    rows = set()
    for each in observations():
        address, port = (each.addresses[0], None) if each.kind is Kind.LOOKUPS else (each.server, each.port)
        when = f"2023-11-14T22:13:20.{each.last - WALL:03d}Z"
        rows.add((operations[each.kind], each.client, each.server, address, port, when))
    return rows


def feed(sender: Sender) -> None:
    sender.feed(observations(), steady_clock(), WALL, [], Tally())


def finish(sender: Sender) -> None:
    sender.close()
    assert sender.wait_until(lambda reporter: reporter.idle, 10)


@pytest.mark.parametrize("wire", ["auto", "graphql"])
@pytest.mark.parametrize("limit", [2000, 3])
def test_what_is_fed_is_what_the_model_gets(model, sender, wire, limit):
    made = sender(wire, limit)
    feed(made)
    finish(made)
    assert set(model.rows) == expected()
    assert len(model.rows) == len(expected())
    assert made.look(lambda reporter: (reporter.totals.rows, reporter.unsent_rows, reporter.drops)) == (11, 0, {})


def test_a_queue_that_is_full_gets_the_same_bytes_until_it_takes_them(model, sender):
    model.full.update({"reportTCPCaptureResults": 2, "reportCaptureResults": 1})
    made = sender()
    feed(made)
    finish(made)
    assert set(model.rows) == expected()
    assert len(model.rows) == len(expected())
    assert len(model.tries) == 3 + 2 + 1
    assert len(set(model.tries)) == 3, "the same bytes each time"
    assert made.look(lambda reporter: reporter.drops) == {}


def test_what_the_model_does_not_validate_is_counted_and_the_rest_arrives(model, sender):
    model.refuses.add("reportSocketScanResults")
    made = sender()
    feed(made)
    finish(made)
    assert set(model.rows) == {row for row in expected() if row[0] != "reportSocketScanResults"}
    assert made.look(lambda reporter: (reporter.totals.rows, reporter.drops)) == (10, {Drop.REPORT_REFUSED: 1})


def test_health_is_asked_once_to_find_the_door(model, sender):
    made = sender()
    assert made.wait_until(lambda reporter: reporter.idle and reporter.wait(steady_clock()) > 20_000, 10)
    assert model.health == 1
    assert model.native == []


def test_a_mapper_of_ours_at_the_same_address_is_spoken_to_natively(model, sender):
    model.has_native_door = True
    made = sender()
    feed(made)
    finish(made)
    assert model.rows == []
    assert model.health == 0
    assert sum(client.rows() for report in model.native for client in report.clients) == 11


def test_a_mapper_of_ours_that_takes_its_place_is_found_after_the_connection_was_lost(model, sender):
    made = sender()
    feed(made)
    deadline = time.monotonic() + 10
    while len(model.rows) < 11 and time.monotonic() < deadline:
        time.sleep(0.01)
    model.has_native_door = True
    made.look(lambda reporter: reporter.failed(ConnectionResetError(), steady_clock()))
    later = [Observation(Kind.CONNECTIONS, "10.0.0.9", "10.96.0.1", 99, "tcp", 1, WALL, WALL)]
    made.feed(later, steady_clock(), WALL, [], Tally())
    finish(made)
    ports = [flow.port for report in model.native for client in report.clients for flow in client.connections]
    assert ports == [99]
    assert len(model.rows) == 11
