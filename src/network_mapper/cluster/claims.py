"""Who has an address, and since when.

Almost every address has one owner for as long as anybody remembers, so one claim is stored bare and only contested or
re-used addresses pay for a list.
"""

from __future__ import annotations

from bisect import insort
from itertools import islice

from network_mapper.cluster.entries import FOREVER, Claim, Contested, Entry, NodeEntry, PodEntry, ServiceEntry


class Claims:
    """Claims by canonical address. `by_address` is read by the index on its fast path."""

    def __init__(self) -> None:
        self.by_address: dict[str, Claim | tuple[Claim, ...]] = {}

    def add(self, address: str, claim: Claim) -> None:
        """Add a claim."""
        held = self.by_address.get(address)
        if held is None:
            self.by_address[address] = claim
        else:
            claims = list(as_tuple(held))
            insort(claims, claim, key=_order)
            self.by_address[address] = tuple(claims)

    def remove(self, address: str, owner: Entry) -> None:
        """Remove the claims of an owner, if it has any."""
        held = self.by_address.get(address)
        if held is None:
            return
        left = tuple(claim for claim in as_tuple(held) if claim.owner is not owner)
        if not left:
            del self.by_address[address]
        else:
            self.by_address[address] = left[0] if len(left) == 1 else left

    def at(self, address: str, instant: int) -> Claim | Contested | None:
        """The one owner at an instant, or several.

        A service may lend itself the address of a node (externalIPs, balancers that listen on the nodes). Nobody
        speaks from such an address but the node, so the node is the owner; `dialling` finds the service by its port.
        """
        claims = self.of(address)
        return answer(speaking(claims, instant), claims, instant)

    def of(self, address: str) -> tuple[Claim, ...]:
        """All claims on an address, by start."""
        held = self.by_address.get(address)
        return () if held is None else as_tuple(held)

    def living_pods(self, address: str, limit: int) -> list[PodEntry]:
        """At most `limit` of the pods that have the address and have not ended, the oldest first."""
        living = (c.owner for c in self.of(address) if c.end == FOREVER and isinstance(c.owner, PodEntry))
        return list(islice(living, limit))


def as_tuple(held: Claim | tuple[Claim, ...]) -> tuple[Claim, ...]:
    """What is stored for an address, always as a tuple."""
    return (held,) if isinstance(held, Claim) else held


def identity(owner: Entry) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    if isinstance(owner, PodEntry):
        return "Pod", owner.namespace, owner.name
    if isinstance(owner, NodeEntry):
        return "Node", "", owner.name
    return "Service", owner.namespace, owner.name


def speaking(claims: tuple[Claim, ...], instant: int) -> list[Claim]:
    """The claims that hold at an instant; services only where nobody else does."""
    valid = [claim for claim in claims if claim.start <= instant < claim.end]
    return [claim for claim in valid if not isinstance(claim.owner, ServiceEntry)] or valid


def answer(valid: list[Claim], claims: tuple[Claim, ...], instant: int) -> Claim | Contested | None:
    """The answer where `valid` of all `claims` hold; its span ends where any of these begins or ends."""
    if not valid:
        return None
    if len(valid) > 1:
        return Contested(tuple(claim.owner for claim in valid))
    if len(claims) == 1:
        return valid[0]
    edges = [edge for claim in claims for edge in (claim.start, claim.end)]
    start = max(edge for edge in edges if edge <= instant)
    end = min(edge for edge in edges if edge > instant)
    return Claim(valid[0].owner, start, end)


def _order(claim: Claim) -> tuple[int, tuple[str, str, str]]:
    return claim.start, identity(claim.owner)
