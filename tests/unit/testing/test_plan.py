from __future__ import annotations

import ipaddress
from collections import Counter

import pytest

from network_mapper.testing.plan import make_plan
from network_mapper.testing.topology import (
    BOUTIQUE,
    Port,
    Topology,
    TopologyError,
    Workload,
    load,
    random_topology,
)


def _plan(*workloads: Workload, nodes: tuple[str, ...] = ("a", "b", "c")):
    return make_plan(Topology(namespace="shop", nodes=nodes, workloads=workloads))


def test_no_two_things_share_an_address_or_a_namespace():
    plan = make_plan(random_topology(3, 60, 3))
    things = [*plan.nodes.values(), *plan.pods, *(service for service in plan.services.values() if service.address4)]
    for attribute in ("address4", "address6"):
        addresses = [getattr(thing, attribute) for thing in things]
        assert len(set(addresses)) == len(addresses)
    assert len({pod.netns for pod in plan.pods}) == len(plan.pods)


def test_addresses_are_written_canonically():
    plan = make_plan(load(BOUTIQUE))
    for thing in (*plan.nodes.values(), *plan.pods, *plan.services.values()):
        assert thing.address4 == str(ipaddress.IPv4Address(thing.address4))
        assert thing.address6 == str(ipaddress.IPv6Address(thing.address6))


def test_a_pods_addresses_lie_in_its_nodes_blocks():
    plan = make_plan(load(BOUTIQUE))
    for pod in plan.pods:
        node = plan.nodes[pod.node]
        assert ipaddress.ip_address(pod.address4) in ipaddress.ip_network(node.pods4)
        assert ipaddress.ip_address(pod.address6) in ipaddress.ip_network(node.pods6)


def test_a_daemon_set_has_one_pod_on_each_node():
    plan = _plan(Workload(name="agent", kind="DaemonSet", service="none"))
    assert Counter(pod.node for pod in plan.pods_of(plan.topology.workload("agent"))) == {"a": 1, "b": 1, "c": 1}


def test_pods_stay_on_the_nodes_they_are_given():
    plan = _plan(Workload(name="web", replicas=5, nodes=("b", "c"), service="none"))
    assert {pod.node for pod in plan.pods_of(plan.topology.workload("web"))} == {"b", "c"}


def test_the_cluster_dns_stands_at_its_usual_address():
    plan = _plan()
    assert (plan.dns.name, plan.dns.namespace, plan.dns.address4) == ("kube-dns", "kube-system", "10.96.0.10")
    assert len({pod.node for pod in plan.dns.pods}) == 2


def test_names_answer_for_services_and_headless_ones_for_their_pods():
    plan = _plan(
        Workload(name="web", ports=(Port(port=80),)),
        Workload(name="db", kind="StatefulSet", replicas=2, service="headless", ports=(Port(port=5432),)),
    )
    records = plan.records()
    web = plan.services["shop", "web"]
    assert records["web.shop.svc.cluster.local"] == [web.address4, web.address6]
    pods = plan.pods_of(plan.topology.workload("db"))
    assert records["db.shop.svc.cluster.local"] == [text for pod in pods for text in (pod.address4, pod.address6)]
    assert records["db-1.db.shop.svc.cluster.local"] == [pods[1].address4, pods[1].address6]


def test_too_many_pods_for_a_node_are_refused():
    many = [Workload(name=f"web-{number}", replicas=150, service="none") for number in range(2)]
    with pytest.raises(TopologyError, match="more than 253 pods on node 'a'"):
        _plan(*many, nodes=("a",))
