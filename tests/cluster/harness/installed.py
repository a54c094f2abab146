"""A mapper as it is installed in a cluster: a service, a pod on a node that forwards ports, and the shipped process.

The process listens on this machine's loopback, where a forward arrives, and at the pod's address, where the API
server's service proxy dials it: in the sandbox that is made for it, elsewhere it is one that the machine has.
"""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING, Any

from model_mapper import ModelMapper

from harness import objects
from harness.processes import free_port
from network_mapper.testing import sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from harness.kubelet import Kubelet
    from harness.places import Place, Pod

LABELS = {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "mapper"}
SERVICE_PORT = 80
_IN_SANDBOX = "198.51.100.7"


class Installed:
    """One mapper, with one edge in its map: `client` calls `server`.

    Args:
        place: Namespace that it is installed in.
        kubelet: The node of its pods.
        folder: For its files.

    Attributes:
        process: What answers for every pod.
        port: Of the pods, and named `web`.
        service: Name of its service.
    """

    service = "network-mapper"

    def __init__(self, place: Place, kubelet: Kubelet, folder: Path) -> None:
        self.place, self.kubelet = place, kubelet
        self.address = _address()
        self.port = free_port(self.address)
        config = place.plane.kubeconfig(folder / "kubeconfig")
        listen = f"unix:{folder}/m.sock,127.0.0.1:{self.port},{self.address}:{self.port}"
        self.process = ModelMapper(folder, None, "--kubeconfig", str(config), "--listen", listen)
        self.run_pod("mapper-1", self.address)
        self.add_service(self.service, meta={"labels": LABELS})
        (self._client,), (self._server,) = place.deployment("client"), place.deployment("server")
        self.process.start().wait_ready()
        self.see()

    def see(self) -> None:
        """Let the map have its edge, again after a reset."""
        mapper = self.process
        mapper.intent(self.place.namespace, lambda: mapper.connections(self._client.ip, self._server.ip))

    def add_service(self, name: str, place: Place | None = None, **more: Any) -> None:
        """A service of the mapper's pods, or one like it elsewhere."""
        place = place or self.place
        ports = [{"name": "http", "port": SERVICE_PORT, "targetPort": "web"}]
        place.service(name, **{"app": "mapper", "ports": ports, **more})

    def run_pod(self, name: str, *ips: str, place: Place | None = None, app: str = "mapper", **more: Any) -> Pod:
        """A pod for which the mapper answers."""
        container = {"name": "app", "image": objects.IMAGE, "ports": [{"containerPort": self.port, "name": "web"}]}
        node = self.kubelet.node
        return (place or self.place).pod(name, *ips, labels={"app": app}, nodeName=node, containers=[container], **more)

    def wait_endpoints(self) -> None:
        """Wait until the service proxy knows the pod."""
        path = f"/api/v1/namespaces/{self.place}/services/http:{self.service}:{SERVICE_PORT}/proxy/healthz"
        api = self.place.api
        api.wait("the service proxy", lambda: api.request("GET", path).status == 200)

    def stop(self) -> None:
        """End the process, which must end well."""
        if self.process.process.poll() is None:
            assert self.process.stop()[0] == 0


def _address() -> str:
    """An address of this machine that is none of loopback: the API server's proxy dials no others."""
    if sandbox.inside():
        subprocess.run(["ip", "address", "replace", f"{_IN_SANDBOX}/32", "dev", "lo"], check=True)
        return _IN_SANDBOX
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing, and chooses the address for it
        address: str = probe.getsockname()[0]
        return address
