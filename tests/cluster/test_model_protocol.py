"""GraphQL over HTTP as the model's clients know it, and what becomes of input that makes no sense."""

import json
from urllib.parse import quote

import model_reports as reports
import pytest

pytestmark = pytest.mark.cluster

VALIDATION, PARSE = "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"
JSON = {"Content-Type": "application/json"}


def post(mapper, body, headers=JSON, path="/query"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = mapper.client.request("POST", path, content, headers)
    return answer.status, json.loads(answer.body)


def refused(answer, status, code=None):
    """The answer refuses a request with this status and code."""
    assert answer[0] == status, answer
    assert answer[1]["data"] is None
    assert answer[1]["errors"]
    return code is None or answer[1]["errors"][0]["extensions"]["code"] == code


@pytest.fixture
def pods(place, mapper):
    client, web = place.pod("client"), place.pod("web")
    mapper.knows(place)
    return client, web


def test_health_is_true(mapper):
    assert post(mapper, {"query": "query Health { health }"}) == (200, {"data": {"health": True}})
    assert post(mapper, {"query": "{health}"}) == (200, {"data": {"health": True}})


def test_healthz_is_200_and_empty(mapper):
    answer = mapper.client.request("GET", "/healthz")
    assert (answer.status, answer.body) == (200, b"")


def test_a_query_by_get_is_answered(mapper):
    answer = mapper.client.request("GET", f"/query?query={quote('{health}')}")
    assert (answer.status, json.loads(answer.body)) == (200, {"data": {"health": True}})


def test_a_mutation_by_get_is_406_and_changes_nothing(place, mapper, pods):
    mapper.connections(pods[0].ip, pods[1].ip)
    answer = mapper.client.request("GET", f"/query?query={quote('mutation{resetCapture}')}")
    assert answer.status == 406
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_introspection_names_every_operation(mapper):
    query = "{ __schema { queryType { fields { name } } mutationType { fields { name } } } }"
    status, content = post(mapper, {"query": query})
    found = {
        kind: {field["name"] for field in content["data"]["__schema"][kind]["fields"]}
        for kind in ("queryType", "mutationType")
    }
    assert status == 200
    assert found == {
        "queryType": {"serviceIntents", "intents", "health"},
        "mutationType": {"resetCapture", *reports.TYPES},
    }


@pytest.mark.parametrize("query", ["{nope}", "query { intents { nope } }", "{ intents { client } }"])
def test_a_field_that_is_not_known_is_422_with_the_code_that_the_models_clients_look_for(query, mapper):
    assert refused(post(mapper, {"query": query}), 422, VALIDATION)


@pytest.mark.parametrize(
    "query", ["{", "query {", "}{", "mutation { resetCapture", "\u0000", "query Q($a: ) { health }"]
)
def test_a_document_that_cannot_be_parsed_is_422(query, mapper):
    assert refused(post(mapper, {"query": query}), 422, PARSE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"query": 1}',
        b'{"query": "{health}"',
        b'{"query": "{health}"} more',
        b"[" * 100_000,
        b'{"variables":' * 50_000,
    ],
    ids=range(11),
)
def test_a_body_that_is_no_request_is_400(body, mapper):
    status, content = post(mapper, body)
    assert status == 400, content
    assert content["data"] is None


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_refused_so_that_no_web_page_can_send_one(kind, place, mapper, pods):
    mapper.connections(pods[0].ip, pods[1].ip)
    body = {"query": "mutation { resetCapture }"}
    assert refused(post(mapper, body, {"Content-Type": kind} if kind else {}), 400)
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_no_foreign_page_is_allowed_anything(mapper):
    asking = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    for answer in (
        mapper.client.request("OPTIONS", "/query", None, asking),
        mapper.client.request("POST", "/query", b'{"query": "{health}"}', {**JSON, "Origin": "https://example.com"}),
    ):
        assert answer.status in (200, 204)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_other_paths_are_404(mapper):
    assert mapper.client.request("POST", "/query/", b"{}", JSON).status == 404
    assert mapper.client.request("GET", "/nothing").status == 404


def test_the_names_of_the_models_reporters_need_not_be_used(place, mapper, pods):
    client, web = pods
    value = {"results": [reports.source(client.ip, reports.connection(web.ip))]}
    text = "mutation Any($r: CaptureTCPResults!) { ok: reportTCPCaptureResults(results: $r) ...F }"
    text += " fragment F on Mutation { __typename }"
    content = {"ok": True, "__typename": "Mutation"}
    assert post(mapper, {"query": text, "variables": {"r": value}}) == (200, {"data": content})
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_numbers_in_texts_and_values_without_their_lists_are_understood(place, mapper, pods):
    client, web = pods
    made = reports.connection(web.ip) | {"destinationPort": "5432", "srcPorts": "40001", "TTL": 2**53}
    mapper.send("reportTCPCaptureResults", {"results": reports.source(client.ip) | {"destinations": made}})
    (intent,) = mapper.intents(place.namespace)
    assert intent["server"]["resolutionData"]["port"] == 5432


@pytest.mark.parametrize(
    "change",
    [
        {"destinationPort": 1.5},
        {"destinationPort": "word"},
        {"destination": None},
        {"unknown": 1},
        {"srcPorts": [None]},
    ],
)
def test_a_value_of_a_wrong_type_refuses_the_whole_report(change, place, mapper, pods):
    client, web = pods
    made = reports.connection(web.ip)
    value = {"results": [reports.source(client.ip, made, {**made, **change})]}
    assert refused(post(mapper, reports.mutation("reportTCPCaptureResults", value)), 422, VALIDATION)
    assert mapper.edges(place.namespace) == []


