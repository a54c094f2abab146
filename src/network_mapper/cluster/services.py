"""Services by all that leads to them besides their addresses: name, port of the nodes, host name of a balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from network_mapper.cluster.endpoints import ServiceKey
    from network_mapper.cluster.entries import ServiceEntry

_Table = dict[Any, "tuple[ServiceEntry, ...]"]


class ServiceTable:
    """All services."""

    def __init__(self) -> None:
        self._services: dict[ServiceKey, ServiceEntry] = {}
        self._on_nodes: dict[tuple[int, str], tuple[ServiceEntry, ...]] = {}
        self._by_host: dict[str, tuple[ServiceEntry, ...]] = {}

    def put(self, key: ServiceKey, new: ServiceEntry | None) -> ServiceEntry | None:
        """Put a service in place of its former self, or remove it; returns the former one."""
        old = self._services.pop(key, None)
        if old is not None:
            _remove(self._on_nodes, old.on_nodes, old)
            _remove(self._by_host, old.hostnames, old)
        if new is not None:
            self._services[key] = new
            _add(self._on_nodes, new.on_nodes, new)
            _add(self._by_host, new.hostnames, new)
        return old

    def get(self, key: ServiceKey) -> ServiceEntry | None:
        """The service of that (namespace, name)."""
        return self._services.get(key)

    def on_nodes(self, port: int, protocol: str) -> tuple[ServiceEntry, ...]:
        """The services that every node listens for on this port; more than one only while they change places."""
        return self._on_nodes.get((port, protocol), ())

    def by_host(self, host: str) -> tuple[ServiceEntry, ...]:
        """The services whose balancer has this host name, by namespace and name."""
        return self._by_host.get(host, ())

    def __len__(self) -> int:
        return len(self._services)


def _add(table: _Table, places: tuple[Any, ...], service: ServiceEntry) -> None:
    for place in dict.fromkeys(places):
        table[place] = tuple(sorted((*table.get(place, ()), service), key=_by_name))


def _remove(table: _Table, places: tuple[Any, ...], service: ServiceEntry) -> None:
    for place in dict.fromkeys(places):
        left = tuple(other for other in table[place] if other is not service)
        if left:
            table[place] = left
        else:
            del table[place]


def _by_name(service: ServiceEntry) -> tuple[str, str]:
    return service.namespace, service.name
