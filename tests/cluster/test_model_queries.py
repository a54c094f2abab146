"""Questions to the map: filters, labels, order, the older query, and the reset."""

import threading
import time

import pytest

pytestmark = pytest.mark.cluster

API = "kubernetes.default.svc.cluster.local"


@pytest.fixture(scope="module")
def own(mappers):
    """A mapper that these tests may empty."""
    return mappers("--max-edges", "199999")


@pytest.fixture
def shop(place, mapper):
    """`web` calls `cart` and `pay`, `cart` calls `db`, `batch` calls `db`; `db` is of the data team."""
    labels = {"web": {"team": "front", "tier": ""}, "cart": {"team": "back"}, "db": {"team": "data", "a.b/c": "d"}}
    ips = {name: place.pod(name, labels=labels.get(name)).ip for name in ("web", "cart", "pay", "db", "batch")}
    mapper.knows(place)
    for client, server in (("web", "pay"), ("cart", "db"), ("web", "cart"), ("batch", "db")):
        mapper.connections(ips[client], ips[server])
    return ips


ALL = [("batch", "db"), ("cart", "db"), ("web", "cart"), ("web", "pay")]


def labels_of(end):
    return {item["key"]: item["value"] for item in end["labels"] or []}


def test_intents_are_sorted_by_client_and_then_by_server(place, mapper, shop):
    assert mapper.pairs(place.namespace) == ALL


def test_namespaces_come_before_names_in_the_order(place, places, mapper, shop, control_plane):
    other = places.new()
    try:
        first = other.pod("aaa").ip
        mapper.knows(other)
        mapper.connections(first, shop["db"])
        mapper.connections(shop["web"], first)
        found = [
            (intent["client"]["namespace"], intent["client"]["name"])
            for intent in mapper.intents(place.namespace, other.namespace)
        ]
        assert found == sorted(found, key="/".join)
        assert len({namespace for namespace, _ in found}) == 2
        servers = [intent["server"] for intent in mapper.intents(place.namespace) if intent["client"]["name"] == "web"]
        keys = [f"{server['namespace']}/{server['name']}" for server in servers]
        assert keys == sorted(keys)
    finally:
        control_plane.remove_namespace(other.namespace)


def test_the_namespace_that_is_asked_for_is_the_clients(place, places, mapper, shop, control_plane):
    other = places.new()
    try:
        stranger = other.pod("stranger").ip
        mapper.knows(other)
        mapper.connections(stranger, shop["db"])
        assert mapper.pairs(place.namespace) == ALL
        assert mapper.pairs(other.namespace) == [("stranger", "db")]
        assert {(*pair,) for pair in mapper.pairs()} >= {*ALL, ("stranger", "db")}
    finally:
        control_plane.remove_namespace(other.namespace)


def test_asking_for_a_server_gives_all_that_its_callers_call(place, mapper, shop):
    cart = {"name": "cart", "namespace": place.namespace}
    assert mapper.pairs(server=cart) == [("web", "cart"), ("web", "pay")]
    assert mapper.pairs(server={"name": "nobody", "namespace": place.namespace}) == []


@pytest.mark.parametrize(
    ("labels", "left"),
    [
        (["team=data"], [("web", "cart"), ("web", "pay")]),
        (["team=front"], [("batch", "db"), ("cart", "db")]),
        (["team=none"], ALL),
        (["team=back", "team=front"], [("batch", "db")]),
        (["team"], []),
        (["tier="], [("batch", "db"), ("cart", "db")]),
        (["tier"], [("batch", "db"), ("cart", "db")]),
        (["a.b/c=d"], [("web", "cart"), ("web", "pay")]),
    ],
)
def test_ends_with_a_label_are_left_out(labels, left, place, mapper, shop):
    assert mapper.pairs(place.namespace, excludeServiceWithLabels=labels) == left


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, {}),
        ({"includeLabels": ["team", "nothing"]}, {"team": "data"}),
        ({"includeLabels": []}, {}),
        ({"includeAllLabels": True}, {"app": "db", "team": "data", "a.b/c": "d"}),
        ({"includeAllLabels": False, "includeLabels": ["app"]}, {"app": "db"}),
    ],
)
def test_only_the_labels_that_are_asked_for_are_shown(arguments, shown, place, mapper, shop):
    for intent in mapper.intents(place.namespace, **arguments):
        if intent["server"]["name"] == "db":
            assert labels_of(intent["server"]) == shown
    (batch, *_) = mapper.service_intents(place.namespace, **arguments)
    assert labels_of(batch["intents"][0]) == shown


