from __future__ import annotations

import ipaddress

import pytest
from kube import apply, delete, end, endpoint_slice, instant, node, obj, owned_by, pod, replica_set, service

from network_mapper.cluster.index import MISSING, OUTSIDE, Claim, Contested, Index

LATER = instant(50)
NODE_IP, OTHER_NODE_IP, EXTERNAL_IP = "192.168.0.1", "192.168.0.2", "203.0.113.1"
API = "10.96.0.1"


@pytest.fixture
def index():
    machine = node("n1", NODE_IP)
    machine["status"]["addresses"].append({"type": "ExternalIP", "address": EXTERNAL_IP})
    return apply(Index(), machine, node("n2", OTHER_NODE_IP))


def on_nodes(name, node_port=30080, *, type="NodePort", protocol="TCP", **more):  # noqa: A002
    ports = [{"port": 80, "protocol": protocol, "targetPort": 8080, "nodePort": node_port}]
    return service(name, "10.96.0.9", type=type, ports=ports, **more)


def agent(name, *ports, node_name="n1", owner="agent", **more):
    listed = [{"containerPort": number, "protocol": protocol} for number, protocol in ports]
    spec = {"hostNetwork": True, "nodeName": node_name, "containers": [{"name": "c", "ports": listed}]}
    return pod(name, NODE_IP, spec=spec, **owned_by("DaemonSet", owner), **more)


def api_server(*addresses, target=6443):
    kubernetes = service("kubernetes", API, ports=[{"port": 443, "protocol": "TCP", "targetPort": target}])
    ends = endpoint_slice("kubernetes", "kubernetes", *(end(address) for address in addresses))
    kubernetes["metadata"]["namespace"] = ends["metadata"]["namespace"] = "default"
    return kubernetes, ends


def owner_at(index, address, port, protocol="tcp", when=LATER):
    return index.dialled(address, port, protocol, when).owner.name


# Ports of the nodes


@pytest.mark.parametrize("address", [NODE_IP, OTHER_NODE_IP, EXTERNAL_IP])
@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_a_port_of_the_nodes_is_its_service_on_every_address_of_every_node(index, address, kind):
    apply(index, on_nodes("web", type=kind))
    assert owner_at(index, address, 30080) == "web"
    assert index.at(address, LATER).owner.name == index.node_of(address, LATER)


def test_other_ports_and_protocols_of_a_node_are_the_node(index):
    apply(index, on_nodes("web"))
    assert owner_at(index, NODE_IP, 30081) == "n1"
    assert owner_at(index, NODE_IP, 30080, "udp") == "n1"
    assert owner_at(index, NODE_IP, 80) == "n1"


def test_a_port_of_the_nodes_is_nobodys_elsewhere(index):
    apply(index, on_nodes("web"), pod("p", "10.0.0.1"))
    assert owner_at(index, "10.0.0.1", 30080) == "p"
    assert index.dialled("198.51.100.1", 30080, "tcp", LATER) is None


def test_a_service_of_another_type_and_a_health_check_have_no_port_on_the_nodes(index):
    apply(
        index,
        on_nodes("plain", type="ClusterIP"),
        on_nodes("none", 0, type="LoadBalancer", healthCheckNodePort=30099),
        on_nodes("absent", None),
    )
    for port in (30080, 30099, 0):
        assert owner_at(index, NODE_IP, port) == "n1"


def test_a_port_that_moves_to_another_service_is_that_services(index):
    apply(index, on_nodes("web"), on_nodes("db", 30090), on_nodes("web", 30085), on_nodes("db", 30080))
    assert owner_at(index, NODE_IP, 30080) == "db"
    assert owner_at(index, NODE_IP, 30085) == "web"
    delete(index, on_nodes("db"))
    assert owner_at(index, NODE_IP, 30080) == "n1"


def test_two_services_on_one_port_of_the_nodes_contest_it(index):
    apply(index, on_nodes("web"), on_nodes("db"))
    found = index.dialled(NODE_IP, 30080, "tcp", LATER)
    assert isinstance(found, Contested)
    assert [owner.name for owner in found.owners] == ["db", "web"]


def test_a_service_is_not_dialled_through_a_node_before_it_was_created(index):
    item = on_nodes("web")
    item["metadata"]["creationTimestamp"] = "2026-01-01T00:00:20Z"
    apply(index, item)
    before = index.dialled(NODE_IP, 30080, "tcp", instant(10))
    assert (before.owner.name, before.end) == ("n1", instant(20))
    assert index.dialled(NODE_IP, 30080, "tcp", instant(20)).start == instant(20)


