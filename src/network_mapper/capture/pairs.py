"""Folds single events into counted spans between two drains.

Most packets of a busy node repeat what is known: the same client, server and port. They cost one look into a table
whose keys are raw bytes; text and objects are made only when the table is drained, once per key. A span ends with one
second of silence, so that an address that is used again is never folded with its former owner.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from network_mapper.capture.addresses import address_text
from network_mapper.model import Drop, Kind, Observation, Tally

SILENCE = 1000
"""Milliseconds without an event that end a span."""

MAX_TEXTS = 16_384
"""Addresses whose text is kept for the next drain."""


class ConnectionKey(NamedTuple):
    """What connections must share to be counted together.

    Attributes:
        kind: `CONNECTIONS` or `ATTEMPTS`.
        ends: Address of the client, then the address that was dialled: 8 or 32 bytes.
        port: Port that was dialled, 2 bytes in network order.
        tap: See `Observation.tap`.
        answered: Address and port that the connection was translated to, 6 or 18 bytes, or nothing.
    """

    kind: Kind
    ends: bytes
    port: bytes
    tap: int
    answered: bytes


class LookupKey(NamedTuple):
    """What DNS answers must share to be counted together.

    Attributes:
        client: Address of the client: 4 or 16 bytes.
        tap: See `Observation.tap`.
        protocol: `udp` or `tcp`.
        name: The name asked for.
        addresses: The addresses answered.
    """

    client: bytes
    tap: int
    protocol: str
    name: str
    addresses: tuple[str, ...]


Key = ConnectionKey | LookupKey


class Span(msgspec.Struct, gc=False):
    """`count` events from `first` to `last`, milliseconds since the epoch."""

    count: int
    first: int
    last: int


class Pairs:
    """The table. `passed` is the number of events that were handed over so far."""

    def __init__(self, tally: Tally, limit: int) -> None:
        """Count what does not fit into `limit` spans as `PAIRS_FULL` in `tally`."""
        self.passed = 0
        self._tally = tally
        self._limit = limit
        self._spans: dict[Key, Span] = {}
        self._ended: list[tuple[Key, Span]] = []
        self._texts: dict[bytes, str] = {}

    def add(self, key: Key, when: int) -> None:
        """Count one event at `when`."""
        span = self._spans.get(key)
        if span is not None and span.first - SILENCE <= when <= span.last + SILENCE:
            span.count += 1
            if when > span.last:
                span.last = when
            elif when < span.first:
                span.first = when
            return
        if len(self._spans) + len(self._ended) >= self._limit:
            self._tally.add(Drop.PAIRS_FULL)
            return
        if span is not None:
            self._ended.append((key, span))
        self._spans[key] = Span(1, when, when)

    def drain(self) -> list[Observation]:
        """Hand over every span and begin anew."""
        if len(self._texts) > MAX_TEXTS:
            self._texts.clear()
        observations = [self._observation(key, span) for key, span in self._ended]
        observations += [self._observation(key, span) for key, span in self._spans.items()]
        self._ended.clear()
        self._spans.clear()
        self.passed += sum(observation.count for observation in observations)
        return observations

    def _observation(self, key: Key, span: Span) -> Observation:
        if isinstance(key, LookupKey):
            return Observation(
                kind=Kind.LOOKUPS,
                client=self._text(key.client),
                server=key.name,
                port=0,
                protocol=key.protocol,
                count=span.count,
                first=span.first,
                last=span.last,
                tap=key.tap,
                addresses=key.addresses,
            )
        size = len(key.ends) // 2
        return Observation(
            kind=key.kind,
            client=self._text(key.ends[:size]),
            server=self._text(key.ends[size:]),
            port=int.from_bytes(key.port, "big"),
            protocol="tcp",
            count=span.count,
            first=span.first,
            last=span.last,
            tap=key.tap,
            answered_by=self._text(key.answered[:size]) if key.answered else "",
            answered_port=int.from_bytes(key.answered[size:], "big"),
        )

    def _text(self, raw: bytes) -> str:
        text = self._texts.get(raw)
        if text is None:
            text = self._texts[raw] = address_text(raw)
        return text
