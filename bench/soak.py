"""The shipped mapper and a shipped sniffer for an hour while pods come and go: nothing grows, nothing is miscounted.

    python bench/soak.py [--minutes 60] [--connections 2000] [--real 200] [--churn 5]
    python bench/soak.py churn [--pods 1000]

The mapper follows a real API server and has its store on. Twenty simulated nodes report to it over its real socket what
their pods did, each second; the pods' addresses are used again within seconds by others (`soak_world`). Beside them is
a real node in a network namespace of its own, with pods that connect to each other and a real sniffer that watches
them. Memory, descriptors and the database are looked at each second. In the end the map is compared with what was done,
edge by edge, and the balance sheet must balance; what is promised and not kept is printed, and the exit code is 1.

`churn` is the long form of `tests/nodes/test_churn.py`: real pods on a real cluster.

Results go to `bench/results/soak.json` and `churn.json`, with commit, duration and machine. It runs inside a sandbox of
its own (root, or user namespaces), with Kubernetes built beforehand (`make cluster-programs`).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import pathlib
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import msgspec
import run
from mapper import resident
from soak_world import NAMESPACE, ROOT, Kubelets, World, differences, milliseconds, slope

import kubernetes  # isort: skip  from the folders that soak_world put on the path
from harness import balance, objects, pods
from harness.control_plane import ControlPlane
from harness.kube_api import ApiError
from mapper_process import MapperProcess

from network_mapper.http_client import HttpClient
from network_mapper.testing import load, netns, sandbox
from network_mapper.testing.network import Network
from network_mapper.testing.plan import make_plan
from network_mapper.testing.truth import TrueEdge, label, seen
from network_mapper.wire.api import MapDocument, Status
from network_mapper.wire.report import MSGPACK, PATH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.kube_api import KubeApi

    from network_mapper.testing.plan import Plan

NODES = 20
REAL_NODE = "node-1"
SLICE = 20.0
"""Seconds of the real load that are counted at a time."""
SETTLING = 75.0
"""Seconds for which rows may wait for their pods to be told of, and sniffers hold back what repeats."""
REMEMBERED = 0.25
"""For how much of the run pods are remembered, so that its second half has as many as it will ever have."""
GROWTH, WARMING = 4.0, 12.0
"""MiB by which a process may be larger at the end of the second half than at its beginning, by its trend; and MiB more
in a run of one minute, half as much in one of two, and so on: what is known of edges and pods has to grow first."""
DESCRIPTORS = 2
MISPREDICTED = 0.35
"""Share by which the database may differ from the prediction."""
SIZES = pathlib.Path(ROOT, "docs", "operations.md")
SIZE = re.compile(r"^\| an? (edge|sighting|minute|hour)\b[^|]*\| (\d+) \|", re.MULTILINE)
EMPTY = 200_000
"""Bytes of a database without edges."""
SPARE = 8 * 2**20
"""Bytes of a file beyond what is in it: room in which reports lay until they were merged, and that is used again."""


def descriptors(pid: int) -> int:
    """Open descriptors of a process."""
    return sum(1 for _ in pathlib.Path(f"/proc/{pid}/fd").iterdir())


class Samples(threading.Thread):
    """Looks at processes and at a file each second."""

    def __init__(self, pids: dict[str, int], file: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self._pids, self._file, self._over = pids, file, threading.Event()
        self._began = time.monotonic()
        self.memory: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
        self.open: dict[str, list[int]] = {name: [] for name in pids}
        self.size: list[int] = []

    def run(self) -> None:
        """Look until it is over."""
        while not self._over.wait(1.0):
            at = (time.monotonic() - self._began) / 60
            for name, pid in self._pids.items():
                self.memory[name].append((at, resident(pid)))
                self.open[name].append(descriptors(pid))
            self.size.append(self._file.stat().st_size)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()

    def figures(self) -> dict[str, Any]:
        """What was seen: growth is the trend of the second half, from its beginning to its end."""
        found: dict[str, Any] = {}
        for name, memory in self.memory.items():
            half = memory[len(memory) // 2 :]
            opened = self.open[name]
            middle = len(opened) // 2
            found |= {
                f"{name}_mib": round(memory[-1][1], 1),
                f"{name}_peak_mib": round(max(size for _, size in memory), 1),
                f"{name}_growth_mib": round(slope(half) * (half[-1][0] - half[0][0]), 2),
                f"{name}_descriptors": [max(opened[:middle]), max(opened[middle:])],
            }
        return found


class Sender:
    """Sends a node's reports in order, each until it is answered with 200."""

    def __init__(self, url: str) -> None:
        self._client = HttpClient(url, timeout=30)
        self.again = 0

    def send(self, body: bytes) -> None:
        """Send one."""
        while True:
            with contextlib.suppress(OSError):
                if self._client.request("POST", PATH, body, {"Content-Type": MSGPACK}).status == 200:
                    return
            self.again += 1
            time.sleep(0.2)


