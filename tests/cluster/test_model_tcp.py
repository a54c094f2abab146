"""TCP connections inside the cluster: by a service's address, by a pod's, and by what else leads there."""

import model_reports as reports
import pytest

pytestmark = pytest.mark.cluster

NODE_ADDRESS = "172.30.0.11"


@pytest.fixture
def client(place):
    return place.pod("client")


@pytest.fixture
def web(place):
    return place.pod("web")


def fixed(intent):
    return intent["server"]["resolutionData"]["tcpDestResolveFixData"]


@pytest.mark.parametrize("started", [-3600, -60, -2])
def test_a_connection_to_a_services_address_is_an_edge_however_young_the_pod(started, place, mapper, client):
    place.pod("web", started=started)
    address = place.service("web")
    intent = mapper.intent(place.namespace, lambda: mapper.connections(client.ip, address))
    server = intent["server"]
    assert (server["name"], server["kubernetesService"]) == ("web", "web")
    assert intent["resolutionData"] == "handleInternalTrafficTCPResult"
    assert intent["type"] is None
    data = server["resolutionData"]
    assert (data["isService"], data["port"], data["extraInfo"]) == (True, 80, "resolveDestIdentityTCP")
    assert data["lastSeen"] is not None
    assert fixed(intent) is None
    assert intent["client"]["resolutionData"]["isService"] is False


@pytest.mark.parametrize("started", [-3600, -240, -2])
def test_a_connection_to_a_pods_address_is_an_edge_however_young_the_pod(started, place, mapper, client):
    web = place.pod("web", started=started)
    intent = mapper.intent(place.namespace, lambda: mapper.connections(client.ip, reports.connection(web.ip, 8080)))
    server = intent["server"]
    assert (server["name"], server["kubernetesService"]) == ("web", None)
    assert server["resolutionData"]["isService"] is False
    assert server["resolutionData"]["port"] == 8080
    assert intent["resolutionData"] == "handleInternalTrafficTCPResult"


def test_a_pods_address_is_nobodys_before_the_pod(place, mapper, client):
    web = place.pod("web", started=-30)
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(client.ip, reports.connection(web.ip, at=-90))
    assert drops == {"server_unknown": 1}
    assert mapper.intents(place.namespace) == []
    mapper.connections(client.ip, reports.connection(web.ip))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_an_address_that_was_used_again_belongs_to_who_had_it_then(place, mapper, client):
    ip = place.addresses.v4()
    old = place.pod("old", ip, started=-600)
    mapper.after(
        lambda: mapper.connections(client.ip, reports.connection(ip, at=-300)),
        lambda: mapper.pairs(place.namespace) == [("client", "old")],
    )
    place.api.delete("pods", place.namespace, old.name)
    place.pod("new", ip, started=0)
    mapper.after(
        lambda: mapper.connections(client.ip, reports.connection(ip, at=30)),
        lambda: ("client", "new") in mapper.pairs(place.namespace),
    )


def test_a_pods_name_beside_its_address_is_an_edge_that_says_so(place, mapper, client, web):
    named = reports.connection(web.ip, 8080, name="web")
    intent = mapper.intent(place.namespace, lambda: mapper.connections(client.ip, named))
    assert intent["server"]["name"] == "web"
    assert fixed(intent) == {"isSrcControlPlane": False, "resolvedUsingIp": True}


def test_one_sighting_by_address_is_enough_for_an_edge_not_to_say_so(place, mapper, client, web):
    named = reports.connection(web.ip, 8080, name="web")
    assert fixed(mapper.intent(place.namespace, lambda: mapper.connections(client.ip, named)))
    mapper.connections(client.ip, reports.connection(web.ip, 8080))
    mapper.connections(client.ip, named)
    (intent,) = mapper.intents(place.namespace)
    assert fixed(intent) is None


def test_another_pods_name_beside_an_address_makes_no_edge(place, mapper, client, web):
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(client.ip, reports.connection(web.ip, name="somebody-else"))
    assert drops == {"hostname_mismatch": 1}
    assert mapper.edges(place.namespace) == []


@pytest.mark.parametrize("hostname", ["client", ""])
def test_the_clients_own_host_name_or_none_makes_an_edge(hostname, place, mapper, client, web):
    mapper.intent(place.namespace, lambda: mapper.connections(client.ip, web.ip, hostname=hostname))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_a_host_name_that_is_not_the_pods_makes_no_edge(place, mapper, client, web):
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.connections(client.ip, web.ip, hostname="somebody-else")
    assert drops == {"hostname_mismatch": 1}
    assert mapper.edges(place.namespace) == []


def test_both_families_of_addresses_lead_to_pods_and_services(place, mapper):
    client = place.pod("client", place.addresses.v4(), six := place.addresses.v6())
    web = place.pod("web", place.addresses.v6())
    made = place.api.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "db", "namespace": place.namespace},
            "spec": {"ipFamilies": ["IPv6"], "selector": {"app": "db"}, "ports": [{"port": 80}]},
        }
    )
    place.pod("db", place.addresses.v6())
    address = made["spec"]["clusterIP"]
    assert ":" in address
    mapper.knows(place)
    mapper.after(
        lambda: mapper.connections(six, web.ip, address),
        lambda: mapper.pairs(place.namespace) == [("client", "db"), ("client", "web")],
    )
    assert client.ip != six


