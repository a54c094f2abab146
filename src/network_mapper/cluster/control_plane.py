"""The addresses of the API server, where they are no pod's.

They are the endpoints of the service `kubernetes` in `default`, which the API server writes itself. A managed control
plane may speak from neighbours of these addresses, so a wider block around each may be asked for.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.endpoints import ServiceKey

API_SERVICE: Final[ServiceKey] = ("default", "kubernetes")

WIDEST: Final = 16
"""Shortest prefix: each address of a block is told when it changes."""


class ControlPlane:
    """Addresses of the API server.

    Args:
        prefix: Length of the IPv4 prefix around each that belongs to the control plane, too.
    """

    def __init__(self, prefix: int = 32) -> None:
        self._mask = 32 - min(max(prefix, WIDEST), 32)
        self._addresses: frozenset[str] = frozenset()
        self._blocks: frozenset[int] = frozenset()

    def put(self, addresses: Iterable[str]) -> set[str]:
        """Replace the addresses; returns those that belong to it no more, or did not before, with their neighbours."""
        before, self._addresses = self._addresses, frozenset(addresses)
        if before == self._addresses:
            return set()
        blocks = self._blocks
        self._blocks = frozenset(self._block(address) for address in self._addresses if ":" not in address)
        return set(before ^ self._addresses) | self._within(blocks ^ self._blocks)

    def addresses(self) -> set[str]:
        """All of them, with their neighbours."""
        return set(self._addresses) | self._within(self._blocks)

    def __contains__(self, address: str) -> bool:
        if address in self._addresses:
            return True
        return bool(self._mask) and ":" not in address and self._block(address) in self._blocks

    def __len__(self) -> int:
        return len(self._addresses)

    def _within(self, blocks: frozenset[int]) -> set[str]:
        if not self._mask:
            return set()
        size = 1 << self._mask
        return {str(ipaddress.IPv4Address(block * size + host)) for block in blocks for host in range(size)}

    def _block(self, address: str) -> int:
        return int(ipaddress.IPv4Address(address)) >> self._mask
