"""What a small cluster consists of and who calls whom in it: one data file, and the truth that follows from it.

Everything that shows or measures something (demo, tests, benchmarks) starts from a `Topology`. The programs know
nothing of its content, so another file draws another map. Names of workloads are unique within their namespace; a call
names its ends as `name`, or as `namespace/name` outside the topology's own namespace.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

BOUTIQUE = Path(__file__).parent / "topologies" / "boutique.yaml"

Kind = Literal["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"]
Via = Literal["name", "service", "pod"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$")]
NameOrNothing = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?)?$")]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class TopologyError(ValueError):
    """A topology that cannot be built; the message says where and why."""


class Port(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One port of a workload.

    Attributes:
        port: The service's port.
        target: The port the pods listen on; 0 means the same.
        state: `open`; `refused`, when nothing listens; `silent`, when packets to it vanish.
    """

    port: PortNumber
    target: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    state: Literal["open", "refused", "silent"] = "open"

    @property
    def pod_port(self) -> int:
        """The port the pods listen on."""
        return self.target or self.port


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One workload: its pods run on `nodes` in turn (all nodes when empty); a DaemonSet has one pod on each of them.

    `service` is the type of the service of the same name (or of `service_name`) in front of its ports.
    """

    name: Name
    namespace: NameOrNothing = ""
    kind: Kind = "Deployment"
    replicas: Annotated[int, msgspec.Meta(ge=1, le=200)] = 1
    nodes: tuple[Name, ...] = ()
    ports: tuple[Port, ...] = ()
    service: Literal["ClusterIP", "headless", "none"] = "ClusterIP"
    service_name: NameOrNothing = ""


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each pod of `client` opens `connections` connections to `server`.

    Attributes:
        client: Workload.
        server: Workload.
        port: What is dialled: the service's port, or the pod's where the pod's address is dialled. 0 means the first.
        via: Dial the service's name (looked up each time), its address, or the pods' addresses in turn.
        family: Of the addresses that are dialled, and of the DNS server's.
        lookup: Transport of the DNS questions.
        connections: By each client pod, when a known number is asked for.
        rate: Connections a second by each client pod; 0 means one after the other without pause.
        hold: Keep each connection open until the call is stopped.
    """

    client: str
    server: str
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    via: Via = "name"
    family: Literal[4, 6] = 4
    lookup: Literal["udp", "tcp"] = "udp"
    connections: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 2
    rate: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    hold: bool = False


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster and its calls; `namespace` is that of every workload which names no other."""

    namespace: Name
    nodes: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=100)]
    workloads: tuple[Workload, ...]
    calls: tuple[Call, ...] = ()

    def workload(self, reference: str) -> Workload:
        """Find a workload by `name` or `namespace/name`.

        Raises:
            TopologyError: There is none.
        """
        namespace, _, name = reference.rpartition("/")
        for workload in self.workloads:
            if workload.name == name and (workload.namespace or self.namespace) == (namespace or self.namespace):
                return workload
        raise TopologyError(f"no workload is called {reference!r}")

    def port_of(self, call: Call) -> Port:
        """The port that a call dials.

        Raises:
            TopologyError: The server has no such port.
        """
        server = self.workload(call.server)
        direct = dials_pods(call, server)
        for port in server.ports:
            if call.port in (0, port.pod_port if direct else port.port):
                return port
        raise TopologyError(f"{call.server} has no port {call.port or 'at all'}, which {call.client} calls")


def dials_pods(call: Call, server: Workload) -> bool:
    """Whether a call's connections go to a pod's own address: asked for, or because a headless service names pods."""
    return call.via == "pod" or server.service == "headless"


def check(topology: Topology) -> Topology:
    """Check what the types cannot say.

    Raises:
        TopologyError: Names that repeat or do not exist, ports that nobody has.
    """
    seen: set[tuple[str, str]] = set()
    for workload in topology.workloads:
        key = (workload.namespace or topology.namespace, workload.name)
        if key in seen:
            raise TopologyError(f"two workloads are called {workload.name!r} in namespace {key[0]!r}")
        seen.add(key)
        for node in workload.nodes:
            if node not in topology.nodes:
                raise TopologyError(f"workload {workload.name!r} wants node {node!r}, which does not exist")
    if len(set(topology.nodes)) != len(topology.nodes):
        raise TopologyError("two nodes have the same name")
    for call in topology.calls:
        topology.workload(call.client)
        server = topology.workload(call.server)
        topology.port_of(call)
        if call.via != "pod" and server.service == "none":
            raise TopologyError(f"{call.client} calls {call.server} via {call.via}, but that has no service")
        if call.via == "service" and server.service == "headless":
            raise TopologyError(f"{call.client} calls {call.server} via its service address, but that is headless")
    return topology


def load(path: Path) -> Topology:
    """Read a topology from a YAML (or JSON) file.

    Raises:
        TopologyError: It cannot be read, or cannot be built.
    """
    try:
        return check(msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Topology))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise TopologyError(f"{path}: {error}") from None
    except TopologyError as error:
        raise TopologyError(f"{path}: {error}") from None


def random_topology(seed: int, workloads: int, nodes: int = 2) -> Topology:
    """A topology with something of everything, the same for the same seed.

    Args:
        seed: Of the random choices.
        workloads: How many.
        nodes: How many.
    """
    choose = random.Random(seed)  # noqa: S311  not a secret
    names = tuple(f"node-{index + 1}" for index in range(nodes))
    kinds: tuple[Kind, ...] = ("Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Pod")
    ways: tuple[Via, ...] = ("name", "name", "pod", "service")
    made = []
    for index in range(workloads):
        kind = choose.choice(kinds)
        ports = tuple(
            Port(port=port, target=choose.choice((0, port + 10_000)))
            for port in sorted(choose.sample(range(1000, 9000), choose.choice((1, 1, 2))))
        )
        made.append(
            Workload(
                name=f"{choose.choice(('api', 'store', 'queue', 'job', 'web'))}-{index}",
                namespace=choose.choice(("", "", "", "other")),
                kind=kind,
                replicas=choose.choice((1, 1, 2)) if kind in ("Deployment", "StatefulSet") else 1,
                ports=ports,
                service="headless" if kind == "StatefulSet" else choose.choice(("ClusterIP", "ClusterIP", "headless")),
            )
        )
    calls: dict[tuple[str, str, int, bool], Call] = {}
    for _ in range(2 * workloads):
        client, server = choose.choice(made), choose.choice(made)
        via = choose.choice(ways)
        if server.service == "headless" and via == "service":
            via = "name"
        port = choose.choice(server.ports)
        call = Call(
            client=_reference(client),
            server=_reference(server),
            port=port.pod_port if via == "pod" or server.service == "headless" else port.port,
            via=via,
            family=choose.choice((4, 4, 6)),
            lookup=choose.choice(("udp", "udp", "udp", "tcp")),
            connections=choose.randint(1, 5),
        )
        calls[call.client, call.server, call.port, dials_pods(call, server)] = call
    return check(Topology(namespace="shop", nodes=names, workloads=tuple(made), calls=tuple(calls.values())))


def _reference(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}" if workload.namespace else workload.name
