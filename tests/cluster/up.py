"""The tests' cluster for people: `make cluster-up` starts one that stays, `make cluster-down` ends it.

    python tests/cluster/up.py up [--image ARCHIVE]     start it; kubectl, helm and network-mapper work from any shell
    python tests/cluster/up.py status                   say what runs
    python tests/cluster/up.py load ARCHIVE             give an image to its nodes
    python tests/cluster/up.py run -- COMMAND           run a command where nodes, pods and services can be reached
    python tests/cluster/up.py down                     end it and remove everything

It runs in a sandbox of its own, detached from the shell that started it. Its API server is reached at 127.0.0.1: the
socket that listens there is made outside and handed into the sandbox, where each connection is passed on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "tools"))

import cache
import kubernetes
from harness import cluster as harness
from harness.network import GATEWAY
from harness.processes import HarnessError

from network_mapper.testing import sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

STARTING = 30 * 60  # the programs may have to be built
ENDING = 30.0
POLL = 0.05
TAIL_LINES = 15
PIECE = 65536
READY, ERROR = "ready ", "error "


class UpError(Exception):
    """Something that a person can do something about; the message says what."""


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class State:
    """What is known of the cluster that runs, in a folder.

    Args:
        folder: The folder; outside /run, which is another one in the sandbox.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.kubeconfig = self.folder / "kubeconfig"
        self.log = self.folder / "log"
        self.socket = self.folder / "socket"
        self._file = self.folder / "state.json"

    def found(self) -> dict[str, Any] | None:
        """What was kept of a cluster that still runs."""
        try:
            kept: dict[str, Any] = json.loads(self._file.read_text())
            command = Path(f"/proc/{kept['pid']}/cmdline").read_text().split("\0")
        except (OSError, ValueError):
            return None
        return kept if str(self.folder) in command else None

    def required(self) -> dict[str, Any]:
        """What was kept of the cluster that runs.

        Raises:
            UpError: None does.
        """
        if kept := self.found():
            return kept
        raise UpError("no cluster runs; start one with: make cluster-up")

    def keep(self, **what: Any) -> None:
        """Keep this about the cluster."""
        self._file.write_text(json.dumps(what))

    def tail(self) -> str:
        """The last lines of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        return ""


def up(state: State, images: Sequence[Path], proxy_mode: str) -> None:
    """Start a cluster that stays.

    Raises:
        UpError: It cannot run here, runs already, or did not start.
    """
    if kept := state.found():
        use = "\n".join(_exports(state, kept))
        raise UpError(f"a cluster runs already; end it with: make cluster-down. To use it in this shell:\n{use}")
    for image in images:
        if not image.is_file():
            raise UpError(f"{image}: there is no such image archive")
    if reason := harness.obstacle() or sandbox.obstacle():
        raise UpError(reason)
    try:
        for get in (kubernetes.programs, kubernetes.node_programs):
            get()
        for name in ("coredns", "helm"):
            kubernetes.tool(name)
    except kubernetes.KubernetesMissingError as error:
        raise UpError(str(error)) from error
    shutil.rmtree(state.folder, ignore_errors=True)
    state.folder.mkdir(parents=True, mode=0o700)
    serve = [sys.executable, __file__, "--state", str(state.folder), "serve", "--proxy-mode", proxy_mode]
    for image in images:
        serve += ["--image", str(image.resolve())]
    began = time.monotonic()
    # The path of a socket is short; so it is named from within the folder.
    os.chdir(state.folder)
    with socket.socket(socket.AF_UNIX) as waiting, socket.socket() as api, state.log.open("wb") as log:
        waiting.bind(state.socket.name)
        waiting.listen()
        api.bind(("127.0.0.1", 0))
        api.listen(128)
        command = [sys.executable, "-m", "network_mapper.testing.sandbox", "--net", "--", *serve]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            made = _started(waiting, api, process, state)
        except BaseException:
            _end(process.pid)
            shutil.rmtree(state.folder, ignore_errors=True)
            raise
    state.keep(pid=process.pid, **made)
    say(f"==> the cluster is up, after {time.monotonic() - began:.0f} s; it stays until: make cluster-down")
    say("Next, in this shell:")
    for line in _exports(state, made):
        say(line)
    say("  kubectl get nodes -o wide")


def _exports(state: State, kept: dict[str, Any]) -> list[str]:
    """What a shell is told to use the cluster, and then finds: kubectl, helm, and network-mapper if it has no other."""
    return [
        f"  export KUBECONFIG={state.kubeconfig}",
        f"  export PATH={kept['programs']}:$PATH:{Path(sys.executable).parent}    # kubectl, helm, network-mapper",
    ]


def _started(waiting: socket.socket, api: socket.socket, process: subprocess.Popen[bytes], state: State) -> Any:
    waiting.settimeout(1.0)
    while True:
        with contextlib.suppress(TimeoutError):
            inside, _ = waiting.accept()
            break
        if process.poll() is not None:
            raise UpError(f"the cluster did not start:\n{state.tail()}")
    with inside, inside.makefile("r") as lines:
        socket.send_fds(inside, [b"api"], [api.fileno()])
        for line in lines:
            if line.startswith(READY):
                return json.loads(line.removeprefix(READY))
            if line.startswith(ERROR):
                raise UpError(f"the cluster did not start: {json.loads(line.removeprefix(ERROR))}")
            say(f"==> {line.rstrip()}")
    raise UpError(f"the cluster ended while it started:\n{state.tail()}")


def serve(state: State, images: Sequence[Path], proxy_mode: str) -> NoReturn:
    """Be the cluster, inside the sandbox, until a signal ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.chdir(state.folder)
    outside = socket.socket(socket.AF_UNIX)
    outside.connect(state.socket.name)
    _, [number], _, _ = socket.recv_fds(outside, 16, 1)
    api = socket.socket(fileno=number)
    os.chdir("/")

    def tell(line: str) -> None:
        outside.sendall(line.encode() + b"\n")

    nodes = kubernetes.node_programs()
    try:
        running = harness.Cluster(
            kubernetes.programs(), nodes, kubernetes.tool("coredns"), images=images, proxy_mode=proxy_mode, say=tell
        )
        with running as cluster:
            port = api.getsockname()[1]
            cluster.plane.kubeconfig(state.kubeconfig, server=f"https://127.0.0.1:{port}", embed=True)
            enter = {name: node.enter() for name, node in cluster.nodes.items()}
            programs = os.pathsep.join([str(nodes), str(kubernetes.tool("helm").parent)])
            made = {"programs": programs, "kubeconfig": str(cluster.kubeconfig), "nodes": enter}
            tell(READY + json.dumps(made))
            outside.close()
            asyncio.run(relay(api, GATEWAY[0], cluster.plane.apiserver.port))
    except (HarnessError, AssertionError, OSError) as error:
        tell(ERROR + json.dumps(str(error)))
        sys.exit(1)


