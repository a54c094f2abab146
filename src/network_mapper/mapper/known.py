"""Rows that were resolved before: the fast path of the mapper.

A row that is known costs one dictionary look-up. What is kept is kept per client, together with the time from which on
it holds, and the index says when an answer may have changed (`Index.on_change`), so nothing that is kept is ever older
than the cluster.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from network_mapper.mapper.coverage import SKEW
from network_mapper.mapper.graph import ATTEMPTS, CONNECTIONS
from network_mapper.mapper.outcome import Outcome
from network_mapper.model import Kind, Node, PodRef
from network_mapper.store.schema import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.mapper import resolve
    from network_mapper.mapper.graph import Entry, Graph
    from network_mapper.mapper.views import View
    from network_mapper.mapper.waiting import Arrivals
    from network_mapper.wire.report import Flow, Lookup, Report

_MOST = 150_000
"""Rows, and clients, that are kept. When there are more, everything is resolved anew."""

ClientKey = str | PodRef
"""A client as reports name it: its pod where that is certain, else its address."""
_FlowKey = tuple[str, int, str, str, int]


class Memo:
    """What is kept of one client.

    Attributes:
        key: The client.
        resolved: Who that is.
        is_node: Whether that is a node itself.
        start: All of this holds from here, milliseconds on the mapper's clock.
        flows: Edges by what was dialled and what answered.
        lookups: Edges by name.
    """

    __slots__ = ("flows", "is_node", "key", "lookups", "resolved", "start")

    def __init__(self, key: ClientKey, resolved: resolve.Client) -> None:
        self.key = key
        self.resolved = resolved
        self.is_node = isinstance(resolved.peer, Node)
        self.start = resolved.start
        self.flows: dict[_FlowKey, Entry] = {}
        self.lookups: dict[str, Entry] = {}


class Known:
    """All that is kept."""

    def __init__(self) -> None:
        self._memos: dict[ClientKey, Memo] = {}
        self._dependants: dict[str, tuple[str, set[ClientKey]]] = {}
        """By address or name: its text, and the clients whose rows depend on it."""
        self._rows = 0

    def get(self, client: ClientKey) -> Memo | None:
        """What is kept of a client."""
        return self._memos.get(client)

    def begin(self, client: ClientKey, resolved: resolve.Client, depends_on: Iterable[str]) -> Memo:
        """Keep who a client is, until one of these addresses changes."""
        if self._rows >= _MOST or len(self._memos) >= _MOST:
            self.clear()
        memo = self._memos[client] = Memo(client, resolved)
        for address in depends_on:
            if address != client:
                self._note(client, address)
        return memo

    def keep_flow(self, memo: Memo, flow: Flow, address: str, since: int, entry: Entry) -> None:
        """Keep a row's edge.

        Args:
            memo: Of its client.
            flow: The row.
            address: The one that was dialled, canonical.
            since: The edge is this row's from here on.
            entry: The edge.
        """
        if self._memos.get(memo.key) is not memo:
            return
        noted, answered_by = self._note(memo.key, address), self._note(memo.key, flow.answered_by)
        server = noted if noted == flow.server else flow.server
        memo.flows[server, flow.port, intern(flow.protocol), answered_by, flow.answered_port] = entry
        self._kept(memo, since)

    def keep_lookup(self, memo: Memo, name: str, depends_on: Iterable[str], since: int, entry: Entry) -> None:
        """Keep the edge of a lookup, until one of these keys of the index changes."""
        if self._memos.get(memo.key) is not memo:
            return
        memo.lookups[name] = entry
        for key in depends_on:
            self._note(memo.key, key)
        self._kept(memo, since)

    def forget(self, key: str) -> None:
        """Forget everything that was resolved with the help of this address or name."""
        _, clients = self._dependants.pop(key, (key, set()))
        for client in (key, *clients):
            memo = self._memos.pop(client, None)
            if memo is not None:
                self._rows -= len(memo.flows) + len(memo.lookups)

    def clear(self) -> None:
        """Forget everything."""
        self._memos.clear()
        self._dependants.clear()
        self._rows = 0

    def _kept(self, memo: Memo, since: int) -> None:
        # All rows of a client share one span, so it shrinks to what holds for each of them.
        memo.start = max(memo.start, since)
        self._rows += 1

    def _note(self, client: ClientKey, key: str) -> str:
        """Note that a client's rows depend on `key`; returns the one text that stands for it in all of them."""
        if not key:
            return ""
        held = self._dependants.get(key)
        if held is None:
            held = self._dependants[key] = (key, set())
        held[1].add(client)
        return held[0]


