"""kube-proxy on one node: what it is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def configure(file: Path, *, node: str, kubeconfig: Path, mode: str, pods: Sequence[str]) -> Path:
    """Write the configuration; returns its file.

    Args:
        file: The file to write.
        node: Name of the node.
        kubeconfig: Its credentials.
        mode: `iptables` or `nftables`.
        pods: Blocks of all pods' addresses; who comes from elsewhere to a service is translated to the node's address.
    """
    pace = {"syncPeriod": "5m", "minSyncPeriod": "200ms"}
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": mode,
        "hostnameOverride": node,
        "detectLocalMode": "ClusterCIDR",
        "clusterCIDR": ",".join(pods),
        "bindAddress": "0.0.0.0",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # A network namespace cannot change the whole system's limits.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": pace,
        "nftables": pace,
    }
    file.write_text(json.dumps(config))
    return file
