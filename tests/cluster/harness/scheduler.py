"""kube-scheduler, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.processes import Daemon

if TYPE_CHECKING:
    from pathlib import Path

    from harness.control_plane import ControlPlane


def scheduler(plane: ControlPlane, program: Path) -> Daemon:
    """The scheduler of a control plane, not started yet; pods with a node tell when it works."""
    user = plane.user("system:kube-scheduler")
    config = plane.kubeconfig(plane.folder / "pki" / "scheduler.conf", certificate=user)
    command = [
        str(program),
        f"--kubeconfig={config}",
        "--leader-elect=false",
        "--secure-port=0",  # nobody asks it
        "--profiling=false",
    ]
    return Daemon("kube-scheduler", command, plane.folder)