class RealNode:
    """A node in namespaces of its own: pods that connect, and the shipped sniffer.

    Attributes:
        truth: Connections by edge so far.
        failures: Connections that failed.
        pid: Of the sniffer.
    """

    def __init__(self, network: Network, rate: float, url: str) -> None:
        self._network, self._url = network, url
        self._load = load.Load(network, connections=rate, questions=0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self.truth: Counter[TrueEdge] = Counter()
        self.failures = 0
        plan = network.plan
        self._names = {address: _label(pod) for pod in plan.pods for address in (pod.address4, pod.address6)}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "network_mapper", "sniffer", "--mapper-url", self._url, "--node", REAL_NODE]
        self._sniffer = self._network.spawn_on_node(REAL_NODE, command)
        self._load.__enter__()
        self.pid = _child_of(self._sniffer.pid)
        time.sleep(3)  # until it watches
        return self

    def __exit__(self, *_: object) -> None:
        self._load.__exit__(None, None, None)
        netns.interrupt(self._sniffer)
        self._sniffer.wait(20)

    def start(self) -> None:
        """Let the pods connect until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Let them end the slice that they are at."""
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.is_set():
            made = self._load.run(SLICE)
            self.failures += made.failures
            for (client, server, port), count in made.connections.items():
                self.truth[TrueEdge(self._names[client], self._names[server], "", port)] += count


def _label(pod: Any) -> str:
    return label(pod.workload.name, pod.namespace, pod.workload.kind)


def _child_of(pid: int) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if children := pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(children[0])
        time.sleep(0.05)
    raise OSError("the sniffer did not start")


def post(api: KubeApi, plan: Plan) -> None:
    """Make the real node and its pods known to the API server."""
    for name in {pod.namespace for pod in plan.pods}:
        for item in (objects.namespace(name), objects.make("v1", "ServiceAccount", "default", name)):
            with contextlib.suppress(ApiError):  # kube-system is there
                api.create(item)
    for node in plan.nodes.values():
        api.create(objects.node(node.name, node.address4, node.address6))
    for pod in plan.pods:
        owner = api.create(objects.deployment(pod.namespace, pod.workload.name))
        made = objects.pod(pod.namespace, pod.name, meta=objects.owned_by(owner))
        pods.run_pod(api, made, pod.address4, pod.address6, node=pod.node)


def play(world: World, kubelets: Kubelets, sender: Sender, seconds: float, rate: float) -> dict[str, Any]:
    """Let the simulated nodes live for so long; each reports once a second, one after the other."""
    began, each = time.monotonic(), 1.0 / len(world.nodes)
    heard = dict.fromkeys(range(len(world.nodes)), milliseconds())
    owed, behind, reports = 0.0, 0.0, 0
    while (elapsed := time.monotonic() - began) < seconds:
        number = reports % len(world.nodes)
        world.step(kubelets, milliseconds(), each)
        node, until = world.nodes[number], milliseconds()
        owed += rate * each
        world.connect(node, int(owed), heard[number], until)
        owed -= int(owed)
        heard[number] = until + 1
        sender.send(node.report(until))
        reports += 1
        behind = max(behind, elapsed - reports * each)
        time.sleep(max(0.0, reports * each - (time.monotonic() - began)))
    return {"reports": reports, "behind_s": round(behind, 1)}


