"""Matches DNS answers to the questions that were asked at this node, so that a forged answer makes no edge.

An answer counts if the same client asked the same question with the same identifier less than thirty seconds ago. The
server's address is not compared, because translation changes it on the way: a client asks a service and a pod answers.
Every exchange is seen at several interfaces and counts once: its question leaves the table with its first answer, and
for a moment the table remembers that it was answered.

Where a question leaves the node, its client's address may be translated too. A question that is seen going out under
another address, but came in a moment ago with the same identifier, belongs to the client that it came from.

Nothing has a timer of its own. Each table is two generations; from time to time the older one is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper.capture.dns import NXDOMAIN, DnsError, Message, decode
from network_mapper.capture.pairs import LookupKey
from network_mapper.model import Drop

if TYPE_CHECKING:
    from network_mapper.capture.pairs import Pairs
    from network_mapper.model import Tally

WINDOW = 30_000
"""Milliseconds after which an answer is too late, and length of a generation of questions."""

ANSWERED_GENERATION = 2000
"""Milliseconds of a generation of answered questions."""

TRANSLATION = 1000
"""Milliseconds within which a question that came in is recognised when it goes out translated."""

MAX_KEYS = 8
"""Keys of one question."""

MAX_DECODED = 2048
MAX_DECODED_SIZE = 1500
"""How many messages a generation of decoded ones holds, and how long they may be: 3 MB for each generation."""

DNS_PORT = b"\x00\x35"


class Question(msgspec.Struct, gc=False):
    """A question that waits for its answer.

    Attributes:
        asked: Time of its first sighting, milliseconds since the epoch.
        client: Address of the client, 4 or 16 bytes.
        tap: See `Observation.tap`.
        keys: What it is known by: first what the client's side shows, then what taps behind a translation show.
    """

    asked: int
    client: bytes
    tap: int
    keys: tuple[bytes, ...]


class Questions:
    """The questions that wait, and those that were answered a moment ago."""

    def __init__(self, pairs: Pairs, tally: Tally, limit: int) -> None:
        """Hand answers to `pairs`; beyond `limit` waiting questions, the oldest are given up as `DNS_TABLE_FULL`."""
        self._pairs = pairs
        self._tally = tally
        self._limit = limit // 2
        self._asked: dict[bytes, Question] = {}
        self._asked_before: dict[bytes, Question] = {}
        self._asked_since = 0
        self._incoming: dict[bytes, Question] = {}
        self._incoming_before: dict[bytes, Question] = {}
        self._answered: set[bytes] = set()
        self._answered_before: set[bytes] = set()
        self._answered_since = 0
        self._decoded: dict[bytes, Message | None] = {}
        self._decoded_before: dict[bytes, Message | None] = {}

    def message(  # noqa: PLR0917  called for every packet, where keywords cost
        self, via: bytes, ends: tuple[bytes, bytes, bytes, bytes], identifier: bytes, rest: bytes, when: int, tap: int
    ) -> bool:
        """Take in a DNS message.

        Args:
            via: Transport and family: `udp4`, `udp6`, `tcp4` or `tcp6`.
            ends: Source address, source port, destination address, destination port, as raw bytes.
            identifier: The first two bytes of the message.
            rest: The message without them: the same for everybody who asks or is told the same.
            when: Milliseconds since the epoch.
            tap: See `Observation.tap`.

        Returns:
            Whether it could be decoded.
        """
        message = self._decoded.get(rest) or self._decode(rest)
        if message is None:
            self._tally.add(Drop.DNS_MALFORMED)
            return False
        source, source_port, destination, destination_port = ends
        tail = identifier + message.question
        if not message.is_answer:
            if destination_port == DNS_PORT:
                self._ask(via + source + source_port + tail, via + tail, source, when, tap)
        elif source_port == DNS_PORT:
            self._answer(via + destination + destination_port + tail, via, message, when)
        else:
            self._tally.add(Drop.DNS_UNASKED)
        return True

    def expire(self, now: int) -> None:
        """Forget what is old. A clock that was set back is survived."""
        if not 0 <= now - self._asked_since < WINDOW:
            self._rotate_asked(now)
        if not 0 <= now - self._answered_since < ANSWERED_GENERATION:
            self._rotate_answered(now)

    def _ask(self, key: bytes, tail: bytes, client: bytes, when: int, tap: int) -> None:
        question = self._asked.get(key) or self._asked_before.get(key)
        if question is not None:
            if when - question.asked > TRANSLATION:
                question.asked = when
                self._asked[key] = question
            return
        if not 0 <= when - self._asked_since < WINDOW:
            self._rotate_asked(when)
        if tap < 0:
            origin = self._incoming.get(tail) or self._incoming_before.get(tail)
            if origin is not None and when - origin.asked <= TRANSLATION:
                if len(origin.keys) < MAX_KEYS:
                    origin.keys += (key,)
                self._asked[key] = origin
                return
        if len(self._asked) >= self._limit:
            self._tally.add(Drop.DNS_TABLE_FULL, len(self._asked_before))
            self._rotate_asked(when)
        question = Question(when, client, tap, (key,))
        self._asked[key] = question
        if tap > 0:
            self._incoming[tail] = question

    def _answer(self, key: bytes, via: bytes, message: Message, when: int) -> None:
        question = self._asked.get(key) or self._asked_before.get(key)
        if question is None or when - question.asked > WINDOW:
            if key not in self._answered and key not in self._answered_before:
                self._tally.add(Drop.DNS_UNASKED)
            return
        if not 0 <= when - self._answered_since < ANSWERED_GENERATION or len(self._answered) >= self._limit:
            self._rotate_answered(when)
        for known in question.keys:
            self._answered.add(known)
            self._asked.pop(known, None)
            self._asked_before.pop(known, None)
        if question.tap > 0:
            tail = via + key[-2 - len(message.question) :]
            self._incoming.pop(tail, None)
            self._incoming_before.pop(tail, None)
        if message.addresses:
            protocol = "udp" if via.startswith(b"udp") else "tcp"
            self._pairs.add(LookupKey(question.client, question.tap, protocol, message.name, message.addresses), when)
        elif message.rcode == NXDOMAIN:
            self._tally.add(Drop.DNS_NXDOMAIN)
        else:
            self._tally.add(Drop.DNS_FAILED if message.rcode else Drop.DNS_NO_ADDRESS)

    def _decode(self, rest: bytes) -> Message | None:
        """Decode a message that the younger generation of decoded ones does not hold."""
        message = self._decoded_before.get(rest)
        if message is None and rest not in self._decoded:
            try:
                message = decode(b"\0\0" + rest)
            except DnsError:
                message = None
        if len(rest) <= MAX_DECODED_SIZE:
            if len(self._decoded) >= MAX_DECODED:
                self._decoded_before, self._decoded = self._decoded, {}
            self._decoded[rest] = message
        return message

    def _rotate_asked(self, now: int) -> None:
        """Begin a generation of questions; after a long silence both are old."""
        stale = not 0 <= now - self._asked_since < 2 * WINDOW
        self._asked_before, self._asked = {} if stale else self._asked, {}
        self._incoming_before, self._incoming = {} if stale else self._incoming, {}
        self._asked_since = now

    def _rotate_answered(self, now: int) -> None:
        self._answered_before, self._answered = self._answered, set()
        self._answered_since = now
