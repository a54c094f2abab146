from __future__ import annotations

import pytest

from network_mapper.model import Edge, ServiceRef, Workload
from network_mapper.testing import topology as topo
from network_mapper.testing import truth
from network_mapper.testing.plan import make_plan


def _truth(**call):
    shop = topo.Topology(
        namespace="shop",
        nodes=("a", "b"),
        workloads=(
            topo.Workload(name="web", replicas=2, service="none"),
            topo.Workload(
                name="db",
                replicas=2,
                ports=(topo.Port(port=80, target=8080), topo.Port(port=81, state="refused")),
            ),
            topo.Workload(name="far", namespace="other", ports=(topo.Port(port=80),)),
        ),
        calls=(topo.Call(**{"client": "web", "server": "db", "connections": 3, **call}),),
    )
    return truth.truth(make_plan(topo.check(shop)))


WEB, DB = "shop/web (Deployment)", "shop/db (Deployment)"


def test_each_pod_of_the_client_connects_the_known_number_of_times():
    assert _truth() == {truth.TrueEdge(WEB, DB, "shop/db", 80): truth.Numbers(connections=6)}


def test_a_dialled_pod_is_an_edge_without_a_service_on_the_pods_port():
    assert _truth(via="pod") == {truth.TrueEdge(WEB, DB, "", 8080): truth.Numbers(connections=6)}


def test_a_refused_port_gives_attempts():
    assert _truth(port=81) == {truth.TrueEdge(WEB, DB, "shop/db", 81): truth.Numbers(attempts=6)}


def test_a_pod_that_dials_its_own_address_is_not_seen():
    # Pod 0 dials 0 1 0, pod 1 the same: three of the six leave their pod.
    assert _truth(client="db", via="pod") == {truth.TrueEdge(DB, DB, "", 8080): truth.Numbers(connections=3)}


@pytest.mark.parametrize(("server", "questions"), [("db", 6), ("other/far", 12)])
def test_questions_over_tcp_are_connections_to_the_dns_server(server, questions):
    edge = truth.TrueEdge(WEB, "kube-system/coredns (Deployment)", "kube-system/kube-dns", 53)
    assert _truth(server=server, lookup="tcp")[edge] == truth.Numbers(connections=questions)


def _edge(**fields):
    given = {"port": 80, "protocol": "tcp", "service": ServiceRef("db", "shop"), **fields}
    return Edge(Workload("web", "shop", "Deployment"), Workload("db", "shop", "Deployment"), **given)


def test_an_equal_map_has_no_differences():
    lookup = _edge(protocol="dns", port=0, lookups=5)
    assert truth.differences(_truth(), truth.seen([_edge(connections=6), lookup])) == []


def test_every_difference_is_named():
    expected = _truth()
    assert truth.differences(expected, {})[0].startswith("missing: shop/web (Deployment) -> shop/db (Deployment)")
    wrong = truth.differences(expected, truth.seen([_edge(connections=5)]))
    assert wrong[0].startswith("counted wrongly")
    assert "5 connections, 0 attempts, 0 lookups, instead of 6 connections" in wrong[0]
    more = truth.differences(expected, truth.seen([_edge(connections=6), _edge(port=81, attempts=1)]))
    assert [sentence.split(":")[0] for sentence in more] == ["too much"]
