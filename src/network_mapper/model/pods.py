"""Pods as a node knows them, without asking the Kubernetes API.

A kubelet names the folders of its pods' logs, and the runtime its control groups, by a pod's namespace, name and UID.
So a node can say whose a network namespace is while nobody can ask the API server, and of a pod that is gone before
anybody hears of it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

_Text = Annotated[str, msgspec.Meta(max_length=1024)]


class PodRef(msgspec.Struct, frozen=True, gc=False):
    """A pod that is meant for certain: its UID is used once in the life of a cluster."""

    namespace: _Text
    name: _Text
    uid: _Text


class PodSighting(msgspec.Struct, frozen=True, gc=False):
    """That a pod had addresses on this node, for at least some time.

    Attributes:
        pod: Who.
        addresses: Of its network namespace, canonical, without loopback and link-local ones.
        first: When it was first seen to have them, milliseconds since the epoch, on the node's clock.
        last: When it was last seen to have them; it may have kept them for as long as until the next look.
    """

    pod: PodRef
    addresses: tuple[_Text, ...]
    first: int
    last: int
