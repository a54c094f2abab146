"""Workloads that are silent until a test lets one connect, and the map that must come of it.

A call is made in the network of the client's pod by a process of the test, at once and in a known number. It needs no
API server, so it works while that is away, and nothing repeats it: what a map shows after a fault was either kept, or
is a connection that is still open. Each call takes a port of its own, so each has an edge of its own.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from harness.door import MapperDoor
from harness.processes import HarnessError
from harness.workloads import image as workload_image
from harness.workloads import judge, manifests
from harness.workloads.manifests import Pods
from harness.workloads.running import Workloads
from network_mapper.model import Workload
from network_mapper.testing import truth
from network_mapper.testing.truth import Numbers, TrueEdge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from harness.cluster import Cluster
    from harness.objects import Object
    from harness.release import Release
    from network_mapper.model import Edge

PYTHON = "/usr/bin/python3.11"
PORTS = range(8000, 8101)
_TARGET = 7000
_POLL = 0.1
_CLIENT = """
import socket, sys, time
address, port, count, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
held = []
while count or how == "tick":
    count -= 1
    connection = socket.create_connection((address, port), 5)
    connection.sendall(b"hello\\n")
    if connection.recv(16) != b"ok\\n":
        sys.exit("the server said something else")
    if how == "hold":
        held.append(connection)
    else:
        connection.close()
    if how == "tick":
        time.sleep(0.2)
print("made", flush=True)
if held:
    sys.stdin.read()
"""


class Town:
    """A client and a server on each node, `client-NODE` and `server-NODE`, each server behind a Service of its name.

    Args:
        cluster: Where; it must have the image of the workloads.
        namespace: Of its own, made and removed here.

    Attributes:
        truth: What was done so far: the edges that a map must show, with their connections.
        ticking: Port of `tick`.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.truth: dict[TrueEdge, Numbers] = {}
        self.ticking = 0
        self._ports = iter(PORTS[1:])
        self._families = itertools.cycle((0, 1))
        self._services: dict[str, list[str]] = {}
        self._open: list[subprocess.Popen[str]] = []
        self._workloads = Workloads(cluster.admin, [namespace])

    def __enter__(self) -> Self:
        self.cluster.plane.make_namespace(self.namespace)
        image = manifests.Image(workload_image.REFERENCE, tuple(workload_image.command(PYTHON)))
        for node in self.cluster.nodes:
            client = Pods(app=f"client-{node}", node=node)
            server = Pods(app=f"server-{node}", node=node, listen=(_TARGET,))
            for pods in (client, server):
                self.cluster.admin.create(manifests.deployment(image, self.namespace, pods))
            service = manifests.service(self.namespace, server.app, dict.fromkeys(PORTS, _TARGET))
            self._services[node] = self.cluster.admin.create(service)["spec"]["clusterIPs"]
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self.cluster.plane.remove_namespace(self.namespace, wait=True)

    def wait_ready(self) -> None:
        """Wait until every pod runs and every node forwards to the servers, which is tried there."""
        self._workloads.wait_ready(2 * len(self.cluster.nodes))
        for node, addresses in itertools.product(self.cluster.nodes, self._services.values()):
            for address in addresses:
                argv = ["nsenter", f"--net=/run/netns/{node}", "--", sys.executable, "-I", "-S", "-c", _CLIENT]
                argv += [address, str(PORTS[0]), "1", "close"]
                self.cluster.admin.wait(
                    f"way from {node} to {address}",
                    lambda argv=argv: subprocess.run(argv, check=False, capture_output=True).returncode == 0,
                )

    def pod(self, app: str) -> Object:
        """The pod of a workload."""
        [found] = self._workloads.pods(f"{self.namespace}/{app}")
        return found

    def replace(self, app: str) -> None:
        """Let the pod of a workload be another one."""
        old = self.pod(app)["metadata"]
        self.cluster.admin.delete("pods", self.namespace, old["name"])

        def replaced() -> bool:
            return all(pod["metadata"]["uid"] != old["uid"] for pod in self._workloads.pods(f"{self.namespace}/{app}"))

        self.cluster.admin.wait(f"another pod of {app}", replaced)
        self.wait_ready()

    def place(self, client: str) -> list[str]:
        """The prefix that runs a program in the network of a client's pod; it is good as long as the pod."""
        node = client.removeprefix("client-")
        pids = self.cluster.nodes[node].pids(self.pod(client)["metadata"]["uid"])
        return ["nsenter", f"--net=/proc/{pids[0]}/ns/net", "--"]

    def call(
        self, client: str, server: str, count: int = 3, *, hold: bool = False, place: list[str] | None = None
    ) -> TrueEdge:
        """Connect so many times from the node `client` to the server on the node `server`; returns the edge.

        Args:
            client: Node of the client.
            server: Node of the server.
            count: Connections.
            hold: Leave them open until `hang_up`.
            place: See `place`, where the API server cannot be asked.

        Raises:
            HarnessError: A connection could not be made.
        """
        port = next(self._ports)
        process = self._start(client, server, port, count, "hold" if hold else "close", place)
        assert process.stdout is not None
        if process.stdout.readline() != "made\n":
            raise HarnessError(f"client-{client} did not reach server-{server}: {process.communicate(timeout=10)[1]}")
        if hold:
            self._open.append(process)
        else:
            process.communicate(timeout=10)
        edge = TrueEdge(
            truth.label(f"client-{client}", self.namespace, "Deployment"),
            truth.label(f"server-{server}", self.namespace, "Deployment"),
            f"{self.namespace}/server-{server}",
            port,
        )
        self.truth[edge] = Numbers(connections=count)
        return edge

    def tick(self, client: str, server: str) -> int:
        """Connect five times a second until `hang_up`, from the node `client`; returns the port."""
        self.ticking = next(self._ports)
        self._open.append(self._start(client, server, self.ticking, 0, "tick"))
        return self.ticking

    def _start(
        self, client: str, server: str, port: int, count: int, how: str, place: list[str] | None = None
    ) -> subprocess.Popen[str]:
        address = self._services[server][next(self._families)]
        prefix = place or self.place(f"client-{client}")
        argv = [*prefix, sys.executable, "-I", "-S", "-c", _CLIENT, address, str(port), str(count), how]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def hang_up(self) -> None:
        """Close what is open, and make no more connections."""
        while self._open:
            process = self._open.pop()
            process.kill()
            process.communicate(timeout=10)


