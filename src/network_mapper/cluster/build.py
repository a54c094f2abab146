"""From a Kubernetes object to an entry of the index: pure functions, one per kind.

Each adds to `problems` what is wrong with its object and goes on with the rest of it. An address that cannot be read
costs that address, a time that cannot be read widens the span.

How the times of a pod become the span in which an address was its own. The API writes whole seconds, cut off, so an
instant in it means "within the second after this". The span is the widest that agrees with that: it starts with the
first millisecond of its first second and ends with the last of its last. Two pods that used one address within the same
second are therefore both possible in it, which is the truth.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import TYPE_CHECKING, Final

from network_mapper.cluster.address import canonical
from network_mapper.cluster.endpoints import ServiceKey, Target
from network_mapper.cluster.entries import FOREVER, NodeEntry, PodEntry, Port, ServiceEntry
from network_mapper.cluster.objects import SERVICE_NAME_LABEL, EndpointSlice, milliseconds
from network_mapper.cluster.own import is_own

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.cluster.objects import (
        Endpoint,
        EndpointAddress,
        Endpoints,
        Node,
        ObjectMeta,
        Pod,
        PodStatus,
        Service,
        TargetRef,
    )
    from network_mapper.model import Workload

SECOND: Final = 1000
"""Resolution of the API's times, in milliseconds."""

_FINISHED = ("Succeeded", "Failed")
_ON_NODES = ("NodePort", "LoadBalancer")
_LOOPBACK = ("127.0.0.1", "::1")
_STOPPED = (("Ready", "False"), ("ContainersReady", "False"), ("DisruptionTarget", "True"))
"""Conditions that a pod takes on when it is stopped."""


def namespace_of(meta: ObjectMeta, problems: list[str]) -> str:
    """The namespace; the API always writes one, so a manifest without gets the one that `kubectl apply` would use."""
    if not meta.namespace:
        problems.append("no namespace, taken as default")
        return "default"
    return sys.intern(meta.namespace)


def pod_entry(
    pod: Pod, meta: ObjectMeta, namespace: str, workload: Workload, problems: list[str], *, named: bool = False
) -> PodEntry:
    """Build a pod's entry; `meta` is its metadata, which is there."""
    spec, status = pod.spec, pod.status
    host_network = bool(spec and spec.host_network)
    ports = _container_ports(pod)
    texts = [ip.ip for ip in status.pod_ips or ()] if status else []
    if status and not texts and status.pod_ip:
        texts = [status.pod_ip]
    return PodEntry(
        namespace=namespace,
        name=meta.name,
        uid=meta.uid,
        node=sys.intern(spec.node_name) if spec and spec.node_name else "",
        host_network=host_network,
        workload=workload,
        labels=_labels(meta),
        addresses=_addresses(texts, problems),
        ports=ports,
        start=_pod_start(meta, status, problems),
        end=_pod_end(status, problems),
        named=named,
        hostname=(spec.hostname or "") if spec and spec.hostname != meta.name else "",
        own=is_own(meta.labels or {}),
        node_ports=ports if host_network else _host_ports(pod),
    )


def created(meta: ObjectMeta, problems: list[str]) -> int:
    """When an object was created."""
    when = milliseconds(meta.creation_timestamp)
    if when is None:
        problems.append("no readable creationTimestamp, taken as always there")
        return 0
    return when


def service_entry(service: Service, meta: ObjectMeta, namespace: str, problems: list[str]) -> ServiceEntry:
    """Build a service's entry."""
    spec, status = service.spec, service.status
    if spec is None:
        problems.append("no spec")
        return ServiceEntry(namespace, meta.name, start=created(meta, problems))
    if spec.type == "ExternalName":
        external = (spec.external_name or "").lower().removesuffix(".")
        if not external:
            problems.append("no externalName")
        return ServiceEntry(namespace, meta.name, type=spec.type, external_name=external, start=created(meta, problems))
    texts = [*(spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])), *(spec.external_ips or ())]
    ingresses = (status.load_balancer.ingress or []) if status and status.load_balancer else []
    texts += [ingress.ip for ingress in ingresses if ingress.ip]
    return ServiceEntry(
        namespace,
        meta.name,
        type=sys.intern(spec.type),
        addresses=_addresses((text for text in texts if text not in ("", "None")), problems),
        hostnames=_hostnames(ingress.hostname for ingress in ingresses),
        ports=tuple(
            Port(
                port.port,
                sys.intern(port.protocol.lower()),
                port.target_port or port.port,
                (port.node_port or 0) if spec.type in _ON_NODES else 0,
            )
            for port in spec.ports or ()
        ),
        start=created(meta, problems),
    )


def node_entry(node: Node, meta: ObjectMeta, problems: list[str]) -> NodeEntry:
    """Build a node's entry, without its pods."""
    listed = node.status.addresses or () if node.status else ()
    cidrs = blocks(node.spec.pod_cidrs or () if node.spec else (), problems)
    return NodeEntry(
        name=sys.intern(meta.name),
        addresses=_addresses((item.address for item in listed if item.type in ("InternalIP", "ExternalIP")), problems),
        pod_cidrs=cidrs,
        start=created(meta, problems),
        gateways=tuple(dict.fromkeys(gateway for cidr in cidrs for gateway in _gateways(cidr))),
    )


