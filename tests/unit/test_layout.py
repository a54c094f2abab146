"""Promises about the tree as a whole: what is locked, and what may be imported where."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock")

WEB_AND_CLUSTER = {"asyncio", "prometheus_client", "starlette", "uvicorn", "uvloop", "yaml", "network_mapper.cluster"}

LIKE_ANOTHER_SYSTEM = """
import os, socket, select, sys
for module, names in {
    socket: [name for name in dir(socket) if name.startswith(("AF_PACKET", "PACKET_", "AF_NETLINK", "SO_ATTACH"))],
    os: [name for name in dir(os) if name.startswith(("setns", "unshare", "sched_", "pidfd", "eventfd", "CLONE_"))],
    select: [name for name in dir(select) if name.startswith(("epoll", "EPOLL"))],
}.items():
    for name in names:
        delattr(module, name)
"""


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def wanted(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", item)[0].lower().replace("_", "-") for item in requirements}


def python(code: str, *args: str) -> str:
    process = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash_and_no_address(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_both_locks_hold_what_the_project_asks_for():
    runtime = wanted(PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["mapper"])
    assert runtime <= pins("requirements.lock").keys()
    assert wanted(PROJECT["dependency-groups"]["dev"]) <= pins("requirements-dev.lock").keys()


def test_tests_run_with_the_versions_that_are_shipped():
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_the_build_backend_is_one_version():
    (backend,) = PROJECT["build-system"]["requires"]
    assert backend in PROJECT["dependency-groups"]["dev"]
    assert backend == f"hatchling=={pins('requirements-dev.lock')['hatchling']}"


def test_the_sniffer_process_loads_no_web_and_no_cluster_library():
    code = "import sys, network_mapper.cli.sniffer, network_mapper.sniffer.live; print(*sys.modules)"
    assert not WEB_AND_CLUSTER & set(python(code).split())


@pytest.mark.parametrize("room", ["cli.list", "cli.status", "cli.reset", "mapper.run", "sniffer.run", "sniffer.replay"])
def test_what_runs_on_other_systems_imports_nothing_of_linux(room):
    python(f"{LIKE_ANOTHER_SYSTEM}\nimport network_mapper.{room}")
