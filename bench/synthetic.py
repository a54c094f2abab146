"""A cluster of any size as kubectl would write it, for benchmarks that need one.

Workload `w` has ten pods behind one service, spread over the nodes; every pod has two containers with twenty
environment variables each, as real ones do. Addresses follow from the numbers, so a benchmark can name them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pathlib

PODS_PER_WORKLOAD = 10
OLD_REPLICA_SETS = 19
"""Kept by each Deployment beside the one in use."""
CREATED = "2026-01-05T08:00:00Z"


def pod_address(pod: int) -> str:
    """Address of a pod by its number."""
    return f"10.{100 + pod // 62500}.{pod // 250 % 250}.{pod % 250 + 1}"


def service_address(workload: int) -> str:
    """Cluster address of a workload's service."""
    return f"10.96.{workload // 250}.{workload % 250 + 2}"


def service_name(workload: int) -> str:
    """DNS name of a workload's service."""
    return f"app-{workload}.load.svc.cluster.local"


def node_of(pod: int, nodes: int) -> str:
    """Node that a pod runs on."""
    return f"node-{pod % nodes:04d}"


def _meta(name: str, namespace: str | None = "load", **more: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": name,
        "uid": f"00000000-0000-4000-8000-{abs(hash((namespace, name))) % 10**12:012d}",
        "creationTimestamp": CREATED,
        "resourceVersion": "4711",
        **more,
    }
    if namespace:
        meta["namespace"] = namespace
    return meta


def _owner(kind: str, name: str) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "name": name,
            "uid": "0",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def _pod(pod: int, nodes: int) -> dict[str, Any]:
    workload = pod // PODS_PER_WORKLOAD
    environment = [{"name": f"SETTING_{n}", "value": f"https://setting-{n}.example.org/path/{pod}"} for n in range(20)]
    container = {
        "name": "app",
        "image": f"registry.example.org/team/app-{workload}:1.2.3",
        "env": environment,
        "ports": [{"containerPort": 8080, "protocol": "TCP", "name": "http"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    }
    labels = {"app": f"app-{workload}", "pod-template-hash": "6d4b75cb6d", "team": f"team-{workload % 40}"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _meta(
            f"app-{workload}-6d4b75cb6d-{pod:05d}",
            labels=labels,
            annotations={"prometheus.io/scrape": "true"},
            ownerReferences=_owner("ReplicaSet", f"app-{workload}-{OLD_REPLICA_SETS}"),
        ),
        "spec": {
            "nodeName": node_of(pod, nodes),
            "containers": [container, {**container, "name": "sidecar"}],
            "serviceAccountName": "default",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
        },
        "status": {
            "phase": "Running",
            "podIP": pod_address(pod),
            "podIPs": [{"ip": pod_address(pod)}],
            "startTime": CREATED,
            "containerStatuses": [
                {"name": name, "ready": True, "state": {"running": {"startedAt": CREATED}}}
                for name in ("app", "sidecar")
            ],
        },
    }


def _replica_sets(workload: int) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": _meta(f"app-{workload}-{n}", ownerReferences=_owner("Deployment", f"app-{workload}")),
            "spec": {"replicas": PODS_PER_WORKLOAD if n == OLD_REPLICA_SETS else 0},
        }
        for n in range(OLD_REPLICA_SETS + 1)
    ]


def _service(workload: int, pods: int, nodes: int) -> list[dict[str, Any]]:
    own = range(workload * PODS_PER_WORKLOAD, min(pods, (workload + 1) * PODS_PER_WORKLOAD))
    name = f"app-{workload}"
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta(name),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": service_address(workload),
                "clusterIPs": [service_address(workload)],
                "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
                "selector": {"app": name},
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": _meta(f"{name}-abcde", labels={"kubernetes.io/service-name": name}),
            "addressType": "IPv4",
            "ports": [{"port": 8080, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [pod_address(pod)],
                    "conditions": {"ready": True},
                    "nodeName": node_of(pod, nodes),
                    "targetRef": {"kind": "Pod", "namespace": "load", "name": f"{name}-6d4b75cb6d-{pod:05d}"},
                }
                for pod in own
            ],
        },
    ]


def write_snapshot(folder: pathlib.Path, pods: int, nodes: int) -> None:
    """Write the cluster into a folder, one file a kind."""
    workloads = pods // PODS_PER_WORKLOAD
    services = [item for workload in range(workloads) for item in _service(workload, pods, nodes)]
    files: dict[str, list[dict[str, Any]]] = {
        "pods": [_pod(pod, nodes) for pod in range(pods)],
        "services": [item for item in services if item["kind"] == "Service"],
        "slices": [item for item in services if item["kind"] == "EndpointSlice"],
        "replicasets": [item for workload in range(workloads) for item in _replica_sets(workload)],
        "deployments": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta(f"app-{workload}"), "spec": {}}
            for workload in range(workloads)
        ],
        "nodes": [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": _meta(f"node-{n:04d}", None),
                "status": {"addresses": [{"type": "InternalIP", "address": f"172.20.{n // 250}.{n % 250 + 1}"}]},
            }
            for n in range(nodes)
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in files.items():
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        (folder / f"{name}.json").write_text(json.dumps(document))
