"""The cluster of the soak: pods that stay, pods that come and go, and what their nodes report.

Objects are real ones on a real API server, which this process writes as controllers and kubelets do, a moment after
what they tell of. Nodes report each second what their pods did in it, as sniffers do: both nodes of a connection, each
as it passed there, the client's with the pod that it is; and pods that are new on a node. What was really done is
counted beside it, edge by edge.
"""

from __future__ import annotations

import itertools
import pathlib
import queue
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(ROOT / folder) for folder in ("tests/support", "tests/cluster", "tools")]

import msgspec  # noqa: E402
from harness import objects, pods  # noqa: E402
from harness.kube_api import ApiError  # noqa: E402

from network_mapper.model import PodRef, PodSighting  # noqa: E402
from network_mapper.testing.truth import TrueEdge, label  # noqa: E402
from network_mapper.wire.report import Client, Flow, Report  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.kube_api import KubeApi
    from harness.objects import Object

NAMESPACE = "soak"
STAYING, PODS_A_WORKLOAD = 40, 5
JOBS = 60
TARGETS = 20
"""Workloads that each workload calls."""
LIFE = (2.0, 20.0)
PAUSE = (1.0, 5.0)
"""Seconds between two owners of an address."""
WRITERS = 3
SIGHTINGS = 8
"""Of an edge, with their addresses, that a map keeps at most."""
PORT, SERVICE_PORT = 8080, 80


def milliseconds() -> int:
    """The present, since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(eq=False)
class Pod:
    """One pod; `ends` is 0 while it stays."""

    ref: PodRef
    workload: int
    node: int
    address: str
    begins: int
    ends: int = 0


@dataclass
class Node:
    """One sniffer."""

    name: str
    boot: str
    started: int
    sequence: int = 0
    pods: list[Pod] = field(default_factory=list)
    news: list[PodSighting] = field(default_factory=list)
    rows: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)

    def take(self, key: tuple[Any, ...], at: int) -> None:
        """Fold one connection that passed here."""
        row = self.rows.get(key)
        if row is None:
            self.rows[key] = [1, at, at]
        else:
            row[0] += 1
            row[1], row[2] = min(row[1], at), max(row[2], at)

    def report(self, base: int) -> bytes:
        """Freeze what came since the last one."""
        self.sequence += 1
        clients: dict[tuple[str, PodRef | None], Client] = {}
        for (address, ref, server, port, answered), (count, first, last) in self.rows.items():
            client = clients.setdefault((address, ref), Client(address, 7, ref))
            ending = (answered, PORT) if answered else ("", 0)
            client.connections.append(Flow(server, port, "tcp", count, first - base, last - base, *ending))
        news, self.news, self.rows = self.news, [], {}
        return msgspec.msgpack.encode(
            Report(
                self.name,
                self.boot,
                self.sequence,
                base,
                started=self.started,
                watched_until=base,
                clients=list(clients.values()),
                pods=news,
                capture="packets",
            )
        )


class Kubelets:
    """Writes objects in the background, in order for each pod; what fails is raised at the end."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._queues: list[queue.SimpleQueue[tuple[Any, ...] | None]] = [queue.SimpleQueue() for _ in range(WRITERS)]
        self._threads = [threading.Thread(target=self._work, args=(one,), daemon=True) for one in self._queues]
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._queues:
            one.put(None)
        for thread in self._threads:
            thread.join(60)

    def waiting(self) -> int:
        """How much is yet to be written."""
        return sum(one.qsize() for one in self._queues)

    def put(self, pod: Pod, what: str, *more: Any) -> None:
        """Let a method of pods be done: `create`, `end`, `delete`."""
        self._queues[hash(pod.ref.name) % WRITERS].put((what, pod, *more))

    def _work(self, own: queue.SimpleQueue[tuple[Any, ...] | None]) -> None:
        made: dict[str, Object] = {}
        while (order := own.get()) is not None:
            what, pod, *more = order
            try:
                getattr(self, f"_{what}")(made, pod, *more)
            except (ApiError, OSError) as error:
                self.failures.append(f"{what} {pod.ref.name}: {error}")

    def _run(self, made: dict[str, Object], pod: Pod, posted: Object) -> None:
        status = pods.running(posted, [pod.address])
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(pod.begins / 1000))
        status["startTime"] = began
        for container in status["containerStatuses"]:
            container["state"] = {"running": {"startedAt": began}}
        made[pod.ref.name] = self._api.set_status(posted, status)

    def _end(self, made: dict[str, Object], pod: Pod) -> None:
        status = pods.ended(made[pod.ref.name])
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(pod.ends / 1000))
        for container in status["containerStatuses"]:
            container["state"]["terminated"]["finishedAt"] = ended
        self._api.set_status(made[pod.ref.name], status)

    def _delete(self, made: dict[str, Object], pod: Pod) -> None:
        made.pop(pod.ref.name, None)
        self._api.delete("pods", NAMESPACE, pod.ref.name)


