"""Receives packets from all interfaces of a node through a ring of memory shared with the kernel.

An AF_PACKET socket of type SOCK_DGRAM gives every packet from its IP header on, whatever the link. The kernel runs the
filter of `cbpf` on each and writes what passes into the ring (TPACKET_V3), so a burst costs one wake-up and no copy per
packet. Packets are taken on their way in and out: those of the node's own processes, and DNS answers whose address is
translated last, are only seen going out. Only CAP_NET_RAW is needed. See packet(7) and the kernel's packet_mmap.rst.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from network_mapper.capture.cbpf import INSTRUCTION, capture_filter
from network_mapper.capture.packets import PacketTracker
from network_mapper.capture.source import SourceStats
from network_mapper.model import Drop, Tally

if TYPE_CHECKING:
    from network_mapper.model import Observation

BLOCK_SIZE = 256 * 1024
DEFAULT_SIZE = 6 * 2**20
"""Bytes of the ring, all of them resident: a second of 30,000 handshake packets, or 12,000 DNS answers of 500 bytes."""

BLOCK_TIMEOUT = 100
"""Milliseconds after which the kernel hands over a block that is not full."""

# linux/if_packet.h and asm-generic/socket.h; Python has no names for them on other systems.
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 3
_PACKET_OUTGOING = 4

_FRAME_SIZE = 2048
"""Only has to divide the block; in version 3 frames are as long as their packets."""
_REQUEST = struct.Struct("=7I")
"""struct tpacket_req3: block size, blocks, frame size, frames, timeout, private size, features."""
_STATISTICS = struct.Struct("=3I")
"""struct tpacket_stats_v3: packets including drops, drops, freezes; reading sets them to zero."""
_SOCKADDR = struct.Struct("=HHiHBB8s")
"""struct sockaddr_ll: family, protocol, interface, hardware type, packet type, address length, address."""
_FILTER = struct.Struct("@HP")
"""struct sock_fprog: instructions, their address."""

_BLOCK = struct.Struct("=8xIII")
"""struct tpacket_block_desc: status, packets, offset of the first."""
_USER = 1
"""TP_STATUS_USER: the block is ours until we write TP_STATUS_KERNEL."""
_STATUS_AT = 8
_KERNEL = bytes(4)
_FRAME = struct.Struct("=IIII10xH24xi2xB")
"""struct tpacket3_hdr: next, seconds, nanoseconds, captured length, offset of the packet; then, 48 bytes in,
struct sockaddr_ll: interface and packet type."""


class RingSource:
    """A source of observations (see `capture.source.Source`) that watches all interfaces of its network namespace."""

    name = "ring"

    def __init__(self, size: int = DEFAULT_SIZE, *, tracker: PacketTracker | None = None) -> None:
        """Open a ring of `size` bytes, rounded down to blocks of 256 KiB but at least two of them.

        Raises:
            PermissionError: The capability NET_RAW is missing.
            OSError: The system has no such sockets, or refuses the ring.
        """
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "packets can only be watched on Linux; --pcap FILE reads a recording anywhere")
        self._tracker = tracker or PacketTracker()
        self._blocks = max(size // BLOCK_SIZE, 2)
        self._next = 0
        self._overflow = 0
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError as error:
            raise PermissionError(error.errno, "watching packets needs the capability NET_RAW (or root)") from None
        except OSError as error:
            raise OSError(error.errno, f"this kernel has no packet sockets: {error.strerror}") from None
        try:
            self._ring = self._open()
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"the packet ring could not be set up: {error.strerror or error}") from None

    def fileno(self) -> int:
        """Return the socket: it is readable when a block is ready."""
        return self._socket.fileno()

    def read(self, now: int) -> None:  # noqa: ARG002  packets carry the kernel's time
        """Take in the blocks that are ready, at most once around the ring."""
        ring = self._ring
        for _ in range(self._blocks):
            block = self._next * BLOCK_SIZE
            status, packets, first = _BLOCK.unpack_from(ring, block)
            if not status & _USER:
                return
            self._take(block + first, packets)
            ring[block + _STATUS_AT : block + _STATUS_AT + len(_KERNEL)] = _KERNEL
            self._next = (self._next + 1) % self._blocks

    def drain(self, now: int) -> list[Observation]:
        """Hand over what was decided since the last drain."""
        return self._tracker.drain(now)

    def flush(self, now: int) -> list[Observation]:
        """Take in what has come until now and hand over everything, before closing.

        The newest packets are in a block that is not full. It is the kernel's for up to two of its turns.
        """
        time.sleep(2.5 * BLOCK_TIMEOUT / 1000)
        self.read(now)
        return self._tracker.flush(now)

    def stats(self) -> SourceStats:
        """Totals so far; `seen` are packets that passed the filter, taken in or lost for want of room."""
        if self._socket.fileno() >= 0:
            counters = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
            self._overflow += _STATISTICS.unpack(counters)[1]
        drops = Tally(self._tracker.tally)
        if self._overflow:
            drops.add(Drop.RING_OVERFLOW, self._overflow)
        return SourceStats(seen=self._tracker.seen + self._overflow, passed=self._tracker.passed, drops=drops)

    def close(self) -> None:
        """Release the ring and its socket."""
        self._ring.close()
        self._socket.close()

    def _open(self) -> mmap.mmap:
        # The order matters: a socket that is bound before it has its filter and its ring receives what nobody wants.
        size = self._blocks * BLOCK_SIZE
        _attach_filter(self._socket, capture_filter())
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        request = _REQUEST.pack(BLOCK_SIZE, self._blocks, _FRAME_SIZE, size // _FRAME_SIZE, BLOCK_TIMEOUT, 0, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        ring = mmap.mmap(self._socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        try:
            _bind_everywhere(self._socket)
        except OSError:
            ring.close()
            raise
        return ring

    def _take(self, offset: int, packets: int) -> None:
        ring, unpack, feed = self._ring, _FRAME.unpack_from, self._tracker.feed
        for _ in range(packets):
            following, seconds, nanoseconds, captured, start, tap, direction = unpack(ring, offset)
            start += offset
            if direction == _PACKET_OUTGOING:
                tap = -tap
            feed(ring[start : start + captured], seconds * 1000 + nanoseconds // 1_000_000, tap)
            offset += following


def _attach_filter(endpoint: socket.socket, program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    argument = _FILTER.pack(len(program) // INSTRUCTION.size, ctypes.addressof(code))
    endpoint.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)


def _bind_everywhere(endpoint: socket.socket) -> None:
    """Bind to all protocols on all interfaces, which Python's own bind cannot: it wants an interface by name."""
    address = _SOCKADDR.pack(socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(endpoint.fileno(), address, len(address)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
