"""Traffic that enters the cluster or leaves it, and addresses that only look as if they were outside.

The model keeps this for the upload to its vendor's cloud. Here it is in the map, and still in no intent.
"""

import model_reports as reports
import pytest
from harness import objects

pytestmark = pytest.mark.cluster

OUTSIDE = "203.0.113.77"
BLOCK = {"type": "external", "name": "203.0.113.0/24"}
API_ENDPOINT = "192.0.2.10"
"""What the API server of the tests says about itself."""


@pytest.fixture(scope="module")
def inside_only(mappers):
    return mappers("--no-capture-external")


@pytest.fixture(scope="module")
def managed(mappers):
    return mappers("--control-plane-prefix", "28")


@pytest.fixture
def web(place):
    return place.pod("web")


def report(mapper, *connections, client=OUTSIDE):
    return lambda: mapper.connections(client, *connections)


def incoming(mapper, place):
    """Servers and services of edges from outside, with their ports."""
    return [
        (edge["server"]["name"], edge["service"] and edge["service"]["name"], edge["port"])
        for edge in mapper.edges(place.namespace)
        if edge["client"] == BLOCK
    ]


def test_a_connection_from_outside_to_a_pod_is_an_edge_from_outside_and_no_intent(place, mapper, web):
    mapper.after(report(mapper, reports.connection(web.ip, 8080)), lambda: mapper.edges(place.namespace))
    assert incoming(mapper, place) == [("web", None, 8080)]
    assert place.namespace not in {intent["server"]["namespace"] for intent in mapper.intents()}


def test_a_connection_from_outside_to_a_port_of_the_nodes_leads_to_the_service(place, mapper, web):
    place.service("web", type="NodePort")
    port = place.api.get("services", place.namespace, "web")["spec"]["ports"][0]["nodePort"]
    mapper.knows(place)
    mapper.after(
        report(mapper, reports.connection("172.30.0.12", port)),
        lambda: incoming(mapper, place) == [("web", "web", port)],
    )


def test_two_services_with_one_balancers_address_are_told_apart_by_port(place, mapper, web):
    place.pod("mail")
    for name, port in (("web", 443), ("mail", 25)):
        place.service(name, type="LoadBalancer", port=port)
        made = place.api.get("services", place.namespace, name)
        place.api.set_status(made, {"loadBalancer": {"ingress": [{"ip": "198.51.100.250"}]}})
    dialled = [reports.connection("198.51.100.250", port) for port in (443, 25)]
    expected = [("mail", "mail", 25), ("web", "web", 443)]
    mapper.knows(place)
    mapper.after(report(mapper, *dialled), lambda: incoming(mapper, place) == expected)


def test_a_pods_name_that_is_not_its_own_makes_no_edge_from_outside(place, mapper, web):
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(OUTSIDE, reports.connection(web.ip, name="somebody-else"))
    assert drops == {"hostname_mismatch": 1}
    assert mapper.edges(place.namespace) == []


def test_two_ends_outside_are_no_edge(place, mapper, web):
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(OUTSIDE, "198.51.100.9")
    assert drops == {"both_external": 1}


def test_with_external_traffic_switched_off_there_are_no_edges_from_and_to_the_outside(place, inside_only, web):
    client = place.pod("client")
    inside_only.knows(place)
    with inside_only.dropping() as drops:
        inside_only.connections(OUTSIDE, web.ip)
        inside_only.connections(client.ip, "198.51.100.9", web.ip)
        inside_only.lookups(client.ip, "api.example.com")
    assert drops == {"external_left_out": 3}
    assert inside_only.pairs(place.namespace) == [("client", "web")]
    assert len(inside_only.edges(place.namespace)) == 1


def test_the_address_of_a_pod_that_is_gone_is_not_the_internet(place, mapper, web):
    client = place.pod("client")
    mapper.knows(place)
    place.api.delete("pods", place.namespace, "client")
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(client.ip, reports.connection(web.ip, at=5))
    assert drops == {"client_unknown": 1}
    assert mapper.edges(place.namespace) == []


def test_what_a_pod_did_before_it_went_is_its(place, mapper, web):
    client = place.pod("client")
    mapper.knows(place)
    place.api.delete("pods", place.namespace, "client")
    mapper.knows(place)
    mapper.connections(client.ip, reports.connection(web.ip, at=-60))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_a_neighbour_of_a_pods_address_is_not_the_internet(place, mapper, web):
    mapper.knows(place)
    gateway = web.ip.removesuffix("7") + "1"
    with mapper.dropping() as drops:
        mapper.connections(gateway, web.ip)
    assert drops == {"client_unknown": 1}
    assert mapper.edges(place.namespace) == []


