"""Folds observations until they are reported, and decides when that is.

A node sees the same few edges thousands of times a second; a report should carry each once. What is new is due at once,
because somebody watches the map. What only repeats is due half a minute after it was last reported, because nothing but
its count changes. Every key counts as new again when the mapper has forgotten (`forget`).

Nothing is lost on the way but what `drops` counts: the sum of counts added is the sum taken, plus what waits, plus
`Drop.FOLD_FULL`.
"""

from __future__ import annotations

import heapq
from itertools import islice
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


class _Pending(Spans):
    """What waits for one key. One object and not two, because there is one per edge."""

    __slots__ = ("addresses", "due")

    def __init__(self, due: int) -> None:
        super().__init__()
        self.addresses: tuple[str, ...] = ()
        self.due = due


class Fold:
    """Observations that wait for a report. Not for several threads at once.

    Args:
        repeat_interval: Seconds after which a key that only repeats is reported again.
        most_keys: Keys that may wait at once.
        most_spans: Spans that may wait at once, over all keys.
        most_known: Keys that are remembered as reported; those reported longest ago are forgotten first.
    """

    def __init__(
        self,
        repeat_interval: float = 30.0,
        most_keys: int = 65_536,
        most_spans: int = 262_144,
        most_known: int = 65_536,
    ) -> None:
        self._repeat = round(repeat_interval * 1000)
        self._most_keys = most_keys
        self._most_spans = most_spans
        self._most_known = most_known
        self._pending: dict[Key, _Pending] = {}
        self._ready: dict[Key, None] = {}
        self._later: list[tuple[int, Key]] = []
        self._known: dict[Key, int] = {}
        self._spans = 0
        self.drops = Tally()

    @property
    def keys(self) -> int:
        """Keys that wait."""
        return len(self._pending)

    @property
    def spans(self) -> int:
        """Spans that wait; each will be a row."""
        return self._spans

    @property
    def known(self) -> int:
        """Keys that are remembered as reported."""
        return len(self._known)

    def crowded(self) -> bool:
        """Whether half of the room is taken, so that somebody who can wait should."""
        return len(self._pending) * 2 > self._most_keys or self._spans * 2 > self._most_spans

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
            entry = self._pending.get(key)
            for span in split(seen.count, seen.first, seen.last):
                if not self._has_room(entry, span):
                    self.drops.add(Drop.FOLD_FULL, span[0])
                    continue
                if entry is None:
                    entry = self._open(key)
                before = len(entry)
                entry.add(*span)
                self._spans += len(entry) - before
            if entry is not None:
                if seen.addresses and entry.addresses != seen.addresses:
                    entry.addresses = _union(entry.addresses, seen.addresses)
                if len(entry) >= _MANY_SPANS:
                    self._ready[key] = None

    def _has_room(self, entry: _Pending | None, span: Span) -> bool:
        if entry is None and len(self._pending) >= self._most_keys:
            return False
        return self._spans < self._most_spans or (entry is not None and entry.joins(span[1]))

    def _open(self, key: Key) -> _Pending:
        reported = self._known.get(key)
        entry = _Pending(0 if reported is None else reported + self._repeat)
        self._pending[key] = entry
        if reported is None:
            self._ready[key] = None
        else:
            heapq.heappush(self._later, (entry.due, key))
        return entry

    def has_due(self, now: int) -> bool:
        """Whether `take` would return rows."""
        self._promote(now)
        return bool(self._ready)

    def _promote(self, now: int) -> None:
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            entry = self._pending.get(key)
            if entry is not None and entry.due == due:  # else it was taken early, and this is another entry's past
                self._ready[key] = None

    def flush(self) -> None:
        """Make everything due."""
        self._later.clear()
        self._ready.update(dict.fromkeys(self._pending))

    def forget(self) -> None:
        """Let every key count as new again: the mapper does not know what it was told."""
        self._known.clear()
        self.flush()

    def take(self, now: int, limit: int = 5000) -> Batch | None:
        """Remove what is due.

        Args:
            now: Milliseconds of any clock, as long as it is always the same one.
            limit: Most rows to take; the rest stays due.

        Returns:
            None when nothing is due.
        """
        self._promote(now)
        taken: list[tuple[Key, list[Span], tuple[str, ...]]] = []
        room = limit
        for key in self._ready:
            if room <= 0:
                break
            entry = self._pending[key]
            spans = entry.cut(room)
            taken.append((key, spans, entry.addresses))
            room -= len(spans)
        if not taken:
            return None
        self._spans -= limit - room
        for key, _, _ in taken:
            if not self._pending[key]:
                del self._pending[key], self._ready[key]
            self._known.pop(key, None)
            self._known[key] = now
        self._limit_known()
        return _batch(taken)

    def _limit_known(self) -> None:
        """Forget the oldest; an eighth at once, because taking single ones off a dict's front is slow."""
        if len(self._known) > self._most_known:
            excess = len(self._known) - self._most_known * 7 // 8
            for key in list(islice(self._known, excess)):
                del self._known[key]


def _union(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))[:_MOST_ADDRESSES]


def _batch(taken: list[tuple[Key, list[Span], tuple[str, ...]]]) -> Batch:
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
