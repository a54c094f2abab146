"""Addresses as they stand in packets, turned into the text that the rest of the house uses.

Inside `capture` an address stays 4 or 16 raw bytes, which are cheap to compare; text is made once per edge and report.
Both families have one spelling each, so that the same address never makes two edges.
"""

from __future__ import annotations

import socket

MAPPED = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address that an IPv6 socket uses (RFC 4291 section 2.5.5.2)."""


def address_text(raw: bytes) -> str:
    """Write 4 or 16 bytes in network order as RFC 5952 wants them; a v4-mapped address is written as IPv4."""
    if len(raw) == 4:
        return socket.inet_ntoa(raw)
    if raw.startswith(MAPPED):
        return socket.inet_ntoa(raw[12:])
    text = socket.inet_ntop(socket.AF_INET6, raw)
    if "." in text:
        # C libraries write the deprecated v4-compatible addresses with dots, RFC 5952 does not.
        text = f"::{int.from_bytes(raw[12:14], 'big'):x}:{int.from_bytes(raw[14:16], 'big'):x}"
    return text