def test_a_changed_port_is_told_for_the_nodes_that_were_dialled(index):
    told = []
    index.dialled(NODE_IP, 30080, "tcp", LATER)
    index.on_change = told.append
    apply(index, on_nodes("web"))
    assert NODE_IP in told
    assert OTHER_NODE_IP not in told


@pytest.mark.parametrize("change", ["slice", "service"])
def test_others_behind_a_port_of_the_nodes_are_told_for_the_nodes_that_were_dialled(index, change):
    apply(index, on_nodes("web"), pod("p", "10.0.0.1"))
    index.dialled(NODE_IP, 30080, "tcp", LATER)
    told = []
    index.on_change = told.append
    ends = endpoint_slice("web-a", "web", end("10.0.0.1", "p"))
    apply(index, ends if change == "slice" else on_nodes("web", sessionAffinity="None", externalIPs=["198.51.100.7"]))
    assert NODE_IP in told


# Pods on their node's network


def test_the_one_pod_that_says_it_listens_on_a_port_of_its_node_is_dialled_there(index):
    apply(index, agent("agent-1", (9100, "TCP"), (9101, "UDP")))
    assert owner_at(index, NODE_IP, 9100) == "agent-1"
    assert owner_at(index, EXTERNAL_IP, 9101, "udp") == "agent-1"
    assert owner_at(index, NODE_IP, 9101) == "n1"
    assert owner_at(index, NODE_IP, 10250) == "n1"
    assert owner_at(index, OTHER_NODE_IP, 9100) == "n2"


def test_pods_of_two_workloads_on_one_port_leave_it_to_the_node(index):
    apply(index, agent("a-1", (9100, "TCP")), agent("b-1", (9100, "TCP"), owner="other"))
    assert owner_at(index, NODE_IP, 9100) == "n1"


def test_a_pod_on_the_node_is_dialled_only_while_it_lives(index):
    apply(index, agent("job-1", (9100, "TCP"), start=10, ended=20))
    assert owner_at(index, NODE_IP, 9100, when=instant(5)) == "n1"
    answer = index.dialled(NODE_IP, 9100, "tcp", instant(15))
    assert (answer.owner.name, answer.start, answer.end) == ("job-1", instant(10), instant(21))
    assert owner_at(index, NODE_IP, 9100, when=instant(25)) == "n1"


def test_a_pod_that_took_the_place_of_one_of_its_workload_is_dialled(index):
    apply(index, agent("agent-1", (9100, "TCP"), ended=20), agent("agent-2", (9100, "TCP"), start=20))
    assert owner_at(index, NODE_IP, 9100, when=instant(20.5)) == "agent-2"


def test_a_service_on_a_nodes_port_comes_before_a_pod_that_listens_there(index):
    apply(index, agent("agent-1", (30080, "TCP")), on_nodes("web"))
    assert owner_at(index, NODE_IP, 30080) == "web"


# Addresses outside that services have


