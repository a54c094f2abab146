"""What a pod is called: the name its team gave it, or else the object at the root of its owners.

The order: annotations first, then labels, each in the order of their keys, then the walk along controller references.
A name that a team gives replaces only the name; the kind stays that of the root owner. Names are kept as they are
written, dots included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from network_mapper.cluster.objects import ObjectMeta, OwnerReference

LONGEST_NAME: Final = 253
"""Of any Kubernetes object (RFC 1123 subdomain)."""


class IdentityKeys(msgspec.Struct, frozen=True):
    """Where teams write the names of their workloads, the most important first.

    Attributes:
        annotations: Of the pod. The first two are what Otterize's users have in their manifests.
        labels: Of the pod, asked when no annotation gives a name.
    """

    annotations: tuple[str, ...] = (
        "intents.otterize.com/workload-name",
        "intents.otterize.com/service-name",
        "network-mapper.io/workload-name",
    )
    labels: tuple[str, ...] = (
        "otterize/service-name",
        "network-mapper.io/workload-name",
    )


def given_name(meta: ObjectMeta, keys: IdentityKeys, problems: list[str]) -> str | None:
    """The name that annotations or labels give to a pod, if one does.

    A value that is no name (empty, over 253 characters, with control characters) is passed over and added to
    `problems`: a mistake in a manifest must not join workloads under an empty name.
    """
    for what, values, wanted in (
        ("annotation", meta.annotations, keys.annotations),
        ("label", meta.labels, keys.labels),
    ):
        if not values:
            continue
        for key in wanted:
            value = values.get(key)
            if value is None:
                continue
            name = value.strip()
            if name and len(name) <= LONGEST_NAME and name.isprintable():
                return name
            problems.append(f"{what} {key} is {'no name' if name else 'empty'}")
    return None


def only_naming(annotations: dict[str, str] | None, keys: IdentityKeys) -> dict[str, str] | None:
    """The annotations that can name a workload; the others may hold megabytes."""
    if not annotations:
        return None
    return {key: annotations[key] for key in keys.annotations if key in annotations} or None


def controller(references: list[OwnerReference] | None) -> OwnerReference | None:
    """The owner that manages an object: the one marked as controller, else the first."""
    if not references:
        return None
    named = [reference for reference in references if reference.name and reference.kind]
    for reference in named:
        if reference.controller:
            return reference
    return named[0] if named else None


def static_name(pod: str, node: str) -> str:
    """A static pod's own name: the kubelet appends its node's to it, which would make one workload a node."""
    return pod.removesuffix(f"-{node}") or pod
