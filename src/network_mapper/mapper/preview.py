"""New edges that rest yet, for those who look at the map now.

A report rests for some seconds before its rows are merged (`resting`), and nobody who waits for a new edge wants to
wait for that. So whoever asks is also shown the edges that the map does not have and that resting rows would make as
things look now, as long as the client is certain, because its node knows the pod. Nothing of it is kept: a moment later
it is resolved for good, or resolved otherwise. What is already on the map shows its counts when they have rested.

It is worked out when somebody asks and costs reports nothing.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.mapper.graph import Graph
from network_mapper.mapper.known import Known
from network_mapper.mapper.waiting import WaitingRoom
from network_mapper.wire.report import Client

if TYPE_CHECKING:
    from network_mapper.mapper.known import Memo
    from network_mapper.mapper.merge import Merger
    from network_mapper.model import Edge
    from network_mapper.wire.report import Flow

MOST: Final = 2_000
"""Edges that are shown so at most; a flood of new ones may rest."""


def preview(merger: Merger) -> list[Edge]:
    """The edges, sorted as the map's."""
    trial = copy.copy(merger)
    trial.graph, trial.known, trial.room = Graph(MOST), Known(), WaitingRoom()
    for rested in merger.room.resting():
        report = rested.report
        clients = [new for client in report.clients if (new := _new_rows(merger, client)) is not None]
        if clients:
            trial.apply(msgspec.structs.replace(report, clients=clients), rested.since, rested.since)
    return [entry.edge for entry in trial.graph.in_order() if not merger.graph.has(entry.edge)]


def _new_rows(merger: Merger, client: Client) -> Client | None:
    """Those rows of a client that may be new edges; None where there are none, or it is not certain who it is."""
    if client.pod is None:
        return None
    pod = merger.index.pod_of_uid(client.pod.uid)
    if pod is None or not pod.addresses:
        return None
    memo = merger.known.get(client.pod)
    if memo is None:
        return Client(
            client.address, client.tap, client.pod, client.connections, client.attempts, client.sockets, client.lookups
        )
    new = Client(
        client.address,
        client.tap,
        client.pod,
        _unknown(client.connections, memo),
        _unknown(client.attempts, memo),
        _unknown(client.sockets, memo),
        [lookup for lookup in client.lookups if lookup.name not in memo.lookups],
    )
    return new if new.rows() else None


def _unknown(flows: list[Flow], memo: Memo) -> list[Flow]:
    return [
        flow
        for flow in flows
        if (flow.server, flow.port, flow.protocol, flow.answered_by, flow.answered_port) not in memo.flows
    ]
