"""A cluster of 1,000 nodes and 30,000 pods, reported in real time to one shipped mapper: how much of a core it takes.

    python bench/scale.py [--nodes 1000] [--pods 30000] [--edges 50000] [--seconds 60]

Each node is a connection of its own that behaves as a sniffer does: what is new is reported within a second, what only
repeats when its repeat interval is over, a heartbeat when nothing is due, one report on its way at a time. Every
connection between two nodes is reported by both, as both see it. In each second one edge in a thousand of the map is
new, and pods are replaced, so that sightings of pods come as well. The mapper runs as users run it, with its store on.
What counts is the CPU time of its process by wall-clock second, and how long its answers take; what it could do at most
is measured afterwards with the same reports sent as fast as they are answered.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import itertools
import json
import pathlib
import random
import statistics
import tempfile
import time
from typing import Any

import mapper as mapper_bench
import medians
import msgspec
import synthetic

from network_mapper.agent.fold import Fold
from network_mapper.http_client import HttpClient
from network_mapper.model import PodRef, PodSighting
from network_mapper.wire.report import MSGPACK, PATH, Client, Flow, Report

HEARTBEAT = 4
NEW_SHARE = 0.001
PODS_REPLACED = 20
"""In each second, of the whole cluster: more than a thousand a minute."""
_encode = msgspec.msgpack.Encoder().encode


def repeat_interval() -> int:
    """Seconds after which a sniffer reports again what only repeats, as it is built."""
    return round(inspect.signature(Fold).parameters["repeat_interval"].default)


class Node:
    """One sniffer: its rows, and the report that waits for an answer."""

    def __init__(self, number: int, nodes: int) -> None:
        self.name = synthetic.node_of(number, nodes)
        self.rows: list[tuple[str, Flow]] = []
        self.fresh: list[tuple[str, Flow]] = []
        self.sightings: list[PodSighting] = []
        self.sequence = 0
        self.quiet = number % HEARTBEAT
        self.started = mapper_bench.now()

    def report(self, due: list[tuple[str, Flow]]) -> bytes:
        """Freeze what is due."""
        self.sequence += 1
        clients: dict[str, Client] = {}
        for address, flow in due:
            clients.setdefault(address, Client(address, 7)).connections.append(flow)
        pods, self.sightings = self.sightings, []
        return _encode(
            Report(
                self.name,
                "boot",
                self.sequence,
                mapper_bench.now(),
                started=self.started,
                agent="network-mapper/0.1.0",
                clients=list(clients.values()),
                pods=pods,
            )
        )

    def due(self, second: int, every: int) -> list[tuple[str, Flow]] | None:
        """What it reports in this second; None for nothing, empty for a heartbeat."""
        found = self.rows[second % every :: every] + self.fresh
        self.rows += self.fresh
        self.fresh = []
        if found or self.sightings:
            self.quiet = 0
            return found
        self.quiet += 1
        if self.quiet < HEARTBEAT:
            return None
        self.quiet = 0
        return []


class Cluster:
    """All nodes and what is said between them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.pods, self.edges = arguments.pods, arguments.edges
        self.nodes = [Node(number, arguments.nodes) for number in range(arguments.nodes)]
        self._chance = random.Random(7)
        self._ports = itertools.count()
        seen: set[tuple[int, int]] = set()
        while len(seen) < self.edges:
            client, server = self._chance.randrange(self.pods), self._chance.randrange(self.pods)
            workloads = client // synthetic.PODS_PER_WORKLOAD, server // synthetic.PODS_PER_WORKLOAD
            if workloads not in seen and workloads[0] != workloads[1]:
                seen.add(workloads)
                self._put(client, server, 8080, fresh=False)

    def _put(self, client: int, server: int, port: int, *, fresh: bool) -> None:
        """A connection, seen by the client's node as it was dialled and by the server's as it arrived."""
        address, target = synthetic.pod_address(client), synthetic.pod_address(server)
        service = synthetic.service_address(server // synthetic.PODS_PER_WORKLOAD)
        dialled = Flow(service, 80, "tcp", 3, -900, -100, target, 8080) if port == 8080 and server % 2 else None
        there = Flow(target, port, "tcp", 3, -900, -100)
        ends = {client % len(self.nodes): dialled or there, server % len(self.nodes): there}
        for number, flow in ends.items():
            node = self.nodes[number]
            (node.fresh if fresh else node.rows).append((address, flow))

    def go_on(self) -> None:
        """A second passes: some edges are new, some pods replaced."""
        for _ in range(round(self.edges * NEW_SHARE)):
            client, server = self._chance.randrange(self.pods), self._chance.randrange(self.pods)
            self._put(client, server, 10_000 + next(self._ports) % 50_000, fresh=True)
        now = mapper_bench.now()
        for _ in range(PODS_REPLACED):
            pod = self._chance.randrange(self.pods)
            ref = PodRef("load", f"job-{pod}", f"{self._chance.getrandbits(64):016x}")
            self.nodes[pod % len(self.nodes)].sightings.append(PodSighting(ref, (f"10.99.{pod % 250}.9",), now, now))


class Connection:
    """One sniffer's connection; a report is sent when the one before is answered."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def open(self, path: str) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_unix_connection(path)

    async def send(self, body: bytes) -> float:
        """Send until it is taken; returns the seconds that took."""
        began = time.monotonic()
        head = f"POST {PATH} HTTP/1.1\r\nHost: m\r\nContent-Type: {MSGPACK}\r\nContent-Length: {len(body)}\r\n\r\n"
        async with self._lock:
            while True:
                self._writer.write(head.encode() + body)
                answer = await self._reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await self._reader.readexactly(length)
                if answer.startswith(b"HTTP/1.1 200"):
                    return time.monotonic() - began
                if not answer.startswith(b"HTTP/1.1 503"):
                    raise RuntimeError(f"refused: {answer[:200]!r}")
                await asyncio.sleep(0.2)


async def _play(cluster: Cluster, path: str, seconds: int, pid: int) -> dict[str, Any]:
    connections = [Connection() for _ in cluster.nodes]
    await asyncio.gather(*(connection.open(path) for connection in connections))
    every = repeat_interval()
    for start in range(0, len(cluster.nodes), 50):  # everything is told once
        batch = range(start, min(start + 50, len(cluster.nodes)))
        await asyncio.gather(*(connections[n].send(cluster.nodes[n].report(cluster.nodes[n].rows)) for n in batch))
    await asyncio.sleep(mapper_bench.CHECKPOINT)
    cpu, rows, waits = mapper_bench.cpu_seconds(pid), 0, list[float]()
    tasks: list[asyncio.Task[float]] = []
    began = time.monotonic()
    for second in range(seconds):
        cluster.go_on()
        for number, node in enumerate(cluster.nodes):
            due = node.due(second, every)
            if due is not None:
                rows += len(due)
                tasks.append(asyncio.create_task(connections[number].send(node.report(due))))
            if number % 20 == 19:  # the nodes' clocks are not in step
                left = began + second + number / len(cluster.nodes) - time.monotonic()
                await asyncio.sleep(max(0, left))
    waits = await asyncio.gather(*tasks)
    wall = time.monotonic() - began
    share = (mapper_bench.cpu_seconds(pid) - cpu) / wall
    waits.sort()
    figures = {
        "repeat_interval_s": every,
        "wall_s": wall,
        "reports_a_second": len(waits) / wall,
        "rows_a_second": rows / wall,
        "share_of_a_core": share,
        "answer_ms_median": statistics.median(waits) * 1000,
        "answer_ms_p99": waits[len(waits) * 99 // 100] * 1000,
    }
    # The same again, as fast as it goes.
    cluster.go_on()
    bodies = [(n, node.report(node.rows[second % every :: every])) for n, node in enumerate(cluster.nodes)]
    cpu, began = mapper_bench.cpu_seconds(pid), time.monotonic()
    await asyncio.gather(*(connections[n].send(body) for n, body in bodies))
    figures["reports_per_cpu_s"] = len(bodies) / (mapper_bench.cpu_seconds(pid) - cpu)
    figures["headroom"] = 1 / share
    return figures


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run once and return the figures."""
    with tempfile.TemporaryDirectory(prefix="network-mapper-bench-") as name:
        folder = pathlib.Path(name)
        synthetic.write_snapshot(folder / "cluster", arguments.pods, arguments.nodes)
        cluster = Cluster(arguments)
        with mapper_bench.mapper(folder, "full") as (process, url):
            figures = asyncio.run(_play(cluster, url.removeprefix("unix:"), arguments.seconds, process.pid))
            status = json.loads(HttpClient(url, timeout=60).request("GET", "/api/v1/status").body)
            figures |= {"edges": status["edges"], "drops": status["drops"]}
            figures["resident_mib"] = mapper_bench.resident(process.pid)
        return figures


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--pods", type=int, default=30_000)
    parser.add_argument("--edges", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    medians.report("scale", arguments.runs, lambda: measure(arguments))


if __name__ == "__main__":
    main()
