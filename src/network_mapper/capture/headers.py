"""Finds the transport header of an IP packet, whatever stands before it.

This is the general way, for packets with IP options, extension headers or unusual TCP options; `packets` reads the
layouts that nearly all packets have without it.
"""

from __future__ import annotations

import struct

import msgspec

TCP, UDP = 6, 17

MAX_EXTENSIONS = 8
"""Extension headers of one packet. RFC 8200 section 4.1 recommends each at most once."""

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS = frozenset((_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION))

_IPV4 = struct.Struct("!B x H 2x H x B 2x 4s 4s")
_IPV6 = struct.Struct("!4x H B x 16s 16s")


class HeaderError(ValueError):
    """The headers are cut short or contradict themselves."""


class Transport(msgspec.Struct, gc=False):
    """Where the transport header is.

    Attributes:
        protocol: IANA protocol number.
        source: Source address, 4 or 16 bytes.
        destination: Destination address.
        start: Offset of the transport header.
        end: Offset behind its payload by the packet's own account; what was captured may be shorter.
    """

    protocol: int
    source: bytes
    destination: bytes
    start: int
    end: int


def find_transport(packet: bytes) -> Transport | None:
    """Walk the IP headers of a packet (RFC 791, RFC 8200); None for a fragment that is not the first.

    Raises:
        HeaderError: The headers are cut short or contradict themselves.
    """
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        return _walk_ipv4(packet)
    if version == 6:
        return _walk_ipv6(packet)
    raise HeaderError("neither IPv4 nor IPv6")


def tcp_timestamps(options: bytes) -> bytes:
    """Return the timestamp value and echo of a TCP header's options (RFC 7323 section 3), 8 bytes, or nothing."""
    offset = 0
    while offset + 1 < len(options):
        kind = options[offset]
        if kind == 0:
            break
        if kind == 1:
            offset += 1
            continue
        size = options[offset + 1]
        if size < 2:
            break
        if kind == 8 and size == 10 and offset + size <= len(options):
            return options[offset + 2 : offset + 10]
        offset += size
    return b""


def _walk_ipv4(packet: bytes) -> Transport | None:
    if len(packet) < _IPV4.size:
        raise HeaderError("IPv4 header cut short")
    first, total, fragment, protocol, source, destination = _IPV4.unpack_from(packet)
    start = (first & 0x0F) * 4
    # The kernel leaves the length empty where a merged packet is too long for it.
    end = total or len(packet)
    if start < _IPV4.size or end < start or len(packet) < start:
        raise HeaderError("IPv4 lengths contradict each other")
    if fragment & 0x1FFF:
        return None
    return Transport(protocol, source, destination, start, end)


def _walk_ipv6(packet: bytes) -> Transport | None:
    if len(packet) < _IPV6.size:
        raise HeaderError("IPv6 header cut short")
    payload, following, source, destination = _IPV6.unpack_from(packet)
    start = _IPV6.size
    end = start + payload if payload else len(packet)
    for _ in range(MAX_EXTENSIONS):
        if following not in _EXTENSIONS:
            return Transport(following, source, destination, start, end)
        if start + 8 > min(end, len(packet)):
            raise HeaderError("IPv6 extension header cut short")
        if following == _FRAGMENT:
            if int.from_bytes(packet[start + 2 : start + 4], "big") & 0xFFF8:
                return None
            size = 8
        elif following == _AUTHENTICATION:
            size = (packet[start + 1] + 2) * 4
        else:
            size = (packet[start + 1] + 1) * 8
        following = packet[start]
        start += size
    raise HeaderError("too many IPv6 extension headers")
