"""What a command imports is what it costs at every start, so the heavy things are named here."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "asyncio",
    "prometheus_client",
    "starlette",
    "uvicorn",
    "uvloop",
    "yaml",
    "network_mapper.cluster",
    "network_mapper.mapper",
    "network_mapper.sniffer",
    "network_mapper.store",
}
PROGRAM = """
import json, sys
from network_mapper.cli.main import main
sys.argv[0] = "network-mapper"
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported(*args: str) -> set[str]:
    process = subprocess.run([sys.executable, "-c", PROGRAM, *args], capture_output=True, check=True, text=True)
    code, modules = json.loads(process.stderr.splitlines()[-1])
    assert code == 0, process.stderr
    return set(modules)


def test_help_imports_only_click():
    modules = imported("--help")
    assert not modules & (HEAVY | {"msgspec", "http.client", "ssl", "logging", "network_mapper.model"})


@pytest.mark.parametrize("output", ["text", "wide", "json", "yaml"])
def test_list_imports_nothing_heavy(mapper, output):
    assert not imported("list", "--mapper-url", mapper.url, "-o", output) & HEAVY


@pytest.mark.parametrize("command", ["status", "reset"])
def test_help_of_a_client_command_needs_no_http(command):
    assert not imported(command, "--help") & (HEAVY | {"http.client"})


@pytest.mark.parametrize("command", ["mapper", "sniffer"])
def test_help_of_a_server_loads_no_server(command):
    servers = {"asyncio", "starlette", "uvicorn", "prometheus_client", "network_mapper.capture", "network_mapper.store"}
    assert not imported(command, "--help") & servers
