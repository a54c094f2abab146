"""The tests' cluster as kubectl would write it.

Two nodes; `web` (two pods, one a node) and `db` in namespace shop; services in front of one workload, of two, of none;
a pod that has ended, two pods that claim one address, a host-network pod, the API server's service.
"""

import json

NOW = 1_790_000_000_000
"""The tests' present, milliseconds; the cluster is older."""
CREATED = "2026-01-01T00:00:00Z"


def _object(api, kind, name, namespace=None, **fields):
    meta = {"name": name, "uid": f"{kind}-{namespace}-{name}", "creationTimestamp": CREATED}
    if namespace:
        meta["namespace"] = namespace
    meta |= fields.pop("metadata", {})
    return {"apiVersion": api, "kind": kind, "metadata": meta, **fields}


def _owned_by(kind, name):
    return {"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}]}


def pod(name, node, address, owner, *, phase="Running", finished=None, host=False):
    statuses = [{"name": "app", "state": {"terminated": {"finishedAt": finished}}}] if finished else []
    return _object(
        "v1",
        "Pod",
        name,
        "shop",
        metadata=_owned_by(*owner) | {"labels": {"app": owner[1]}},
        spec={"nodeName": node, "hostNetwork": host, "containers": [{"name": "app"}]},
        status={
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": CREATED,
            "containerStatuses": statuses,
        },
    )


def service(name, address, port, namespace="shop", **spec):
    return _object(
        "v1",
        "Service",
        name,
        namespace,
        spec={
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{"port": port, "protocol": "TCP", "targetPort": 8080}],
            **spec,
        },
    )


def endpoints(name, *pods, namespace="shop"):
    return _object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        f"{name}-1",
        namespace,
        metadata={"labels": {"kubernetes.io/service-name": name}},
        addressType="IPv4",
        ports=[{"port": 8080}],
        endpoints=[
            {"addresses": [address], "targetRef": {"kind": "Pod", "namespace": namespace, "name": target}}
            for target, address in pods
        ],
    )


def node(name, address, pods):
    return _object(
        "v1",
        "Node",
        name,
        spec={"podCIDRs": [pods]},
        status={"addresses": [{"type": "InternalIP", "address": address}]},
    )


WEB, DB = ("ReplicaSet", "web-1"), ("StatefulSet", "db")

OBJECTS = [
    node("node-a", "192.168.1.1", "10.0.0.0/24"),
    node("node-b", "192.168.1.2", "10.0.1.0/24"),
    _object("apps/v1", "Deployment", "web", "shop"),
    _object("apps/v1", "ReplicaSet", "web-1", "shop", metadata=_owned_by("Deployment", "web")),
    _object("apps/v1", "StatefulSet", "db", "shop"),
    pod("web-1-a", "node-a", "10.0.0.1", WEB),
    pod("web-1-b", "node-b", "10.0.1.1", WEB),
    pod("db-0", "node-b", "10.0.1.2", DB),
    pod("job-1", "node-a", "10.0.0.7", ("Job", "job"), phase="Succeeded", finished="2026-01-01T00:10:00Z"),
    pod("twin-1", "node-a", "10.0.0.9", ("Job", "one")),
    pod("twin-2", "node-a", "10.0.0.9", ("Job", "two")),
    pod("agent-1", "node-a", "192.168.1.1", ("DaemonSet", "agent"), host=True),
    service("db", "10.96.0.5", 5432),
    endpoints("db", ("db-0", "10.0.1.2")),
    service("mixed", "10.96.0.6", 80),
    endpoints("mixed", ("db-0", "10.0.1.2"), ("web-1-a", "10.0.0.1")),
    service("empty", "10.96.0.7", 80),
    service("kubernetes", "10.96.0.1", 443, namespace="default"),
    _object("v1", "Service", "partner", "shop", spec={"type": "ExternalName", "externalName": "api.example.org"}),
]


def write(folder):
    """Write the cluster as one file in a folder; returns the folder."""
    folder.mkdir()
    (folder / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return folder
