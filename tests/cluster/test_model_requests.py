"""What Kafka's and Istio's watchers say: topics, paths, and how they stand beside other evidence of the same pair."""

import model_reports as reports
import pytest

pytestmark = pytest.mark.cluster

CANONICAL = "service.istio.io/canonical-name"


@pytest.fixture
def client(place):
    return place.pod("client", labels={CANONICAL: "client"})


@pytest.fixture
def broker(place):
    return place.pod("broker", labels={CANONICAL: "broker"})


@pytest.fixture
def known(place, mapper, client, broker):
    mapper.knows(place)


def topics(intent):
    return {item["name"]: item["operations"] for item in intent["kafkaTopics"]}


def resources(intent):
    return {item["path"]: item["methods"] for item in intent["httpResources"]}


def test_an_access_to_a_topic_is_an_intent_of_kafka(place, mapper, client, broker, known):
    mapper.topics(reports.topic(client.ip, place.namespace, "broker", "orders", "Read"))
    (intent,) = mapper.intents(place.namespace)
    assert (intent["client"]["name"], intent["server"]["name"]) == ("client", "broker")
    assert (intent["type"], intent["resolutionData"]) == ("KAFKA", "handleReportKafkaMapperResults")
    assert topics(intent) == {"orders": ["CONSUME"]}
    assert intent["httpResources"] is None


def test_operations_of_a_topic_are_united(place, mapper, client, known):
    for operation, name in (("Read", "orders"), ("WRITE", "orders"), ("read", "orders"), ("describe", "bills")):
        mapper.topics(reports.topic(client.ip, place.namespace, "broker", name, operation))
    (intent,) = mapper.intents(place.namespace)
    assert topics(intent) == {"orders": ["CONSUME", "PRODUCE"], "bills": ["DESCRIBE"]}


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        ("Create", "CREATE"),
        ("Delete", "DELETE"),
        ("Alter", "ALTER"),
        ("ClusterAction", "CLUSTER_ACTION"),
        ("DescribeConfigs", "DESCRIBE_CONFIGS"),
        ("AlterConfigs", "ALTER_CONFIGS"),
        ("IdempotentWrite", "IDEMPOTENT_WRITE"),
    ],
)
@pytest.mark.usefixtures("known")
def test_every_operation_of_a_brokers_log_has_its_word(operation, word, place, mapper, client):
    mapper.topics(reports.topic(client.ip, place.namespace, "broker", "orders", operation))
    (intent,) = mapper.intents(place.namespace)
    assert topics(intent) == {"orders": [word]}


def test_an_unknown_operation_costs_itself_and_no_neighbour(place, mapper, client, known):
    with mapper.dropping() as drops:
        mapper.topics(
            reports.topic(client.ip, place.namespace, "broker", "before", "Read"),
            reports.topic(client.ip, place.namespace, "broker", "wrong", "All"),
            reports.topic(client.ip, place.namespace, "broker", "after", "Read"),
        )
    assert drops == {"row_malformed": 1}
    (intent,) = mapper.intents(place.namespace)
    assert topics(intent) == {"before": ["CONSUME"], "after": ["CONSUME"]}


def test_a_broker_that_is_not_known_makes_no_edge(place, mapper, client, known):
    with mapper.dropping() as drops:
        mapper.topics(reports.topic(client.ip, place.namespace, "nobody", "orders", "Read"))
    assert drops == {"pod_unknown": 1}
    assert mapper.edges(place.namespace) == []


def test_a_client_of_a_broker_that_was_not_there_makes_no_edge(place, mapper, known):
    late = place.pod("late", started=-30)
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.topics(reports.topic(late.ip, place.namespace, "broker", "orders", "Read", at=-90))
    assert drops == {"client_unknown": 1}
    assert mapper.edges(place.namespace) == []


def test_http_requests_of_a_mesh_are_an_intent_of_http(place, mapper, known):
    ends = (place.namespace, "client"), (place.namespace, "broker")
    mapper.requests(reports.http(*ends, "/orders", "GET", service="broker-svc"))
    (intent,) = mapper.intents(place.namespace)
    assert (intent["client"]["name"], intent["server"]["name"]) == ("client", "broker")
    assert (intent["type"], intent["resolutionData"]) == ("HTTP", "handleReportIstioConnectionResults")
    assert intent["server"]["kubernetesService"] == "broker-svc"
    assert intent["server"]["podOwnerKind"]["kind"] == "Pod"
    assert resources(intent) == {"/orders": ["GET"]}
    assert intent["kafkaTopics"] is None


def test_methods_of_a_path_are_united(place, mapper, known):
    ends = (place.namespace, "client"), (place.namespace, "broker")
    mapper.requests(reports.http(*ends, "/a%20b", "POST", "GET"), reports.http(*ends, "/a%20b", "PUT"))
    mapper.requests(reports.http(*ends, "/other"), reports.http(*ends, "/a%20b", "GET"))
    (intent,) = mapper.intents(place.namespace)
    assert resources(intent) == {"/a%20b": ["GET", "POST", "PUT"], "/other": []}


def test_an_application_that_is_not_known_costs_itself_and_no_neighbour(place, mapper, known):
    ends = (place.namespace, "client"), (place.namespace, "broker")
    with mapper.dropping() as drops:
        mapper.requests(
            reports.http((place.namespace, "nobody"), ends[1], "/a", "GET"),
            reports.http(*ends, "/b", "GET"),
            reports.http(ends[0], (place.namespace, "nobody"), "/c", "GET"),
        )
    assert drops == {"pod_unknown": 2}
    (intent,) = mapper.intents(place.namespace)
    assert resources(intent) == {"/b": ["GET"]}


def test_applications_of_one_name_in_two_namespaces_stay_apart(place, places, mapper, known, control_plane):
    other = places.new()
    try:
        other.pod("other", labels={CANONICAL: "broker"})
        mapper.knows(other)
        client = (place.namespace, "client")
        mapper.requests(
            reports.http(client, (place.namespace, "broker"), "/a", "GET"),
            reports.http(client, (other.namespace, "broker"), "/a", "GET"),
        )
        assert sorted(mapper.pairs(place.namespace)) == [("client", "broker", "HTTP"), ("client", "other", "HTTP")]
    finally:
        control_plane.remove_namespace(other.namespace)


def test_one_pair_has_an_entry_for_each_type(place, mapper, client, broker, known):
    mapper.connections(client.ip, broker.ip)
    mapper.topics(reports.topic(client.ip, place.namespace, "broker", "orders", "Read"))
    mapper.requests(reports.http((place.namespace, "client"), (place.namespace, "broker"), "/", "GET"))
    assert sorted(mapper.pairs(place.namespace)) == [
        ("client", "broker"),
        ("client", "broker", "HTTP"),
        ("client", "broker", "KAFKA"),
    ]
    assert [len(entry["intents"]) for entry in mapper.service_intents(place.namespace)] == [1]
