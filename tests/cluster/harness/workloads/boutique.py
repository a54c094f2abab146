"""The Online Boutique as real objects, from the same file that the demo draws it from.

Workloads take turns on the nodes, as in the demo; every second call goes over IPv6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from harness.workloads import manifests
from harness.workloads.judge import Row
from network_mapper.testing import topology, truth
from network_mapper.testing.plan import make_plan

if TYPE_CHECKING:
    from harness.objects import Object
    from harness.workloads.manifests import Image
    from network_mapper.testing.plan import Plan


@dataclass(frozen=True)
class Boutique:
    """Its namespace, objects (the namespace not among them) and calls."""

    namespace: str
    objects: list[Object]
    rows: list[Row]


def boutique(image: Image, nodes: tuple[str, ...], namespace: str = "") -> Boutique:
    """Make the shop on these nodes, in its own namespace or another."""
    described = topology.load(topology.BOUTIQUE)
    plan = make_plan(msgspec.structs.replace(described, nodes=nodes, namespace=namespace or described.namespace))
    return Boutique(plan.topology.namespace, _objects(image, plan), _rows(plan))


def _objects(image: Image, plan: Plan) -> list[Object]:
    made = []
    for workload in plan.topology.workloads:
        namespace = plan.namespace_of(workload)
        ports = {port.port: port.pod_port for port in workload.ports}
        node = plan.pods_of(workload)[0].node if workload.replicas == 1 else ""
        pods = manifests.Pods(app=workload.name, listen=tuple(ports.values()), node=node)
        made.append(manifests.deployment(image, namespace, pods, workload.replicas))
        if plan.service_of(workload) is not None:
            made.append(manifests.service(namespace, workload.name, ports))
    return made


def _rows(plan: Plan) -> list[Row]:
    rows = []
    for number, call in enumerate(plan.topology.calls):
        client, server = plan.topology.workload(call.client), plan.topology.workload(call.server)
        edge = truth.edge_of(plan, call)
        rows.append(
            Row(
                name=f"{client.name} calls {server.name}",
                client=f"{plan.namespace_of(client)}/{client.name}",
                call=manifests.call(
                    server.name, edge.port, family=(4, 6)[number % 2], count=call.connections, lookup=call.lookup
                ),
                edge=edge,
                by_name=truth.TrueEdge(edge.client, edge.server, edge.service, 0),
                pods=client.replicas,
            )
        )
    return rows
