"""Makes a report's rows of what the fold gives up: grouped by client, and by the pod that the client certainly was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper.model import Kind
from network_mapper.wire.report import Client, Flow, Lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.agent.spans import Span
    from network_mapper.model import PodRef

    Owner = Callable[[str, int, int], PodRef | None]

Key = tuple[str, int, Kind, str, int, str, str, int]
"""Client, tap, kind, server, port, protocol, answered_by, answered_port."""

Taken = tuple[Key, "list[Span]", tuple[str, ...]]
"""A key, what of it is to be told, and for lookups the addresses answered."""


class Batch(msgspec.Struct):
    """Rows taken for one report.

    Attributes:
        base: Milliseconds since the epoch that the rows' times are relative to: the earliest of them.
        clients: The rows, one entry per (client, tap, pod).
        rows: How many rows there are.
        events: The sum of their counts.
    """

    base: int
    clients: list[Client]
    rows: int
    events: int


def make_batch(taken: list[Taken], owner: Owner | None) -> Batch:
    """Make the rows of one report.

    Args:
        taken: At least one key with at least one span.
        owner: Tells which pod certainly had an address from a first to a last moment.
    """
    base = min(spans[0][1] for _, spans, _ in taken)
    owner_of = _Owners(taken, owner) if owner else _nobody
    clients: dict[tuple[str, int, PodRef | None], Client] = {}
    rows = events = 0
    for key, spans, addresses in taken:
        address, tap, kind, server, port, protocol, answered_by, answered_port = key
        rows += len(spans)
        for count, first, last in spans:
            events += count
            pod = owner_of(address, first, last)
            client = clients.get((address, tap, pod))
            if client is None:
                client = clients[address, tap, pod] = Client(address, tap, pod)
            start, end = first - base, last - base
            if kind is Kind.LOOKUPS:
                client.lookups.append(Lookup(server, count, start, end, addresses))
            else:
                flow = Flow(server, port, protocol, count, start, end, answered_by, answered_port)
                _flows(client, kind).append(flow)
    return Batch(base, list(clients.values()), rows, events)


def _nobody(_address: str, _first: int, _last: int) -> None:
    return None


class _Owners:
    """Whose rows these are. Most clients were one pod for all of their rows, so one question settles them."""

    def __init__(self, taken: list[Taken], owner: Owner) -> None:
        ranges: dict[str, tuple[int, int]] = {}
        for key, spans, _ in taken:
            first, last = ranges.get(key[0], (spans[0][1], spans[-1][2]))
            ranges[key[0]] = min(first, spans[0][1]), max(last, spans[-1][2])
        self._owner = owner
        self._certain = {address: owner(address, *moments) for address, moments in ranges.items()}
        self._asked: dict[tuple[str, int, int], PodRef | None] = {}

    def __call__(self, address: str, first: int, last: int) -> PodRef | None:
        pod = self._certain[address]
        if pod is None:
            question = address, first, last
            if question not in self._asked:
                self._asked[question] = self._owner(*question)
            pod = self._asked[question]
        return pod


def _flows(client: Client, kind: Kind) -> list[Flow]:
    if kind is Kind.CONNECTIONS:
        return client.connections
    return client.attempts if kind is Kind.ATTEMPTS else client.sockets
