"""Plays nodes for pods of an installation: a thread that lets every pod of a namespace run, or fail as a test says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from harness import pods
from harness.kube_api import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]


class NodePlayer:
    """Writes the status of pods in one namespace, as scheduler and kubelets would.

    Args:
        api: Client of the admin.
        namespace: Whose pods.
        status: Makes the status of a pod; None for one that runs and is ready.
    """

    def __init__(self, api: Any, namespace: str, status: Callable[[Object], Object | None] | None = None) -> None:
        self._api = api
        self._namespace = namespace
        self._status = status or (lambda _: None)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _play(self) -> None:
        while not self._ended.wait(0.05):
            for pod in self._api.list("pods", self._namespace):
                try:
                    self._move(pod)
                except ApiError as error:
                    if error.status not in (404, 409):  # gone or changed meanwhile
                        raise

    def _move(self, pod: Object) -> None:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            self._api.delete("pods", self._namespace, meta["name"])
            return
        wanted = self._status(pod)
        if wanted is None:
            if not pod["spec"].get("nodeName"):
                # The scheduler's part: a DaemonSet's pod says which node it is for.
                pods.bind(self._api, pod, _node_of(pod))
            wanted = pods.running(pod, ["10.99.0.1"])
        if pod.get("status", {}).get("conditions") != wanted.get("conditions") or "reason" in wanted:
            status = pod.get("status", {})
            if not (status.get("containerStatuses") and _ready(status) == _ready(wanted)):
                self._api.set_status(pod, wanted)


def _ready(status: Object) -> bool:
    return any(found["type"] == "Ready" and found["status"] == "True" for found in status.get("conditions", ()))


def _node_of(pod: Object) -> str:
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", ())
    for term in terms:
        for field in term.get("matchFields", ()):
            return str(field["values"][0])
    return pods.NODE
