"""Pods by the name of their application, as a service mesh tells it.

Istio writes the label `service.istio.io/canonical-name` on pods with its side-car, and where it is absent takes the
next of the labels below, and at last the workload's name. Few clusters ask, so the table is made when somebody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.entries import PodEntry

LABELS: Final = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
"""Where an application's name stands, the strongest first."""


class Applications:
    """Pods by (namespace, application), empty until `fill`."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], list[PodEntry]] | None = None

    @property
    def is_filled(self) -> bool:
        """Whether pods are kept by now."""
        return self._pods is not None

    def fill(self, pods: Iterable[PodEntry]) -> None:
        """Begin with all pods, present and remembered."""
        self._pods = {}
        for pod in pods:
            self.add(pod)

    def add(self, pod: PodEntry) -> None:
        """Take in a pod."""
        name = name_of(pod)
        if self._pods is not None and name:
            self._pods.setdefault((pod.namespace, name), []).append(pod)

    def remove(self, pod: PodEntry) -> None:
        """Take out a pod; it must be as it was added."""
        name = name_of(pod)
        if self._pods is None or not name:
            return
        key = (pod.namespace, name)
        pods = self._pods[key]
        pods.remove(pod)
        if not pods:
            del self._pods[key]

    def find(self, namespace: str, name: str) -> list[PodEntry]:
        """The pods of an application by their labels, in no certain order; not to be changed."""
        return self._pods.get((namespace, name), []) if self._pods is not None else []

    def __len__(self) -> int:
        return len(self._pods or ())


def name_of(pod: PodEntry) -> str:
    """The name of a pod's application by its labels, empty where they give none."""
    labels = pod.labels
    for label in LABELS:
        if name := labels.get(label):
            return name
    return ""
