import json

import pytest
from model_server import NAMES_ONLY, WITH_LABELS, End, ModelServer, intent

from network_mapper.http_client import HttpClient

INTENTS = """query Intents($namespaces: [String!], $excludeServiceWithLabels: [String!], $server: ServerFilter) {
  intents(namespaces: $namespaces, excludeServiceWithLabels: $excludeServiceWithLabels, server: $server) {
    client { name } server { name } type
  }
}"""
LABELLED = "query L($keys: [String!]) { serviceIntents(includeLabels: $keys) { client { labels { key value } } } }"


def ask(mapper, query, **variables):
    with HttpClient(mapper.url) as client:
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer = client.request("POST", "/query", body, {"content-type": "application/json"})
    return answer.status, json.loads(answer.body)


@pytest.fixture
def server():
    web = End("web", "shop", labels={"tier": "front", "old": ""})
    made = [
        intent(web, "shop/cart"),
        intent("shop/cart", "db/redis", kafka={"orders": ["PRODUCE"]}),
        intent("ops/cron", "db/redis"),
        intent("ops/cron", "shop/cart", http={"/": ["GET"]}),
    ]
    with ModelServer(made) as running:
        yield running


def pairs(answer):
    return [(item["client"]["name"], item["server"]["name"]) for item in answer[1]["data"]["intents"]]


def test_intents_are_sorted_by_client_and_server(server):
    assert pairs(ask(server, INTENTS)) == [("cron", "redis"), ("cron", "cart"), ("cart", "redis"), ("web", "cart")]


def test_namespaces_are_those_of_clients(server):
    assert pairs(ask(server, INTENTS, namespaces=["ops"])) == [("cron", "redis"), ("cron", "cart")]


def test_a_server_keeps_everything_that_its_callers_call(server):
    found = pairs(ask(server, INTENTS, server={"name": "redis", "namespace": "db"}))
    assert found == [("cron", "redis"), ("cron", "cart"), ("cart", "redis")]


@pytest.mark.parametrize(
    ("labels", "left"),
    [(["tier=front"], 3), (["old"], 3), (["tier"], 4), (["tier=front=x"], 3), (["tier=front", "tier=back"], 4)],
)
def test_labels_exclude_as_in_the_model(server, labels, left):
    assert len(pairs(ask(server, INTENTS, excludeServiceWithLabels=labels))) == left


def test_an_older_version_refuses_what_it_does_not_know(server):
    server.schema = WITH_LABELS
    status, content = ask(server, INTENTS)
    assert (status, content["data"]) == (422, None)
    assert content["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert ask(server, LABELLED, keys=["tier"])[1]["data"]["serviceIntents"][2]["client"]["labels"] == [
        {"key": "tier", "value": "front"}
    ]
    server.schema = NAMES_ONLY
    assert ask(server, LABELLED, keys=["tier"])[0] == 422


def test_reset_empties_it(server):
    assert ask(server, "mutation { resetCapture }") == (200, {"data": {"resetCapture": True}})
    assert pairs(ask(server, INTENTS)) == []


def test_other_paths_do_not_exist(server):
    with HttpClient(server.url) as client:
        answer = client.request("GET", "/api/v1/map")
    assert (answer.status, answer.body) == (404, b'{"message": "Not Found"}')
    assert [asked.path for asked in server.requests] == ["/api/v1/map"]
