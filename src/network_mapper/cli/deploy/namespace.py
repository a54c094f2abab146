"""The namespace of an installation, and whether it lets sniffers run.

Kubernetes refuses pods by the namespace's PodSecurity labels. Sniffers share the node's network, so they need the
level `privileged`; a namespace that is made here gets it. One that was there before belongs to somebody who may have
set another level on purpose, so it is changed only when that is asked for.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.cli.deploy import manifests, resources
from network_mapper.cli.deploy.session import DeniedError
from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from network_mapper.cli.deploy.session import Api

LEVEL = "privileged"
_PREFIX = "pod-security.kubernetes.io/"
_ENFORCE = _PREFIX + "enforce"
LABELS = {_PREFIX + mode: LEVEL for mode in ("enforce", "audit", "warn")}


class Namespace(msgspec.Struct):
    """A namespace as it was found, and what is to become of it.

    Attributes:
        name: Its name.
        exists: Whether it was there.
        ours: Whether this command made it.
        level: The PodSecurity level that it enforces; empty where it leaves that to the cluster's default.
        change: What is applied; None for nothing.
    """

    name: str
    exists: bool
    ours: bool
    level: str
    change: dict[str, Any] | None = None

    @property
    def forbids(self) -> str:
        """Why it will refuse the sniffers, and what to do; empty where nothing is known against them."""
        if self.change is not None or self.level in ("", LEVEL):
            return ""
        return (
            f"namespace {self.name} enforces the PodSecurity level '{self.level}', which forbids the sniffers: they "
            f"share the node's network. Allow them with --label-namespace, or 'kubectl label namespace {self.name} "
            f"--overwrite {_ENFORCE}={LEVEL}', or install into another namespace"
        )


def new(name: str, *, label: bool) -> dict[str, Any]:
    """A namespace of ours, with the labels by which PodSecurity admits the sniffers if `label`."""
    labels = {manifests.MANAGED_BY: manifests.MANAGER, **(LABELS if label else {})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _labelled(name: str) -> dict[str, Any]:
    """A namespace of somebody else, with these labels alone."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": LABELS}}


async def look(api: Api, name: str, *, label: bool | None) -> Namespace:
    """Find out what a namespace is, and decide what to do with it.

    Args:
        api: Of the cluster.
        name: Of the namespace.
        label: Whether it gets the labels; None for: if it was made here.

    A namespace that may not be read is taken for one that is there and is somebody else's.

    Raises:
        CliError: It is being deleted.
        ApiError: The API cannot be asked.
    """
    try:
        found = await api.get(resources.NAMESPACE.path(name=name))
    except DeniedError as error:
        if error.code != HTTPStatus.FORBIDDEN:
            raise
        return Namespace(name, exists=True, ours=False, level="", change=_labelled(name) if label else None)
    if found is None:
        return Namespace(name, exists=False, ours=True, level="", change=new(name, label=label is not False))
    meta = found["metadata"]
    if meta.get("deletionTimestamp") or (found.get("status") or {}).get("phase") == "Terminating":
        raise CliError(f"namespace {name} is being deleted. Wait until it is gone, and try again.")
    labels = meta.get("labels") or {}
    ours = labels.get(manifests.MANAGED_BY) == manifests.MANAGER
    wanted = new(name, label=True) if ours else _labelled(name)
    needed = (label or (ours and label is None)) and not wanted["metadata"]["labels"].items() <= labels.items()
    return Namespace(name, True, ours, labels.get(_ENFORCE, ""), wanted if needed else None)
