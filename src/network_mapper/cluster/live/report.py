"""What a followed cluster says of itself: states, counters, and lines for a person who wonders what is missing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.cluster.live.reflector import Counts, State
from network_mapper.cluster.objects import NAMESPACE, SERVICE_CIDR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.live.reflector import Reflector

_PATIENCE: Final = 3
"""Failures in a row after which one resource's trouble is told; a single cut is everyday life."""


_OWNERS_LACK: Final = "workloads that they own go by the name of what is below"
_LACKS: Final = {
    NAMESPACE: "it is not known which PodSecurity level the sniffers' namespace enforces",
    SERVICE_CIDR: "an address of a service that is gone may be taken for one outside",
}
"""What is unknown where a kind may not be read that is no owner's."""


class ResourceStatus(msgspec.Struct, frozen=True):
    """How it stands with one resource.

    Attributes:
        resource: Its name, such as `deployments.apps`.
        kind: As in objects, such as `Deployment.apps`.
        state: What is being done: waiting, listing, watching, or why not: forbidden, absent.
        objects: Held at present.
        last_event: When the last event or bookmark came, milliseconds since the epoch; 0 when none did.
        lists: Lists begun; each but the first was made necessary by a loss.
        events: Events taken.
        errors: Failures since the start.
        last_error: What the present failure is; empty when all is well.
        malformed: Objects and lines that could not be read, since the start.
        grant: The rule of a ClusterRole that would allow to read it; empty unless it is forbidden.
    """

    resource: str
    kind: str
    state: State
    objects: int
    last_event: int
    lists: int
    events: int
    errors: int
    last_error: str
    malformed: int
    grant: str


class Totals(Counts):
    """Counters over all resources, since the start.

    Attributes:
        discoveries: How often the API was asked what it serves.
    """

    discoveries: int = 0

    def add(self, counts: Counts) -> None:
        """Add one resource's, or others that were added up."""
        for field in self.__struct_fields__:
            if field != "errors" and hasattr(counts, field):
                setattr(self, field, getattr(self, field) + getattr(counts, field))
        self.errors.update(counts.errors)


def status_of(reflector: Reflector) -> ResourceStatus:
    """The status of one resource."""
    counts, resource = reflector.counts, reflector.resource
    return ResourceStatus(
        resource=resource.name,
        kind=resource.group_kind,
        state=reflector.state,
        objects=len(reflector.held),
        last_event=reflector.last_event,
        lists=counts.lists,
        events=counts.events,
        errors=counts.errors.total(),
        last_error=reflector.last_error,
        malformed=counts.malformed,
        grant=resource.grant if reflector.state is State.FORBIDDEN else "",
    )


def refusal(reflector: Reflector, *, required: bool) -> str:
    """The line about a resource that may not be read."""
    resource = reflector.resource
    lack = "there is no map without them" if required else _LACKS.get(resource.group_kind, _OWNERS_LACK)
    return f"{resource.name} may not be read, and {lack}: grant {resource.grant}"


def trouble(reflectors: Iterable[Reflector]) -> list[str]:
    """Lines about resources that keep failing, and about objects that cannot be read."""
    lines = []
    for reflector in reflectors:
        name = reflector.resource.name
        if reflector.state in (State.WAITING, State.ABSENT) and reflector.failures >= _PATIENCE:
            lines.append(f"{name} cannot be read since {at(reflector.failing_since)}: {reflector.last_error}")
        for (namespace, item), cause in reflector.malformed.items():
            about = f" {namespace}/{item}" if namespace else f" {item}" if item else ""
            lines.append(f"{name}{about}: {cause}")
    return lines


def at(moment: int) -> str:
    """A time of the wall clock, in milliseconds, for people."""
    return dt.datetime.fromtimestamp(moment // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
