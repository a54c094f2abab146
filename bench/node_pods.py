"""What it costs a sniffer to know the pods of its node by itself.

    python bench/node_pods.py [--seconds 60] [--pods 110] [--processes 1000]

Runs inside a sandbox of its own (root, for control groups). The node has 110 pods, each in a network namespace of its
own with an interface, and 1,000 processes, most of them in pods; all of it is real, with the log folders made by hand.
A loop does what the sniffer's does: it works when something is due, and once a second confirms whoever has spoken.

Three nodes are measured: one where nothing happens and nobody speaks; one where every pod speaks in every second; and
one where, besides, a pod comes and a pod goes in every second, each with its folder, its interface, two processes and
a dozen short-lived ones as runtimes start them. Each is preceded by the first look, which takes in everything.

CPU time is that of the loop's thread, user and system. Memory is what the resident set grew by. A pod is caught when
it was told of with its address; `late_ms` is the time from its first process to the first sighting, the longest.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import medians

from network_mapper.capture.pods import NodePods
from network_mapper.testing import netns, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS = pathlib.Path("/sys/fs/cgroup/pids")
HELPERS = 12
LIVES = 2.0


class Pod:
    """A pod, as a kubelet and a runtime make it."""

    def __init__(self, node: Node, number: int, processes: int) -> None:
        self.uid = str(uuid.uuid4())
        self.address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        self.name = f"pod-{number}"
        self.folder = node.logs / f"shop_{self.name}_{self.uid}"
        self.folder.mkdir()
        self.group = node.group / f"pod{self.uid}" / "c1"
        self.group.mkdir(parents=True)
        self.link = f"veth{number}"
        self.spaces = netns.Namespaces()
        self.spaces.add(self.name)
        ip = f"link add {self.link} type veth peer name eth0 netns {self.name}"
        subprocess.run(["ip", *ip.split()], check=True)
        netns.ip(self.name, ["link set eth0 up", f"addr add {self.address}/8 dev eth0"])
        self.born = 0
        self.processes = [self._start() for _ in range(processes)]

    def _start(self) -> subprocess.Popen[bytes]:
        script = f"echo $$ > {self.group}/cgroup.procs && exec nsenter --net={netns.FOLDER / self.name} sleep 100000"
        process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL)
        self.born = self.born or time.time_ns() // 1_000_000
        return process

    def end(self) -> None:
        """Take it down."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        subprocess.run(["ip", "link", "del", self.link], check=False, stderr=subprocess.DEVNULL)
        self.spaces.close()
        with contextlib.suppress(OSError):
            self.group.rmdir()
            self.group.parent.rmdir()
        self.folder.rmdir()


class Node:
    """Pods and other processes."""

    def __init__(self, root: pathlib.Path, pods: int, processes: int) -> None:
        self.logs = root / "pods"
        self.logs.mkdir()
        self.group = GROUPS / sandbox.cgroups() / "kubepods" / "besteffort"
        self.group.mkdir(parents=True)
        each = max(1, processes * 8 // 10 // pods)
        self.pods = [Pod(self, number, each) for number in range(1, pods + 1)]
        others = processes - pods * each
        self.others = [subprocess.Popen(["sleep", "100000"], stdin=subprocess.DEVNULL) for _ in range(others)]
        self.made = pods
        self.past: list[Pod] = []
        time.sleep(1)

    def churn(self, stop: threading.Event) -> None:
        """A pod comes and a pod goes in every second."""
        young: list[tuple[float, Pod]] = []
        while not stop.wait(1.0):
            for _ in range(HELPERS):
                subprocess.run(["true"], check=True)
            self.made += 1
            young.append((time.monotonic(), Pod(self, self.made, 2)))
            while young and young[0][0] < time.monotonic() - LIVES:
                pod = young.pop(0)[1]
                pod.end()
                self.past.append(pod)
        for _, pod in young:
            pod.end()

    def close(self) -> None:
        """End everything."""
        for other in self.others:
            other.kill()
        for other in self.others:
            other.wait()
        for pod in self.pods:
            pod.end()
        self.group.rmdir()
        self.group.parent.rmdir()


@contextlib.contextmanager
def churning(node: Node, *, wanted: bool) -> Iterator[None]:
    """Pods come and go meanwhile."""
    stop = threading.Event()
    thread = threading.Thread(target=node.churn, args=(stop,))
    if wanted:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if wanted:
            thread.join()


def resident() -> int:
    """Bytes."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(node: Node, seconds: float, *, speak: bool, churn: bool) -> dict[str, Any]:
    """One node for a while."""
    node.past.clear()
    before = resident()
    began = time.thread_time()
    pods = NodePods(str(node.logs))
    pods.work()
    first = time.thread_time() - began
    told = {sighting.pod.uid: sighting for sighting in pods.take_news()}
    settled = time.monotonic() + 40  # until the looks for what was there at the start have ended
    with churning(node, wanted=churn):
        while time.monotonic() < settled:
            turn(pods, node, speak=speak)
        began, until, looks = time.thread_time(), time.monotonic() + seconds, pods.counts().looks
        while time.monotonic() < until:
            for sighting in turn(pods, node, speak=speak):
                told.setdefault(sighting.pod.uid, sighting)
        spent = time.thread_time() - began
        looks = pods.counts().looks - looks
    recent = node.past[45:]
    caught = [pod for pod in recent if pod.uid in told and told[pod.uid].addresses == (pod.address,)]
    figures = {
        "core_percent": round(100 * spent / seconds, 3),
        "looks_per_second": round(looks / seconds, 2),
        "first_look_ms": round(first * 1000, 1),
        "grown_mib": round((resident() - before) / 1048576, 2),
        "known": pods.counts().present,
    }
    if churn:
        late = [told[pod.uid].first - pod.born for pod in caught]
        figures |= {"pods_gone": len(recent), "caught": len(caught), "late_ms": max(late, default=0)}
    pods.close()
    return figures


def turn(pods: NodePods, node: Node, *, speak: bool) -> list[Any]:
    """A second of the sniffer's loop."""
    tick = time.monotonic() + 1
    while (now := time.monotonic()) < tick:
        time.sleep(max(0.0, min(tick, pods.due()) - now))
        pods.read()
        pods.work()
    pods.confirm([pod.address for pod in node.pods] if speak else [])
    return pods.take_news()


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pods", type=int, default=110)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if not sandbox.inside():
        return sandbox.run([sys.executable, *sys.argv], net=True)
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        node = Node(pathlib.Path(folder), options.pods, options.processes)
        try:
            for name, speak, churn in (("at rest", False, False), ("all pods speak", True, False),
                                       ("all pods speak, and one comes and goes each second", True, True)):  # fmt: skip
                medians.report(
                    name,
                    options.runs,
                    lambda: measure(node, options.seconds, speak=speak, churn=churn),  # noqa: B023
                )
        finally:
            node.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
