"""DNS answers: which of them are edges, and between whom."""

import model_reports as reports
import pytest
from harness import objects, pods

pytestmark = pytest.mark.cluster

API = ("kubernetes", "default", "kubernetes")
NODE_ADDRESS = "172.30.0.11"


@pytest.fixture
def client(place):
    return place.pod("client")


@pytest.fixture(scope="module")
def corp(mappers):
    return mappers("--cluster-domain", "corp.local")


def server_of(intent):
    server = intent["server"]
    return server["name"], server["kubernetesService"]


def test_a_lookup_of_a_service_is_an_edge_to_the_workload_behind_it(place, mapper):
    (client,), _ = place.deployment("client"), place.deployment("web")
    place.service("web")
    intent = mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web")))
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    for end, name, service in (("client", "client", None), ("server", "web", "web")):
        found = intent[end]
        assert (found["name"], found["namespace"], found["kubernetesService"]) == (name, place.namespace, service)
        assert found["podOwnerKind"] == kind
    assert intent["type"] is None
    assert intent["resolutionData"] == "handleDNSCaptureResultsAsKubernetesPods"
    assert (intent["kafkaTopics"], intent["httpResources"], intent["awsActions"]) == (None, None, None)


def test_a_server_found_by_dns_says_whether_it_was_named_by_annotation(place, mapper, client):
    place.pod("web-5d4", labels={"app": "web"}, annotations={"intents.otterize.com/workload-name": "shop"})
    place.pod("db")
    place.service("web")
    place.service("db")
    names = [place.name_of("web"), place.name_of("db")]
    mapper.after(lambda: mapper.lookups(client.ip, *names), lambda: len(mapper.intents(place.namespace)) == 2)
    found = {item["server"]["name"]: item["server"] for item in mapper.intents(place.namespace)}
    assert {name: item["nameResolvedUsingAnnotation"] for name, item in found.items()} == {"shop": True, "db": False}


@pytest.mark.parametrize("host", ["anything", "10-0-0-99", "_http._tcp"])
def test_a_name_beneath_a_service_means_the_service(host, place, mapper, client):
    place.pod("web")
    place.service("web")
    name = f"{host}.{place.name_of('web')}"
    assert server_of(mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, name))) == ("web", "web")


def test_a_headless_service_means_the_workload_behind_it(place, mapper, client):
    place.pod("web")
    place.service("web", clusterIP="None")
    name = place.name_of("web")
    assert server_of(mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, name))) == ("web", "web")


def test_a_pod_of_a_stateful_set_by_its_own_name_means_the_set(place, mapper, client):
    place.service("db", clusterIP="None")
    place.api.create(objects.stateful_set(place.namespace, "db", replicas=2))
    place.pods_of("db", 2)
    name = f"db-1.{place.name_of('db')}"
    intent = mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, name))
    server = intent["server"]
    assert server["name"] == "db"
    assert server["podOwnerKind"]["kind"] == "StatefulSet"


def test_upper_case_and_a_final_dot_make_no_other_name(place, mapper, client):
    place.pod("web")
    place.service("web")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web")))
    mapper.lookups(client.ip, place.name_of("web").upper() + ".")
    assert mapper.pairs(place.namespace) == [("client", "web")]


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_name_made_of_a_pods_address_means_the_pod(family, place, mapper, client):
    web = place.pod("web", getattr(place.addresses, family)())
    dashes = web.ip.replace(".", "-").replace(":", "-")
    name = f"{dashes}.{place.namespace}.pod.cluster.local"
    assert server_of(mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, name))) == ("web", None)


def test_a_pods_address_is_nobodys_before_the_pod(place, mapper, client):
    web = place.pod("web", started=-60)
    mapper.knows(place)
    name = f"{web.ip.replace('.', '-')}.{place.namespace}.pod.cluster.local"
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, name, at=-180)
    assert drops == {"name_unknown": 1}
    assert mapper.intents(place.namespace) == []
    mapper.lookups(client.ip, name)
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_a_lookup_of_the_api_server_is_an_edge_to_it(place, mapper, client):
    name = "kubernetes.default.svc.cluster.local"
    server = mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, name))["server"]
    assert (server["name"], server["namespace"], server["kubernetesService"]) == API
    assert server["podOwnerKind"] is None


