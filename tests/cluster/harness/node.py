"""One node: a machine of its own to whatever runs there, with containerd, kubelet and kube-proxy.

It is a network namespace (`network`), a control group in each hierarchy (`cgroups`), and namespaces of process ids,
mounts, host name and IPC, whose first process is `node_init`. When that is killed, everything on the node ends at once,
as when a machine loses its power; what lies on its disk stays for the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import container_runtime, dns, kube_proxy, node_init, node_kubelet
from harness.cgroups import NodeGroups
from harness.processes import Daemon, HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.control_plane import ControlPlane
    from harness.network import Network, Place

STARTING = 20.0
STOPPING = 3.0
KUBELET_STARTS = 4
"""containerd listens before it can answer, and then a kubelet ends; on machines of people systemd starts it again."""


class Node:
    """One node of a cluster.

    Args:
        place: Its name and addresses.
        plane: The control plane; it must run when the kubelet starts.
        network: The cluster's network.
        programs: Folder with kubelet and kube-proxy.
        proxy_mode: kube-proxy's.
        pods: Blocks of all pods' addresses.
        names: The addresses of all machines by their names, for `/etc/hosts`.

    Attributes:
        name: Its name.
        address: Its IPv4 address.
        address6: Its IPv6 address.
        folder: What it keeps on its disk; seen there at the same path. Logs of its daemons are in it.
        static_pods: Folder of manifests that its kubelet runs by itself.
    """

    def __init__(
        self,
        place: Place,
        plane: ControlPlane,
        network: Network,
        programs: Path,
        proxy_mode: str,
        pods: tuple[str, str],
        names: Mapping[str, Sequence[str]],
    ) -> None:
        self.name = place.name
        self.address, self.address6 = place.addresses
        self.folder = plane.folder / "nodes" / self.name
        self.folder.mkdir(parents=True)
        self.static_pods = self.folder / "manifests"
        self.static_pods.mkdir()
        self._place, self._network, self._plane, self._pods = place, network, plane, pods
        self._groups = NodeGroups(self.name)
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{address} {name}" for name, own in names.items() for address in own]
        settings = {
            "name": self.name,
            "folder": str(self.folder),
            "programs": str(programs),
            "hierarchies": self._groups.hierarchies,
            "hosts": "\n".join(lines) + "\n",
        }
        spaces = ["unshare", "--mount", "--uts", "--ipc", "--cgroup", "--pid", "--fork", "--kill-child", "--"]
        command = [*spaces, sys.executable, "-I", "-S", node_init.__file__, json.dumps(settings)]
        enter = [*self._groups.enter(), "nsenter", f"--net=/run/netns/{self.name}", "--"]
        self._init = Daemon("node", command, self.folder, prefix=enter)
        self.proxy_mode = proxy_mode
        self._configure()

    def _configure(self) -> None:
        plane, folder, name = self._plane, self.folder, self.name
        shutil.copy(plane.authority.cert, folder / "ca.crt")  # the control plane's folder is not seen on a node
        hosts = [name, self.address, self.address6, "127.0.0.1"]
        own = plane.authority.issue(f"node-{name}", f"system:node:{name}", ["system:nodes"], hosts)
        for file in (own.cert, own.key):
            shutil.copy(file, folder / f"kubelet{file.suffix}")
        serving = type(own)(folder / "kubelet.crt", folder / "kubelet.key")
        ca = folder / "ca.crt"
        plane.kubeconfig(folder / "kubelet.conf", certificate=own, ca=ca)
        plane.kubeconfig(folder / "kube-proxy.conf", certificate=plane.user("system:kube-proxy"), ca=ca)
        runtime = container_runtime.configure(folder, self._place)
        kubelet = node_kubelet.configure(
            folder / "kubelet.json",
            serving=serving,
            client_ca=ca,
            static_pods=self.static_pods,
            dns=dns.addresses(plane.addresses.services),
            folder=folder,
        )
        self._containerd = self._daemon("containerd", ["containerd", "--config", str(runtime), "--log-level", "warn"])
        self._kubelet = self._daemon("kubelet", [
            str(folder / node_init.PROGRAMS / "kubelet"),
            f"--config={kubelet}",
            f"--kubeconfig={folder / 'kubelet.conf'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address},{self.address6}",
            "--housekeeping-interval=20s",
        ])  # fmt: skip
        proxy = [str(folder / node_init.PROGRAMS / "kube-proxy"), f"--config={folder / 'kube-proxy.json'}"]
        self._proxy = self._daemon("kube-proxy", proxy)

    # Its life

    def boot(self) -> None:
        """Start it as far as containers can run; it needs no API server for that.

        Raises:
            HarnessError: A part did not start; the message has the end of its log.
        """
        self._network.join(self._place)
        self._groups.make()
        self._init.start()
        self._init.wait_until(lambda: self._has("run/ready"), STARTING)
        self._containerd.start()
        self._containerd.wait_until(lambda: self._has(container_runtime.SOCKET), STARTING)

    def connect(self) -> None:
        """Start what makes it a node of the cluster: kubelet and kube-proxy. It is ready somewhat later."""
        self._kubelet.start()
        self.start_proxy(self.proxy_mode)

    def start(self) -> None:
        """Start it, as at first or after `kill`, and wait until it is ready."""
        self.boot()
        self.connect()
        self.wait_ready()

    def kill(self) -> None:
        """Lose it: everything that runs there ends at once, nobody is told, and nothing answers at its addresses."""
        self._network.leave(self._place)
        self._init.wait(0)
        for daemon in (self._proxy, self._kubelet, self._containerd):
            daemon.wait(STOPPING)
        self._groups.remove()

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until the API server calls it ready, by a report of this start.

        Raises:
            HarnessError: kubelet or kube-proxy ended, or it took too long.
        """
        for left in reversed(range(KUBELET_STARTS)):
            try:
                self._kubelet.wait_until(self.ready, seconds)
            except HarnessError:
                if self._kubelet.running or not left:
                    raise
                self._kubelet.start()
            else:
                return

    def ready(self) -> bool:
        """Whether the API server calls it ready and its daemons run."""
        for daemon in (self._containerd, self._proxy):
            if not daemon.running:
                daemon.wait_until(lambda: False, 1.0)
        found = self._plane.admin.request("GET", f"/api/v1/nodes/{self.name}")
        if found.status != 200:
            return False
        item = found.json()
        began = item["status"]["nodeInfo"]["bootID"] == self._boot_id()
        states = {condition["type"]: condition["status"] for condition in item["status"].get("conditions", [])}
        return began and states.get("Ready") == "True"

    def start_proxy(self, mode: str) -> None:
        """Start kube-proxy in this mode, in the place of the one that runs; the other mode's rules go with it."""
        self._proxy.stop(STOPPING)
        self.proxy_mode = mode
        kube_proxy.configure(
            self.folder / "kube-proxy.json",
            node=self.name,
            kubeconfig=self.folder / "kube-proxy.conf",
            mode=mode,
            pods=self._pods,
        )
        self._proxy.start()

    # What a test does there

    def exec(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 30.0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the node and wait for its end.

        Args:
            argv: Program and arguments.
            check: Raise when it fails.
            timeout: Seconds that it may take.
            options: More of `subprocess.run`.

        Raises:
            HarnessError: It failed; the message has what it said.
        """
        more: dict[str, Any] = {"capture_output": True, "text": True, **options}
        done = subprocess.run([*self.enter(), *argv], check=False, timeout=timeout, **more)
        if check and done.returncode:
            raise HarnessError(f"{self.name}: {' '.join(argv)} ended with {done.returncode}: {done.stderr}")
        return done

    def enter(self) -> list[str]:
        """The prefix that starts a program on the node (outside its control groups)."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--"]

    @property
    def pid(self) -> int:
        """Process id of its first process, in our numbers.

        Raises:
            HarnessError: It does not run.
        """
        found = _children(self._init.pid)
        if not found:
            raise HarnessError(f"{self.name} does not run")
        return found[0]

    def pids(self, part: str = "") -> list[int]:
        """Its processes, in our numbers: all, or a pod's or a container's.

        Args:
            part: Uid of a pod, or id of a container.
        """
        return self._groups.pids(part.rpartition("//")[2])

    def load_image(self, archive: Path) -> None:
        """Import an image from an OCI archive."""
        with archive.open("rb") as file:
            self.exec(["ctr", "--namespace", "k8s.io", "images", "import", "-"], stdin=file, timeout=120)

    def daemons(self) -> list[Daemon]:
        """Its daemons, with their logs."""
        return [self._init, self._containerd, self._kubelet, self._proxy]

    def _daemon(self, name: str, command: Sequence[str]) -> Inside:
        return Inside(name, command, self.folder, self)

    def daemon_prefix(self) -> list[str]:
        """The prefix that starts a daemon on the node, in its control groups."""
        return [*self._groups.enter(), *self.enter()]

    def _has(self, path: str) -> bool:
        found = _children(self._init.pid)
        return bool(found) and Path(f"/proc/{found[0]}/root/{path}").exists()

    def _boot_id(self) -> str:
        return node_init.private_file(self.folder, node_init.BOOT_ID).read_text().strip()


class Inside(Daemon):
    """A daemon on a node. What we start is nsenter, which waits for it; signals go to the daemon itself."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, node: Node) -> None:
        super().__init__(name, command, folder)
        self._node, self._program = node, list(command)

    def start(self) -> Inside:
        """Start it on the node as that runs now."""
        self._command = [*self._node.daemon_prefix(), *self._program]
        super().start()
        return self

    def signal(self, number: int) -> None:
        """Send a signal to the daemon if it lives."""
        if self.running:
            for pid in _children(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def wait(self, seconds: float) -> None:
        """Wait for its end; kill it when it has not ended after so many seconds."""
        if not self._process:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            super().wait(1.0)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
