"""Rows of which one end is not known yet.

A sniffer sees a pod's first connection before the API tells the pod's address: the kubelet writes that down a second or
two after the pod's first process began. Such rows wait here, by what is not known (an address, or a pod's UID), and are
tried again as soon as there is news of it. Those of which nobody tells are given up after a while; while the cluster
cannot be followed nobody can tell, so they stay, and have their whole patience once more when it is followed again.

What waits is part of the map's state. A checkpoint writes it together with the edges, so that a report which was
answered loses none of its rows when the mapper dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from network_mapper.cluster.index import FOREVER
from network_mapper.mapper.outcome import observations
from network_mapper.mapper.resting import Rested, Resting
from network_mapper.wire.report import ROWS, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.wire.report import Flow, Lookup, Report

PATIENCE: Final = 60_000
"""Milliseconds that a row waits at most."""

MOST: Final = 50_000
"""Rows that wait at most."""

SHARE: Final = 8
"""One client's rows take up no more than the room divided by this: whoever scans the cluster leaves room for others."""


_NO_ROWS: Final[tuple[list[Any], ...]] = ([],) * len(ROWS)
"""One empty list for all kinds of which a client has no rows: fifty thousand clients would hold a quarter of a million
of them. Nothing is ever added to it."""


class Waiting(NamedTuple):
    """Rows of one client, or a report that rested.

    Attributes:
        since: When they came, milliseconds since the epoch.
        head: The report that they came in; for rows of one client, which share it, without what it says of others.
        client: The one client.
    """

    since: int
    head: Report
    client: Client | None = None

    @property
    def clients(self) -> list[Client]:
        """Whose rows wait."""
        return self.head.clients if self.client is None else [self.client]

    @property
    def report(self) -> Report:
        """The report with what waits of it."""
        return self.head if self.client is None else msgspec.structs.replace(self.head, clients=[self.client])


class WaitingRoom:
    """What waits, by what it waits for; iterating over it gives everything.

    Args:
        patience: See below.
        most: Rows that wait at most.

    Attributes:
        changed: Whether something came or went since `everything` was asked for.
        hold: Whether nothing is given up now, because nobody could have told.
        patience: Milliseconds that a row waits at most.
    """

    def __init__(self, patience: int = PATIENCE, most: int = MOST) -> None:
        self.patience, self._most = patience, most
        self._held: dict[str, list[Waiting]] = {}
        self._due: set[str] = set()
        self._of_client: dict[str, int] = {}
        self._released = 0
        self._resting = Resting(patience)
        self._rows = 0
        self._observations = 0
        self.changed = False
        self.hold = False

    def put(self, key: str, waiting: Waiting) -> bool:
        """Let rows wait for news of `key`; False where too many rows wait already, of all clients or of this one."""
        (client,) = waiting.clients
        rows, who = client.rows(), _who(client)
        if rows > self.space(client):
            return False
        self._held.setdefault(key, []).append(waiting)
        self._of_client[who] = self._of_client.get(who, 0) + rows
        self._rows += rows
        self._observations += _observations(client)
        self.changed = True
        return True

    def rest(self, rested: Rested) -> None:
        """Let a whole report rest (`resting`)."""
        self._resting.put(rested)
        self.changed = True

    def resting(self) -> Iterator[Rested]:
        """The reports that rest."""
        return iter(self._resting)

    @property
    def rows(self) -> int:
        """How many rows wait, those that rest among them."""
        return self._rows + self._resting.rows

    @property
    def observations(self) -> int:
        """How many observations they stand for."""
        return self._observations + self._resting.observations

    def space(self, client: Client) -> int:
        """How many more rows of a client may wait."""
        return max(0, min(self._most - self._rows, self._most // SHARE - self._of_client.get(_who(client), 0)))

    def told(self, key: str) -> None:
        """Note that there is news of an address or a UID."""
        if key in self._held:
            self._due.add(key)

    def take_due(self, now: int, settle: int = 0) -> list[Waiting]:
        """Take out what waits for that of which there is news, and what has rested for `settle` milliseconds."""
        due, self._due = self._due, set()
        found = [waiting for key in sorted(due) for waiting in self._take(key, FOREVER)]
        rested = [Waiting(each.since, each.report) for each in self._resting.take(now, settle, hold=self.hold)]
        self.changed = self.changed or bool(rested)
        return found + rested

    def take_overdue(self, now: int) -> list[Waiting]:
        """Take out what has waited for too long; call it every few seconds, also while nothing is given up."""
        if self.hold:
            self._released = now
        if now - self._released < self.patience:
            return []
        return [waiting for key in list(self._held) for waiting in self._take(key, now - self.patience)]

    def __iter__(self) -> Iterator[Waiting]:
        for held in self._held.values():
            yield from held
        for rested in self._resting:
            yield Waiting(rested.since, rested.report)

    def everything(self) -> list[Waiting]:
        """All that waits, for the store."""
        self.changed = False
        return list(self)

    def clear(self) -> None:
        """Let nothing wait any more."""
        self._held.clear()
        self._due.clear()
        self._of_client.clear()
        self.changed = self.changed or self.rows > 0
        self._rows = self._observations = 0
        self._resting.clear()

    def _take(self, key: str, until: int) -> list[Waiting]:
        """Take out what came until then."""
        held = self._held.pop(key, [])
        kept = [waiting for waiting in held if waiting.since > until]
        if kept:
            self._held[key] = kept
        gone = [waiting for waiting in held if waiting.since <= until]
        for waiting in gone:
            (client,) = waiting.clients
            self._leave(client)
        self.changed = self.changed or bool(gone)
        return gone

    def _leave(self, client: Client) -> None:
        rows, who = client.rows(), _who(client)
        self._rows -= rows
        self._observations -= _observations(client)
        left = self._of_client[who] - rows
        if left:
            self._of_client[who] = left
        else:
            del self._of_client[who]


class Arrivals:
    """Rows of a report that are about to wait, one client's at a time.

    Args:
        room: Where.
        since: When rows came that have waited before; 0 for new ones.

    Attributes:
        again: Whether they have.
        some: Whether there are any.
    """

    def __init__(self, room: WaitingRoom, since: int) -> None:
        self._room, self._since = room, since
        self._by_key: dict[str, Client] = {}
        self._space = 0
        self.again = since > 0
        self.some = False

    def add(self, group: Client, key: str, kind: str, row: Flow | Lookup) -> bool:
        """Let a row of a group wait for `key`; False where there is no room. `kind` is the name of its list."""
        if not self.some:
            self._space = self._room.space(group)
        if not self._space:
            return False
        self._space -= 1
        self.some = True
        client = self._by_key.get(key)
        if client is None:
            client = self._by_key[key] = Client(group.address, group.tap, group.pod, *_NO_ROWS)
        rows = getattr(client, kind)
        if rows:
            rows.append(row)
        else:
            setattr(client, kind, [row])
        return True

    def enter(self, report: Report, now: int) -> int:
        """Let them go in; returns how many observations that are."""
        before = self._room.observations
        head = msgspec.structs.replace(report, clients=[], drops={}, sources=[], pods=[], hops=[])
        for key, client in self._by_key.items():
            self._room.put(key, Waiting(self._since or now, head, client))
        self._by_key.clear()
        self.some = False
        return self._room.observations - before


def _who(client: Client) -> str:
    return client.pod.uid if client.pod is not None else client.address


def _observations(client: Client) -> int:
    lists = (client.connections, client.attempts, client.sockets, client.lookups, client.requests, client.volumes)
    return sum(observations(row) for rows in lists for row in rows)
