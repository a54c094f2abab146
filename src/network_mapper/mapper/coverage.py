"""Which nodes are watched, by which sniffer, and when they were.

A connection between two nodes is seen by both. The client's node counts it, so whether that node was watched at the
time decides what another node's sighting is worth. What is known of that is what sniffers have said: each of their
starts watched from its first packet until where its answered reports reach. It is kept in the store, so a mapper that
starts again knows it.

Beyond that a start is believed to watch on for as long as it is heard: what it sees now is in a report that is yet to
come, and would be counted twice if another node's were taken. After a restart of the mapper a sniffer that was heard
until the end has fifteen seconds to speak again. Only of a node of which nothing is known, because the store is new,
the same is presumed. As soon as it speaks, what it says holds, so that a time between two of its starts, in which
nobody watched, is never taken for one that was.

The time that counts is that of the observation: a capture file that is played today speaks of the day it was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.mapper.blind import NEVER_WATCHED, SNIFFER_AWAY, SNIFFER_SILENT, BlindWindows
from network_mapper.model import Drop, Hop, Tally
from network_mapper.store.database import Sequence
from network_mapper.wire.api import BlindWindow, HopRow, SnifferStatus
from network_mapper.wire.report import LEGACY_NODE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from network_mapper.wire.report import Report

SILENCE = 15_000
"""Milliseconds without a report after which a sniffer counts as gone: three missed heartbeats and a late one."""

SKEW = 5 * 60_000
"""How far a node's clock may be from ours, milliseconds."""

_MAX_NODES = 10_000
_BOOTS_KEPT = 8

_MOST_HOPS: Final = 32

_REASONS: Final = {reason.value: reason for reason in Drop}
_BEFORE_US: Final = frozenset((Hop.KERNEL, Hop.CAPTURE, Hop.FOLD, Hop.TRANSPORT))
_TOLD: Final = {name: reason for name, reason in _REASONS.items() if reason.is_loss and reason.hop in _BEFORE_US}
"""The losses of which sniffers tell."""


class Start(msgspec.Struct):
    """What is known of one start of a sniffer. Times are milliseconds since the epoch on its clock.

    Attributes:
        counted: The highest sequence whose effect is in the map.
        started: Its first packet; 0 when it did not say.
        until: What was seen until then has been told, in reports that were answered; 0 while nothing was.
        heard: When it was last heard, on the mapper's clock.
        sequence: Of the last report that was heard since the mapper started; 0 when none was.
        joined: When it was first heard, on the mapper's clock, where it had told another map before; else 0.
        ahead: By how much its clock is ahead of the mapper's.
        is_live: It watches now; else it plays what was recorded before.
        losses: What it had lost as it last said, by `model.Drop`.
    """

    counted: int = 0
    started: int = 0
    until: int = 0
    heard: int = 0
    sequence: int = 0
    joined: int = 0
    ahead: int = 0
    is_live: bool = True
    losses: dict[str, int] = {}

    def covers(self, instant: int) -> bool:
        """Whether it has told what was at that time, on the mapper's clock."""
        return self.started - self.ahead <= instant <= self.until - self.ahead


class Sniffer(msgspec.Struct):
    """What was heard of one node's sniffer since the mapper started.

    Attributes:
        report: Its newest report without the rows.
        heard: When that came, on the mapper's clock.
        reports: Reports heard.
    """

    report: Report
    heard: int
    reports: int


