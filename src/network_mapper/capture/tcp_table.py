"""Reads the kernel's text tables of TCP sockets and tells which end of each connection is the client.

`/proc/PID/net/tcp` and `tcp6` (proc(5), `net/ipv4/tcp_ipv4.c: get_tcp4_sock`) hold one socket a line:

    sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 …

An address is printed as 32-bit words of memory in the byte order of the host, a port as a plain number.

The table does not say who opened a connection. The ports do, nearly always: the kernel gives a client a port from the
ephemeral range, while servers listen outside of it. Where both ports are of the same class the listeners decide, and
where those leave it open the socket is counted as undecided instead of guessed.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

ESTABLISHED, LISTEN = 0x01, 0x0A
"""`include/net/tcp_states.h`."""

EPHEMERAL = (32768, 60999)
"""Ports that Linux gives to clients unless `net.ipv4.ip_local_port_range` says otherwise."""

_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not bound to
_LONGEST_LINE = 512
_MOST_UNDECIDED = 65536
_MOST_PAIRS = 65536


class Socket(NamedTuple):
    """One line of a table: addresses as canonical text, v4-mapped ones as IPv4."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    state: int


@functools.lru_cache(maxsize=4096)
def _address(digits: bytes, byteorder: str) -> str:
    raw = bytes.fromhex(digits.decode("ascii"))
    if len(raw) not in (4, 16):
        raise ValueError("neither four nor sixteen bytes")
    if byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def _number(digits: bytes, size: int) -> int:
    raw = bytes.fromhex(digits.decode("ascii"))
    if len(raw) != size:
        raise ValueError("another number of digits")
    return int.from_bytes(raw, "big")


@functools.lru_cache(maxsize=4096)
def _no_peer(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified


def decode_line(line: bytes, byteorder: str = sys.byteorder) -> Socket | None:
    """Decode one line of a table, without its heading.

    Args:
        line: As the kernel prints it.
        byteorder: `little` or `big`: that of the host which printed it.

    Returns:
        The socket, or None when the line has another form.
    """
    fields = line.split(None, 4)
    try:
        local, local_port = fields[1].split(b":")
        remote, remote_port = fields[2].split(b":")
        return Socket(
            _address(local, byteorder),
            _number(local_port, 2),
            _address(remote, byteorder),
            _number(remote_port, 2),
            _number(fields[3], 1),
        )
    except (ValueError, IndexError):
        return None


class Side(enum.Enum):
    """Which end of a connection its local socket is."""

    CLIENT = enum.auto()
    SERVER = enum.auto()
    UNKNOWN = enum.auto()


def side_of(*, local_ephemeral: bool, remote_ephemeral: bool, listening: bool) -> Side:
    """Decide from the classes of both ports, and from whether somebody listens on the local one.

    Where the classes differ they decide alone: a listener that has gone leaves its connections behind, and a client may
    have been given a port on which another process listens at another address.
    """
    if local_ephemeral != remote_ephemeral:
        return Side.CLIENT if local_ephemeral else Side.SERVER
    if not listening:
        return Side.CLIENT
    return Side.UNKNOWN if local_ephemeral else Side.SERVER


class Clients(msgspec.Struct):
    """The client ends found in one network namespace.

    Attributes:
        pairs: Number of sockets per (client, server, server's port).
        established: Connections between two different addresses that were looked at.
        undecided: Those whose ports do not tell the side.
        crowded: Those beyond the number of different pairs that are kept.
        malformed: Lines that could not be decoded.
        lines: All lines, whatever their state.
    """

    pairs: dict[tuple[str, str, int], int] = {}
    established: int = 0
    undecided: int = 0
    crowded: int = 0
    malformed: int = 0
    lines: int = 0


class ClientFinder:
    """Takes the lines of one network namespace, both families in any order, and keeps what makes clients.

    Only sockets that need the listeners are remembered until `result`; the order of lines does not matter.

    Args:
        ephemeral: First and last port that the kernel gives to clients.
        byteorder: That of the host which printed the tables.
    """

    def __init__(self, ephemeral: tuple[int, int] = EPHEMERAL, byteorder: str = sys.byteorder) -> None:
        self._low, self._high = ephemeral
        self._byteorder = byteorder
        self._found = Clients()
        self._listening: set[tuple[str, int]] = set()
        self._wait: list[Socket] = []

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take lines without the heading."""
        for line in lines:
            self._found.lines += 1
            socket = decode_line(line, self._byteorder) if len(line) <= _LONGEST_LINE else None
            if socket is None:
                self._found.malformed += 1
            elif socket.state == LISTEN:
                self._listening.add((socket.local, socket.local_port))
            elif socket.state == ESTABLISHED:
                self._established(socket)

    def _established(self, socket: Socket) -> None:
        if socket.local == socket.remote or _no_peer(socket.local) or _no_peer(socket.remote):
            return
        self._found.established += 1
        local, remote = self._is_ephemeral(socket.local_port), self._is_ephemeral(socket.remote_port)
        if local != remote:
            self._settle(socket, side_of(local_ephemeral=local, remote_ephemeral=remote, listening=False))
        elif len(self._wait) < _MOST_UNDECIDED:
            self._wait.append(socket)
        else:
            self._found.undecided += 1

    def _is_ephemeral(self, port: int) -> bool:
        return self._low <= port <= self._high

    def _is_listening(self, socket: Socket) -> bool:
        addresses = (socket.local, *_WILDCARDS)
        return any((address, socket.local_port) in self._listening for address in addresses)

    def _settle(self, socket: Socket, side: Side) -> None:
        if side is Side.UNKNOWN:
            self._found.undecided += 1
        elif side is Side.CLIENT:
            pair = (socket.local, socket.remote, socket.remote_port)
            pairs = self._found.pairs
            if pair in pairs or len(pairs) < _MOST_PAIRS:
                pairs[pair] = pairs.get(pair, 0) + 1
            else:
                self._found.crowded += 1

    def result(self) -> Clients:
        """Settle what had to wait for the listeners, and hand over everything found."""
        for socket in self._wait:
            ephemeral = self._is_ephemeral(socket.local_port)
            listening = self._is_listening(socket)
            self._settle(socket, side_of(local_ephemeral=ephemeral, remote_ephemeral=ephemeral, listening=listening))
        self._wait.clear()
        return self._found


def statistic(text: str, group: str, name: str) -> int | None:
    """One number out of `/proc/PID/net/snmp` or `sockstat` (proc(5)); None when it is not there.

    The first has a line of names and a line of numbers per group, the second names and numbers in turn on one line.
    """
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith(f"{group}:")]
    try:
        if len(lines) == 2:
            return int(lines[1][lines[0].index(name)])
        return int(lines[0][lines[0].index(name) + 1])
    except (ValueError, IndexError):
        return None


def parse_port_range(text: str) -> tuple[int, int] | None:
    """Read `net.ipv4.ip_local_port_range`: two numbers. None when it has another form."""
    try:
        low, high = (int(word) for word in text.split())
    except ValueError:
        return None
    return (low, high) if 0 < low <= high <= 65535 else None
