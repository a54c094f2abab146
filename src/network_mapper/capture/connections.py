"""Tells from SYN, SYN-ACK and RST which TCP connections were opened, each counted once, and what became of them.

On a node every packet passes several interfaces, and between two of them its addresses may be translated. What stays is
what the client chose: the initial sequence number (ISN) and, on nearly every client, the TCP timestamp of its SYN
(RFC 7323). Together they are a connection's *stamp*. The first tap that shows a stamp wins: it gives the client and
the address that was dialled. A later tap of the same stamp with another destination gives the address that answered.

A connection is decided by its SYN-ACK, by an RST, or by four seconds of silence, and handed on at that moment, with
the time of its SYN. Nothing here looks at a clock: connections wait in the order in which they came, so the ones whose
time is up are always in front.

Every packet has one fate, counted here: a SYN waits, becomes a connection or an attempt, or was seen already; an answer
decides one, or is dropped for a reason.
"""

from __future__ import annotations

import struct
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from network_mapper.capture.pairs import ConnectionKey
from network_mapper.model import Drop, Kind
from network_mapper.model.shares import Excess, Shares

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

MAX_SILENT = 8_192
"""Silent connections in a generation. When half of them are taken, a client that has its share of them gets no more, so
that a port scan does not make the repetitions of others look like new attempts; its own then do."""

MAX_ALIASES = 6
"""Stamps of repeated SYNs of one connection that are recognised."""

