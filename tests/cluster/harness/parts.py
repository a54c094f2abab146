"""The running parts of a release, and what can be done to them: its mapper, its sniffers, and a disk for its map."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from harness import objects, shells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.cluster import Cluster
    from harness.objects import Object
    from harness.release import Release

AGAIN = 90.0
"""Seconds that a part may take to run again; a container that is killed again and again waits longer and longer."""


class Parts:
    """The parts of a release.

    Args:
        release: Which.
    """

    def __init__(self, release: Release) -> None:
        self._release, self._api = release, release.cluster.admin

    def pods(self, component: str) -> list[Object]:
        """The pods of `mapper` or `sniffer`, those that are being deleted not among them."""
        selector = f"app.kubernetes.io/name=network-mapper,app.kubernetes.io/component={component}"
        found = self._api.list("pods", self._release.namespace, labelSelector=selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def mapper(self) -> Object:
        """The mapper's pod."""
        [pod] = self.pods("mapper")
        return pod

    def sniffer(self, node: str) -> Object:
        """The sniffer's pod on a node."""
        [pod] = [pod for pod in self.pods("sniffer") if pod["spec"].get("nodeName") == node]
        return pod

    def processes(self, pod: Object) -> list[int]:
        """The processes of a pod's container, in our numbers."""
        node = self._release.cluster.nodes[pod["spec"]["nodeName"]]
        return node.pids(pod["status"]["containerStatuses"][0]["containerID"])

    def kill(self, pod: Object) -> None:
        """Kill the processes of a pod's container at once, as the kernel does where memory is short."""
        for pid in self.processes(pod):
            os.kill(pid, signal.SIGKILL)

    def delete(self, pod: Object) -> None:
        """Delete a pod; it is asked to end, and has the time for that which it says."""
        self._api.delete("pods", self._release.namespace, pod["metadata"]["name"], grace=None)

    def wait_restarted(self, pod: Object) -> float:
        """Wait until the container of a pod has been started again and is ready; returns the moment."""
        before = restarts(pod)

        def again() -> bool:
            now = self._api.get("pods", self._release.namespace, pod["metadata"]["name"])
            return restarts(now) > before and shells.ready(now)

        return self._wait(f"{pod['metadata']['name']} to be started again", again)

    def wait_replaced(self, pod: Object, find: Callable[[], Object]) -> float:
        """Wait until another pod has taken the place of one and is ready; returns the moment.

        Args:
            pod: The one that goes.
            find: Finds the other; it may fail while there is none.
        """

        def other() -> bool:
            with contextlib.suppress(ValueError):  # not one
                now = find()
                return now["metadata"]["uid"] != pod["metadata"]["uid"] and shells.ready(now)
            return False

        return self._wait(f"a pod in the place of {pod['metadata']['name']}", other)

    def _wait(self, what: str, probe: Callable[[], bool]) -> float:
        try:
            self._api.wait(what, probe, AGAIN)
        except AssertionError as error:
            namespace = self._release.namespace
            told = self._release.cluster.kubectl("describe", "pods", "-n", namespace, check=False)
            raise AssertionError(f"{error}\n{told}") from error
        return time.monotonic()


def restarts(pod: Object) -> int:
    """How often a pod's container was started again."""
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", ()))


@contextlib.contextmanager
def disk(cluster: Cluster, node: str, namespace: str, claim: str = "network-mapper") -> Iterator[None]:
    """A disk of a node that only this claim gets, for a cluster without a storage class; gone at the end."""
    folder = cluster.nodes[node].folder / "disks" / namespace
    folder.mkdir(parents=True)
    terms = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": namespace, "name": claim},
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": terms}]}},
    }
    name = f"disk-{namespace}"
    cluster.admin.create(objects.make("v1", "PersistentVolume", name, spec=spec))
    try:
        yield
    finally:
        cluster.admin.delete("v1/persistentvolumes", None, name)


@contextlib.contextmanager
def lost(cluster: Cluster, name: str) -> Iterator[None]:
    """Lose a node, known to the API server as lost inside of the `with` block; at its end it is back and ready."""
    node = cluster.nodes[name]
    node.kill()
    try:
        cluster.admin.wait(f"loss of {name}", lambda: not shells.ready(cluster.admin.get("nodes", None, name)), AGAIN)
        yield
    finally:
        node.start()
