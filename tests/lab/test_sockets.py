"""The socket tables of real network namespaces."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time

import pytest

from network_mapper.capture.sockets import SocketTables
from network_mapper.model import Kind, Observation

pytestmark = pytest.mark.lab

SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 8080), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
kept = [listener.accept() for _ in range(int(sys.argv[2]))]
sys.stdin.read()
"""
CLIENT = """
import socket, sys
kept = [socket.create_connection((sys.argv[1], 8080), 5) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.read()
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Pods:
    """Two namespaces with a cable between them, made as a container network does it: in the host, then moved."""

    def __init__(self) -> None:
        self.client, self.server = f"nmtest{os.getpid()}a", f"nmtest{os.getpid()}b"
        self._processes: list[subprocess.Popen[str]] = []

    def make(self) -> None:
        for name in (self.client, self.server):
            ip("netns", "add", name)
        ip("link", "add", self.client, "type", "veth", "peer", "name", self.server)
        for number, name in enumerate((self.client, self.server), 1):
            ip("link", "set", name, "netns", name)
            ip("-n", name, "addr", "add", f"10.213.77.{number}/24", "dev", name)
            ip("-n", name, "addr", "add", f"fd77::{number}/64", "dev", name, "nodad")
            ip("-n", name, "link", "set", name, "up")

    def connect(self, address: str, count: int) -> None:
        for name, script in ((self.server, SERVER), (self.client, CLIENT)):
            self._run(name, script, address, count)

    def bystander(self) -> None:
        """One more process beside the client, which does nothing."""
        self._run(self.client, CLIENT, "", 0)

    def _run(self, name: str, script: str, address: str, count: int) -> None:
        command = ["ip", "netns", "exec", name, sys.executable, "-c", script, address, str(count)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def remove(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for name in (self.client, self.server):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", self.client)


@pytest.fixture
def pods():
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    made = Pods()
    yield made
    made.remove()


def now() -> int:
    return time.time_ns() // 1_000_000


def of_pods(observations: list[Observation]) -> list[tuple[Kind, str, str, int, int]]:
    return [
        (seen.kind, seen.client, seen.server, seen.port, seen.count)
        for seen in observations
        if seen.client.startswith(("10.213.77.", "fd77::"))
    ]


@pytest.mark.parametrize(("client", "server"), [("10.213.77.1", "10.213.77.2"), ("fd77::1", "fd77::2")])
def test_a_connection_made_before_the_start_is_found_at_its_client_only(pods, client, server):
    pods.make()
    pods.connect(server, 3)
    tables = SocketTables()
    assert of_pods(tables.drain(now())) == [(Kind.SOCKETS, client, server, 8080, 3)]
    tables.close()


def test_a_namespace_is_read_once_for_all_its_processes(pods):
    pods.make()
    pods.connect("10.213.77.2", 3)
    pods.bystander()
    tables = SocketTables()
    assert of_pods(tables.drain(now())) == [(Kind.SOCKETS, "10.213.77.1", "10.213.77.2", 8080, 3)]
    tables.close()


def test_a_new_namespace_is_found_within_two_seconds(pods):
    tables = SocketTables()
    tables.drain(now())
    pods.make()
    pods.connect("10.213.77.2", 1)
    deadline = time.monotonic() + 2
    tick = time.monotonic() + 1
    found: list[tuple[Kind, str, str, int, int]] = []
    while not found and time.monotonic() < deadline:
        if select.select([tables], [], [], max(0.0, min(tick, deadline) - time.monotonic()))[0]:
            tables.read(now())
        if time.monotonic() >= tick:
            tick += 1
            found = of_pods(tables.drain(now()))
    assert found == [(Kind.SOCKETS, "10.213.77.1", "10.213.77.2", 8080, 1)]
    tables.close()


WITHOUT_RIGHTS = """
import sys, time
from pathlib import Path
from network_mapper.capture.sockets import SocketTables
assert "CapEff:\t0000000000000000" in Path("/proc/self/status").read_text()
tables = SocketTables()
for seen in tables.drain(time.time_ns() // 1_000_000):
    print(seen.client, seen.server, seen.port, seen.count)
print(dict(tables.stats().drops))
"""


def test_every_namespace_is_read_without_any_capability(pods):
    pods.make()
    pods.connect("10.213.77.2", 3)
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run(
        [*drop, sys.executable, "-c", WITHOUT_RIGHTS], capture_output=True, text=True, check=False, timeout=30
    )
    lines = done.stdout.splitlines()
    assert "10.213.77.1 10.213.77.2 8080 3" in lines, done.stderr
    assert lines[-1] == "{}"
