import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from network_mapper import __version__
from network_mapper.cli.commands import COMMANDS
from network_mapper.cli.main import cli, program_name

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
        words = re.split(r" >>? | \| ", line)[0].split()
        assert words[0] == name
        command.make_context(name, words[1:], resilient_parsing=False)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("lst",), "No such command 'lst'. Did you mean 'list'? Try 'network-mapper --help'."),
        (
            ("list", "--frm", "x"),
            "No such option '--frm'. (Did you mean one of: '--format', '--from'?) Try 'network-mapper list --help'.",
        ),
        (("list", "-o", "xml"), "'xml' is not one of 'text', 'json', 'yaml', 'wide'."),
        (("list", "-o"), "Option '-o' requires an argument. Try 'network-mapper list --help'."),
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
    def fail(*_: object, **__: object) -> None:
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


@pytest.mark.parametrize("args", [["list\x1b[2J"], ["list", "x\x1b[2J"], ["list", "--map-file", "x\x1b[2J"]])
def test_an_escape_sequence_in_a_message_does_not_reach_the_terminal(run, args):
    result = run(*args)
    assert result.code in (1, 2)
    assert "\x1b" not in result.err
    assert "\\x1b[2J" in result.err


PROGRAM = [sys.executable, "-m", "network_mapper"]


def start(*args: str, **kwargs: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


@pytest.mark.parametrize(
    "args", [("list",), ("list", "-o", "json"), ("status",), ("list", "-h"), ("--help",), ("--version",)]
)
def test_a_broken_pipe_is_quiet_and_the_exit_code_is_that_of_cat(mapper, args):
    read_end, write_end = os.pipe()
    os.close(read_end)
    environ = {**os.environ, "NETWORK_MAPPER_MAPPER_URL": mapper.url}
    process = subprocess.run([*PROGRAM, *args], stdout=write_end, stderr=subprocess.PIPE, check=False, env=environ)
    os.close(write_end)
    assert (process.returncode, process.stderr) == (141, b"")


def test_the_exit_code_is_what_a_shell_says_of_cat():
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    script = "set -o pipefail; cat /dev/zero | head -c 1 >/dev/null; echo $?"
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.strip() == b"141"


def test_a_full_disk_is_one_line(mapper):
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("this system has no /dev/full")
    with device.open("wb") as full:
        process = subprocess.run(
            [*PROGRAM, "list", "--mapper-url", mapper.url], stdout=full, stderr=subprocess.PIPE, check=False, text=True
        )
    assert process.returncode == 1
    assert process.stderr == (
        "Error: the output cannot be written (No space left on device). Write it somewhere else, or make room.\n"
    )


@pytest.mark.parametrize("stream", [0, 2])
def test_a_closed_stream_that_is_not_needed_is_no_fault(mapper, stream):
    process = subprocess.run(
        ["sh", "-c", f'exec "$@" {stream}>&-', "sh", *PROGRAM, "list", "--mapper-url", mapper.url],
        capture_output=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, b"")


def test_without_a_standard_input_nobody_is_asked(mapper):
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "reset", "--mapper-url", mapper.url]
    process = subprocess.run(command, capture_output=True, check=False, text=True)
    assert process.returncode == 1
    assert "there is no terminal to ask on" in process.stderr


@pytest.mark.parametrize(("encoding", "written"), [("cp1252", "café \\u4e2d \\ud83d\\ude00"), ("utf-8", "café 中 😀")])
def test_what_a_terminal_cannot_write_is_escaped_as_json_does(encoding, written):
    code = "import click, sys\nfrom network_mapper.cli import main\nmain._prepare_streams()\nclick.echo('café 中 😀')"
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    process = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
    assert process.stdout.decode(encoding).strip() == written


def test_an_interrupt_is_exit_code_130(mapper):
    asked = mapper.hold()
    with start("list", "--mapper-url", mapper.url) as process:
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        mapper.release()
    assert process.returncode == 130
    assert err.strip() == b""


@pytest.mark.parametrize("module", ["click", "network_mapper.cli.command", "network_mapper.cli.version"])
def test_an_interrupt_while_modules_are_imported_is_quiet_too(module):
    code = f"""
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["version"]
from network_mapper.__main__ import start
sys.exit(start())
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (130, b"", b"")


def test_a_signal_to_end_ends_a_program_that_is_not_the_first_process_as_signals_do():
    code = """
import os, signal, sys, types
program = types.ModuleType("network_mapper.cli.main")
program.main = lambda: os.kill(os.getpid(), signal.SIGTERM)
sys.modules["network_mapper.cli.main"] = program
from network_mapper.__main__ import start
sys.exit(start())
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert process.returncode == -signal.SIGTERM
