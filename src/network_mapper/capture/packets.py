"""Takes packets in and hands observations out: the one path that the ring and capture files share.

A node sends tens of thousands of these packets each second, most of them copies of one another at further interfaces.
So nearly every packet takes a short way: one `unpack_from` for the header layout that Linux gives its SYN, SYN-ACK
and DNS packets, a look into a table keyed by raw bytes, and no object made. Whatever looks different goes through the
general header walk and arrives at the same tables.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from network_mapper.capture.connections import Connections
from network_mapper.capture.headers import TCP, UDP, HeaderError, find_transport, tcp_timestamps
from network_mapper.capture.pairs import Pairs
from network_mapper.capture.questions import DNS_PORT, Questions
from network_mapper.capture.streams import Streams
from network_mapper.model import Drop, Tally

if TYPE_CHECKING:
    from network_mapper.capture.headers import Transport
    from network_mapper.model import Observation

_SHORTEST = 60
"""Bytes of a SYN over IPv4 as Linux sends it; the few DNS questions that are shorter go the general way."""

# IP without options or extensions, then TCP with the options that Linux sends with a SYN, in its order: maximum segment
# size, selective acknowledgement, timestamps, window scale. Fields: IP length, (IPv4: fragment,) flow (see
# Connections), acknowledged number, header length, flags, first option, second and third option, timestamp value,
# timestamp echo.
_SYN_IPV4 = struct.Struct("!2xH2xH4x16sIBB6xH2xI4s4s4x")
_SYN_IPV6 = struct.Struct("!4xH2x40sIBB6xH2xI4s4s4x")
_LINUX_HEADER, _LINUX_OPTION, _LINUX_OPTIONS = 0xA0, 0x0204, 0x0402080A

# IP without options or extensions, UDP, and the identifier of a DNS message. Fields: (IPv4: fragment,) source,
# destination, source port, destination port, UDP length, identifier.
_DNS_IPV4 = struct.Struct("!6xH4x4s4s2s2sH2x2s")
_DNS_IPV6 = struct.Struct("!8x16s16s2s2sH2x2s")

_TCP = struct.Struct("!2s2s4sIBB")
_TCP_MINIMUM = 20
_UDP = struct.Struct("!2s2sH2x")

# The flags that tell the packets of a handshake apart are ACK, RST, SYN and FIN; those of ECN and PSH may go with them.
_HANDSHAKE = 0x17
_SYN, _SYN_ACK, _RST_ACK = 0x02, 0x12, 0x14


class PacketTracker:
    """Follows connections and DNS exchanges through packets. Times are milliseconds since the epoch.

    Attributes:
        seen: Packets taken in.
        tally: What was dropped, and why.
    """

    def __init__(self, *, connections: int = 65_536, questions: int = 65_536, pairs: int = 131_072) -> None:
        """Set the bounds: open connections, open questions, and spans between two drains."""
        self.seen = 0
        self.tally = Tally()
        self._pairs = Pairs(self.tally, pairs)
        self._connections = Connections(self._pairs, self.tally, connections)
        self._questions = Questions(self._pairs, self.tally, questions)
        self._streams = Streams(self.tally)

    @property
    def passed(self) -> int:
        """Events in the observations that were handed over so far."""
        return self._pairs.passed

    def feed(self, packet: bytes | memoryview, when: int, tap: int) -> None:
        """Take in one packet, which begins with its IP header.

        Args:
            packet: What was captured of it.
            when: Time of the capture.
            tap: Interface index, negative when the packet was leaving through it, 0 when unknown.
        """
        self.seen += 1
        if type(packet) is not bytes:
            packet = bytes(packet)
        size = len(packet)
        first = packet[0] if size >= _SHORTEST else 0
        if first == 0x45:
            protocol = packet[9]
            if protocol == TCP:
                length, fragment, flow, ack, header, flags, option, options, value, echo = _SYN_IPV4.unpack_from(packet)
                usual = length == 60 and not fragment & 0x3FFF
            elif protocol == UDP:
                fragment, source, destination, port, to_port, length, identifier = _DNS_IPV4.unpack_from(packet)
                if length >= 10 and not fragment & 0x3FFF:
                    if DNS_PORT in (to_port, port):
                        ends = (source, port, destination, to_port)
                        self._questions.message(b"udp4", ends, identifier, packet[30 : 20 + length], when, tap)
                    return
                usual = False
            else:
                return
        elif first >> 4 == 6 and size >= 80 and packet[6] == TCP:
            length, flow, ack, header, flags, option, options, value, echo = _SYN_IPV6.unpack_from(packet)
            usual = length == 40
        elif first >> 4 == 6 and packet[6] == UDP:
            source, destination, port, to_port, length, identifier = _DNS_IPV6.unpack_from(packet)
            if length >= 10:
                if DNS_PORT in (to_port, port):
                    ends = (source, port, destination, to_port)
                    self._questions.message(b"udp6", ends, identifier, packet[50 : 40 + length], when, tap)
                return
            usual = False
        else:
            usual = False

        if usual and options == _LINUX_OPTIONS and option == _LINUX_OPTION and header == _LINUX_HEADER:
            kind = flags & _HANDSHAKE
            if kind == _SYN:
                if flow[-6:-4] == DNS_PORT:
                    self._begin_streams(flow)
                self._connections.syn(flow, flow[-4:] + value, when, tap)
                return
            if kind == _SYN_ACK:
                self._connections.syn_ack(flow, ack, echo)
                return
        self._feed_unusual(packet, when, tap)

    def drain(self, now: int) -> list[Observation]:
        """Hand over what was decided since the last drain."""
        self._connections.expire(now)
        self._questions.expire(now)
        self._streams.expire(now)
        return self._pairs.drain()

    def flush(self, now: int) -> list[Observation]:
        """Hand over everything, because no packet will come any more: what is open counts as an attempt."""
        self._connections.flush()
        return self.drain(now)

    def _feed_unusual(self, packet: bytes, when: int, tap: int) -> None:
        try:
            transport = find_transport(packet)
            if transport is None:
                return
            if transport.protocol == TCP:
                self._feed_tcp(packet, transport, when, tap)
            elif transport.protocol == UDP:
                self._feed_udp(packet, transport, when, tap)
        except HeaderError:
            self.tally.add(Drop.PACKET_MALFORMED)

    def _feed_tcp(self, packet: bytes, transport: Transport, when: int, tap: int) -> None:
        start, end = transport.start, transport.end
        if start + _TCP.size > min(end, len(packet)):
            raise HeaderError("TCP header cut short")
        port, to_port, sequence, ack, header, flags = _TCP.unpack_from(packet, start)
        data = start + (header >> 4) * 4
        if data < start + _TCP_MINIMUM or data > end:
            raise HeaderError("TCP header length contradicts the packet")
        kind = flags & _HANDSHAKE
        flow = transport.source + transport.destination + port + to_port + sequence
        if kind in (_SYN, _SYN_ACK):
            if data > len(packet):
                raise HeaderError("TCP options cut short")
            times = tcp_timestamps(packet[start + _TCP_MINIMUM : data])
            if kind == _SYN_ACK:
                self._connections.syn_ack(flow, ack, times[4:])
                return
            if to_port == DNS_PORT:
                self._begin_streams(flow)
            self._connections.syn(flow, sequence + times[:4] if times else b"", when, tap, end - data)
        elif kind == _RST_ACK and sequence == b"\0\0\0\0":
            self._connections.rst(flow, ack)
        elif data < end and DNS_PORT in (port, to_port):
            payload = packet[data:end]
            missing = end - data - len(payload)
            ends = (transport.source, port, transport.destination, to_port)
            via = b"tcp4" if len(transport.source) == 4 else b"tcp6"
            stream = flow[:-4]
            for message in self._streams.segment(stream, int.from_bytes(sequence, "big"), payload, missing, when):
                if not self._questions.message(via, ends, message[:2], message[2:], when, tap):
                    self._streams.forget(stream)

    def _begin_streams(self, flow: bytes) -> None:
        """Forget what an earlier DNS connection between the same ports left unfinished."""
        ports = len(flow) - 8
        size = ports // 2
        self._streams.forget(flow[:-4])
        self._streams.forget(flow[size:ports] + flow[:size] + flow[ports + 2 : ports + 4] + flow[ports : ports + 2])

    def _feed_udp(self, packet: bytes, transport: Transport, when: int, tap: int) -> None:
        start = transport.start
        if start + _UDP.size > min(transport.end, len(packet)):
            raise HeaderError("UDP header cut short")
        port, to_port, length = _UDP.unpack_from(packet, start)
        if length < _UDP.size:
            raise HeaderError("UDP length shorter than its header")
        if DNS_PORT not in (port, to_port):
            return
        # In a first fragment, and in a capture with short packets, the message ends early; its decoder will say so.
        message = packet[start + _UDP.size : min(start + length, transport.end)]
        via = b"udp4" if len(transport.source) == 4 else b"udp6"
        ends = (transport.source, port, transport.destination, to_port)
        self._questions.message(via, ends, message[:2], message[2:], when, tap)