class World:
    """All pods and nodes.

    Args:
        api: As somebody who may do all.
        nodes: How many.
        churn: Pods that come in each second.
        seed: Of all that is random.

    Attributes:
        truth: Connections by edge, of all that was reported.
        minutes: Pairs of an edge and a minute in which it was used, and `hours` of an edge and an hour.
        ways: Pairs of addresses by edge, as many as a map keeps.
        came: Pods that came and went, or are there.
        reused: Of these, how many had an address that another one had before.
    """

    def __init__(self, api: KubeApi, nodes: int, churn: float, seed: int = 1) -> None:
        self._api, self._churn, self._random = api, churn, random.Random(seed)
        self.nodes = [Node(f"node-{n:02d}", f"boot-{n}", milliseconds()) for n in range(nodes)]
        self.truth: Counter[TrueEdge] = Counter()
        self.minutes: set[tuple[TrueEdge, int]] = set()
        self.hours: set[tuple[TrueEdge, int]] = set()
        self.ways: dict[TrueEdge, set[tuple[str, str]]] = {}
        self.came = self.reused = 0
        self._alive: list[list[Pod]] = [[] for _ in range(STAYING + JOBS)]
        self._owners: list[Object] = []
        self._services: list[str] = []
        self._free: list[tuple[int, str]] = []
        self._gone: list[Pod] = []
        self._fresh = (f"10.120.{n // 200}.{n % 200 + 10}" for n in itertools.count())
        self._numbers = itertools.count()
        self._due = 0.0
        names = [self.workload(n) for n in range(STAYING + JOBS)]
        self._targets = [self._random.sample(range(STAYING + JOBS), TARGETS) for _ in names]

    def workload(self, number: int) -> str:
        """How a workload is written."""
        if number < STAYING:
            return label(f"app-{number}", NAMESPACE, "Deployment")
        return label(f"job-{number - STAYING}", NAMESPACE, "Job")

    def build(self, kubelets: Kubelets) -> None:
        """Make what stays."""
        api = self._api
        api.create(objects.namespace(NAMESPACE))
        api.create(objects.make("v1", "ServiceAccount", "default", NAMESPACE))
        for number, node in enumerate(self.nodes):
            api.create(objects.node(node.name, f"172.20.0.{number + 1}"))
        for number in range(STAYING):
            self._owners.append(api.create(objects.deployment(NAMESPACE, f"app-{number}", PODS_A_WORKLOAD)))
            made = api.create(objects.service(NAMESPACE, f"app-{number}", SERVICE_PORT, PORT))
            self._services.append(made["spec"]["clusterIP"])
        for number in range(JOBS):
            self._owners.append(api.create(objects.job(NAMESPACE, f"job-{number}")))
        for number in range(STAYING * PODS_A_WORKLOAD):
            workload = number % STAYING
            self._start(kubelets, workload, f"10.110.{workload}.{number // STAYING + 1}", 0)

    def step(self, kubelets: Kubelets, now: int, seconds: float) -> None:
        """Let pods end and others come."""
        for pods_ in self._alive[STAYING:]:
            for pod in [pod for pod in pods_ if pod.ends <= now]:
                pods_.remove(pod)
                self.nodes[pod.node].pods.remove(pod)
                self._free.append((pod.ends + round(self._random.uniform(*PAUSE) * 1000), pod.address))
                # Half of them stay as objects for a while, the others are deleted at once.
                if self._random.random() < 0.5:
                    kubelets.put(pod, "end")
                    self._gone.append(pod)
                else:
                    kubelets.put(pod, "delete")
        while self._gone and self._gone[0].ends < now - 30_000:
            kubelets.put(self._gone.pop(0), "delete")
        self._due += self._churn * seconds
        while self._due >= 1:
            self._due -= 1
            life = round(self._random.uniform(*LIFE) * 1000)
            self._start(kubelets, STAYING + self._random.randrange(JOBS), self._address(now), now + life)
            self.came += 1

    def connect(self, node: Node, count: int, since: int, until: int) -> None:
        """Let the pods of a node connect so often between two moments."""
        chance = self._random
        for _ in range(count if node.pods else 0):
            client = node.pods[chance.randrange(len(node.pods))]
            target = self._targets[client.workload][chance.randrange(TARGETS)]
            if not self._alive[target]:
                target %= STAYING
            servers = self._alive[target]
            server = servers[chance.randrange(len(servers))]
            if server is client:
                server = self._alive[(target + 1) % STAYING][0]
            begin = max(since, client.begins, server.begins)
            end = min(until, client.ends or until, server.ends or until)
            if end >= begin:
                self._take(client, server, chance.randint(begin, end), chance.random() < 0.5)

    def _take(self, client: Pod, server: Pod, at: int, through: bool) -> None:
        name = self.workload(client.workload), self.workload(server.workload)
        here, there = self.nodes[client.node], self.nodes[server.node]
        if through and server.workload < STAYING:
            edge = TrueEdge(*name, f"{NAMESPACE}/app-{server.workload}", SERVICE_PORT)
            key = (client.address, client.ref, self._services[server.workload], SERVICE_PORT, server.address)
        else:
            edge = TrueEdge(*name, "", PORT)
            key = (client.address, client.ref, server.address, PORT, "")
        here.take(key, at)
        if there is not here:
            there.take((client.address, None, server.address, PORT, ""), at)
        self.truth[edge] += 1
        self.minutes.add((edge, at // 60_000))
        self.hours.add((edge, at // 3_600_000))
        ways = self.ways.setdefault(edge, set())
        if len(ways) < SIGHTINGS:
            ways.add((client.address, server.address))

    def _address(self, now: int) -> str:
        self._free.sort()
        if self._free and self._free[0][0] <= now:
            self.reused += 1
            return self._free.pop(0)[1]
        return next(self._fresh)

    def _start(self, kubelets: Kubelets, workload: int, address: str, ends: int) -> None:
        number = next(self._numbers)
        place = number % len(self.nodes)
        name = f"{self._owners[workload]['metadata']['name']}-{number}"
        meta = objects.owned_by(self._owners[workload])
        posted = self._api.create(objects.pod(NAMESPACE, name, meta=meta, nodeName=self.nodes[place].name))
        # Seconds of the API are whole; what began in this one is told by its beginning.
        now = milliseconds()
        pod = Pod(PodRef(NAMESPACE, name, posted["metadata"]["uid"]), workload, place, address, now, ends)
        self._alive[workload].append(pod)
        self.nodes[place].pods.append(pod)
        self.nodes[place].news.append(PodSighting(pod.ref, (address,), now, now))
        kubelets.put(pod, "run", posted)


def differences(truth: Counter[TrueEdge], found: dict[TrueEdge, Any], namespaces: Iterable[str]) -> list[str]:
    """How a map's connections differ from the truth, within these namespaces."""
    inside = tuple(f"{namespace}/" for namespace in namespaces)
    have = {edge: numbers.connections for edge, numbers in found.items() if edge.client.startswith(inside)}
    return [
        f"{edge}: {have.get(edge, 0)} instead of {truth.get(edge, 0)}"
        for edge in sorted(truth.keys() | have.keys())
        if have.get(edge, 0) != truth.get(edge, 0)
    ]


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """By how much the second of each pair grows with the first, by least squares."""
    count = len(samples)
    middle = sum(x for x, _ in samples) / count, sum(y for _, y in samples) / count
    spread = sum((x - middle[0]) ** 2 for x, _ in samples)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in samples) / spread if spread else 0.0
