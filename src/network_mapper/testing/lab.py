"""A whole installation in one `with` block: network, traffic, snapshot, mapper, and a sniffer on every node.

The mapper and the sniffers are the shipped commands as processes of their own, driven as users drive them. The mapper
runs outside the lab's network namespaces, so that it can be asked from another terminal; the sniffers, which cannot
reach it by network, report over its Unix socket. The demo and the tests stand on this.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

import network_mapper
from network_mapper.http_client import HttpClient
from network_mapper.testing import netns
from network_mapper.testing.network import Network
from network_mapper.testing.snapshot import encode, snapshot
from network_mapper.testing.traffic import Traffic
from network_mapper.wire.api import MapDocument, Status
from network_mapper.wire.report import MSGPACK, PATH, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.testing.plan import Plan

T = TypeVar("T")

PREFERRED_PORT = 9090
# Older than any span of evidence, as pods are that were there before the sniffers.
_POD_AGE_MS = 10 * 60 * 1000
_STARTING = 20.0
_STOPPING = 5.0


class LabError(RuntimeError):
    """Something did not start or did not answer in time; the message says what, with the end of its log."""


def environment() -> dict[str, str]:
    """The environment for our commands: without settings of a user's own, finding this package from any folder."""
    settings = ("NETWORK_MAPPER_", "PYTHONPATH")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(settings)}
    root = str(Path(network_mapper.__file__).parent.parent)
    others = [str(Path(entry).resolve()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {**kept, "PYTHONPATH": os.pathsep.join([root, *others])}


def command_line(*arguments: str) -> list[str]:
    """The `network-mapper` command of this interpreter, with `arguments`."""
    return [sys.executable, "-P", "-m", "network_mapper", *arguments]


def free_port() -> int:
    """A port on 127.0.0.1 that is free now, 9090 if it is."""
    for port in (PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                chosen: int = probe.getsockname()[1]
                return chosen
    raise LabError("no free port on 127.0.0.1")


def wait_for(what: str, seconds: float, probe: Callable[[], T | None]) -> T:
    """Try until there is a result.

    Raises:
        LabError: There was none in time.
    """
    end = time.monotonic() + seconds
    while True:
        result = probe()
        if result is not None:
            return result
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


class Mapper:
    """A mapper process on a snapshot, from the start to the end of the `with` block.

    Args:
        folder: Where its socket, its store and its log go.
        snapshot_path: File with the Kubernetes objects.

    Raises:
        LabError: It does not become ready.
    """

    def __init__(self, folder: Path, snapshot_path: Path) -> None:
        self.folder = folder
        self.store = folder / "map.db"
        self.log = folder / "mapper.log"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"unix:{folder / 'mapper.sock'}"
        listen = f"127.0.0.1:{port},{self.socket_url}"
        arguments = ["mapper", "--snapshot", str(snapshot_path), "--store", str(self.store), "--listen", listen]
        self._client = HttpClient(self.socket_url)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command_line(*arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )

    def __enter__(self) -> Self:
        try:
            wait_for("the mapper to become ready", _STARTING, self._ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> bool | None:
        if self._process.poll() is not None:
            raise LabError(f"the mapper ended with status {self._process.returncode}:\n{tail(self.log)}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._client.request("GET", "/readyz").status == http.HTTPStatus.OK or None
        return None

    def get(self, path: str, kind: type[T]) -> T:
        """Read a document of the REST interface.

        Raises:
            LabError: The mapper answered with an error.
        """
        answer = self._client.request("GET", path)
        if answer.status != http.HTTPStatus.OK:
            raise LabError(f"GET {path}: {answer.status} {answer.body.decode(errors='replace')}")
        return msgspec.json.decode(answer.body, type=kind)

    def map(self) -> MapDocument:
        """The whole map."""
        return self.get("/api/v1/map", MapDocument)

    def status(self) -> Status:
        """The mapper's state."""
        return self.get("/api/v1/status", Status)

    def announce(self, nodes: Sequence[str]) -> None:
        """Report for these nodes that they are watched, as a sniffer's first report does.

        Captures of several nodes are played one after the other. Without this, the mapper would take the first one's
        view of a connection that began on the second, and then count it there as well.
        """
        for node in nodes:
            hello = Report(node=node, boot="announcement", sequence=1, base=int(time.time() * 1000))
            headers = {"content-type": MSGPACK}
            answer = self._client.request("POST", PATH, msgspec.msgpack.encode(hello), headers)
            if answer.status != http.HTTPStatus.OK:
                raise LabError(f"the mapper refused a report: {answer.status} {answer.body.decode(errors='replace')}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against this mapper (`list`, `status`, `reset` …) and return what it printed."""
        argv = command_line(*arguments, "--mapper-url", self.url)
        return subprocess.run(argv, capture_output=True, text=True, env=environment(), check=False)

    def wait_for_nodes(self, nodes: Sequence[str], seconds: float = _STARTING) -> None:
        """Wait until every one of these nodes has a sniffer that reports.

        Raises:
            LabError: Not all have in time.
        """

        def reporting() -> bool | None:
            connected = {sniffer.node for sniffer in self.status().sniffers if sniffer.connected}
            return connected >= set(nodes) or None

        wait_for(f"sniffers on {', '.join(nodes)} to report", seconds, reporting)

    def settle(self, quiet: float = 2.5, seconds: float = 20.0) -> MapDocument:
        """Wait until nothing in the map has changed for `quiet` seconds, at most `seconds`; return the map.

        Sniffers report every second, so less than two seconds of quiet mean nothing.
        """
        end = time.monotonic() + seconds
        document, since = self.map(), time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < quiet:
            time.sleep(0.2)
            newer = self.map()
            if newer.edges != document.edges:
                document, since = newer, time.monotonic()
        return document


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


class Lab:
    """Network, pods, mapper and sniffers of a plan.

    Args:
        plan: What to build.
        folder: An empty folder for files; it stays the caller's to remove.
        say: Told what was reached, in a few words.
        bridged: As for `Network`.
        wire: What the sniffers speak, as their `--wire`. Over GraphQL no mapper learns which nodes are watched.
        before_sniffers: Called when the pods run and nothing watches them yet.

    Raises:
        LabError: A process did not start.
        OSError: The network could not be built here.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        say: Callable[[str], None] = lambda _: None,
        *,
        bridged: bool = False,
        wire: str = "auto",
        before_sniffers: Callable[[Traffic], object] = lambda _: None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.snapshot_path = folder / "cluster.json"
        self.network = Network(plan, bridged=bridged)
        self.traffic = Traffic(self.network)
        self.mapper: Mapper
        self._wire = wire
        self._say = say
        self._before_sniffers = before_sniffers
        self._sniffers: list[subprocess.Popen[Any]] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        plan = self.plan
        with contextlib.ExitStack() as stack:
            self.snapshot_path.write_bytes(encode(snapshot(plan, int(time.time() * 1000) - _POD_AGE_MS)))
            stack.enter_context(self.network)
            stack.enter_context(self.traffic)
            self._say(f"{len(plan.pods)} pods on {len(plan.nodes)} nodes, {len(plan.services)} services")
            self.mapper = stack.enter_context(Mapper(self.folder, self.snapshot_path))
            self._say(f"mapper ready on {self.mapper.url}")
            self._before_sniffers(self.traffic)
            stack.callback(self._stop_sniffers)
            for node in plan.nodes:
                self._start_sniffer(node)
            self._wait_for_sniffers()
            self._say(f"{len(plan.nodes)} sniffers report")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_sniffer(self, node: str) -> None:
        arguments = ["--mapper-url", self.mapper.socket_url, "--wire", self._wire, "--node", node]
        argv = command_line("sniffer", *arguments)
        with self._log_of(node).open("wb") as log:
            process = self.network.spawn_on_node(
                node, argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), cwd=self.folder
            )
        self._sniffers.append(process)

    def _log_of(self, node: str) -> Path:
        return self.folder / f"sniffer-{node}.log"

    def _wait_for_sniffers(self) -> None:
        """Wait until every node is watched: by the mapper's word, or where it does not know, by the sniffers' own."""
        if self._wire != "graphql":
            self.mapper.wait_for_nodes(list(self.plan.nodes))
            return

        def watching() -> bool | None:
            return all("watching" in self._log_of(node).read_text() for node in self.plan.nodes) or None

        wait_for("all sniffers to watch", _STARTING, watching)

    def _stop_sniffers(self) -> None:
        for process in self._sniffers:
            netns.interrupt(process)
        for process in self._sniffers:
            try:
                process.wait(_STOPPING)
            except subprocess.TimeoutExpired:
                netns.interrupt(process, signal.SIGKILL)
                process.wait()
