"""From what the API says of a pod to the span in which its addresses were its own.

The API writes whole seconds, cut off, so an instant in it means "within the second after this". A span is the widest
that agrees with that: it starts with the first millisecond of its first second and ends with the last of its last. Two
pods that used one address within the same second are therefore both possible in it, which is the truth. Two owners of
an address are told apart wherever the first one's last container ended a whole second, 1,000 ms, before the second
one's first container began, whatever part of a second they began in; with less between them, where a second of the
clock began meanwhile. What nodes saw (`sightings`) tells closer ones apart.

A span is as narrow as the API's word makes it, and no narrower. Nothing speaks from a pod before its first container
has begun, and nothing after its last one has ended, whatever else the object says: it keeps its addresses when it is
over, and its `deletionTimestamp` lies in the future while it speaks on. All these times are written by the kubelet, on
the clock of the pod's node; that clock may differ from others, which whoever asks has to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from network_mapper.cluster.objects import milliseconds
from network_mapper.cluster.spans import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.cluster.objects import ContainerStatus, ObjectMeta, Pod, PodStatus

SECOND: Final = 1000
"""Resolution of the API's times, in milliseconds."""

_FINISHED = ("Succeeded", "Failed")
_STOPPED = (("Ready", "False"), ("ContainersReady", "False"), ("DisruptionTarget", "True"))
"""Conditions that a pod takes on when it is stopped."""


class Start(NamedTuple):
    """From when on a pod can have spoken.

    Attributes:
        time: Milliseconds since the epoch, on its node's clock.
        told: A container's own time says so; else it may be later.
        waits: None of its containers has begun so far.
    """

    time: int
    told: bool = False
    waits: bool = False


def start_of(meta: ObjectMeta, status: PodStatus | None, created: Callable[[], int]) -> Start:
    """From when on a pod can have spoken: the start of its first container.

    An init container comes before all others, and often before the API knows the pod's address. Where that start is not
    told, or no longer since the container was restarted, it is when the kubelet took the pod on (`status.startTime`),
    not when it was created: a pod may wait for hours for a place and then get the address of one that lived meanwhile.
    A static pod is the exception, for its mirror in the API is created after it runs, and a restarted kubelet writes a
    new startTime: there it is the earlier of the two.

    Args:
        meta: Of the pod.
        status: Of the pod.
        created: When the object was created; asked where nothing else is known.
    """
    first = _first_container(status)
    if first is not None and first != FOREVER:
        return Start(first, told=True)
    started = milliseconds(status.start_time) if status else None
    if started is None:
        started = created()
    elif any(reference.kind == "Node" for reference in meta.owner_references or ()):
        started = min(started, created())
    return Start(started, waits=first == FOREVER)


def end_of(pod: Pod, meta: ObjectMeta, problems: list[str]) -> tuple[int, bool]:
    """Until when a pod can have spoken, exclusive, and whether a container's own time says so.

    That is the end of its last container, once none is to begin again: the pod is over, or all its containers have
    ended after it was to be deleted. A pod that was evicted, or whose node was lost, often says nothing of its
    containers. Its conditions then say since when it is no longer ready, or was to go.

    Returns:
        `FOREVER` where it lives, or nothing tells when it ended.
    """
    status = pod.status
    if status is None:
        return FOREVER, False
    over = status.phase in _FINISHED
    if not over and not (meta.deletion_timestamp and _all_ended(pod, status)):
        return FOREVER, False
    last: int | None = None
    runs = False
    for statuses in (status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses):
        for container in statuses or ():
            state = container.state
            runs = runs or (state is not None and state.running is not None)
            finished = milliseconds(state.terminated.finished_at) if state and state.terminated else None
            if finished is not None and (last is None or finished > last):
                last = finished
    if last is not None and not runs:
        return last + SECOND, True
    times = (
        milliseconds(condition.last_transition_time)
        for condition in status.conditions or ()
        if (condition.type, condition.status) in _STOPPED
    )
    stopped = max((time for time in times if time is not None), default=None)
    if stopped is not None:
        return stopped + SECOND, False
    if over and (status.pod_ips or status.pod_ip):
        problems.append("over, but no container says since when")
    return FOREVER, False


def _first_container(status: PodStatus | None) -> int | None:
    """When the first container began: None where that is not told, `FOREVER` where none has begun."""
    if status is None:
        return None
    # Init containers are listed, and run, in the order of the spec, all others in no order that is promised.
    init = [_began(container) for container in status.init_container_statuses or ()]
    main = [_began(container) for container in status.container_statuses or ()]
    if not init and not main:
        return None
    begun = [time for time in (*init, *main) if time is not None]
    if init and init[0] not in {None, FOREVER}:
        return min(begun)
    return min(begun) if len(begun) == len(init) + len(main) else None


def _began(container: ContainerStatus) -> int | None:
    """When a container began for the first time: None where that is not told, `FOREVER` where it has not."""
    state = container.state
    before = container.last_state.terminated if container.last_state else None
    restarts = container.restart_count or 0
    if before is not None:
        return _time(before.started_at) if restarts <= 1 else None
    if restarts or state is None:
        return None
    if state.running is not None:
        return _time(state.running.started_at)
    if state.terminated is not None:
        return _time(state.terminated.started_at)
    return FOREVER if state.waiting is not None else None


def _time(text: str | None) -> int | None:
    time = milliseconds(text)
    return time if time is not None and time > 0 else None  # runtimes write the year 1 or 1970 for "never"


def _all_ended(pod: Pod, status: PodStatus) -> bool:
    """Whether every container has begun and ended."""
    wanted = (pod.spec and pod.spec.containers) or ()
    told = status.container_statuses or ()
    return len(told) >= max(1, len(wanted)) and all(
        container.state is not None and container.state.terminated is not None for container in told
    )
