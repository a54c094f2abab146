"""The shipped sniffer on a real load, and on a node where nothing happens.

    python bench/sniffer.py [--seconds 40] [--idle-seconds 120]

Runs inside a sandbox of its own (root, or user namespaces). One node with twenty pods on a bridge gets 4,000 TCP
connections and 4,000 DNS questions a second over 1,520 edges (every fourth IPv6) and 3,800 pairs of client and name.
The sniffer runs as users run it, in the node's namespaces, and reports over its real socket to an intake in this
process that keeps every row. What it reported is compared with what was made, edge by edge and name by name.

Then the idle node: 110 pods and 1,000 processes and no traffic; socket tables are read once a minute, five times as
often as by default. CPU time is that of the scheduler (nanoseconds, all threads), memory is the peak of the resident
set, the packet ring included.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.server
import pathlib
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import medians
import msgspec

from network_mapper.testing import load, netns, sandbox
from network_mapper.testing.network import Network
from network_mapper.testing.plan import make_plan
from network_mapper.testing.topology import Topology, Workload
from network_mapper.wire.report import Receipt, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NODE = "node-1"


class Intake(http.server.BaseHTTPRequestHandler):
    """The report door, believing everything."""

    protocol_version = "HTTP/1.1"
    reports: list[Report]

    def do_POST(self) -> None:
        """Keep a report."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reports.append(msgspec.msgpack.decode(body, type=Report))
        answer = msgspec.json.encode(Receipt("bench", 1))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self) -> str:
        """A Unix socket has no address to tell."""
        return "unix"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """HTTP over a Unix socket."""

    daemon_threads = True


@contextlib.contextmanager
def intake(folder: pathlib.Path) -> Iterator[tuple[str, list[Report]]]:
    """Serve; yields the URL and the reports as they come."""
    reports: list[Report] = []
    handler = type("Handler", (Intake,), {"reports": reports})
    path = folder / "intake.sock"
    server = Server(str(path), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"unix:{path}", reports
    finally:
        server.shutdown()
        server.server_close()


def child_of(pid: int) -> int:
    """The process that nsenter started."""
    for _ in range(200):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise OSError("the sniffer did not start")


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, to the nanosecond."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def peak_mib(pid: int) -> float:
    """Peak of the resident set."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextlib.contextmanager
def sniffer(network: Network, url: str, reports: list[Report], *options: str) -> Iterator[int]:
    """The shipped process on the node; yields its process id once it has said hello."""
    command = [sys.executable, "-m", "network_mapper", "sniffer", "--mapper-url", url, "--node", NODE, *options]
    process = network.spawn_on_node(NODE, command)
    try:
        pid = child_of(process.pid)
        while not reports:
            time.sleep(0.05)
        time.sleep(1)
        yield pid
    finally:
        netns.interrupt(process)
        process.wait(10)


def counted(reports: list[Report]) -> tuple[dict[tuple[str, str, int], int], dict[tuple[str, str], int], int]:
    """Connections by edge, answers by client and name, and attempts."""
    edges: collections.Counter[tuple[str, str, int]] = collections.Counter()
    names: collections.Counter[tuple[str, str]] = collections.Counter()
    attempts = 0
    for report in reports:
        for client in report.clients:
            for flow in client.connections:
                edges[client.address, flow.server, flow.port] += flow.count
            for lookup in client.lookups:
                names[client.address, lookup.name] += lookup.count
            attempts += sum(flow.count for flow in client.attempts)
    return dict(edges), dict(names), attempts


def measure_load(folder: pathlib.Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One run under load."""
    network = Network(make_plan(load.load_topology()), bridged=True)
    rates = {"connections": arguments.connections, "questions": arguments.questions}
    with network, intake(folder) as (url, reports), load.Load(network, **rates) as traffic:
        with sniffer(network, url, reports) as pid:
            cpu, began = cpu_seconds(pid), time.monotonic()
            made = traffic.run(arguments.seconds)
            cpu, seconds = cpu_seconds(pid) - cpu, time.monotonic() - began
            peak = peak_mib(pid)
        edges, names, attempts = counted(reports)
    events = sum(made.connections.values()) + made.answers
    return {
        "connections_per_s": round(sum(made.connections.values()) / made.seconds),
        "answers_per_s": round(made.answers / made.seconds),
        "edges": len(made.connections),
        "names": made.names,
        "percent_of_a_core": round(100 * cpu / seconds, 2),
        "us_per_event": round(1e6 * cpu / events, 2),
        "peak_mib": round(peak, 1),
        "edges_equal": edges == made.connections,
        "connections_missed": sum(made.connections.values()) - sum(edges.values()),
        "answers_missed": made.answers - sum(names.values()),
        "names_missed": made.names - len(names),
        "attempts": attempts,
        "failures_of_generator": made.failures,
        "drops": reports[-1].drops if reports else {},
        "generator_cpu_percent": round(100 * made.cpu_seconds / made.seconds),
    }


def measure_idle(folder: pathlib.Path, seconds: float, pods: int = 110, processes: int = 1000) -> dict[str, Any]:
    """A node where nothing happens."""
    workloads = tuple(Workload(name=f"idle-{number}") for number in range(pods - 1))
    plan = make_plan(Topology(namespace="idle", nodes=(NODE,), workloads=workloads))
    network = Network(plan, bridged=True)
    each, more = divmod(processes, len(plan.pods))
    script = "i=0; while [ $i -lt $0 ]; do sleep 100000 & i=$((i+1)); done; wait"
    with network, intake(folder) as (url, reports):
        sleepers = [
            network.spawn_on_node(NODE, netns.command(pod.netns, ["sh", "-c", script, str(each + (n < more))]))
            for n, pod in enumerate(plan.pods)
        ]
        try:
            time.sleep(3)
            with sniffer(network, url, reports, "--socket-interval", "60") as pid:
                entries = pathlib.Path(f"/proc/{pid}/root/proc").iterdir()
                running = sum(entry.name.isdigit() for entry in entries)
                time.sleep(5)
                cpu, before = cpu_seconds(pid), len(reports)
                time.sleep(seconds)
                cpu, heard = cpu_seconds(pid) - cpu, len(reports) - before
                peak = peak_mib(pid)
        finally:
            for process in sleepers:
                process.kill()
            for process in sleepers:
                process.wait()
    return {
        "pods": len(plan.pods),
        "processes": running,
        "seconds": seconds,
        "percent_of_a_core": round(100 * cpu / seconds, 3),
        "peak_mib": round(peak, 1),
        "heartbeats": heard,
    }


def main() -> int:
    """Print the figures as JSON, one object a run, and their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--connections", type=float, default=4000.0)
    parser.add_argument("--questions", type=float, default=4000.0)
    parser.add_argument("--idle-seconds", type=float, default=120.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    if not sandbox.inside():
        return subprocess.call(
            [sys.executable, "-m", "network_mapper.testing.sandbox", "--", sys.executable, *sys.argv]
        )
    if arguments.seconds:
        medians.report("load", arguments.runs, lambda: in_folder(lambda folder: measure_load(folder, arguments)))
    if arguments.idle_seconds:
        medians.report("idle", 1, lambda: in_folder(lambda folder: measure_idle(folder, arguments.idle_seconds)))
    return 0


def in_folder(measure: Callable[[pathlib.Path], dict[str, Any]]) -> dict[str, Any]:
    """Measure with a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="network-mapper-bench-") as name:
        return measure(pathlib.Path(name))


if __name__ == "__main__":
    sys.exit(main())
