"""Every connection is counted once, whichever way it takes; and what is no connection is not counted as one."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import pytest

from network_mapper.export.document import ListDocument
from network_mapper.model import Edge
from network_mapper.testing import truth
from network_mapper.testing.topology import Call, Port, Topology, Workload, check

pytestmark = pytest.mark.lab

SERVERS = {"here": "node-1", "there": "node-2"}
WAYS = ("name", "service", "pod", "headless")
FAMILIES = (4, 6)


def _server_name(place: str, way: str) -> str:
    return f"{place}-{'headless' if way == 'headless' else 'service'}"


def _topology() -> Topology:
    workloads = [
        Workload(name="echo", kind="StatefulSet", nodes=("node-1",), service="ClusterIP", ports=(Port(port=7000),)),
        Workload(
            name="deaf",
            namespace="elsewhere",
            nodes=("node-2",),
            ports=(Port(port=80, target=8080), Port(port=81, state="refused"), Port(port=82, state="silent")),
        ),
    ]
    for place, node in SERVERS.items():
        for service in ("ClusterIP", "headless"):
            name = _server_name(place, "headless" if service == "headless" else "name")
            ports = (Port(port=80, target=8080),)
            workloads.append(Workload(name=name, nodes=(node,), replicas=2, service=service, ports=ports))
    calls = []
    # One client for each way, so that each has an edge of its own, and a number of its own.
    for number, (place, way, family) in enumerate(itertools.product(SERVERS, WAYS, FAMILIES)):
        client = f"client-{place}-{way}-{family}"
        workloads.append(Workload(name=client, nodes=("node-1",), service="none"))
        calls.append(
            Call(
                client=client,
                server=_server_name(place, way),
                via="name" if way == "headless" else way,
                family=family,
                connections=3 + number,
            )
        )
    calls += [
        Call(client="echo", server="echo", via="service", family=family, connections=5 + family) for family in FAMILIES
    ]
    calls += [
        Call(client="client-here-name-4", server="elsewhere/deaf", connections=2),
        Call(client="client-here-name-4", server="elsewhere/deaf", port=81, via="service", connections=4),
        Call(client="client-here-name-4", server="elsewhere/deaf", port=82, via="pod", connections=1),
        Call(client="client-here-name-6", server="elsewhere/deaf", lookup="tcp", family=6, connections=3),
    ]
    nodes = ("node-1", "node-2")
    return check(Topology(namespace="shop", nodes=nodes, workloads=tuple(workloads), calls=tuple(calls)))


@pytest.fixture(scope="module")
def lab(build):
    with build(_topology()) as built:
        built.traffic.start()
        built.report = built.traffic.wait()
        # An attempt is one when its answer has not come for a while.
        built.settle = built.mapper.settle(quiet=4)
        yield built


@pytest.fixture(scope="module")
def seen(lab):
    return truth.seen(lab.settle.edges)


@pytest.mark.parametrize(
    ("place", "way", "family"),
    list(itertools.product(SERVERS, WAYS, FAMILIES)),
)
def test_connections_are_counted_once(lab, seen, place, way, family):
    client = f"shop/client-{place}-{way}-{family} (Deployment)"
    server = f"shop/{_server_name(place, way)} (Deployment)"
    (call,) = [
        call
        for call in lab.plan.topology.calls
        if call.client == f"client-{place}-{way}-{family}" and call.server == _server_name(place, way)
    ]
    counted = {edge: numbers for edge, numbers in seen.items() if (edge.client, edge.server) == (client, server)}
    (edge,) = counted
    assert counted[edge] == truth.Numbers(connections=call.connections)
    assert (edge.service, edge.port) == ((f"shop/{call.server}", 80) if way in ("name", "service") else ("", 8080))


def test_a_pod_that_reaches_itself_through_its_service_is_counted_once(seen):
    echo = "shop/echo (StatefulSet)"
    assert seen[truth.TrueEdge(echo, echo, "shop/echo", 7000)] == truth.Numbers(connections=9 + 11)


def test_refused_connections_are_attempts(seen):
    edge = truth.TrueEdge("shop/client-here-name-4 (Deployment)", "elsewhere/deaf (Deployment)", "elsewhere/deaf", 81)
    assert seen[edge] == truth.Numbers(attempts=4)


def test_a_connection_that_is_never_answered_is_one_attempt_however_often_the_kernel_knocks(seen):
    edge = truth.TrueEdge("shop/client-here-name-4 (Deployment)", "elsewhere/deaf (Deployment)", "", 82)
    assert seen[edge] == truth.Numbers(attempts=1)


def test_the_map_is_what_the_clients_counted_and_nothing_else(lab, seen):
    assert truth.differences(truth.truth(lab.plan), seen) == []
    made = Counter()
    for (_, address, _), count in lab.report.connections.items():
        made[address] += count
    assert sum(made.values()) == sum(
        numbers.connections for edge, numbers in seen.items() if not edge.server.startswith("kube-system/")
    )


def test_lookups_are_counted_once(lab):
    counted = Counter()
    for edge in lab.settle.edges:
        if edge.lookups:
            service = edge.service or edge.server
            client = edge.client
            counted[f"{client.namespace}/{client.name} ({client.kind})", f"{service.namespace}/{service.name}"] += (
                edge.lookups
            )
    assert counted == truth.expected_lookups(lab.plan)


def test_list_shows_the_same_numbers_as_the_rest_map(lab, seen):
    listed = lab.mapper.run("list", "-o", "json", "--all")
    assert listed.returncode == 0, listed.stderr
    edges = [
        Edge(entry.client, entry.server, way.service, way.port, way.protocol, way.connections, way.attempts)
        for entry in msgspec.json.decode(listed.stdout, type=ListDocument).edges
        for way in entry.ports
    ]
    assert truth.seen(edges) == seen


def test_no_row_was_lost(lab):
    status = lab.mapper.status()
    assert status.rows == status.merged + sum(status.drops.values())
    assert {reason for reason in status.drops if status.drops[reason]} <= {"seen_elsewhere"}
