"""Makes workloads, waits until they run, tells their pods to begin, and collects what they did.

Everything goes through the API server, so it works on any cluster: orders are annotations of pods, reports their logs.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from harness.workloads.judge import Report
from harness.workloads.manifests import ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.kube_api import KubeApi
    from harness.objects import Object
    from harness.workloads.judge import Row

# Between the moment when the API says that a pod is ready and the moment when every node forwards to it.
_FORWARDED = 3.0
_READY = 120.0
_ORDERED = 90.0
_POLL = 0.5
# Now and then a kubelet overlooks a changed annotation until it looks again after a minute; another change wakes it.
_REMIND = 3.0
_REMINDER = "workloads.test/reminder"


class Workloads:
    """The pods of some namespaces.

    Args:
        api: As somebody who may do all.
        namespaces: Which exist.
    """

    def __init__(self, api: KubeApi, namespaces: Iterable[str]) -> None:
        self._api = api
        self.namespaces = tuple(namespaces)
        self._orders = 0

    def make(self, objects: Iterable[Object]) -> None:
        """Create objects."""
        for item in objects:
            self._api.create(item)

    def pods(self, app: str = "") -> list[Object]:
        """Their pods, or those of one `namespace/app`."""
        if app:
            namespace, _, name = app.partition("/")
            return self._api.list("pods", namespace, labelSelector=f"app={name}")
        return [pod for namespace in self.namespaces for pod in self._api.list("pods", namespace)]

    def wait_ready(self, count: int, seconds: float = _READY) -> None:
        """Wait until this many pods are ready, and every node forwards to them."""
        self._wait(lambda: self._ready(count), seconds, lambda: self._unready(count))
        time.sleep(_FORWARDED)

    def order(self, rows: Sequence[Row], *, pause: float = 0.0, seconds: float = _ORDERED) -> list[Report]:
        """Let the pods make their calls, and wait until each has said what it did.

        Rows of pods that call at their start are left out.
        """
        self._orders += 1
        ident = f"{self._orders}-{time.time_ns()}"
        ordered: dict[str, dict[str, Any]] = {}
        for row in rows:
            if not row.at_start:
                ordered.setdefault(row.client, {})[row.name] = row.call
        told = []
        for client, calls in ordered.items():
            text = json.dumps({"id": ident, "calls": calls, "pause": pause})
            for pod in self.pods(client):
                meta = pod["metadata"]
                change = {"metadata": {"annotations": {ANNOTATION: text}}}
                self._api.patch("pods", meta["namespace"], meta["name"], change)
                told.append((client, meta["namespace"], meta["name"]))
        found: dict[tuple[str, str, str], Report] = {}
        reminded = time.monotonic()

        def collect() -> bool:
            nonlocal reminded
            for pod in told:
                if pod not in found:
                    found.update((pod, report) for report in self._reports(*pod) if report.order == ident)
            if time.monotonic() - reminded > _REMIND:
                reminded = time.monotonic()
                for _, namespace, name in (pod for pod in told if pod not in found):
                    self._api.patch("pods", namespace, name, {"metadata": {"annotations": {_REMINDER: str(reminded)}}})
            return len(found) == len(told)

        self._wait(collect, seconds, lambda: f"{[pod for pod in told if pod not in found]} did not report")
        return list(found.values())

    def at_start(self, rows: Iterable[Row]) -> list[Report]:
        """What the pods that call at their start, or in an init container, have done so far."""
        clients = {row.client for row in rows if row.at_start}
        reports = []
        for client in sorted(clients):
            for pod in self.pods(client):
                meta = pod["metadata"]
                reports += [
                    one for one in self._reports(client, meta["namespace"], meta["name"]) if one.order == "start"
                ]
        return reports

    def _reports(self, client: str, namespace: str, name: str) -> list[Report]:
        pod = self._api.get("pods", namespace, name)
        found = []
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
            answer = self._api.request("GET", path, query={"container": container["name"]})
            if answer.status != 200:  # it has not started, or its node is away
                continue
            for line in answer.body.decode().splitlines():
                if line.startswith("{"):
                    said = json.loads(line)
                    found.append(Report(client, name, said["order"], said["calls"]))
        return found

    def _ready(self, count: int) -> bool:
        return sum(map(_is_ready, self.pods())) >= count

    def _unready(self, count: int) -> str:
        lines = [f"not {count} pods are ready:"]
        lines += [
            f"  {pod['metadata']['namespace']}/{pod['metadata']['name']}: {pod['status']}"
            for pod in self.pods()
            if not _is_ready(pod)
        ]
        return "\n".join(lines)

    @staticmethod
    def _wait(probe: Callable[[], bool], seconds: float, problem: Callable[[], str]) -> None:
        end = time.monotonic() + seconds
        while not probe():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:.0f} s: {problem()}")
            time.sleep(_POLL)


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
