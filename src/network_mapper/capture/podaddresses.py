"""The addresses that a pod has in its network namespace, from the tables that anybody may read of its processes.

`/proc/PID/net/fib_trie` has every IPv4 address of the namespace (`/32 host LOCAL`) without its interface,
`/proc/PID/net/route` the interfaces with their networks (`net/ipv4/fib_trie.c` for both), and `/proc/PID/net/if_inet6`
the IPv6 addresses with theirs (`net/ipv6/addrconf.c: if6_seq_show`).

A pod may have further interfaces, such as the bridge of a container engine within it, whose addresses others use as
well. Its own are those of `eth0`, as runtimes call the interface that the pod's network gave it, or else of the
interface of its default route. Where two addresses have no network that says whose they are, neither is certain.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from network_mapper.capture.addresses import address_text

LONGEST_TABLE = 128 * 1024
"""Bytes. A pod with more routes than that is a router, and no address of it is certain."""

_USUAL = "eth0"
_LEAF = b"|-- "
_LOCAL = b"/32 host LOCAL"
_MOST = 4
"""Addresses of a family."""
_DAD_FAILED = 0x08
"""`include/uapi/linux/if_addr.h`: another machine has this address."""
_WHOLE_WORLD = 0x00
"""Scope of an address that is neither link-local (0x20) nor the host's own (0x10); unique local ones have it too."""


class _Route(NamedTuple):
    device: str
    network: int
    mask: int
    gateway: int


class _Address6(NamedTuple):
    device: str
    text: str


def addresses(fib_trie: bytes, route: bytes, if_inet6: bytes) -> tuple[str, ...]:
    """The addresses that certainly are the pod's own, canonical, IPv4 first; what cannot be read counts as not there.

    Args:
        fib_trie: That file, whole; nothing of IPv4 is certain when it was cut off at `LONGEST_TABLE`.
        route: Likewise.
        if_inet6: Likewise.
    """
    routes = _routes(route)
    sixes = _addresses6(if_inet6)
    device = _device(routes, sixes)
    fours = [] if max(len(fib_trie), len(route)) >= LONGEST_TABLE else _addresses4(fib_trie)
    own4 = _own(fours, routes, device)
    own6 = [each.text for each in sixes if each.device == device]
    found = [each for own in (own4, own6) if len(own) <= _MOST for each in own]
    return tuple(dict.fromkeys(found))


def _device(routes: list[_Route], sixes: list[_Address6]) -> str:
    known = [route.device for route in routes] + [each.device for each in sixes]
    if _USUAL in known:
        return _USUAL
    return next((route.device for route in routes if not route.mask), known[0] if len(set(known)) == 1 else "")


def _own(locals_: list[int], routes: list[_Route], device: str) -> list[str]:
    """Addresses in a network of the device; where there is none, as on a point-to-point link, the one in none."""
    own, elsewhere = [], []
    for address in locals_:
        near = [route for route in routes if route.mask and not route.gateway and address & route.mask == route.network]
        nearest = max(near, key=lambda route: route.mask, default=None)
        if nearest is None:
            elsewhere.append(address)
        elif nearest.device == device:
            own.append(address)
    if not own and len(elsewhere) == 1 and device:
        own = elsewhere
    return [address_text(address.to_bytes(4, "big")) for address in own]


def _addresses4(fib_trie: bytes) -> list[int]:
    found: dict[int, None] = {}
    leaf = b""
    for line in fib_trie.splitlines():
        _, is_leaf, text = line.partition(_LEAF)
        if is_leaf:
            leaf = text.strip()
        elif line.strip() == _LOCAL and (address := _dotted(leaf)) is not None:
            found[address] = None
    return [address for address in found if address >> 24 != 127 and address >> 16 != 0xA9FE]


def _dotted(text: bytes) -> int | None:
    parts = text.split(b".")
    if len(parts) != 4 or not all(part.isdigit() and len(part) <= 3 and int(part) < 256 for part in parts):
        return None
    return int.from_bytes(bytes(int(part) for part in parts), "big")


def _routes(text: bytes) -> list[_Route]:
    """Destination, gateway and mask are words of memory in the byte order of the host, in hexadecimal."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        try:
            network, gateway, mask = (_word(fields[place]) for place in (1, 2, 7))
        except (ValueError, OverflowError):
            continue
        found.append(_Route(fields[0].decode("ascii", "replace"), network, mask, gateway))
    return found


def _word(digits: bytes) -> int:
    return int.from_bytes(int(digits, 16).to_bytes(4, sys.byteorder), "big")


def _addresses6(text: bytes) -> list[_Address6]:
    """Lines of `address index prefix-length scope flags device`, all but the last in hexadecimal."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 6 or len(fields[0]) != 32:
            continue
        try:
            raw, scope, flags = bytes.fromhex(fields[0].decode("ascii")), int(fields[3], 16), int(fields[4], 16)
        except ValueError:
            continue
        if scope == _WHOLE_WORLD and not flags & _DAD_FAILED and len(raw) == 16:
            found.append(_Address6(fields[5].decode("ascii", "replace"), address_text(raw)))
    return found
