"""Who holds what, and when: addresses, ports of nodes, host names.

Almost every address has one owner for as long as anybody remembers, so one claim is stored bare and says from when on
its owner was alone. Only contested addresses pay for a list, and those who are gone are kept apart by their numbers
(`remembered`).
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from network_mapper.cluster.entries import (
    Claim,
    Contested,
    Entry,
    NodeEntry,
    PodEntry,
    ServiceEntry,
)
from network_mapper.cluster.spans import ALWAYS, FOREVER, Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.cluster.remembered import Remembered


class Near(NamedTuple):
    """Who held something at an instant, and the span around it in which nobody else did begin or end to.

    Sorted by start, then by kind, namespace and name.
    """

    owners: Sequence[Entry]
    start: int
    end: int

    def within(self, other: Near) -> Near:
        """The same owners in the span in which both answers hold."""
        return Near(self.owners, max(self.start, other.start), min(self.end, other.end))


NOBODY = Near((), ALWAYS, FOREVER)


class Shared:
    """Several present owners, and the claim of the one that lives where the others have ended."""

    __slots__ = ("alone", "owners")

    def __init__(self, owners: tuple[Entry, ...], alone: Claim | None) -> None:
        self.owners = owners
        self.alone = alone


class Claims:
    """Owners by what they hold (`holds`). `by_key` is read by the index on its fast path.

    Args:
        remembered: Those who are gone.
        doubted_until: Asked with a key and the UID of a pod that holds it alone: until when somebody else may have.
    """

    def __init__(self, remembered: Remembered, doubted_until: Callable[[str, str], int]) -> None:
        self.by_key: dict[str, Claim | Shared] = {}
        self.past: dict[str, int | Spans[int]] = {}
        self._remembered = remembered
        self._doubted_until = doubted_until

    def add(self, key: str, owner: Entry) -> None:
        """Let a present owner hold something."""
        self._settle(key, (*self.present(key), owner))

    def remove(self, key: str, owner: Entry) -> None:
        """Let it hold that no more."""
        self._settle(key, tuple(other for other in self.present(key) if other is not owner))

    def bury(self, key: str, number: int) -> None:
        """Let one that is gone have held something."""
        held = self.past.get(key)
        if held is None:
            self.past[key] = number
        else:
            if isinstance(held, int):
                first, held = held, Spans(array("Q"), self._remembered.start, self._remembered.end)
                held.add(first)
                self.past[key] = held
            held.add(number)
        self.settle(key)

    def forget(self, key: str, number: int) -> None:
        """Forget that."""
        held = self.past[key]
        if isinstance(held, int):
            del self.past[key]
        else:
            held.remove(number)
            if len(held) == 1:
                self.past[key] = held.first()
        self.settle(key)

    def settle(self, key: str) -> None:
        """Work out anew since when the present owner is alone."""
        self._settle(key, self.present(key))

    def near(self, key: str, instant: int) -> Near:
        """Who held something at an instant."""
        owners: list[Entry] = []
        start, end = ALWAYS, FOREVER
        for owner in self.present(key):
            if instant < owner.start:
                end = min(end, owner.start)
            elif owner.end <= instant:
                start = max(start, owner.end)
            else:
                owners.append(owner)
                start, end = max(start, owner.start), min(end, owner.end)
        past = self.past.get(key)
        if past is not None:
            numbers, since, until = self._near_past(past, instant)
            owners += [self._remembered.entry(number) for number in numbers]
            start, end = max(start, since), min(end, until)
        if len(owners) > 1:
            owners.sort(key=_order)
        return Near(owners, start, end)

    def present(self, key: str) -> tuple[Entry, ...]:
        """The present owners."""
        held = self.by_key.get(key)
        if held is None:
            return ()
        return (held.owner,) if isinstance(held, Claim) else held.owners

    def is_known(self, key: str) -> bool:
        """Whether anybody, present or remembered, holds it or did."""
        return key in self.by_key or key in self.past

    def held_after(self, key: str, instant: int) -> bool:
        """Whether somebody is known to hold it then, or to have held it later."""
        if any(owner.end > instant for owner in self.present(key)):
            return True
        past = self.past.get(key)
        return past is not None and self._last_end(past) > instant

    def living_pods(self, address: str, limit: int) -> list[PodEntry]:
        """At most `limit` of the pods that have the address and have not ended, the oldest first."""
        living = (
            owner
            for owner in sorted(self.present(address), key=_order)
            if isinstance(owner, PodEntry) and owner.end == FOREVER
        )
        return list(islice(living, limit))

    def _settle(self, key: str, owners: tuple[Entry, ...]) -> None:
        if not owners:
            self.by_key.pop(key, None)
            return
        living = [owner for owner in owners if owner.end == FOREVER]
        if len(living) == 1:
            alone = living[0]
            start = alone.start
            if len(owners) > 1:
                start = max(start, *(owner.end for owner in owners if owner is not alone))
            past = self.past.get(key)
            if past is not None:
                start = max(start, self._last_end(past))
            if isinstance(alone, PodEntry):
                start = max(start, self._doubted_until(key, alone.uid))
            claim = Claim(alone, start, FOREVER)
        else:
            claim = None
        if len(owners) > 1:
            self.by_key[key] = Shared(owners, claim)
        elif claim is not None:
            self.by_key[key] = claim
        else:
            owner = owners[0]
            self.by_key[key] = Claim(owner, owner.start, owner.start)  # nothing is certain at a glance

    def _near_past(self, past: int | Spans[int], instant: int) -> tuple[list[int], int, int]:
        if not isinstance(past, int):
            return past.near(instant)
        start, end = self._remembered.start(past), self._remembered.end(past)
        if instant < start:
            return [], ALWAYS, start
        return ([past], start, end) if instant < end else ([], end, FOREVER)

    def _last_end(self, past: int | Spans[int]) -> int:
        return self._remembered.end(past) if isinstance(past, int) else past.last_end()


def holds(entry: Entry) -> list[str]:
    """All keys under which an entry is held; see the functions below."""
    keys: list[str] = []
    if isinstance(entry, PodEntry):
        keys += [host_key(entry.node)] if entry.host_network else entry.addresses
        keys += [listening_key(entry.node, *port) for port in dict.fromkeys(entry.node_ports)]
    elif isinstance(entry, ServiceEntry):
        keys += entry.addresses
        keys += [on_nodes_key(*port) for port in dict.fromkeys(entry.on_nodes)]
        keys += [balancer_key(name) for name in entry.hostnames]
    else:
        keys += entry.addresses
        keys += [gateway_key(address) for address in entry.gateways]
    return keys


def host_key(node: str) -> str:
    """What pods on a node's network hold."""
    return f"host {node}"


