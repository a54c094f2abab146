"""Who answers at an address and a port.

Who speaks from an address is one question, whom it leads to is another. Services share addresses with nodes and with
each other, every node listens for the services that have a port on the nodes, an API server may live on a node, pods on
the host's network listen on their node's address, and others have single ports of it (hostPort). The port tells them
apart, in the order of a node's own rules: first what is sent on to a service, then what listens on the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.claims import NOBODY, Near, speaking
from network_mapper.cluster.entries import NodeEntry, PodEntry, ServiceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from network_mapper.cluster.entries import Entry


def reached(
    here: Near,
    port: int,
    protocol: str,
    *,
    on_nodes: Near = NOBODY,
    listening: Iterable[Near] = (),
    api: Near = NOBODY,
) -> Near:
    """Find out who was dialled.

    Args:
        here: Who had the address.
        port: The port that was dialled.
        protocol: In lower case.
        on_nodes: Services for which every node listened on this port.
        listening: Pods that said they listen there, for each node that had the address.
        api: The service of the cluster's API, where an API server has this address and listens on this port. Where a
            pod or a service has the address for itself, they are who is reached.

    Returns:
        A pod with ports of a node only where it alone says that it has this one.
    """
    speakers = speaking(here.owners)
    every = [here, on_nodes, api, *listening]
    start, end = max(near.start for near in every), min(near.end for near in every)
    tiers: list[Sequence[Entry]] = [
        [owner for owner in here.owners if isinstance(owner, ServiceEntry) and owner.has_port(port, protocol)]
    ]
    if any(isinstance(owner, NodeEntry) for owner in here.owners):
        tiers.append(on_nodes.owners)
    if all(isinstance(owner, NodeEntry) for owner in speakers):
        tiers.append(api.owners)
    pods = [owner for near in listening for owner in near.owners if isinstance(owner, PodEntry)]
    tiers.append(_only_workload(pods))
    return Near(next((tier for tier in tiers if tier), speakers), start, end)


def _only_workload(pods: list[PodEntry]) -> Sequence[PodEntry]:
    """The newest of these pods, if all are of one workload: one of them took the other's place."""
    if len({pod.workload for pod in pods}) != 1:
        return ()
    return [max(pods, key=lambda pod: pod.start)]
