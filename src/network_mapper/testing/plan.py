"""Where everything of a topology is: which pod runs on which node, and every address.

The plan is a pure function of the topology, and the network, the DNS answers, the Kubernetes objects and the expected
map all follow from it. Addresses are laid out as most clusters do: a block of pod addresses for each node, one block
of service addresses, the DNS service at `.10`. A cluster DNS is added to every topology.
"""

from __future__ import annotations

import ipaddress

import msgspec

from network_mapper.testing.topology import Port, Topology, TopologyError, Workload

CLUSTER_DOMAIN = "cluster.local"
DNS_PORT = 53


class NodePlan(msgspec.Struct, frozen=True):
    """A node; `address4` and `address6` are its own, `pods4` and `pods6` the blocks of its pods."""

    name: str
    address4: str
    address6: str
    gateway4: str
    gateway6: str
    pods4: str
    pods6: str


class PodPlan(msgspec.Struct, frozen=True):
    """A pod; `netns` is the name of its network namespace, `namespace` the Kubernetes one."""

    name: str
    namespace: str
    workload: Workload
    index: int
    node: str
    address4: str
    address6: str

    @property
    def netns(self) -> str:
        """Name of its network namespace."""
        return f"{self.namespace}.{self.name}"

    def address(self, family: int) -> str:
        """Its address of a family, 4 or 6."""
        return self.address4 if family == 4 else self.address6


class ServicePlan(msgspec.Struct, frozen=True):
    """A service and the pods behind it; a headless one has no addresses of its own."""

    name: str
    namespace: str
    headless: bool
    ports: tuple[Port, ...]
    pods: tuple[PodPlan, ...]
    address4: str = ""
    address6: str = ""
    protocols: tuple[str, ...] = ("TCP",)

    @property
    def domain_name(self) -> str:
        """Its full DNS name, no final dot."""
        return f"{self.name}.{self.namespace}.svc.{CLUSTER_DOMAIN}"

    def address(self, family: int) -> str:
        """Its address of a family, 4 or 6."""
        return self.address4 if family == 4 else self.address6


class Plan(msgspec.Struct, frozen=True):
    """Everything; `services` is by namespace and workload, `dns` is one of them."""

    topology: Topology
    nodes: dict[str, NodePlan]
    pods: tuple[PodPlan, ...]
    services: dict[tuple[str, str], ServicePlan]
    dns: ServicePlan

    def namespace_of(self, workload: Workload) -> str:
        """The Kubernetes namespace of a workload."""
        return workload.namespace or self.topology.namespace

    def pods_of(self, workload: Workload) -> list[PodPlan]:
        """The pods of a workload."""
        key = (self.namespace_of(workload), workload.name)
        return [pod for pod in self.pods if (pod.namespace, pod.workload.name) == key]

    def service_of(self, workload: Workload) -> ServicePlan | None:
        """The service in front of a workload."""
        return self.services.get((self.namespace_of(workload), workload.name))

    def records(self) -> dict[str, list[str]]:
        """What the cluster's DNS answers: addresses of both families by full name, no final dot."""
        found: dict[str, list[str]] = {}
        for service in self.services.values():
            if not service.headless:
                found[service.domain_name] = [service.address4, service.address6]
                continue
            found[service.domain_name] = [address for pod in service.pods for address in (pod.address4, pod.address6)]
            for pod in service.pods:
                if pod.workload.kind == "StatefulSet":
                    found[f"{pod.name}.{service.domain_name}"] = [pod.address4, pod.address6]
        return found


def _dns_workload(topology: Topology) -> Workload:
    return Workload(
        name="coredns",
        namespace="kube-system",
        replicas=min(2, len(topology.nodes)),
        service_name="kube-dns",
        ports=(Port(port=DNS_PORT),),
    )


def pod_name(workload: Workload, index: int) -> str:
    """A pod's name as its controller would make it, but the same every time."""
    letters = "bcdfghjklmnpqrstvwxz2456789"
    hashed = sum(ord(letter) * (31**place) for place, letter in enumerate(workload.namespace + workload.name))

    def suffix(number: int, length: int) -> str:
        text = ""
        for _ in range(length):
            number, rest = divmod(number, len(letters))
            text += letters[rest]
        return text

    if workload.kind == "Pod":
        return workload.name
    if workload.kind == "StatefulSet":
        return f"{workload.name}-{index}"
    unique = suffix(hashed * 7919 + index * 104_729 + 12_345_678, 5)
    if workload.kind in ("DaemonSet", "Job"):
        return f"{workload.name}-{unique}"
    return f"{owner_name(workload)}-{unique}"


def owner_name(workload: Workload) -> str:
    """The name of the ReplicaSet of a Deployment, or of the Job of a CronJob."""
    if workload.kind == "CronJob":
        return f"{workload.name}-29000000"
    hashed = sum(ord(letter) * (37**place) for place, letter in enumerate(workload.namespace + workload.name))
    return f"{workload.name}-{hashed % 0xFFFFFFFF:x}"


def make_plan(topology: Topology) -> Plan:
    """Give everything in a topology its place and address.

    Raises:
        TopologyError: More pods on a node than its block of addresses holds.
    """
    nodes = {}
    for number, name in enumerate(topology.nodes, start=1):
        nodes[name] = NodePlan(
            name=name,
            address4=f"172.18.0.{number + 1}",
            address6=f"fd00:172:18::{number + 1:x}",
            gateway4=f"10.244.{number}.1",
            gateway6=f"fd00:10:244:{number:x}::1",
            pods4=f"10.244.{number}.0/24",
            pods6=f"fd00:10:244:{number:x}::/64",
        )
    dns = _dns_workload(topology)
    used = dict.fromkeys(nodes, 1)
    turn = 0
    pods: list[PodPlan] = []
    services: dict[tuple[str, str], ServicePlan] = {}
    first_service4 = ipaddress.IPv4Address("10.96.1.0")
    first_service6 = ipaddress.IPv6Address("fd00:10:96::1:0")
    for workload in (dns, *topology.workloads):
        namespace = workload.namespace or topology.namespace
        allowed = workload.nodes or topology.nodes
        own = []
        for index in range(len(allowed) if workload.kind == "DaemonSet" else workload.replicas):
            node = allowed[(index if workload.kind == "DaemonSet" or workload is dns else turn) % len(allowed)]
            turn += 1
            used[node] += 1
            if used[node] > 254:
                raise TopologyError(f"more than 253 pods on node {node!r}")
            network4 = ipaddress.IPv4Network(nodes[node].pods4)
            network6 = ipaddress.IPv6Network(nodes[node].pods6)
            own.append(
                PodPlan(
                    name=pod_name(workload, index),
                    namespace=namespace,
                    workload=workload,
                    index=index,
                    node=node,
                    address4=str(network4[used[node]]),
                    address6=str(network6[used[node]]),
                )
            )
        pods += own
        if workload.service != "none" and workload.ports:
            headless = workload.service == "headless"
            offset = len(services)
            address4 = str(first_service4 + offset)
            address6 = str(first_service6 + offset)
            if workload is dns:
                address4, address6 = "10.96.0.10", "fd00:10:96::a"
            services[namespace, workload.name] = ServicePlan(
                name=workload.service_name or workload.name,
                namespace=namespace,
                headless=headless,
                ports=workload.ports,
                pods=tuple(own),
                address4="" if headless else address4,
                address6="" if headless else address6,
                protocols=("UDP", "TCP") if workload is dns else ("TCP",),
            )
    return Plan(
        topology=topology,
        nodes=nodes,
        pods=tuple(pods),
        services=services,
        dns=services[dns.namespace, dns.name],
    )