def test_services_that_share_a_balancers_address_are_told_apart_by_port(index):
    first, second = on_nodes("web", type="LoadBalancer"), on_nodes("db", 30090, type="LoadBalancer")
    second["spec"]["ports"][0]["port"] = 5432
    second["spec"]["clusterIPs"] = ["10.96.0.10"]
    for item in (first, second):
        item["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}}
    apply(index, first, second)
    assert owner_at(index, "198.51.100.1", 80) == "web"
    assert owner_at(index, "198.51.100.1", 5432) == "db"
    assert isinstance(index.dialled("198.51.100.1", 22, "tcp", LATER), Contested)


def test_an_external_address_that_is_a_nodes_comes_before_the_nodes_own_listeners(index):
    apply(index, agent("agent-1", (80, "TCP")), service("web", externalIPs=[NODE_IP]))
    assert owner_at(index, NODE_IP, 80) == "web"


def test_a_service_that_has_a_nodes_address_and_port_comes_before_one_with_a_port_on_the_nodes(index):
    apply(index, on_nodes("web"), service("db", port=30080, externalIPs=[NODE_IP]))
    assert owner_at(index, NODE_IP, 30080) == "db"
    assert owner_at(index, OTHER_NODE_IP, 30080) == "web"


def balanced(name, host, **more):
    item = service(name, "10.96.0.20", type="LoadBalancer", **more)
    item["status"] = {"loadBalancer": {"ingress": [{"hostname": host}]}}
    return item


def test_the_host_name_of_a_balancer_is_its_service(index):
    apply(index, balanced("web", "LB-1.elb.example.org."))
    for name in ("lb-1.elb.example.org", "LB-1.ELB.Example.org."):
        assert index.name(name, LATER).name == "web"
    assert index.name("x.lb-1.elb.example.org", LATER) is OUTSIDE
    delete(index, balanced("web", "lb-1.elb.example.org"))
    assert index.name("lb-1.elb.example.org", LATER) is OUTSIDE


def test_the_host_name_of_two_services_is_contested(index):
    apply(index, balanced("web", "lb.example.org"), balanced("db", "lb.example.org"))
    assert [owner.name for owner in index.name("lb.example.org", LATER).owners] == ["db", "web"]


def test_a_new_host_name_is_told_to_all_names_outside_and_its_end_to_it_alone(index):
    assert index.keys_of("lb.example.org") == ("host:",)
    told = []
    index.on_change = told.append
    apply(index, balanced("web", "lb.example.org"))
    assert "host:" in told
    assert index.keys_of("LB.example.org.") == ("host:lb.example.org",)
    told.clear()
    delete(index, balanced("web", "lb.example.org"))
    assert "host:lb.example.org" in told
    assert "host:" not in told


# The API server


def test_the_api_servers_own_address_on_its_port_is_its_service(index):
    apply(index, *api_server("172.16.0.2", "172.16.0.3"))
    for address in ("172.16.0.2", "172.16.0.3"):
        assert index.is_control_plane(address)
        assert owner_at(index, address, 6443) == "kubernetes"
        assert index.dialled(address, 22, "tcp", LATER) is None
        assert index.at(address, LATER) is None
    assert owner_at(index, API, 443) == "kubernetes"
    assert not index.is_control_plane("172.16.0.4")


def test_an_api_server_on_a_node_is_dialled_by_port_and_speaks_as_the_node(index):
    static = agent("kube-apiserver-n1", (6443, "TCP"), owner="kube-apiserver")
    apply(index, *api_server(NODE_IP), static)
    assert owner_at(index, NODE_IP, 6443) == "kubernetes"
    assert owner_at(index, NODE_IP, 22) == "n1"
    assert index.at(NODE_IP, LATER).owner.name == "n1"
    assert owner_at(index, OTHER_NODE_IP, 6443) == "n2"


def test_an_api_server_in_a_pod_is_that_pod(index):
    apply(index, *api_server("10.0.0.1"), pod("api", "10.0.0.1"), pod("old", "10.0.0.1", ended=10, start=5))
    assert owner_at(index, "10.0.0.1", 6443) == "api"


@pytest.mark.parametrize(
    ("prefix", "address", "belongs"),
    [
        (32, "172.16.0.3", False),
        (28, "172.16.0.15", True),
        (28, "172.16.0.16", False),
        (0, "172.16.255.255", True),
        (0, "172.17.0.0", False),
        (99, "172.16.0.2", True),
        (28, "fd00::2", False),
    ],
)
def test_neighbours_belong_to_the_control_plane_as_far_as_is_asked_for(prefix, address, belongs):
    index = apply(Index(control_plane_prefix=prefix), *api_server("172.16.0.2", "fd00::1"))
    assert index.is_control_plane(address) == belongs
    found = index.dialled(address, 6443, "tcp", LATER)
    assert isinstance(found, Claim) == belongs
    assert index.is_control_plane("fd00::1")


def test_a_control_plane_that_moves_is_told_with_its_neighbours():
    told = []
    index = Index(control_plane_prefix=30)
    apply(index, *api_server("172.16.0.2"))
    index.on_change = told.append
    apply(index, api_server("172.16.0.9")[1])
    addresses = {f"172.16.0.{host}" for host in (*range(4), *range(8, 12))}
    assert addresses <= set(told)
    assert not index.is_control_plane("172.16.0.2")


def test_endpoints_that_are_pods_are_no_control_plane(index):
    ends = endpoint_slice("kubernetes", "kubernetes", end("10.0.0.1", "vcluster-0"))
    ends["metadata"]["namespace"] = "default"
    assert not apply(index, ends).is_control_plane("10.0.0.1")


# What is inside


def inside(index, address):
    return index.is_inside(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["10.0.7.1", "10.0.7.254", "fd00:0:0:1::9"])
def test_neighbours_of_pods_are_inside_where_nodes_name_no_blocks(index, address):
    assert not inside(index, address)
    apply(index, pod("p", "10.0.7.9", "fd00:0:0:1::1"))
    assert inside(index, address)
    assert not inside(index, "10.0.8.1")
    assert not inside(index, "fd00:0:0:2::1")
    delete(index, pod("p"))
    assert not inside(index, address)


def test_addresses_of_nodes_services_and_balancers_are_inside(index):
    item = service("web", "10.96.0.1", externalIPs=["198.51.100.1"])
    item["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.2"}]}}
    apply(index, item)
    for address in (NODE_IP, EXTERNAL_IP, "10.96.0.1", "198.51.100.1", "198.51.100.2"):
        assert inside(index, address)
    assert not inside(index, "198.51.100.3")


