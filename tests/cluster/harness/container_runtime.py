"""containerd with runc, and the pods' network: what it is told on one node.

Where root lacks CAP_SYS_RESOURCE, as in a container, nothing may ask to be spared by the kernel when memory ends; hence
`restrict_oom_score_adj`. Pods get their addresses from a bridge on the node (CNI `bridge`, `host-local`), their
hostPorts from `portmap`. The bridge hides no address (`ipMasq`): that would go before kube-proxy's rules.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness import images
from harness.network import PODS_BRIDGE

if TYPE_CHECKING:
    from harness.network import Place

SOCKET = "/run/containerd/containerd.sock"
TOOLS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "busybox": "busybox-static",
    "ip": "iproute2",
}
CNI = ("bridge", "host-local", "portmap", "loopback")
CNI_PACKAGE = "containernetworking-plugins"
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))

_CONFIG = """\
version = 2
root = "{root}"
state = "/run/containerd/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def plugins() -> Path | None:
    """Folder of the CNI plugins, if it is here."""
    return next((folder for folder in CNI_FOLDERS if all((folder / name).exists() for name in CNI)), None)


def configure(folder: Path, place: Place) -> Path:
    """Write the configuration of a node's containerd and of its pods' network; returns containerd's.

    Args:
        folder: The node's folder.
        place: Where the node is.
    """
    network = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": PODS_BRIDGE,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": block}] for block in place.pods],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    (folder / "cni").mkdir(exist_ok=True)
    (folder / "cni" / "10-pods.conflist").write_text(json.dumps(network))
    text = _CONFIG.format(root=folder / "containerd", socket=SOCKET, pause=images.PAUSE, cni=plugins(), folder=folder)
    file = folder / "containerd.toml"
    file.write_text(text)
    return file
