"""The rules of the model's server: what may be asked how, and the status of each kind of error."""

import asyncio
import json
import subprocess
import sys
import urllib.parse

import pytest

from network_mapper.mapper.graphql import Request, Sender
from network_mapper.mapper.intake import BusyError

WHEN = "2025-06-10T08:28:35.123456789Z"
TCP = """mutation reportTCPCaptureResults($results: CaptureTCPResults!) {
  reportTCPCaptureResults(results: $results)
}"""


def tcp(**changes):
    destination = {
        "destination": "10.96.3.4",
        "destinationIP": "10.96.3.4",
        "destinationPort": 80,
        "TTL": None,
        "lastSeen": WHEN,
        "srcPorts": [40112],
    } | changes
    return {"results": {"results": [{"srcIp": "10.244.1.7", "srcHostname": "", "destinations": [destination]}]}}


def code_of(content):
    assert content["data"] is None
    return content["errors"][0]["extensions"]["code"]


def test_health(behind):
    assert behind.ask("query Health { health }", operation="Health") == (200, {"data": {"health": True}})


def test_minimal_report_of_the_model_is_answered_true(behind):
    assert behind.ask(TCP, tcp(), "reportTCPCaptureResults") == (200, {"data": {"reportTCPCaptureResults": True}})
    (flow,) = behind.clients["10.244.1.7"].connections
    assert (flow.server, flow.port, flow.count) == ("10.96.3.4", 80, 1)


def test_query_by_get(behind):
    reply = behind.send("GET", "query=%7Bhealth%7D", "")
    assert (reply.status, reply.body) == (200, b'{"data":{"health":true}}')
    assert reply.headers["Content-Type"] == "application/json"


def test_get_takes_variables_and_an_operation_name(behind):
    parameters = {
        "query": "query A($yes: Boolean!) {health @include(if: $yes)} query B {__typename}",
        "operationName": "A",
        "variables": '{"yes": false}',
    }
    assert behind.send("GET", urllib.parse.urlencode(parameters), "").body == b'{"data":{}}'


def test_mutation_by_get_is_406_and_does_nothing(behind):
    reply = behind.send("GET", urllib.parse.urlencode({"query": "mutation {resetCapture}"}), "")
    assert reply.status == 406
    assert json.loads(reply.body)["data"] is None
    assert behind.resets == 0


@pytest.mark.parametrize("query", ["", "query=", "operationName=A"])
def test_get_without_a_document_is_422(behind, query):
    assert behind.send("GET", query, "").status == 422


@pytest.mark.parametrize("query", ["query=%FF", "query={health}&variables={", "query={health}&variables=[1]", "&" * 99])
def test_get_that_cannot_be_decoded_is_400(behind, query):
    reply = behind.send("GET", query, "")
    assert reply.status == 400
    assert json.loads(reply.body)["data"] is None


def test_options_is_204_and_allows_no_foreign_page_anything(behind):
    reply = behind.send("OPTIONS", "", "")
    assert (reply.status, reply.body) == (204, b"")
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_no_answer_allows_a_foreign_page_anything(behind):
    reply = behind.send(body=b'{"query":"{health}"}')
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "content_type"),
    [
        ("POST", ""),
        ("POST", "text/plain"),
        ("POST", "application/x-www-form-urlencoded"),
        ("POST", "multipart/form-data; boundary=x"),
        ("POST", "application/graphql"),
        ("PUT", "application/json"),
        ("HEAD", ""),
        ("DELETE", "application/json"),
    ],
)
def test_other_transports_are_not_supported(behind, method, content_type):
    reply = behind.send(method, "", content_type, b'{"query":"mutation {resetCapture}"}')
    assert reply.status == 400
    assert json.loads(reply.body) == {"errors": [{"message": "transport not supported"}], "data": None}
    assert behind.resets == 0


