"""The fields of Kubernetes objects that the map needs, and no others.

Decoding straight into these Structs is what makes ten thousand pods cheap: everything else in an object (environment,
volumes, managed fields, secrets' data) is stepped over by the decoder and never becomes a Python object. A field that
the API promises may still be missing or null in what people store, so every field has a default; what that means for
the object is said where it is used.

Field names and meanings: Kubernetes API reference v1.34. Times are left as RFC 3339 text and read by `milliseconds`.
"""

from __future__ import annotations

import datetime as dt
import functools

import msgspec

POD = "Pod"
SERVICE = "Service"
NODE = "Node"
NAMESPACE = "Namespace"
ENDPOINTS = "Endpoints"
ENDPOINT_SLICE = "EndpointSlice.discovery.k8s.io"
SERVICE_CIDR = "ServiceCIDR.networking.k8s.io"

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""Label of an EndpointSlice that names its Service."""


class OwnerReference(msgspec.Struct, rename="camel", gc=False):
    """`metadata.ownerReferences[]`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class ObjectMeta(msgspec.Struct, rename="camel", gc=False):
    """`metadata` of the kinds that are indexed; `annotations` keeps only those that can name a workload."""

    name: str = ""
    generate_name: str | None = None
    namespace: str | None = None
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    owner_references: list[OwnerReference] | None = None
    resource_version: str | int | None = None  # a number where somebody wrote YAML by hand


class OwnerMeta(msgspec.Struct, rename="camel", gc=False):
    """`metadata` of an object that matters only as a step on the way to a pod's root owner."""

    name: str = ""
    namespace: str | None = None
    owner_references: list[OwnerReference] | None = None
    resource_version: str | int | None = None  # a number where somebody wrote YAML by hand


class Owner(msgspec.Struct, rename="camel", gc=False):
    """An object of any kind, as far as it can own others."""

    metadata: OwnerMeta | None = None


class ContainerPort(msgspec.Struct, rename="camel", gc=False):
    """`spec.containers[].ports[]`."""

    container_port: int = 0
    protocol: str = "TCP"
    host_port: int | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")


class Container(msgspec.Struct, gc=False):
    """`spec.containers[]`. Name and image are looked at while an entry is built and not kept."""

    name: str = ""
    image: str | None = None
    ports: list[ContainerPort] | None = None


class PodSpec(msgspec.Struct, rename="camel", gc=False):
    """`spec` of a Pod."""

    node_name: str | None = None
    hostname: str | None = None
    host_network: bool | None = None
    containers: list[Container] | None = None


class PodIP(msgspec.Struct, gc=False):
    """`status.podIPs[]`."""

    ip: str = ""


class Terminated(msgspec.Struct, rename="camel", gc=False):
    """`status.containerStatuses[].state.terminated`."""

    finished_at: str | None = None


class Waiting(msgspec.Struct, gc=False):
    """`status.containerStatuses[].state.waiting`."""

    reason: str | None = None


class ContainerState(msgspec.Struct, gc=False):
    """`status.containerStatuses[].state`."""

    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct, gc=False):
    """`status.containerStatuses[]`, and the same for init and ephemeral containers."""

    state: ContainerState | None = None


