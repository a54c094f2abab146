"""What goes wrong around the program: each is a line that teaches and an exit code, and nothing is lost in silence."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from network_mapper.model import Edge, Workload
from network_mapper.wire.api import MapDocument

PROGRAM = [sys.executable, "-m", "network_mapper"]


def shell(script, *args, **variables):
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("NETWORK_MAPPER_", "PYTHONU"))}
    return subprocess.run(
        ["bash", "-c", script, "bash", *PROGRAM, *args],
        capture_output=True,
        check=False,
        env={**environ, **variables},
        timeout=60,
    )


@pytest.fixture
def large(mapper):
    """A map whose list is larger than what a pipe holds."""
    peers = [Workload(f"workload-{number}", "shop", "Deployment") for number in range(3_000)]
    edges = [Edge(client, server, None, 80, "tcp", 1) for client, server in itertools.pairwise(peers)]
    mapper.map = mapper.everywhere = MapDocument("map-1", 1, 0, 1_800_000_000_000, 0, 0, edges)
    return mapper


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", [("list",), ("list", "-o", "json"), ("export",), ("export", "--format", "csv")])
def test_output_that_is_cut_by_its_reader_is_never_a_success(large, args, unbuffered):
    script = '"$@" | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}'
    result = shell(script, *args, "--mapper-url", large.url, PYTHONUNBUFFERED=unbuffered)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_read_slowly_comes_whole(large, unbuffered):
    script = '"$@" | { sleep 0.5; cat; }; exit ${PIPESTATUS[0]}'
    result = shell(script, "list", "--mapper-url", large.url, PYTHONUNBUFFERED=unbuffered)
    assert result.returncode == 0
    assert result.stdout.count(b" calls:") == 2_999


@pytest.mark.parametrize("args", [("list",), ("export",), ("visualize", "--format", "svg", "-o", "-"), ("version",)])
def test_a_result_for_a_closed_standard_output_is_an_error(mapper, args):
    way = () if args == ("version",) else ("--mapper-url", mapper.url)
    result = shell('"$@" >&-', *args, *way)
    assert result.returncode == 1
    assert b"Error: the output cannot be written (Bad file descriptor)." in result.stderr


def test_a_file_is_written_with_all_streams_closed(mapper, tmp_path):
    result = shell('"$@" <&- >&- 2>&-', "export", "-o", str(tmp_path / "a.yaml"), "--mapper-url", mapper.url)
    assert result.returncode == 0
    assert b"kind: ClientIntents" in (tmp_path / "a.yaml").read_bytes()


@pytest.mark.parametrize("script", ['"$@" 2>/dev/full', '{ "$@" 2>&1 >&3 | true; exit ${PIPESTATUS[0]}; } 3>&1'])
def test_a_remark_that_nobody_can_read_makes_no_result_a_failure(mapper, script):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    result = shell(script, "list", "-o", "wide", "--to", "nobody,redis", "--mapper-url", mapper.url)
    assert result.returncode == 0
    assert b"redis" in result.stdout


def test_remarks_and_warnings_hold_nothing_that_a_terminal_acts_on(ask, tmp_path):
    settings = tmp_path / "config.toml"
    settings.write_text('"a\\u001b[31m" = 1')
    result = ask("export", "--config", str(settings), "-o", str(tmp_path / "b\x1b[2J.yaml"))
    assert result.code == 0
    assert "no option is called 'a\\x1b[31m'" in result.err
    assert "b\\x1b[2J.yaml" in result.err
    assert "\x1b" not in result.err


def test_an_option_before_its_command_is_told_where_it_stands(run):
    result = run("--mapper-url", "http://x", "list")
    assert result.code == 2
    assert result.err == (
        "Error: No such option '--mapper-url'; an option of a command stands behind the command's name. "
        "Try 'network-mapper --help'.\n"
    )


def test_an_option_that_is_none_is_likened_to_those_that_are(run):
    assert "'--versio'" in run("--versio").err
    assert "--version" in run("--versio").err


@pytest.mark.parametrize("command", ["export", "visualize"])
def test_a_path_with_a_slash_at_its_end_becomes_no_file(ask, tmp_path, command):
    result = ask(command, "-o", f"{tmp_path}/new/")
    assert (result.code, result.err) == (1, f"Error: {tmp_path}/new/ names a folder. Name a file in it.\n")
    assert list(tmp_path.iterdir()) == []


def test_groups_and_distinct_labels_contradict_each_other(ask):
    result = ask("list", "--group-by", "namespace", "--distinct-by-label", "app")
    assert result.code == 2
    assert "--group-by label=app" in result.err


@pytest.mark.parametrize(("key", "value"), [("scale", "3"), ("scale", "1.5"), ("scale", '"2"')])
def test_a_number_in_the_file_of_settings_is_one(ask, tmp_path, key, value):
    settings = tmp_path / "config.toml"
    settings.write_text(f"{key} = {value}")
    assert ask("visualize", "--config", str(settings), "-o", str(tmp_path / "map.svg")).code == 0


@pytest.mark.parametrize("value", ["true", "[1]", '"large"'])
def test_what_is_no_number_in_the_file_of_settings_is_told(ask, tmp_path, value):
    settings = tmp_path / "config.toml"
    settings.write_text(f"scale = {value}")
    result = ask("visualize", "--config", str(settings), "-o", str(tmp_path / "map.svg"))
    assert result.code == 2
    assert "number" in result.err


def test_a_port_that_is_none_is_called_one(run):
    assert "'x' is not a valid port" in run("list", "--mapper-service-port", "x").err


# What answers at an address


@contextlib.contextmanager
def server(answer):
    """Listens on this machine, and sends the same bytes to everyone, then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_an_answer_that_ends_in_the_middle_is_told_as_such(run):
    with server(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"store":') as url:
        result = run("list", "--mapper-url", url)
    assert result.code == 1
    assert result.err.startswith(f"Error: the connection to {url} ended too early: 9 of 100 bytes came. Try again;")


def test_what_speaks_no_http_is_no_mapper(run):
    with server(b"SSH-2.0-OpenSSH\r\n") as url:
        result = run("list", "--mapper-url", url)
    assert result.code == 1
    assert result.err == (
        f"Error: what answers at {url} is no mapper: the answer is no HTTP: b'SSH-2.0-OpenSSH\\r\\n'. "
        "Check --mapper-url.\n"
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "answered 404 None. It may be of another version than this program ("),
        (429, "answered 429 None. Try again in a while."),
        (500, "answered 500 None. Its log may say more."),
    ],
)
def test_a_refusal_of_the_mapper_says_what_to_do(ask, mapper, status, words):
    mapper.broken = (status, b'{"title":"None","status":%d}' % status)
    result = ask("status")
    assert result.code == 1
    assert words in result.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:secret@localhost:9090", "leave out what stands before the @"),
        ("http://m\xfcnchen:9090", "only ASCII without blanks"),
        ("http://a b", "only ASCII without blanks"),
        ("http://localhost/a b", "only ASCII without blanks"),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_and_tells_no_password(run, url, words):
    result = run("list", "--mapper-url", url)
    assert result.code == 1
    assert words in result.err
    assert "secret" not in result.err


def test_without_a_cluster_and_a_mapper_both_are_told(run, monkeypatch, tmp_path):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("network_mapper.cli.sources.open.DEFAULT_URL", "http://127.0.0.1:1")
    result = run("list")
    assert result.code == 1
    assert result.err.startswith(
        "Error: there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config), and no mapper answers at "
        "http://127.0.0.1:1 ("
    )


def test_a_traceback_is_shown_with_debug_alone(run):
    without = run("list", "--mapper-url", "http://127.0.0.1:1")
    shown = run("list", "--mapper-url", "http://127.0.0.1:1", "--debug")
    assert without.err.count("\n") == 1
    assert shown.err.startswith(without.err)
    assert "Traceback (most recent call last)" in shown.err
