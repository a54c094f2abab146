"""Who had this address, or this name, at that time.

The index takes in objects one by one, in any order, from a snapshot or a watch, and is always the same as if it had
been built from the present objects at once (`changes`). Whatever changes, `on_change` is told the keys whose answers
may have changed, so that others may keep answers: an address, or what `keys_of` says about a DNS name.

Pods on the host's network have no address of their own. The node has it, and lists them (`NodeEntry.host_pods`), with
those that have a port of it.

A pod that is gone is remembered for a while, for what was seen of it may arrive late. It answers for its time alone,
and counts nowhere as a pod.
"""

from __future__ import annotations

import ipaddress
from itertools import chain
from typing import TYPE_CHECKING

from network_mapper.cluster import identity
from network_mapper.cluster.address import canonical, from_dashes
from network_mapper.cluster.applications import name_of
from network_mapper.cluster.changes import Changes, by_name
from network_mapper.cluster.control_plane import API_SERVICE
from network_mapper.cluster.dialling import reached
from network_mapper.cluster.entries import (
    FOREVER,
    Claim,
    Contested,
    Entry,
    NodeEntry,
    PodEntry,
    Port,
    ServiceEntry,
)
from network_mapper.cluster.names import (
    LONGEST_ALIAS,
    MISSING,
    OUTSIDE,
    OUTSIDE_KEY,
    AddressName,
    Missing,
    Outside,
    ServiceName,
    host_key,
    parse,
    runs_as,
    service_key,
)
from network_mapper.cluster.objects import POD

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.model import Workload

__all__ = [
    "FOREVER",
    "MISSING",
    "OUTSIDE",
    "Claim",
    "Contested",
    "Entry",
    "Index",
    "Missing",
    "NodeEntry",
    "Outside",
    "PodEntry",
    "Port",
    "ServiceEntry",
    "by_name",
    "canonical",
]


