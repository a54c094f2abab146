"""Tells that interfaces came or went, without asking again and again.

Every pod that starts brings an interface into the node's network namespace, and every pod that ends takes one away. The
kernel says so on a routing socket (rtnetlink(7), group RTMGRP_LINK), which costs nothing while nothing happens; walking
/proc to find the same out costs as much as the node has processes, each time.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

RTMGRP_LINK = 1
"""`linux/rtnetlink.h`: links that appear, change or vanish."""
RTM_NEWLINK, RTM_DELLINK = 16, 17

_HEADER = struct.Struct("=IHHII")
"""`struct nlmsghdr` (`linux/netlink.h`): length with this header, type, flags, sequence, port id; host byte order."""
_DATAGRAM = 65536
_DATAGRAMS_A_READ = 64


def names_a_link(datagram: bytes) -> bool:
    """Whether one of the messages of a netlink datagram is about a link; a message cut short ends the search."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, offset)
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            return True
        if length < _HEADER.size:
            break
        offset += (length + 3) & ~3
    return False


class LinkEvents:
    """The node's stream of link events.

    Raises:
        OSError: The kernel offers no routing socket.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, RTMGRP_LINK))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Readable when something happened."""
        return self._socket.fileno()

    def happened(self) -> bool:
        """Take in what is there and say whether a link came, changed or went. Never waits.

        A receive buffer that overflowed (ENOBUFS) has lost events, so it counts as one.
        """
        found = False
        for _ in range(_DATAGRAMS_A_READ):
            try:
                found = names_a_link(self._socket.recv(_DATAGRAM)) or found
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found = True
        return found

    def close(self) -> None:
        """Leave the group."""
        with contextlib.suppress(OSError):
            self._socket.close()
