"""What has changed, and whose answers that concerns, until it is told.

A change of an address concerns the services that have it among their endpoints, and a change of these all that leads to
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.names import host_key, service_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.claims import Claims
    from network_mapper.cluster.endpoints import EndpointTable, ServiceKey
    from network_mapper.cluster.problems import Problems
    from network_mapper.cluster.services import ServiceTable

_NAMED = 3
"""Pods that a problem about their address names."""


class News:
    """The keys of `Index.on_change` that are to be told."""

    def __init__(self, claims: Claims, endpoints: EndpointTable, services: ServiceTable, problems: Problems) -> None:
        self._claims = claims
        self._endpoints = endpoints
        self._services = services
        self._problems = problems
        self._keys: set[str] = set()

    def keys(self, keys: Iterable[str]) -> None:
        """These have changed."""
        self._keys.update(keys)

    def address(self, address: str) -> None:
        """Somebody else has an address, or is called otherwise."""
        self._keys.add(address)
        self.services(self._endpoints.services_of(address))
        pods = self._claims.living_pods(address, _NAMED + 1)
        causes = []
        if len(pods) > 1:
            names = ", ".join(f"{pod.namespace}/{pod.name}" for pod in pods[:_NAMED])
            causes.append(f"claimed by {names}" + (" and others" if len(pods) > _NAMED else ""))
        self._problems.put(f"address {address}", causes)

    def services(self, keys: Iterable[ServiceKey]) -> None:
        """Others are behind these services."""
        for key in keys:
            service = self._services.get(key)
            if service is not None:
                service.forget_backends()
                self._keys.update(service.addresses)
                self._keys.update(service.not_reached())
                self._keys.update(host_key(host) for host in service.hostnames)
                self._keys.add(service_key(*key))

    def take(self) -> set[str]:
        """All that has changed since this was last asked."""
        keys, self._keys = self._keys, set()
        return keys

    def __len__(self) -> int:
        return len(self._keys)
