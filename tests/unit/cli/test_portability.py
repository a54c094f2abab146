"""Windows and macOS, as far as they can be played on Linux: what they lack is taken away before the program starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from network_mapper.cli import console, inventory, main

LACKING = """
import os, select, signal, socket, sys
for name in ("fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty", "uvloop", "readline", "curses"):
    sys.modules[name] = None
def take(module, *starts):
    for name in [name for name in dir(module) if name.startswith(starts)]:
        delattr(module, name)
take(os, "fork", "setns", "unshare", "sched_", "pidfd", "eventfd", "CLONE_", "getuid", "geteuid", "getgid", "getegid",
     "setsid", "killpg", "uname", "wait4", "posix_", "register_at_fork", "O_CLOEXEC", "O_NOFOLLOW", "openpty", "mkfifo")
take(signal, "SIGPIPE", "SIGHUP", "SIGUSR", "SIGWINCH", "SIGALRM", "SIGCHLD", "pthread_", "setitimer", "sigwait")
take(socket, "AF_UNIX", "AF_PACKET", "PACKET_", "AF_NETLINK", "SO_ATTACH", "SO_REUSEPORT", "socketpair")
take(select, "epoll", "EPOLL", "poll", "POLL")
"""
START = """
from network_mapper.cli.main import main
sys.argv[0] = "network-mapper"
sys.exit(main(sys.argv[1:]))
"""


def without(*args: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program where what is not of every system is missing."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", LACKING + START, *args],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process


@pytest.mark.parametrize("name", inventory.COMMANDS)
def test_help_needs_nothing_of_one_system(name):
    assert f"Usage: network-mapper {name}" in without(name, "--help").stdout


@pytest.fixture
def saved(mapper, run, tmp_path):
    """A saved map."""
    file = tmp_path / "map.json"
    file.write_text(run("list", "--all", "-o", "json", "--mapper-url", mapper.url).out)
    return file


@pytest.mark.parametrize("output", ["text", "wide", "json", "yaml"])
def test_a_saved_map_is_listed(saved, run, output):
    args = ("list", "--map-file", str(saved), "-o", output)
    assert without(*args).stdout == run(*args).out != ""


def test_a_saved_map_comes_through_the_standard_input(saved, run):
    assert (
        without("list", "--map-file", "-", stdin=saved.read_text()).stdout == run("list", "--map-file", str(saved)).out
    )


@pytest.mark.parametrize("output_format", ["yaml", "json", "csv", "json-graph"])
def test_a_saved_map_is_exported(saved, run, output_format):
    args = ("export", "--map-file", str(saved), "--format", output_format)
    assert without(*args).stdout.splitlines() == run(*args).out.splitlines() != []


@pytest.mark.parametrize("kind", ["svg", "dot", "mermaid", "html"])
def test_a_saved_map_is_drawn(saved, kind):
    without("visualize", "--map-file", str(saved), "--format", kind, "-o", f"picture.{kind}", cwd=saved.parent)
    assert (saved.parent / f"picture.{kind}").stat().st_size > 0


@pytest.mark.parametrize("args", [("list", "-o", "json"), ("status",), ("reset", "--yes")])
def test_a_mapper_is_asked_by_url(mapper, args):
    assert without(*args, "--mapper-url", mapper.url).stdout != ""


def test_files_are_written(saved):
    without("export", "--map-file", str(saved), "--output-type", "dir", "-o", "intents", cwd=saved.parent)
    assert list((saved.parent / "intents").iterdir())


def test_the_lines_of_json_end_alike_everywhere(saved, run):
    out = run("list", "--map-file", str(saved), "-o", "json").out
    assert "\r" not in out
    assert json.loads(out)["edges"]


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, True),
        ("darwin", {}, True),
        ("win32", {}, False),
        ("win32", {"WT_SESSION": "1"}, True),
        ("win32", {"WT_SESSION": "1", "NO_COLOR": "1"}, False),
        ("linux", {"NO_COLOR": "1"}, False),
        ("linux", {"TERM": "dumb"}, False),
    ],
)
def test_colours_only_on_terminals_that_have_them(monkeypatch, platform, variables, expected):
    for name in ("WT_SESSION", "ConEmuANSI", "TERM_PROGRAM", "TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert console.colours() is expected
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert console.colours() is False


def test_windows_calls_a_closed_pipe_an_invalid_argument(run, monkeypatch):
    def closed(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("click.echo", closed)
    monkeypatch.setattr(main, "forget", lambda _: None)
    monkeypatch.setattr(sys, "platform", "win32")
    assert run("version") == (141, "", "")


def test_a_command_line_of_windows_is_not_expanded(run, monkeypatch, tmp_path):
    (tmp_path / "cart").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.setattr(sys, "argv", ["network-mapper", "car*"])
    monkeypatch.setattr(sys, "platform", "win32")
    assert main.main() == 2
