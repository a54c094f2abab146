"""Folds observations until they are reported, and decides when that is.

A node sees the same few edges thousands of times a second; a report should carry each once. What is new is due at once,
because somebody watches the map. What only repeats is held for a few seconds, because nothing but its count changes;
for no longer, because a sniffer that is killed takes it along. Every key counts as new again when the mapper has
forgotten (`forget`).

What waits while no mapper answers is bounded by how many different edges there are, not by how long that lasts: a key
has a few dozen spans at most, whose oldest become coarser (`agent.spans`). One client, and the clients behind one
interface, have a share of the room, so that a port scan takes none from its neighbours. What finds no room is counted
by its events and nothing else is lost: `account` balances at any moment.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

from network_mapper.agent.account import Account
from network_mapper.agent.batch import make_batch
from network_mapper.agent.spans import Spans, split
from network_mapper.model import Drop, Hop
from network_mapper.model.shares import Excess, Shares

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.agent.batch import Batch, Key, Owner, Taken
    from network_mapper.model import Observation

_MOST_ADDRESSES = 8
_MOST_SPANS = 64
"""Of one key. When there are more they become half as many: those of the last minutes stay as they are."""
_MANY_SPANS = _MOST_SPANS // 2
"""A key with as many is due, whatever it is held for."""
_KNOWN = 60_000
"""Milliseconds for which a key that was told is known: longer than it is held, because what comes back every half
minute need not have a report of its own."""


class _Entry(Spans):
    """What waits for one key. One object and not two, because there is one per edge."""

    __slots__ = ("addresses", "doubtful")

    def __init__(self) -> None:
        super().__init__()
        self.addresses: tuple[str, ...] = ()
        self.doubtful = False


class Fold:
    """Observations that wait for a report. Not for several threads at once.

    A key of which something waits is due, or it is held because it was told a moment ago. Times called `now` are
    milliseconds of any clock, as long as it is always the same one; observations carry the wall clock's.

    Attributes:
        account: Observations that came, were taken for a report, wait, or were dropped.
        excess: Who took more than a fair share.

    Args:
        repeat_interval: Seconds for which a key that only repeats is held.
        most_keys: Keys that may wait at once, in fair shares. What is only remembered as told makes room for them.
        most_spans: Spans that may wait at once, over all keys, before all of them become coarser.
        owner: Tells which pod certainly had an address from a first to a last moment, milliseconds since the epoch.
            Asked when rows are taken: first for all of a client's rows together, then one by one.
    """

    def __init__(
        self,
        repeat_interval: float = 5.0,
        most_keys: int = 32_768,
        most_spans: int = 98_304,
        owner: Owner | None = None,
    ) -> None:
        self.account = Account(Hop.FOLD, "observations")
        self.excess: Excess[str] = Excess()
        self._repeat = round(repeat_interval * 1000)
        self._known_for = max(_KNOWN, self._repeat)
        self._most_keys = most_keys
        self._most_spans = max(most_spans, most_keys)
        self._shares: Shares[str] = Shares(most_keys)
        self._owner = owner
        self._due: dict[Key, _Entry] = {}
        self._held: dict[Key, _Entry] = {}
        self._held_since: int | None = None
        self._told: dict[Key, int] = {}
        """When a key of which nothing waits was told; in that order."""
        self._spans = 0
        self._tight = False

    @property
    def keys(self) -> int:
        """Keys of which something waits."""
        return len(self._due) + len(self._held)

    @property
    def spans(self) -> int:
        """Spans that wait; each will be a row."""
        return self._spans

    @property
    def told(self) -> int:
        """Keys of which nothing waits, and that are remembered as told."""
        return len(self._told)

    def crowded(self) -> bool:
        """Whether half of some room is taken, so that somebody who can wait should."""
        return self._tight or self.keys * 2 > self._most_keys or self._spans * 2 > self._most_spans

    def oldest(self) -> int | None:
        """Time of the earliest event that waits; None when nothing does."""
        return min((entry.first for entries in (self._due, self._held) for entry in entries.values()), default=None)

    def add(self, observations: Iterable[Observation]) -> None:
        """Fold observations in."""
        for seen in observations:
            if seen.count < 1:
                continue
            self.account.take(seen.count)
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
            entry = self._due.get(key) or self._held.get(key) or self._begin(key, seen.count)
            if entry is None:
                continue
            before = len(entry)
            for span in split(seen.count, seen.first, seen.last):
                entry.add(*span)
            if len(entry) != before:
                self._spans += len(entry) - before
                self._watch_room(key, entry)
            if seen.addresses and entry.addresses != seen.addresses:
                entry.addresses = _union(entry.addresses, seen.addresses)

    def _begin(self, key: Key, count: int) -> _Entry | None:
        """The entry of a key of which nothing waits yet; None where there is no room, which is counted."""
        client, tap = key[:2]
        greedy = self._shares.full(client, tap)
        if greedy is not None:
            self.account.drop(Drop.FOLD_CLIENT_FULL, count)
            self.excess.add(greedy, Drop.FOLD_CLIENT_FULL, count)
            return None
        if self.keys >= self._most_keys:
            self.account.drop(Drop.FOLD_FULL, count)
            return None
        if self._shares.add(client, tap) * 2 > self._shares.client_share:
            self._tight = True
        entry = _Entry()
        known = self._told.pop(key, None) is not None
        (self._held if known else self._due)[key] = entry
        self._remember_less()
        return entry

    def _remember_less(self) -> None:
        """Forget keys that were told longest ago, where there are more keys than may be."""
        excess = self.keys + len(self._told) - self._most_keys
        for key in list(islice(self._told, max(0, excess))):
            del self._told[key]

    def _watch_room(self, key: Key, entry: _Entry) -> None:
        """Make a key due that has many spans, and coarser what has too many."""
        if len(entry) >= _MANY_SPANS:
            self._tight = True
            if self._held.pop(key, None) is not None:
                self._due[key] = entry
        if len(entry) > _MOST_SPANS:
            self._coarsen(entry, _MOST_SPANS // 2)
        while self._spans > self._most_spans:
            for each in (*self._due.values(), *self._held.values()):
                self._coarsen(each, max(1, len(each) // 2))

    def _coarsen(self, entry: _Entry, most: int) -> None:
        self._spans -= len(entry)
        entry.coarsen(most)
        self._spans += len(entry)

    def has_due(self, now: int) -> bool:
        """Whether `take` would return rows."""
        self._expire(now)
        return bool(self._due)

    def _expire(self, now: int) -> None:
        """Make due what was held for long enough, and forget what was told too long ago."""
        if self._held:
            if self._held_since is None or now < self._held_since:
                self._held_since = now
            if now - self._held_since >= self._repeat:
                self.flush()
        limit = now - self._known_for
        for key in list(takewhile(lambda key: self._told[key] <= limit, self._told)):
            del self._told[key]

    def flush(self) -> None:
        """Make everything due."""
        self._due.update(self._held)
        self._held.clear()
        self._held_since = None

    def forget(self) -> None:
        """Let every key count as new again: the mapper does not know what it was told.

        After a reset the mapper drops what was seen before it, and that may be all that waits for a key. So telling
        what waits now does not make a key known; it is new once more when it is seen again.
        """
        self.flush()
        self._told.clear()
        for entry in self._due.values():
            entry.doubtful = True

    def take(self, now: int, limit: int = 5000) -> Batch | None:
        """Remove what is due.

        Args:
            now: The fold's time.
            limit: Most rows to take; the rest stays due.

        Returns:
            None when nothing is due.
        """
        self._expire(now)
        taken: list[Taken] = []
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
            if not self._due[key]:
                entry = self._due.pop(key)
                self._shares.remove(*key[:2])
                if not entry.doubtful:
                    self._told[key] = now
        self._tight = self._tight and bool(self._due)
        batch = make_batch(taken, self._owner)
        self.account.give(batch.events)
        return batch


def _union(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))[:_MOST_ADDRESSES]