def listening_key(node: str, port: int, protocol: str) -> str:
    """What pods that listen on a node's addresses hold."""
    return f"listening {node} {port}/{protocol}"


def on_nodes_key(port: int, protocol: str) -> str:
    """What services hold for which every node listens."""
    return f"on nodes {port}/{protocol}"


def balancer_key(name: str) -> str:
    """What services hold whose balancer has a host name."""
    return f"balancer {name}"


def gateway_key(address: str) -> str:
    """What nodes hold where nobody else has the address."""
    return f"gateway {address}"


def identity(owner: Entry) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    if isinstance(owner, PodEntry):
        return "Pod", owner.namespace, owner.name
    if isinstance(owner, NodeEntry):
        return "Node", "", owner.name
    return "Service", owner.namespace, owner.name


def speaking(owners: Sequence[Entry]) -> Sequence[Entry]:
    """Those who may speak from an address: services only where nobody else has it.

    A service may lend itself the address of a node (externalIPs, balancers that listen on the nodes). Nobody speaks
    from such an address but the node.
    """
    return [owner for owner in owners if not isinstance(owner, ServiceEntry)] or owners


def answer(near: Near) -> Claim | Contested | None:
    """The one owner, or several."""
    if not near.owners:
        return None
    if len(near.owners) > 1:
        return Contested(tuple(near.owners))
    return Claim(near.owners[0], near.start, near.end)


def _order(owner: Entry) -> tuple[int, tuple[str, str, str]]:
    return owner.start, identity(owner)
