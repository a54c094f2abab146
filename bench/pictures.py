"""Measures what pictures cost: CPU time and memory of the whole program, from its start to the file.

A mapper's answer is played by a small server in this process. Medians of several runs, after one that fills the page
cache and the byte code cache.

    python bench/pictures.py [RUNS]
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "support"))

import synthetic_map

SIZES = {"11": (0, 0, 0), "300": (300, 20, 1500), "2,000": (2000, 50, 9329)}
FORMATS = ("svg", "png", "jpg", "pdf", "dot", "mermaid", "html")
PROMISED = {("300", "svg"): 3.0}
"""CPU seconds."""


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the same map."""

    body = b""

    def do_GET(self) -> None:
        """Send the map."""
        self.send_response(200)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def cost(command: list[str]) -> tuple[float, float]:
    """CPU seconds of one run, and MiB that were resident at most."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure every format at every size; fail where a promise is broken."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    broken = []
    print(f"median of {runs} runs\nworkloads format    CPU s    MiB        bytes")
    with tempfile.TemporaryDirectory() as folder:
        for size, shape in SIZES.items():
            made = synthetic_map.synthetic_map(*shape) if shape[0] else synthetic_map.shop_map()
            Handler.body = msgspec.json.encode(made)
            for format_ in FORMATS:
                path = pathlib.Path(folder) / f"map.{format_}"
                url = f"http://127.0.0.1:{server.server_port}"
                command = [sys.executable, "-m", "network_mapper", "visualize", "--mapper-url", url, "-o", str(path)]
                found = [cost(command) for _ in range(runs + 1)][1:]
                cpu, memory = (statistics.median(column) for column in zip(*found, strict=True))
                print(f"{size:>9} {format_:8} {cpu:6.2f} {memory:6.0f} {path.stat().st_size:12,}", flush=True)
                if cpu > PROMISED.get((size, format_), cpu):
                    broken.append(f"{format_} of {size} workloads: {cpu:.2f} s")
    server.shutdown()
    if broken:
        raise SystemExit("promised less: " + "; ".join(broken))


if __name__ == "__main__":
    main()
