"""What is run in a sandbox cannot outlive it, and its end is passed on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from network_mapper.testing import netns, sandbox

pytestmark = pytest.mark.lab

SANDBOX = [sys.executable, "-m", "network_mapper.testing.sandbox"]


def _start(*command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen([*SANDBOX, *options, "--", *command], stdout=subprocess.PIPE, text=True)


def _processes() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def test_the_exit_status_is_passed_on():
    assert sandbox.run(["sh", "-c", "exit 7"]) == 7


def test_the_end_by_a_signal_is_passed_on():
    assert sandbox.run(["sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM


def test_a_command_that_does_not_exist_is_127():
    assert sandbox.run(["/no/such/program"]) == 127


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(number):
    name = signal.Signals(number).name.removeprefix("SIG")
    inner = _start("bash", "-c", f"trap 'exit 3' {name}; echo ready; while :; do sleep 0.05; done")
    assert inner.stdout.readline() == "ready\n"
    inner.send_signal(number)
    inner.communicate(timeout=10)
    assert inner.returncode == 3


def test_everything_dies_with_the_outer_process():
    before = _processes()
    inner = _start("sh", "-c", "setsid sleep 1000 & echo ready; trap '' TERM INT; sleep 1000")
    assert inner.stdout.readline() == "ready\n"
    assert len(_processes() - before) >= 5
    inner.kill()
    inner.communicate(timeout=10)
    end = time.monotonic() + 5
    while _processes() - before and time.monotonic() < end:
        time.sleep(0.02)
    assert _processes() - before == set()


def test_named_namespaces_do_not_appear_outside():
    program = (
        "from network_mapper.testing import netns; import os;"
        "n = netns.Namespaces(); n.add('secret'); print(os.listdir('/run/netns'))"
    )
    inner = _start(sys.executable, "-c", program)
    printed, _ = inner.communicate(timeout=20)
    assert printed == "['secret']\n"
    assert not (netns.FOLDER / "secret").exists()


def test_a_network_of_its_own_has_loopback_only():
    inner = _start("sh", "-c", "cat /proc/net/dev | tail -n +3 | cut -d: -f1", options=("--net",))
    assert inner.communicate(timeout=20)[0].split() == ["lo"]


def test_namespaces_are_removed_with_their_names():
    with netns.Namespaces() as namespaces:
        namespaces.add("one", "two")
        inside = netns.call("one", Path("/proc/thread-self/ns/net").readlink)
        assert inside != Path("/proc/self/ns/net").readlink()
        assert sorted(path.name for path in netns.FOLDER.iterdir()) == ["one", "two"]
    assert list(netns.FOLDER.iterdir()) == []


def test_a_name_that_is_taken_is_an_error():
    with netns.Namespaces() as namespaces:
        namespaces.add("one")
        with pytest.raises(FileExistsError):
            namespaces.add("one")


def test_what_ip_refuses_is_said_in_its_words():
    with netns.Namespaces() as namespaces:
        namespaces.add("one")
        with pytest.raises(OSError, match='Cannot find device "nothing"'):
            netns.ip("one", ["link set nothing up"])
