"""Rows of clients that nobody is known to have been yet.

A sniffer sees a pod's first connection before the API tells the pod's address: the kubelet writes that down a second or
two after the pod's first process began. Such rows wait here, by the client's address, and are merged as soon as
somebody is told to have had the address at that time. Those for which nobody comes are given up after a while.

What waits is part of the map's state. A checkpoint writes it together with the edges, so that a report which was
answered loses none of its rows when the mapper dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from network_mapper.cluster.index import FOREVER

if TYPE_CHECKING:
    from network_mapper.wire.report import Client, Report

PATIENCE: Final = 60_000
"""Milliseconds that a row waits at most."""

MOST: Final = 50_000
"""Rows that wait at most."""


class Waiting(NamedTuple):
    """Rows of one client.

    Attributes:
        since: When they came, milliseconds since the epoch.
        report: The one that they came in, without what it says of others.
    """

    since: int
    report: Report

    @property
    def client(self) -> Client:
        """The one client."""
        return self.report.clients[0]


class WaitingRoom:
    """What waits, by address.

    Args:
        patience: Milliseconds that a row waits at most.
        most: Rows that wait at most.

    Attributes:
        rows: How many wait.
        changed: Whether something came or went since `everything` was asked for.
    """

    def __init__(self, patience: int = PATIENCE, most: int = MOST) -> None:
        self._patience, self._most = patience, most
        self._held: dict[str, list[Waiting]] = {}
        self._due: set[str] = set()
        self.rows = 0
        self.changed = False

    def put(self, address: str, waiting: Waiting) -> bool:
        """Let rows wait for news of an address, canonical; False where too many rows wait already."""
        rows = waiting.client.rows()
        if self.rows + rows > self._most:
            return False
        self._held.setdefault(address, []).append(waiting)
        self.rows += rows
        self.changed = True
        return True

    def told(self, address: str) -> None:
        """Note that there is news of an address."""
        if address in self._held:
            self._due.add(address)

    def take_due(self) -> list[Waiting]:
        """Take out what waits for addresses of which there is news."""
        due, self._due = self._due, set()
        return [waiting for address in sorted(due) for waiting in self._take(address, FOREVER)]

    def take_overdue(self, now: int) -> list[Waiting]:
        """Take out what has waited for too long."""
        return [waiting for address in list(self._held) for waiting in self._take(address, now - self._patience)]

    def everything(self) -> list[Waiting]:
        """All that waits, for the store."""
        self.changed = False
        return [waiting for held in self._held.values() for waiting in held]

    def _take(self, address: str, until: int) -> list[Waiting]:
        """Take out what came until then."""
        held = self._held.pop(address, [])
        kept = [waiting for waiting in held if waiting.since > until]
        if kept:
            self._held[address] = kept
        gone = [waiting for waiting in held if waiting.since <= until]
        self.rows -= sum(waiting.client.rows() for waiting in gone)
        self.changed = self.changed or bool(gone)
        return gone