def test_content_type_may_name_a_character_set(behind):
    reply = behind.send("POST", "", "Application/JSON; charset=utf-8", b'{"query":"{health}"}')
    assert reply.status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"query": 5}',
        b'{"query":"{health}","operationName":7}',
        b'{"query":"{health}","variables":[]}',
        b'{"query":"{health}","variables":"x"}',
        b'{"query":"{health}","variables":{"a":"\xff"}}',
        b'{"query":"{health}","variables":{"a":"\\ud800"}}',
        b'{"query":"\xff"}',
        b'{"query":"{health}"} trailing',
        b"[" * 100_000,
        b'{"query":"{health}","variables":{"a":' + b"[" * 100_000,
    ],
)
def test_body_that_is_no_request_is_400(behind, body):
    reply = behind.send(body=body)
    assert reply.status == 400
    assert json.loads(reply.body)["data"] is None


@pytest.mark.parametrize("body", [b"{}", b'{"query": null}', b'{"query": ""}', b'{"query": "  "}', b'{"query":"#"}'])
def test_no_document_is_422(behind, body):
    assert behind.send(body=body).status == 422


@pytest.mark.parametrize(
    "document", ["{", "{health", "{}", "{intents {}}", "{health} }", "query {health!}", "\0", "{h\ufeff"]
)
def test_document_that_cannot_be_parsed(behind, document):
    status, content = behind.ask(document)
    assert (status, code_of(content)) == (422, "GRAPHQL_PARSE_FAILED")


@pytest.mark.parametrize(
    "document",
    [
        "{nope}",
        "{intents {nope}}",
        "{intents}",
        "{health {x}}",
        "{health(x: 1)}",
        "{intents(namespaces: [1]) {type}}",
        "{intents(server: {name: 1, namespace: 2}) {type}}",
        '{intents(server: {name: "a"}) {type}}',
        "subscription {health}",
        "query ($x: Nope) {health}",
        "query ($unused: String) {health}",
        "{intents(namespaces: $undefined) {type}}",
        "query ($x: Boolean) {health @skip(if: $x)}",
        "{health @nope}",
        "{...F} fragment F on Intent {type}",
        "{...F} fragment F on Query {...F}",
        "fragment F on Query {health}",
        "{a: health a: __typename}",
        "query A {health} query A {health}",
        "query A {health} query B {health}",
        "type T {x: Int}",
        "mutation {reportCaptureResults}",
    ],
)
def test_document_that_is_not_valid(behind, document):
    status, content = behind.ask(document)
    assert (status, code_of(content)) == (422, "GRAPHQL_VALIDATION_FAILED")


def test_errors_of_a_document_say_where(behind):
    _, content = behind.ask("{\n  nope\n}")
    assert content["errors"][0]["locations"] == [{"line": 2, "column": 3}]


def test_unknown_operation_name_is_422(behind):
    status, content = behind.ask("query A {health}", operation="B")
    assert (status, code_of(content)) == (422, "GRAPHQL_VALIDATION_FAILED")


def test_operation_name_chooses(behind):
    document = "query A {health} query B {__typename}"
    assert behind.ask(document, operation="B") == (200, {"data": {"__typename": "Query"}})
    assert behind.ask(document, operation="A") == (200, {"data": {"health": True}})


def test_extra_variable_is_ignored(behind):
    assert behind.ask(TCP, tcp() | {"more": 1})[0] == 200
    assert len(behind.taken) == 1


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"results": None},
        {"results": 5},
        {"results": {}},
        {"results": {"results": [None]}},
        {"results": {"results": [{}]}},
        tcp(nope=1),
        tcp(destination=None),
        tcp(destination=True),
        tcp(destination=["10.0.0.1"]),
        tcp(lastSeen=None),
        tcp(destinationPort=1.5),
        tcp(destinationPort="eighty"),
        tcp(destinationPort=""),
        tcp(destinationPort="80.0"),
        tcp(destinationPort="٨٠"),
        tcp(destinationPort=True),
        tcp(destinationPort=2**63),
        tcp(srcPorts=[1, None]),
        tcp(srcPorts=["x"]),
    ],
)
def test_variables_that_do_not_fit_are_422_and_nothing_is_taken(behind, variables):
    status, content = behind.ask(TCP, variables)
    assert (status, code_of(content)) == (422, "GRAPHQL_VALIDATION_FAILED")
    assert content["errors"][0]["path"][:2] == ["variable", "results"]
    assert not behind.taken


