"""Which nodes are watched, by which sniffer, and when they were.

A connection between two nodes is seen by both. The client's node counts it, so whether that node was watched at the
time decides what another node's sighting is worth. A sniffer says hello when it starts, is heard at least every few
seconds, and says until when it has reported. The time that counts is that of the observation: a capture file that is
played today speaks of the day it was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from network_mapper.store.database import Sequence
from network_mapper.wire.api import SnifferStatus
from network_mapper.wire.report import LEGACY_NODE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.wire.report import Report

SILENCE = 15_000
"""Milliseconds without a report after which a sniffer counts as gone: three missed heartbeats and a late one. For as
long it is taken to watch beyond what it has reported."""

SKEW = 5 * 60_000
"""How far a node's clock may be from ours, milliseconds. A sniffer whose newest moment is that near watches now."""

_MAX_NODES = 10_000
_BOOTS_KEPT = 8


class Sniffer(msgspec.Struct):
    """What is known of one node's sniffer.

    Attributes:
        report: Its newest report without the rows.
        heard: When that came, on the mapper's clock.
        reports: Reports heard since the mapper started.
        watched: From when until when its last starts watched, milliseconds since the epoch, by start.
        joined: When a start was first heard of that had told its earlier reports to another map, by start.
    """

    report: Report
    heard: int
    reports: int
    watched: dict[str, tuple[int, int]]
    joined: dict[str, int] = {}


class Coverage:
    """Every sniffer that has reported, and which of its reports are in the map."""

    def __init__(self) -> None:
        self.sniffers: dict[str, Sniffer] = {}
        self._counted: dict[str, dict[str, int]] = {}
        """By node and start, the newest start last: the highest sequence whose effect is in the map."""
        self._changed: dict[tuple[str, str], int] = {}
        """By node and start: when a sequence was counted that the store does not have yet."""
        self._since = 0
        self._presumed: dict[str, int] = {}
        """Nodes that were watched before we began, and until when that is believed without a word from them."""

    def restore(self, sequences: Iterable[Sequence], now: int) -> None:
        """Take over what has been counted before a restart.

        A node that was heard to the end is presumed watched until its sniffer had time to report again: otherwise the
        first reports after a restart would count connections twice.
        """
        rows = sorted(sequences, key=lambda row: row.heard)
        for row in rows:
            self._counted.setdefault(row.node, {})[row.boot] = row.sequence
            if row.node != LEGACY_NODE and row.heard >= rows[-1].heard - 4 * SILENCE:
                self.presume(row.node, now)

    def presume(self, node: str, now: int) -> None:
        """Believe that a node is watched, for a while, and that it was until now, whenever its next sniffer starts."""
        self._presumed[node] = now + SILENCE

    def is_counted(self, report: Report) -> bool:
        """Whether this report's effect is in the map already."""
        return report.sequence <= self._counted.get(report.node, {}).get(report.boot, 0)

    def count(self, report: Report, now: int) -> None:
        """Note that a report's effect is in the map."""
        boots = self._counted.setdefault(report.node, {})
        boots[report.boot] = report.sequence
        while len(boots) > _BOOTS_KEPT:
            del boots[next(iter(boots))]
        self._changed[report.node, report.boot] = now

    def hear(self, report: Report, now: int) -> None:
        """Note that a sniffer is alive; senders that do not say where they run cover no node."""
        if report.node == LEGACY_NODE:
            return
        known = self.sniffers.get(report.node)
        if known is None and len(self.sniffers) >= _MAX_NODES:
            quietest = min(self.sniffers, key=lambda node: self.sniffers[node].heard)
            del self.sniffers[quietest]
            self._counted.pop(quietest, None)
        watched = known.watched if known else {}
        is_new = report.boot not in watched
        _, until = watched.pop(report.boot, (0, 0))
        newest = report.watched_until or now
        joined = known.joined if known else {}
        if is_new and report.sequence > 1 and report.boot not in self._counted.get(report.node, ()):
            joined[report.boot] = now
        watched[report.boot] = (report.started, max(until, newest, now if now - newest <= SKEW else 0))
        while len(watched) > _BOOTS_KEPT:
            oldest = next(iter(watched))
            del watched[oldest]
            joined.pop(oldest, None)
        if report.started > 0:
            since = max(report.started, joined.get(report.boot, 0))
            self._since = min(self._since or since, since)
        head = msgspec.structs.replace(report, clients=[])
        if known is not None and known.report.boot == report.boot and report.sequence < known.report.sequence:
            head = known.report
        self.sniffers[report.node] = Sniffer(head, now, known.reports + 1 if known else 1, watched, joined)

    def covers(self, node: str, instant: int, now: int) -> bool:
        """Whether a sniffer watched this node at that time, which is now where another node's clock is ahead."""
        instant = min(instant, now)
        sniffer = self.sniffers.get(node)
        presumed = self._presumed.get(node, 0)
        if sniffer is None:
            return instant <= presumed
        if 0 <= presumed - SILENCE - instant <= SKEW:
            return True
        return any(start <= instant <= until + SILENCE for start, until in sniffer.watched.values())

    def is_known(self, node: str) -> bool:
        """Whether this node can have been watched at any time: a quick no for most of what legacy senders report."""
        return node in self.sniffers or node in self._presumed

    def is_connected(self, node: str, now: int) -> bool:
        """Whether this node's sniffer was heard lately."""
        sniffer = self.sniffers.get(node)
        return sniffer is not None and now - sniffer.heard <= SILENCE

    def take_sequences(self) -> list[Sequence]:
        """What `count` noted since the last call, for the store."""
        changed, self._changed = self._changed, {}
        return [
            Sequence(node, boot, self._counted[node][boot], heard)
            for (node, boot), heard in changed.items()
            if boot in self._counted.get(node, ())
        ]

    def give_back(self, sequences: Iterable[Sequence]) -> None:
        """Undo `take_sequences`: the store could not write them."""
        for row in sequences:
            self._changed.setdefault((row.node, row.boot), row.heard)

    def restore_since(self, since: int) -> None:
        """Take over what `since` said before a restart; 0 when it is not known."""
        self._since = since

    def since(self, reset_at: int) -> int:
        """From when on the map has what its first sniffer saw, but not before the last reset; 0 when none has watched.

        A sniffer that told the beginning to another map, as after a mapper's pod is replaced that has no volume, counts
        from when this map first heard of it.
        """
        return max(self._since, reset_at) if self._since else 0

    def status(self, now: int) -> list[SnifferStatus]:
        """Every sniffer, by node name."""
        rows = []
        for node in sorted(self.sniffers):
            sniffer = self.sniffers[node]
            report = sniffer.report
            rows.append(
                SnifferStatus(
                    node=node,
                    agent=report.agent,
                    boot=report.boot,
                    started=report.started,
                    last_report=sniffer.heard,
                    reports=sniffer.reports,
                    connected=self.is_connected(node, now),
                    sources={source.name: source.seen for source in report.sources},
                    drops=report.drops,
                    version=report.agent.rpartition("/")[2] if "/" in report.agent else "",
                    clock_ahead=report.ahead,
                    capture=report.capture,
                    capture_reason=report.capture_reason,
                )
            )
        return rows