_EXPIRY_STEP = 250
_LONGEST_SEARCH = 64
"""Connections among which one is looked for whose client has more than its share."""
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

    Attributes:
        passed: SYNs that became a connection or an attempt, and answers that decided one.
        held: SYNs that wait to be decided.
        copies: Packets that were seen already at another interface.
        repeated: SYNs that were sent again.
        answers_repeated: Answers of connections that were decided.
        answers_unasked: Answers to no SYN that is known.
    """

    def __init__(self, pairs: Pairs, tally: Tally, limit: int, excess: Excess[bytes] | None = None) -> None:
        """Hand decided connections to `pairs`; beyond `limit`, one is given up.

        That is the oldest (`CONNECTION_TABLE_FULL`), or an old one of a client that has more than its share
        (`CONNECTION_CLIENT_FULL`).
        """
        self.passed = self.held = 0
        self.copies = self.repeated = self.answers_repeated = self.answers_unasked = 0
        self._excess = excess or Excess[bytes]()
        self._shares: Shares[bytes] = Shares(limit)
        self._sharing = False
        """Whether shares are counted: from when the table is full until half of it is free."""
        self._pairs = pairs
        self._tally = tally
        self._limit = limit
        self._known: dict[bytes, Connection] = {}
        self._untimed: dict[bytes, Connection] = {}
        self._recent: deque[Connection] = deque()
        self._waiting: deque[Connection] = deque()
        self._expired_at = 0
        self._silent: dict[bytes, int] = {}
        self._silent_before: dict[bytes, int] = {}
        """By flow: its tap."""
        self._silent_shares: Shares[bytes] = Shares(MAX_SILENT)
        self._silent_since = 0

    def syn(self, flow: bytes, stamp: bytes, when: int, tap: int, payload: int = 0) -> None:
        """Take in a SYN that carries `payload` bytes of data (TCP Fast Open)."""
        if not 0 <= when - self._expired_at < _EXPIRY_STEP:
            self.expire(when)
        known = self._known
        connection = known.get(stamp)
        if connection is not None:
            if connection.flow == flow:
                self.copies += 1
                return
            # Nothing passes the same tap twice. What looks so is crafted, and another connection.
            if (connection.tap != tap or not tap) and len(connection.flow) == len(flow):
                self.copies += 1
                if flow not in known:
                    _note_translation(connection, flow)
                return
        connection = known.get(flow)
        if connection is not None:
            if stamp or connection.tap == tap:
                self.repeated += 1
            else:
                self.copies += 1
            if stamp and len(connection.aliases) < MAX_ALIASES:
                connection.aliases += (stamp,)
                known[stamp] = connection
            return
        if not stamp:
            connection = self._seen_before_translation(flow, when, tap)
            if connection is not None:
                self.copies += 1
                _note_translation(connection, flow)
                if len(connection.aliases) < MAX_ALIASES:
                    connection.aliases += (flow,)
                    known[flow] = connection
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
                self.answers_unasked += 1
                return
        if not connection.decided:
            self.held -= 1
            self.passed += 2
            self._decide(connection, Kind.CONNECTIONS)
        elif connection.flow in self._silent or connection.flow in self._silent_before:
            # A late repetition was answered: the map must not say that the server never does.
            self._silent.pop(connection.flow, None)
            self._silent_before.pop(connection.flow, None)
            self.passed += 1
            self._decide(connection, Kind.CONNECTIONS)
        else:
            self.answers_repeated += 1

    def rst(self, flow: bytes, acknowledged: int) -> None:
        """Take in an RST that answers a SYN."""
        connection = self._opener(flow, _ISN.pack((acknowledged - 1) & 0xFFFFFFFF))
        if connection is None:
            self.answers_unasked += 1
        elif connection.decided:
            self.answers_repeated += 1
        else:
            self.held -= 1
            self.passed += 2
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
        if self._sharing and (len(recent) + len(waiting)) * 2 < self._limit:
            self._sharing = False
            self._shares.clear()
        if len(self._silent) >= MAX_SILENT or not 0 <= now - self._silent_since < RETRANSMISSION:
            self._silent_before, self._silent = self._silent, {}
            self._silent_shares.clear()
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
        if decided:
            self.repeated += 1
        else:
            self.held += 1
        if self._sharing:
            self._shares.add(_client(flow), tap)
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
            self._untimed.update(dict.fromkeys(_untimed_keys(flow), connection))
        self._recent.append(connection)

    def _make_room(self) -> None:
        """Forget the oldest decided connection, or give up one that waits."""
        if not self._sharing:
            self._sharing = True
            for connection in (*self._waiting, *self._recent):
                self._shares.add(_client(connection.flow), connection.tap)
        if self._recent and self._recent[0].decided:
            self._leave(self._recent.popleft())
            return
        oldest = self._waiting or self._recent
        chosen, reason = 0, Drop.CONNECTION_TABLE_FULL
        for number, connection in enumerate(islice(oldest, _LONGEST_SEARCH)):
            greedy = None if connection.decided else self._shares.full(_client(connection.flow), connection.tap)
            if greedy is not None:
                chosen, reason = number, Drop.CONNECTION_CLIENT_FULL
                self._excess.add(greedy, reason)
                break
        connection = oldest[chosen]
        del oldest[chosen]
        if not connection.decided:
            self._tally.add(reason)
            self.held -= 1
            connection.decided = True
        self._leave(connection)

    def undecided_since(self) -> int | None:
        """When the oldest connection was opened that is not decided; None where there is none."""
        for connections in (self._waiting, self._recent):
            for connection in connections:
                if not connection.decided:
                    return connection.opened
        return None

    def _seen_before_translation(self, flow: bytes, when: int, tap: int) -> Connection | None:
        """Find the connection of a SYN without timestamps that was seen at another tap with other addresses.

        Such a SYN is recognised by ISN, source address and source port, which a port scanner may keep for all of its
        targets. So the first tap must be where it came in: what a process of the node sends is translated before any
        tap sees it. One that is leaving may have the node's address instead of its client's (masquerading), and is then
        recognised by ISN and destination, or by the ISN alone where both ends were translated: what just came in with
        the same number out of four thousand million is what the node forwards, and no connection of the node.
        """
        keys = _untimed_keys(flow)
        for key in keys if tap < 0 else keys[:1]:
            connection = self._untimed.get(key)
            if connection is None or connection.tap <= 0 or len(connection.flow) != len(flow):
                continue
            if connection.tap != tap and when - connection.opened <= TRANSLATION:
                return connection
        return None

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
        if self._sharing:
            self._shares.remove(_client(connection.flow), connection.tap)
        self._known.pop(connection.flow, None)
        if connection.stamp:
            self._known.pop(connection.stamp, None)
        else:
            for key in _untimed_keys(connection.flow):
                if self._untimed.get(key) is connection:
                    del self._untimed[key]
        for alias in connection.aliases:
            self._known.pop(alias, None)
        if not connection.decided:
            self.held -= 1
            self.passed += 1
            self._decide(connection, Kind.ATTEMPTS)
            self._remember_silent(connection.flow, connection.tap)

    def _remember_silent(self, flow: bytes, tap: int) -> None:
        if len(self._silent) * 2 >= MAX_SILENT:
            if not self._silent_shares:
                for known, at in self._silent.items():
                    self._silent_shares.add(_client(known), at)
            if self._silent_shares.full(_client(flow), tap) is not None:
                return
            self._silent_shares.add(_client(flow), tap)
        self._silent[flow] = tap


def _client(flow: bytes) -> bytes:
    return flow[: (len(flow) - 8) // 2]


def _untimed_keys(flow: bytes) -> tuple[bytes, bytes, bytes]:
    """What a SYN without timestamps is known by: its ISN with the client's end, with the server's end, and alone."""
    ends, isn = len(flow) - 8, flow[-4:]
    size = ends // 2
    client, server = flow[:size] + flow[ends : ends + 2], flow[size:ends] + flow[ends + 2 : ends + 4]
    return b"c" + client + isn, b"s" + server + isn, isn


def _note_translation(connection: Connection, flow: bytes) -> None:
    """Keep the destination of a later tap where it differs from the one that was dialled."""
    size = (len(flow) - 8) // 2
    ports = 2 * size
    answered = flow[size:ports] + flow[ports + 2 : ports + 4]
    dialled = connection.flow[size:ports] + connection.flow[ports + 2 : ports + 4]
    if answered != dialled:
        connection.answered = answered
