"""The map of a small shop, drawn from packets that really crossed network namespaces.

    python -m network_mapper.testing.demo [TOPOLOGY] [--keep] [--replay] [--record FOLDER]

Everything is made inside a sandbox and gone with it; the files lie in one temporary folder, which a watcher removes
when this process ends in whatever way. Where no sandbox can be made (macOS, a locked-down host), a capture of the same
traffic that ships with the package is played instead. What comes out is compared with what the topology says must
come out: the exit status is 1 when something is missing or too much.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from network_mapper.testing import netns, sandbox
from network_mapper.testing.lab import Lab, LabError, Mapper, command_line, environment, tail
from network_mapper.testing.plan import make_plan
from network_mapper.testing.topology import BOUTIQUE, Topology, TopologyError, load
from network_mapper.testing.truth import differences, seen, truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from network_mapper.testing.plan import Plan

RECORDING = Path(__file__).parent / "recordings" / "boutique"

# One new connection a second of every call, after the list has been printed and the demo is to stay.
_KEEP_RATE = 1.0
# What the sniffers look at: all of DNS, and how TCP connections begin and are refused. IPv6 headers have no fixed place
# for the flags in pcap's language, so all of its TCP is taken.
_RECORD_FILTER = "port 53 or (ip and tcp[tcpflags] & (tcp-syn|tcp-rst) != 0) or (ip6 and tcp)"


def _say(line: str) -> None:
    sys.stderr.write(f"==> {line}\n")
    sys.stderr.flush()


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="Draw the map of a small shop from real packets.")
    parser.add_argument("topology", nargs="?", type=Path, help="draw this topology instead of the shop")
    parser.add_argument("--topology", dest="topology_option", type=Path, metavar="FILE", help="likewise")
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C (also: DEMO_KEEP=1)")
    parser.add_argument("--replay", action="store_true", help="play the shipped capture, make no network")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="write a capture of each node and the snapshot")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    given.topology = given.topology_option or given.topology or BOUTIQUE
    given.keep = given.keep or os.environ.get("DEMO_KEEP", "") not in ("", "0")
    return given


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a temporary folder that is removed even when this process is killed: a pipe to the watcher closes then."""
    folder = Path(tempfile.mkdtemp(prefix="network-mapper-demo-"))
    remove = 'cat; while [ -e "$0" ]; do rm -rf "$0"; sleep 0.1; done'
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", remove, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    try:
        yield folder
    finally:
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait()


def _stop_on_signals() -> None:
    def stop(_number: int, _frame: object) -> NoReturn:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _print_list(mapper: Mapper) -> int:
    """Print the list, and say how it differs from the truth."""
    sys.stdout.flush()
    return subprocess.run(command_line("list", "--mapper-url", mapper.url), env=environment(), check=False).returncode


def _judge(plan: Plan, mapper: Mapper) -> int:
    document = mapper.settle()
    _print_list(mapper)
    wrong = differences(truth(plan), seen(document.edges))
    for sentence in wrong:
        _say(sentence)
    edges = len({(edge.client, edge.server) for edge in truth(plan)})
    if wrong:
        _say(f"this is NOT the map of the topology: {len(wrong)} differences")
        return 1
    _say(f"exactly the {edges} edges of the topology, and every connection counted once")
    return 0


def _suggest(mapper: Mapper, snapshot: Path, *, keep: bool) -> None:
    script = Path(sys.executable).with_name("network-mapper")
    program = str(script) if script.exists() else f"{Path(sys.executable).name} -m network_mapper"
    with contextlib.suppress(ValueError):
        program = str(script.relative_to(Path.cwd())) if script.exists() else program
    url = f"--mapper-url {mapper.url}"
    lines = [
        f"{program} list {url} -o wide",
        f"{program} status {url}",
        f"{program} reset {url}",
        f"curl {mapper.url}/api/v1/map",
        f"less {snapshot}",
    ]
    if keep:
        _say("still running; try in another terminal:")
    else:
        _say("to look around, keep it running with `make demo DEMO_KEEP=1`, then try:")
        lines = lines[:2]
    for line in lines:
        sys.stderr.write(f"      {line}\n")
    if keep:
        _say(f"the snapshot is {snapshot}, the map {mapper.store}; Ctrl-C ends it and removes everything")


