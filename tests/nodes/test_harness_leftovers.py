"""Whatever ends a cluster, nothing of it is left; and another one runs beside the first, with other parameters."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("second_cluster.py")
UP = SCRIPT.parents[1] / "cluster" / "up.py"
GROUPS = Path("/sys/fs/cgroup")
ENDING = 20


def of_sandboxes():
    """Processes of sandboxes inside ours, which ours is not, by what they were told, and all nested control groups."""
    mine = os.environ["NETWORK_MAPPER_SANDBOX_CGROUPS"].encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if b"NETWORK_MAPPER_SANDBOX_CGROUPS=" + mine + b"/" in environment:
            found.add((process / "cmdline").read_bytes())
    groups = {str(path) for path in GROUPS.glob(f"*/{mine.decode()}/network-mapper-*")}
    return found | groups


def wait_gone():
    deadline = time.monotonic() + ENDING
    while (left := of_sandboxes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def descendants(pid):
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(far for child in children for far in descendants(child))]


@pytest.fixture(scope="module")
def second(programs):
    """Start the second cluster; returns the process of its sandbox, and what it said."""
    started = []

    def start(*arguments):
        inner = [sys.executable, str(SCRIPT), *arguments]
        command = [sys.executable, "-m", "network_mapper.testing.sandbox", "--net", "--", *inner]
        path = os.pathsep.join([str(UP.parent), str(UP.parents[2] / "tools")])
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_second_cluster_uses_few_addresses_again_and_nothing_is_left_when_its_owner_is_killed(cluster, second):
    process, said = second()
    assert of_sandboxes()
    os.kill(next(pid for pid in descendants(process.pid) if str(SCRIPT) == _arguments(pid)[-1]), signal.SIGKILL)
    assert process.wait(ENDING) == 128 + signal.SIGKILL
    wait_gone()
    # It was a whole cluster: the API server's name is resolved, by way of a service in nftables mode.
    assert "Address: 10.96.0.1\n" in said["resolved"]
    # Five addresses for DNS and seven pods, three at a time.
    first, then = ({address for address in addresses if "." in address} for addresses in said["addresses"])
    assert first & then
    assert cluster.kubectl("get", "nodes", "-o", "name").split() == ["node/node1", "node/node2"]


def test_nothing_is_left_of_a_cluster_whose_sandbox_is_killed(second):
    process, _ = second("bare")
    assert of_sandboxes()
    process.kill()
    process.wait()
    wait_gone()


def _arguments(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def test_cluster_for_people_is_used_from_outside_and_leaves_nothing(programs, tmp_path):
    state = tmp_path / "state"

    def up(*arguments):
        command = [sys.executable, str(UP), "--state", str(state), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)

    started = up("up")
    assert started.returncode == 0, started.stderr
    try:
        assert f"export KUBECONFIG={state}/kubeconfig" in started.stdout
        again = up("up").stderr
        assert "make cluster-down" in again
        assert f"export KUBECONFIG={state}/kubeconfig" in again
        path = re.search(r"export PATH=(.*):\$PATH:(\S+)", started.stdout)
        assert [bool(shutil.which(name, path=path[1])) for name in ("kubectl", "helm")] == [True, True]
        assert shutil.which("network-mapper", path=path[2])
        shown = up("status").stdout
        assert [line.split()[:2] for line in shown.splitlines()[-2:]] == [["node1", "Ready"], ["node2", "Ready"]]
        inside = up("run", "--", "kubectl", "get", "--raw", "/readyz")
        assert (inside.stdout, inside.returncode) == ("ok", 0)
    finally:
        ended = up("down")
    assert (ended.stdout, ended.returncode) == ("==> the cluster is gone\n", 0)
    assert not state.exists()
    wait_gone()
    assert up("status").stderr == "Error: no cluster runs; start one with: make cluster-up\n"
