"""kubelet on one node: what it is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.container_runtime import SOCKET

if TYPE_CHECKING:
    from pathlib import Path

    from harness.pki import Certificate

LEASE_SECONDS = 12


def configure(
    file: Path, *, serving: Certificate, client_ca: Path, static_pods: Path, dns: tuple[str, ...], folder: Path
) -> Path:
    """Write the configuration; returns its file.

    Args:
        file: The file to write.
        serving: Its certificate, as a server.
        client_ca: Authority of its clients' certificates.
        static_pods: Folder of manifests that it runs by itself.
        dns: Addresses of the cluster's DNS server.
        folder: Folder of the node.
    """
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(client_ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.cert),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": list(dns),
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "staticPodPath": str(static_pods),
        "volumePluginDir": str(folder / "volume-plugins"),
        # A node that is lost is known as such after some 16 s (`--node-monitor-grace-period`), not after 50.
        "nodeLeaseDurationSeconds": LEASE_SECONDS,
        # The machine's disk is not ours to judge, and its images are the tests'.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 100,
        "volumeStatsAggPeriod": "-1s",
        "serializeImagePulls": False,
    }
    file.write_text(json.dumps(config))
    return file
