"""The two ends of an edge, as a sum type.

What an address turned out to be differs in kind, and a map that blurs the kinds draws wrong edges: a service that was
dialled is not the workload behind it, a node is not the pods that share its address, and an address with two possible
owners is neither of them. Each is its own type here, and each is a value: equal fields mean the same peer.

In JSON a peer carries its kind in `type`. Hashes are kept, because peers are looked up far more often than made.
"""

from __future__ import annotations

import msgspec


class Workload(msgspec.Struct, frozen=True, cache_hash=True, tag_field="type", tag="workload"):
    """The root object that owns a pod, or the name its team gave it.

    Attributes:
        name: As the team writes it; dots stay.
        namespace: Of the pod, which is also its owner's.
        kind: Kubernetes kind of the root object (`Deployment`, `CronJob`, `Pod`, …).
    """

    name: str
    namespace: str
    kind: str


class Node(msgspec.Struct, frozen=True, cache_hash=True, tag_field="type", tag="node"):
    """A machine of the cluster: some process on it spoke, not known which."""

    name: str


class Service(msgspec.Struct, frozen=True, cache_hash=True, tag_field="type", tag="service"):
    """A service that was dialled where the workload that answered is not known for certain."""

    name: str
    namespace: str


class External(msgspec.Struct, frozen=True, cache_hash=True, tag_field="type", tag="external"):
    """Something outside the cluster, by the name that was looked up or by its block of addresses (CIDR)."""

    name: str


class Ambiguous(msgspec.Struct, frozen=True, cache_hash=True, tag_field="type", tag="ambiguous"):
    """More than one owner was possible at that moment. Shown as such, never guessed."""

    candidates: tuple[Workload | Node | Service, ...]


Peer = Workload | Node | Service | External | Ambiguous
