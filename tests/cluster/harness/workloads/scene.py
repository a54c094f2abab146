"""The Online Boutique and every special case on a real cluster, from their objects to the map that must come of them.

The pods are silent until `act`; afterwards they are silent again, so what a map shows at the end can be compared with
what they did, number by number.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Self

from harness.workloads import cases, judge, manifests
from harness.workloads.boutique import boutique
from harness.workloads.judge import Row
from harness.workloads.running import Workloads
from network_mapper.testing.truth import TrueEdge, label

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster import Cluster
    from harness.door import MapperDoor
    from harness.workloads.judge import Edges, Report
    from harness.workloads.manifests import Image

SILENCE = 34.0
"""Seconds after which a sniffer has told everything: what only repeats is told every thirty."""

NEW_EDGES = 60
_NEW_PORTS = tuple(range(9100, 9100 + NEW_EDGES))
_NEW_PAUSE = 0.35
_CRON = 90.0
_POLL = 0.05
_LATE = 10.0


class Scene:
    """All workloads, made at the beginning of the `with` block and removed at its end.

    Args:
        cluster: With two nodes, which have the image.
        image: Of the workloads.
        door: Of the mapper that watches.

    Attributes:
        shop: The boutique.
        workloads: All pods.
        rows: The table of calls.
        reports: What was done.
        found: What the map showed in the end of these namespaces.
        expected: What it must show.
        delays: Seconds from each new edge's first connection until the map showed it.
    """

    def __init__(self, cluster: Cluster, image: Image, door: MapperDoor) -> None:
        here, there = cluster.nodes
        self.cluster, self._door = cluster, door
        self.shop = boutique(image, (here, there))
        self._cases = cases.Cases(image, (here, there))
        self._node = cluster.nodes[there]
        listens = manifests.Pods(app="newcomer", listen=_NEW_PORTS, node=there)
        self._newcomer = manifests.deployment(image, self._cases.namespace, listens)
        self.namespaces = (self.shop.namespace, self._cases.namespace)
        self.workloads = Workloads(cluster.admin, self.namespaces)
        self.rows: list[Row] = []
        self.reports: list[Report] = []
        self.found: Edges = {}
        self.expected: Edges = {}
        self.delays: list[float] = []

    def __enter__(self) -> Self:
        for name in self.namespaces:
            self.cluster.plane.make_namespace(name)
        objects = [*self.shop.objects, *self._cases.servers(), self._newcomer]
        self.workloads.make(objects)
        pods = manifests.pods_of(objects, len(self.cluster.nodes))
        self.workloads.wait_ready(pods)
        late = self._cases.late()
        self.workloads.make(late)
        self._static.write_text(json.dumps(self._cases.static))
        self.workloads.wait_ready(pods + manifests.pods_of(late, len(self.cluster.nodes)) + 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._static.unlink(missing_ok=True)
        for wait in (False, True):  # both go at once
            for name in self.namespaces:
                self.cluster.plane.remove_namespace(name, wait=wait)

    def act(self) -> None:
        """Let all pods do what they are to do, wait until they have and are silent, and look at the map."""
        self.rows, self.reports = self._time_new_edges()
        # An order ends what was held by the one before, so the one that holds is the last.
        rows = [*self.shop.rows, *self._cases.rows(self._addresses())]
        self.reports += self.workloads.order(rows)
        self._end_cron_job()
        time.sleep(SILENCE)
        self.reports += self.workloads.at_start(rows)
        self.rows += rows
        self.found = judge.seen(self._door.map().edges, self.namespaces)
        self.expected = judge.expected(self.rows, self.reports)

    def runs(self) -> dict[str, int]:
        """How many pods made the calls of which that is only known afterwards."""
        return {"cron job calls": len(self.workloads.pods(f"{self._cases.namespace}/tick"))}

    @property
    def _static(self) -> Path:
        return self._node.static_pods / "static.json"

    def _time_new_edges(self) -> tuple[list[Row], list[Report]]:
        """Make one new edge after the other, and see when the map has each."""
        newcomer = f"{self._cases.namespace}/newcomer"
        client, server = (label(app, self._cases.namespace, "Deployment") for app in ("ways", "newcomer"))
        address = self._addresses().pods["newcomer"][4]
        rows = [
            Row(
                name=f"new edge at port {port}",
                client=f"{self._cases.namespace}/ways",
                call=manifests.call(port=port, addresses=[address], count=1),
                edge=TrueEdge(client, server, "", port),
            )
            for port in _NEW_PORTS
        ]
        seen: dict[int, float] = {}
        over = threading.Event()
        looking = threading.Thread(target=self._look_for, args=(newcomer, seen, over))
        looking.start()
        try:
            reports = self.workloads.order(rows, pause=_NEW_PAUSE)
            over.wait(_LATE)
        finally:
            over.set()
            looking.join()
        (report,) = reports
        for row in rows:
            port = row.call["port"]
            self.delays.append(seen.get(port, float("inf")) - report.calls[row.name]["begun"])
        return rows, reports

    def _look_for(self, newcomer: str, seen: dict[int, float], over: threading.Event) -> None:
        namespace, _, name = newcomer.partition("/")
        server = label(name, namespace, "Deployment")
        while not over.is_set():
            asked = time.time()
            for edge in judge.seen(self._door.map().edges, [namespace]):
                if edge.server == server:
                    seen.setdefault(edge.port, asked)
            if len(seen) == NEW_EDGES:
                over.set()
            over.wait(_POLL)

    def _end_cron_job(self) -> None:
        """Wait for a run of the CronJob, and let it be the last."""
        namespace, name = self._cases.namespace, "tick"

        def ended() -> bool:
            phases = [pod["status"]["phase"] for pod in self.workloads.pods(f"{namespace}/{name}")]
            return bool(phases) and all(phase == "Succeeded" for phase in phases)

        admin = self.cluster.admin
        admin.wait("a run of the CronJob", lambda: self.workloads.pods(f"{namespace}/{name}"), _CRON)
        admin.patch("cronjobs", namespace, name, {"spec": {"suspend": True}})
        admin.wait("the end of the CronJob's pods", ended, _CRON)

    def _addresses(self) -> cases.Addresses:
        nodes = {node.name: {4: node.address, 6: node.address6} for node in self.cluster.nodes.values()}
        pods = {}
        for pod in self.cluster.admin.list("pods", self._cases.namespace):
            ips = [item["ip"] for item in pod["status"].get("podIPs", ())]
            pods[pod["metadata"]["labels"]["app"]] = {6 if ":" in ip else 4: ip for ip in ips}
        return cases.Addresses(nodes, pods)
