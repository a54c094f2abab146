"""Which kinds the API serves, and where: discovery, in two requests or, from servers before 1.27, in many.

A group whose own server does not answer is listed as it was last, or not at all; what is not found then says nothing.
`Catalogue.serves` therefore has three answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.cluster.live.decode import UNREADABLE
from network_mapper.cluster.live.resources import Resource
from network_mapper.kube.errors import ApiError
from network_mapper.kube.status import read_status

if TYPE_CHECKING:
    from network_mapper.cluster.live.api import Answer, Api

_GROUPS_AT_ONCE: Final = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
AGGREGATED: Final = f"{_GROUPS_AT_ONCE.format('v2')},{_GROUPS_AT_ONCE.format('v2beta1')},application/json"
"""Accept header: everything in one answer where the server can, else the names of the groups."""

NEEDED: Final = frozenset({"list", "watch"})


class DiscoveryError(ApiError):
    """Discovery came to nothing, though the server answered.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Catalogue:
    """The kinds that can be listed and watched.

    Attributes:
        resources: By `group_kind`, in the version that the server prefers.
        unwatchable: Kinds that are served, but cannot be listed and watched by anybody.
        unknown_groups: Groups that could not be asked.
    """

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.unwatchable: set[str] = set()
        self.unknown_groups: set[str] = set()

    def add(self, resource: Resource, verbs: frozenset[str]) -> None:
        """Add a resource, unless an earlier version of the list has it."""
        kind = resource.group_kind
        if verbs >= NEEDED:
            self.resources.setdefault(kind, resource)
            self.unwatchable.discard(kind)
        elif kind not in self.resources:
            self.unwatchable.add(kind)

    def serves(self, kind: str) -> bool | None:
        """Whether a kind (`group_kind`) can be watched; None when its group could not be asked."""
        if kind in self.resources:
            return True
        return None if kind.partition(".")[2] in self.unknown_groups else False


class _Resource(msgspec.Struct, rename="camel", gc=False):
    resource: str = ""
    response_kind: _Kind | None = None
    scope: str = ""
    verbs: list[str] | None = None


class _Kind(msgspec.Struct, gc=False):
    kind: str = ""


class _Version(msgspec.Struct, gc=False):
    version: str = ""
    freshness: str = ""
    resources: list[_Resource] | None = None


class _Name(msgspec.Struct, gc=False):
    name: str = ""


class _Group(msgspec.Struct, gc=False):
    metadata: _Name | None = None
    versions: list[_Version] | None = None


class _GroupDiscoveryList(msgspec.Struct, gc=False):
    kind: str = ""
    items: list[_Group] | None = None


class _GroupVersion(msgspec.Struct, rename="camel", gc=False):
    version: str = ""


class _OldGroup(msgspec.Struct, rename="camel", gc=False):
    name: str = ""
    versions: list[_GroupVersion] | None = None
    preferred_version: _GroupVersion | None = None


class _Groups(msgspec.Struct, gc=False):
    groups: list[_OldGroup] | None = None


class _CoreVersions(msgspec.Struct, gc=False):
    versions: list[str] | None = None


class _OldResource(msgspec.Struct, gc=False):
    name: str = ""
    kind: str = ""
    namespaced: bool = False
    verbs: list[str] | None = None


class _ResourceList(msgspec.Struct, gc=False):
    resources: list[_OldResource] | None = None


async def discover(api: Api) -> Catalogue:
    """Ask the API what it serves.

    Raises:
        ApiError: Nothing came back, or (`DiscoveryError`) nothing that could be used.
    """
    catalogue = Catalogue()
    for path in ("/api", "/apis"):
        answer = await api.get(path, accept=AGGREGATED)
        if answer.status != 200:
            raise DiscoveryError(read_status(answer.status, answer.headers, answer.body).message, answer.status)
        found = _decode(answer, _GroupDiscoveryList)
        if found.kind == "APIGroupDiscoveryList":
            for group in found.items or ():
                _add_group(catalogue, group)
        elif path == "/api":
            for version in _decode(answer, _CoreVersions).versions or ():
                await _add_version(api, catalogue, "", version)
        else:
            for old in _decode(answer, _Groups).groups or ():
                first = old.preferred_version.version if old.preferred_version else ""
                names = {first: None} | dict.fromkeys(version.version for version in old.versions or ())
                for name in filter(None, names):
                    await _add_version(api, catalogue, old.name, name)
    return catalogue


def _decode(answer: Answer, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(answer.body, type=wanted)
    except UNREADABLE as error:
        kind = answer.headers.get("content-type", "").partition(";")[0] or "text"
        raise DiscoveryError(f"discovery was answered with {kind:.60} that cannot be read: {error}", 200) from error


def _add_group(catalogue: Catalogue, group: _Group) -> None:
    name = group.metadata.name if group.metadata else ""
    for version in group.versions or ():
        if version.freshness == "Stale":
            catalogue.unknown_groups.add(name)
        for item in version.resources or ():
            kind = item.response_kind.kind if item.response_kind else ""
            if kind and item.resource:
                resource = Resource(name, version.version, item.resource, kind, item.scope != "Cluster")
                catalogue.add(resource, frozenset(item.verbs or ()))


async def _add_version(api: Api, catalogue: Catalogue, group: str, version: str) -> None:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    answer = await api.get(path)
    found = _ResourceList()
    try:
        found = _decode(answer, _ResourceList)
    except DiscoveryError:
        catalogue.unknown_groups.add(group)
    if answer.status != 200:
        catalogue.unknown_groups.add(group)
    for item in found.resources or ():
        if "/" not in item.name and item.kind:
            resource = Resource(group, version, item.name, item.kind, item.namespaced)
            catalogue.add(resource, frozenset(item.verbs or ()))