def test_error_of_a_variable_names_its_place(behind):
    _, content = behind.ask(TCP, tcp(destinationPort="x"))
    expected = ["variable", "results", "results", 0, "destinations", 0, "destinationPort"]
    assert content["errors"][0]["path"] == expected


def test_a_mutation_of_which_a_later_part_is_refused_does_nothing(behind):
    seen = {"srcIp": "10.0.0.1", "srcHostname": "", "destinations": []}
    good = seen | {"destinations": [{"destination": "10.0.0.2", "lastSeen": "2025-06-10T08:28:36Z"}]}
    bad = seen | {"destinations": [{"destination": "10.0.0.2", "lastSeen": "yesterday"}]}
    document = """mutation ($good: CaptureTCPResults!, $bad: CaptureTCPResults!) {
        resetCapture
        first: reportTCPCaptureResults(results: $good)
        second: reportTCPCaptureResults(results: $bad)
    }"""
    _, refused = behind.ask(document, {"good": {"results": [good]}, "bad": {"results": [bad]}})
    assert "errors" in refused
    assert (behind.taken, behind.resets) == ([], 0)
    behind.data(document, {"good": {"results": [good]}, "bad": {"results": [good]}})
    assert (len(behind.taken), behind.resets) == (2, 1)


def test_who_reports_and_how_is_passed_on_when_it_was_taken(behind):
    heard = []
    door = behind.door
    door._seams = door._seams._replace(heard=lambda *told: heard.append(told))
    sender = Sender("192.168.1.1", "Go-http-client/1.1")
    body = json.dumps({"query": TCP, "variables": {"results": {"results": []}}}).encode()
    asyncio.run(door.handle(Request("POST", "", "application/json", body, sender)))
    assert heard == [(sender, "reportTCPCaptureResults")]


def test_unknown_enumeration_value_refuses_the_whole_mutation(behind):
    document = "mutation ($r: IstioConnectionResults!) {reportIstioConnectionResults(results: $r)}"
    good = {
        "srcWorkload": "a",
        "srcWorkloadNamespace": "n",
        "dstWorkload": "b",
        "dstServiceName": "b",
        "dstWorkloadNamespace": "n",
        "path": "/",
        "methods": ["GET"],
        "lastSeen": WHEN,
    }
    status, content = behind.ask(document, {"r": {"results": [good, good | {"methods": ["GET", "HEAD"]}]}})
    assert (status, code_of(content)) == (422, "GRAPHQL_VALIDATION_FAILED")
    assert not behind.taken


@pytest.mark.parametrize("when", ["yesterday", "", "2025-06-10", "2025-02-30T00:00:00Z", 1749544115, True, [], {}])
def test_time_that_is_none_is_200_with_errors_and_nothing_is_taken(behind, when):
    status, content = behind.ask(TCP, tcp(lastSeen=when))
    assert status == 200
    assert content["data"] is None
    assert content["errors"][0]["path"] == ["reportTCPCaptureResults"]
    assert not behind.taken


@pytest.mark.parametrize("when", ['"yesterday"', "5", "true", "{a: 1}", "[1]", "NOW"])
def test_time_in_the_document_that_is_none_is_200_with_errors(behind, when):
    status, content = behind.ask(
        'mutation {reportTCPCaptureResults(results: {results: {srcIp: "10.0.0.1", srcHostname: "",'
        f' destinations: {{destination: "10.0.0.2", lastSeen: {when}}}}}}})}}'
    )
    assert (status, content["data"]) == (200, None)
    assert not behind.taken


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"destinationPort": "80"}, ("10.96.3.4", 80, 1)),
        ({"destinationPort": "+80"}, ("10.96.3.4", 80, 1)),
        ({"srcPorts": 40112}, ("10.96.3.4", 80, 1)),
        ({"srcPorts": ["1", "2", "2"]}, ("10.96.3.4", 80, 2)),
        ({"TTL": 2**53}, ("10.96.3.4", 80, 1)),
        ({"srcPorts": None}, ("10.96.3.4", 80, 1)),
    ],
)
def test_values_are_coerced_as_the_model_does(behind, changes, expected):
    assert behind.ask(TCP, tcp(**changes))[0] == 200
    (flow,) = behind.clients["10.244.1.7"].connections
    assert (flow.server, flow.port, flow.count) == expected


