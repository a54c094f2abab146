"""Tells from SYN, SYN-ACK and RST which TCP connections were opened, each counted once, and what became of them.

On a node every packet passes several interfaces, and between two of them its addresses may be translated. What stays is
what the client chose: the initial sequence number (ISN) and, on nearly every client, the TCP timestamp of its SYN
(RFC 7323). Together they are a connection's *stamp*. The first tap that shows a stamp wins: it gives the client and
the address that was dialled. A later tap of the same stamp with another destination gives the address that answered.

A connection is decided by its SYN-ACK, by an RST, or by four seconds of silence, and handed on at that moment, with
the time of its SYN. Nothing here looks at a clock: connections wait in the order in which they came, so the ones whose
time is up are always in front.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from network_mapper.capture.pairs import ConnectionKey
from network_mapper.model import Drop, Kind

if TYPE_CHECKING:
    from network_mapper.capture.pairs import Pairs
    from network_mapper.model import Tally

SILENCE = 4000
"""Milliseconds after its first SYN at which a connection without an answer is an attempt."""

MEMORY = 2000
"""Milliseconds after its first SYN for which a decided connection is recognised, at other taps and when it repeats."""

TRANSLATION = 1000
"""Milliseconds within which a SYN without timestamps is the same at another tap. Forwarding takes far less."""

RETRANSMISSION = 65_000
"""Milliseconds of a generation of silent connections. They are known for one to two generations, because Linux sends
its last SYN after 63 seconds and gives up after 127 (tcp_syn_retries = 6)."""

MAX_SILENT = 16_384
"""Silent connections in a generation."""

MAX_ALIASES = 6
"""Stamps of repeated SYNs of one connection that are recognised."""

_EXPIRY_STEP = 250
_ISN = struct.Struct("!I")


class Connection(msgspec.Struct, gc=False):
    """One connection.

    Attributes:
        opened: Time of its first SYN, milliseconds since the epoch.
        flow: Client and server address, client and server port, ISN, as in the packet at the first tap: 16 or 40 bytes.
        stamp: Of its first SYN, or nothing.
        tap: See `Observation.tap`.
        aliases: What else it is known by: stamps of repeated SYNs, and what an answer to data in the SYN refers to.
        answered: Translated address and port, or nothing.
        decided: Whether it has been handed on.
    """

    opened: int
    flow: bytes
    stamp: bytes
    tap: int
    aliases: tuple[bytes, ...] = ()
    answered: bytes = b""
    decided: bool = False


class Connections:
    """All connections of the last four seconds, and the silent ones of the last two minutes.

    A *flow* is 16 or 40 bytes: source and destination address, source and destination port, sequence number. They lie
    side by side in a packet without IP options. A *stamp* is 8 bytes: ISN and timestamp of the client, or nothing.
    """

    def __init__(self, pairs: Pairs, tally: Tally, limit: int) -> None:
        """Hand decided connections to `pairs`; beyond `limit`, the oldest is given up as `CONNECTION_TABLE_FULL`."""
        self._pairs = pairs
        self._tally = tally
        self._limit = limit
        self._known: dict[bytes, Connection] = {}
        self._untimed: dict[bytes, Connection] = {}
        self._recent: deque[Connection] = deque()
        self._waiting: deque[Connection] = deque()
        self._expired_at = 0
        self._silent: set[bytes] = set()
        self._silent_before: set[bytes] = set()
        self._silent_since = 0

    def syn(self, flow: bytes, stamp: bytes, when: int, tap: int, payload: int = 0) -> None:
        """Take in a SYN that carries `payload` bytes of data (TCP Fast Open)."""
        if not 0 <= when - self._expired_at < _EXPIRY_STEP:
            self.expire(when)
        known = self._known
        connection = known.get(stamp)
        if connection is not None:
            if connection.flow == flow:
                return
            # Nothing passes the same tap twice. What looks so is crafted, and another connection.
            if (connection.tap != tap or not tap) and len(connection.flow) == len(flow):
                if flow not in known:
                    _note_translation(connection, flow)
                return
        connection = known.get(flow)
        if connection is not None:
            if stamp and len(connection.aliases) < MAX_ALIASES:
                connection.aliases += (stamp,)
                known[stamp] = connection
            return
        if not stamp:
            connection = self._seen_before_translation(flow, when, tap)
            if connection is not None:
                _note_translation(connection, flow)
                return
        repeated = flow in self._silent or flow in self._silent_before
        self._open(flow, stamp, when, tap, payload, decided=repeated)

    def syn_ack(self, flow: bytes, acknowledged: int, echo: bytes) -> None:
        """Take in a SYN-ACK: its flow, the number it acknowledges, and the timestamp it echoes, 4 bytes or none."""
        isn = _ISN.pack((acknowledged - 1) & 0xFFFFFFFF)
        connection = self._known.get(isn + echo) if echo else None
        if connection is None:
            connection = self._opener(flow, isn)
            if connection is None:
                return
        if not connection.decided:
            self._decide(connection, Kind.CONNECTIONS)
        elif connection.flow in self._silent or connection.flow in self._silent_before:
            # A late repetition was answered: the map must not say that the server never does.
            self._silent.discard(connection.flow)
            self._silent_before.discard(connection.flow)
            self._decide(connection, Kind.CONNECTIONS)

    def rst(self, flow: bytes, acknowledged: int) -> None:
        """Take in an RST that answers a SYN."""
        connection = self._opener(flow, _ISN.pack((acknowledged - 1) & 0xFFFFFFFF))
        if connection is not None and not connection.decided:
            self._decide(connection, Kind.ATTEMPTS)

    def expire(self, now: int) -> None:
        """Decide what has been silent for too long, and forget what is old. A clock that was set back is survived."""
        self._expired_at = now
        recent, waiting = self._recent, self._waiting
        while recent and not now - MEMORY < recent[0].opened <= now + SILENCE:
            connection = recent.popleft()
            if connection.decided:
                self._leave(connection)
            else:
                waiting.append(connection)
        while waiting and not now - SILENCE < waiting[0].opened <= now + SILENCE:
            self._leave(waiting.popleft())
        if len(self._silent) >= MAX_SILENT or not 0 <= now - self._silent_since < RETRANSMISSION:
            self._silent_before, self._silent = self._silent, set()
            self._silent_since = now

    def flush(self) -> None:
        """Decide everything: nothing more will come."""
        for connections in (self._waiting, self._recent):
            while connections:
                self._leave(connections.popleft())

    def _open(self, flow: bytes, stamp: bytes, when: int, tap: int, payload: int, *, decided: bool) -> None:
        """Begin a connection; `decided` if it is one that was silent and was handed on already."""
        if len(self._recent) + len(self._waiting) >= self._limit:
            self._make_room()
        connection = Connection(when, flow, stamp, tap, decided=decided)
        if payload:
            # The answer acknowledges the data as well, where it is accepted (RFC 7413) or refused with the SYN.
            isn = _ISN.pack((int.from_bytes(flow[-4:], "big") + payload) & 0xFFFFFFFF)
            connection.aliases = (flow[:-4] + isn, isn + stamp[4:]) if stamp else (flow[:-4] + isn,)
            for alias in connection.aliases:
                self._known[alias] = connection
        self._known[flow] = connection
        if stamp:
            self._known[stamp] = connection
        else:
            self._untimed[_client_end(flow)] = connection
        self._recent.append(connection)

    def _make_room(self) -> None:
        """Forget the oldest decided connection, or give up the oldest one that waits."""
        recent_is_decided = self._recent and self._recent[0].decided
        oldest = (self._waiting if self._waiting and not recent_is_decided else self._recent).popleft()
        if not oldest.decided:
            self._tally.add(Drop.CONNECTION_TABLE_FULL)
            oldest.decided = True
        self._leave(oldest)

    def _seen_before_translation(self, flow: bytes, when: int, tap: int) -> Connection | None:
        """Find the connection of a SYN without timestamps that was seen at another tap with another destination.

        Such a SYN is recognised by ISN, source address and source port alone, which a port scanner may keep for all of
        its targets. So the first tap must be where it came in: what a process of the node sends is translated before
        any tap sees it.
        """
        connection = self._untimed.get(_client_end(flow))
        if connection is None or connection.tap <= 0 or connection.tap == tap:
            return None
        return connection if when - connection.opened <= TRANSLATION else None

    def _opener(self, flow: bytes, isn: bytes) -> Connection | None:
        """Find the connection that a packet in the opposite direction answers."""
        size = (len(flow) - 8) // 2
        ports = 2 * size
        opener = flow[size:ports] + flow[:size] + flow[ports + 2 : ports + 4] + flow[ports : ports + 2] + isn
        return self._known.get(opener)

    def _decide(self, connection: Connection, kind: Kind) -> None:
        connection.decided = True
        flow = connection.flow
        ends = len(flow) - 8
        key = ConnectionKey(kind, flow[:ends], flow[ends + 2 : ends + 4], connection.tap, connection.answered)
        self._pairs.add(key, connection.opened)

    def _leave(self, connection: Connection) -> None:
        """Take a connection out of the table; one without an answer becomes a silent attempt."""
        self._known.pop(connection.flow, None)
        if connection.stamp:
            self._known.pop(connection.stamp, None)
        elif self._untimed.get(end := _client_end(connection.flow)) is connection:
            del self._untimed[end]
        for alias in connection.aliases:
            self._known.pop(alias, None)
        if not connection.decided:
            self._decide(connection, Kind.ATTEMPTS)
            self._silent.add(connection.flow)


def _client_end(flow: bytes) -> bytes:
    """Source address, source port and ISN of a flow."""
    ends = len(flow) - 8
    return flow[: ends // 2] + flow[ends : ends + 2] + flow[-4:]


def _note_translation(connection: Connection, flow: bytes) -> None:
    """Keep the destination of a later tap where it differs from the one that was dialled."""
    size = (len(flow) - 8) // 2
    ports = 2 * size
    answered = flow[size:ports] + flow[ports + 2 : ports + 4]
    dialled = connection.flow[size:ports] + connection.flow[ports + 2 : ports + 4]
    if answered != dialled:
        connection.answered = answered
