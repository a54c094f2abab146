"""Socket scans."""

import model_reports as reports
import pytest

pytestmark = pytest.mark.cluster


@pytest.fixture
def client(place):
    return place.pod("client")


def test_a_socket_to_a_services_address_is_an_edge(place, mapper, client):
    place.pod("web")
    address = place.service("web")
    intent = mapper.intent(place.namespace, lambda: mapper.sockets(client.ip, address))
    assert intent["resolutionData"] == "addSocketScanServiceIntent"
    assert (intent["server"]["name"], intent["server"]["kubernetesService"]) == ("web", "web")


@pytest.mark.parametrize("started", [-3600, -2])
def test_a_socket_to_a_pods_address_is_an_edge_however_young_the_pod(started, place, mapper, client):
    web = place.pod("web", started=started)
    intent = mapper.intent(place.namespace, lambda: mapper.sockets(client.ip, web.ip))
    assert intent["resolutionData"] == "addSocketScanPodIntent"
    assert (intent["server"]["name"], intent["server"]["kubernetesService"]) == ("web", None)
    assert intent["server"]["resolutionData"]["extraInfo"] == "addSocketScanPodIntent"


def test_the_ports_that_the_models_sniffer_swaps_are_put_right(place, mapper, client):
    web = place.pod("web")
    mapper.knows(place)
    mapper.sockets(client.ip, *(reports.socket(web.ip, 5432, own=own) for own in (40001, 40002, 40003)))
    (edge,) = mapper.edges(place.namespace)
    assert (edge["port"], edge["sockets"]) == (5432, 3)
    (intent,) = mapper.intents(place.namespace)
    assert intent["server"]["resolutionData"]["port"] == 5432


def test_a_host_name_that_is_not_the_pods_makes_no_edge(place, mapper, client):
    web = place.pod("web")
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.sockets(client.ip, web.ip, hostname="somebody-else")
    assert drops == {"hostname_mismatch": 1}
    assert mapper.edges(place.namespace) == []


def test_better_evidence_comes_to_stand_in_an_intent_whatever_came_first(place, mapper, client):
    place.pod("web")
    address = place.service("web")
    name = place.name_of("web")
    found = [
        mapper.intent(place.namespace, report)["resolutionData"]
        for report in (
            lambda: mapper.lookups(client.ip, name),
            lambda: mapper.sockets(client.ip, address),
            lambda: mapper.connections(client.ip, address),
            lambda: mapper.lookups(client.ip, name),
        )
    ]
    assert found == [
        "handleDNSCaptureResultsAsKubernetesPods",
        "addSocketScanServiceIntent",
        "handleInternalTrafficTCPResult",
        "handleInternalTrafficTCPResult",
    ]
