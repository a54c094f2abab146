from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import network_mapper
from network_mapper.testing import sandbox


def test_an_environment_copied_out_of_a_sandbox_is_not_inside(monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_SANDBOX", "pid:[1]")
    assert not sandbox.inside()


def test_another_system_is_named(monkeypatch):
    monkeypatch.setattr(sandbox, "inside", lambda: False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert sandbox.obstacle() == "network namespaces are a feature of Linux, and this is darwin"


def test_missing_tools_are_named_by_their_packages(monkeypatch):
    monkeypatch.setattr(sandbox, "inside", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sandbox.shutil, "which", lambda tool: None if tool in ("ip", "nft", "nsenter") else tool)
    reason = sandbox.obstacle(install=False)
    assert reason == "tools are missing; install them with: sudo apt-get install iproute2 nftables util-linux"


def test_administration_tools_are_found_by_ordinary_users(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    sandbox.extend_path()
    assert os.environ["PATH"] == "/usr/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_the_programs_of_pods_and_loads_need_the_standard_library_alone():
    programs = "import network_mapper.testing.pod, network_mapper.testing.load"
    root = str(Path(network_mapper.__file__).parent.parent)
    argv = [sys.executable, "-S", "-P", "-c", programs]
    done = subprocess.run(argv, env={"PYTHONPATH": root}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_line_without_a_command_is_refused(capsys):
    assert sandbox.main(["--net"]) == 2
    assert "usage:" in capsys.readouterr().err
