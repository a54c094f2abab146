"""Sniffers and mappers of other versions: what they said is kept as it was sent, and read by what is here now.

The files were written by the code of earlier versions, one for each shape that a report has had.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from network_mapper.agent.exchange import receipt_of
from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.mapper.decode import decode
from network_mapper.model import Kind, Observation, PodRef, PodSighting
from network_mapper.wire.report import JSON, MSGPACK, Client, Flow, Lookup, Receipt, Report, Request, Volume

FOLDER = Path(__file__).parents[2] / "fixtures" / "reports"
SHAPES = sorted(path.stem for path in FOLDER.glob("*.json"))
T = 1_700_000_040_000


def body(shape: str, encoding: str) -> bytes:
    return (FOLDER / f"{shape}.{'json' if encoding == JSON else 'msgpack'}").read_bytes()


def test_each_shape_is_there():
    assert [shape.partition("-")[0] for shape in SHAPES] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
@pytest.mark.parametrize("shape", SHAPES)
def test_reports_of_earlier_sniffers_are_read_in_full(shape, encoding):
    report, _, drops = decode(body(shape, encoding), encoding)
    assert drops == {}
    assert (report.node, report.boot, report.sequence, report.base) == ("node-1", "boot-1", 7, T)
    assert (report.started, report.agent, report.drops) == (
        T - 60_000,
        "network-mapper-sniffer/0.0.1",
        {"dns_unasked": 2},
    )
    watched = int(shape[0]) >= 3
    assert report.clients == [
        Client(
            "10.244.1.6",
            7,
            connections=[
                Flow("10.96.0.20", 6379, "tcp", 3, -2000, -500, "10.244.2.8", 6380),
                Flow("10.244.2.9", 80, "tcp", 1, -1500, -1500),
            ],
            attempts=[Flow("10.244.2.9", 81, "tcp", 2, -1400, -1300)],
            sockets=[Flow("10.244.2.10", 5432, "tcp", 4, 0, 0)],
            lookups=[Lookup("redis-cart.shop.svc.cluster.local", 2, -2500, -2400, ("10.96.0.20",))],
            requests=[Request("app:shop/redis-cart", "http", "/cart", "GET", 5, -900, -100, "shop/redis-cart")]
            * watched,
            volumes=[Volume("10.244.2.8", 4096, 3, -900, -100)] * watched,
        )
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_earlier_sniffers_do_not_say_has_the_meaning_of_nothing_said(shape):
    report, _, _ = decode(body(shape, MSGPACK), MSGPACK)
    number = int(shape[0])
    assert report.watched_until == (T + 5 if number >= 2 else 0)
    assert report.ahead == (-3 if number >= 4 else 0)
    assert report.capture == ("packets" if number >= 5 else "")
    assert (report.pods, report.hops, report.excess, report.clients[0].pod) == ([], [], [], None)


@pytest.mark.parametrize("shape", SHAPES)
def test_receipts_of_earlier_mappers_are_read(shape):
    receipt = receipt_of(200, {"content-type": MSGPACK}, (FOLDER / f"{shape}-receipt.msgpack").read_bytes())
    now = T + 20 if int(shape[0]) >= 4 else 0
    assert receipt == Receipt("6f1c9d6e", 2, rows=5, dropped={"loopback": 1}, now=now, instance="")


@pytest.mark.parametrize("shape", SHAPES)
def test_with_an_earlier_mapper_everything_is_told_once_and_pods_to_nobody_in_particular(shape):
    met = []
    reporter = Reporter(
        Fold(), node="n", agent="a", started=T, wall=lambda: T + 20, wire="native", on_new_mapper=lambda: met.append(1)
    )
    receipt = (FOLDER / f"{shape}-receipt.msgpack").read_bytes()
    rows = 0
    for now in range(5):
        reporter.feed([Observation(Kind.CONNECTIONS, "10.0.0.1", "10.0.0.2", now, "tcp", 1, T, T)], now)
        reporter.set_pods([PodSighting(PodRef("shop", "a", "u"), ("10.0.0.1",), T, T)])
        request = reporter.next_request(now)
        rows += sum(client.rows() for client in msgspec.msgpack.decode(request.body, type=Report).clients)
        reporter.answered(200, {"content-type": MSGPACK}, receipt, now)
    assert (rows, reporter.unsent_rows, met) == (5, 0, [])


def test_an_earlier_mapper_reads_a_report_of_this_version():
    """All that is new is fields with names of their own, so what an earlier shape knows of a report is unchanged."""

    class Earlier(msgspec.Struct):
        node: str
        boot: str
        sequence: int
        base: int
        started: int = 0
        version: int = 1
        agent: str = ""
        clients: list[dict[str, object]] = []
        drops: dict[str, int] = {}

    reporter = Reporter(
        Fold(owner=lambda *_: PodRef("shop", "a", "u")), node="n", agent="a", started=T, boot="b", wall=lambda: T
    )
    reporter.set_pods([PodSighting(PodRef("shop", "a", "u"), ("10.0.0.1",), T, T)])
    reporter.next_request(0)
    reporter.answered(200, {"content-type": MSGPACK}, msgspec.msgpack.encode(Receipt("s", 1)), 0)
    reporter.feed([Observation(Kind.CONNECTIONS, "10.0.0.1", "10.0.0.2", 80, "tcp", 1, T, T)], 1)
    request = reporter.next_request(1)
    report = msgspec.msgpack.decode(request.body, type=Earlier)
    assert (report.node, report.boot, report.sequence, report.base, report.version) == ("n", "b", 2, T, 1)
    assert [client["connections"] for client in report.clients] == [[["10.0.0.2", 80, "tcp", 1, 0, 0, "", 0]]]


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_fields_of_later_sniffers_pass(encoding):
    later = msgspec.json.decode(body(SHAPES[-1], JSON)) | {
        "version": 2,
        "weather": {"wind": [1, 2]},
        "hops": [["fold", "observations", 5, 5, 0, "a column of a later version"]],
        "excess": [["10.0.0.1", "fold_client_full", 3, 4]],
    }
    later["clients"][0]["mood"] = "good"
    later["clients"][0]["attempts"] = [["10.244.2.9", 81, "tcp", 2, -1400, -1300, "", 0, "a column of a later version"]]
    encode = msgspec.json.encode if encoding == JSON else msgspec.msgpack.encode
    report, _, drops = decode(encode(later), encoding)
    assert drops == {}
    assert (report.version, report.sequence, report.clients[0].rows()) == (2, 7, 7)
    assert report.clients[0].attempts[0].count == 2


@pytest.mark.parametrize("kind", ["msgpack", "json"])
def test_fields_of_later_mappers_pass(kind):
    receipt = {"store": "s", "epoch": 1, "pace": 0.5, "instance": "i", "dropped": {"a_reason_of_later": 1}}
    encode = msgspec.json.encode if kind == "json" else msgspec.msgpack.encode
    read = receipt_of(200, {"content-type": f"application/{kind}"}, encode(receipt))
    assert (read.store, read.instance, read.dropped) == ("s", "i", {"a_reason_of_later": 1})
