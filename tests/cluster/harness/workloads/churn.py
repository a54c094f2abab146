"""Pods that live two seconds and hand their addresses on, over many owners of every kind; see `visitor`.

Jobs and pods without an owner end by themselves, and stay as objects that still name the address they had. Pods of
Deployments and StatefulSets are deleted as soon as they have lived their time, so the servers behind a service are
others every moment; those of a StatefulSet have their predecessor's name. Two servers stay, one on each node.

The truth about addresses is collected beside it: a watch tells which pod had which, and when.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from harness import dns
from harness.objects import Object, make
from harness.processes import Workspace
from harness.workloads import visits
from harness.workloads.visitor import PORT
from network_mapper.testing.truth import label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.cluster import Cluster
    from harness.workloads.manifests import Image

LIVE = 2.0
TURNING = ("turn-0", "turn-1", "turn-2", "turn-3")
SETS = ("set-0", "set-1")
JOB_PODS = 4
_PLACE = Path("/var/tmp")  # noqa: S108  nodes have it in common; their /tmp and /run are their own
_POLL = 0.1
_STARTING = 90.0


class Counted(NamedTuple):
    """What is known of the pods of a churn.

    Attributes:
        pods: How many had an address.
        addresses: How many different IPv4 addresses they had.
        reused: How many had one that another pod had before.
        shortest_gap: Milliseconds between the last thing that one pod did at an address and the first of the next.
        workloads: How many owners.
    """

    pods: int
    addresses: int
    reused: int
    shortest_gap: int
    workloads: int


class Churn:
    """The pods of one namespace, which is made and removed here.

    Args:
        cluster: Where; it must have the image.
        image: Of the visitors.
        namespace: Its name.
        pods: How many there are to be in all.
        at_once: How many may run on each node at a time.
    """

    def __init__(self, cluster: Cluster, image: Image, namespace: str, pods: int, at_once: int) -> None:
        self._cluster, self._api, self._image = cluster, cluster.admin, image
        self.namespace, self._wanted, self._at_once = namespace, pods, at_once
        self._nodes = list(cluster.nodes)
        self._workspace = Workspace(_PLACE)
        self._folder = self._workspace.path
        self._had: dict[str, str] = {}  # IPv4 address by UID, in the order in which they were told
        self._live: dict[str, Object] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._services: list[list[Any]] = []
        self._deleted: set[str] = set()

    def __enter__(self) -> Self:
        for name in ("here", "did"):
            (self._folder / name).mkdir()
            (self._folder / name).chmod(0o777)
        self._folder.chmod(0o755)
        self._cluster.plane.make_namespace(self.namespace)
        for name in ("hub-0", "hub-1", "mixed"):
            selector = {"mixed": "yes"} if name == "mixed" else {"app": name}
            ports = [{"port": 80, "targetPort": PORT}]
            spec = {"selector": selector, "ports": ports, "ipFamilyPolicy": "RequireDualStack"}
            made = self._api.create(make("v1", "Service", name, self.namespace, spec=spec))
            # The families take turns.
            address = made["spec"]["clusterIPs"][name == "hub-1"]
            self._services.append([address, 80, f"{self.namespace}/{name}"])
        self._watching.start()
        for node, name in zip(self._nodes, ("hub-0", "hub-1"), strict=False):
            visit = {"live": 0, "services": [], "peers": 0}
            self._api.create(self._controlled("Deployment", name, visit, node, mixed=True))
        self._api.wait("the servers that stay", lambda: self._here() >= 2, _STARTING)
        time.sleep(2)  # until every node forwards to them
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._cluster.plane.remove_namespace(self.namespace, wait=True)
        self._workspace.remove()

    def run(self, seconds: float) -> None:
        """Let all pods come and go, and wait until the last has gone.

        Raises:
            AssertionError: They have not in time.
        """
        deadline = time.monotonic() + seconds
        for number, name in enumerate((*TURNING, *SETS)):
            kind = "StatefulSet" if name in SETS else "Deployment"
            visit = {"live": 0, **self._calls()}
            node = self._nodes[number % len(self._nodes)]
            self._api.create(self._controlled(kind, name, visit, node, mixed=kind == "Deployment"))
        new = self._newcomers()
        while self.so_far() < self._wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:.0f} s: {self._wanted} pods, {self.so_far()} so far")
            self._replace()
            for item in self._fitting(new):
                self._api.create(item)
            time.sleep(_POLL)
        self._end(deadline)

    def deeds(self) -> list[visits.Deed]:
        """What all pods did so far."""
        return visits.read(self._folder)

    def so_far(self) -> int:
        """How many pods have had an address."""
        with self._lock:
            return len(self._had)

    def counted(self) -> Counted:
        """What is known of the pods so far."""
        with self._lock:
            had = list(self._had.values())
        gaps, left, workloads = [], {}, set()
        for deed in self.deeds():
            workloads.add(deed.client)
            at, client = left.get(deed.address, (0, deed.client))
            if deed.what == "began" and client != deed.client:
                gaps.append(deed.at - at)
            elif deed.what == "ended":
                left[deed.address] = deed.at, deed.client
        different = len(set(had))
        return Counted(len(had), different, len(had) - different, min(gaps, default=0), len(workloads))

    # Who comes and goes

    def _newcomers(self) -> Iterator[Object]:
        """Pods that end by themselves, and Jobs of them; some call in an init container as well."""
        for number in itertools.count():
            node = self._nodes[number % len(self._nodes)]
            visit = {"live": LIVE, **self._calls()}
            if number % 3:
                name = f"single-{number}"
                spec = self._spec("Pod", name, visit, node, first=number % 3 == 2)
                yield make("v1", "Pod", name, self.namespace, spec=spec)
            else:
                name = f"job-{number}"
                template = {"metadata": {"labels": {"job": name}}, "spec": self._spec("Job", name, visit, node)}
                spec = {"parallelism": JOB_PODS, "completions": JOB_PODS, "backoffLimit": 0, "template": template}
                yield make("batch/v1", "Job", name, self.namespace, spec=spec)

    def _fitting(self, new: Iterator[Object]) -> Iterator[Object]:
        """As many as the nodes have room for."""
        room = {node: self._at_once - count for node, count in self._running().items()}
        while min(room.values()) >= JOB_PODS:
            item = next(new)
            spec = item["spec"]["template"]["spec"] if item["kind"] == "Job" else item["spec"]
            room[spec["nodeName"]] -= JOB_PODS if item["kind"] == "Job" else 1
            yield item

    def _running(self) -> dict[str, int]:
        """How many pods stand or come on each node."""
        counts = dict.fromkeys(self._nodes, 0)
        with self._lock:
            for pod in self._live.values():
                if pod["status"].get("phase") not in ("Succeeded", "Failed") and pod["spec"].get("nodeName"):
                    counts[pod["spec"]["nodeName"]] += 1
        return counts

    def _replace(self) -> None:
        """Delete the pods of controllers that have lived their time."""
        now = time.time()
        for file in (self._folder / "here").iterdir():
            try:
                *_, pod, since = file.read_text().split()
            except (OSError, ValueError):
                continue
            turns = pod.startswith(("turn-", "set-"))
            if turns and now - float(since) > LIVE and file.name + since not in self._deleted and "." in file.name:
                self._deleted.add(file.name + since)
                self._api.request("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{pod}")

    def _end(self, deadline: float) -> None:
        for name in TURNING:
            self._api.patch("deployments", self.namespace, name, {"spec": {"replicas": 0}})
        for name in SETS:
            self._api.patch("statefulsets", self.namespace, name, {"spec": {"replicas": 0}})
        self._api.wait("the last pods' end", lambda: sum(self._running().values()) == 2, deadline - time.monotonic())
        self._over.set()

    def _here(self) -> int:
        return sum("." in file.name for file in (self._folder / "here").glob("[0-9]*"))

    # What they are made of

    def _calls(self) -> dict[str, Any]:
        names = [
            [f"hub-{number}.{self.namespace}.svc.cluster.local", f"{self.namespace}/hub-{number}",
             label(f"hub-{number}", self.namespace, "Deployment")] for number in range(2)
        ]  # fmt: skip
        resolver = dns.addresses(self._cluster.plane.addresses.services)[0]
        return {"services": self._services, "names": names, "dns": resolver, "peers": 2}

    def _controlled(self, kind: str, name: str, visit: Mapping[str, Any], node: str, *, mixed: bool) -> Object:
        labels = {"app": name, **({"mixed": "yes"} if mixed else {})}
        template = {"metadata": {"labels": labels}, "spec": self._spec(kind, name, visit, node)}
        spec: Object = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
        if kind == "StatefulSet":
            spec |= {"serviceName": "none", "podManagementPolicy": "Parallel"}
        return make("apps/v1", kind, name, self.namespace, spec=spec)

    def _spec(self, kind: str, name: str, visit: Mapping[str, Any], node: str, *, first: bool = False) -> Object:
        who = label(name, self.namespace, kind)
        visit = {"who": who, "folder": "/visits", **visit}
        spec: Object = {
            "nodeName": node,
            "containers": [self._container("main", visit)],
            "volumes": [{"name": "visits", "hostPath": {"path": str(self._folder)}}],
            "restartPolicy": "Always" if kind in ("Deployment", "StatefulSet") else "Never",
            "terminationGracePeriodSeconds": 3,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
        }
        if first:
            spec["initContainers"] = [self._container("first", {**visit, "listen": False, "live": 0.01, "peers": 0})]
        return spec

    def _container(self, name: str, visit: Mapping[str, Any]) -> Object:
        return {
            "name": name,
            "image": self._image.reference,
            "imagePullPolicy": "Never",
            "command": list(self._image.command),
            "env": [{"name": "VISIT", "value": json.dumps(visit)}],
            "volumeMounts": [{"name": "visits", "mountPath": "/visits"}],
            "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        }

    # What is known of them

    def _watch(self) -> None:
        """Follow the pods until the end; a watch that breaks is begun anew, and begins with all there are."""
        while not self._over.is_set():
            try:
                with self._api.watch("pods", self.namespace, timeoutSeconds=300) as events:
                    for event in events:
                        self._learn(event)
            except OSError:
                time.sleep(_POLL)

    def _learn(self, event: Mapping[str, Any]) -> None:
        pod = event["object"]
        if pod.get("kind") != "Pod":
            return
        uid = pod["metadata"]["uid"]
        with self._lock:
            if event["type"] == "DELETED":
                self._live.pop(uid, None)
            else:
                self._live[uid] = pod
            for item in pod["status"].get("podIPs", ()):
                if "." in item["ip"]:
                    self._had.setdefault(uid, item["ip"])
