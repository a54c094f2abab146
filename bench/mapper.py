"""Intake, query and memory of the shipped mapper, over its real socket and with its store on.

    python bench/mapper.py [--pods 10000] [--edges 50000] [--reports 1000]

A mapper is started as users start it, on a snapshot of 10,000 pods and 20,000 ReplicaSets. Every pod first reports its
share of the edges, half of them through services, so that 50,000 distinct edges are stored; then reports of 500 rows
follow, one node after the other on four connections, in which 5 % of the rows belong to edges that were never seen.
What counts is the CPU time of the mapper's process (user and system, all threads, from /proc/PID/stat) between two
moments at which everything is answered; a last checkpoint is inside.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import medians
import msgspec
import synthetic

from network_mapper.http_client import HttpClient
from network_mapper.wire.report import MSGPACK, PATH, Client, Flow, Receipt, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")
ROWS = 500
SENDERS = 4
CHECKPOINT = 11
"""Seconds after which a checkpoint has been written (`--checkpoint-interval` is 10)."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Load:
    """What each node reports: pod `p` calls `edges / pods` other workloads, each second one through its service."""

    def __init__(self, pods: int, nodes: int, edges: int) -> None:
        self.nodes = nodes
        self.pods = pods
        self.per_pod = edges // pods
        self.workloads = pods // synthetic.PODS_PER_WORKLOAD
        self._fresh = 0

    def rows_of(self, pod: int) -> list[Flow]:
        """The known edges of one pod."""
        own, place = divmod(pod, synthetic.PODS_PER_WORKLOAD)
        flows = []
        for n in range(self.per_pod):
            target = (own + 1 + place * self.per_pod + n) % self.workloads
            backend = target * synthetic.PODS_PER_WORKLOAD + place
            if n % 2:
                flows.append(Flow(synthetic.pod_address(backend), 8080, "tcp", 3, -900, -100))
            else:
                answered = synthetic.pod_address(backend)
                flows.append(Flow(synthetic.service_address(target), 80, "tcp", 3, -900, -100, answered, 8080))
        return flows

    def fresh_row(self) -> Flow:
        """A row of an edge that was never seen: another port of some pod."""
        self._fresh += 1
        pod = self._fresh % self.pods
        return Flow(synthetic.pod_address(pod), 10_000 + self._fresh // self.pods, "tcp", 1, -500, -400)

    def reports(self, node: int, fresh: float, rounds: int) -> list[list[Client]]:
        """One node's reports of 500 rows: its pods in turn, and a share of fresh rows."""
        pods = itertools.cycle(range(node, self.pods, self.nodes))
        reports = []
        for _ in range(rounds):
            clients = [
                Client(synthetic.pod_address(pod), 7, connections=self.rows_of(pod))
                for pod in itertools.islice(pods, round(ROWS * (1 - fresh)) // self.per_pod)
            ]
            for n in range(round(ROWS * fresh)):
                clients[n % len(clients)].connections.append(self.fresh_row())
            reports.append(clients)
        return reports


@contextlib.contextmanager
def mapper(folder: pathlib.Path, sync: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The shipped process, ready to serve."""
    url = f"unix:{folder}/mapper.sock"
    command = [sys.executable, "-m", "network_mapper", "mapper", "--snapshot", str(folder / "cluster")]
    command += ["--store", str(folder / "map.db"), "--store-sync", sync, "--listen", url]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        client = HttpClient(url)
        for _ in range(600):
            try:
                if client.request("GET", "/readyz").status == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


class Sender(threading.Thread):
    """Sends frozen reports, one at a time, and believes only 200."""

    def __init__(self, url: str, bodies: list[bytes]) -> None:
        super().__init__()
        self._client = HttpClient(url, timeout=30)
        self._bodies = bodies
        self.merged = 0
        self.repeats = 0

    def run(self) -> None:
        """Send everything in order."""
        for body in self._bodies:
            while True:
                answer = self._client.request("POST", PATH, body, {"Content-Type": MSGPACK})
                if answer.status == 200:
                    break
                self.repeats += 1
                time.sleep(0.05)
            self.merged += msgspec.json.decode(answer.body, type=Receipt).rows


def send(url: str, bodies: list[bytes]) -> tuple[int, int]:
    """Send everything over a few connections; returns rows merged and reports that had to come again."""
    senders = [Sender(url, bodies[n::SENDERS]) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return sum(sender.merged for sender in senders), sum(sender.repeats for sender in senders)


def bodies_of(load: Load, boot: str, rounds: int, fresh: float) -> list[bytes]:
    """Encoded reports, one node after the other."""
    by_node = [load.reports(node, fresh, rounds) for node in range(load.nodes)]
    bodies = []
    for sequence in range(rounds):
        for node in range(load.nodes):
            name, clients = synthetic.node_of(node, load.nodes), by_node[node][sequence]
            # Each report is a start of its own, so that four senders need not agree on an order.
            report = Report(name, f"{boot}-{sequence}", 1, now(), started=now(), clients=clients)
            bodies.append(msgspec.msgpack.encode(report))
    return bodies


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run once and return the figures."""
    with tempfile.TemporaryDirectory(prefix="network-mapper-bench-") as name:
        folder = pathlib.Path(name)
        load = Load(arguments.pods, arguments.nodes, arguments.edges)
        synthetic.write_snapshot(folder / "cluster", arguments.pods, arguments.nodes)
        first = bodies_of(load, "first", 1, 0.0)
        rounds = max(1, arguments.reports // len(first))
        with mapper(folder, arguments.sync) as (process, url):
            figures: dict[str, Any] = {"start_cpu_s": cpu_seconds(process.pid), "start_mib": resident(process.pid)}
            client = HttpClient(url, timeout=60)
            send(url, first)
            status = json.loads(client.request("GET", "/api/v1/status").body)
            figures["edges_stored_before"] = status["edges"]
            time.sleep(CHECKPOINT)
            figures["resident_with_edges_mib"] = resident(process.pid)
            second = bodies_of(load, "second", rounds, 0.05)
            started, cpu = time.monotonic(), cpu_seconds(process.pid)
            merged, repeats = send(url, second)
            figures["wall_s"] = time.monotonic() - started
            time.sleep(CHECKPOINT)  # what is still to be written of it is part of its price
            cpu = cpu_seconds(process.pid) - cpu
            figures |= {"rows": merged, "reports": len(second), "asked_to_come_again": repeats, "cpu_s": cpu}
            figures["observations_per_cpu_s"] = round(merged / cpu)
            status = json.loads(client.request("GET", "/api/v1/status").body)
            figures["edges_after"] = status["edges"]
            figures["drops"] = status["drops"]
            figures["resident_after_mib"] = resident(process.pid)
            figures |= measure_query(process.pid, client)
        return figures


def measure_query(pid: int, client: HttpClient) -> dict[str, Any]:
    """Cost of a query whose answer has about 5,000 edges."""
    path = "/api/v1/map?server=app-7"
    whole = json.loads(client.request("GET", "/api/v1/map").body)["edges"]
    names: dict[str, int] = {}
    for edge in whole:
        names[edge["client"]["name"]] = names.get(edge["client"]["name"], 0) + 1
    cpu = cpu_seconds(pid)
    for _ in range(20):
        client.request("GET", path)
    filtered = (cpu_seconds(pid) - cpu) / 20
    cpu = cpu_seconds(pid)
    for _ in range(20):
        client.request("GET", "/api/v1/map")
    return {
        "query_filtered_cpu_ms": filtered * 1000,
        "query_all_cpu_ms_per_5000_edges": (cpu_seconds(pid) - cpu) / 20 * 1000 / len(whole) * 5000,
    }


def main() -> None:
    """Print the figures as JSON, one object a run, and their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--edges", type=int, default=50_000)
    parser.add_argument("--reports", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sync", default="full")
    arguments = parser.parse_args()
    medians.report("mapper", arguments.runs, lambda: measure(arguments))


if __name__ == "__main__":
    main()
