"""Who had an address, where what nodes saw is set against what the API tells.

The API goes first where it is certain: a node or a service has the address, or containers' own times enclose the
instant. Else a node that saw the address in a pod's network namespace knows better: it settles which of several
possible owners it was, and it speaks for pods of which nobody was told. Where its word stands against the API's, and
the API's owner lives on another node, either may be meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.claims import Near
from network_mapper.cluster.entries import PodEntry
from network_mapper.cluster.lifetimes import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.cluster.entries import Entry
    from network_mapper.cluster.sightings import Sighted


def weigh(
    told: Near, seen: tuple[list[Sighted], int, int], instant: int, known: Callable[[str], PodEntry | None]
) -> Near:
    """Find out who had an address at an instant.

    Args:
        told: Who had it as far as the API tells.
        seen: Who was seen with it, and the span in which nobody else was.
        instant: Milliseconds since the epoch.
        known: The pod of a UID, present or remembered.
    """
    sighted, start, end = seen
    owners = told.owners
    near = told.within(Near((), start, end))
    if any(not isinstance(owner, PodEntry) for owner in owners):
        return near
    witnessed = [pod for pod in (_pod(each, instant, known) for each in sighted) if pod is not None]
    if not witnessed:
        return near
    uids = {pod.uid for pod in witnessed}
    among = [owner for owner in owners if isinstance(owner, PodEntry) and owner.uid in uids]
    if among:
        return near._replace(owners=among)
    if any(_is_certain(owner, instant) for owner in owners):
        return near
    elsewhere = [owner for owner in owners if isinstance(owner, PodEntry) and not _same_node(owner, witnessed)]
    return near._replace(owners=[*elsewhere, *witnessed])


def _pod(sighted: Sighted, instant: int, known: Callable[[str], PodEntry | None]) -> PodEntry | None:
    """The pod that was seen; None where the API says for certain that it had no address of its own then."""
    pod = known(sighted.uid)
    if pod is None:
        return sighted.entry()
    over = (pod.start_told and instant < pod.start) or (pod.end_told and pod.end <= instant)
    return None if over or pod.host_network else pod


def _is_certain(owner: Entry, instant: int) -> bool:
    """Whether containers' own times, which are known to a second, enclose an instant."""
    return (
        isinstance(owner, PodEntry)
        and owner.start_told
        and owner.end_told
        and owner.start + SECOND <= instant < owner.end - SECOND
    )


def _same_node(owner: PodEntry, witnessed: Sequence[PodEntry]) -> bool:
    return any(pod.node == owner.node for pod in witnessed)