class View(MapperDoor):
    """What the mapper of a release shows of a town, asked at its Service.

    Args:
        release: Where the mapper is.
        town: Of which.
    """

    def __init__(self, release: Release, town: Town) -> None:
        super().__init__(MapperDoor.of(release).url)
        self.release, self.town = release, town

    def edges(self) -> list[Edge]:
        """The edges between workloads of the town."""
        return [
            edge
            for edge in self.map().edges
            if isinstance(edge.client, Workload) and edge.client.namespace == self.town.namespace
        ]

    def differences(self) -> list[str]:
        """How the map differs from what was done; see `truth.differences`."""
        edges = [edge for edge in self.edges() if edge.port != self.town.ticking]
        return truth.differences(self.town.truth, judge.seen(edges, [self.town.namespace]))

    def ports(self) -> set[int]:
        """The ports of the edges that are shown, without that of `Town.tick`."""
        return {edge.port for edge in self.edges()} - {self.town.ticking}

    def wait_equal(self, seconds: float = 60.0) -> float:
        """Wait until the map shows what was done and no other connection; returns the moment."""
        return self.wait_until_none(self.differences, seconds)

    def wait_counted(self, seconds: float = 60.0) -> float:
        """Wait until the map shows what was done, whatever else it shows; returns the moment."""

        def missing() -> list[str]:
            found = judge.seen(self.edges(), [self.town.namespace])
            return truth.differences(self.town.truth, {edge: found[edge] for edge in self.town.truth if edge in found})

        return self.wait_until_none(missing, seconds)

    def wait_ports(self, ports: Collection[int], seconds: float = 60.0) -> float:
        """Wait until edges with exactly these ports are shown; returns the moment."""
        return self.wait_until_none(lambda: self.ports() ^ set(ports), seconds)

    def wait_watched(self, since: Mapping[str, str], seconds: float = 90.0) -> None:
        """Wait until a sniffer is connected from every node; not those of these starts, by node.

        Args:
            since: Starts as `boots` tells them.
            seconds: How long.
        """

        def missing() -> list[str]:
            boots = self.boots()
            return [node for node in self.town.cluster.nodes if boots.get(node, "") in ("", since.get(node, ""))]

        self.wait_until_none(missing, seconds)

    def boots(self) -> dict[str, str]:
        """What names the start of each sniffer that is connected, by node."""
        return {sniffer.node: sniffer.boot for sniffer in self.status().sniffers if sniffer.connected}

    @staticmethod
    def wait_until_none(wrong: Callable[[], object], seconds: float) -> float:
        """Wait until nothing of this is left; returns the moment. A mapper that does not answer has it all."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = wrong()
            except OSError as error:
                found = error
            now = time.monotonic()
            if not found:
                return now
            if now > end:
                raise AssertionError(f"not within {seconds:.0f} s: {found}")
            time.sleep(_POLL)
