"""Puts DNS messages over TCP (RFC 1035 section 4.2.2) together again from the segments that carry them.

Each message has its length in two bytes before it; it may share a segment with others or be spread over several. The
same segment is seen at several taps, so what was taken already is skipped by its sequence number. Segments are taken
in order only: behind a gap the message is lost and counted, and reading goes on at the next segment, which in practice
begins a message. All buffers together are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper.model import Drop

if TYPE_CHECKING:
    from network_mapper.model import Tally

GENERATION = 30_000
"""Milliseconds of a generation: a stream is forgotten after one to two of them without a segment."""

MAX_STREAMS = 1024
MAX_BUFFERED = 4 * 2**20
"""Bytes of unfinished messages in all streams together."""

MIN_MESSAGE = 12
"""A DNS message is at least its header."""


class Stream(msgspec.Struct, gc=False):
    """One direction of one connection.

    Attributes:
        expected: Sequence number of the next byte.
        pending: The bytes of an unfinished message, its length first.
    """

    expected: int
    pending: bytes = b""


class Streams:
    """The directions of all DNS connections, known by addresses and ports."""

    def __init__(self, tally: Tally) -> None:
        """Count lost messages as `DNS_STREAM_LOST` in `tally`."""
        self._tally = tally
        self._streams: dict[bytes, Stream] = {}
        self._streams_before: dict[bytes, Stream] = {}
        self._since = 0
        self._buffered = 0

    def segment(self, key: bytes, sequence: int, payload: bytes, missing: int, when: int) -> list[bytes]:
        """Take in a segment of which the last `missing` bytes were not captured; return the messages it completes."""
        self.expire(when)
        stream = self._streams.get(key) or self._streams_before.pop(key, None)
        if stream is None:
            if len(self._streams) >= MAX_STREAMS:
                self._rotate(when)
            stream = Stream(sequence)
        self._streams[key] = stream

        ahead = (sequence - stream.expected) & 0xFFFFFFFF
        if ahead >= 0x80000000:
            seen = 0x100000000 - ahead
            if seen >= len(payload) + missing:
                return []
            payload = payload[seen:]
        elif ahead:
            self._lose(stream)
            stream.expected = sequence

        stream.expected = (stream.expected + len(payload) + missing) & 0xFFFFFFFF
        self._buffered -= len(stream.pending)
        messages, rest, sound = _split(stream.pending + payload)
        if missing or not sound or self._buffered + len(rest) > MAX_BUFFERED:
            self._tally.add(Drop.DNS_STREAM_LOST)
            rest = b""
        stream.pending = rest
        self._buffered += len(rest)
        return messages

    def forget(self, key: bytes) -> None:
        """End a stream: its connection begins anew, or what it carries is no DNS."""
        stream = self._streams.pop(key, None) or self._streams_before.pop(key, None)
        if stream is not None:
            self._buffered -= len(stream.pending)

    def expire(self, now: int) -> None:
        """Forget streams without segments. A clock that was set back is survived."""
        if not 0 <= now - self._since < GENERATION:
            self._rotate(now)

    def _rotate(self, now: int) -> None:
        for stream in self._streams_before.values():
            if stream.pending:
                self._lose(stream)
        self._streams_before, self._streams = self._streams, {}
        self._since = now

    def _lose(self, stream: Stream) -> None:
        self._tally.add(Drop.DNS_STREAM_LOST)
        self._buffered -= len(stream.pending)
        stream.pending = b""


def _split(data: bytes) -> tuple[list[bytes], bytes, bool]:
    """Split off the complete messages; return them, what remains, and whether the lengths made sense."""
    messages: list[bytes] = []
    offset = 0
    while offset + 2 <= len(data):
        size = int.from_bytes(data[offset : offset + 2], "big")
        if size < MIN_MESSAGE:
            return messages, b"", False
        if offset + 2 + size > len(data):
            break
        messages.append(data[offset + 2 : offset + 2 + size])
        offset += 2 + size
    return messages, data[offset:], True