def test_another_cluster_domain_is_the_only_one(place, corp, client):
    place.pod("web")
    place.service("web")
    intent = corp.intent(place.namespace, lambda: corp.lookups(client.ip, place.name_of("web", "corp.local")))
    assert server_of(intent) == ("web", "web")
    other = place.name_of("web")
    corp.lookups(client.ip, other)
    assert corp.pairs(place.namespace) == [("client", "web")]
    assert {"type": "external", "name": other} in [edge["server"] for edge in corp.edges(place.namespace)]


def test_a_name_that_only_ends_like_the_cluster_domain_is_outside(place, corp, client):
    corp.knows(place)
    corp.lookups(client.ip, "web.mycorp.local")
    assert corp.intents(place.namespace) == []
    assert [edge["server"]["name"] for edge in corp.edges(place.namespace)] == ["web.mycorp.local"]


def test_the_cluster_domain_itself_is_nobodys_name(place, mapper, client):
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, "cluster.local.", ".cluster.local", "svc.cluster.local")
    assert drops == {"name_unknown": 3}
    assert mapper.edges(place.namespace) == []


def test_an_external_name_is_no_intent_but_an_edge_to_the_outside(place, mapper, client):
    place.service("pay", type="ExternalName", externalName="pay.example.com", selector=None)
    report = lambda: mapper.lookups(client.ip, place.name_of("pay"))  # noqa: E731  said twice
    (edge,) = mapper.after(report, lambda: mapper.edges(place.namespace))
    assert edge["server"] == {"type": "external", "name": "pay.example.com"}
    assert edge["service"] == {"name": "pay", "namespace": place.namespace}
    assert mapper.intents(place.namespace) == []


def test_a_service_without_a_selector_and_endpoints_is_no_intent(place, mapper, client):
    place.service("db", selector=None)
    report = lambda: mapper.lookups(client.ip, place.name_of("db"))  # noqa: E731  said twice
    (edge,) = mapper.after(report, lambda: mapper.edges(place.namespace))
    assert edge["server"] == {"type": "service", "name": "db", "namespace": place.namespace}
    assert mapper.intents(place.namespace) == []


def test_a_service_on_the_hosts_network_is_an_edge_by_dns_as_by_connection(place, mapper, client):
    place.pod("agent", NODE_ADDRESS, hostNetwork=True)
    address = place.service("agent")
    lookups = mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("agent")))
    assert server_of(lookups) == ("agent", "agent")
    mapper.connections(client.ip, address)
    assert mapper.pairs(place.namespace) == [("client", "agent")]


def test_a_client_that_was_created_after_the_lookup_did_not_ask(place, mapper):
    client = place.pod("client", started=-30)
    place.service("web")
    place.pod("web")
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, place.name_of("web"), at=-90)
    assert drops == {"client_unknown": 1}
    assert mapper.intents(place.namespace) == []


@pytest.mark.parametrize("which", ["client", "web"])
def test_a_pod_that_is_being_deleted_still_talks(which, place, mapper, client):
    place.pod("web")
    place.service("web")
    place.api.delete("pods", place.namespace, which, grace=None)
    assert place.api.get("pods", place.namespace, which)["metadata"]["deletionTimestamp"]
    mapper.knows(place)
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web")))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_a_client_whose_init_containers_run_talks(place, mapper):
    client = place.pod("client", status={"phase": "Pending"})
    place.pod("web")
    place.service("web")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web")))
    assert mapper.pairs(place.namespace) == [("client", "web")]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_client_that_has_ended_talked_until_then(phase, place, mapper, client):
    place.pod("web")
    place.service("web")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, "kubernetes.default.svc.cluster.local", at=-300))
    pods.end_pod(place.api, client.made, phase)
    mapper.knows(place)
    mapper.after(
        lambda: mapper.lookups(client.ip, place.name_of("web"), at=-60),
        lambda: ("client", "web") in mapper.pairs(place.namespace),
    )
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, place.name_of("web"), at=5)
    assert drops == {"client_unknown": 1}


def test_a_server_that_was_created_after_the_lookup_is_not_hidden_behind_its_service(place, mapper, client):
    place.pod("web", started=-30)
    place.service("web")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web"), at=-90))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_an_address_of_two_workloads_is_no_intent_and_is_shown_as_ambiguous(place, mapper):
    ip = place.addresses.v4()
    place.pod("one", ip)
    place.pod("two", ip)
    place.pod("web")
    place.service("web")
    mapper.knows(place)
    mapper.lookups(ip, place.name_of("web"))
    assert mapper.intents(place.namespace) == []
    (edge,) = mapper.edges(place.namespace)
    assert {end["name"] for end in edge["client"]["candidates"]} == {"one", "two"}


