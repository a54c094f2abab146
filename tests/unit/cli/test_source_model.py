import time

import pytest
from model_server import API_SERVER, CURRENT, NAMES_ONLY, WITH_LABELS, End, ModelServer, intent

from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import MapQuery, NoStatusError
from network_mapper.cli.sources.detect import source_at
from network_mapper.cli.sources.model import ModelSource
from network_mapper.export.selection import Selection, choose
from network_mapper.http_client import HttpClient
from network_mapper.model import Edge, Service, ServiceRef, Workload
from network_mapper.wire.api import WorkloadRow

CART, REDIS = Workload("cart", "shop", "Deployment"), Workload("redis", "db", "StatefulSet")


@pytest.fixture
def server():
    with ModelServer() as running:
        yield running


@pytest.fixture
def source(server):
    with ModelSource(HttpClient(server.url), server.url) as opened:
        yield opened


def redis(**more):
    return End("redis", "db", "StatefulSet", **more)


def test_the_query_is_the_one_that_the_models_command_line_sends(server, source):
    source.map(MapQuery(("shop", "db"), labels=True, label_keys=("tier",)))
    (asked,) = server.requests
    assert (asked.method, asked.path, asked.operation, asked.status) == ("POST", "/query", "Intents", 200)
    assert asked.variables == {
        "namespaces": ["shop", "db"],
        "includedLabels": ["tier"],
        "excludeServiceWithLabels": [],
        "server": None,
    }


def test_an_untyped_intent_is_an_edge_without_any_evidence(server, source):
    server.intents = [intent("shop/cart", redis(service="redis-headless"))]
    (edge,) = source.map().edges
    assert edge == Edge(CART, REDIS, ServiceRef("redis-headless", "db"), 0, "")


def test_typed_intents_tell_what_was_asked_for(server, source):
    server.intents = [
        intent("shop/cart", redis(), http={"/a": ["GET", "POST"], "/b": []}),
        intent("shop/cart", redis(), kafka={"orders": ["PRODUCE"]}),
        intent("shop/cart", redis()),
    ]
    assert [(edge.protocol, edge.details) for edge in source.map().edges] == [
        ("http", {"/a": ["GET", "POST"], "/b": []}),
        ("kafka", {"orders": ["PRODUCE"]}),
        ("", {}),
    ]


def test_the_same_intent_twice_is_one_edge(server, source):
    server.intents = [
        intent("shop/cart", redis(), http={"/a": ["GET"]}),
        intent("shop/cart", redis(), http={"/a": ["GET", "PUT"], "/b": ["GET"]}),
    ]
    (edge,) = source.map().edges
    assert edge.details == {"/a": ["GET", "PUT"], "/b": ["GET"]}


def test_the_api_server_is_a_service_at_either_end(server, source):
    server.intents = [intent("shop/cart", API_SERVER), intent(API_SERVER, "shop/cart")]
    api = Service("kubernetes", "default")
    assert {(edge.client, edge.server, edge.service) for edge in source.map().edges} == {
        (CART, api, None),
        (api, CART, None),
    }


def test_names_stay_as_they_come(server, source):
    server.intents = [intent("shop/my_app_v1", "shop/cart")]
    assert source.map().edges[0].client.name == "my_app_v1"


def test_a_kind_that_is_not_told_is_taken_from_where_it_is(server, source):
    server.intents = [
        intent("shop/cart", "shop/other"),
        intent(End("cart", "shop", ""), End("other", "db", ""), kafka={"a": []}),
    ]
    assert {edge.client for edge in source.map().edges} == {CART}
    assert Workload("other", "db", "") in {edge.server for edge in source.map().edges}


def test_a_kind_that_is_told_in_two_ways_is_not_guessed(server, source):
    server.intents = [
        intent("shop/cart", "shop/a"),
        intent(End("cart", "shop", "CronJob"), "shop/a"),
        intent(End("cart", "shop", ""), "shop/a", kafka={"a": []}),
    ]
    assert {edge.client.kind for edge in source.map().edges} == {"Deployment", "CronJob", ""}


def test_the_time_of_the_answer_is_ours_and_nothing_else_is_claimed(source):
    before = time.time() * 1000 - 1
    answer = source.map()
    assert before <= answer.generated_at <= time.time() * 1000
    assert (answer.store, answer.epoch, answer.watching_since, answer.own, answer.workloads) == ("", 0, 0, [], [])


@pytest.mark.parametrize("leak", [True, False])
def test_labels_are_those_of_the_ends(server, source, leak):
    server.all_labels = leak
    server.intents = [
        intent(End("cart", "shop", labels={"tier": "front", "team": "a"}), redis()),
        intent("shop/api", End("cart", "shop", labels={"tier": "front"})),
    ]
    rows = source.map(MapQuery(labels=True)).workloads
    assert sorted(rows, key=lambda row: row.name) == [
        WorkloadRow("api", "shop", "Deployment", 0, {}),
        WorkloadRow("cart", "shop", "Deployment", 0, {"tier": "front", "team": "a"}),
        WorkloadRow("redis", "db", "StatefulSet", 0, {}),
    ]


