"""A mapper that can be told to misbehave, a node made of plain files, and sniffers as processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from network_mapper.wire.report import Receipt, Report

if TYPE_CHECKING:
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\nContent-Length: %d\r\n\r\n%s"
LATER = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0.1\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nnothing"


class FakeMapper:
    """Answers reports over a Unix socket.

    `script` holds what to do with the next requests: `later`, `refuse`, `cut` (read, then break off), `hang`; after
    that every one is accepted.
    """

    def __init__(self, path: str) -> None:
        self.url = f"unix:{path}"
        self.script: list[str] = []
        self.bodies: list[bytes] = []
        self.accepted: list[bytes] = []
        self.store, self.epoch = "map-1", 1
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_all, args=(connection,), daemon=True).start()

    def _answer_all(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while (line := stream.readline()).startswith((b"POST /api/v1/reports", b"POST /query")):
                native = line.startswith(b"POST /api")
                length = 0
                while (header := stream.readline().strip()) != b"":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                body = stream.read(length)
                if not native:  # it has one door only
                    connection.sendall(REFUSED)
                    continue
                with self._changed:
                    todo = self.script.pop(0) if self.script else "accept"
                    self.bodies.append(body)
                    if todo == "accept":
                        self.accepted.append(body)
                    self._changed.notify_all()
                if todo == "cut":
                    return
                if todo == "hang":
                    self._closed.wait(60)
                    return
                receipt = msgspec.msgpack.encode(Receipt(self.store, self.epoch))
                connection.sendall({"later": LATER, "refuse": REFUSED}.get(todo, OK % (len(receipt), receipt)))

    def reports(self) -> list[Report]:
        """What was accepted."""
        return [msgspec.msgpack.decode(body, type=Report) for body in self.accepted]

    def wait_for(self, condition) -> None:
        """Wait until something holds, at most ten seconds."""
        deadline = time.monotonic() + 10
        with self._changed:
            while not condition():
                assert self._changed.wait(max(0.0, deadline - time.monotonic())), "it did not come"

    def close(self) -> None:
        self._closed.set()
        self._listener.close()


@pytest.fixture
def mapper(tmp_path):
    made = FakeMapper(str(tmp_path / "mapper.sock"))
    yield made
    made.close()


class FakeNode:
    """A procfs in which one process has clients of 10.0.0.2."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def clients(self, pid: int, count: int) -> None:
        local, remote = (
            f"{int.from_bytes(bytes(address), sys.byteorder):08X}" for address in ([10, 0, 0, 1], [10, 0, 0, 2])
        )
        (self.root / str(pid) / "net").mkdir(parents=True)
        rows = "".join(f"  0: {local}:{40000 + row:04X} {remote}:{pid:04X} 01 0:0 0:0 0 0 0\n" for row in range(count))
        (self.root / str(pid) / "net/tcp").write_text("heading\n" + rows)


@pytest.fixture
def node(tmp_path):
    (tmp_path / "proc").mkdir()
    return FakeNode(tmp_path / "proc")


MAIN = """
import json, sys
from network_mapper import logs
from network_mapper.sniffer.run import run
from network_mapper.sniffer.settings import SnifferSettings
logs.setup(log_format="text")
sys.exit(run(SnifferSettings(**json.loads(sys.argv[1])), sys.argv[2:]))
"""


class Process:
    """A sniffer."""

    def __init__(self, settings: dict[str, object], files: list[str]) -> None:
        command = [sys.executable, "-c", MAIN, msgspec.json.encode(settings).decode(), *files]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NODE_NAME": "n1"}
        )

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def end(self, seconds: float = 20) -> tuple[int, str]:
        """Wait for the end; the exit code and the log."""
        _, log = self._process.communicate(timeout=seconds)
        return self._process.returncode, log

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def sniffer(mapper, node):
    """Starts sniffers of the fake node; packets are off, as they need privileges."""
    started = []

    def start(*files: str, **settings: object) -> Process:
        defaults = {"mapper_url": mapper.url, "proc_dir": str(node.root), "enable_tcp": False, "enable_dns": False}
        process = Process(defaults | settings, list(files))
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
