"""What the GraphQL door is told of the mapper around it: functions and switches, so that it knows no other room."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from network_mapper.mapper.graphql.intents import Names
    from network_mapper.model import Edge, Tally
    from network_mapper.wire.report import Client


class Sender(NamedTuple):
    """Who asks: the address, empty where there is none, and the program as it calls itself (User-Agent)."""

    address: str = ""
    agent: str = ""


class Switches(NamedTuple):
    """Which evidence is taken."""

    dns: bool = True
    tcp: bool = True
    sockets: bool = True


class Seams(NamedTuple):
    """What the door opens to.

    Attributes:
        take: Takes rows in: the rows, the milliseconds since the epoch that their times are relative to, and what was
            dropped in decoding. Returns when they are durable; raises `BusyError` when they cannot be now.
        reset: Empties the map; raises `BusyError` when that is not yet durable.
        edges: The map.
        names: The cluster.
        clock: Milliseconds since the epoch.
        switches: Which evidence is taken.
        by_address: Whether every sighting of an edge named a server that did not resolve, beside its address that did.
        heard: Told who has reported, and by which mutation.
    """

    take: Callable[[list[Client], int, Tally], Awaitable[None]]
    reset: Callable[[], Awaitable[None]]
    edges: Callable[[], Iterable[Edge]]
    names: Names
    clock: Callable[[], int]
    switches: Switches = Switches()
    by_address: Callable[[Edge], bool] | None = None
    heard: Callable[[Sender, str], None] = lambda _sender, _operation: None