class Index(Changes):
    """The cluster as resolving sees it.

    Args:
        domain: The cluster domain.
        keys: How workloads are named.
        on_change: See below.
        control_plane_prefix: Length of the IPv4 prefix around an API server's address that is the control plane's as
            well, 16 to 32.
        remember: How long pods that are gone are remembered, milliseconds; 0 for not at all.
        remember_most: How many of them are.

    Attributes:
        domain: The cluster domain.
        keys: How workloads are named.
        on_change: Called with each key whose answer may have changed, after the index has changed.
        problems: What is wrong with the objects at present.
    """

    def __init__(
        self,
        domain: str = "cluster.local",
        keys: identity.IdentityKeys | None = None,
        on_change: Callable[[str], None] | None = None,
        *,
        control_plane_prefix: int = 32,
        remember: int = 3_600_000,
        remember_most: int = 100_000,
    ) -> None:
        super().__init__(keys or identity.IdentityKeys(), on_change, control_plane_prefix, remember, remember_most)
        self.domain = domain.strip(".").lower()

    # Addresses. All are canonical texts (`canonical`), all instants milliseconds since the epoch.

    def at(self, address: str, instant: int) -> Claim | Contested | None:
        """Who had an address.

        Returns:
            The owner, with the span around `instant` in which this answer holds; several possible owners; or None.
            Where a node and services share an address, the node: it is the only one that speaks from there. An address
            that network plugins give to a node among those of its pods is the node's, unless a pod is known to have, or
            to have had it.
        """
        held = self._by_address.get(address)
        if type(held) is Claim:
            return held if held.start <= instant < held.end else None
        return self._gateways.at(address, instant) if held is None else self._claims.at(address, instant)

    def dialled(self, address: str, port: int, protocol: str, instant: int) -> Claim | Contested | None:
        """Who is reached at an address: like `at`, but where it is shared, the port decides.

        At a node's address that is a service which has the port on all nodes, the API's service where an API server
        lives there, or the one pod on the node's network that says it listens there; `node_of` then names the node.

        Args:
            address: Canonical text.
            port: The port that was dialled.
            protocol: In lower case.
            instant: Milliseconds since the epoch.
        """
        held = self._by_address.get(address)
        if type(held) is Claim and type(held.owner) is not NodeEntry:
            if held.start <= instant < held.end:
                return held
            held = None
        if held is None and address not in self._control_plane:
            return self._gateways.at(address, instant) if address not in self._by_address else None
        return self._reached(address, port, protocol, instant)

    def node_of(self, address: str, instant: int) -> str:
        """The name of the node whose own address this was; empty where it was none's, or several nodes'."""
        nodes = {
            claim.owner.name
            for claim in self._claims.of(address)
            if isinstance(claim.owner, NodeEntry) and claim.start <= instant < claim.end
        }
        return nodes.pop() if len(nodes) == 1 else ""

    def hosted(self, host_name: str, address: str, instant: int) -> PodEntry | None:
        """The pod that had an address and this host name, also where several pods claim the address.

        Args:
            host_name: As a process of the pod sees it: `spec.hostname`, or the pod's name, which may be cut to 63
                characters.
            address: Canonical text; for a pod on its node's network the node's.
            instant: Milliseconds since the epoch.

        Returns:
            None where no pod fits, or pods of several workloads do.
        """
        found: list[PodEntry] = []
        for claim in self._claims.of(address):
            if not claim.start <= instant < claim.end:
                continue
            owner = claim.owner
            pods = (owner,) if isinstance(owner, PodEntry) else owner.host_pods if isinstance(owner, NodeEntry) else ()
            pods = tuple(pod for pod in pods if pod is owner or pod.host_network)
            found += [
                pod
                for pod in pods
                if pod.start <= instant < pod.end
                and runs_as(host_name, pod.name, pod.hostname, f"{pod.namespace}.svc.{self.domain}")
            ]
        return max(found, key=_age) if len({pod.workload for pod in found}) == 1 else None

    def is_control_plane(self, address: str) -> bool:
        """Whether an address is, or lies close to, one where the API server answers that is no pod of the cluster.

        Ask this about a client only where nobody has its address: on some clusters the API server lives on a node.
        """
        return address in self._control_plane

    def is_inside(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether an address is the cluster's own, whoever has it: then it is never the outside world.

        It is where it belongs, or did as far as is remembered, to a pod, a service or a node; where it lies in a
        node's podCIDRs or the cluster's ServiceCIDRs; and where it is a neighbour of a pod's address (the same /24,
        or /64), because not every network plugin keeps to podCIDRs and its gateways are in no object at all.
        """
        text = str(address)
        return text in self._by_address or address in self._blocks or text in self._near_pods

    def may_be_told(self, address: str, instant: int) -> bool:
        """Whether somebody may have had an address of the cluster's own at that time whom nobody has told of yet.

        Not where somebody is known to have had it then or later: who was there before is told before.
        """
        if any(claim.end > instant for claim in self._claims.of(address)) or address in self._control_plane:
            return False
        return self._gateways.at(address, instant) is None and self.is_inside(ipaddress.ip_address(address))

    # Names

    def name(self, dns_name: str, instant: int) -> Entry | Contested | Missing | Outside:
        """What a DNS name stood for.

        A service's own name, its ports' names, and a host name of its load balancer are the service. A host beneath it
        is the pod, where an endpoint with that host name, pod name or address was a pod at that time; else it is the
        service. A name made of an address alone is whoever had the address then.
        """
        meant = parse(dns_name, self.domain)
        if isinstance(meant, AddressName):
            found = self.at(meant.address, instant)
            return found.owner if isinstance(found, Claim) else found or MISSING
        if isinstance(meant, Outside):
            services = self._services.by_host(_plain(dns_name))
            return meant if not services else services[0] if len(services) == 1 else Contested(services)
        if not isinstance(meant, ServiceName):
            return meant
        service = self._services.get((meant.namespace, meant.service))
        if service is None:
            return MISSING
        if not meant.host:
            return service
        return self._host(meant, instant) or service

    def keys_of(self, dns_name: str) -> tuple[str, ...]:
        """The keys of `on_change` that concern the answer of `name` to this; none where it cannot change."""
        return self._keys_of(dns_name, LONGEST_ALIAS)

    def _keys_of(self, dns_name: str, steps: int) -> tuple[str, ...]:
        meant = parse(dns_name, self.domain)
        if isinstance(meant, AddressName):
            return (meant.address,)
        if isinstance(meant, Outside):
            name = _plain(dns_name)
            return (host_key(name),) if self._services.by_host(name) else (OUTSIDE_KEY,)
        if not isinstance(meant, ServiceName):
            return ()
        key = service_key(meant.namespace, meant.service)
        service = self._services.get((meant.namespace, meant.service))
        if service is not None and service.external_name and steps:
            return (key, *self._keys_of(service.external_name, steps - 1))
        address = from_dashes(meant.host)
        return (key,) if address is None else (key, address)

    # Objects by name

    def pod(self, namespace: str, name: str, instant: int) -> PodEntry | None:
        """The pod that had this name, and lived."""
        pod = self._pods.get((POD, namespace, name))
        if pod is not None and pod.start <= instant < pod.end:
            return pod
        for gone in reversed(self._remembered.of_name(namespace, name)):
            if gone.start <= instant < gone.end:
                return gone
        return None

    def application(self, namespace: str, name: str, instant: int) -> PodEntry | None:
        """The newest pod of an application that lived; None where there was none, or its pods are of several workloads.

        See `applications`, which tells the two apart.
        """
        found = self.applications(namespace, name, instant)
        return found[0] if len(found) == 1 else None

    def applications(self, namespace: str, name: str, instant: int) -> tuple[PodEntry, ...]:
        """Pods of an application that lived, the newest of each workload, sorted by workload.

        Args:
            namespace: Of the pods.
            name: As a service mesh has it: of the label `service.istio.io/canonical-name`, of the labels that Istio
                takes in its place, or of a workload whose pods have none of these.
            instant: Milliseconds since the epoch.
        """
        if not self._applications.is_filled:
            self._applications.fill(chain(self._pods.values(), self._remembered))
        pods = self._applications.find(namespace, name)
        if not pods and (workload := self._groups.of_name(namespace, name)) is not None:
            pods = [pod for pod in self._groups.pods(workload) if not name_of(pod)]
        newest: dict[Workload, PodEntry] = {}
        for pod in pods:
            if pod.start <= instant < pod.end and (
                pod.workload not in newest or _age(pod) > _age(newest[pod.workload])
            ):
                newest[pod.workload] = pod
        return tuple(newest[workload] for workload in sorted(newest, key=by_name))

    def service(self, namespace: str, name: str) -> ServiceEntry | None:
        """The service of that name."""
        return self._services.get((namespace, name))

    def backends_of(self, name: str, namespace: str) -> tuple[Workload, ...]:
        """The distinct workloads behind a service, sorted; `name` and `namespace` in the order of `model.Service`."""
        service = self._services.get((namespace, name))
        return service.backends if service else ()

    # Workloads

    def workloads(self) -> list[tuple[Workload, int, dict[str, str]]]:
        """Every workload with the number of its living pods and the labels of its newest pod, sorted."""
        groups = self._groups
        return [
            (workload, groups.living(workload), groups.labels(workload))
            for workload in sorted(groups.present(), key=by_name)
        ]

    def workload_named(self, namespace: str, name: str) -> Workload | None:
        """The workload of that name.

        Where several kinds share the name: the one with the most living pods, then with the most pods, then the first
        kind in the alphabet.
        """
        return self._groups.of_name(namespace, name)

    def pods_of(self, workload: Workload) -> int:
        """How many living pods a workload has."""
        return self._groups.living(workload)

    def labels_of(self, workload: Workload) -> dict[str, str]:
        """The labels of its newest pod, or of the last one that is remembered; not to be changed."""
        return self._groups.labels(workload)

    def own_workloads(self) -> frozenset[Workload]:
        """Those of which a pod, present or remembered, is a part of this program; see `own`."""
        return self._groups.own()

    def is_named(self, workload: Workload) -> bool:
        """Whether one of its pods, present or remembered, has the name from an annotation or a label."""
        return self._groups.is_named(workload)

    def version_of(self, kind: str) -> tuple[str, str] | None:
        """API group (empty for the core) and version of a kind of root owners, None when none was met."""
        return self._kinds.version_of(kind)

    # Numbers

    def nodes(self) -> list[str]:
        """The names of all nodes, sorted."""
        return sorted(self._nodes)

    def counts(self) -> dict[str, int]:
        """How many `pods`, `services`, `nodes` and `workloads` there are."""
        return {
            "pods": len(self._pods),
            "services": len(self._services),
            "nodes": len(self._nodes),
            "workloads": len(self._groups),
        }

    def namespaces(self) -> list[str]:
        """The names of all namespaces, sorted; none where the source of the objects does not list them."""
        return sorted(self._namespaces)

    @property
    def remembered(self) -> int:
        """Pods that are gone and remembered."""
        return len(self._remembered)

    @property
    def forgotten_early(self) -> int:
        """Pods that were forgotten before their time, because too many had to be remembered; since the start."""
        return self._remembered.forgotten_early

    @property
    def owner_kinds_left_out(self) -> int:
        """References to kinds of owners whose group and version are not kept: there are too many. Since the start."""
        return self._kinds.left_out

    @property
    def names_ignored(self) -> int:
        """Pods, at present, with an annotation or label for a workload's name that is empty or no name."""
        return len(self._misnamed)

    def _reached(self, address: str, port: int, protocol: str, instant: int) -> Claim | Contested | None:
        claims = self._claims.of(address)
        api = None
        if address in self._control_plane:
            service = self._services.get(API_SERVICE)
            api = service if service and service.is_api(port, protocol) else None
        if not claims and api is None:
            return self._gateways.at(address, instant)
        if any(isinstance(claim.owner, NodeEntry) for claim in claims):
            self._dialled_nodes.add(address)
        on_nodes = self._services.on_nodes(port, protocol)
        found = reached(claims, port, protocol, instant, on_nodes=on_nodes, api=api)
        owners = found.owners if isinstance(found, Contested) else (found.owner,) if found else ()
        for owner in owners:
            if isinstance(owner, ServiceEntry):
                owner.reached(address)
        return found

    def _host(self, meant: ServiceName, instant: int) -> Entry | Contested | None:
        known = self._endpoints.pod_by_host((meant.namespace, meant.service), meant.host)
        pod = self.pod(*known, instant) if known else None
        if pod is not None:
            return pod
        address = from_dashes(meant.host)
        found = self.at(address, instant) if address else None
        if isinstance(found, Claim):
            return found.owner if isinstance(found.owner, PodEntry) else None
        return found


def _age(pod: PodEntry) -> tuple[int, str]:
    return pod.start, pod.name


def _plain(dns_name: str) -> str:
    return dns_name.lower().removesuffix(".")
