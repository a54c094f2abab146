"""Reports in the words of the Otterize network mapper, and what its answers mean."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.agent import legacy
from network_mapper.agent.exchange import Verdict
from network_mapper.wire.report import Client, Flow, Lookup, Report, Request, Volume

BASE = 1_749_544_115_123


def report(*clients: Client) -> Report:
    return Report(node="n", boot="b", sequence=2, base=BASE, clients=list(clients))


def said(*clients: Client) -> dict[str, list]:
    """The sources of each mutation, by its operation."""
    bodies = [json.loads(mutation.body) for mutation in legacy.mutations_of(report(*clients))]
    return {body["operationName"]: body["variables"]["results"]["results"] for body in bodies}


def test_a_connection_is_told_as_the_models_sniffer_tells_it():
    mutation = legacy.mutations_of(
        report(Client("10.244.1.7", 3, connections=[Flow("10.96.3.4", 80, "tcp", 4, 0, 0)]))
    )[0]
    assert json.loads(mutation.body) == {
        "query": "mutation reportTCPCaptureResults($results: CaptureTCPResults!) "
        "{ reportTCPCaptureResults(results: $results) }",
        "operationName": "reportTCPCaptureResults",
        "variables": {
            "results": {
                "results": [
                    {
                        "srcIp": "10.244.1.7",
                        "srcHostname": "",
                        "destinations": [
                            {
                                "destination": "10.96.3.4",
                                "destinationIP": "10.96.3.4",
                                "destinationPort": 80,
                                "TTL": None,
                                "lastSeen": "2025-06-10T08:28:35.123Z",
                                "srcPorts": [],
                            }
                        ],
                    }
                ]
            }
        },
    }


def test_a_lookup_is_told_once_for_each_of_its_addresses():
    told = said(
        Client("10.0.0.1", lookups=[Lookup("web.shop.svc.cluster.local", 9, 0, 1000, ("10.96.0.1", "fd00::1"))])
    )
    assert told == {
        "reportCaptureResults": [
            {
                "srcIp": "10.0.0.1",
                "srcHostname": "",
                "destinations": [
                    {
                        "destination": "web.shop.svc.cluster.local",
                        "destinationIP": address,
                        "destinationPort": None,
                        "TTL": None,
                        "lastSeen": "2025-06-10T08:28:36.123Z",
                        "srcPorts": [],
                    }
                    for address in ("10.96.0.1", "fd00::1")
                ],
            }
        ]
    }


def test_a_lookup_whose_addresses_are_not_known_is_told_without():
    (source,) = said(Client("10.0.0.1", lookups=[Lookup("web", 1, 0, 0)]))["reportCaptureResults"]
    assert [row["destinationIP"] for row in source["destinations"]] == [None]


def test_each_kind_of_evidence_has_its_mutation():
    client = Client(
        "10.0.0.1",
        connections=[Flow("10.0.0.2", 80, "tcp", 1, 0, 0)],
        attempts=[Flow("10.0.0.3", 81, "tcp", 1, 0, 0)],
        sockets=[Flow("10.0.0.4", 82, "tcp", 1, 0, 0)],
        lookups=[Lookup("web", 1, 0, 0)],
    )
    ports = {
        operation: [row["destinationPort"] for source in sources for row in source["destinations"]]
        for operation, sources in said(client).items()
    }
    assert ports == {
        "reportCaptureResults": [None],
        "reportTCPCaptureResults": [80, 81],
        "reportSocketScanResults": [82],
    }


def test_a_heartbeat_is_not_told():
    assert legacy.mutations_of(report()) == []


def test_a_mutation_knows_its_rows():
    client = Client(
        "10.0.0.1",
        attempts=[Flow("::1", 1, "tcp", 1, 0, 0)] * 3,
        lookups=[Lookup("a", 1, 0, 0, ("1.1.1.1", "1.1.1.2"))],
    )
    assert [(each.operation, each.rows) for each in legacy.mutations_of(report(client, client))] == [
        ("reportCaptureResults", 2),
        ("reportTCPCaptureResults", 6),
    ]


def test_a_client_whose_pod_is_named_carries_the_name():
    (source,) = said(Client("web-0@10.0.0.5", sockets=[Flow("10.0.0.2", 80, "tcp", 1, 0, 0)]))[
        "reportSocketScanResults"
    ]
    assert (source["srcIp"], source["srcHostname"]) == ("10.0.0.5", "web-0")


def test_what_that_wire_has_no_words_for_is_in_no_mutation():
    flow = Flow("10.0.0.2", 80, "tcp", 1, 0, 0)
    clients = [
        Client("pod:shop/web-0", connections=[flow]),
        Client("10.0.0.1", connections=[flow, Flow("external:bucket", 0, "tcp", 1, 0, 0)]),
        Client("10.0.0.3", requests=[Request("10.0.0.2", "http", "/", "GET", 1, 0, 0)]),
        Client("10.0.0.4", volumes=[Volume("10.0.0.2", 1, 1, 0, 0)]),
    ]
    assert [each.rows for each in legacy.mutations_of(report(*clients))] == [1]


@given(base=st.integers(-(2**53), 2**53), last=st.integers(-(2**53), 2**53))
def test_every_time_is_one_that_can_be_read(base, last):
    made = Report("n", "b", 1, base, clients=[Client("10.0.0.1", lookups=[Lookup("web", 1, last, last)])])
    (mutation,) = legacy.mutations_of(made)
    row = json.loads(mutation.body)["variables"]["results"]["results"][0]["destinations"][0]
    read = dt.datetime.fromisoformat(row["lastSeen"])
    if 0 <= base + last < 253_402_300_800_000:
        assert round(read.timestamp() * 1000) == base + last


def test_names_of_any_letters_are_json():
    name = 'a"\\\n\u2603\U0001f4a5'
    (source,) = said(Client("10.0.0.1", lookups=[Lookup(name, 1, 0, 0)]))["reportCaptureResults"]
    assert source["destinations"][0]["destination"] == name


def test_lists_that_are_not_kept_are_taken_out():
    flow = Flow("10.0.0.2", 80, "tcp", 1, 0, 0)
    made = report(
        Client("10.0.0.1", connections=[flow], lookups=[Lookup("web", 1, 0, 0)]),
        Client("10.0.0.2", lookups=[Lookup("web", 1, 0, 0)], volumes=[Volume("10.0.0.2", 1, 1, 0, 0)]),
    )
    legacy.keep_lists(made, {"connections", "attempts"})
    assert made.clients == [Client("10.0.0.1", connections=[flow])]


def test_health_is_asked_as_the_models_sniffer_asks():
    request = legacy.health()
    assert (request.path, json.loads(request.body)["query"]) == ("/query", "query Health { health }")


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b'{"data":{"health":true}}', Verdict.TAKEN),
        (200, b'{"data":{"health":true},"extensions":{"a":[1]}}', Verdict.TAKEN),
        (200, b'{"data":{"health":false}}', Verdict.LATER),
        (200, b'{"data":{"health":1}}', Verdict.FOREIGN),
        (200, b'{"data":{"other":true}}', Verdict.FOREIGN),
        (200, b'{"data":null}', Verdict.FOREIGN),
        (200, b"<html>welcome</html>", Verdict.FOREIGN),
        (200, b"", Verdict.FOREIGN),
        (200, b'{"data":' + b"[" * 100_000, Verdict.FOREIGN),
        (200, b'{"errors":[{"message":"time cannot be parsed"}],"data":null}', Verdict.REFUSED),
        (200, b'{"errors":[{"message":"context deadline exceeded","path":["health"]}],"data":null}', Verdict.LATER),
        (200, b'{"errors":[{"message":"Context Canceled"}],"data":null}', Verdict.LATER),
        (200, b'{"errors":[{"message":"context canceled"},{"message":"no"}],"data":null}', Verdict.REFUSED),
        (422, b'{"errors":[{"message":"x"}],"data":null}', Verdict.REFUSED),
        (400, b"", Verdict.REFUSED),
        (413, b"", Verdict.REFUSED),
        (404, b'{"message":"Not Found"}', Verdict.NO_DOOR),
        (405, b"", Verdict.NO_DOOR),
        (301, b"", Verdict.LATER),
        (408, b"", Verdict.LATER),
        (429, b"", Verdict.LATER),
        (500, b"", Verdict.LATER),
        (503, b"", Verdict.LATER),
    ],
)
def test_what_an_answer_means(status, body, verdict):
    assert legacy.judge(status, body, "health") is verdict


@given(st.binary(max_size=60), st.integers(100, 599))
def test_no_answer_raises(body, status):
    assert legacy.judge(status, body, "health") in Verdict
