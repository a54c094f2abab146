"""Who answers at an address and a port.

Who speaks from an address is one question, whom it leads to is another. Services share addresses with nodes and with
each other, every node listens for the services that have a port on the nodes, an API server may live on a node, pods on
the host's network listen on their node's address, and others have single ports of it (hostPort). The port tells them
apart, in the order of a node's own rules: first what is sent on to a service, then what listens on the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.claims import answer, speaking
from network_mapper.cluster.entries import FOREVER, Claim, Contested, NodeEntry, PodEntry, ServiceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable


def reached(
    claims: tuple[Claim, ...],
    port: int,
    protocol: str,
    instant: int,
    *,
    on_nodes: tuple[ServiceEntry, ...] = (),
    api: ServiceEntry | None = None,
) -> Claim | Contested | None:
    """Find out who was dialled.

    Args:
        claims: All claims on the address.
        port: The port that was dialled.
        protocol: In lower case.
        instant: Milliseconds since the epoch.
        on_nodes: Services for which every node listens on this port.
        api: The service of the cluster's API, where an API server has this address and listens on this port. Where a
            pod or a service has the address for itself, they are who is reached.

    Returns:
        As `Index.dialled`. A pod with ports of a node only where it alone says that it has this one.
    """
    nodes = [claim for claim in claims if isinstance(claim.owner, NodeEntry)]
    shared = [c for c in claims if isinstance(c.owner, ServiceEntry) and c.owner.has_port(port, protocol)]
    forwarded = [_within(node, service, service.start, FOREVER) for service in on_nodes for node in nodes]
    speakers = speaking(claims, instant)
    on_node = all(isinstance(claim.owner, NodeEntry) for claim in speakers)
    serving = [Claim(api, api.start, FOREVER)] if api and on_node else []
    listening = [
        _within(node, pod, pod.start, pod.end)
        for node in nodes
        if isinstance(node.owner, NodeEntry)
        for pod in node.owner.host_pods
        if (port, protocol) in pod.node_ports
    ]
    every = (*claims, *forwarded, *serving, *listening)
    for tier in (shared, forwarded, serving):
        if valid := _valid(tier, instant):
            return answer(valid, every, instant)
    pod = _only_workload(_valid(listening, instant))
    return answer([pod] if pod else speakers, every, instant)


def _within(node: Claim, owner: ServiceEntry | PodEntry, start: int, end: int) -> Claim:
    return Claim(owner, max(node.start, start), min(node.end, end))


def _valid(claims: list[Claim], instant: int) -> list[Claim]:
    """The claims that hold at an instant, one for each owner."""
    return list({id(claim.owner): claim for claim in claims if claim.start <= instant < claim.end}.values())


def _only_workload(pods: Iterable[Claim]) -> Claim | None:
    """The claim of the newest of these pods, if all are of one workload: one of them took the other's place."""
    newest: Claim | None = None
    for claim in pods:
        assert isinstance(claim.owner, PodEntry)
        if newest is None:
            newest = claim
        elif isinstance(newest.owner, PodEntry) and newest.owner.workload != claim.owner.workload:
            return None
        elif claim.start > newest.start:
            newest = claim
    return newest
