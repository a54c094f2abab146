"""Measures what a command costs at every start: CPU time of the whole process.

A mapper's answer is played by a small server in this process, so that only the command is measured: the user and
system time that the kernel accounts to it, from exec to exit. Medians of several runs, after one that fills the page
cache and the byte code cache.

    python bench/cli.py [RUNS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from network_mapper.model import Edge, ServiceRef, Workload
from network_mapper.wire.api import MapDocument

EDGES = 1_000
EXPORTED = 5_000
NOW = 1_800_000_000_000
LIMITS = {"--help": 150, "list": 250, "export": 1000, "export --format json": 1000}
"""Promised CPU milliseconds."""


def large_map(count: int) -> bytes:
    """A map of that many edges, four for each workload, as the mapper sends it."""
    size = count // 4
    workloads = [Workload(f"service-{n:04}", f"team-{n % 10}", "Deployment") for n in range(size)]
    edges = []
    for n in range(count):
        client, server = workloads[n % size], workloads[(n * 7 + n // size + 1) % size]
        service = ServiceRef(server.name, server.namespace)
        edges.append(Edge(client, server, service, 8080, "tcp", n + 1, 0, 0, 1, NOW - 60_000, NOW - n))
    return msgspec.json.encode(MapDocument("bench", 1, NOW - 60_000, NOW, 0, 0, edges))


class Handler(BaseHTTPRequestHandler):
    """Answers every request with a map; a path that begins with /large gives the larger one."""

    usual = large_map(EDGES)
    large = large_map(EXPORTED)

    def do_GET(self) -> None:
        """Send the map."""
        body = self.large if self.path.startswith("/large") else self.usual
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def cost(command: list[str]) -> float:
    """CPU milliseconds of one run."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with exit code {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def main(runs: int) -> int:
    """Print a table; returns 1 when something costs more than promised."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    program = [sys.executable, "-m", "network_mapper"]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "--help": [*program, "--help"],
        "list": [*program, "list", "--mapper-url", url],
        "list -o wide": [*program, "list", "-o", "wide", "--mapper-url", url],
        "list -o json": [*program, "list", "-o", "json", "--mapper-url", url],
        "list -o yaml": [*program, "list", "-o", "yaml", "--mapper-url", url],
        "export": [*program, "export", "--mapper-url", f"{url}/large"],
        "export --format json": [*program, "export", "--format", "json", "--mapper-url", f"{url}/large"],
    }
    failed = False
    print(f"{EDGES} edges, median of {runs} runs")
    for name, command in commands.items():
        cost(command)
        cpu = statistics.median(cost(command) for _ in range(runs))
        limit = LIMITS.get(name)
        failed |= bool(limit and cpu > limit)
        print(f"{name:20} {cpu:6.0f} ms CPU{f' (at most {limit})' if limit else ''}")
    server.shutdown()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 9))
