"""Who reports in the GraphQL of the Otterize network mapper.

Its programs say neither what they are nor where they run, and have no heartbeats. What is left is the address their
requests come from: a sniffer's is its node's, a watcher's its pod's. So a node counts as watched for a few minutes
after a sniffer on it has reported anything; whether one is there that has nothing to report cannot be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.cluster.index import Claim, NodeEntry, PodEntry, canonical
from network_mapper.wire.api import SenderStatus

if TYPE_CHECKING:
    from network_mapper.cluster.index import Index

LATELY: Final = 5 * 60_000
"""Milliseconds for which a sniffer of that kind is taken to watch on after a report."""

_MOST: Final = 2000
_LONGEST_AGENT: Final = 200
_OF_SNIFFERS: Final = frozenset(("reportCaptureResults", "reportTCPCaptureResults", "reportSocketScanResults"))


class _Sender:
    __slots__ = ("agent", "heard", "reports", "watched")

    def __init__(self) -> None:
        self.agent = ""
        self.heard = 0
        self.watched: int | None = None
        self.reports: dict[str, int] = {}


class Senders:
    """Everybody heard so since the start; beyond 2,000 addresses the quietest are forgotten."""

    def __init__(self) -> None:
        self._by_address: dict[str, _Sender] = {}

    def hear(self, address: str, agent: str, operation: str, now: int) -> None:
        """Note a report that was taken.

        Args:
            address: Where the request came from; empty over a Unix socket.
            agent: Its User-Agent.
            operation: One of the schema's mutations, so there are few.
            now: Milliseconds since the epoch.
        """
        address = canonical(address) or ""
        sender = self._by_address.get(address)
        if sender is None:
            if len(self._by_address) >= _MOST:
                del self._by_address[min(self._by_address, key=lambda known: self._by_address[known].heard)]
            sender = self._by_address[address] = _Sender()
        sender.agent, sender.heard = agent[:_LONGEST_AGENT], now
        sender.reports[operation] = sender.reports.get(operation, 0) + 1
        if operation in _OF_SNIFFERS:
            sender.watched = now

    def watched_nodes(self, index: Index, now: int) -> set[str]:
        """The nodes that are watched by such sniffers."""
        return {
            node
            for address, sender in self._by_address.items()
            if _watches(sender, now) and (node := _place(index, address, now)[0])
        }

    def status(self, index: Index, now: int) -> list[SenderStatus]:
        """Every sender, by address."""
        rows = []
        for address in sorted(self._by_address):
            sender = self._by_address[address]
            node, workload = _place(index, address, now)
            rows.append(
                SenderStatus(
                    address=address,
                    node=node,
                    workload=workload,
                    agent=sender.agent,
                    reports=dict(sender.reports),
                    last_report=sender.heard,
                    watches=_watches(sender, now),
                )
            )
        return rows


def _watches(sender: _Sender, now: int) -> bool:
    return sender.watched is not None and now - sender.watched <= LATELY


def _place(index: Index, address: str, now: int) -> tuple[str, str]:
    """The node and the workload behind an address, each empty where it is not known."""
    match index.at(address, now) if address else None:
        case Claim(owner=NodeEntry() as node):
            return node.name, ""
        case Claim(owner=PodEntry() as pod):
            return pod.node, pod.workload.name
    return "", ""
