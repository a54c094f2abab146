"""What is installed already: by this command, by Helm, or in another way; and the objects that belong to it.

An installation is recognised by the labels of its mapper's Deployment, in all namespaces where that may be asked, else
in the one that is meant. What is left of one without a Deployment is found by its cluster role.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.cli.deploy import manifests, resources
from network_mapper.cli.deploy.session import DeniedError
from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from network_mapper.cli.deploy.session import Api

PARTS = f"{manifests.PART_OF}=network-mapper"
HELM = "Helm"


class Installation(msgspec.Struct):
    """One installation.

    Attributes:
        namespace: Where it is.
        manager: `network-mapper` for this command, `Helm`, or what else stands in the label; it may be empty.
        release: The `instance` label: for Helm the release.
        version: Of the program; empty where it is not known.
        options: What it was installed with; None where another manager installed it.
        health_port: Of its sniffers; 0 where it has none, or they may not be read.
    """

    namespace: str
    manager: str
    release: str = ""
    version: str = ""
    options: manifests.Options | None = None
    health_port: int = 0

    @property
    def ours(self) -> bool:
        """Whether this command made it."""
        return self.manager == manifests.MANAGER

    @property
    def by(self) -> str:
        """Who made it, for messages."""
        if self.ours:
            return "by 'network-mapper install'"
        return f"by Helm as release {self.release}" if self.manager == HELM else "by something else than this command"


def _installation(deployment: dict[str, Any]) -> Installation:
    meta = deployment["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    manager = labels.get(manifests.MANAGED_BY, "")
    options = None
    if manager == manifests.MANAGER:
        try:
            options = msgspec.json.decode(annotations.get(manifests.OPTIONS, "{}"), type=manifests.Options)
        except msgspec.DecodeError:  # somebody has changed it; the defaults are no worse a guess than any other
            options = manifests.Options()
    return Installation(
        meta["namespace"], manager, labels.get(manifests.INSTANCE, ""), labels.get(manifests.VERSION, ""), options
    )


async def installations(api: Api, namespace: str) -> list[Installation]:
    """The installations of a cluster, or of one namespace where that is all that may be asked.

    Args:
        api: Of the cluster.
        namespace: The one that is meant, also where all others may not be read.

    Raises:
        DeniedError: Not even that one may be read.
        ApiError: The API cannot be asked.
    """
    selector = f"{PARTS},{manifests.COMPONENT}=mapper"
    try:
        found = await api.list(resources.DEPLOYMENT.path(), labelSelector=selector)
    except DeniedError as error:
        if error.code != HTTPStatus.FORBIDDEN:
            raise
        found = await api.list(resources.DEPLOYMENT.path(namespace), labelSelector=selector)
    there = (item for item in found if not item["metadata"].get("deletionTimestamp"))
    known = {item["metadata"]["namespace"]: _installation(item) for item in there}
    try:
        roles = await api.list(resources.CLUSTER_ROLE.path(), labelSelector=manifests.INSTALLATION)
    except DeniedError as error:
        if error.code != HTTPStatus.FORBIDDEN:
            raise
        roles = []
    for role in roles:
        owner = role["metadata"]["labels"][manifests.INSTALLATION]
        known.setdefault(owner, Installation(owner, manifests.MANAGER, options=manifests.Options()))
    if any(name != namespace for name in known):
        await _read_ports(api, known)
    return [known[name] for name in sorted(known)]


async def _read_ports(api: Api, known: dict[str, Installation]) -> None:
    try:
        found = await api.list(resources.DAEMON_SET.path(), labelSelector=f"{PARTS},{manifests.COMPONENT}=sniffer")
    except DeniedError as error:
        if error.code != HTTPStatus.FORBIDDEN:
            raise
        return
    for item in found:
        if one := known.get(item["metadata"]["namespace"]):
            one.health_port = manifests.health_port(item)


def refuse_port(found: Iterable[Installation], namespace: str, options: manifests.Options) -> None:
    """Let no two installations have the same port for their sniffers' health.

    A sniffer whose port is taken would be probed at the other one's, and count as well while that one is.

    Args:
        found: All that are known.
        namespace: Of the one that is installed.
        options: What it is installed with.

    Raises:
        CliError: Another one has that port.
    """
    sniffers = next(item for item in manifests.as_charted(options, namespace) if item["kind"] == "DaemonSet")
    port = manifests.health_port(sniffers)
    for one in found:
        if port and one.namespace != namespace and one.health_port == port:
            raise CliError(
                f"the sniffers of the installation in namespace {one.namespace} have port {port} on every node. "
                f"Choose another one with --sniffer-health-port, {port + 1} for example."
            )


async def objects(api: Api, namespace: str, needed: Collection[str]) -> list[dict[str, Any]]:
    """What belongs to the installation of a namespace, in the order of applying.

    Args:
        api: Of the cluster.
        namespace: Of the installation.
        needed: Kinds that must be readable; others are passed over where they may not be read.

    Raises:
        DeniedError: A needed kind may not be read.
        ApiError: The API cannot be asked.
    """
    selector = f"{manifests.INSTALLATION}={namespace}"

    async def of(resource: resources.Resource) -> list[dict[str, Any]]:
        try:
            return await api.list(resource.path(namespace), labelSelector=selector)
        except DeniedError as error:
            if error.code == HTTPStatus.FORBIDDEN and resource.kind not in needed:
                return []
            raise

    found = await asyncio.gather(*(of(resource) for resource in resources.IN_ORDER))
    items = [item for several in found for item in several]
    # What is on its way out is not there any more, as far as it is ours to remove it.
    return [item for item in items if not item["metadata"].get("deletionTimestamp")]
