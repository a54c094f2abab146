"""Kubernetes objects for tests, as dictionaries in the API's shape and as the index takes them."""

from __future__ import annotations

from typing import Any

import msgspec

from network_mapper.cluster.objects import INDEXED, Owner, group_kind, milliseconds

DAY = "2026-01-01T00:00:"
BASE = milliseconds(DAY + "00Z")


def time(second: int) -> str:
    return f"{DAY}{second:02}Z"


def instant(second: float) -> int:
    return BASE + int(second * 1000)


def owned_by(kind: str, name: str, api_version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": name, "controller": True, **more}]}


def obj(kind: str, name: str, namespace: str | None = "shop", api_version: str = "v1", **more: Any) -> dict[str, Any]:
    meta = {"name": name, "creationTimestamp": time(0), **more.pop("meta", {})}
    if namespace is not None:
        meta["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


def pod(
    name: str, *ips: str, start: int = 0, ended: int | None = None, spec: Any = None, **meta: Any
) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": "Running", "podIPs": [{"ip": ip} for ip in ips], "startTime": time(start)}
    if ended is not None:
        status |= {"phase": "Succeeded"}
        status["containerStatuses"] = [{"state": {"terminated": {"finishedAt": time(ended)}}}]
    return obj("Pod", name, meta=meta, spec={"nodeName": "n1", **(spec or {})}, status=status)


def service(name: str, *ips: str, port: int = 80, **spec: Any) -> dict[str, Any]:
    ports = [{"port": port, "protocol": "TCP", "targetPort": 8080}]
    return obj("Service", name, spec={"clusterIPs": list(ips), "ports": ports, **spec})


def node(name: str, *ips: str, **spec: Any) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
    return obj("Node", name, None, spec=spec, status={"addresses": [*addresses, {"type": "Hostname", "address": name}]})


def endpoint_slice(name: str, service: str, *ends: dict[str, Any], **more: Any) -> dict[str, Any]:
    meta = {"labels": {"kubernetes.io/service-name": service}}
    return obj("EndpointSlice", name, api_version="discovery.k8s.io/v1", meta=meta, endpoints=list(ends), **more)


def end(address: str, pod: str | None = None, hostname: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [address]}
    if pod:
        found["targetRef"] = {"kind": "Pod", "name": pod, "namespace": "shop"}
    if hostname:
        found["hostname"] = hostname
    return found


def replica_set(name: str, deployment: str) -> dict[str, Any]:
    return obj("ReplicaSet", name, api_version="apps/v1", meta=owned_by("Deployment", deployment))


def kind_of(item: dict[str, Any]) -> str:
    return group_kind(item["apiVersion"], item["kind"])


def decoded(item: dict[str, Any]) -> Any:
    return msgspec.convert(item, INDEXED.get(kind_of(item), Owner))


def apply(index: Any, *items: dict[str, Any]) -> Any:
    for item in items:
        index.apply(kind_of(item), decoded(item))
    return index


def delete(index: Any, item: dict[str, Any]) -> None:
    index.delete(kind_of(item), item["metadata"].get("namespace", ""), item["metadata"]["name"])