class Coverage:
    """Every sniffer that has reported, and which of its reports are in the map.

    Args:
        blind: Where a time is noted in which a node was not watched.
    """

    def __init__(self, blind: BlindWindows | None = None) -> None:
        self.blind = BlindWindows() if blind is None else blind
        self.sniffers: dict[str, Sniffer] = {}
        self._starts: dict[str, dict[str, Start]] = {}
        """By node, the newest start last."""
        self._changed: dict[tuple[str, str], None] = {}
        """Node and start of which the store does not have everything."""
        self._since = 0
        self._presumed: dict[str, int] = {}
        """Nodes of which nothing is known, and until when it is believed that somebody watches them."""
        self._first: dict[str, int] = {}
        """Nodes whose first sniffer has spoken, and from when on this map has what it saw."""

    # Restarts

    def restore(self, sequences: Iterable[Sequence], losses: Iterable[tuple[str, str, str, int]] = ()) -> None:
        """Take over what was known before a restart.

        Args:
            sequences: What was counted of each start, and from when until when it had watched.
            losses: What each start had lost as it last said: node, start, `model.Drop`, total.
        """
        for row in sorted(sequences, key=lambda row: row.heard):
            start = Start(row.sequence, row.started, row.until, row.heard, is_live=bool(row.started))
            self._starts.setdefault(row.node, {})[row.boot] = start
        for node, boot, name, total in losses:
            known = self._starts.get(node, {}).get(boot)
            if known is not None:
                known.losses = {**known.losses, name: total}

    def begin(self, now: int) -> None:
        """Give the sniffers that were heard until the end of the last mapper time to speak to this one."""
        ended = max((start.heard for node, start in self._newest() if node != LEGACY_NODE), default=0)
        for node, start in self._newest():
            if node not in self.sniffers and start.heard >= ended - 4 * SILENCE:
                start.heard = max(start.heard, now)

    def presume(self, node: str, now: int) -> None:
        """Believe that a node is watched of which nothing is known, until its sniffer had time to speak."""
        if node not in self._starts:
            self._presumed[node] = now + SILENCE

    # Reports

    def is_counted(self, report: Report) -> bool:
        """Whether this report's effect is in the map already."""
        start = self._starts.get(report.node, {}).get(report.boot)
        return start is not None and report.sequence <= start.counted

    def has_counted(self, report: Report) -> bool:
        """Whether anything of this start of its sniffer is in the map, so that a restart of the mapper knows of it."""
        start = self._starts.get(report.node, {}).get(report.boot)
        return start is not None and start.counted > 0

    def hear(self, report: Report, now: int) -> Tally:
        """Note that a sniffer is alive, whether or not its report can be taken; returns what it has lost since.

        Senders that do not say where they run cover no node.
        """
        if report.node == LEGACY_NODE:
            return Tally()
        known = self.sniffers.get(report.node)
        start, lost = self._note(report, now)
        start.heard = now
        if start.sequence and report.sequence > start.sequence + 1 and start.is_live:
            # Reports between these two went another way, or were refused.
            self.blind.record(report.node, start.until - start.ahead, report.base - report.ahead, SNIFFER_AWAY)
        start.sequence = max(start.sequence, report.sequence)
        head = msgspec.structs.replace(report, clients=[], pods=[])
        if known is not None and known.report.boot == report.boot and report.sequence < known.report.sequence:
            head = known.report
        self.sniffers[report.node] = Sniffer(head, now, known.reports + 1 if known else 1)
        return lost

    def recall(self, report: Report, received: int) -> Tally:
        """Note that a sniffer spoke before the mapper started anew; returns as `hear`.

        To be told of all reports in the journal before any of them is counted: when they came, their sniffers had
        spoken before, in heartbeats that nobody wrote down.
        """
        if report.node == LEGACY_NODE:
            return Tally()
        start, lost = self._note(report, received)
        start.heard = max(start.heard, received)
        return lost

    def answer(self, report: Report, now: int) -> None:
        """Note that a report was taken: what its sniffer saw until then has been told."""
        if report.node == LEGACY_NODE:
            return
        start = self._starts[report.node][report.boot]
        start.until = max(start.until, report.watched_until or now + report.ahead)

    def count(self, report: Report, now: int) -> Tally:
        """Note that a report's effect is in the map; returns what its sniffer has lost since it was last heard."""
        start, lost = self._note(report, now)
        start.counted = max(start.counted, report.sequence)
        start.heard = max(start.heard, now)
        self.answer(report, now)
        return lost

    def _note(self, report: Report, now: int) -> tuple[Start, Tally]:
        """What every report says of its sniffer."""
        starts = self._starts.get(report.node)
        if starts is None:
            self._make_room()
            starts = self._starts[report.node] = {}
        start = starts.get(report.boot)
        self._changed[report.node, report.boot] = None
        is_new = start is None
        if start is None:
            start = starts[report.boot] = Start(started=report.started, heard=now)
            start.joined = now if report.sequence > 1 and report.node != LEGACY_NODE else 0
        start.ahead = report.ahead
        start.started = report.started or start.started
        start.is_live = bool(start.started) and report.capture != "file"
        if is_new and start.is_live:
            self._follows(report.node, start)
        if start.started > 0 and report.node != LEGACY_NODE:
            since = max(start.started, start.joined)
            self._since = min(self._since or since, since)
        while len(starts) > _BOOTS_KEPT:
            del starts[next(iter(starts))]
        lost = Tally()
        for name, total in report.drops.items():
            reason = _TOLD.get(name)
            if reason is None:
                continue
            before = start.losses.get(name, 0)
            if total > before:
                start.losses = {**start.losses, name: total}
                if not (is_new and start.joined):  # else it lost them for another map
                    lost.add(reason, total - before)
        return start, lost

    def _follows(self, node: str, start: Start) -> None:
        """Note how long nobody watched before a start."""
        began = max(start.started - start.ahead, start.joined)
        start.until = max(start.until, start.started)
        before = [other for other in self._starts[node].values() if other is not start and other.started]
        if not before:
            self._first.setdefault(node, began)
        else:
            self.blind.record(node, max(other.until - other.ahead for other in before), began, SNIFFER_AWAY)

    def _make_room(self) -> None:
        if len(self._starts) < _MAX_NODES:
            return
        others = [(start.heard, node) for node, start in self._newest() if node != LEGACY_NODE]
        quietest = min(others)[1]
        for boot in self._starts.pop(quietest):
            self._changed.pop((quietest, boot), None)
        self.sniffers.pop(quietest, None)
        self._first.pop(quietest, None)

    def _newest(self) -> list[tuple[str, Start]]:
        """The newest start of each node."""
        return [(node, next(reversed(starts.values()))) for node, starts in self._starts.items() if starts]

    # Who is watched

    def covers(self, node: str, instant: int, now: int) -> bool:
        """Whether a sniffer watched this node at that time, which is now where another node's clock is ahead."""
        instant = min(instant, now)
        starts = self._starts.get(node)
        if starts is None:
            presumed = self._presumed.get(node, 0)
            return now <= presumed and instant >= presumed - SILENCE - SKEW
        for start in reversed(starts.values()):
            if start.covers(instant):
                return True
        newest = next(reversed(starts.values()))
        if now - newest.heard > SILENCE:
            return False
        reached = newest.until - newest.ahead
        return instant >= reached if newest.is_live else reached <= instant <= reached + SILENCE

    def is_known(self, node: str) -> bool:
        """Whether this node can have been watched at any time: a quick no for most of what legacy senders report."""
        return node in self._starts or node in self._presumed

    def is_connected(self, node: str, now: int) -> bool:
        """Whether this node's sniffer was heard lately."""
        sniffer = self.sniffers.get(node)
        return sniffer is not None and now - sniffer.heard <= SILENCE

    def since(self, reset_at: int) -> int:
        """From when on the map has what its first sniffer saw, but not before the last reset; 0 when none has watched.

        A sniffer that told the beginning to another map, as after a mapper's pod is replaced that has no volume, counts
        from when this map first heard of it.
        """
        return max(self._since, reset_at) if self._since else 0

    def restore_since(self, since: int) -> None:
        """Take over what `since` said before a restart; 0 when it is not known."""
        self._since = since

    # Who is not

    @property
    def has_newcomers(self) -> bool:
        """Whether nodes have their first sniffer, and it is not noted yet for how long they had none."""
        return bool(self._first)

    def close_first(self, nodes: Mapping[str, int], otherwise: Collection[str], began: int) -> None:
        """Note for how long nodes were not watched before their first sniffer spoke.

        Args:
            nodes: When the cluster's nodes were created; those that are not known yet are looked at again.
            otherwise: Those that are watched by sniffers of another kind.
            began: When the map began.
        """
        for node in [node for node in self._first if node in nodes]:
            until = self._first.pop(node)
            if node not in otherwise:
                self.blind.record(node, max(nodes[node], began), until, NEVER_WATCHED)

    def open_windows(
        self, nodes: Mapping[str, int], otherwise: Collection[str], began: int, now: int
    ) -> Iterator[BlindWindow]:
        """The nodes that nobody watches now, and since when; arguments as those of `close_first`."""
        for node, created in nodes.items():
            if node in otherwise:
                continue
            starts = [start for start in self._starts.get(node, {}).values() if start.started]
            if not starts:
                if now > self._presumed.get(node, 0):
                    yield BlindWindow(node, min(max(created, began), now), 0, NEVER_WATCHED)
            elif now - max(start.heard for start in starts) > SILENCE:
                silent = max(start.until - start.ahead for start in starts)
                yield BlindWindow(node, min(silent, now), 0, SNIFFER_SILENT)

    # The store

    def take_sequences(self) -> list[Sequence]:
        """What changed since the last call, for the store."""
        changed, self._changed = self._changed, {}
        return [
            Sequence(node, boot, start.counted, start.heard, start.started, start.until)
            for node, boot in changed
            if (start := self._starts.get(node, {}).get(boot)) is not None
        ]

    def losses_of(self, sequences: Iterable[Sequence]) -> list[tuple[str, str, str, int]]:
        """What those starts have lost as they last said, for the store: node, start, `model.Drop`, total."""
        return [
            (row.node, row.boot, name, total)
            for row in sequences
            for name, total in self._starts[row.node][row.boot].losses.items()
        ]

    def give_back(self, sequences: Iterable[Sequence]) -> None:
        """Undo `take_sequences`: the store could not write them."""
        for row in sequences:
            self._changed[row.node, row.boot] = None

    # For people

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
                    hops=_hops(report),
                )
            )
        return rows


def _hops(report: Report) -> list[HopRow]:
    """A sniffer's side of the balance sheet; what is dropped stands apart in a report, and belongs to its hop here."""
    rows = []
    for state in report.hops[:_MOST_HOPS]:
        dropped = {
            name: count
            for name, count in report.drops.items()
            if (reason := _REASONS.get(name)) is not None and reason.hop == state.hop and reason.unit == state.unit
        }
        rows.append(HopRow(state.hop, state.unit, state.seen, state.passed, state.held, dropped, report.node))
    return rows
