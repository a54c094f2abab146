"""How many pods each workload has. Kept as pods come and go, because a status is asked for every few seconds.

Also the place where equal workloads become one object: ten thousand pods share a thousand of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.entries import FOREVER, PodEntry

if TYPE_CHECKING:
    from network_mapper.model import Workload


class Groups:
    """Workloads that have pods."""

    def __init__(self) -> None:
        self._groups: dict[Workload, _Group] = {}

    def shared(self, workload: Workload) -> Workload:
        """The equal workload that pods have already, else this one."""
        group = self._groups.get(workload)
        return group.workload if group else workload

    def add(self, pod: PodEntry) -> None:
        """Count a pod for its workload."""
        group = self._groups.get(pod.workload)
        if group is None:
            group = self._groups[pod.workload] = _Group(pod.workload)
        group.pods += 1
        group.living += pod.end == FOREVER

    def remove(self, pod: PodEntry) -> None:
        """Count it no more; `pod` must be as it was added."""
        group = self._groups[pod.workload]
        group.pods -= 1
        group.living -= pod.end == FOREVER
        if not group.pods:
            del self._groups[pod.workload]

    def living(self, workload: Workload) -> int:
        """How many pods of a workload have not ended."""
        group = self._groups.get(workload)
        return group.living if group else 0

    def __len__(self) -> int:
        return len(self._groups)


class _Group:
    __slots__ = ("living", "pods", "workload")

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.pods = 0
        self.living = 0
