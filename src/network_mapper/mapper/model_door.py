"""Joins the GraphQL door of the Otterize network mapper to our map, cluster and intake.

What the door says and understands is in `mapper.graphql`, which knows nothing of ours but rows and edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.mapper.graphql.door import Door
from network_mapper.mapper.graphql.seams import Seams, Switches
from network_mapper.mapper.intake import BusyError
from network_mapper.store import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.cluster.index import Index
    from network_mapper.mapper.graphql.seams import Sender
    from network_mapper.mapper.intake import Intake
    from network_mapper.mapper.settings import MapperSettings
    from network_mapper.mapper.state import State
    from network_mapper.model import Edge, Service, Workload
    from network_mapper.store import Writer


def open_door(state: State, writer: Writer, intake: Intake, settings: MapperSettings, clock: Callable[[], int]) -> Door:
    """The door onto this mapper; arguments as those of `Doors`."""

    async def reset() -> None:
        try:
            await state.reset(writer, clock())
        except StoreUnavailableError as error:
            raise BusyError(f"the map is empty, but that is not yet on disk: {error}") from None

    def heard(sender: Sender, operation: str) -> None:
        state.senders.hear(sender.address, sender.agent, operation, clock())

    view = _View(state)
    return Door(
        Seams(
            take=intake.take,
            reset=reset,
            edges=view.edges,
            names=_Names(state.index),
            clock=clock,
            switches=Switches(settings.enable_dns, settings.enable_tcp, settings.enable_sockets),
            by_address=view.is_by_address,
            heard=heard,
        )
    )


class _View:
    """The edges as they are when a query begins."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._by_address: set[int] = set()

    def edges(self) -> list[Edge]:
        entries = self._state.graph.in_order()
        self._by_address = {id(entry.edge) for entry in entries if entry.by_address}
        return [entry.edge for entry in entries]

    def is_by_address(self, edge: Edge) -> bool:
        return id(edge) in self._by_address


class _Names:
    """What the index knows, in the door's words."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def labels_of(self, workload: Workload) -> dict[str, str]:
        return self._index.labels_of(workload)

    def is_named_by_annotation(self, workload: Workload) -> bool:
        return self._index.is_named(workload)

    def version_of(self, kind: str) -> tuple[str, str] | None:
        return self._index.version_of(kind)

    def backends_of(self, service: Service) -> tuple[Workload, ...]:
        return self._index.backends_of(service.name, service.namespace)
