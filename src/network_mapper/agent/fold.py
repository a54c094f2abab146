"""Folds observations until they are reported, and decides when that is.

A node sees the same few edges thousands of times a second; a report should carry each once. What is new is due at once,
because somebody watches the map. What only repeats is due half a minute after it was last reported, because nothing but
its count changes. Every key counts as new again when the mapper has forgotten (`forget`).

Nothing is lost on the way but what `drops` counts: the sum of counts added is the sum taken, plus what waits, plus
`Drop.FOLD_FULL`.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

import msgspec

from network_mapper.agent.spans import Spans, split
from network_mapper.model import Drop, Kind, Tally
from network_mapper.wire.report import Client, Flow, Lookup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.agent.spans import Span
    from network_mapper.model import Observation

Key = tuple[str, int, Kind, str, int, str, str, int]
"""Client, tap, kind, server, port, protocol, answered_by, answered_port."""

_Taken = tuple[Key, "list[Span]", tuple[str, ...]]

_MOST_ADDRESSES = 8
_MANY_SPANS = 32


class Batch(msgspec.Struct):
    """Rows taken for one report.

    Attributes:
        base: Milliseconds since the epoch that the rows' times are relative to: the earliest of them.
        clients: The rows, one entry per (client, tap).
        rows: How many rows there are.
        events: The sum of their counts.
    """

    base: int
    clients: list[Client]
    rows: int
    events: int


class _Entry(Spans):
    """What waits for one key, perhaps nothing yet. One object and not two, because there is one per edge."""

    __slots__ = ("addresses", "doubtful", "told_at")

    def __init__(self) -> None:
        super().__init__()
        self.addresses: tuple[str, ...] = ()
        self.doubtful = False
        self.told_at = 0


class Fold:
    """Observations that wait for a report. Not for several threads at once.

    A key is either due, or it was told within the last `repeat_interval`, or it is not remembered: one that was told
    longer ago and comes again is due at once, like a new one.

    Args:
        repeat_interval: Seconds after which a key that only repeats is reported again.
        most_keys: Keys that may wait at once.
        most_spans: Spans that may wait at once, over all keys.
        most_told: Keys that are remembered as told; beyond it those told longest ago are forgotten.
    """

    def __init__(
        self,
        repeat_interval: float = 30.0,
        most_keys: int = 65_536,
        most_spans: int = 262_144,
        most_told: int = 65_536,
    ) -> None:
        self._repeat = round(repeat_interval * 1000)
        self._most_keys = most_keys
        self._most_spans = most_spans
        self._most_told = most_told
        self._due: dict[Key, _Entry] = {}
        self._told: dict[Key, _Entry] = {}
        """In the order in which they were told; an entry holds what was seen since."""
        self._keys = 0
        self._spans = 0
        self.drops = Tally()

    @property
    def keys(self) -> int:
        """Keys of which something waits."""
        return self._keys

    @property
    def spans(self) -> int:
        """Spans that wait; each will be a row."""
        return self._spans

    @property
    def told(self) -> int:
        """Keys that are remembered as told."""
        return len(self._told)

    def crowded(self) -> bool:
        """Whether half of the room is taken, so that somebody who can wait should."""
        return self._keys * 2 > self._most_keys or self._spans * 2 > self._most_spans

    def add(self, observations: Iterable[Observation]) -> None:
        """Fold observations in; what finds no room is counted as `Drop.FOLD_FULL`, by its count."""
        for seen in observations:
            if seen.count < 1:
                continue
            key = (
                seen.client,
                seen.tap,
                seen.kind,
                seen.server,
                seen.port,
                seen.protocol,
                seen.answered_by,
                seen.answered_port,
            )
            entry = self._due.get(key) or self._told.get(key)
            for span in split(seen.count, seen.first, seen.last):
                if not self._has_room(entry, span):
                    self.drops.add(Drop.FOLD_FULL, span[0])
                    continue
                if entry is None:
                    entry = self._due[key] = _Entry()
                before = len(entry)
                entry.add(*span)
                self._keys += not before
                self._spans += len(entry) - before
            if entry:
                if seen.addresses and entry.addresses != seen.addresses:
                    entry.addresses = _union(entry.addresses, seen.addresses)
                if len(entry) >= _MANY_SPANS and self._told.pop(key, None) is not None:
                    self._due[key] = entry

    def _has_room(self, entry: _Entry | None, span: Span) -> bool:
        if entry:
            return self._spans < self._most_spans or entry.joins(span[1])
        return self._keys < self._most_keys and self._spans < self._most_spans

    def has_due(self, now: int) -> bool:
        """Whether `take` would return rows."""
        self._expire(now)
        return bool(self._due)

    def _expire(self, now: int) -> None:
        """Forget what was told too long ago; what was seen of it since is due."""
        limit = now - self._repeat
        self._forget(list(takewhile(lambda key: self._told[key].told_at <= limit, self._told)))

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            entry = self._told.pop(key)
            if entry:
                self._due[key] = entry

    def flush(self) -> None:
        """Make everything due."""
        self._forget([key for key, entry in self._told.items() if entry])

    def forget(self) -> None:
        """Let every key count as new again: the mapper does not know what it was told.

        After a reset the mapper drops what was seen before it, and that may be all that waits for a key. So telling
        what waits now does not make a key known; it is new once more when it is seen again.
        """
        self._forget(list(self._told))
        for entry in self._due.values():
            entry.doubtful = True

    def take(self, now: int, limit: int = 5000) -> Batch | None:
        """Remove what is due.

        Args:
            now: Milliseconds of any clock, as long as it is always the same one.
            limit: Most rows to take; the rest stays due.

        Returns:
            None when nothing is due.
        """
        self._expire(now)
        taken: list[_Taken] = []
        room = limit
        for key, entry in self._due.items():
            if room <= 0:
                break
            spans = entry.cut(room)
            taken.append((key, spans, entry.addresses))
            room -= len(spans)
        if not taken:
            return None
        self._spans -= limit - room
        for key, _, _ in taken:
            entry = self._due[key]
            if not entry:
                del self._due[key]
                self._keys -= 1
                if not entry.doubtful:
                    entry.told_at, entry.addresses = now, ()
                    self._told[key] = entry
        excess = len(self._told) - self._most_told
        if excess > 0:
            self._forget(list(islice(self._told, excess)))
        return _batch(taken)


def _union(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))[:_MOST_ADDRESSES]


def _batch(taken: list[_Taken]) -> Batch:
    base = min(spans[0][1] for _, spans, _ in taken)
    clients: dict[tuple[str, int], Client] = {}
    rows = events = 0
    for key, spans, addresses in taken:
        address, tap, kind, server, port, protocol, answered_by, answered_port = key
        client = clients.get((address, tap))
        if client is None:
            client = clients[address, tap] = Client(address, tap)
        rows += len(spans)
        for count, first, last in spans:
            events += count
            start, end = first - base, last - base
            if kind is Kind.LOOKUPS:
                client.lookups.append(Lookup(server, count, start, end, addresses))
            else:
                flow = Flow(server, port, protocol, count, start, end, answered_by, answered_port)
                _flows(client, kind).append(flow)
    return Batch(base, list(clients.values()), rows, events)


def _flows(client: Client, kind: Kind) -> list[Flow]:
    if kind is Kind.CONNECTIONS:
        return client.connections
    return client.attempts if kind is Kind.ATTEMPTS else client.sockets
