"""The node's pods in a running sniffer: fenced in, so that an error there costs what it knows and nothing else."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from network_mapper.agent.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.capture.pods import NodePods
    from network_mapper.model import PodRef, PodSighting
    from network_mapper.sniffer.settings import SnifferSettings

logger = logging.getLogger(__name__)

_STATES = ("named", "present", "remembered")


def open_pods(settings: SnifferSettings) -> Pods:
    """The pods of this node, or none where that is switched off."""
    if not settings.pods_dir:
        return Pods(None)
    from network_mapper.capture.pods import NodePods  # noqa: PLC0415  it exists on Linux only

    return Pods(NodePods(settings.pods_dir, settings.proc_dir))


class Pods:
    """`NodePods` that never raises. After an error it knows nobody any more, and says so once in the log.

    Args:
        node: None where the node's pods are not to be known.
    """

    def __init__(self, node: NodePods | None) -> None:
        self._node = node

    @property
    def watching(self) -> bool:
        """Whether anything is known."""
        return self._node is not None

    def fileno(self) -> int:
        """What to wait for; -1 where there is nothing."""
        return self._node.fileno() if self._node else -1

    def read(self) -> None:
        """Take in what the descriptor has."""
        if self._node:
            self._try(self._node.read)

    def due(self) -> float:
        """When `work` has something to do, by the clock that never jumps, in seconds."""
        return self._node.due() if self._node else math.inf

    def work(self) -> None:
        """Do what is due."""
        if self._node:
            self._try(self._node.work)

    def confirm(self, clients: Iterable[str]) -> None:
        """See whether those who were at these addresses are there still."""
        node = self._node
        if node:
            self._try(lambda: node.confirm(clients))

    def owner(self, address: str, first: int, last: int) -> PodRef | None:
        """The pod that certainly had an address; may be called from any thread."""
        node = self._node
        return node.owner(address, first, last) if node else None

    def take_news(self) -> list[PodSighting]:
        """What the mapper is to be told."""
        news: list[PodSighting] = []
        node = self._node
        if node:
            self._try(lambda: news.extend(node.take_news()))
        return news

    def tell_again(self) -> None:
        """Have the next news be all that is known; may be called from any thread."""
        if self._node:
            self._node.tell_again()

    def metrics(self, prefix: str) -> list[Metric]:
        """What is known and what went wrong.

        Args:
            prefix: Begins every name.
        """
        counts = self._node.counts() if self._node else None
        return [
            Metric(
                f"{prefix}_pods_watched",
                "gauge",
                "1 while the pods of this node are known by name, 0 where that is switched off or has failed.",
                [({}, int(counts is not None))],
            ),
            Metric(
                f"{prefix}_pods",
                "gauge",
                "Pods that have a log folder, that have addresses of their own now, and that had before.",
                [({"state": state}, getattr(counts, state) if counts else 0) for state in _STATES],
            ),
            Metric(
                f"{prefix}_pod_looks_total",
                "counter",
                "Times that the node's processes were looked at for pods.",
                [({}, counts.looks if counts else 0)],
            ),
            Metric(
                f"{prefix}_pod_failures_total",
                "counter",
                "What kept pods from being known, by reason.",
                [({"reason": reason}, count) for reason, count in sorted(counts.failures.items())] if counts else [],
            ),
        ]

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            logger.exception("the pods of this node are not known any more")
            self.close()

    def close(self) -> None:
        """Know nobody any more."""
        node, self._node = self._node, None
        if node:
            try:
                node.close()
            except Exception:
                logger.exception("the watch on the node's pods could not be closed")
