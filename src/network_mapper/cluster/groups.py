"""What is known of each workload: its pods, its labels, whether it was given its name, whether it is a part of ours.

Kept as pods come and go, because a status is asked for every few seconds and labels for every edge of an answer. Pods
that are gone are remembered as a number, so that what their workload was called and labelled outlives them.

Also the place where equal workloads become one object: ten thousand pods share a thousand of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.entries import FOREVER, PodEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.model import Workload


class Groups:
    """Workloads that have pods, or had some that are remembered. `len()` counts the former."""

    def __init__(self) -> None:
        self._groups: dict[Workload, _Group] = {}
        self._by_name: dict[tuple[str, str], tuple[Workload, ...]] = {}
        self._present = 0
        self._own: set[Workload] = set()

    def shared(self, workload: Workload) -> Workload:
        """The equal workload that pods have already, else this one."""
        group = self._groups.get(workload)
        return group.workload if group else workload

    def add(self, pod: PodEntry) -> None:
        """Count a pod for its workload."""
        group = self._group(pod.workload)
        self._present += not group.pods
        group.pods.append(pod)
        group.living += pod.end == FOREVER
        group.named += pod.named
        self._count_own(group, pod, 1)
        if group.newest is not None and _age(pod) > _age(group.newest):
            group.newest = pod

    def remove(self, pod: PodEntry) -> None:
        """Count it no more; `pod` must be as it was added."""
        group = self._groups[pod.workload]
        group.pods.remove(pod)
        group.living -= pod.end == FOREVER
        group.named -= pod.named
        self._count_own(group, pod, -1)
        if group.newest is pod:
            group.newest = None
        self._present -= not group.pods
        self._leave(group)

    def bury(self, pod: PodEntry) -> None:
        """Remember a pod that is gone."""
        group = self._group(pod.workload)
        group.gone += 1
        group.named += pod.named
        self._count_own(group, pod, 1)
        group.last_labels = pod.labels

    def forget(self, pod: PodEntry) -> None:
        """Remember it no longer; `pod` must be as it was buried."""
        group = self._groups[pod.workload]
        group.gone -= 1
        group.named -= pod.named
        self._count_own(group, pod, -1)
        self._leave(group)

    def own(self) -> frozenset[Workload]:
        """The workloads of which a pod, present or remembered, is a part of this program."""
        return frozenset(self._own)

    def _count_own(self, group: _Group, pod: PodEntry, count: int) -> None:
        if pod.own:
            group.own += count
            if group.own:
                self._own.add(group.workload)
            else:
                self._own.discard(group.workload)

    def living(self, workload: Workload) -> int:
        """How many pods of a workload have not ended."""
        group = self._groups.get(workload)
        return group.living if group else 0

    def is_named(self, workload: Workload) -> bool:
        """Whether one of its pods, present or remembered, was given the name."""
        group = self._groups.get(workload)
        return group is not None and group.named > 0

    def labels(self, workload: Workload) -> dict[str, str]:
        """The labels of its newest pod; when it has none, of the one that went last; not to be changed."""
        group = self._groups.get(workload)
        if group is None:
            return {}
        newest = group.find_newest()
        return newest.labels if newest else group.last_labels

    def pods(self, workload: Workload) -> list[PodEntry]:
        """Its present pods; not to be changed."""
        group = self._groups.get(workload)
        return group.pods if group else []

    def of_name(self, namespace: str, name: str) -> Workload | None:
        """The workload of that name.

        Where several kinds share the name: the one with the most living pods, then with the most pods, then the first
        kind in the alphabet.
        """
        named = self._by_name.get((namespace, name), ())
        return min(named, key=self._rank, default=None)

    def present(self) -> Iterator[Workload]:
        """The workloads that have pods, in no certain order."""
        return (group.workload for group in self._groups.values() if group.pods)

    def __len__(self) -> int:
        return self._present

    def _group(self, workload: Workload) -> _Group:
        group = self._groups.get(workload)
        if group is None:
            group = self._groups[workload] = _Group(workload)
            key = (workload.namespace, workload.name)
            self._by_name[key] = (*self._by_name.get(key, ()), workload)
        return group

    def _leave(self, group: _Group) -> None:
        if group.pods or group.gone:
            return
        workload = group.workload
        del self._groups[workload]
        key = (workload.namespace, workload.name)
        left = tuple(other for other in self._by_name[key] if other != workload)
        if left:
            self._by_name[key] = left
        else:
            del self._by_name[key]

    def _rank(self, workload: Workload) -> tuple[int, int, str]:
        group = self._groups[workload]
        return -group.living, -len(group.pods), workload.kind


class _Group:
    __slots__ = ("gone", "last_labels", "living", "named", "newest", "own", "pods", "workload")

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.pods: list[PodEntry] = []
        self.newest: PodEntry | None = None
        self.living = 0
        self.named = 0
        self.own = 0
        self.gone = 0
        self.last_labels: dict[str, str] = {}

    def find_newest(self) -> PodEntry | None:
        """The newest pod, looked for only after the one that was is gone."""
        if self.newest is None and self.pods:
            self.newest = max(self.pods, key=_age)
        return self.newest


def _age(pod: PodEntry) -> tuple[int, str]:
    return pod.start, pod.name
