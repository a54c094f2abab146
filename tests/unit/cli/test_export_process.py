"""`export` as it is shipped, in a process of its own: what it costs, and what comes out of it whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest
from export_maps import document, everything, hostile
from model_server import ModelServer, intent
from synthetic_map import synthetic_map

from network_mapper.cli.errors import OUTPUT_CLOSED

LIMIT = 5.0
"""Seconds of processor time for 5,000 edges; a machine in use takes longer than the promise for a free one."""


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """No settings and no cluster around the program."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))}
    return kept | {"HOME": str(home), "KUBECONFIG": str(home / "none"), "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def export(environ):
    """Run `export` in a process of its own; output as it was written."""

    def run(*args):
        command = [sys.executable, "-m", "network_mapper", "export", *map(str, args)]
        done = subprocess.run(
            command, capture_output=True, env=environ, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def server():
    with ModelServer([intent("ns1/client", "ns1/server")]) as running:
        yield running


@pytest.mark.parametrize("format_", ["yaml", "json", "csv", "json-graph"])
def test_hostile_names_pass_through_whole(export, mapper, format_):
    mapper.everywhere = document([*everything(), *hostile()])
    result = export("--mapper-url", mapper.url, "--format", format_, "--include-internet")
    assert result.code == 0, result.err
    assert "ünïcode-名前-🚀" in result.out
    assert all(line.isprintable() for line in result.err.splitlines())


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_fault(environ, mapper, unbuffered):
    environ = environ | {"PYTHONUNBUFFERED": unbuffered}
    mapper.everywhere = synthetic_map(600, 10, 5000)
    command = [sys.executable, "-m", "network_mapper", "export", "--mapper-url", mapper.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        assert process.stdout.readline() == b"apiVersion: k8s.otterize.com/v2beta1\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == OUTPUT_CLOSED


@pytest.mark.skipif(os.name == "nt", reason="wait4 is of POSIX")
@pytest.mark.parametrize("format_", ["yaml", "json", "csv", "json-graph"])
def test_5000_edges_are_exported_soon(environ, mapper, tmp_path, format_):
    mapper.everywhere = synthetic_map(1000, 20, 5000)
    command = [sys.executable, "-m", "network_mapper", "export", "--mapper-url", mapper.url, "--format", format_]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environ)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert (tmp_path / "out").stat().st_size > 100_000
    assert usage.ru_utime + usage.ru_stime < LIMIT


IMPORTED = """
import json, sys
from network_mapper.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize("args", [["--help"], ["--format", "json"], []])
def test_nothing_heavy_is_imported(environ, server, args):
    command = [sys.executable, "-c", IMPORTED, "export", "--mapper-url", server.url, *args]
    done = subprocess.run(command, capture_output=True, env=environ, check=True, text=True, timeout=60)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    heavy = {"asyncio", "yaml", "network_mapper.mapper", "network_mapper.cluster", "network_mapper.export.table_csv"}
    light = {"http.client", "ssl", "network_mapper.export.clientintents.convert"} if args == ["--help"] else set()
    assert not set(modules) & (heavy | light)