def test_the_selection_leaves_out_what_has_a_label(server, source):
    server.all_labels = False
    server.intents = [intent(End("cart", "shop", labels={"tier": "x"}), redis()), intent("shop/api", redis())]
    selection = Selection.of(without_labels=("tier=x",))
    edges = choose(source.map(MapQuery(labels=True, label_keys=("tier",))), selection)
    assert [edge.client.name for edge in edges] == ["api"]


def test_an_older_mapper_is_asked_for_names_with_one_warning(server, source, capsys):
    server.schema = NAMES_ONLY
    server.intents = [intent("shop/cart", redis(), http={"/": ["GET"]}), intent("shop/cart", "shop/api")]
    for _ in range(2):
        assert source.map(MapQuery(("shop",))).edges == [
            Edge(Workload("cart", "shop", ""), Workload("redis", "db", ""), None, 0, ""),
            Edge(Workload("cart", "shop", ""), Workload("api", "shop", ""), None, 0, ""),
        ]
    assert [(asked.operation, asked.status) for asked in server.requests] == [
        ("Intents", 422),
        ("ServiceIntents", 200),
        ("ServiceIntents", 200),
    ]
    assert server.requests[1].variables == {"namespaces": ["shop"]}
    warning = capsys.readouterr().err
    assert warning.startswith(f"Warning: the mapper at {server.url} is of an older version")
    assert warning.count("\n") == 1


def test_an_older_mapper_tells_the_labels_that_are_named(server, source, capsys):
    server.schema = WITH_LABELS
    server.intents = [intent(End("cart", "shop", labels={"tier": "front", "team": "a"}), redis())]
    answer = source.map(MapQuery(labels=True, label_keys=("tier",)))
    assert {row.name: row.labels for row in answer.workloads} == {"cart": {"tier": "front"}, "redis": {}}
    assert server.requests[-1].variables == {"namespaces": [], "includedLabels": ["tier"]}
    assert "It tells only names and labels" in capsys.readouterr().err


def test_a_mapper_between_tells_all_labels_where_no_key_is_named(server, source):
    server.schema = WITH_LABELS.replace("includeLabels: [String!]", "includeAllLabels: Boolean")
    server.intents = [intent(End("cart", "shop", labels={"tier": "front"}), redis())]
    assert source.map(MapQuery(labels=True)).workloads[0].labels == {"tier": "front"}


def test_a_mapper_that_is_too_old_for_labels_has_to_be_upgraded(server, source, capsys):
    server.schema = NAMES_ONLY
    with pytest.raises(CliError, match="is too old to tell labels") as caught:
        source.map(MapQuery(labels=True, label_keys=("tier",)))
    assert "Upgrade it, or leave out the options that need labels" in caught.value.message
    assert capsys.readouterr().err == ""


def test_labels_that_nothing_depends_on_are_done_without(server, source, capsys):
    server.schema = NAMES_ONLY
    server.intents = [intent("shop/cart", redis())]
    answer = source.map(MapQuery(labels=True))
    assert len(answer.edges) == 1
    assert [row.labels for row in answer.workloads] == [{}, {}]
    assert "It tells only names, neither kinds" in capsys.readouterr().err


def test_a_server_of_another_schema_is_an_error(server, source):
    server.schema = "type Query { pets: [String!]! }"
    with pytest.raises(CliError, match="knows neither the query 'intents' nor 'serviceIntents'"):
        source.map()


def test_since_is_refused_because_no_times_are_told(server, source):
    with pytest.raises(CliError, match="does not tell when it saw what") as caught:
        source.map(MapQuery(since=1))
    assert "Leave out --since." in caught.value.message
    assert server.requests == []


def test_there_is_no_status(source):
    with pytest.raises(NoStatusError, match="has no status to show"):
        source.status()


def test_reset_empties_the_map_and_tells_how_much_there_was(server, source):
    server.intents = [intent("shop/cart", redis()), intent("shop/cart", "shop/api")]
    assert source.reset().removed_edges == 2
    assert server.intents == []


