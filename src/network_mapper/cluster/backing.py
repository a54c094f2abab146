"""Who was behind a service, and when.

Endpoints have no times. What is known of a change is when we were told, and that it takes a while either way: the API
tells a change some time after it, and nodes go on sending connections to the former endpoints for a while. So each
change has a span in which it happened, and within that both who was there before and who came are behind the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from network_mapper.cluster.spans import ALWAYS, FOREVER

if TYPE_CHECKING:
    from network_mapper.model import Workload

TOLD_WITHIN: Final = 5_000
"""Milliseconds that the API takes at most to tell a change to those who watch it."""
HEEDED_WITHIN: Final = 5_000
"""Milliseconds after which no node sends connections to endpoints that are gone."""

MOST: Final = 64
"""Changes that are kept of a service; earlier ones become one, in which all who were there are possible."""


class Backing(NamedTuple):
    """The distinct workloads behind a service, sorted, while `start <= instant < end`."""

    workloads: tuple[Workload, ...]
    start: int
    end: int


class _Change(NamedTuple):
    before: tuple[Workload, ...]
    earliest: int
    latest: int


class History:
    """The changes of a service's backends, the first first."""

    def __init__(self) -> None:
        self._changes: list[_Change] = []

    def put(self, before: tuple[Workload, ...], earliest: int, latest: int) -> None:
        """Take in that others came after `before`, not earlier than `earliest` and before `latest`.

        Changes are told in order. One that is told to be later than another is.
        """
        changes = self._changes
        if changes:
            latest = max(latest, changes[-1].latest)
        changes.append(_Change(before, min(earliest, latest), latest))
        if len(changes) > MOST:
            first, second = changes[:2]
            joined = _Change(
                _joined((first.before, second.before)), min(first.earliest, second.earliest), second.latest
            )
            changes[:2] = [joined]

    def at(self, instant: int, now: tuple[Workload, ...]) -> Backing:
        """Who was, or may have been, behind the service; `now` are those who came with the last change."""
        found = []
        start, end = ALWAYS, FOREVER
        since = ALWAYS
        for change in (*self._changes, _Change(now, FOREVER, FOREVER)):
            if since <= instant < change.latest:
                found.append(change.before)
            since = change.earliest
            for edge in (change.earliest, change.latest):
                if edge <= instant:
                    start = max(start, edge)
                else:
                    end = min(end, edge)
        return Backing(found[0] if len(found) == 1 else _joined(found), start, end)

    def forget(self, before: int) -> int:
        """Forget the changes that had happened before an instant; returns how many are left."""
        while self._changes and self._changes[0].latest <= before:
            del self._changes[0]
        return len(self._changes)

    def __len__(self) -> int:
        return len(self._changes)


def _joined(found: list[tuple[Workload, ...]] | tuple[tuple[Workload, ...], ...]) -> tuple[Workload, ...]:
    every = {workload for workloads in found for workload in workloads}
    return tuple(sorted(every, key=lambda workload: (workload.namespace, workload.name, workload.kind)))