def test_neighbours_of_a_pod_on_the_nodes_network_are_not_inside(index):
    apply(index, agent("agent-1"))
    assert not inside(index, "192.168.0.77")


def test_node_of_names_the_node_and_nobody_else(index):
    apply(index, pod("p", "10.0.0.1"), service("web", "10.96.0.9", externalIPs=[NODE_IP]))
    assert [index.node_of(address, LATER) for address in (NODE_IP, "10.0.0.1", "10.96.0.9", "1.2.3.4")] == [
        "n1",
        "",
        "",
        "",
    ]
    assert index.node_of(NODE_IP, instant(-5)) == ""
    apply(index, node("n3", NODE_IP))
    assert index.node_of(NODE_IP, LATER) == ""


def test_the_cluster_domain_itself_is_nobody(index):
    assert index.name("cluster.local", LATER) is MISSING
    assert index.name("mycluster.local", LATER) is OUTSIDE


def test_a_service_without_selector_or_endpoints_is_itself(index):
    apply(index, obj("Service", "legacy", spec={"clusterIP": "10.96.0.30", "ports": [{"port": 80}]}))
    found = index.dialled("10.96.0.30", 80, "tcp", LATER).owner
    assert (found.name, found.backends) == ("legacy", ())


# Pods that have a port of their node


def with_host_port(name, address, port=9100, *, node_name="n1", owner="exporter", **more):
    listed = [{"containerPort": 8080, "hostPort": port, "protocol": "TCP", **more}, {"containerPort": 8081}]
    spec = {"nodeName": node_name, "containers": [{"name": "c", "ports": listed}]}
    return pod(name, address, spec=spec, **owned_by("DaemonSet", owner))


def test_a_port_that_a_pod_has_of_its_node_is_the_pod_at_that_nodes_addresses(index):
    apply(index, with_host_port("p", "10.0.0.1"))
    assert owner_at(index, NODE_IP, 9100) == "p"
    assert owner_at(index, EXTERNAL_IP, 9100) == "p"
    assert owner_at(index, OTHER_NODE_IP, 9100) == "n2"
    assert owner_at(index, NODE_IP, 8080) == "n1"
    assert owner_at(index, NODE_IP, 9100, "udp") == "n1"
    assert index.at(NODE_IP, LATER).owner.name == "n1"
    assert index.at("10.0.0.1", LATER).owner.name == "p"


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_a_port_of_the_nodes_loopback_is_reached_by_nobody_else(index, loopback):
    apply(index, with_host_port("p", "10.0.0.1", hostIP=loopback))
    assert owner_at(index, NODE_IP, 9100) == "n1"


def test_a_pod_with_a_port_of_its_node_does_not_speak_as_the_node(index):
    apply(index, with_host_port("p", "10.0.0.1"))
    assert index.hosted("p", NODE_IP, LATER) is None
    assert index.hosted("p", "10.0.0.1", LATER).name == "p"


def test_a_port_of_a_node_goes_with_its_pod_and_is_told(index):
    apply(index, with_host_port("p", "10.0.0.1"))
    told = []
    index.on_change = told.append
    delete(index, with_host_port("p", "10.0.0.1"))
    assert {NODE_IP, "10.0.0.1"} <= set(told)
    assert owner_at(index, NODE_IP, 9100) == "n1"


def test_whose_a_port_of_a_node_is_is_told_when_its_pods_owner_is_known(index):
    exporter = with_host_port("p", "10.0.0.1")
    exporter["metadata"] |= owned_by("ReplicaSet", "exporter-1")
    apply(index, exporter)
    told = []
    index.on_change = told.append
    apply(index, replica_set("exporter-1", "exporter"))
    assert {NODE_IP, "10.0.0.1"} <= set(told)
