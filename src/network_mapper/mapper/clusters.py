"""Where the mapper knows the cluster from: files that were read at start, or the API, which is followed.

Both fill the same index. They differ in what can go wrong and when they are ready: a snapshot is complete before
anything is served, while the API may be down for an hour. Until it has been read once nothing can be resolved, so no
report is taken; senders keep theirs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from network_mapper.wire.api import ClusterStatus, ResourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.cluster.index import Index
    from network_mapper.cluster.installation import Installation
    from network_mapper.cluster.live.cluster import LiveCluster
    from network_mapper.cluster.live.report import Totals
    from network_mapper.cluster.snapshot import Snapshot


class Cluster(Protocol):
    """The Kubernetes side, as the doors see it."""

    def status(self) -> ClusterStatus:
        """For the status document."""

    def obstacle(self) -> str:
        """Why nothing can be resolved at present; empty when it can."""

    def totals(self) -> Totals | None:
        """What following the API has come to; None where nothing is followed."""

    def installation(self) -> Installation | None:
        """How this program is installed there; None where files do not tell."""


class ReadCluster:
    """A cluster that was read from files."""

    def __init__(self, index: Index, snapshot: Snapshot) -> None:
        self._index = index
        self._snapshot = snapshot

    def status(self) -> ClusterStatus:
        """For the status document."""
        return _status(self._index, f"snapshot {self._snapshot.path}", self.problems())

    def problems(self) -> list[str]:
        """What is wrong with the files and the objects in them."""
        return [*self._snapshot.problems.lines(), *self._index.problems.lines()]

    def obstacle(self) -> str:
        """Nothing stands in the way."""
        return ""

    def totals(self) -> None:
        """Nothing is followed."""

    def installation(self) -> None:
        """A snapshot may be any cluster's."""


class FollowedCluster:
    """A cluster that is followed through its API.

    Args:
        index: What is kept equal to the cluster.
        live: Keeps it so.
        installed: Through which it does.
        server: URL of the API.
        on_synced: Called once, as soon as addresses can be resolved and before the first report is taken.
    """

    def __init__(
        self, index: Index, live: LiveCluster, installed: Installation, server: str, on_synced: Callable[[], None]
    ) -> None:
        self._index = index
        self._live = live
        self._installed = installed
        self._server = server
        self._on_synced = on_synced
        self._ready = False

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        following = asyncio.create_task(self._live.run())
        try:
            await self._live.synced.wait()
            self._on_synced()
            self._ready = True
            await following
        finally:
            await self._live.close()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def status(self) -> ClusterStatus:
        """For the status document."""
        status = _status(self._index, self._server, [*self._live.problems(), *self._index.problems.lines()])
        status.ready = self._ready
        status.resources = [
            ResourceStatus(
                resource=item.resource,
                kind=item.kind,
                state=item.state.value,
                objects=item.objects,
                last_event=item.last_event,
                lists=item.lists,
                events=item.events,
                errors=item.errors,
                last_error=item.last_error,
                malformed=item.malformed,
                grant=item.grant,
            )
            for item in self._live.status()
        ]
        return status

    def obstacle(self) -> str:
        """Why the cluster is not known yet."""
        if self._ready:
            return ""
        return "the cluster has not been read yet: " + ("; ".join(self._live.waiting_for()) or "it is about to be")

    def totals(self) -> Totals:
        """What following the API has come to."""
        return self._live.totals()

    def installation(self) -> Installation:
        """How this program is installed there."""
        return self._installed


def _status(index: Index, source: str, problems: list[str]) -> ClusterStatus:
    counts = index.counts()
    return ClusterStatus(
        source=source,
        pods=counts["pods"],
        services=counts["services"],
        nodes=counts["nodes"],
        workloads=counts["workloads"],
        problems=problems,
        domain=index.domain,
        namespaces=len(index.namespaces()),
    )