async def relay(listening: socket.socket, host: str, port: int) -> None:
    """Pass the connections of a socket on, until SIGTERM."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
            far_writer.close()
        writer.close()

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with await asyncio.start_server(serve_one, sock=listening):
        await ended.wait()


def down(state: State) -> None:
    """End the cluster and remove everything; no cluster is no error."""
    kept = state.found()
    if kept:
        _end(kept["pid"])
    shutil.rmtree(state.folder, ignore_errors=True)
    say("==> the cluster is gone" if kept else "==> no cluster runs")


def _end(pid: int) -> None:
    """End the sandbox; it ends all that is in it."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + ENDING
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
            time.sleep(POLL)
        os.kill(pid, signal.SIGKILL)


def status(state: State) -> None:
    """Say what runs."""
    kept = state.required()
    say(f"A cluster runs; its log is {state.log}")
    for line in _exports(state, kept):
        say(line)
    kubectl = shutil.which("kubectl", path=kept["programs"]) or "kubectl"
    subprocess.run([kubectl, f"--kubeconfig={state.kubeconfig}", "get", "nodes", "-o", "wide"], check=False)


def run(state: State, command: Sequence[str]) -> int:
    """Run a command in the cluster's sandbox; returns its exit status."""
    kept = state.required()
    path = os.pathsep.join([kept["programs"], os.environ["PATH"], str(Path(sys.executable).parent)])
    environment = ["env", f"KUBECONFIG={kept['kubeconfig']}", f"PATH={path}"]
    return subprocess.run([*_enter(kept["pid"]), *environment, *command], check=False).returncode


def load(state: State, archive: Path) -> None:
    """Import an image into every node."""
    kept = state.required()
    for node, enter in kept["nodes"].items():
        ctr = ["ctr", "--namespace", "k8s.io", "images", "import", "-"]
        try:
            with archive.open("rb") as file:
                done = subprocess.run([*_enter(kept["pid"]), *enter, *ctr], stdin=file, check=False,
                                      capture_output=True, text=True)  # fmt: skip
        except OSError as error:
            raise UpError(f"{archive}: {error.strerror}") from error
        if done.returncode:
            raise UpError(f"{node} does not take {archive}: {done.stderr.strip()}")
        say(f"==> {node} has {archive.name}")


def _enter(pid: int) -> list[str]:
    """The prefix that starts a program in the sandbox, by the process outside: unshare is its child, the first its."""
    for name in ("unshare", "python"):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        pid = next(child for child in children if Path(f"/proc/{child}/comm").read_text().startswith(name))
    return ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--"]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="up.py", description="A real Kubernetes cluster of two nodes on this machine."
    )
    parser.add_argument("--state", type=Path, default=cache.home() / "cluster", help="folder of what is known of it")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "serve"):
        starting = commands.add_parser(name)
        starting.add_argument("--image", type=Path, action="append", default=[], help="OCI archive that the nodes get")
        starting.add_argument("--proxy-mode", choices=("iptables", "nftables"), default="iptables")
    commands.add_parser("down")
    commands.add_parser("status")
    commands.add_parser("load").add_argument("archive", type=Path)
    commands.add_parser("run").add_argument("argv", nargs="+")
    given = parser.parse_args()
    state = State(given.state)
    try:
        match given.command:
            case "up":
                up(state, given.image, given.proxy_mode)
            case "serve":
                serve(state, given.image, given.proxy_mode)
            case "down":
                down(state)
            case "status":
                status(state)
            case "load":
                load(state, given.archive)
            case "run":
                return run(state, given.argv)
    except UpError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing is left of it\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