def _live(topology: Topology, given: argparse.Namespace) -> int:
    """Run inside the sandbox."""
    plan = make_plan(topology)
    began = time.monotonic()
    with Lab(plan, given.folder, _say) as lab, contextlib.ExitStack() as stack:
        if given.record:
            stack.enter_context(_recorded(lab, given.record))
        lab.traffic.start()
        report = lab.traffic.wait()
        made, failed = sum(report.connections.values()), sum(report.failures.values())
        _say(f"{made} connections made, {failed} refused or unanswered")
        stack.close()
        status = _judge(plan, lab.mapper)
        _say(f"took {time.monotonic() - began:.1f} s")
        if given.keep:
            lab.traffic.start(rate=_KEEP_RATE)
        _suggest(lab.mapper, lab.snapshot_path, keep=given.keep)
        with contextlib.suppress(KeyboardInterrupt):
            while given.keep:
                signal.pause()
    return status


@contextlib.contextmanager
def _recorded(lab: Lab, folder: Path) -> Iterator[None]:
    if not shutil.which("tcpdump"):
        raise LabError("recording needs tcpdump: sudo apt-get install tcpdump")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(lab.snapshot_path, folder / "cluster.json")
    writers: list[subprocess.Popen[Any]] = []
    for node in lab.plan.nodes:
        argv = ["tcpdump", "-n", "-U", "--immediate-mode", "-s", "2048", "-B", "32768", "-Z", "root", "-i", "any"]
        argv += ["-w", str(folder / f"{node}.pcap"), _RECORD_FILTER]
        writers.append(lab.network.spawn_on_node(node, argv, stderr=subprocess.PIPE, text=True))
    for writer in writers:
        assert writer.stderr is not None
        while "listening on" not in (line := writer.stderr.readline()):
            if not line:
                raise LabError("tcpdump ended early")
    yield
    time.sleep(0.5)
    for writer in writers:
        netns.interrupt(writer, signal.SIGINT)
        if not re.search(r"^0 packets dropped by kernel", writer.communicate()[1], re.MULTILINE):
            raise LabError("tcpdump lost packets; record again")
    _say(f"recorded into {folder}")


def _replay(given: argparse.Namespace, reason: str) -> int:
    if given.topology != BOUTIQUE or given.record:
        _say(f"another topology or a recording needs network namespaces: {reason}")
        return 1
    _say(f"playing a recorded capture of the same traffic, because {reason}")
    plan = make_plan(load(BOUTIQUE))
    snapshot = RECORDING / "cluster.json"
    with Mapper(given.folder, snapshot) as mapper:
        _say(f"mapper ready on {mapper.url}")
        mapper.announce(list(plan.nodes))
        log_path = given.folder / "replay.log"
        for node in plan.nodes:
            arguments = ["sniffer", "--mapper-url", mapper.url, "--node", node]
            argv = command_line(*arguments, "--pcap", str(RECORDING / f"{node}.pcap"))
            with log_path.open("wb") as log:
                code = subprocess.run(argv, stdout=log, stderr=log, env=environment(), check=False).returncode
            if code:
                raise LabError(f"the sniffer ended with status {code}:\n{tail(log_path)}")
            _say(f"played {node}.pcap")
        status = _judge(plan, mapper)
        _suggest(mapper, snapshot, keep=given.keep)
        with contextlib.suppress(KeyboardInterrupt):
            while given.keep:
                signal.pause()
    return status


def main(argv: Sequence[str]) -> int:
    """Run the demo; returns the exit status."""
    given = _arguments(argv)
    try:
        topology = load(given.topology)
        if given.folder:
            _stop_on_signals()
            return _live(topology, given)
        reason = "it was asked for" if given.replay else sandbox.obstacle()
        _stop_on_signals()
        with _folder() as given.folder:
            if reason:
                return _replay(given, reason)
            command = [sys.executable, "-m", "network_mapper.testing.demo", *argv, "--folder", str(given.folder)]
            return sandbox.run(command)
    except KeyboardInterrupt:
        _say("interrupted; everything is removed")
        return 130
    except (LabError, TopologyError, OSError) as error:
        _say(f"failed: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
