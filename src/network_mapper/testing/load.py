"""A known load for measurements: thousands of connections and DNS questions a second from two small processes.

The programs of `pod` behave like real clients, which costs too much here. One process is all servers, the other all
clients; each moves its thread from namespace to namespace and works in batches. A connection is opened, answered, and
reset. A question is bytes made beforehand with a fresh id. Both kinds are paced, and what was achieved is reported
edge by edge, so that a measurement can say that nothing was lost.

    python -m network_mapper.testing.sandbox -- python -m network_mapper.testing.load --seconds 5
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from network_mapper.testing import dns, netns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.testing.network import Network
    from network_mapper.testing.topology import Topology

# Both from and to every pod, so 20 pods with 4 ports make 1,520 edges, and 190 names 3,800 pairs of client and name.
PODS = 20
PORTS = (8001, 8002, 8003, 8004)
NAMES = 190

_TICK = 0.005
# At most, so that a machine that cannot keep up falls behind, and does not run out of descriptors.
_BATCH = 200
_UNTIL_GIVEN_UP = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_IN_PROGRESS = frozenset((0, errno.EINPROGRESS))


class LoadReport(NamedTuple):
    """What a load achieved.

    Attributes:
        seconds: From the first to the last connection.
        connections: That were answered, by client address, server address and port.
        failures: Connections that were not.
        questions: DNS questions sent, each for one address family.
        answers: That came back.
        names: Different pairs of client and name.
        cpu_seconds: CPU time of clients and servers together, system calls included.
    """

    seconds: float
    connections: dict[tuple[str, str, int], int]
    failures: int
    questions: int
    answers: int
    names: int
    cpu_seconds: float

    def __str__(self) -> str:
        made = sum(self.connections.values())
        return (
            f"{made} connections ({made / self.seconds:.0f}/s) over {len(self.connections)} edges, "
            f"{self.failures} failed; {self.answers} of {self.questions} questions answered "
            f"({self.answers / self.seconds:.0f}/s) for {self.names} names; "
            f"{100 * self.cpu_seconds / self.seconds:.0f} % of a core"
        )


def load_topology(pods: int = PODS) -> Topology:
    """One node with pods that listen on `PORTS`, and no calls: the load makes its own."""
    from network_mapper.testing import topology  # noqa: PLC0415  the processes of the load start without it

    ports = tuple(topology.Port(port=port) for port in PORTS)
    workloads = tuple(topology.Workload(name=f"load-{number}", ports=ports) for number in range(pods))
    return topology.Topology(namespace="load", nodes=("node-1",), workloads=workloads)


class Load:
    """The two processes, in the network of `load_topology`, from the start to the end of the `with` block.

    Args:
        network: Best built with `bridged=True`, which costs the node least.
        connections: A second; 0 for none.
        questions: A second; 0 for none.
    """

    def __init__(self, network: Network, *, connections: float = 4000.0, questions: float = 4000.0) -> None:
        plan = network.plan
        pods = [
            {"netns": pod.netns, "4": pod.address4, "6": pod.address6} for pod in plan.pods if pod not in plan.dns.pods
        ]
        nameserver = {"netns": plan.dns.pods[0].netns, "4": plan.dns.pods[0].address4}
        self._settings = {
            "pods": pods,
            "nameserver": nameserver,
            "ports": PORTS,
            "names": [f"service-{number}.load.svc.cluster.local" for number in range(NAMES)],
            "connections": connections,
            "questions": questions,
        }
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        package = str(Path(__file__).parent.parent.parent)
        for role in ("servers", "clients"):
            argv = [sys.executable, "-S", "-P", "-m", "network_mapper.testing.load", "--role", role]
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": package},
            )
            self._processes.append(process)
            self._ask(process, self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()
        self._processes = []

    def _ask(self, process: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        if not answer:
            raise OSError(f"a process of the load ended with status {process.wait()}")
        return answer

    def run(self, seconds: float) -> LoadReport:
        """Make the load for so long."""
        servers, clients = self._processes
        before = self._ask(servers, {})["cpu"]
        made = self._ask(clients, {"seconds": seconds})
        cpu = made["cpu"] + self._ask(servers, {})["cpu"] - before
        connections = {(client, server, port): count for client, server, port, count in made["connections"]}
        return LoadReport(
            seconds=made["seconds"],
            connections=connections,
            failures=made["failures"],
            questions=made["questions"],
            answers=made["answers"],
            names=made["names"],
            cpu_seconds=cpu,
        )


def _serve(settings: dict[str, Any]) -> None:
    """Play all servers: take and drop connections, answer questions, and report CPU time when asked."""
    poller = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for pod in settings["pods"]:
        netns.enter(pod["netns"])
        for port in settings["ports"]:
            listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
            listener.setblocking(False)
            sockets[listener.fileno()] = listener
    netns.enter(settings["nameserver"]["netns"])
    questions = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    questions.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    questions.bind(("0.0.0.0", 53))  # noqa: S104  in its own namespace
    questions.setblocking(False)
    for descriptor in (*sockets, questions.fileno(), sys.stdin.fileno()):
        poller.register(descriptor, select.EPOLLIN)
    answer = struct.pack("!HHHIH4B", 0xC00C, dns.A, 1, 30, 4, 10, 96, 7, 7)
    header = struct.pack("!5H", 0x8580, 1, 1, 0, 0)
    _say({"ready": True})
    while True:
        for descriptor, _ in poller.poll():
            if descriptor in sockets:
                with contextlib.suppress(OSError):
                    while True:
                        # Not socket.accept: that makes an object of what is only closed.
                        accepted, _address = sockets[descriptor]._accept()  # type: ignore[attr-defined]  # noqa: SLF001
                        os.close(accepted)
            elif descriptor == questions.fileno():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        query, peer = questions.recvfrom(512)
                        questions.sendto(query[:2] + header + query[12:] + answer, peer)
            elif sys.stdin.readline():
                _say({"cpu": _cpu()})
            else:
                return


class _Client:
    """One client pod's edges and questions, each taken in turn."""

    def __init__(self, settings: dict[str, Any], pod: dict[str, str], number: int) -> None:
        self.netns = pod["netns"]
        self.address = pod["4"]
        others = [other for other in settings["pods"] if other is not pod]
        targets = []
        for index, (other, port) in enumerate(itertools.product(others, settings["ports"])):
            # Every fourth edge is IPv6.
            family = "6" if index % 4 == number % 4 else "4"
            kind = socket.AF_INET6 if family == "6" else socket.AF_INET
            targets.append((kind, (other[family], port), (pod[family], other[family], port)))
        self.targets = itertools.cycle(targets)
        self.questions = itertools.cycle([dns.question(0, name, dns.A)[2:] for name in settings["names"]])
        self.ident = 0
        netns.enter(self.netns)
        self.asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.asking.connect((settings["nameserver"]["4"], 53))
        self.asking.setblocking(False)


