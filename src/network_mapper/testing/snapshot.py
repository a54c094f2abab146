"""The Kubernetes objects of a plan, as `kubectl get … -o json` writes them.

They carry the fields that a real API server fills in, also those that the mapper does not read, so that decoding is
tried on what it will meet. Identifiers are derived from names: the same plan gives the same snapshot.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

from network_mapper.testing.plan import CLUSTER_DOMAIN, PodPlan, ServicePlan, owner_name

if TYPE_CHECKING:
    from network_mapper.testing.plan import NodePlan, Plan
    from network_mapper.testing.topology import Workload

Manifest = dict[str, Any]

_UIDS = uuid.UUID("6f0c8f5e-6d7a-4c0e-9a43-0d3d1d5a7b11")


def snapshot(plan: Plan, created: int) -> Manifest:
    """All objects of a plan as one `List`.

    Args:
        plan: The cluster.
        created: creationTimestamp of everything, milliseconds since the epoch.
    """
    return {
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": _Writer(plan, created).all(),
    }


def encode(manifest: Manifest) -> bytes:
    """Write it in kubectl's own manner, but less deeply indented."""
    return json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"


class _Writer:
    def __init__(self, plan: Plan, created: int) -> None:
        self._plan = plan
        when = dt.datetime.fromtimestamp(created / 1000, dt.UTC)
        self._created = when.strftime("%Y-%m-%dT%H:%M:%SZ")

    def all(self) -> list[Manifest]:
        plan = self._plan
        namespaces = {"default": None, "kube-system": None, plan.topology.namespace: None}
        namespaces |= {pod.namespace: None for pod in plan.pods}
        items = [self._namespace(name) for name in namespaces]
        items += [self._node(node) for node in plan.nodes.values()]
        owners: dict[str, Manifest] = {}
        pods = []
        for pod in plan.pods:
            chain = self._owners(pod)
            for owner in chain:
                owners.setdefault(owner["metadata"]["uid"], owner)
            pods.append(self._pod(pod, chain[-1] if chain else None))
        items += list(owners.values())
        items += pods
        for service in plan.services.values():
            items.append(self._service(service))
            items += [self._slice(service, family) for family in (4, 6)]
        return items

    def _object(self, api: str, kind: str, name: str, namespace: str, labels: dict[str, str]) -> Manifest:
        metadata: Manifest = {
            "creationTimestamp": self._created,
            "labels": labels,
            "name": name,
            "resourceVersion": "1042",
            "uid": str(uuid.uuid5(_UIDS, f"{kind}/{namespace}/{name}")),
        }
        if namespace:
            metadata["namespace"] = namespace
        return {"apiVersion": api, "kind": kind, "metadata": metadata}

    def _namespace(self, name: str) -> Manifest:
        namespace = self._object("v1", "Namespace", name, "", {"kubernetes.io/metadata.name": name})
        return namespace | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}

    def _node(self, plan: NodePlan) -> Manifest:
        labels = {"kubernetes.io/hostname": plan.name, "kubernetes.io/os": "linux"}
        return self._object("v1", "Node", plan.name, "", labels) | {
            "spec": {"podCIDR": plan.pods4, "podCIDRs": [plan.pods4, plan.pods6]},
            "status": {
                "addresses": [
                    {"address": plan.address4, "type": "InternalIP"},
                    {"address": plan.address6, "type": "InternalIP"},
                    {"address": plan.name, "type": "Hostname"},
                ],
                "conditions": [{"reason": "KubeletReady", "status": "True", "type": "Ready"}],
            },
        }

    def _owned(self, manifest: Manifest, owner: Manifest) -> Manifest:
        manifest["metadata"]["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "blockOwnerDeletion": True,
                "controller": True,
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
        ]
        return manifest

    def _owners(self, pod: PodPlan) -> list[Manifest]:
        """Return the objects that own a pod, the root first, the direct owner last."""
        workload = pod.workload
        labels = _labels(workload)
        replicas = workload.replicas
        template = {"metadata": {"labels": labels}, "spec": {"containers": [_container(workload)]}}
        selector = {"matchLabels": labels}
        if workload.kind == "Pod":
            return []
        if workload.kind in ("CronJob", "Job"):
            job_name = owner_name(workload) if workload.kind == "CronJob" else workload.name
            job = self._object("batch/v1", "Job", job_name, pod.namespace, labels)
            job |= {"spec": {"completions": 1, "parallelism": 1, "template": template}, "status": {"active": 1}}
            if workload.kind == "Job":
                return [job]
            cron = self._object("batch/v1", "CronJob", workload.name, pod.namespace, labels)
            cron |= {"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": template}}}}
            return [cron, self._owned(job, cron)]
        root = self._object("apps/v1", workload.kind, workload.name, pod.namespace, labels)
        root["spec"] = {"selector": selector, "template": template}
        if workload.kind != "DaemonSet":
            root["spec"]["replicas"] = replicas
            root["status"] = {"readyReplicas": replicas, "replicas": replicas}
        if workload.kind != "Deployment":
            return [root]
        replica_set = self._object("apps/v1", "ReplicaSet", owner_name(workload), pod.namespace, labels)
        replica_set |= {
            "spec": {"replicas": replicas, "selector": selector, "template": template},
            "status": {"readyReplicas": replicas, "replicas": replicas},
        }
        return [root, self._owned(replica_set, root)]

    def _pod(self, pod: PodPlan, owner: Manifest | None) -> Manifest:
        node = self._plan.nodes[pod.node]
        manifest = self._object("v1", "Pod", pod.name, pod.namespace, _labels(pod.workload))
        if owner:
            self._owned(manifest, owner)
        container = _container(pod.workload)
        return manifest | {
            "spec": {
                "containers": [container],
                "dnsPolicy": "ClusterFirst",
                "nodeName": pod.node,
                "restartPolicy": "Always",
                "serviceAccountName": "default",
            },
            "status": {
                "conditions": [{"lastTransitionTime": self._created, "status": "True", "type": "Ready"}],
                "containerStatuses": [{"image": container["image"], "name": container["name"], "ready": True}],
                "hostIP": node.address4,
                "hostIPs": [{"ip": node.address4}, {"ip": node.address6}],
                "phase": "Running",
                "podIP": pod.address4,
                "podIPs": [{"ip": pod.address4}, {"ip": pod.address6}],
                "startTime": self._created,
            },
        }

    def _service(self, service: ServicePlan) -> Manifest:
        labels = _labels(service.pods[0].workload)
        addresses = ["None"] if service.headless else [service.address4, service.address6]
        return self._object("v1", "Service", service.name, service.namespace, labels) | {
            "spec": {
                "clusterIP": addresses[0],
                "clusterIPs": addresses,
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4", "IPv6"],
                "ipFamilyPolicy": "RequireDualStack",
                "ports": [
                    {
                        "name": f"{protocol.lower()}-{port.port}",
                        "port": port.port,
                        "protocol": protocol,
                        "targetPort": port.pod_port,
                    }
                    for port in service.ports
                    for protocol in service.protocols
                ],
                "selector": labels,
                "sessionAffinity": "None",
                "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        }

    def _slice(self, service: ServicePlan, family: int) -> Manifest:
        owner = self._object("v1", "Service", service.name, service.namespace, {})
        labels = {
            **_labels(service.pods[0].workload),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": service.name,
        }
        name = f"{service.name}-ipv{family}"
        manifest = self._object("discovery.k8s.io/v1", "EndpointSlice", name, service.namespace, labels)
        return self._owned(manifest, owner) | {
            "addressType": f"IPv{family}",
            "endpoints": [
                {
                    "addresses": [pod.address(family)],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": pod.node,
                    "targetRef": {
                        "kind": "Pod",
                        "name": pod.name,
                        "namespace": pod.namespace,
                        "uid": str(uuid.uuid5(_UIDS, f"Pod/{pod.namespace}/{pod.name}")),
                    },
                }
                for pod in service.pods
            ],
            "ports": [
                {"name": f"{protocol.lower()}-{port.port}", "port": port.pod_port, "protocol": protocol}
                for port in service.ports
                for protocol in service.protocols
            ],
        }


def _labels(workload: Workload) -> dict[str, str]:
    return {"k8s-app": "kube-dns"} if workload.service_name == "kube-dns" else {"app": workload.name}


def _container(workload: Workload) -> Manifest:
    return {
        "image": f"registry.example/{workload.name}:1.0",
        "name": "server",
        "env": [{"name": "CLUSTER_DOMAIN", "value": CLUSTER_DOMAIN}],
        "ports": [{"containerPort": port.pod_port, "protocol": "TCP"} for port in workload.ports],
    }
