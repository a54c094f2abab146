"""The address blocks of the cluster: where its pods and services get their addresses from.

An address inside one of them that nobody has is a pod or service not seen, never the outside world. Not every network
plugin takes its addresses from where the nodes' objects say, so what lies close to a pod's address counts as well: the
plugin's own bridges and gateways live there.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_Ranges = dict[int, tuple[list[int], list[int]]]


class Blocks:
    """Blocks by the object that names them. A look-up costs one bisection however many there are."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[str, ...]] = {}
        self._ranges: _Ranges | None = None

    def put(self, about: str, blocks: tuple[str, ...]) -> None:
        """Replace the blocks that an object names; each in CIDR notation."""
        if self._named.get(about, ()) == blocks:
            return
        self._ranges = None
        if blocks:
            self._named[about] = blocks
        else:
            del self._named[about]

    def __contains__(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if self._ranges is None:
            self._ranges = _merge(block for blocks in self._named.values() for block in blocks)
        starts, ends = self._ranges[address.version]
        place = bisect_right(starts, int(address)) - 1
        return place >= 0 and int(address) <= ends[place]

    def __len__(self) -> int:
        return len(self._named)


class Neighbourhoods:
    """The blocks in which known addresses lie: /24 for IPv4, /64 for IPv6."""

    def __init__(self) -> None:
        self._counts: dict[str | int, int] = {}

    def add(self, address: str) -> None:
        """Count an address, canonical."""
        block = _block(address)
        self._counts[block] = self._counts.get(block, 0) + 1

    def remove(self, address: str) -> None:
        """Count it no more."""
        block = _block(address)
        left = self._counts[block] - 1
        if left:
            self._counts[block] = left
        else:
            del self._counts[block]

    def __contains__(self, address: str) -> bool:
        return _block(address) in self._counts

    def __len__(self) -> int:
        return len(self._counts)


def around(addresses: Iterable[str]) -> tuple[str, ...]:
    """The block of services that holds each of these service addresses, as large as such blocks usually are."""
    prefixes = ((address, 112 if ":" in address else 16) for address in addresses)
    return tuple(str(ipaddress.ip_network(f"{address}/{prefix}", strict=False)) for address, prefix in prefixes)


def _block(address: str) -> str | int:
    if ":" in address:
        return int(ipaddress.IPv6Address(address)) >> 64
    return address.rpartition(".")[0]


def _merge(blocks: Iterable[str]) -> _Ranges:
    """Sorted, disjoint ranges of addresses as (first ones, last ones), by IP version."""
    merged: _Ranges = {4: ([], []), 6: ([], [])}
    networks = [ipaddress.ip_network(block) for block in set(blocks)]
    for network in sorted(networks, key=lambda network: int(network.network_address)):
        starts, ends = merged[network.version]
        first, last = int(network.network_address), int(network.broadcast_address)
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return merged
