"""What a pod is called: the name its team gave it, or else the object at the root of its owners.

The order: annotations first, then labels, each in the order of their keys, then the walk along controller references.
A name that a team gives replaces only the name; the kind stays that of the root owner. Names are kept as they are
written, dots included.

Two modes name what has no lasting name of its own. The pods of a Job that no CronJob owns can be called by their
images, for such Jobs are often made by a program under a new name each time. And bare pods that a program makes under
generated names can be called by what these names begin with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from network_mapper.cluster.objects import NODE

if TYPE_CHECKING:
    from network_mapper.cluster.objects import Container, ObjectMeta, OwnerReference, Pod

LONGEST_NAME: Final = 253
"""Of any Kubernetes object (RFC 1123 subdomain)."""

JOB: Final = "Job"

WORKLOAD_NAME: Final = "intents.otterize.com/workload-name"
OWN_KEY: Final = "network-mapper.io/workload-name"


class IdentityKeys(msgspec.Struct, frozen=True):
    """How workloads are named, the most important first.

    Attributes:
        annotations: Of the pod. The first two are what Otterize's users have in their manifests.
        labels: Of the pod, asked when no annotation gives a name.
        image_names_for_jobs: Pods whose root owner is a Job are called by their images.
        fold_generated_names: Pods without an owner are called by their `generateName`, where they have one.
    """

    annotations: tuple[str, ...] = (WORKLOAD_NAME, "intents.otterize.com/service-name", OWN_KEY)
    labels: tuple[str, ...] = ("otterize/service-name", OWN_KEY)
    image_names_for_jobs: bool = False
    fold_generated_names: bool = False

    @classmethod
    def chosen(
        cls,
        workload_name: str = WORKLOAD_NAME,
        own_annotation: str = OWN_KEY,
        own_label: str = OWN_KEY,
        *,
        image_names_for_jobs: bool = False,
        fold_generated_names: bool = False,
    ) -> IdentityKeys:
        """The usual keys, with other ones in three places: the first annotation, our annotation, and our label."""
        annotations = (workload_name, cls().annotations[1], own_annotation)
        labels = (cls().labels[0], own_label)
        return cls(_some(annotations), _some(labels), image_names_for_jobs, fold_generated_names)


class OwnNames(NamedTuple):
    """What a pod itself says about its name.

    Attributes:
        given: By annotation or label; it stands above the owners.
        own: What the pod is called as a root, instead of its name in the API; empty where it is called by that.
        images: What it is called when its root owner is a Job; empty where images do not count.
    """

    given: str = ""
    own: str = ""
    images: str = ""


def own_names(pod: Pod, meta: ObjectMeta, keys: IdentityKeys, problems: list[str]) -> OwnNames:
    """Read a pod's own names; what is wrong with them is added to `problems`."""
    owner = controller(meta.owner_references)
    own = images = ""
    if owner is None:
        own = generated_name(meta) if keys.fold_generated_names else ""
    elif owner.kind == NODE:
        own = static_name(meta.name, owner.name)
    elif keys.image_names_for_jobs and pod.spec:
        images = image_names(pod.spec.containers or [])
    return OwnNames(given_name(meta, keys, problems) or "", own, images)


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


def generated_name(meta: ObjectMeta) -> str:
    """What a generated name begins with, without the dashes before its random end; empty where there is none.

    The API keeps `generateName` also beside a name that somebody chose, so the name must really begin with it.
    """
    prefix = meta.generate_name or ""
    return prefix.rstrip("-.") if prefix and meta.name.startswith(prefix) else ""


def image_names(containers: list[Container]) -> str:
    """The names of containers' images, joined by dashes and without those of side-cars; empty when none is left.

    Up to 253 characters, as every name.
    """
    found = (
        image_name(container.image or "")
        for container in containers
        if container.name != "istio-proxy" and "sidecar" not in container.name
    )
    return "-".join(name for name in found if name)[:LONGEST_NAME].strip("-./")


def image_name(image: str) -> str:
    """`team/app` for `registry.example.org:5000/team/app:1.2@sha256:…`: no registry, tag or digest.

    Whatever stands before the first slash is taken for the registry, also where it is none: these names are already
    in use with the Otterize network mapper.
    """
    path = image.strip().partition("@")[0].strip("/")
    path = path.partition("/")[2] or path
    folders, slash, last = path.rpartition("/")
    return folders + slash + last.partition(":")[0]


def _some(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for key in keys if key))
