"""What the index answers with: pods, services and nodes as resolving needs them, and claims on addresses.

An entry is made by the index and is read-only for everybody else. The index replaces a pod's entry when the pod
changes and says so (`Index.on_change`), so an answer may be kept until then.
Times are milliseconds since the epoch (UTC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.model import Workload  # noqa: TC001  msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Callable

FOREVER: Final = 1 << 62
"""The end of what has not ended."""


class PodEntry(msgspec.Struct, gc=False, eq=False):
    """A pod.

    Attributes:
        namespace: Of the pod.
        name: Of the pod.
        uid: Empty when the object had none.
        node: Name of its node, empty while it is not scheduled.
        host_network: It has no address of its own: `addresses` are its node's, and the node claims them.
        workload: Who it is (`identity`).
        labels: All of them; shared between pods with equal labels, so never to be changed.
        addresses: `status.podIPs`, canonical.
        ports: Declared container ports as (port, protocol), protocol in lower case.
        node_ports: Where it is reached at its node's addresses, likewise: all ports on its node's network, else those
            that it has of its node (`hostPort`).
        start: From when its addresses were its own.
        end: Until when (exclusive), `FOREVER` while it lives.
        named: Its workload's name was given to it, by annotation or label.
        hostname: `spec.hostname` where that is another than its name, else empty.
        own: It is a part of this program.
    """

    namespace: str
    name: str
    uid: str
    node: str
    host_network: bool
    workload: Workload
    labels: dict[str, str]
    addresses: tuple[str, ...]
    ports: tuple[tuple[int, str], ...]
    start: int
    end: int
    named: bool = False
    hostname: str = ""
    own: bool = False
    node_ports: tuple[tuple[int, str], ...] = ()


class Port(msgspec.Struct, frozen=True, gc=False):
    """A port of a service.

    Attributes:
        port: Where the service listens on its own addresses.
        protocol: In lower case.
        target: Where its pods listen: a number, or the name of a container's port.
        node: Where every node listens for it; 0 for nowhere.
    """

    port: int
    protocol: str
    target: int | str
    node: int = 0


class ServiceEntry:
    """A service.

    Attributes:
        namespace: Of the service.
        name: Of the service.
        type: `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`; headless is ClusterIP without addresses.
        external_name: What an ExternalName service stands for, else empty.
        addresses: Cluster, external and load balancer addresses, canonical.
        hostnames: Names of its load balancers, in lower case.
        ports: Its ports.
        start: When it was created.
    """

    __slots__ = (
        "_backends",
        "_find",
        "_reached_at",
        "addresses",
        "external_name",
        "hostnames",
        "name",
        "namespace",
        "ports",
        "start",
        "type",
    )

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        type: str = "ClusterIP",  # noqa: A002  the API's name for it
        external_name: str = "",
        addresses: tuple[str, ...] = (),
        hostnames: tuple[str, ...] = (),
        ports: tuple[Port, ...] = (),
        start: int = 0,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.type = type
        self.external_name = external_name
        self.addresses = addresses
        self.hostnames = hostnames
        self.ports = ports
        self.start = start
        self._find: Callable[[ServiceEntry], tuple[Workload, ...]] | None = None
        self._backends: tuple[Workload, ...] | None = None
        self._reached_at: set[str] | None = None

    @property
    def backends(self) -> tuple[Workload, ...]:
        """The distinct workloads of all its endpoints, ready or not, sorted. Found when first asked for."""
        if self._backends is None:
            self._backends = self._find(self) if self._find else ()
        return self._backends

    @property
    def is_api_server(self) -> bool:
        """Whether this is the service of the cluster's own API."""
        return self.name == "kubernetes" and self.namespace == "default"

    def has_port(self, port: int, protocol: str) -> bool:
        """Whether `port` can be dialled with `protocol` (lower case)."""
        return any(own.port == port and own.protocol == protocol for own in self.ports)

    @property
    def on_nodes(self) -> tuple[tuple[int, str], ...]:
        """Where every node listens for it: (port, protocol)."""
        return tuple((own.node, own.protocol) for own in self.ports if own.node)

    def is_api(self, port: int, protocol: str) -> bool:
        """Whether an API server listens there on its own addresses; only asked of the API's service."""
        return any(own.target == port and own.protocol == protocol for own in self.ports)

    def reached(self, address: str) -> None:
        """Note that it was the answer for an address that is not its own; for the index."""
        if self._reached_at is None:
            self._reached_at = set()
        self._reached_at.add(address)

    def not_reached(self) -> set[str]:
        """The addresses noted so far, which are forgotten; for the index."""
        found, self._reached_at = self._reached_at or set(), None
        return found

    def find_backends_with(self, find: Callable[[ServiceEntry], tuple[Workload, ...]]) -> None:
        """Say who finds the backends; for the index."""
        self._find = find

    def forget_backends(self) -> None:
        """Find the backends anew when they are next asked for; for the index."""
        self._backends = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServiceEntry) and all(
            getattr(self, field) == getattr(other, field) for field in self.__slots__ if not field.startswith("_")
        )

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"ServiceEntry({self.namespace}/{self.name})"


class NodeEntry(msgspec.Struct, eq=False):
    """A machine of the cluster.

    Attributes:
        name: Of the node.
        addresses: Internal and external ones, canonical.
        pod_cidrs: Blocks from which its pods and its bridge get their addresses.
        start: When it was registered.
        gateways: Addresses in `pod_cidrs` that are the node's own where no pod has them: its bridge's and its tunnel's.
        host_pods: Pods that share its addresses or have ports of it, by namespace and name; those that are gone, too,
            while remembered.
    """

    name: str
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    start: int
    gateways: tuple[str, ...] = ()
    host_pods: tuple[PodEntry, ...] = ()


Entry = PodEntry | ServiceEntry | NodeEntry


class Claim(msgspec.Struct, gc=False, eq=False):
    """`owner` had the address while `start <= instant < end`.

    In an answer of the index the span is where this answer holds: it is cut where another claim begins or ends.
    """

    owner: Entry
    start: int
    end: int


class Contested(msgspec.Struct, frozen=True, eq=False):
    """More than one owner was possible at that instant; sorted by start, then by kind, namespace and name."""

    owners: tuple[Entry, ...]