def test_an_unused_service_address_is_not_the_internet(place, mapper, web):
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(web.ip, "10.96.255.254")
    assert drops == {"server_unknown": 1}


def test_the_api_server_is_a_client_at_its_endpoints_address(place, mapper, web):
    mapper.knows(place)
    mapper.connections(API_ENDPOINT, web.ip)
    (intent,) = [item for item in mapper.intents("default") if item["server"]["namespace"] == place.namespace]
    client = intent["client"]
    found = client["name"], client["namespace"], client["kubernetesService"], client["podOwnerKind"]
    assert found == ("kubernetes", "default", "kubernetes", None)
    assert intent["server"]["name"] == "web"


@pytest.mark.parametrize("where", ["at its service's address", "at its own"])
def test_the_api_server_is_a_server(where, place, mapper, web):
    mapper.knows(place)
    (slices,) = place.api.list("endpointslices", "default")
    address, port = place.api.get("services", "default", "kubernetes")["spec"]["clusterIP"], 443
    if where == "at its own":
        address, port = API_ENDPOINT, slices["ports"][0]["port"]
    mapper.connections(web.ip, reports.connection(address, port))
    (intent,) = mapper.intents(place.namespace)
    server = intent["server"]
    found = server["name"], server["namespace"], server["kubernetesService"], server["podOwnerKind"]
    assert found == ("kubernetes", "default", "kubernetes", None)


def test_a_neighbour_of_the_api_server_is_it_where_the_prefix_says_so(place, managed, mapper, web):
    for one, clients in ((managed, ["kubernetes"]), (mapper, [])):
        one.knows(place)
        one.connections("192.0.2.14", web.ip)
        one.connections("192.0.2.16", web.ip)
        found = [item for item in one.intents() if item["server"]["namespace"] == place.namespace]
        assert [item["client"]["name"] for item in found] == clients
    assert {edge["client"]["type"] for edge in managed.edges(place.namespace)} == {"service", "external"}


def test_where_the_api_server_lives_on_a_node_the_node_is_the_client(place, managed, web):
    address = "192.0.2.9"  # close enough to the API server's
    place.pod("kube-apiserver", address, hostNetwork=True)
    place.api.create(objects.node("control-plane", address))
    node = {"type": "node", "name": "control-plane"}
    try:
        managed.after(
            report(managed, web.ip, client=address),
            lambda: node in [edge["client"] for edge in managed.edges(place.namespace)],
        )
    finally:
        place.api.delete("nodes", None, "control-plane")


def test_traffic_levels_are_volumes_of_the_map_and_no_intents(place, mapper, web):
    client = place.pod("client")
    mapper.knows(place)
    level = {"srcIP": client.ip, "dstIP": web.ip, "bytesSent": 1500, "flows": 3}
    mapper.send("reportTrafficLevelResults", {"results": [level, level]})
    (edge,) = mapper.edges(place.namespace)
    assert (edge["bytes"], edge["flows"], edge["protocol"]) == (3000, 6, "ip")
    assert mapper.intents(place.namespace) == []


def test_calls_of_a_clouds_api_are_edges_of_the_map_and_no_intents(place, mapper, web):
    place.pod("client")
    mapper.knows(place)
    named = {"name": "client", "namespace": place.namespace}
    bucket = "arn:aws:s3:::invoices"
    calls = [
        {"resource": bucket, "actions": ["s3:GetObject"], "srcIp": web.ip, "iamRole": "reader"},
        {"resource": bucket, "actions": ["s3:PutObject"], "client": named},
        {"resource": bucket, "actions": ["s3:GetObject"], "client": named},
    ]
    mapper.send("reportAWSOperation", calls)
    mapper.send("reportGCPOperation", [{"resource": "projects/shop", "permissions": ["storage.get"], "client": named}])
    azure = {"scope": "/subscriptions/1", "actions": ["read"], "dataActions": ["write"]}
    mapper.send("reportAzureOperation", [azure | {"clientName": "client", "clientNamespace": place.namespace}])
    found = {
        (edge["client"]["name"], edge["protocol"], edge["server"]["name"]): edge["details"]
        for edge in mapper.edges(place.namespace)
    }
    assert found == {
        ("client", "aws", bucket): {"actions": ["s3:GetObject", "s3:PutObject"]},
        ("client", "gcp", "projects/shop"): {"permissions": ["storage.get"]},
        ("client", "azure", "/subscriptions/1"): {"actions": ["read"], "dataActions": ["write"]},
        ("web", "aws", bucket): {"actions": ["s3:GetObject"], "iamRole": ["reader"]},
    }
    assert mapper.intents(place.namespace) == []
