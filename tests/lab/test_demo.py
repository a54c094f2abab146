"""The demo as users start it: what it prints, and that nothing of it remains."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from network_mapper.testing.lab import environment

pytestmark = pytest.mark.lab

DEMO = [sys.executable, "-m", "network_mapper.testing.demo"]

SHOP = """\
cartservice in namespace otterize-ecom-demo calls:
  - redis-cart
checkoutservice in namespace otterize-ecom-demo calls:
  - cartservice
  - currencyservice
  - emailservice
  - paymentservice
  - productcatalogservice
  - shippingservice
frontend in namespace otterize-ecom-demo calls:
  - adservice
  - cartservice
  - checkoutservice
  - currencyservice
  - productcatalogservice
  - recommendationservice
  - shippingservice
loadgenerator in namespace otterize-ecom-demo calls:
  - frontend
recommendationservice in namespace otterize-ecom-demo calls:
  - productcatalogservice
"""


@pytest.mark.parametrize("option", [[], ["--replay"]], ids=["live", "replay"])
def test_it_prints_the_shop(option):
    done = subprocess.run([*DEMO, *option], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == SHOP
    assert "every connection counted once" in done.stderr


def test_the_readme_shows_this_list_on_its_first_screen_and_both_commands():
    lines = (Path(__file__).parents[2] / "README.md").read_text().splitlines()
    assert SHOP in "\n".join(lines[:35]) + "\n"
    assert any(line.startswith("make demo ") for line in lines)
    assert any(line.startswith("make test ") for line in lines)


def test_a_topology_that_cannot_be_built_is_explained(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("namespace: shop\nnodes: [a]\nworkloads: []\ncalls: [{client: web, server: db}]\n")
    done = subprocess.run([*DEMO, str(path)], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1
    assert "no workload is called 'web'" in done.stderr
    assert "Traceback" not in done.stderr


def _processes() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_it_remains(number):
    # A folder of its own, because other demos may come and go beside this one.
    with tempfile.TemporaryDirectory() as folder:
        _keep_and_end(number, Path(folder))


def _keep_and_end(number: int, folder: Path) -> None:
    # The sandbox that this test runs in has a process-id namespace of its own, so every process here is ours.
    before = _processes()
    mounts = Path("/proc/self/mountinfo").read_text()
    environ = {**environment(), "TMPDIR": str(folder)}
    demo = subprocess.Popen(
        [*DEMO, "--keep"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ
    )
    try:
        lines = []
        while "removes everything" not in (lines[-1] if lines else ""):
            line = demo.stderr.readline()
            assert line, lines
            lines.append(line)
        assert len(_processes()) > len(before) + 15
        assert len(list(folder.iterdir())) == 1
    finally:
        os.kill(demo.pid, number)
        demo.communicate(timeout=15)
    end = time.monotonic() + 5
    while (_processes() - before or any(folder.iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    assert _processes() - before == set()
    assert list(folder.iterdir()) == []
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert list(Path("/run/netns").iterdir()) == []
