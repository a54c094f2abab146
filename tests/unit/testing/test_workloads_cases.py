"""The tables of calls: consistent in themselves, and made of objects that name each other rightly."""

from __future__ import annotations

from collections import Counter

import pytest
from harness.workloads.boutique import boutique
from harness.workloads.cases import Addresses, Cases
from harness.workloads.manifests import Image

from network_mapper.testing import topology, truth
from network_mapper.testing.plan import make_plan

IMAGE = Image("workload:1", ("python", "program.py"))
NODES = ("node1", "node2")


class _Addresses(dict):
    def __missing__(self, name):
        return {4: f"192.0.2.{len(name)}", 6: f"2001:db8::{len(name)}"}


def _cases():
    cases = Cases(IMAGE, NODES)
    return cases, cases.rows(Addresses(_Addresses(), _Addresses()))


@pytest.fixture(params=["boutique", "cases"])
def made(request):
    """Objects and rows."""
    if request.param == "boutique":
        shop = boutique(IMAGE, NODES)
        return shop.objects, shop.rows
    cases, rows = _cases()
    return [*cases.servers(), *cases.late(), cases.static], rows


def _pods(objects):
    """Specs by label `app`."""
    found = {}
    for item in objects:
        spec = item["spec"]
        template = spec.get("jobTemplate", {"spec": spec})["spec"].get("template", item)
        if "containers" in template["spec"]:
            found[template["metadata"]["labels"]["app"]] = template["spec"]
    return found


def _services(objects):
    return {item["metadata"]["name"]: item["spec"] for item in objects if item["kind"] == "Service"}


def test_names_of_rows_are_unique(made):
    _, rows = made
    assert [name for name, count in Counter(row.name for row in rows).items() if count > 1] == []


def test_every_client_exists(made):
    objects, rows = made
    assert {row.client.partition("/")[2] for row in rows} <= _pods(objects).keys()


def test_every_name_that_is_dialled_is_a_service_with_that_port(made):
    objects, rows = made
    services = _services(objects)
    for row in rows:
        name = row.call["name"].split(".")[-1]
        if name and row.call["port"] and services[name].get("type") != "ExternalName":
            assert row.call["port"] in [port["port"] for port in services[name]["ports"]], row.name


def test_services_send_on_to_ports_that_pods_have(made):
    objects, rows = made
    pods = _pods(objects)
    refused = {row.call["port"] for row in rows if row.refused}
    for spec in _services(objects).values():
        if "selector" not in spec:
            continue
        listening = [port["containerPort"] for port in pods[spec["selector"]["app"]]["containers"][0]["ports"]]
        for port in spec["ports"]:
            assert (port["targetPort"] in listening) is (port["port"] not in refused)


def test_every_way_has_an_edge_of_its_own():
    _, rows = _cases()
    edges = Counter(row.edge for row in rows if row.edge and "store-" not in row.name)
    assert [str(edge) for edge, count in edges.items() if count > 1] == []


def test_node_ports_are_in_the_range_of_clusters_and_unique():
    objects, _ = made_cases()
    ports = [
        port["nodePort"] for spec in _services(objects).values() for port in spec.get("ports", ()) if "nodePort" in port
    ]
    assert len(set(ports)) == len(ports) == 8
    assert all(30000 <= port <= 32767 for port in ports)


def made_cases():
    cases, rows = _cases()
    return cases.servers(), rows


def test_the_matrix_is_every_way_to_both_nodes_over_both_families():
    _, rows = _cases()
    matrix = [
        row.name
        for row in rows
        if " over IPv" in row.name and (" to near on " in row.name or " to far on " in row.name)
    ]
    assert len(matrix) == 5 * 2 * 2


def test_the_boutique_is_that_of_the_demo():
    described = topology.load(topology.BOUTIQUE)
    plan = make_plan(described)
    shop = boutique(IMAGE, described.nodes)
    planned = truth.truth(plan)
    assert {row.edge: row.call["count"] * row.pods for row in shop.rows} == {
        edge: numbers.connections for edge, numbers in planned.items()
    }
    assert shop.namespace == described.namespace
    assert {row.call["family"] for row in shop.rows} == {4, 6}


def test_the_boutique_stands_on_both_nodes():
    shop = boutique(IMAGE, NODES)
    nodes = Counter(
        spec["nodeSelector"]["kubernetes.io/hostname"]
        for spec in _pods(shop.objects).values()
        if "nodeSelector" in spec
    )
    assert min(nodes[node] for node in NODES) >= 5