def ask(url: str) -> tuple[MapDocument, Status]:
    """The map and the status."""
    with HttpClient(url, timeout=60) as client:
        documents = [client.request("GET", f"/api/v1/{name}").body for name in ("map", "status")]
    return msgspec.json.decode(documents[0], type=MapDocument), msgspec.json.decode(documents[1], type=Status)


def judged(url: str, truth: Counter[TrueEdge], namespaces: Sequence[str]) -> tuple[list[str], Status]:
    """How the map differs, once it does not or nothing can come any more."""
    deadline = time.monotonic() + SETTLING
    while True:
        document, status = ask(url)
        wrong = differences(truth, seen(document.edges), namespaces)
        wrong += balance.unbalanced(status) + balance.torn(status)
        if not wrong or time.monotonic() > deadline:
            return wrong, status
        time.sleep(1)


def used(file: pathlib.Path) -> int:
    """Bytes of a database without the room that is free in it."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def predicted(world: World, edges: int, real: int, minutes: float) -> int:
    """Bytes of the database, as users are told to add them up."""
    sizes = {name: int(size) for name, size in SIZE.findall(SIZES.read_text())}
    kept = {
        "edge": edges,
        "sighting": sum(map(len, world.ways.values())) + real,
        "minute": len(world.minutes) + real * round(minutes + 1),
        "hour": len(world.hours) + real * round(minutes // 60 + 1),
    }
    return EMPTY + sum(sizes[name] * count for name, count in kept.items())


@contextlib.contextmanager
def running(folder: pathlib.Path, plane: ControlPlane, minutes: float) -> Iterator[MapperProcess]:
    """The shipped mapper."""
    remembered = max(30, round(minutes * 60 * REMEMBERED))
    kubeconfig = plane.kubeconfig(folder / "kubeconfig")
    process = MapperProcess(folder, None, "--kubeconfig", str(kubeconfig), "--remember-pods", str(remembered))
    process.start().wait_ready(120)
    try:
        yield process
    finally:
        process.stop()


def soak(minutes: float, connections: float, real_rate: float, churn: float) -> dict[str, Any]:
    """Run once; returns the figures and, as `broken`, what is promised and was not kept."""
    plan = make_plan(load.load_topology())
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="network-mapper-soak-")))
        plane = stack.enter_context(ControlPlane(kubernetes.programs(), parent=folder, controllers=()))
        world = World(plane.admin, NODES, churn)
        kubelets = stack.enter_context(Kubelets(plane.admin))
        world.build(kubelets)
        if real_rate:
            post(plane.admin, plan)
        while kubelets.waiting():
            time.sleep(0.1)
        mapper = stack.enter_context(running(folder, plane, minutes))
        assert mapper.process is not None
        pids, node = {"mapper": mapper.process.pid}, None
        if real_rate:
            network = stack.enter_context(Network(plan, bridged=True))
            node = stack.enter_context(RealNode(network, real_rate, mapper.url))
            pids["sniffer"] = node.pid
            node.start()
        samples, sender = Samples(pids, mapper.store), Sender(mapper.url)
        samples.start()
        figures = play(world, kubelets, sender, minutes * 60, connections - real_rate)
        samples.stop()
        truth, real = world.truth.copy(), 0
        if node:
            node.stop()
            truth += node.truth
            real = len(node.truth)
            figures["generator_failures"] = node.failures
        wrong, status = judged(mapper.url, truth, (NAMESPACE, plan.topology.namespace))
        time.sleep(12)  # the last checkpoint
        expected = predicted(world, status.edges, real, minutes)
        figures |= samples.figures()
        figures |= {
            "connections": sum(truth.values()),
            "edges": len(truth),
            "edges_in_map": status.edges,
            "pods_came": world.came,
            "on_a_used_address": world.reused,
            "reports_again": sender.again,
            "drops": status.drops,
            "lost": balance.lost(status),
            "database_bytes": mapper.store.stat().st_size,
            "database_used": used(mapper.store),
            "database_predicted": expected,
            "api_failures": kubelets.failures[:5],
            "wrong": len(wrong),
            "wrong_first": wrong[:20],
        }
    return figures | {"broken": broken(figures, list(pids), minutes)}


def broken(figures: dict[str, Any], processes: Sequence[str], minutes: float) -> list[str]:
    """What is promised and was not kept, a sentence each."""
    found = []
    growth = GROWTH + WARMING / minutes
    for name in processes:
        if figures[f"{name}_growth_mib"] > growth:
            found.append(f"the {name} grew by {figures[f'{name}_growth_mib']} MiB in the second half")
        first, second = figures[f"{name}_descriptors"]
        if second > first + DESCRIPTORS:
            found.append(f"the {name} had {first} descriptors open, and then {second}")
    expected = figures["database_predicted"]
    if abs(figures["database_used"] - expected) > MISPREDICTED * expected:
        found.append(f"the database has {figures['database_used']} bytes in use, not {expected}")
    if figures["database_bytes"] > expected + SPARE:
        found.append(f"the database's file has {figures['database_bytes']} bytes for {expected}")
    if figures["wrong"]:
        found.append(f"{figures['wrong']} counts are wrong, the first: {figures['wrong_first'][0]}")
    if figures["lost"]:
        found.append(f"observations were lost: {figures['lost']}")
    if figures["api_failures"]:
        found.append(f"the cluster was not written as it should be: {figures['api_failures'][0]}")
    return found


def churned(count: int) -> dict[str, Any]:
    """The churn of real pods, by the script of the tests."""
    script = ROOT / "tests" / "nodes" / "churning.py"
    path = os.pathsep.join(str(ROOT / name) for name in ("tests/cluster", "tests/support", "tools"))
    command = [sys.executable, "-m", "network_mapper.testing.sandbox", "--net", "--", sys.executable, str(script)]
    done = subprocess.run(
        [*command, "--pods", str(count)], stdout=subprocess.PIPE, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    found = [*figures["false"], *figures["missed"], *figures["unbalanced"]]
    if figures["addresses"] > 60 or figures["reused"] < 0.8 * figures["pods"]:
        found.append(f"{figures['reused']} of {figures['pods']} pods had one of {figures['addresses']} used addresses")
    return figures | {"broken": found}


def keep(name: str, figures: dict[str, Any], began: dt.datetime, seconds: float) -> None:
    """Write a result, with what a reader must know about the run."""
    head = {
        "commit": run.commit(),
        "date": f"{began:%Y-%m-%d %H:%M} UTC",
        "duration_s": round(seconds),
        "machine": f"{os.cpu_count()} x {run.processor()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    run.RESULTS.mkdir(exist_ok=True)
    (run.RESULTS / f"{name}.json").write_text(json.dumps(head | figures, indent=1) + "\n")


def main(argv: Sequence[str]) -> int:
    """Print the figures as JSON; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("soak", "churn"), default="soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--connections", type=float, default=2000.0, help="a second, of all nodes")
    parser.add_argument("--real", type=float, default=200.0, help="of these, how many on the real node; 0 for none")
    parser.add_argument("--churn", type=float, default=5.0, help="pods that come in each second")
    parser.add_argument("--pods", type=int, default=1000, help="of the churn on a real cluster")
    parser.add_argument("--no-result", action="store_true", help="print the figures and keep none")
    given = parser.parse_args(argv)
    began, started = dt.datetime.now(dt.UTC), time.monotonic()
    if given.what == "churn":
        figures = churned(given.pods)
    elif given.real and not sandbox.inside():
        again = [sys.executable, __file__, *argv]
        return subprocess.call([sys.executable, "-m", "network_mapper.testing.sandbox", "--net", "--", *again])
    else:
        figures = soak(given.minutes, given.connections, given.real, given.churn)
    print(json.dumps(figures, indent=1), flush=True)
    if not given.no_result:
        keep(given.what, figures, began, time.monotonic() - started)
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
