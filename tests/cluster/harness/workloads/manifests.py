"""Kubernetes objects of workloads: pods that run `program`, what controls them, and the services before them.

Pods are as small and as quick as they can be: no token, no probes (a probe is a connection of the node), one second to
end. Every service is dual stack, because every case is tried over both families.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.objects import Object, make

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANNOTATION = "workloads.test/order"
"""Where a pod's orders are."""

_MEMORY = "32Mi"
_ORDERS = {"name": "orders", "mountPath": "/orders"}


@dataclass(frozen=True)
class Image:
    """What the pods run: the image's reference, and the command that starts `program` in it."""

    reference: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pods:
    """Pods of one kind.

    Attributes:
        app: Their label `app`, and the name of what controls them.
        listen: Ports.
        calls: Made at the start, beside orders; see `program`.
        init_calls: Made by an init container.
        after: Seconds before `calls`.
        linger: Seconds of silence before it ends, where it does not stay.
        stay: Follow orders, instead of ending.
        node: Where they run; empty for anywhere.
        labels: More of them.
        annotations: Of the pods.
        host_network: Share the node's network; the ports are declared, as they are when they are written by people.
        host_ports: Of `listen`, those that are the same port on the node.
    """

    app: str
    listen: tuple[int, ...] = ()
    calls: Mapping[str, Object] = field(default_factory=dict)
    init_calls: Mapping[str, Object] = field(default_factory=dict)
    after: float = 0.0
    linger: float = 0.0
    stay: bool = True
    node: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False
    host_ports: tuple[int, ...] = ()


def call(
    name: str = "",
    port: int = 0,
    *,
    addresses: Iterable[str] = (),
    family: int = 4,
    count: int = 2,
    lookup: str = "udp",
    hold: bool = False,
) -> Object:
    """A call of an order, see `program`."""
    dialled = {"name": name, "addresses": list(addresses), "port": port, "family": family}
    return {**dialled, "count": count, "lookup": lookup, "rate": 0, "hold": hold}


def template(image: Image, pods: Pods, *, orders: bool = True) -> Object:
    """The template of their pods; without `orders` none can be given to them."""
    work = {
        "listen": list(pods.listen),
        "calls": dict(pods.calls),
        "after": pods.after,
        "linger": pods.linger,
        "stay": pods.stay,
    }
    containers = [_container(image, "main", work, pods, orders=orders)]
    spec: Object = {
        "containers": containers,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always" if pods.stay else "Never",
    }
    if pods.init_calls:
        first = {"calls": dict(pods.init_calls), "stay": False}
        spec["initContainers"] = [_container(image, "init", first, Pods(app=pods.app), orders=False)]
    if pods.node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": pods.node}
    if pods.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    if orders:
        item = {"path": "order", "fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION}']"}}
        spec["volumes"] = [{"name": "orders", "downwardAPI": {"items": [item]}}]
    annotations = {"annotations": dict(pods.annotations)} if pods.annotations else {}
    return {"metadata": {"labels": {"app": pods.app, **pods.labels}, **annotations}, "spec": spec}


def _container(image: Image, name: str, work: Object, pods: Pods, *, orders: bool) -> Object:
    ports: list[Object] = [{"containerPort": port} for port in pods.listen]
    for port in ports:
        if port["containerPort"] in pods.host_ports:
            port["hostPort"] = port["containerPort"]
    return {
        "name": name,
        "image": image.reference,
        "imagePullPolicy": "Never",
        "command": list(image.command),
        "env": [{"name": "WORK", "value": json.dumps(work)}],
        "ports": ports,
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": _MEMORY}},
        **({"volumeMounts": [_ORDERS]} if orders else {}),
    }


def deployment(image: Image, namespace: str, pods: Pods, replicas: int = 1) -> Object:
    """A Deployment; several replicas are spread over the nodes."""
    made = template(image, pods)
    if replicas > 1:
        made["spec"]["topologySpreadConstraints"] = [_spread(pods.app)]
    spec = {"replicas": replicas, **_selector(pods), "template": made}
    return make("apps/v1", "Deployment", pods.app, namespace, spec=spec)


def stateful_set(image: Image, namespace: str, pods: Pods, replicas: int) -> Object:
    """A StatefulSet behind the headless service of its name, spread over the nodes."""
    made = template(image, pods)
    made["spec"]["topologySpreadConstraints"] = [_spread(pods.app)]
    fields = {"serviceName": pods.app, "podManagementPolicy": "Parallel", "replicas": replicas}
    return make("apps/v1", "StatefulSet", pods.app, namespace, spec={**fields, **_selector(pods), "template": made})


def daemon_set(image: Image, namespace: str, pods: Pods) -> Object:
    """A DaemonSet."""
    spec = {**_selector(pods), "template": template(image, pods)}
    return make("apps/v1", "DaemonSet", pods.app, namespace, spec=spec)


def cron_job(image: Image, namespace: str, pods: Pods) -> Object:
    """A CronJob, every minute."""
    job = {"spec": {"backoffLimit": 0, "template": template(image, pods, orders=False)}}
    spec = {"schedule": "* * * * *", "successfulJobsHistoryLimit": 10, "jobTemplate": job}
    return make("batch/v1", "CronJob", pods.app, namespace, spec=spec)


def static_pod(image: Image, namespace: str, pods: Pods) -> Object:
    """A pod for the kubelet's own folder."""
    made = template(image, pods, orders=False)
    return make("v1", "Pod", pods.app, namespace, meta=made["metadata"], spec=made["spec"])


def service(
    namespace: str, name: str, ports: Mapping[int, int], *, app: str = "", node_ports: Mapping[int, int] | None = None,
    headless: bool = False, **spec: Any,
) -> Object:  # fmt: skip
    """A dual-stack Service before pods labelled `app` (by default its own name): port to the pods' port.

    `node_ports`, by the service's port, make it a NodePort service.
    """
    listed: list[Object] = [
        {"name": f"tcp-{port}", "port": port, "targetPort": target, "protocol": "TCP"} for port, target in ports.items()
    ]
    for port in listed:
        if node_ports and port["port"] in node_ports:
            port["nodePort"] = node_ports[port["port"]]
    fields: Object = {"selector": {"app": app or name}, "ports": listed, "ipFamilyPolicy": "RequireDualStack"}
    if node_ports:
        fields["type"] = "NodePort"
    if headless:
        fields["clusterIP"] = "None"
    return make("v1", "Service", name, namespace, spec={**fields, **spec})


def external_name(namespace: str, name: str, stands_for: str) -> Object:
    """A Service that is an alias in DNS and nothing else."""
    return make("v1", "Service", name, namespace, spec={"type": "ExternalName", "externalName": stands_for})


def pods_of(objects: Iterable[Object], nodes: int) -> int:
    """How many pods that stay come of objects, on so many nodes."""
    return sum(
        nodes if item["kind"] == "DaemonSet" else item["spec"]["replicas"]
        for item in objects
        if item["kind"] in ("DaemonSet", "Deployment", "StatefulSet")
    )


def _selector(pods: Pods) -> Object:
    return {"selector": {"matchLabels": {"app": pods.app}}}


def _spread(app: str) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}},
    }
