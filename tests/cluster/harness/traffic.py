"""Connections of a town that go on while something breaks, each written down with its moment, edge by edge.

A process in the network of each client's pod connects to both servers, through their services over both families and at
the pods' own addresses, and looks their names up. It needs no API server, and what it does is on file before it does
the next. So it is known how often and when each edge was used, and what a map may lack as well: what was begun before
the end of a declared blind window of the client's node, and ended after its beginning.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from harness import dns, shells
from harness.town import PORTS, TARGET
from harness.workloads import judge
from network_mapper.testing.truth import Numbers, TrueEdge, label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.town import Town
    from network_mapper.model import Edge
    from network_mapper.wire.api import BlindWindow

_ENDING = 10.0
_COUNTED = ("connections", "lookups")
_PROGRAM = """
import json, signal, socket, sys, time
targets, pause, file = json.loads(sys.argv[1]), float(sys.argv[2]), open(sys.argv[3], "a", buffering=1)
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
def question(name, kind):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return b"\\0\\x07\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + labels + b"\\0\\0" + bytes([kind]) + b"\\0\\1"
number = 0
while not over:
    what, address, port = targets[number % len(targets)]
    began, done = time.time_ns() // 1000000, 0
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        if what == "lookups":
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.settimeout(2)
                asking.connect((address, 53))
                asking.send(question(port, 1))
                done = int(asking.recv(4096)[7] > 0)
        else:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(5)
                connection.connect((address, port))
                done = 1
                connection.sendall(b"hello\\n")
                connection.recv(16)
    except OSError:
        pass
    file.write(f"{number % len(targets)} {began} {time.time_ns() // 1000000} {done}\\n")
    number += 1
    time.sleep(pause)
"""


class Event(NamedTuple):
    """One connection or lookup that was answered; times are in milliseconds since the epoch."""

    node: str
    edge: TrueEdge
    what: str
    began: int
    ended: int


class Way(NamedTuple):
    """One way of one client: the edge that it is, and what the program is told."""

    edge: TrueEdge
    target: tuple[str, str, int | str]


class Traffic:
    """The connections of all clients of a town, which may be let go on several times.

    Args:
        town: Whose pods.
        rate: Of each client, in a second.

    Attributes:
        failed: How many failed so far, by what was tried; names are not told while nobody is there to ask.
    """

    def __init__(self, town: Town, rate: float = 20.0) -> None:
        self.town, self._pause = town, 1 / rate
        self.failed: Counter[str] = Counter()
        self._folder = tempfile.TemporaryDirectory(prefix="traffic-")
        ports = reversed(PORTS)  # `Town.call` begins at the other end
        self._ways = {node: self._ways_of(node, ports) for node in town.cluster.nodes}
        self._runs: list[tuple[str, Path]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Let the clients begin."""
        for node, ways in self._ways.items():
            file = Path(self._folder.name) / f"{node}-{len(self._runs)}"
            self._runs.append((node, file))
            targets = json.dumps([way.target for way in ways])
            argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, targets, str(self._pause), str(file)]
            self._processes.append(subprocess.Popen([*self.town.place(f"client-{node}"), *argv]))

    def stop(self) -> None:
        """Let them end what they are at, and wait for that."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        while self._processes:
            self._processes.pop().wait(_ENDING)

    def run(self, seconds: float) -> None:
        """Let them go on for so long."""
        self.start()
        time.sleep(seconds)
        self.stop()

    def events(self) -> list[Event]:
        """All that was answered."""
        found, self.failed = [], Counter()
        for node, file in self._runs:
            for line in file.read_text().splitlines() if file.exists() else ():
                number, began, ended, done = map(int, line.split())
                way = self._ways[node][number]
                if done:
                    found.append(Event(node, way.edge, way.target[0], began, ended))
                else:
                    self.failed[way.target[0]] += 1
        return found

    def _ways_of(self, node: str, ports: Iterator[int]) -> list[Way]:
        town = self.town
        client = label(f"client-{node}", town.namespace, "Deployment")
        resolver = dns.addresses(town.cluster.plane.addresses.services)[0]
        ways = []
        for other in town.cluster.nodes:
            name = f"server-{other}"
            server, service = label(name, town.namespace, "Deployment"), f"{town.namespace}/{name}"
            port = next(ports)
            through = TrueEdge(client, server, service, port)
            ways += [Way(through, ("connections", address, port)) for address in town.services[other]]
            straight = TrueEdge(client, server, "", TARGET)
            ways += [Way(straight, ("connections", address, TARGET)) for address in shells.addresses(town.pod(name))]
            by_name = TrueEdge(client, server, service, 0)
            ways.append(Way(by_name, ("lookups", resolver, f"{name}.{town.namespace}.svc.cluster.local")))
        return ways


def wrong(events: Sequence[Event], edges: Iterable[Edge], windows: Sequence[BlindWindow], namespace: str) -> list[str]:
    """How a map differs from the events, edge by edge, beyond what the blind windows allow.

    In a window the server's node may tell of a connection. It has seen the address that answered and not the service
    that was dialled, so it may count as one that dialled the pod.

    Args:
        events: All of the namespace's.
        edges: The map's.
        windows: Those that are declared.
        namespace: An edge with an end there must be true.
    """
    made = Counter((event.edge, event.what) for event in events)
    certain = Counter((event.edge, event.what) for event in events if not excused(event, windows))
    straight = Counter(
        (TrueEdge(event.edge.client, event.edge.server, "", TARGET), event.what)
        for event in events
        if event.edge.service and event.what == "connections" and excused(event, windows)
    )
    found = judge.seen(edges, [namespace])
    sentences = [f"{edge}: nothing was done" for edge in found if not any((edge, what) in made for what in _COUNTED)]
    for (edge, what), count in sorted(made.items()):
        seen = getattr(found.get(edge, Numbers()), what)
        if seen > count + straight[edge, what]:
            sentences.append(f"{edge}: {seen - count - straight[edge, what]} of {count} {what} counted too often")
        elif seen < certain[edge, what]:
            sentences.append(f"{edge}: {certain[edge, what] - seen} of {count} {what} are lost")
    return sentences


def excused(event: Event, windows: Iterable[BlindWindow]) -> bool:
    """Whether the client's node was not watched during some of the event."""
    return any(
        window.node == event.node and event.ended >= window.start and (not window.end or event.began <= window.end)
        for window in windows
    )
