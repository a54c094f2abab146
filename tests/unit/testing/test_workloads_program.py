"""The program of pods, as a process on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from harness.workloads import image, program
from harness.workloads.manifests import call

from network_mapper.testing import pod


@pytest.fixture
def server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    servers = pod.Servers([port], None, "cluster.local")
    threading.Thread(target=servers.run, daemon=True).start()
    return servers, port


def test_calls_of_the_start_are_made_once_reported_and_the_program_ends(server, tmp_path):
    servers, port = server
    for path, content in image.files().items():
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    first, *rest = image.command(sys.executable)
    calls = {"it": call(port=port, addresses=["127.0.0.1"], count=3)}
    done = subprocess.run(
        [first, *rest[:-1], str(tmp_path) + rest[-1]],
        env={**os.environ, "WORK": json.dumps({"calls": calls, "stay": False})},
        capture_output=True,
        check=True,
        cwd="/",
        timeout=20,
    )
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    assert said["order"] == "start"
    assert said["calls"]["it"]["connections"] == {f"127.0.0.1 {port}": 3}
    assert servers.accepted == {port: 3}


def test_a_held_connection_does_not_keep_the_report_waiting_and_is_closed_by_the_next_order(server):
    _, port = server
    worker = program.Worker("nameserver 127.0.0.1")
    done = worker.make({"it": call(port=port, addresses=["127.0.0.1"], count=1, hold=True)}, 0.0)
    assert done["it"]["connections"] == {f"127.0.0.1 {port}": 1}
    (holding,) = worker._holding
    assert holding.is_alive()
    worker.make({}, 0.0)
    holding.join(5)
    assert not holding.is_alive()


def test_when_a_call_began_is_said(server):
    _, port = server
    done = program.Worker("").make({name: call(port=port, addresses=["127.0.0.1"]) for name in "ab"}, 0.05)
    assert done["b"]["begun"] - done["a"]["begun"] >= 0.05


def test_nameservers_are_those_of_the_file_and_stand_in_for_each_other():
    text = "search shop.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    made = program.resolver(text)
    assert made._nameservers == {"4": "10.96.0.10", "6": "10.96.0.10"}
    assert made._search == ["shop.svc.cluster.local", "svc.cluster.local"]
    assert program.resolver(text + "nameserver fd00::a\n")._nameservers["6"] == "fd00::a"
