"""Decodes capture files, pcap and pcapng, from the pieces in which they are read.

The decoder does no I/O: a piece of the file goes in, the packets that it completes come out, so a file of any size and
a pipe that `tcpdump -w -` writes into take the same bounded memory. A file that breaks off or contradicts itself keeps
every packet before that point.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from network_mapper.capture.linklayers import ETHERNET

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC_SIZE = 4
MAX_PACKET = 2**18
"""Bytes of one packet: what libpcap takes as the largest snap length."""
MAX_BLOCK = 2**24
"""Bytes of one pcapng block."""
MAX_INTERFACES = 65_536

MAX_TIME = 253_402_300_799_999
"""End of the year 9999 in milliseconds; a later time is damage."""

_PCAP_UNITS = {0xA1B2C3D4: 1_000_000, 0xA1B23C4D: 1_000_000_000}
"""Magic number to units of time in a second."""
_PCAP_HEADER = 24

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_OPTION_END, _OPTION_FLAGS, _OPTION_RESOLUTION, _OPTION_TIME_OFFSET = 0, 2, 9, 14
_OUTBOUND = 2


class CaptureFileError(OSError):
    """This is no capture file at all."""


class DamagedError(ValueError):
    """From here on the file makes no sense."""


class Record(msgspec.Struct, gc=False):
    """One captured frame.

    Attributes:
        when: Milliseconds since the epoch.
        link: Link type of its interface.
        tap: Number of its interface in the file, from 1, negative when the frame was leaving; 0 when unknown.
        frame: What was captured of it, its link-layer header first.
    """

    when: int
    link: int
    tap: int
    frame: bytes


class Interface(msgspec.Struct, gc=False):
    """An interface of a pcapng section: link type, snap length, units of time in a second, offset in milliseconds."""

    link: int = ETHERNET
    snap: int = 0
    number: int = 0
    units: int = 1_000_000
    offset: int = 0


class CaptureReader:
    """Reads one file. `newest` is the latest time seen in it, milliseconds since the epoch."""

    def __init__(self, magic: bytes) -> None:
        """Recognise the file by its first four bytes, which belong to the first piece all the same.

        Raises:
            CaptureFileError: They are not those of a capture file.
        """
        self.newest = 0
        self._rest = b""
        self._order = ""
        self._pcap = Interface()
        self._interfaces: list[Interface] = []
        self._numbered = 0
        self._begun = False
        self._is_pcap = False
        for order in "<>":
            (number,) = struct.unpack(f"{order}I", magic) if len(magic) == MAGIC_SIZE else (0,)
            if number in _PCAP_UNITS:
                self._order = order
                self._pcap.units = _PCAP_UNITS[number]
                self._is_pcap = True
                return
            if number == _SECTION:
                return
        raise CaptureFileError("not a capture file: neither pcap nor pcapng (compressed files must be unpacked first)")

    def feed(self, piece: bytes) -> Iterator[Record]:
        """Take in the next piece and yield the frames that it completes.

        Raises:
            DamagedError: The file contradicts itself; the frames before were yielded.
        """
        data = self._rest + piece
        offset = 0
        try:
            while True:
                record, size = self._pcap_record(data, offset) if self._is_pcap else self._block(data, offset)
                if not size:
                    break
                offset += size
                if record is not None:
                    self.newest = max(self.newest, record.when)
                    yield record
        finally:
            self._rest = data[offset:]

    def end(self) -> None:
        """Say that no piece follows.

        Raises:
            DamagedError: The file ends in the middle of a packet.
        """
        if self._rest or not self._begun:
            raise DamagedError("the file ends early")

    def _pcap_record(self, data: bytes, offset: int) -> tuple[Record | None, int]:
        """Read what is at `offset`; return it and its size, which is 0 when it is not complete yet."""
        if not self._begun:
            if len(data) < _PCAP_HEADER:
                return None, 0
            (link,) = struct.unpack_from(f"{self._order}I", data, 20)
            # The upper half tells whether frames end with a checksum; addresses stand before it.
            self._pcap.link = link & 0xFFFF
            self._begun = True
            return None, _PCAP_HEADER
        if len(data) - offset < 16:
            return None, 0
        seconds, units, captured = struct.unpack_from(f"{self._order}III", data, offset)
        if captured > MAX_PACKET:
            raise DamagedError(f"a packet of {captured} bytes")
        if len(data) - offset < 16 + captured:
            return None, 0
        when = seconds * 1000 + units * 1000 // self._pcap.units
        frame = data[offset + 16 : offset + 16 + captured]
        return Record(when, self._pcap.link, 0, frame), 16 + captured

    def _block(self, data: bytes, offset: int) -> tuple[Record | None, int]:
        """Read the pcapng block at `offset`; return its frame and its size, which is 0 when it is not complete yet."""
        if len(data) - offset < 12:
            return None, 0
        if data.startswith(b"\n\r\r\n", offset):
            # A section says in which byte order it is, its own length included.
            self._order = "<" if struct.unpack_from("<I", data, offset + 8)[0] == _BYTE_ORDER else ">"
            if struct.unpack_from(f"{self._order}I", data, offset + 8)[0] != _BYTE_ORDER:
                raise DamagedError("a section without byte order")
            self._interfaces = []
            self._begun = True
        kind, size = struct.unpack_from(f"{self._order}II", data, offset)
        if size < 12 or size % 4 or size > MAX_BLOCK:
            raise DamagedError(f"a block of {size} bytes")
        if len(data) - offset < size:
            return None, 0
        if struct.unpack_from(f"{self._order}I", data, offset + size - 4)[0] != size:
            raise DamagedError("the two lengths of a block differ")
        body = data[offset + 8 : offset + size - 4]
        record = None
        if kind == _INTERFACE:
            self._add_interface(body)
        elif kind == _ENHANCED:
            record = self._enhanced(body)
        elif kind == _SIMPLE:
            record = self._simple(body)
        return record, size

    def _add_interface(self, body: bytes) -> None:
        if len(body) < 8 or len(self._interfaces) >= MAX_INTERFACES:
            raise DamagedError("an interface is cut short")
        self._numbered += 1
        link, snap = struct.unpack_from(f"{self._order}H2xI", body)
        interface = Interface(link, snap, self._numbered)
        for option, value in self._options(body[8:]):
            if option == _OPTION_RESOLUTION and len(value) == 1:
                exponent = value[0] & 0x7F
                interface.units = 2**exponent if value[0] & 0x80 else 10**exponent
            elif option == _OPTION_TIME_OFFSET and len(value) == 8:
                interface.offset = struct.unpack(f"{self._order}q", value)[0] * 1000
        self._interfaces.append(interface)

    def _enhanced(self, body: bytes) -> Record:
        if len(body) < 20:
            raise DamagedError("a packet block is cut short")
        index, high, low, captured = struct.unpack_from(f"{self._order}IIII", body)
        if captured > len(body) - 20 or index >= len(self._interfaces):
            raise DamagedError("a packet block names an unknown interface or is longer than it is")
        interface = self._interfaces[index]
        tap = interface.number
        for option, value in self._options(body[20 + (captured + 3) // 4 * 4 :]):
            if (
                option == _OPTION_FLAGS
                and len(value) == 4
                and struct.unpack(f"{self._order}I", value)[0] & 3 == _OUTBOUND
            ):
                tap = -tap
        when = (high << 32 | low) * 1000 // interface.units + interface.offset
        if not 0 <= when <= MAX_TIME:
            when = self.newest
        return Record(when, interface.link, tap, body[20 : 20 + captured])

    def _simple(self, body: bytes) -> Record:
        """Read a packet without a time: it gets the one of the packet before it."""
        if len(body) < 4 or not self._interfaces:
            raise DamagedError("a simple packet block without interface")
        interface = self._interfaces[0]
        (original,) = struct.unpack_from(f"{self._order}I", body)
        captured = min(original, interface.snap or original, len(body) - 4)
        return Record(self.newest, interface.link, interface.number, body[4 : 4 + captured])

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        offset = 0
        while offset + 4 <= len(data):
            option, size = struct.unpack_from(f"{self._order}HH", data, offset)
            if option == _OPTION_END:
                return
            yield option, data[offset + 4 : offset + 4 + size]
            offset += 4 + (size + 3) // 4 * 4
