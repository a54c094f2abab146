"""How a report names the two ends of what it saw, when an address is not all that is known, or not known at all.

A party is one text. A node sees addresses. Some agents also know the name of the pod that had the address, a mesh
knows workloads by their label, a broker's log knows pods, and a cloud's API has names of its own:

==========================  ==============================================================================
`10.0.0.5`, `2001:db8::5`   whoever had the address
`web-0@10.0.0.5`            the pod of that name that had the address; never another one
`pod:shop/web-0`            the pod
`app:shop/web`              the workload whose pods carry `service.istio.io/canonical-name: web`
`workload:shop/web`         the workload of that name
`external:arn:aws:s3:::x`   something outside the cluster, by its name
==========================  ==============================================================================

Being text, a party is its own key wherever what became of it is remembered.
"""

from __future__ import annotations

from typing import Final, NamedTuple

POD: Final = "pod"
APPLICATION: Final = "app"
WORKLOAD: Final = "workload"
EXTERNAL: Final = "external"

CANONICAL_NAME: Final = "service.istio.io/canonical-name"
"""Label by which Istio names an application."""

_NAMED: Final = frozenset((POD, APPLICATION, WORKLOAD))


class Party(NamedTuple):
    """A party that is more than an address.

    Attributes:
        kind: `POD`, `APPLICATION`, `WORKLOAD` or `EXTERNAL`; empty for `name@address`.
        namespace: For the first three.
        name: Of the object; for `name@address` the pod's.
        address: For `name@address`, as it was written.
    """

    kind: str
    namespace: str
    name: str
    address: str


def write(kind: str, namespace: str, name: str) -> str:
    """The text for an object inside the cluster."""
    return f"{kind}:{namespace}/{name}"


def external(name: str) -> str:
    """The text for something outside."""
    return f"{EXTERNAL}:{name}"


def hosted(pod: str, address: str) -> str:
    """The text for an address whose pod's name is known; without a name just the address."""
    return f"{pod}@{address}" if pod else address


def read(text: str) -> Party | None:
    """What a text says beyond an address; None where it is an address, or nothing that can be read."""
    kind, colon, rest = text.partition(":")
    if colon and kind == EXTERNAL and rest:
        return Party(EXTERNAL, "", rest, "")
    if colon and kind in _NAMED:
        namespace, slash, name = rest.partition("/")
        return Party(kind, namespace, name, "") if slash and namespace and name else None
    name, at, address = text.partition("@")
    return Party("", "", name, address) if at and name and address else None