def test_a_service_of_several_workloads_leads_to_all_of_them(place, mapper, client):
    place.pod("blue", labels={"app": "web"})
    place.pod("green", labels={"app": "web"}, started=0)
    address = place.service("web")
    mapper.knows(place)
    mapper.after(
        lambda: mapper.connections(client.ip, address),
        lambda: mapper.pairs(place.namespace) == [("client", "blue"), ("client", "green")],
    )


def test_a_service_with_unready_pods_leads_to_them(place, mapper, client):
    made = place.pod("web")
    conditions = [{**item, "status": "False"} for item in made.made["status"]["conditions"] if "Ready" in item["type"]]
    place.api.set_status(made.made, {"conditions": conditions})
    address = place.service("web")
    mapper.intent(place.namespace, lambda: mapper.connections(client.ip, address))
    assert mapper.pairs(place.namespace) == [("client", "web")]


@pytest.mark.parametrize("which", ["client", "web"])
def test_a_pod_that_is_being_deleted_still_talks(which, place, mapper, client, web):
    place.api.delete("pods", place.namespace, which, grace=None)
    mapper.knows(place)
    mapper.intent(place.namespace, lambda: mapper.connections(client.ip, web.ip))
    assert mapper.pairs(place.namespace) == [("client", "web")]


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_a_client_talks_as_soon_as_it_has_its_address(phase, place, mapper, web):
    client = place.pod("client", status={"phase": phase})
    mapper.intent(place.namespace, lambda: mapper.connections(client.ip, web.ip))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_an_address_of_two_workloads_is_no_intent(place, mapper, web):
    ip = place.addresses.v4()
    place.pod("one", ip)
    place.pod("two", ip)
    mapper.knows(place)
    mapper.connections(ip, web.ip)
    mapper.connections(web.ip, ip)
    assert mapper.intents(place.namespace) == []
    ends = [edge[end]["type"] for edge in mapper.edges(place.namespace) for end in ("client", "server")]
    assert sorted(ends) == ["ambiguous", "ambiguous", "workload", "workload"]


def test_a_node_speaks_for_its_pods_on_the_hosts_network(place, mapper, web):
    place.pod("agent", NODE_ADDRESS, hostNetwork=True)
    mapper.knows(place)
    mapper.connections(NODE_ADDRESS, web.ip)
    assert mapper.intents(place.namespace) == []
    assert [edge["client"] for edge in mapper.edges(place.namespace)] == [{"type": "node", "name": "node-a"}]


def test_a_pod_on_the_hosts_network_is_reached_by_the_port_it_listens_on(place, mapper, client):
    port = 31999
    containers = [{"name": "agent", "image": "agent", "ports": [{"containerPort": port, "hostPort": port}]}]
    place.pod("agent", NODE_ADDRESS, hostNetwork=True, containers=containers)
    mapper.intent(place.namespace, lambda: mapper.connections(client.ip, reports.connection(NODE_ADDRESS, port)))
    assert mapper.pairs(place.namespace) == [("client", "agent")]


def test_a_port_of_the_nodes_leads_from_inside_to_the_service(place, mapper, client, web):
    place.service("web", type="NodePort")
    port = place.api.get("services", place.namespace, "web")["spec"]["ports"][0]["nodePort"]
    mapper.knows(place)
    mapper.after(
        lambda: mapper.connections(client.ip, reports.connection(NODE_ADDRESS, port)),
        lambda: mapper.pairs(place.namespace) == [("client", "web")],
    )
    (intent,) = mapper.intents(place.namespace)
    assert intent["server"]["kubernetesService"] == "web"


@pytest.mark.parametrize("way", ["a load balancer's address", "an external address", "a load balancer's name"])
def test_an_address_outside_that_is_a_services_leads_from_inside_to_it(way, place, mapper, client, web):
    outside, host = f"198.51.100.{sum(map(ord, way)) % 200 + 1}", f"{place.namespace}.lb.example.net"
    more = {"externalIPs": [outside]} if way == "an external address" else {"type": "LoadBalancer"}
    place.service("web", **more)
    if "balancer" in way:
        entry = {"hostname": host} if way.endswith("name") else {"ip": outside}
        made = place.api.get("services", place.namespace, "web")
        place.api.set_status(made, {"loadBalancer": {"ingress": [entry]}})
    report = (
        (lambda: mapper.lookups(client.ip, host))
        if way.endswith("name")
        else (lambda: mapper.connections(client.ip, outside))
    )
    mapper.knows(place)
    mapper.after(report, lambda: mapper.pairs(place.namespace) == [("client", "web")])


def test_connections_count_by_their_source_ports(place, mapper, client, web):
    mapper.knows(place)
    mapper.connections(client.ip, reports.connection(web.ip, ports=(40001, 40002, 40002)))
    (edge,) = mapper.edges(place.namespace)
    assert (edge["connections"], edge["port"], edge["protocol"]) == (2, 80, "tcp")


def test_an_edge_keeps_when_it_was_first_and_last_seen_whatever_the_order(place, mapper, client, web):
    mapper.knows(place)
    for at in (-600, -60, -300):
        mapper.connections(client.ip, reports.connection(web.ip, at=at))
    (edge,) = mapper.edges(place.namespace)
    assert edge["last_seen"] - edge["first_seen"] == pytest.approx(540_000, abs=5_000)
