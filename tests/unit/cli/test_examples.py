"""The examples of the help, of docs/cli.md and of the README are run as they stand, in a shell, in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import synthetic_map

from network_mapper.cli import inventory
from network_mapper.model import Edge, Workload

ROOT = Path(__file__).parents[3]

NOT_RUN = {
    "mapper": "it serves until it is stopped; tests/unit/mapper starts it",
    "sniffer": "it captures until it is stopped, or wants captures; tests/unit/sniffer starts it",
    "snapshot": "it wants a cluster; tests/cluster/test_snapshot_command.py has one",
    "install": "it wants a cluster; tests/cluster/test_install.py has one",
    "upgrade": "as install",
    "uninstall": "as install",
    "list --watch": "it watches until it is stopped; tests/unit/cli/test_watch.py stops it",
    "reset": "it asks on a terminal",
}
"""Commands, and whole examples, that end by no means of their own or want what is not here, with the reason."""
NEEDED = {"jq": "jq", "gzip": "gzip", "dot": "graphviz"}
"""Programs that examples use beside ours, and the Debian packages that have them."""


def reason_not_to_run(line: str) -> str:
    alone = {key: reason for key, reason in NOT_RUN.items() if " " in key or key == "reset"}
    if line in alone:
        return alone[line]
    command = line.split(maxsplit=1)[0]
    return NOT_RUN.get(command, "") if command not in alone else ""


LINES = [line for command in inventory.load().values() for line, _ in command.examples]
README = re.findall(r"^(?:\$ )?network-mapper (.*?)(?:\s{2,}#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE)
PAGE = re.findall(r"^network-mapper (.*)$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)


@pytest.fixture
def folder(tmp_path, mapper, monkeypatch):
    """A home with the program on PATH, and a mapper with the map of a shop where it is looked for."""
    cart, redis = Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet")
    edge = Edge(cart, redis, None, 6379, "tcp", 4, last_seen=synthetic_map.NOW)
    mapper.map = mapper.everywhere = synthetic_map.document([*synthetic_map.shop_map().edges, edge])
    program = tmp_path / "bin" / "network-mapper"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m network_mapper "$@"\n')
    program.chmod(0o755)
    for place in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
        (tmp_path / place).mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("PROFILE", str(tmp_path / "profile.ps1"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "map.json").write_bytes(msgspec.json.encode(mapper.map))
    return work


def execute(line: str, folder: Path) -> str:
    """Run an example; returns what it printed."""
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    for program, package in NEEDED.items():
        if re.search(rf"\| {program}\b", line) and not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian: {package})")
    process = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"network-mapper {line}"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def written(folder: Path, before: set[Path]) -> list[Path]:
    return [path for path in folder.parent.rglob("*") if path.is_file() and path not in before]


@pytest.mark.parametrize("line", [line for line in LINES if not reason_not_to_run(line)])
def test_an_example_of_the_help_does_something(folder, line):
    before = {path for path in folder.parent.rglob("*") if path.is_file()}
    (folder / "map.csv").unlink(missing_ok=True)
    printed = execute(line, folder)
    files = written(folder, before)
    assert printed or any(file.stat().st_size for file in files)


@pytest.mark.parametrize("line", [line for line in dict.fromkeys(README) if not reason_not_to_run(line)])
def test_a_line_of_the_readme_does_something(folder, mapper, line):
    assert execute(line.replace("http://localhost:9090", mapper.url), folder)


def test_the_page_of_the_command_line_has_the_same_examples():
    assert set(LINES) <= set(PAGE)
    assert {
        line for line in PAGE if not line.startswith(("[OPTIONS]", *(f"{name} [" for name in inventory.COMMANDS)))
    } <= set(LINES)


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_is_not_run_is_an_example_or_a_command(name):
    assert name in inventory.COMMANDS or name in LINES


@pytest.mark.parametrize("path", re.findall(r"tests/[\w/]+(?:\.py)?", " ".join(NOT_RUN.values())))
def test_what_is_not_run_here_is_run_elsewhere(path):
    assert (ROOT / path).exists()
