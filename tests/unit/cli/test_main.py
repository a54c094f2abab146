import os
import signal
import subprocess
import sys

import pytest

from network_mapper import __version__
from network_mapper.cli.main import COMMANDS, cli, program_name

SERVERS = ("mapper", "sniffer")


def test_version_is_one_line(run):
    assert run("--version") == (0, f"network-mapper {__version__}\n", "")


def test_without_arguments_the_help_is_shown(run):
    assert run() == run("--help") == run("-h")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(run, name):
    result = run(name, "-h")
    assert (result.code, result.err) == (0, "")
    assert result == run(name, "--help")
    assert f"Usage: network-mapper {name}" in result.out
    assert f"  network-mapper {name}" in result.out.split("Examples:")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_commands_own(name):
    command = cli.get_command(None, name)
    assert command is not None
    assert command.name in (name, "command")
    assert (command.help or "").split("\n\n")[0] == COMMANDS[name]


@pytest.mark.parametrize("name", set(COMMANDS) - set(SERVERS))
def test_examples_are_understood(name):
    command = cli.get_command(None, name)
    for line, _ in command.examples:
        words = line.split(" > ")[0].split(" | ")[0].split()
        assert words[0] == name
        command.make_context(name, words[1:], resilient_parsing=False)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("lst",), "No such command 'lst', did you mean 'list'? Try 'network-mapper --help'."),
        (("list", "--frm", "x"), "Try 'network-mapper list --help'."),
        (("list", "-o", "xml"), "'xml' is not one of 'text', 'json', 'yaml', 'wide'."),
        (("--colour",), "Try 'network-mapper --help'."),
        (("completion",), "Missing argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run, args, message):
    result = run(*args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: ")
    assert message in result.err
    assert result.err.count("\n") == 1


def test_traceback_only_with_debug(ask, mapper, monkeypatch):
    mapper.broken = (200, b"[]")
    assert "Traceback" not in ask("list").err
    assert "Traceback" in ask("list", "--debug").err
    monkeypatch.setenv("NETWORK_MAPPER_DEBUG", "true")
    assert "Traceback" in ask("list").err


def test_a_fault_of_ours_is_one_line_too(ask, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("boo\nboo")

    monkeypatch.setattr("network_mapper.export.text.render", fail)
    result = ask("list")
    assert result.code == 1
    assert result.err == (
        "Error: unexpected RuntimeError: boo boo. This is a fault of this program; --debug shows where it happened.\n"
    )


@pytest.mark.parametrize(
    ("started_as", "name"),
    [
        ("/usr/bin/network-mapper", "network-mapper"),
        ("/home/me/.krew/bin/kubectl-network_mapper", "kubectl network-mapper"),
        ("/usr/lib/python3/network_mapper/__main__.py", "network-mapper"),
        ("", "network-mapper"),
    ],
)
def test_usage_names_the_program_as_it_was_started(started_as, name):
    assert program_name(started_as) == name


def test_kubectl_plugin_says_kubectl_in_usage_and_examples(run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-network_mapper"])
    out = run("reset", "-h").out
    assert "Usage: kubectl network-mapper reset" in out
    assert "\n  kubectl network-mapper reset --yes\n" in out


def test_errors_have_no_colour_where_it_is_not_wanted(run, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("lst").err


def start(*args: str, **kwargs: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "network_mapper", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs
    )


def test_a_broken_pipe_is_quiet(mapper):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run(
        [sys.executable, "-m", "network_mapper", "list", "--mapper-url", mapper.url],
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write_end)
    assert (process.returncode, process.stderr) == (1, b"")


def test_an_interrupt_is_exit_code_130(mapper):
    asked = mapper.hold()
    with start("list", "--mapper-url", mapper.url) as process:
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        mapper.release()
    assert process.returncode == 130
    assert err.strip() == b""