def test_an_address_of_two_pods_of_one_workload_is_its(place, mapper):
    ip = place.addresses.v4()
    owner = place.api.create(objects.deployment(place.namespace, "client", replicas=0))
    place.pod("one", ip, owner=owner)
    place.pod("two", ip, owner=owner)
    place.pod("web")
    place.service("web")
    mapper.knows(place)
    mapper.intent(place.namespace, lambda: mapper.lookups(ip, place.name_of("web")))
    assert mapper.pairs(place.namespace) == [("client", "web")]


def test_a_host_name_that_is_not_the_pods_makes_no_edge(place, mapper, client):
    place.pod("web")
    place.service("web")
    mapper.knows(place)
    with mapper.dropping() as drops:
        mapper.lookups(client.ip, place.name_of("web"), hostname="somebody-else")
    assert drops == {"hostname_mismatch": 1}
    assert mapper.intents(place.namespace) == []
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web"), hostname="client"))


def test_a_host_name_tells_apart_two_pods_with_one_address(place, mapper):
    ip = place.addresses.v4()
    place.pod("one", ip)
    place.pod("two", ip)
    place.pod("web")
    place.service("web")
    mapper.knows(place)
    mapper.intent(place.namespace, lambda: mapper.lookups(ip, place.name_of("web"), hostname="two"))
    assert mapper.pairs(place.namespace) == [("two", "web")]


@pytest.mark.parametrize(
    ("pod", "spec", "hostname"),
    [
        ("client", {"hostname": "other"}, "other"),
        ("a" * 40 + "-" + "b" * 40, {}, ("a" * 40 + "-" + "b" * 40)[:63]),
    ],
    ids=["of its own", "cut to 63 characters"],
)
def test_a_host_name_is_the_one_that_the_pods_processes_see(pod, spec, hostname, place, mapper):
    client = place.pod(pod, labels={"app": "client"}, **spec)
    place.pod("web")
    place.service("web")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("web"), hostname=hostname))
    assert mapper.pairs(place.namespace) == [(pod, "web")]


def test_a_service_of_several_workloads_stands_for_all_of_them(place, mapper, client):
    place.pod("blue", labels={"app": "web"})
    place.pod("green", labels={"app": "web"}, started=-5)
    place.service("web")
    mapper.knows(place)
    mapper.after(
        lambda: mapper.lookups(client.ip, place.name_of("web"), at=-30),
        lambda: mapper.pairs(place.namespace) == [("client", "blue"), ("client", "green")],
    )


def test_a_client_that_calls_itself_keeps_its_edge(place, mapper, client):
    place.service("client")
    mapper.intent(place.namespace, lambda: mapper.lookups(client.ip, place.name_of("client")))
    assert mapper.pairs(place.namespace) == [("client", "client")]


def test_a_name_outside_the_cluster_is_no_intent_but_an_edge_with_its_name(place, mapper, client):
    mapper.knows(place)
    mapper.lookups(client.ip, "api.example.com")
    assert mapper.intents(place.namespace) == []
    (edge,) = mapper.edges(place.namespace)
    assert edge["server"] == {"type": "external", "name": "api.example.com"}


def test_a_name_outside_that_came_without_an_address_may_come_with_one(place, mapper, client):
    mapper.knows(place)
    without = reports.answer("api.example.com", None)
    for answers in ([without], [reports.answer("api.example.com", "203.0.113.9"), without]):
        mapper.send("reportCaptureResults", {"results": [reports.source(client.ip, *answers)]})
    (edge,) = mapper.edges(place.namespace)
    assert (edge["server"]["name"], edge["lookups"]) == ("api.example.com", 3)


@pytest.mark.parametrize("where", ["in a pod", "on a node"])
def test_a_dns_server_is_a_client_of_the_names_that_it_asks_for_outside(where, place, mapper):
    ip = place.addresses.v4() if where == "in a pod" else NODE_ADDRESS
    place.pod("coredns", ip, hostNetwork=where == "on a node")
    mapper.knows(place)
    name = f"{place.namespace}.example.com"
    mapper.lookups(ip, name)
    (edge,) = [edge for edge in mapper.get("/api/v1/map")["edges"] if edge["server"].get("name") == name]
    assert edge["client"]["name"] == ("coredns" if where == "in a pod" else "node-a")