def test_one_object_is_taken_for_a_list_of_one(behind):
    variables = tcp()
    (source,) = variables["results"]["results"]
    variables["results"]["results"] = source | {"destinations": source["destinations"][0]}
    assert behind.ask(TCP, variables)[0] == 200
    assert behind.clients["10.244.1.7"].rows() == 1


def test_number_is_taken_for_a_text_as_it_is_written(behind):
    body = b"""{"query": "mutation ($r: KafkaMapperResults!) {reportKafkaMapperResults(results: $r)}",
        "variables": {"r": {"results": [{"srcIp": "10.0.0.1", "serverPodName": "k", "serverNamespace": "n",
            "topic": 1.50, "operation": "Read", "lastSeen": "2025-06-10T08:28:35Z"}]}}}"""
    assert behind.send(body=body).status == 200
    (request,) = behind.clients["10.0.0.1"].requests
    assert request.name == "1.50"


def test_optional_fields_may_be_left_out(behind):
    variables = tcp()
    for name in ("destinationIP", "destinationPort", "TTL", "srcPorts"):
        del variables["results"]["results"][0]["destinations"][0][name]
    assert behind.ask(TCP, variables)[0] == 200
    (flow,) = behind.clients["10.244.1.7"].connections
    assert (flow.port, flow.count) == (0, 1)


def test_skip_include_aliases_and_fragments(behind):
    document = """query ($yes: Boolean = true, $no: Boolean!) {
      a: health @skip(if: $no) b: health @skip(if: $yes) c: health @include(if: $yes) d: health @include(if: $no)
      ...F @include(if: $yes) ... on Query @skip(if: $yes) {f: health} ... @defer {g: health} ... {h: __typename}
    } fragment F on Query {e: health}"""
    found = behind.data(document, {"no": False})
    assert list(found) == ["a", "c", "e", "g", "h"]


def test_several_mutations_run_in_order(behind):
    document = """mutation ($r: CaptureTCPResults!) {
      __typename a: resetCapture b: reportTCPCaptureResults(results: $r) c: resetCapture
    }"""
    found = behind.data(document, {"r": tcp()["results"]})
    assert list(found.items()) == [("__typename", "Mutation"), ("a", True), ("b", True), ("c", True)]
    assert behind.resets == 2
    assert len(behind.taken) == 1


def test_reset(behind):
    assert behind.data("mutation ResetCapture { resetCapture }") == {"resetCapture": True}
    assert behind.resets == 1


def test_sender_that_was_held_in_vain_is_told_to_come_again(behind):
    behind.error = BusyError("the disk is full")
    reply = behind.send(body=json.dumps({"query": TCP, "variables": tcp()}).encode())
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert json.loads(reply.body) == {"errors": [{"message": "not now: the disk is full"}], "data": None}
    assert behind.ask("mutation {resetCapture}")[0] == 503


def test_fault_behind_the_door_is_200_with_errors(behind, caplog):
    behind.error = RuntimeError("secret")
    status, content = behind.ask(TCP, tcp())
    assert status == 200
    assert content == {
        "errors": [{"message": "internal error", "path": ["reportTCPCaptureResults"]}],
        "data": None,
    }
    assert "secret" in caplog.text


def test_report_without_rows_is_true_and_not_taken(behind):
    assert behind.ask(TCP, {"results": {"results": []}})[0] == 200
    empty = {"results": {"results": [{"srcIp": "10.0.0.1", "srcHostname": "", "destinations": []}]}}
    assert behind.ask(TCP, empty) == (200, {"data": {"reportTCPCaptureResults": True}})
    assert not behind.taken


def test_library_is_not_loaded_before_the_first_request():
    program = (
        "import sys; import network_mapper.mapper.graphql as door; assert 'graphql' not in sys.modules;"
        " import asyncio; asked = door.Door(door.Seams(*[None] * 5)).handle(door.Request('GET', 'query={health}'));"
        " assert asyncio.run(asked).status == 200;"
        " assert 'graphql' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
