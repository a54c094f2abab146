"""A whole Kubernetes cluster in one `with` block: a control plane, nodes that run containers, a network, and DNS.

    with Cluster(programs, node_programs, coredns) as cluster:
        cluster.kubectl("apply", "-f", "shop.yaml")
        cluster.nodes["node2"].kill()

It runs inside `python -m network_mapper.testing.sandbox --net -- COMMAND` only: names, addresses, mounts and control
groups are the sandbox's own, so two clusters of two sandboxes do not meet, and nothing outlives it. What runs in the
sandbox reaches the API server, nodes, pods and services.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness import container_runtime, dns, images
from harness.apiserver import Addresses
from harness.cgroups import hierarchies
from harness.control_plane import ControlPlane
from harness.network import GATEWAY, Network, places
from harness.node import Node
from harness.processes import HarnessError, ProgramMissingError, require, stop_all
from harness.scheduler import scheduler
from network_mapper.testing import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.audit import ApiRequest
    from harness.kube_api import KubeApi

STARTING = 60.0
STOPPING = 2.0
PODS = ("10.244.0.0/16", "fd00:10:244::/56")
# Sooner than by default (50 s) a node is known to be lost.
CONTROLLERS = ("--node-monitor-grace-period=16s", "--node-monitor-period=2s")


class Cluster:
    """A cluster that lives as long as the `with` block, and no longer than this process.

    Args:
        programs: Folder with kube-apiserver, kube-controller-manager and etcd.
        node_programs: Folder with kubelet, kube-proxy, kube-scheduler and kubectl.
        coredns: The program.
        parent: Folder below /run to make its own folder in.
        nodes: Names of the nodes.
        proxy_mode: `iptables` or `nftables`.
        pod_blocks: Blocks of the pods' addresses, IPv4 and IPv6.
        node_prefixes: Prefix lengths of the blocks that each node gets of them. With small ones, as 28, addresses are
            soon used again.
        images: Archives of images that the nodes have from the beginning, beside busybox (`images.BUSYBOX`).
        say: Called with lines of progress.

    Attributes:
        plane: Its control plane.
        admin: A client that may do everything.
        nodes: Its nodes by their names.
        kubeconfig: The admin's kubeconfig.
        started_in: Seconds from nothing to names that are resolved.

    Raises:
        ProgramMissingError: Tools of the system are missing; the message says how to get them.
        HarnessError: No cluster can run here; the message says why.
    """

    def __init__(
        self,
        programs: Path,
        node_programs: Path,
        coredns: Path,
        *,
        parent: Path | None = None,
        nodes: Sequence[str] = ("node1", "node2"),
        proxy_mode: str = "iptables",
        pod_blocks: tuple[str, str] = PODS,
        node_prefixes: tuple[int, int] = (24, 64),
        images: Sequence[Path] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._began = time.monotonic()
        if reason := obstacle():
            raise ProgramMissingError(reason)
        addresses = Addresses(listen=GATEWAY[0], advertise=GATEWAY[0])
        self._places = places(nodes, pod_blocks, node_prefixes)
        self._network = Network(self._places, addresses.services)
        self._programs, self._coredns, self._images, self._say = node_programs, coredns, list(images), say
        self._network.start()
        parent = parent or Path("/run")
        try:
            self._lay(programs, parent, addresses, proxy_mode, pod_blocks)
        except BaseException:
            self._network.stop()
            raise
        self.started_in = 0.0

    def _lay(
        self, programs: Path, parent: Path, addresses: Addresses, proxy_mode: str, pod_blocks: tuple[str, str]
    ) -> None:
        self.plane = ControlPlane(
            programs,
            parent=parent,
            addresses=addresses,
            controllers=("*",),
            controller_options=CONTROLLERS,
            kubelets=True,
            audited=True,
        )
        plane = self.plane
        self.admin: KubeApi = plane.admin
        try:
            self.kubeconfig = plane.kubeconfig(plane.folder / "kubeconfig")
            names = {place.name: place.addresses for place in self._places}
            self.nodes = {
                place.name: Node(place, plane, self._network, self._programs, proxy_mode, pod_blocks, names)
                for place in self._places
            }
            self._scheduler = scheduler(plane, self._programs / "kube-scheduler")
        except BaseException:
            plane.stop()
            raise

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        self.started_in = time.monotonic() - self._began
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        nodes = list(self.nodes.values())
        for node in nodes:
            node.boot()
        self._say("the nodes run containers")
        made = self.plane.folder / "images"
        made.mkdir()
        first = [images.pause(made / "pause.tar"), images.busybox(made / "busybox.tar"),
                 images.coredns(made / "coredns.tar", self._coredns)]  # fmt: skip
        with ThreadPoolExecutor(1) as threads:
            loading = threads.submit(lambda: [self.load_image(archive) for archive in [*first, *self._images]])
            self.plane.__enter__()
            self._say(f"the API server of Kubernetes {self.plane.version()} answers")
            self._scheduler.start()
            for node in nodes:
                node.connect()
            loading.result()
        for archive in first:
            archive.unlink()
        for item in dns.manifests(self.plane.addresses.services):
            self.admin.create(item)
        for place in self._places:
            self.nodes[place.name].wait_ready()
            self.admin.patch("nodes", None, place.name, {"spec": {"podCIDR": place.pods[0], "podCIDRs": place.pods}})
        self._say("the nodes are ready")
        self.wait_available(dns.NAMESPACE, dns.NAME, STARTING)
        self._say("names are resolved")

    def stop(self) -> None:
        """End everything and remove it."""
        with contextlib.ExitStack() as stack:  # whatever fails, the others are ended too
            stack.callback(self._network.stop)
            stack.callback(self.plane.stop)
            stack.callback(stop_all, [self._scheduler], STOPPING)
            for node in self.nodes.values():
                stack.callback(node.kill)

    # What a test does with it

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 120.0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as on the admin's machine and wait for its end: KUBECONFIG is the admin's, kubectl is found.

        Args:
            argv: Program and arguments.
            check: Raise when it fails.
            timeout: Seconds that it may take.
            options: More of `subprocess.run`; `env` is on top of ours.

        Raises:
            HarnessError: It failed; the message has what it said.
        """
        env = {**self.environment(), **options.pop("env", {})}
        more: dict[str, Any] = {"capture_output": True, "text": True, **options}
        done = subprocess.run(argv, check=False, timeout=timeout, env=env, **more)
        if check and done.returncode:
            raise HarnessError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def environment(self) -> dict[str, str]:
        """Variables of a program that uses the cluster."""
        path = f"{self._programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True, timeout: float = 120.0) -> str:  # noqa: A002  the name that subprocess.run has for it
        """Run kubectl as the admin; returns what it prints.

        Raises:
            HarnessError: It failed, and `check` is set.
        """
        command = [str(self._programs / "kubectl"), *arguments]
        options: dict[str, Any] = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return self.run(command, check=check, timeout=timeout, **options).stdout

    def load_image(self, archive: Path) -> None:
        """Import an image from an OCI archive into every node."""
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            list(threads.map(lambda node: node.load_image(archive), self.nodes.values()))

    def api_requests(self, user: str | None = None) -> list[ApiRequest]:
        """See `ControlPlane.requests`."""
        return self.plane.requests(user)

    def wait_available(self, namespace: str, name: str, seconds: float = STARTING) -> None:
        """Wait until all pods of a Deployment are ready.

        Raises:
            AssertionError: They are not in time; the message has the pods' states and events.
        """
        try:
            self.admin.wait(f"deployment {name}", lambda: self._available(namespace, name), seconds)
        except AssertionError as error:
            pods = self.kubectl("get", "pods", "-n", namespace, "-o", "wide", check=False)
            events = self.kubectl("get", "events", "-n", namespace, check=False)
            raise AssertionError(f"{error}\n{pods}\n{events}") from error

    def _available(self, namespace: str, name: str) -> bool:
        item = self.admin.get("deployments", namespace, name)
        return bool(item.get("status", {}).get("availableReplicas", 0) >= item["spec"]["replicas"])


def obstacle() -> str | None:
    """Why no cluster can run on this system, as a sentence for people, or None when it can; a sandbox is not asked."""
    if os.geteuid() != 0:
        return "a cluster with nodes needs root; start it with sudo"
    sandbox.extend_path()
    try:
        require(container_runtime.TOOLS)
        hierarchies()
    except HarnessError as error:
        return str(error)
    if not container_runtime.plugins():
        return f"missing on this machine: CNI plugins; on Debian: sudo apt install {container_runtime.CNI_PACKAGE}"
    return None
