"""Which object a DNS name inside the cluster means, by its shape alone.

The forms are those of the Kubernetes DNS specification 1.1.0: a service, an endpoint of a service by its host name or
its address, a port of a service (SRV), and a pod by its address. Everything else under the cluster domain is nobody.
"""

from __future__ import annotations

from typing import NamedTuple

from network_mapper.cluster.address import from_dashes

LONGEST_ALIAS = 8
"""Aliases (ExternalName) that are followed one after the other; clusters' DNS servers follow about as many."""

_LONGEST_HOST = 63
"""Characters of a host name: Linux has room for 64, a DNS label for 63."""


class Missing:
    """A name under the cluster domain that belongs to nothing."""

    __slots__ = ()


class Outside:
    """A name that does not lie under the cluster domain."""

    __slots__ = ()


MISSING = Missing()
OUTSIDE = Outside()


class ServiceName(NamedTuple):
    """`service.namespace.svc`, or one endpoint of it when `host` is not empty."""

    namespace: str
    service: str
    host: str


class AddressName(NamedTuple):
    """`10-0-0-1.namespace.pod`: the address, canonical."""

    address: str


def parse(name: str, domain: str) -> ServiceName | AddressName | Missing | Outside:
    """Read a DNS name; upper case and a final dot do no harm.

    Args:
        name: As it was asked for.
        domain: The cluster domain, lower case, without dots around it.
    """
    name = name.lower().removesuffix(".")
    if not name.endswith(domain):
        return OUTSIDE
    rest = name[: -len(domain)]
    if not rest:
        return MISSING
    if not rest.endswith("."):
        return OUTSIDE
    labels = rest[:-1].split(".")
    if "" in labels or len(labels) < 3:
        return MISSING
    if labels[-1] == "svc":
        return _service(labels)
    if labels[-1] == "pod" and len(labels) == 3:
        address = from_dashes(labels[0])
        return MISSING if address is None else AddressName(address)
    return MISSING


def service_key(namespace: str, service: str) -> str:
    """The key under which answers to a service's names, and to names beneath them, may be kept."""
    return f"name:{service}/{namespace}"


def host_key(name: str) -> str:
    """The key under which answers to a balancer's host name may be kept; `name` in lower case."""
    return f"host:{name}"


OUTSIDE_KEY = host_key("")
"""The key under which answers to all other names outside the cluster may be kept."""


def runs_as(host: str, pod: str, hostname: str, below: str) -> bool:
    """Whether a pod's own host name can be `host`.

    That is `spec.hostname`, else the pod's name, which the kubelet cuts to the 63 characters of a host name. With
    `setHostnameAsFQDN` the names of its subdomain follow.

    Args:
        host: As a process of the pod sees it.
        pod: The pod's name.
        hostname: `spec.hostname` where it is another.
        below: What follows in a full name: `<namespace>.svc.<domain>`.
    """
    names = (pod, pod[:_LONGEST_HOST].rstrip("-."), hostname or pod)
    if host in names:
        return True
    short, _, rest = host.partition(".")
    return rest.endswith(f".{below}") and short in names


def _service(labels: list[str]) -> ServiceName | Missing:
    *above, service, namespace, _ = labels
    while above and above[0].startswith("_"):
        del above[0]
    if len(above) > 1:
        return MISSING
    return ServiceName(namespace, service, above[0] if above else "")