class _Clients:
    """All clients, one after the other, a batch each."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._clients = [_Client(settings, pod, number) for number, pod in enumerate(settings["pods"])]
        self._connections: dict[tuple[str, str, int], int] = {}
        self._names: set[tuple[str, bytes]] = set()
        self._failures = self._questions = self._answers = 0

    def run(self, seconds: float) -> dict[str, Any]:
        """Make the load, and report it."""
        self._connections, self._names = {}, set()
        self._failures = self._questions = self._answers = 0
        cpu, began = _cpu(), time.monotonic()
        opened = 0
        for client in itertools.cycle(self._clients):
            elapsed = time.monotonic() - began
            if elapsed >= seconds:
                break
            batch = min(int(elapsed * self._settings["connections"]) - opened, _BATCH)
            if batch > 0:
                self._connect(client, batch)
                opened += batch
            self._ask(client, min(int(elapsed * self._settings["questions"]) - self._questions, _BATCH))
            time.sleep(max(0.0, _TICK - (time.monotonic() - began - elapsed)))
        took = time.monotonic() - began
        time.sleep(0.1)
        for client in self._clients:
            self._ask(client, 0)
        return {
            "seconds": took,
            "connections": [[*edge, count] for edge, count in self._connections.items()],
            "failures": self._failures,
            "questions": self._questions,
            "answers": self._answers,
            "names": len(self._names),
            "cpu": _cpu() - cpu,
        }

    def _connect(self, client: _Client, count: int) -> None:
        netns.enter(client.netns)
        pending: dict[int, tuple[socket.socket, tuple[str, str, int]]] = {}
        poller = select.poll()
        for family, address, edge in itertools.islice(client.targets, count):
            connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            if connection.connect_ex(address) not in _IN_PROGRESS:
                self._failures += 1
                continue
            pending[connection.fileno()] = connection, edge
            poller.register(connection, select.POLLOUT)
        end = time.monotonic() + _UNTIL_GIVEN_UP
        while pending and time.monotonic() < end:
            for descriptor, _ in poller.poll(100):
                poller.unregister(descriptor)
                connection, edge = pending.pop(descriptor)
                if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._failures += 1
                else:
                    self._connections[edge] = self._connections.get(edge, 0) + 1
                connection.close()
        self._failures += len(pending)
        for connection, _ in pending.values():
            connection.close()

    def _ask(self, client: _Client, count: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while client.asking.recv(512):
                self._answers += 1
        for question in itertools.islice(client.questions, max(count, 0)):
            client.ident = (client.ident + 1) & 0xFFFF
            client.asking.send(client.ident.to_bytes(2, "big") + question)
            self._questions += 1
            self._names.add((client.address, question))


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _measure(given: argparse.Namespace) -> None:
    from network_mapper.testing.network import Network  # noqa: PLC0415  the processes of the load start without it
    from network_mapper.testing.plan import make_plan  # noqa: PLC0415

    network = Network(make_plan(load_topology()), bridged=True)
    with network, Load(network, connections=given.connections, questions=given.questions) as load:
        sys.stdout.write(f"{load.run(given.seconds)}\n")


def main(argv: Sequence[str]) -> int:
    """Make the load alone and print what was achieved; or be one of its processes."""
    parser = argparse.ArgumentParser(prog="load", description="Make a load, alone, and say what was achieved.")
    parser.add_argument("--connections", type=float, default=4000.0, metavar="PER_SECOND")
    parser.add_argument("--questions", type=float, default=4000.0, metavar="PER_SECOND")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--role", choices=("servers", "clients"), help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.role is None:
        _measure(given)
    elif given.role == "servers":
        _serve(json.loads(sys.stdin.readline()))
    else:
        clients = _Clients(json.loads(sys.stdin.readline()))
        _say({"ready": True})
        for line in sys.stdin:
            _say(clients.run(json.loads(line)["seconds"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
