"""Kubernetes objects as dictionaries, with what a test does not care about filled in.

Every function takes more fields for `metadata` (`meta`) and `spec` (keywords), so that a test says what matters to it.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
IMAGE = "registry.example.org/shop/app:1.0"


def make(
    api_version: str, kind: str, name: str, namespace: str | None = None, *, meta: Object | None = None, **fields: Any
) -> Object:
    """Any object."""
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **place, **(meta or {})}, **fields}


def namespace(name: str, **meta: Any) -> Object:
    """A Namespace."""
    return make("v1", "Namespace", name, meta=meta)


def node(name: str, *addresses: str, meta: Object | None = None, **spec: Any) -> Object:
    """A Node that is ready and has these internal addresses."""
    status = {
        "addresses": [{"type": "InternalIP", "address": address} for address in addresses],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "1000"},
        "capacity": {"cpu": "8", "memory": "32Gi", "pods": "1000"},
    }
    return make("v1", "Node", name, meta=meta, spec=spec, status=status)


def template(app: str, *, meta: Object | None = None, **spec: Any) -> Object:
    """A pod template labelled `app`."""
    meta = meta or {}
    labels = {"app": app, **meta.get("labels", {})}
    containers = [{"name": "app", "image": IMAGE, "ports": [{"containerPort": 8080}]}]
    return {"metadata": {**meta, "labels": labels}, "spec": {"containers": containers, **spec}}


def pod(namespace: str, name: str, *, meta: Object | None = None, **spec: Any) -> Object:
    """A Pod with one container, labelled `app: NAME`."""
    made = template(name, meta=meta, **spec)
    return make("v1", "Pod", name, namespace, meta=made["metadata"], spec=made["spec"])


def deployment(
    namespace: str, name: str, replicas: int = 1, *, meta: Object | None = None, pod_meta: Object | None = None,
    **spec: Any,
) -> Object:  # fmt: skip
    """A Deployment of pods labelled `app: NAME`; `spec` is the pods'."""
    return make("apps/v1", "Deployment", name, namespace, meta=meta, spec=_replicas(name, replicas, pod_meta, spec))


def stateful_set(
    namespace: str, name: str, replicas: int = 1, *, meta: Object | None = None, pod_meta: Object | None = None,
    **spec: Any,
) -> Object:  # fmt: skip
    """A StatefulSet of pods labelled `app: NAME`, with all of them made at once; `spec` is the pods'."""
    fields = _replicas(name, replicas, pod_meta, spec) | {"serviceName": name, "podManagementPolicy": "Parallel"}
    return make("apps/v1", "StatefulSet", name, namespace, meta=meta, spec=fields)


def _replicas(name: str, replicas: int, pod_meta: Object | None, spec: Object) -> Object:
    selector = {"matchLabels": {"app": name}}
    return {"replicas": replicas, "selector": selector, "template": template(name, meta=pod_meta, **spec)}


def daemon_set(namespace: str, name: str, *, meta: Object | None = None, **spec: Any) -> Object:
    """A DaemonSet of pods labelled `app: NAME`; `spec` is the pods'."""
    fields = {"selector": {"matchLabels": {"app": name}}, "template": template(name, **spec)}
    return make("apps/v1", "DaemonSet", name, namespace, meta=meta, spec=fields)


def job(namespace: str, name: str, *, meta: Object | None = None, **spec: Any) -> Object:
    """A Job of one pod labelled `app: NAME`; `spec` is the pod's."""
    fields = {"template": template(name, restartPolicy="Never", **spec)}
    return make("batch/v1", "Job", name, namespace, meta=meta, spec=fields)


def cron_job(namespace: str, name: str, schedule: str = "* * * * *", **spec: Any) -> Object:
    """A CronJob whose pods are labelled `app: NAME`; `spec` is the pods'."""
    jobs = {"spec": {"template": template(name, restartPolicy="Never", **spec)}}
    return make("batch/v1", "CronJob", name, namespace, spec={"schedule": schedule, "jobTemplate": jobs})


def service(
    namespace: str, name: str, port: int = 80, target: int = 8080, *, app: str | None = None,
    meta: Object | None = None, **spec: Any,
) -> Object:  # fmt: skip
    """A Service of the pods labelled `app: APP`, by default those that have its name."""
    ports = [{"name": "main", "port": port, "targetPort": target, "protocol": "TCP"}]
    fields: Object = {"selector": {"app": app or name}, "ports": ports, **spec}
    return make("v1", "Service", name, namespace, meta=meta, spec=fields)


def owned_by(owner: Object) -> Object:
    """Metadata of an object whose controller is `owner`, as the server made that."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {"ownerReferences": [reference]}


def custom_resource(group: str, kind: str, plural: str, version: str = "v1", *, scope: str = "Namespaced") -> Object:
    """A CustomResourceDefinition that takes any fields."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    spec = {"group": group, "scope": scope, "names": names, "versions": versions}
    return make("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}", spec=spec)
