"""Which pods and addresses stand behind a service.

EndpointSlices and pods come in any order and change apart from each other, so slices are kept as they are written, by
pod name or plain address, and are looked through when somebody asks. What must be quick is the way back: which services
does a change of this pod, or of this address, concern?
"""

from __future__ import annotations

from typing import NamedTuple

from network_mapper.cluster.objects import ENDPOINT_SLICE
from network_mapper.cluster.owners import Key  # noqa: TC001  documented alias, kept importable

ServiceKey = tuple[str, str]
"""(namespace, name) of a service."""


class Target(NamedTuple):
    """One endpoint. `pod` is its (namespace, name), None for a plain address; `hostname` is often empty."""

    pod: tuple[str, str] | None
    hostname: str
    addresses: tuple[str, ...]


class _Slice(NamedTuple):
    service: ServiceKey
    targets: tuple[Target, ...]


class EndpointTable:
    """All slices, by service, pod and plain address.

    An Endpoints object (kind `Endpoints`) counts only while its service has no EndpointSlice: a cluster that has
    both writes the same endpoints twice, and the older kind is cut at a thousand.
    """

    def __init__(self) -> None:
        self._slices: dict[Key, _Slice] = {}
        self._of_service: dict[ServiceKey, set[Key]] = {}
        self._of_target: dict[tuple[str, str] | str, tuple[Key, ...]] = {}
        self._hosts: dict[ServiceKey, dict[str, tuple[str, str] | None]] = {}

    def put(self, key: Key, service: ServiceKey, targets: tuple[Target, ...]) -> set[ServiceKey]:
        """Put a slice in place of its former self; returns the services that this concerns."""
        new = _Slice(service, targets)
        if self._slices.get(key) == new:
            return set()
        concerned = self.remove(key) | {service}
        self._slices[key] = new
        self._of_service.setdefault(service, set()).add(key)
        alone = (key,)  # shared: most targets are in one slice only
        for target in _unique(targets):
            held = self._of_target.get(target)
            self._of_target[target] = alone if held is None else (*held, key)
        self._hosts.pop(service, None)
        return concerned

    def remove(self, key: Key) -> set[ServiceKey]:
        """Forget a slice; returns the services that this concerns."""
        old = self._slices.pop(key, None)
        if old is None:
            return set()
        slices = self._of_service[old.service]
        slices.discard(key)
        if not slices:
            del self._of_service[old.service]
        for target in _unique(old.targets):
            left = tuple(held for held in self._of_target[target] if held != key)
            if left:
                self._of_target[target] = left
            else:
                del self._of_target[target]
        self._hosts.pop(old.service, None)
        return {old.service}

    def targets(self, service: ServiceKey) -> list[Target]:
        """Every endpoint of a service, ready or not, in no certain order."""
        keys = self._of_service.get(service, ())
        chosen = [key for key in keys if key[0] == ENDPOINT_SLICE] or keys
        return [target for key in chosen for target in self._slices[key].targets]

    def services_of(self, target: tuple[str, str] | str) -> set[ServiceKey]:
        """The services that have this pod (namespace, name) or this plain address among their endpoints."""
        return {self._slices[key].service for key in self._of_target.get(target, ())}

    def pod_by_host(self, service: ServiceKey, host: str) -> tuple[str, str] | None:
        """The pod behind `host.service…`: by the endpoint's host name, pod name, or address with dashes."""
        hosts = self._hosts.get(service)
        if hosts is None:
            hosts = self._hosts[service] = self._name_hosts(service)
        return hosts.get(host)

    def __len__(self) -> int:
        return len(self._slices)

    def _name_hosts(self, service: ServiceKey) -> dict[str, tuple[str, str] | None]:
        # Weaker names first, so that stronger ones replace them. A name that two pods share names neither (None).
        by_strength: tuple[dict[str, tuple[str, str] | None], ...] = ({}, {}, {})
        for pod, hostname, addresses in self.targets(service):
            if pod is None:
                continue
            named = [(0, address.replace(".", "-").replace(":", "-")) for address in addresses]
            named.append((1, pod[1]))
            if hostname:
                named.append((2, hostname))
            for strength, name in named:
                known = by_strength[strength]
                known[name] = pod if known.get(name, pod) == pod else None
        return by_strength[0] | by_strength[1] | by_strength[2]


def _unique(targets: tuple[Target, ...]) -> set[tuple[str, str] | str]:
    found: set[tuple[str, str] | str] = set()
    for target in targets:
        if target.pod is not None:
            found.add(target.pod)
        else:
            found.update(target.addresses)
    return found
