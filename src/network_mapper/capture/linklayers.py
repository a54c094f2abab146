"""Finds the IP packet behind the link-layer header of a captured frame, and what that header says about the tap.

Capture files come from many places: a switch port (Ethernet), `tcpdump -i any` (Linux cooked), a tunnel (raw IP), a BSD
or a Mac (null). Numbers and layouts: the list of link types at tcpdump.org.
"""

from __future__ import annotations

import struct

import msgspec

NULL, ETHERNET, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
KNOWN = frozenset((NULL, ETHERNET, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2))

OUTGOING = 4
"""PACKET_OUTGOING of linux/if_packet.h: the packet was leaving."""

MAX_TAGS = 4

_IP = frozenset((0x0800, 0x86DD))
_TAGS = frozenset((0x8100, 0x88A8, 0x9100))
"""EtherTypes of a VLAN tag: 802.1Q, 802.1ad, and what came before that standard."""

_SLL2 = struct.Struct("!H2xI2xB")


class LinkError(ValueError):
    """The frame is shorter than its link-layer header."""


class Frame(msgspec.Struct, gc=False):
    """Where the IP packet begins, and the interface: 0 when the header does not name it, negative when leaving."""

    offset: int
    tap: int


def strip_link(link: int, frame: bytes) -> Frame | None:
    """Find the IP packet in a frame whose link type is in `KNOWN`; None when it carries something else.

    Raises:
        LinkError: The frame is shorter than its header.
    """
    tap = 0
    if link in (RAW, IPV4, IPV6):
        return Frame(0, 0)
    if link in (NULL, LOOP):
        # The address family before the packet has another number on each system; the packet itself says IPv4 or IPv6.
        if len(frame) < 4:
            raise LinkError("null header cut short")
        return Frame(4, 0)
    if link == ETHERNET:
        protocol_at, offset = 12, 14
    elif link == LINUX_SLL:
        protocol_at, offset = 14, 16
    else:
        protocol_at, offset = 0, 20
    if len(frame) < offset:
        raise LinkError("link-layer header cut short")
    if link == LINUX_SLL2:
        _, tap, direction = _SLL2.unpack_from(frame)
        tap = -tap if direction == OUTGOING else tap
    protocol = int.from_bytes(frame[protocol_at : protocol_at + 2], "big")
    for _ in range(MAX_TAGS):
        if protocol not in _TAGS:
            break
        if len(frame) < offset + 4:
            raise LinkError("VLAN tag cut short")
        protocol = int.from_bytes(frame[offset + 2 : offset + 4], "big")
        offset += 4
    return Frame(offset, tap) if protocol in _IP else None