def _gateways(cidr: str) -> tuple[str, ...]:
    """The addresses of a block of pods that network plugins give to the node itself.

    A bridge, or the node's end of each pod's cable, has the first address that a host may have, and the node probes its
    pods from there. Flannel's tunnel has the block's very first, from which the node's own programs speak to pods of
    other nodes.
    """
    network = ipaddress.ip_network(cidr)
    return tuple(str(network[place]) for place in range(2)) if network.num_addresses > 2 else ()


def blocks(texts: Iterable[str], problems: list[str]) -> tuple[str, ...]:
    """The address blocks among `texts`, canonical."""
    found = []
    for text in texts:
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            problems.append(f"{text!r:.60} is no address block")
    return tuple(found)


def slice_targets(
    item: EndpointSlice | Endpoints, meta: ObjectMeta, namespace: str, problems: list[str]
) -> tuple[ServiceKey | None, tuple[Target, ...]]:
    """The service that a slice or an Endpoints object belongs to (None when it names none), and its endpoints."""
    if isinstance(item, EndpointSlice):
        service = (meta.labels or {}).get(SERVICE_NAME_LABEL) or _owning_service(meta)
        listed = [] if item.address_type == "FQDN" else [_target(end, namespace, problems) for end in _all(item)]
        return ((namespace, service) if service else None), tuple(listed)
    targets = [
        _target(address, namespace, problems)
        for subset in item.subsets or ()
        for address in (*(subset.addresses or ()), *(subset.not_ready_addresses or ()))
    ]
    return (namespace, meta.name), tuple(targets)


def _all(item: EndpointSlice) -> list[Endpoint]:
    return item.endpoints or []


def _owning_service(meta: ObjectMeta) -> str | None:
    for reference in meta.owner_references or ():
        if reference.kind == "Service" and reference.name:
            return reference.name
    return None


def _target(end: Endpoint | EndpointAddress, namespace: str, problems: list[str]) -> Target:
    texts = [end.ip] if not hasattr(end, "addresses") else end.addresses or []
    return Target(_pod_of(end.target_ref, namespace), end.hostname or "", _addresses(texts, problems))


def _pod_of(reference: TargetRef | None, namespace: str) -> tuple[str, str] | None:
    if reference is None or reference.kind != "Pod" or not reference.name:
        return None
    return sys.intern(reference.namespace) if reference.namespace else namespace, reference.name


def _labels(meta: ObjectMeta) -> dict[str, str]:
    return {sys.intern(key): value for key, value in meta.labels.items()} if meta.labels else {}


def _addresses(texts: Iterable[str], problems: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts:
        address = canonical(text)
        if address is None:
            problems.append(f"{text!r:.60} is no IP address")
        elif address not in found:
            found.append(address)
    return tuple(found)


def _hostnames(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.lower().removesuffix(".") for text in texts if text and text != "."))


def _container_ports(pod: Pod) -> tuple[tuple[int, str], ...]:
    if pod.spec is None:
        return ()
    return tuple(
        (port.container_port, sys.intern(port.protocol.lower()))
        for container in pod.spec.containers or ()
        for port in container.ports or ()
    )


def _host_ports(pod: Pod) -> tuple[tuple[int, str], ...]:
    """The ports of its node that a pod has, without those that are open to the node alone."""
    if pod.spec is None:
        return ()
    return tuple(
        (port.host_port, sys.intern(port.protocol.lower()))
        for container in pod.spec.containers or ()
        for port in container.ports or ()
        if port.host_port and port.host_ip not in _LOOPBACK
    )


def _pod_start(meta: ObjectMeta, status: PodStatus | None, problems: list[str]) -> int:
    """When the pod may have had its address.

    That is when its kubelet took it on (`status.startTime`), not when it was created: a pod may wait for hours for a
    place and then get the address of one that lived meanwhile. A static pod is the exception, for its mirror in the API
    is created after it runs, and a restarted kubelet writes a new startTime: there it is the earlier of the two.
    """
    started = milliseconds(status.start_time) if status else None
    if started is None:
        return created(meta, problems)
    if any(reference.kind == "Node" for reference in meta.owner_references or ()):
        return min(started, created(meta, problems))
    return started


def _pod_end(status: PodStatus | None, problems: list[str]) -> int:
    """When a pod that has run to its end gave its address back: the end of its last container.

    A pod that was evicted, or whose node was lost, often says nothing of its containers. Its conditions then say since
    when it is no longer ready, or was to go.
    `metadata.deletionTimestamp` is no end: it lies in the future and the pod speaks on until it is really gone.
    """
    if status is None or status.phase not in _FINISHED:
        return FOREVER
    last: int | None = None
    for statuses in (status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses):
        for container in statuses or ():
            ended = container.state.terminated if container.state else None
            finished = milliseconds(ended.finished_at) if ended else None
            if finished is not None and (last is None or finished > last):
                last = finished
    if last is None:
        times = (
            milliseconds(condition.last_transition_time)
            for condition in status.conditions or ()
            if (condition.type, condition.status) in _STOPPED
        )
        last = max((time for time in times if time is not None), default=None)
    if last is None:
        if status.pod_ips or status.pod_ip:
            problems.append("over, but no container says since when")
        return FOREVER
    return last + SECOND
