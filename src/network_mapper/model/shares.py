"""Fair shares of a bounded table: who has how much of it, and who was refused more.

A table that everybody fills together is taken away from all by one port scan. So one client may have an eighth of it,
and all that are first seen at one interface together a half: what comes from outside the cluster comes through one
interface, however many addresses it has. What is refused is counted elsewhere; here is kept whose it was, so that a few
can be named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from network_mapper.model.drops import Drop

Client = TypeVar("Client", str, bytes)

_CLIENTS, _TAPS = 8, 2
_MOST_NAMED = 256


class Shares(Generic[Client]):
    """How many places of a table each client has, and each tap (see `Observation.tap`)."""

    __slots__ = ("_of_client", "_of_tap", "client_share", "tap_share")

    def __init__(self, limit: int) -> None:
        """Share out a table of `limit` places; each share has one at least."""
        self.client_share = max(1, limit // _CLIENTS)
        self.tap_share = max(1, limit // _TAPS)
        self._of_client: dict[Client, int] = {}
        self._of_tap: dict[int, int] = {}

    def add(self, client: Client, tap: int) -> int:
        """Note one more place; returns how many the client has now."""
        self._of_tap[tap] = self._of_tap.get(tap, 0) + 1
        count = self._of_client[client] = self._of_client.get(client, 0) + 1
        return count

    def remove(self, client: Client, tap: int) -> None:
        """Note one less, of those that were added."""
        if self._of_client[client] == 1:
            del self._of_client[client]
        else:
            self._of_client[client] -= 1
        if self._of_tap[tap] == 1:
            del self._of_tap[tap]
        else:
            self._of_tap[tap] -= 1

    def full(self, client: Client, tap: int) -> Client | int | None:
        """Who has all of a share already: the client, or the tap; None where neither. An unknown tap has no share."""
        if self._of_client.get(client, 0) >= self.client_share:
            return client
        return tap if tap and self._of_tap.get(tap, 0) >= self.tap_share else None

    def clear(self) -> None:
        """Note that the table is empty."""
        self._of_client.clear()
        self._of_tap.clear()

    def __bool__(self) -> bool:
        """Whether anybody has a place."""
        return bool(self._of_client)


class Excess(Generic[Client]):
    """Counts of what was refused, by client or tap and reason; of more than a few hundred the smallest are forgotten.

    So a count is a lower bound: one that was forgotten and comes again begins anew.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[Client | int, Drop], int] = {}

    def add(self, who: Client | int, reason: Drop, count: int = 1) -> None:
        """Count `count` more of what was dropped for `reason` because of `who`."""
        key = who, reason
        known = self._counts.get(key)
        if known is None and len(self._counts) >= _MOST_NAMED:
            for small in sorted(self._counts, key=self._counts.__getitem__)[: _MOST_NAMED // 4]:
                del self._counts[small]
        self._counts[key] = (known or 0) + count

    def worst(self, most: int) -> list[tuple[Client | int, Drop, int]]:
        """Those with the largest counts, largest first."""
        largest = sorted(self._counts.items(), key=lambda item: -item[1])[:most]
        return [(who, reason, count) for (who, reason), count in largest]


def interface(tap: int) -> str:
    """How a tap is called where clients are named by their addresses."""
    return f"interface {abs(tap)}"
