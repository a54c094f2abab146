"""Reads once what following a cluster would read: the core kinds, and the kinds of owners that are met on the way.

For a snapshot of a cluster whose mapper runs elsewhere. The lists are made by the same reflectors, so pages, refusals
and back-off are the same; it only ends after a list, and gives up on a resource that keeps failing.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.cluster.live.cluster import Owners, wall_clock
from network_mapper.cluster.live.discovery import Catalogue, DiscoveryError, discover
from network_mapper.cluster.live.follow import Contact, Follower
from network_mapper.cluster.live.reflector import Reflector, State
from network_mapper.cluster.live.resources import (
    BUILTIN_OWNERS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    PODS,
    REQUIRED,
    SERVICE_CIDRS,
    Resource,
)
from network_mapper.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.cluster.identity import IdentityKeys
    from network_mapper.cluster.live.api import Api
    from network_mapper.cluster.objects import Object

TRIES: Final = 4
"""Failures in a row after which a resource is given up."""


class ReadError(ApiError):
    """What is needed for a map cannot be read; one line for a person."""


class Reading(msgspec.Struct):
    """What came of it.

    Attributes:
        counts: Objects of each resource that was read, by its name, in the order in which they were read.
        warnings: What could not be read, a line each.
    """

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    warnings: list[str] = msgspec.field(default_factory=list)


class _Objects:
    """A sink that hands each object on, once."""

    def __init__(self, take: Callable[[Resource, Object], None]) -> None:
        self.resource = PODS
        self.count = 0
        self._take = take

    def apply(self, kind: str, item: Object, /) -> None:  # noqa: ARG002  a sink's signature
        self.count += 1
        self._take(self.resource, item)

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int) -> None:
        """Nothing is deleted: each resource is listed once."""


async def read_once(
    api: Api,
    take: Callable[[Resource, Object], None],
    *,
    keys: IdentityKeys,
    namespaces: Sequence[str] = (),
    say: Callable[[str, int], None] | None = None,
) -> Reading:
    """Read a cluster.

    Args:
        api: Client of the API; it is not closed here.
        take: Gets each object, with its resource. An object may come twice when a list has to begin again; the later
            one holds.
        keys: Annotations to keep.
        namespaces: Read only these; all where none are named. Nodes and the like are read in any case.
        say: Is told the name of each resource and how many objects of it were read, as that goes on.

    Raises:
        ReadError: Pods may not be read, or something cannot be read for another reason than a refusal.
        ApiError: The API does not answer.
    """
    try:
        catalogue: Catalogue | None = await discover(api)
    except DiscoveryError as error:
        catalogue, reason = None, str(error)
    else:
        reason = ""
    reading = Reading()
    if reason:
        reading.warnings.append(f"discovery failed, so only the core kinds are read: {reason}")
    met: list[str] = []
    objects = _Objects(take)
    owners = Owners(objects, keys, met.append)
    wanted = _core(catalogue)
    while wanted:
        resource = wanted.pop(0)
        objects.resource, objects.count = resource, 0
        await _read(api, resource, owners, namespaces, reading, _telling(say, resource, objects))
        reading.counts[resource.name] = objects.count
        known = catalogue.resources if catalogue else {}
        wanted += [known[kind] for kind in met if kind in known]
        met.clear()
    return reading


def _core(catalogue: Catalogue | None) -> list[Resource]:
    core = []
    for default in (*REQUIRED, *BUILTIN_OWNERS, NAMESPACES, SERVICE_CIDRS):
        if catalogue is None:
            core += [default] if default != SERVICE_CIDRS else []
        elif found := catalogue.resources.get(default.group_kind):
            core.append(found)
        elif default == ENDPOINT_SLICES:
            core.append(ENDPOINTS)
        elif default in REQUIRED or catalogue.serves(default.group_kind) is None:
            core.append(default)
    return core


def _telling(
    say: Callable[[str, int], None] | None, resource: Resource, objects: _Objects
) -> Callable[[Reflector], None]:
    return lambda _: say(resource.name, objects.count) if say else None


async def _read(  # noqa: PLR0917  one call, in one place
    api: Api,
    resource: Resource,
    owners: Owners,
    namespaces: Sequence[str],
    reading: Reading,
    told: Callable[[Reflector], None],
) -> None:
    follower = Follower(api, Contact(wall_clock), told)
    for namespace in namespaces if namespaces and resource.namespaced else ("",):
        spread = random.Random()  # noqa: S311  jitter is no secret
        reflector = Reflector(resource, owners, wall=wall_clock, spread=spread)
        while not reflector.listed and reflector.state not in (State.FORBIDDEN, State.ABSENT):
            if reflector.failures >= TRIES:
                raise ReadError(f"{resource.name} cannot be read: {reflector.last_error}")
            await follower.once(reflector, namespace)
        where = f" in namespace {namespace}" if namespace else ""
        if reflector.state is State.FORBIDDEN:
            line = f"{resource.name}{where} may not be read: grant {resource.grant}"
            if resource == PODS:
                raise ReadError(line)
            reading.warnings.append(line)
        elif reflector.state is State.ABSENT:
            reading.warnings.append(f"{resource.name} is not served")
        for (space, name), cause in reflector.malformed.items():
            about = f" {space}/{name}" if space else f" {name}" if name else ""
            reading.warnings.append(f"{resource.name}{about} is left out: {cause}")
