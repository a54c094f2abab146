"""A server that answers as a mapper would, and a way to run a command against it in this process."""

from __future__ import annotations

import contextlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import msgspec
import pytest

from network_mapper.cli.main import main
from network_mapper.model import Edge, Node, ServiceRef, Workload
from network_mapper.wire.api import ClusterStatus, MapDocument, ResetDocument, SnifferStatus, Status

NOW = 1_800_000_000_000


class Result(NamedTuple):
    code: int
    out: str
    err: str


class StubMapper:
    """Answers by path; each request is kept. `broken` replaces every answer with (status, body).

    A request for the map that names a namespace gets `map`, any other `everywhere`; both are the same at first.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.broken: tuple[int, bytes] | None = None
        self._asked, self._open = threading.Event(), threading.Event()
        self._open.set()
        cart, redis = Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet")
        dns = Workload("coredns", "kube-system", "Deployment")
        self.map = MapDocument(
            "map-1",
            1,
            NOW - 300_000,
            NOW,
            0,
            0,
            [
                Edge(cart, redis, ServiceRef("redis", "shop"), 6379, "tcp", 4, 0, 0, 0, NOW - 9_000, NOW - 1_000),
                Edge(cart, dns, ServiceRef("kube-dns", "kube-system"), 53, "tcp", 1, last_seen=NOW),
                Edge(Node("node-a"), cart, None, 8080, "tcp", 30, last_seen=NOW),
            ],
        )
        self.everywhere = self.map
        self.reset = ResetDocument(2, 3)
        self.status = Status(
            version="0.1.0",
            store="map-1",
            epoch=1,
            reset_at=0,
            watching_since=NOW - 300_000,
            now=NOW,
            edges=3,
            rows=10,
            merged=8,
            drops={"client_unknown": 2},
            sniffers=[
                SnifferStatus(
                    "node-a", "network-mapper/0.1.0", "b1", NOW - 300_000, NOW - 2_000, 60, True, {"ring": 900}, {}
                ),
                SnifferStatus("node-b", "", "b2", NOW - 300_000, NOW - 90_000, 7, False, {}, {"ring_overflow": 12}),
            ],
            uncovered_nodes=["node-b", "node-c"],
            covered_nodes=["node-a"],
            cluster=ClusterStatus("snapshot cluster.yaml", 12, 11, 3, 10, ["2 pods share 10.0.0.9"]),
        )

    def no_edges(self) -> None:
        self.map = MapDocument("map-1", 1, 0, NOW, 0, 0, [])
        self.everywhere = self.map
        self.status.edges = 0

    def hold(self) -> threading.Event:
        """Let requests wait until `release`; the event says that one has come."""
        self._open.clear()
        return self._asked

    def release(self) -> None:
        self._open.set()

    def answer(self, request: str) -> tuple[int, bytes]:
        self.requests.append(request)
        self._asked.set()
        self._open.wait(30)
        if self.broken:
            return self.broken
        path = request.split(" ")[1]
        filtered = self.map if "namespace=" in path else self.everywhere
        documents = {
            "/api/v1/map": filtered,
            "/api/v1/status": self.status,
            "/api/v1/reset": self.reset,
        }
        return 200, msgspec.json.encode(documents[path.split("?")[0]])


@pytest.fixture
def mapper():
    stub = StubMapper()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.command == "POST" and self.headers["content-type"] != "application/json":
                self.send_error(415)
                return
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, body = stub.answer(f"{self.command} {self.path}")
            with contextlib.suppress(ConnectionError):  # a client may have been interrupted
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  the library's naming

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    yield stub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the program with arguments; no terminal, no variables of ours, started under its usual name."""
    monkeypatch.setattr("sys.argv", ["network-mapper"])
    for name in [name for name in os.environ if name.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")  # no settings of whoever runs the tests

    def run_main(*args: str) -> Result:
        code = main(args)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run_main


@pytest.fixture
def ask(run, mapper):
    """Run a command against the stub mapper."""
    return lambda *args: run(*args, "--mapper-url", mapper.url)