def test_a_word_that_an_enumeration_does_not_have_refuses_the_whole_report(place, mapper, pods):
    ends = (place.namespace, "client"), (place.namespace, "web")
    value = {"results": [reports.http(*ends, "/", "GET"), reports.http(*ends, "/", "HEAD")]}
    assert refused(post(mapper, reports.mutation("reportIstioConnectionResults", value)), 422, VALIDATION)
    assert mapper.edges(place.namespace) == []


@pytest.mark.parametrize("when", ["yesterday", "", 5, "2025-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_an_error_with_200(when, place, mapper, pods):
    client, web = pods
    made = {**reports.connection(web.ip), "lastSeen": when}
    status, content = post(
        mapper, reports.mutation("reportTCPCaptureResults", {"results": [reports.source(client.ip, made)]})
    )
    assert (status, content["data"]) == (200, None)
    assert content["errors"]
    assert mapper.edges(place.namespace) == []


def test_a_source_without_destinations_is_nothing(mapper):
    for field in ("reportTCPCaptureResults", "reportCaptureResults", "reportSocketScanResults"):
        with mapper.dropping() as drops:
            mapper.send(field, {"results": [reports.source("203.0.113.5")]})
            mapper.send(field, {"results": []})
        assert drops == {}


def test_rows_that_make_no_sense_are_counted_and_their_neighbours_are_kept(place, mapper, pods):
    client, web = pods
    wrong = [
        reports.connection("", name=""),
        reports.connection("10.0.0.300"),
        reports.connection("not an address"),
        reports.connection("fe80::1%eth0"),
    ]
    with mapper.dropping() as drops:
        mapper.connections(client.ip, *wrong, web.ip, *wrong)
    assert drops == {"address_invalid": 8}
    assert mapper.pairs(place.namespace) == [("client", "web")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"destinationPort": 70000}, "row_malformed"),
        ({"destinationPort": -1}, "row_malformed"),
        ({"lastSeen": "2099-01-01T00:00:00Z"}, "time_in_future"),
        ({"lastSeen": "1955-11-05T06:00:00Z"}, "time_invalid"),
    ],
)
def test_a_row_with_an_impossible_port_or_time_costs_itself_alone(row, reason, place, mapper, pods):
    client, web = pods
    with mapper.dropping() as drops:
        mapper.connections(client.ip, reports.connection(web.ip) | row, web.ip)
    assert drops == {reason: 1}
    assert mapper.pairs(place.namespace) == [("client", "web")]


@pytest.mark.parametrize("ip", ["", "nonsense", "10.0.0.1.1", "1" * 2000])
def test_a_source_that_is_no_address_costs_itself_and_no_neighbour(ip, place, mapper, pods):
    client, web = pods
    bad = reports.source(ip, reports.connection(web.ip), reports.connection(web.ip))
    good = reports.source(client.ip, reports.connection(web.ip))
    with mapper.dropping() as drops:
        mapper.send("reportTCPCaptureResults", {"results": [bad, good, bad]})
    assert drops == {"address_invalid": 4}
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_an_empty_name_beside_a_valid_one_costs_itself_alone(place, mapper, pods):
    client, _ = pods
    place.service("web")
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, "", place.name_of("web"), ".")
    assert drops == {"row_malformed": 2}
    mapper.after(lambda: None, lambda: mapper.pairs(place.namespace) == [("client", "web")])


def test_names_up_to_253_characters_are_taken_and_longer_ones_counted(place, mapper, pods):
    client, _ = pods
    host = ".".join(["x" * 60] * 4)
    longest = host + "." + "y" * (253 - len(host) - 1)
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, longest, longest + "z", longest + ".", "..", "a..b")
    assert drops == {"row_malformed": 1}
    names = {edge["server"]["name"] for edge in mapper.edges(place.namespace)}
    assert longest in names
    assert longest + "z" not in names


def test_a_host_name_that_can_be_no_pods_is_counted(place, mapper, pods):
    client, web = pods
    with mapper.dropping() as drops:
        mapper.connections(client.ip, web.ip, hostname="../../etc/passwd")
        mapper.connections(client.ip, web.ip, hostname="a@b")
    assert drops == {"row_malformed": 2}
    assert mapper.edges(place.namespace) == []


DEEP = "{ __schema { types {" + " fields { type { ofType {" * 40 + " name " + "}}}" * 40 + " } } }"
FRAGMENTS = "query { intents { ...f0 } }" + "".join(
    f" fragment f{n} on Intent {{ ...f{n + 1} ...f{n + 1} }}" for n in range(30)
) + " fragment f30 on Intent { type }"  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        DEEP,
        FRAGMENTS,
        "{" + " ".join(f"a{n}: health" for n in range(5000)) + "}",
        "{ health " + "#" * 100_000 + "\n}",
        "query Q(" + ", ".join(f"$v{n}: Int" for n in range(2000)) + ") { health }",
        "{ intents { ...a } } fragment a on Intent { ...b } fragment b on Intent { ...a }",
        "{" * 10_000,
        "[" * 10_000,
    ],
    ids=["deep", "fragments", "wide", "long", "variables", "circle", "braces", "brackets"],
)
def test_a_query_that_would_cost_too_much_is_refused_at_once(query, mapper):
    answer = mapper.ask(query)
    assert refused(answer, 422)
    assert len(json.dumps(answer[1])) < 10_000
    assert mapper.ask("{health}") == (200, {"data": {"health": True}})


def test_a_report_that_is_too_large_is_refused_and_the_next_one_taken(place, mapper, pods):
    client, web = pods
    huge = b'{"query": "{health}", "variables": {"x": "' + b"x" * (9 * 1024 * 1024) + b'"}}'
    assert mapper.client.request("POST", "/query", huge, JSON).status == 413
    mapper.connections(client.ip, web.ip)
    assert mapper.pairs(place.namespace) == [("client", "web")]
