"""Writes pcap and pcapng files, well-formed and otherwise."""

import struct

ETHERNET4, ETHERNET6 = bytes(12) + b"\x08\x00", bytes(12) + b"\x86\xdd"


def ethernet(packet, tags=()):
    """Put an Ethernet header with VLAN tags (their EtherTypes) before an IP packet."""
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return bytes(12) + b"".join(tag.to_bytes(2, "big") + b"\x00\x05" for tag in tags) + kind + packet


def pcap(frames, *, link=1, order="<", nanoseconds=False):
    """A pcap file; a frame is (milliseconds, bytes)."""
    units = 1_000_000 if nanoseconds else 1000
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    data = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for when, frame in frames:
        data += struct.pack(f"{order}IIII", when // 1000, when % 1000 * units, len(frame), len(frame)) + frame
    return data


def padded(data):
    return data + bytes(-len(data) % 4)


class PcapNg:
    """Builds a pcapng file block by block."""

    def __init__(self, order="<"):
        self.order = order
        self.data = b""

    def pack(self, layout, *values):
        return struct.pack(self.order + layout, *values)

    def block(self, kind, body):
        size = 12 + len(padded(body))
        self.data += self.pack("II", kind, size) + padded(body) + self.pack("I", size)
        return self

    def options(self, **given):
        codes = {"flags": (2, "I"), "resolution": (9, "B"), "offset": (14, "q"), "name": (2, "4s")}
        data = b""
        for name, value in given.items():
            code, layout = codes[name]
            packed = self.pack(layout, value)
            data += self.pack("HH", code, len(packed)) + padded(packed)
        return data + self.pack("HH", 0, 0) if data else b""

    def section(self, order=None):
        self.order = order or self.order
        return self.block(0x0A0D0D0A, self.pack("IHHq", 0x1A2B3C4D, 1, 0, -1))

    def interface(self, link=1, snap=65535, **options):
        return self.block(1, self.pack("HHI", link, 0, snap) + self.options(**options))

    def packet(self, when, frame, *, interface=0, **options):
        """An enhanced packet block; `when` in the interface's own units."""
        head = self.pack("IIIII", interface, when >> 32, when & 0xFFFFFFFF, len(frame), len(frame))
        return self.block(6, head + padded(frame) + self.options(**options))

    def simple(self, frame, original=None):
        return self.block(3, self.pack("I", len(frame) if original is None else original) + frame)