def test_labels_are_those_of_now(place, mapper, shop):
    place.api.patch("pods", place.namespace, "db", {"metadata": {"labels": {"team": "new"}}})
    mapper.after(
        lambda: mapper.connections(shop["web"], shop["cart"]),
        lambda: mapper.pairs(place.namespace, excludeServiceWithLabels=["team=new"]) == ALL[2:],
    )


def test_the_older_query_groups_by_client_and_names_each_server_once(place, mapper, shop):
    place.service("db")
    mapper.knows(place)
    mapper.lookups(shop["batch"], place.name_of("db"))
    found = [
        (entry["client"]["name"], [server["name"] for server in entry["intents"]])
        for entry in mapper.service_intents(place.namespace)
    ]
    assert found == [("batch", ["db"]), ("cart", ["db"]), ("web", ["cart", "pay"])]


def test_an_edge_is_the_same_whatever_evidence_came_first(place, mapper):
    place.service("web")
    web = place.pod("web")
    clients = place.pod("first"), place.pod("second")
    mapper.knows(place)
    mapper.after(lambda: mapper.lookups(clients[0].ip, place.name_of("web")), lambda: mapper.intents(place.namespace))
    mapper.connections(clients[0].ip, web.ip)
    mapper.connections(clients[1].ip, web.ip)
    mapper.lookups(clients[1].ip, place.name_of("web"))
    one, two = (intent["server"] for intent in mapper.intents(place.namespace))
    for field in ("name", "kubernetesService", "podOwnerKind", "nameResolvedUsingAnnotation"):
        assert one[field] == two[field]
    assert one["kubernetesService"] == "web"


def test_a_reset_empties_the_map(place, own):
    client = place.pod("client")
    own.intent(place.namespace, lambda: own.lookups(client.ip, API))
    assert own.ask("mutation { resetCapture }", operationName=None) == (200, {"data": {"resetCapture": True}})
    assert own.intents() == []
    assert own.service_intents() == []
    assert own.get("/api/v1/map")["edges"] == []


def test_what_was_seen_before_a_reset_does_not_come_back_with_a_late_report(place, own):
    client = place.pod("client")
    own.intent(place.namespace, lambda: own.lookups(client.ip, API))
    time.sleep(0.01)  # the next sighting is of a later millisecond than the reset
    own.ask("mutation { resetCapture }")
    with own.dropping() as drops:
        own.lookups(client.ip, API, at=-30)
    assert drops == {"before_reset": 1}
    assert own.intents() == []
    own.lookups(client.ip, API, at=1)
    assert own.pairs(place.namespace) == [("client", "kubernetes")]


def test_the_map_outlives_a_restart(place, own):
    client = place.pod("client")
    own.intent(place.namespace, lambda: own.lookups(client.ip, API))
    assert own.stop()[0] == 0
    own.start().wait_ready()
    own.knows(place)
    assert own.pairs(place.namespace) == [("client", "kubernetes")]


def test_answers_are_whole_while_reports_come(place, own):
    servers = [place.pod(f"server-{number}") for number in range(10)]
    client = place.pod("client")
    own.knows(place)
    reporter = own.another_client()
    done = threading.Event()

    def report():
        for server in servers * 5:
            reporter.connections(client.ip, server.ip)
        done.set()

    thread = threading.Thread(target=report)
    thread.start()
    known = 0
    try:
        while not done.is_set():
            found = own.pairs(place.namespace)
            assert found == sorted(found)
            assert len(found) >= known
            known = len(found)
    finally:
        thread.join()
        reporter.client.close()
    assert len(own.pairs(place.namespace)) == len(servers)