class PodCondition(msgspec.Struct, rename="camel", gc=False):
    """`status.conditions[]` of a Pod."""

    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class PodStatus(msgspec.Struct, rename="camel", gc=False):
    """`status` of a Pod."""

    phase: str | None = None
    pod_ips: list[PodIP] | None = msgspec.field(default=None, name="podIPs")
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    start_time: str | None = None
    conditions: list[PodCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None


class Pod(msgspec.Struct, rename="camel", gc=False):
    """`v1 Pod`."""

    metadata: ObjectMeta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


class ServicePort(msgspec.Struct, rename="camel", gc=False):
    """`spec.ports[]` of a Service.

    `target_port` is a number or a container port's name; absent means `port`. `node_port` is 0 or absent without one.
    """

    port: int = 0
    protocol: str = "TCP"
    target_port: int | str | None = None
    node_port: int | None = None


class ServiceSpec(msgspec.Struct, rename="camel", gc=False):
    """`spec` of a Service."""

    type: str = "ClusterIP"
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    external_ips: list[str] | None = msgspec.field(default=None, name="externalIPs")
    external_name: str | None = None
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None


class LoadBalancerIngress(msgspec.Struct, gc=False):
    """`status.loadBalancer.ingress[]`; a balancer known by host name alone has no `ip`."""

    ip: str | None = None
    hostname: str | None = None


class LoadBalancerStatus(msgspec.Struct, gc=False):
    """`status.loadBalancer`."""

    ingress: list[LoadBalancerIngress] | None = None


class ServiceStatus(msgspec.Struct, rename="camel", gc=False):
    """`status` of a Service."""

    load_balancer: LoadBalancerStatus | None = None


class Service(msgspec.Struct, rename="camel", gc=False):
    """`v1 Service`."""

    metadata: ObjectMeta | None = None
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class TargetRef(msgspec.Struct, gc=False):
    """The object behind an endpoint: `endpoints[].targetRef`."""

    kind: str = ""
    name: str = ""
    namespace: str | None = None


class Endpoint(msgspec.Struct, rename="camel", gc=False):
    """`endpoints[]` of an EndpointSlice. Whether it is ready does not matter: it can be reached and was meant."""

    addresses: list[str] | None = None
    hostname: str | None = None
    target_ref: TargetRef | None = None


class EndpointSlice(msgspec.Struct, rename="camel", gc=False):
    """`discovery.k8s.io EndpointSlice`."""

    metadata: ObjectMeta | None = None
    address_type: str = "IPv4"
    endpoints: list[Endpoint] | None = None


class EndpointAddress(msgspec.Struct, rename="camel", gc=False):
    """`subsets[].addresses[]` of an Endpoints object."""

    ip: str = ""
    hostname: str | None = None
    target_ref: TargetRef | None = None


class EndpointSubset(msgspec.Struct, rename="camel", gc=False):
    """`subsets[]` of an Endpoints object."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None


class Endpoints(msgspec.Struct, rename="camel", gc=False):
    """`v1 Endpoints`, what clusters had before EndpointSlices."""

    metadata: ObjectMeta | None = None
    subsets: list[EndpointSubset] | None = None


class NodeAddress(msgspec.Struct, gc=False):
    """`status.addresses[]` of a Node."""

    type: str = ""
    address: str = ""


class NodeSpec(msgspec.Struct, rename="camel", gc=False):
    """`spec` of a Node."""

    pod_cidrs: list[str] | None = msgspec.field(default=None, name="podCIDRs")


class NodeStatus(msgspec.Struct, gc=False):
    """`status` of a Node."""

    addresses: list[NodeAddress] | None = None


class Node(msgspec.Struct, rename="camel", gc=False):
    """`v1 Node`."""

    metadata: ObjectMeta | None = None
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class ServiceCidrSpec(msgspec.Struct, gc=False):
    """`spec` of a ServiceCIDR."""

    cidrs: list[str] | None = None


class ServiceCidr(msgspec.Struct, gc=False):
    """`networking.k8s.io ServiceCIDR`: a block from which services get their addresses."""

    metadata: ObjectMeta | None = None
    spec: ServiceCidrSpec | None = None


Indexed = Pod | Service | EndpointSlice | Endpoints | Node | ServiceCidr
"""The kinds that are decoded further than their metadata."""

Object = Indexed | Owner

INDEXED: dict[str, type[Indexed]] = {
    POD: Pod,
    SERVICE: Service,
    ENDPOINT_SLICE: EndpointSlice,
    ENDPOINTS: Endpoints,
    NODE: Node,
    SERVICE_CIDR: ServiceCidr,
}


@functools.lru_cache(maxsize=1024)
def group_kind(api_version: str, kind: str) -> str:
    """`Deployment.apps` for `apps/v1 Deployment`, `Pod` for `v1 Pod`: the kind without its version.

    Remembered, so that tens of thousands of keys share one text.
    """
    group, slash, _ = api_version.rpartition("/")
    return f"{kind}.{group}" if slash else kind


def milliseconds(time: str | None) -> int | None:
    """Milliseconds since the epoch of an RFC 3339 time, None when there is none or it cannot be read."""
    if not time:
        return None
    try:
        when = dt.datetime.fromisoformat(time)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return int(when.timestamp() * 1000)
