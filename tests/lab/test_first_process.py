"""As the first process of a container: ended by SIGTERM within seconds, whenever it comes, and one line of log each."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

_SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


class Container:
    """A program as process 1 of a PID namespace."""

    def __init__(self, folder: Path, *args: str) -> None:
        unshare = shutil.which("unshare")
        if unshare is None:
            pytest.skip("unshare (util-linux) is not installed")
        self.process = subprocess.Popen(
            [unshare, "--pid", "--fork", "--kill-child", sys.executable, "-m", "network_mapper", *args],
            stderr=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip
        self.lines: list[str] = []

    def first(self) -> int:
        """The PID of process 1, as seen from here."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(eventually(children.read_text))

    def handles_sigterm(self) -> bool:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.first()}/status").read_text().splitlines())
        return bool(int(status["SigCgt"], 16) & _SIGTERM_BIT)

    def says(self, message: str) -> None:
        """Wait for a line of the log."""
        assert self.process.stderr is not None
        while message not in "".join(self.lines[-1:]):
            line = self.process.stderr.readline()
            assert line, self.lines
            self.lines.append(line)

    def end(self) -> tuple[int, float]:
        """Ask it to end; its exit code and how long that took, in seconds."""
        began = time.monotonic()
        os.kill(self.first(), signal.SIGTERM)
        _, rest = self.process.communicate(timeout=20)
        self.lines += rest.splitlines()
        return self.process.returncode, time.monotonic() - began


def eventually(probe):
    deadline = time.monotonic() + 20
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


@pytest.fixture
def container(tmp_path):
    made = []

    def start(*args: str) -> Container:
        made.append(Container(tmp_path, *args))
        return made[-1]

    yield start
    for each in made:
        each.process.kill()
        each.process.communicate()


SNIFFER = ("sniffer", "--mapper-url", "http://127.0.0.1:1")


@pytest.mark.parametrize("args", [SNIFFER, ("mapper",)], ids=["sniffer", "mapper"])
def test_a_signal_that_comes_while_it_is_loaded_is_not_lost(container, args):
    made = container(*args)
    eventually(made.handles_sigterm)
    code, took = made.end()
    assert code == 0
    assert took < 5


def test_a_sniffer_without_a_mapper_ends_in_time(container):
    made = container(*SNIFFER)
    made.says("watching")
    code, took = made.end()
    assert code == 0
    assert took < 5
    assert all(json.loads(line)["msg"] for line in made.lines)


def test_a_mapper_ends_in_time(container, tmp_path):
    (tmp_path / "cluster.yaml").write_text("{apiVersion: v1, kind: Node, metadata: {name: n1}}")
    made = container("mapper", "--snapshot", "cluster.yaml", "--listen", f"unix:{tmp_path}/m", "--store", "map.db")
    made.says("serving")
    code, took = made.end()
    assert code == 0
    assert took < 5
    assert all(json.loads(line)["msg"] for line in made.lines)