class Batch:
    """One report, and what its rows are merged with.

    Attributes:
        report: It.
        now: The mapper's clock, milliseconds since the epoch.
        base: What the rows' times are relative to, on the mapper's clock.
        floor: The earliest time of a row that counts.
        ceiling: The latest.
        view: The cluster.
        arrivals: Takes what has to wait; None where nothing may.
        outcome: Where it is noted what became of the rows.
    """

    __slots__ = ("arrivals", "base", "ceiling", "floor", "now", "outcome", "report", "view")

    def __init__(
        self, report: Report, now: int, base: int, *, floor: int, view: View, arrivals: Arrivals | None
    ) -> None:
        self.report = report
        self.now = now
        self.base = base
        self.floor = floor
        self.ceiling = now + SKEW
        self.view = view
        self.arrivals = arrivals
        self.outcome = Outcome()


def merge_flows(memo: Memo, flows: list[Flow], kind: int, batch: Batch, graph: Graph) -> list[Flow]:
    """Merge the rows that are known; returns the others."""
    others = []
    get = memo.flows.get
    base, ceiling, outcome = batch.base, batch.ceiling, batch.outcome
    floor = max(memo.start, batch.floor)
    minute = until = merged = 0  # `merged` is what is not in the outcome yet of the minute: most groups have but one
    for flow in flows:
        entry = get((flow.server, flow.port, flow.protocol, flow.answered_by, flow.answered_port))
        first = base + flow.first
        last = base + flow.last
        if entry is None or not floor <= first <= last <= ceiling:
            others.append(flow)
            continue
        count = flow.count
        edge = entry.edge
        if kind == CONNECTIONS:
            edge.connections += count
        elif kind == ATTEMPTS:
            edge.attempts += count
        else:
            edge.sockets += count
        if first < edge.first_seen:  # noqa: PLR1730  a call a row would be a tenth of this loop
            edge.first_seen = first
        if last > edge.last_seen:  # noqa: PLR1730  likewise
            edge.last_seen = last
        if not minute <= last < until:
            if merged:
                outcome.merge(minute, merged)
                merged = 0
            minute = last - last % MINUTE
            until = minute + MINUTE
        merged += count
        delta = entry.delta
        if delta is None or entry.minute != minute:
            delta = graph.open(entry, minute)
        delta[kind] += count
        if first < delta[4]:  # noqa: PLR1730  likewise
            delta[4] = first
        if last > delta[5]:  # noqa: PLR1730  likewise
            delta[5] = last
    if merged:
        outcome.merge(minute, merged)
    return others


def merge_lookups(memo: Memo, lookups: list[Lookup], batch: Batch, graph: Graph) -> list[Lookup]:
    """Merge the lookups that are known; returns the others."""
    others = []
    floor = max(memo.start, batch.floor)
    for lookup in lookups:
        entry = memo.lookups.get(lookup.name)
        first = batch.base + lookup.first
        last = batch.base + lookup.last
        if entry is None or not floor <= first <= last <= batch.ceiling:
            others.append(lookup)
        else:
            graph.add(entry, Kind.LOOKUPS, lookup.count, first, last)
            batch.outcome.merge(last, lookup.count)
    return others
