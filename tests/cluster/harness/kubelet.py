"""A node whose kubelet forwards ports: the kubelet's own handler, where each pod is this machine.

    with Kubelet(plane, program) as kubelet:
        pods.run_pod(plane.admin, pod, "172.30.9.1", node=kubelet.node)

The API server dials it as it dials a kubelet, at the address and port that its Node object tells. What it forwards to
port P of a pod arrives at 127.0.0.1:P, whichever pod that is.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Self

from harness import objects
from harness.processes import Daemon, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from harness.control_plane import ControlPlane

ADDRESS = "127.0.0.1"
STARTING = 10.0


class Kubelet:
    """One node that forwards ports.

    Args:
        plane: The control plane, which must run.
        program: The stand-in, see `tools/kubernetes.py`.
        node: Name of its Node object.
    """

    def __init__(self, plane: ControlPlane, program: Path, node: str = "node-forward") -> None:
        self.node = node
        self._plane = plane
        self._port = free_port(ADDRESS)
        shown = plane.authority.issue(node, f"system:node:{node}", ["system:nodes"], [node, ADDRESS])
        command = [
            str(program),
            "--listen",
            f"{ADDRESS}:{self._port}",
            "--cert",
            str(shown.cert),
            "--key",
            str(shown.key),
        ]
        self.daemon = Daemon(f"kubelet-{node}", command, plane.folder)

    def __enter__(self) -> Self:
        self.start()
        made = objects.node(self.node, ADDRESS)
        made["status"]["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self._port}}
        self._plane.admin.create(made)
        return self

    def __exit__(self, *_: object) -> None:
        self._plane.admin.delete("nodes", None, self.node)
        self.stop()

    def start(self) -> None:
        """Start it, as at first or after `stop`."""
        self.daemon.start().wait_until(self._answers, STARTING)

    def stop(self) -> None:
        """End it with all its forwards; the API server then cannot reach the node."""
        self.daemon.stop()

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._plane.authority.cert))
        with (
            socket.create_connection((ADDRESS, self._port), 1) as plain,
            context.wrap_socket(plain, server_hostname=ADDRESS),
        ):
            return True
