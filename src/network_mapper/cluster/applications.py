"""Pods by the name of their application, as a service mesh tells it.

Istio writes the label `service.istio.io/canonical-name` on pods with its side-car, and where it is absent takes the
next of the labels below, and at last the workload's name. Few clusters ask, so the table is made when somebody does.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.entries import PodEntry
    from network_mapper.cluster.remembered import Traits
    from network_mapper.model import Workload

LABELS: Final = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
"""Where an application's name stands, the strongest first."""


class Applications:
    """Pods by (namespace, application), empty until `fill`; those that are gone by their numbers."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], _Pods] | None = None

    @property
    def is_filled(self) -> bool:
        """Whether pods are kept by now."""
        return self._pods is not None

    def fill(self, pods: Iterable[PodEntry], gone: Iterable[tuple[int, Traits]]) -> None:
        """Begin with all pods, present and remembered; these in the order in which they went."""
        self._pods = {}
        for pod in pods:
            self.add(pod)
        for number, traits in gone:
            self.bury(number, traits)

    def add(self, pod: PodEntry) -> None:
        """Take in a pod."""
        if (pods := self._of(pod.workload, pod.labels, new=True)) is not None:
            pods.present[pod] = None

    def remove(self, pod: PodEntry) -> None:
        """Take out a pod; it must be as it was added."""
        if (pods := self._of(pod.workload, pod.labels)) is not None:
            del pods.present[pod]
            self._leave(pod.workload, pod.labels, pods)

    def bury(self, number: int, traits: Traits) -> None:
        """Take in a pod that is gone."""
        if (pods := self._of(traits.workload, traits.labels, new=True)) is not None:
            pods.gone.append(number)

    def forget(self, number: int, traits: Traits) -> None:
        """Take it out."""
        if (pods := self._of(traits.workload, traits.labels)) is not None:
            pods.gone.remove(number)  # the first, nearly always
            self._leave(traits.workload, traits.labels, pods)

    def find(self, namespace: str, name: str) -> tuple[Iterable[PodEntry], Iterable[int]]:
        """The pods of an application by their labels, and the numbers of those that are gone; not to be changed."""
        pods = self._pods.get((namespace, name)) if self._pods is not None else None
        return (pods.present, pods.gone) if pods is not None else ((), ())

    def __len__(self) -> int:
        return len(self._pods or ())

    def _of(self, workload: Workload, labels: dict[str, str], *, new: bool = False) -> _Pods | None:
        name = name_of(labels)
        if self._pods is None or not name:
            return None
        key = (workload.namespace, name)
        if new and key not in self._pods:
            self._pods[key] = _Pods()
        return self._pods[key]

    def _leave(self, workload: Workload, labels: dict[str, str], pods: _Pods) -> None:
        if self._pods is not None and not pods.present and not pods.gone:
            del self._pods[workload.namespace, name_of(labels)]


class _Pods:
    __slots__ = ("gone", "present")

    def __init__(self) -> None:
        self.present: dict[PodEntry, None] = {}
        self.gone = array("Q")


def name_of(labels: dict[str, str]) -> str:
    """The name of a pod's application by its labels, empty where they give none."""
    for label in LABELS:
        if name := labels.get(label):
            return name
    return ""
