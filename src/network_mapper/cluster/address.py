"""One text for one address.

The index is a dictionary by address text, so the same address must always be spelled the same: dotted quads for IPv4,
RFC 5952 for IPv6, and an IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) as the IPv4 address that it is.
"""

from __future__ import annotations

import ipaddress
import socket

_LONGEST = 45  # of an IPv6 text: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"


def canonical(address: str) -> str | None:
    """The canonical text of an IP address, or None for what is none: empty, garbage, or with a zone (`fe80::1%eth0`).

    A zone names an interface of one machine, so such an address means nothing in a cluster.
    """
    if len(address) > _LONGEST or "%" in address:
        return None
    if ":" not in address:
        return _ipv4(address)
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped
    return str(parsed) if mapped is None else str(mapped)


def from_dashes(label: str) -> str | None:
    """The address in a DNS label as Kubernetes writes it: `10-0-0-1` or `2001-db8--1`."""
    if label.count("-") < 2:
        return None
    return canonical(label.replace("-", ".")) or canonical(label.replace("-", ":"))


def _ipv4(address: str) -> str | None:
    try:
        packed = socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        return None
    # Some systems read "010.0.0.1" or trailing blanks. An IPv4 address has one text only, so a second one is refused.
    return address if socket.inet_ntop(socket.AF_INET, packed) == address else None
