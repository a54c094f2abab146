"""A cluster of one node, with few addresses for pods and kube-proxy in nftables mode; stays until it is killed.

Prints one line of JSON: addresses that pods had one after another, and what a pod was told by DNS. With the argument
`bare` it is as soon as the cluster is up, and empty. Started by a test, in a sandbox of its own, with the folders of
the harness and the tools on its path.
"""

from __future__ import annotations

import json
import sys
import time

import kubernetes
from harness import shells
from harness.cluster import Cluster

NAMESPACE = "default"
AT_ONCE = 3


def had(cluster, number):
    """Addresses of some pods that run together and are then removed."""
    names = [f"pod-{number}-{one}" for one in range(AT_ONCE)]
    pods = shells.running(cluster, *(shells.pod(NAMESPACE, name) for name in names))
    for name in names:
        cluster.admin.delete("pods", NAMESPACE, name, grace=None)
    cluster.admin.wait("end of the pods", lambda: not cluster.admin.list("pods", NAMESPACE))
    return [address for pod in pods for address in shells.addresses(pod)]


def tried(cluster):
    shells.running(cluster, shells.pod(NAMESPACE, "asker"))
    lookup = ["exec", "-n", NAMESPACE, "asker", "--", "nslookup", "kubernetes.default.svc.cluster.local"]
    found = {"resolved": cluster.kubectl(*lookup)}
    cluster.admin.delete("pods", NAMESPACE, "asker", grace=None)
    return {**found, "addresses": [had(cluster, number) for number in range(2)]}


def main():
    programs = kubernetes.programs(), kubernetes.node_programs(), kubernetes.tool("coredns")
    with Cluster(*programs, nodes=["only"], proxy_mode="nftables",
                 pod_blocks=("10.244.0.0/28", "fd00:10:244::/64"), node_prefixes=(29, 64)) as cluster:  # fmt: skip
        print(json.dumps({} if "bare" in sys.argv else tried(cluster)), flush=True)  # noqa: T201  what it is for
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main()
