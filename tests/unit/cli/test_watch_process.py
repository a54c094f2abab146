"""The list as a process: pipes that close, terminals, and Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest

from network_mapper.model import Edge, Workload

NOW = 1_800_000_000_000
SERVER = Workload("server", "shop", "Pod")
posix = pytest.mark.skipif(os.name != "posix", reason="there are no such signals and terminals on this system")


def edges(count):
    return [
        Edge(Workload(f"client-{n}", "shop", "Pod"), SERVER, None, 80, "tcp", 1, last_seen=NOW) for n in range(count)
    ]


@pytest.fixture
def start(mapper):
    started = []

    def begin(*args, **settings):
        command = [sys.executable, "-m", "network_mapper", "list", *args, "--mapper-url", mapper.url]
        # Without a buffer Python takes a write that a closing reader cut short for a whole one.
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "NO_COLOR")
        }
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, **settings}
        process = subprocess.Popen(command, **settings)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@posix
@pytest.mark.parametrize("output", ["text", "wide", "json"])
def test_a_reader_that_goes_away_ends_it_in_silence(start, mapper, output):
    mapper.everywhere.edges = edges(20_000)  # more than a pipe holds
    process = start("-o", output)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


@posix
def test_a_reader_of_a_watch_that_goes_away_ends_it_in_silence(start, mapper):
    process = start("--watch", "100ms", "-q")
    process.stdout.readline()
    process.stdout.close()
    mapper.everywhere.edges = [*mapper.everywhere.edges, *edges(3)]
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


@posix
def test_a_watch_prints_at_once_and_ends_well_with_ctrl_c(start, mapper):
    process = start("--watch", "100ms")
    assert process.stdout.readline() == b"cart in namespace shop calls:\n"
    assert process.stdout.readline() == b"  - redis\n"
    mapper.everywhere.edges = [*mapper.everywhere.edges, *edges(1)]
    assert process.stdout.readline() == (b"2027-01-15T08:00:00.000Z client-0 in namespace shop calls server\n")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"", b"Watching for what is new; Ctrl-C ends.\n")


@posix
@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_clients_stand_out_on_a_terminal(start, variables, coloured):
    import pty

    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = start(stdout=theirs, env={**environment, "TERM": "xterm", **variables})
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    assert (b"\x1b[1mcart in namespace shop\x1b[0m calls:" in shown) is coloured
    assert (b"cart in namespace shop calls:" in shown) is not coloured


def test_a_pipe_gets_no_colours(start):
    assert b"\x1b" not in start().communicate(timeout=60)[0]