def test_a_reset_that_did_nothing_is_an_error(server, source):
    server.answer = (200, {}, b'{"data": {"intents": [], "resetCapture": false}}')
    with pytest.raises(CliError, match="did not empty its map"):
        source.reset()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {}, b"boom"), "answered HTTP 500 (Internal Server Error), not as a mapper does"),
        ((500, {}, b'{"errors": [{"message": "no\\nway"}], "data": null}'), "could not answer: no way (HTTP 500)"),
        ((502, {}, b"<html>"), "a proxy reaches no mapper"),
        ((401, {}, b"<html>"), "asks who you are"),
        ((404, {}, b'{"message": "Not Found"}'), "answered HTTP 404 (Not Found)"),
        ((422, {}, b"{}"), "knows neither the query"),
        ((200, {}, b"<html>"), "is none that the Otterize network mapper gives"),
        ((200, {}, b""), "is none that the Otterize network mapper gives"),
        ((200, {}, b"\xff"), "is none that the Otterize network mapper gives"),
        ((200, {}, b"{}"), "holds no intents"),
        ((200, {}, b'{"data": null}'), "holds no intents"),
        ((200, {}, b'{"data": {"intents": [{}]}}'), "is none that the Otterize network mapper gives"),
        ((200, {}, b'{"data": {"intents": []}, "errors": [{"message": "half"}]}'), "could not answer: half"),
    ],
)
def test_every_failure_is_an_error_of_one_line(server, source, answer, message):
    server.answer = answer
    with pytest.raises(CliError) as caught:
        source.map()
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_mapper_that_is_too_slow_is_told_as_such(server):
    server.delay = 30
    with ModelSource(HttpClient(server.url, timeout=0.05), server.url) as slow:
        with pytest.raises(CliError, match="did not answer in time"):
            slow.map()
        server.delay = 0


def test_a_null_where_the_schema_allows_one_is_nothing(server, source):
    ends = '{"name": "%s", "namespace": "n", "labels": null, "podOwnerKind": null, "kubernetesService": null}'
    one = f'{{"client": {ends % "a"}, "server": {ends % "b"}, "type": "DATABASE", "kafkaTopics": null}}'
    server.answer = (200, {}, f'{{"data": {{"intents": [{one}]}}}}'.encode())
    assert source.map().edges == [Edge(Workload("a", "n", ""), Workload("b", "n", ""), None, 0, "")]


# Which kind of mapper it is


def test_what_answers_is_found_out_with_the_first_request_and_remembered(server):
    server.intents = [intent("shop/cart", redis())]
    with source_at(HttpClient(server.url), "here") as source:
        assert server.requests == []
        assert len(source.map().edges) == len(source.map().edges) == 1
        assert source.where == "here"
    assert [asked.operation or asked.path for asked in server.requests] == [
        "/api/v1/map",
        "Health",
        "Intents",
        "Intents",
    ]


def test_our_own_mapper_costs_no_extra_request(mapper):
    with source_at(HttpClient(mapper.url), "here") as source:
        source.map()
        source.status()
        source.reset()
    assert mapper.requests == ["GET /api/v1/map", "GET /api/v1/status", "POST /api/v1/reset"]


def test_a_refusal_in_graphql_is_a_sign_of_the_model_too(server, monkeypatch):
    right = ModelServer.handle

    def without_health(self, method, target, kind, body):
        if b"Health" in body:
            return 422, {}, b'{"errors": [{"message": "Cannot query field \\"health\\""}]}'
        return right(self, method, target, kind, body)

    monkeypatch.setattr(ModelServer, "handle", without_health)
    server.intents = [intent("shop/cart", redis())]
    with source_at(HttpClient(server.url), "here") as source:
        assert len(source.map().edges) == 1


def test_a_server_of_the_kind_service_is_a_service(server, source):
    server.intents = [intent("shop/cart", End("redis", "db", "Service"))]
    assert source.map().edges[0].server == Service("redis", "db")


def test_our_own_mapper_stays_ours_when_it_is_later_hidden_by_something_else(mapper):
    with source_at(HttpClient(mapper.url), "here") as source:
        source.map()
        mapper.broken = (404, b"nothing here")
        with pytest.raises(CliError, match="here answered HTTP 404"):
            source.status()
    assert mapper.requests == ["GET /api/v1/map", "GET /api/v1/status"]


@pytest.mark.parametrize("schema", [CURRENT, WITH_LABELS, NAMES_ONLY])
@pytest.mark.parametrize("method", ["status", "reset"])
def test_any_request_and_any_version_may_be_the_first(server, schema, method):
    server.schema = schema
    with source_at(HttpClient(server.url), "here") as source:
        if method == "reset":
            assert source.reset().removed_edges == 0
        else:
            with pytest.raises(NoStatusError):
                source.status()


def test_a_failure_decides_nothing(mapper):
    mapper.broken = (503, b"")
    with source_at(HttpClient(mapper.url), "here") as source:
        with pytest.raises(CliError, match="a proxy reaches no mapper"):
            source.map()
        mapper.broken = None
        assert len(source.map().edges) == 3


def test_a_page_for_every_path_but_the_query_is_no_obstacle(server, monkeypatch):
    right = ModelServer.handle

    def with_pages(self, method, target, kind, body):
        return right(self, method, target, kind, body) if target == "/query" else (200, {}, b"<html>app</html>")

    monkeypatch.setattr(ModelServer, "handle", with_pages)
    server.intents = [intent("shop/cart", redis())]
    with source_at(HttpClient(server.url), "here") as source:
        assert len(source.map().edges) == 1
