"""kube-controller-manager with a chosen set of controllers.

Left out by default is what would meddle with a cluster whose nodes are only objects: the node lifecycle (it taints
nodes without a kubelet), attach and detach of volumes, address allocation, and signing of certificates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.processes import Daemon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.pki import Authority

CONTROLLERS = (
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
)


class ControllerManager:
    """One kube-controller-manager.

    Args:
        program: Path of the program.
        folder: Where its log goes.
        kubeconfig: Its credentials; they need every right that its controllers use.
        authority: Authority whose certificate pods get as the cluster's.
        token_key: Key of the service accounts' tokens.
        controllers: Names of the controllers that run; `*` for the usual ones.
        options: More flags.
        prefix: See `Daemon`.
    """

    def __init__(
        self,
        *,
        program: Path,
        folder: Path,
        kubeconfig: Path,
        authority: Authority,
        token_key: Path,
        controllers: Sequence[str] = CONTROLLERS,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> None:
        command = [
            str(program),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(controllers)}",
            f"--root-ca-file={authority.cert}",
            f"--service-account-private-key-file={token_key}",
            "--leader-elect=false",
            "--secure-port=0",  # nobody asks it; a second server would cost time and a port
            "--profiling=false",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            *options,
        ]
        self.daemon = Daemon("kube-controller-manager", command, folder, prefix=prefix)

    def start(self) -> None:
        """Start it; what it makes tells when it works."""
        self.daemon.start()
