"""Who had this address, or this name, at that time.

The index takes in objects one by one, in any order, from a snapshot or a watch, and is always the same as if it had
been built from the present objects at once. Whatever changes, `on_change` is told the keys whose answers may have
changed, so that others may keep answers: an address, or `names.service_key` for a service and all names beneath it.
`keys_of` says which keys an answer about a DNS name depends on.

Pods on the host's network have no address of their own. The node has it, and lists them (`NodeEntry.host_pods`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from network_mapper.cluster import build, identity
from network_mapper.cluster.address import canonical, from_dashes
from network_mapper.cluster.blocks import Blocks, around
from network_mapper.cluster.claims import Claims
from network_mapper.cluster.endpoints import EndpointTable, ServiceKey
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
from network_mapper.cluster.groups import Groups
from network_mapper.cluster.names import (
    MISSING,
    OUTSIDE,
    AddressName,
    Missing,
    Outside,
    ServiceName,
    parse,
    service_key,
)
from network_mapper.cluster.objects import (
    ENDPOINT_SLICE,
    ENDPOINTS,
    NODE,
    POD,
    SERVICE,
    SERVICE_CIDR,
    Endpoints,
    EndpointSlice,
    Node,
    Object,
    ObjectMeta,
    OwnerReference,
    Pod,
    Service,
    ServiceCidr,
    group_kind,
)
from network_mapper.cluster.owners import Key, OwnerTree
from network_mapper.cluster.problems import Problems
from network_mapper.model import Workload

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable, Iterable


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
    "canonical",
]


_NAMED = 3
"""Pods that a problem about their address names."""


class Index:
    """The cluster as resolving sees it.

    Attributes:
        domain: The cluster domain.
        keys: Where teams write the names of their workloads.
        on_change: Called with each key whose answer may have changed, after the index has changed.
        problems: What is wrong with the objects at present.
    """

    def __init__(
        self,
        domain: str = "cluster.local",
        keys: identity.IdentityKeys | None = None,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self.domain = domain.strip(".").lower()
        self.keys = keys or identity.IdentityKeys()
        self.on_change = on_change
        self.problems = Problems()
        self._claims = Claims()
        self._by_address = self._claims.by_address
        self._pods: dict[Key, PodEntry] = {}
        self._services: dict[ServiceKey, ServiceEntry] = {}
        self._nodes: dict[str, NodeEntry] = {}
        self._host_pods: dict[str, dict[Key, PodEntry]] = {}
        self._endpoints = EndpointTable()
        self._owners = OwnerTree()
        self._given: dict[Key, str] = {}
        self._groups = Groups()
        self._blocks = Blocks()
        self._changed: set[str] = set()

    # Questions

    def at(self, address: str, instant: int) -> Claim | Contested | None:
        """Who had an address.

        Args:
            address: Canonical text (`canonical`).
            instant: Milliseconds since the epoch.

        Returns:
            The owner, with the span around `instant` in which this answer holds; several possible owners; or None.
            Where a node and services share an address, the node: it is the only one that speaks from there.
        """
        held = self._by_address.get(address)
        if type(held) is Claim:
            return held if held.start <= instant < held.end else None
        return None if held is None else self._claims.at(address, instant)

    def dialled(self, address: str, port: int, protocol: str, instant: int) -> Claim | Contested | None:
        """Who is reached at an address: like `at`, but where services share it, the port decides.

        Args:
            address: Canonical text.
            port: The port that was dialled.
            protocol: In lower case.
            instant: Milliseconds since the epoch.
        """
        held = self._by_address.get(address)
        if held is None or type(held) is Claim:
            return self.at(address, instant)
        return self._claims.services(address, port, protocol, instant) or self._claims.at(address, instant)

    def name(self, dns_name: str, instant: int) -> Entry | Contested | Missing | Outside:
        """What a DNS name stood for.

        A service's own name, and its ports' names, are the service. A host beneath it is the pod, where an endpoint
        with that host name, pod name or address was a pod at that time; else it is the service. A name made of an
        address alone is whoever had the address then.
        """
        meant = parse(dns_name, self.domain)
        if isinstance(meant, AddressName):
            found = self.at(meant.address, instant)
            return found.owner if isinstance(found, Claim) else found or MISSING
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
        meant = parse(dns_name, self.domain)
        if isinstance(meant, AddressName):
            return (meant.address,)
        if not isinstance(meant, ServiceName):
            return ()
        key = service_key(meant.namespace, meant.service)
        address = from_dashes(meant.host)
        return (key,) if address is None else (key, address)

    def is_inside(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether an address lies in a block from which pods or services get theirs, whoever has it.

        The blocks are the nodes' podCIDRs and the cluster's ServiceCIDRs; not every network plugin uses the former,
        and clusters before Kubernetes 1.33 have none of the latter.
        """
        return address in self._blocks

    def workloads(self) -> list[tuple[Workload, int, dict[str, str]]]:
        """Every workload with the number of its living pods and the labels of its newest pod, sorted."""
        newest: dict[Workload, PodEntry] = {}
        for pod in self._pods.values():
            held = newest.get(pod.workload)
            if held is None or (pod.start, pod.name) > (held.start, held.name):
                newest[pod.workload] = pod
        return [
            (workload, self._groups.living(workload), newest[workload].labels)
            for workload in sorted(newest, key=_by_name)
        ]

    def pods_of(self, workload: Workload) -> int:
        """How many living pods a workload has."""
        return self._groups.living(workload)

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

    # Changes

    def apply(self, kind: str, item: Object) -> None:
        """Take in an object that is new or has changed.

        Args:
            kind: `objects.group_kind`; for kinds that are not indexed the object is an `Owner`.
            item: The object. One without a name is passed over and noted in `problems`.
        """
        meta = item.metadata
        if meta is None or not meta.name:
            self.problems.put(f"{kind} without a name", ["passed over"])
            return
        problems: list[str] = []
        namespace = ""
        if isinstance(item, Node):
            self._apply_node(item, item.metadata or ObjectMeta(), problems)
        elif isinstance(item, ServiceCidr):
            self._blocks.put(f"{kind} {meta.name}", build.blocks((item.spec and item.spec.cidrs) or (), problems))
        elif isinstance(meta, ObjectMeta):
            namespace = build.namespace_of(meta, problems)
            if isinstance(item, Pod):
                self._apply_pod(item, meta, namespace, problems)
            elif isinstance(item, Service):
                self._put_service((namespace, meta.name), build.service_entry(item, meta, namespace, problems))
            elif isinstance(item, EndpointSlice | Endpoints):
                self._apply_slice((kind, namespace, meta.name), item, meta, problems)
        else:
            namespace = sys.intern(meta.namespace or "")
            self._set_owner((kind, namespace, meta.name), meta.owner_references)
        self.problems.put(_about(kind, namespace, meta.name), problems)
        self._tell()

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Forget an object; one that is not known is no error. `namespace` is empty for kinds without."""
        key = (kind, namespace, name)
        if kind == POD:
            self._put_pod(key, None)
            self._given.pop(key, None)
            self._owners.remove(key)
        elif kind == SERVICE:
            self._put_service((namespace, name), None)
        elif kind == NODE:
            self._put_node(name, None)
        elif kind in (ENDPOINT_SLICE, ENDPOINTS):
            self._touch_services(self._endpoints.remove(key))
        elif kind == SERVICE_CIDR:
            self._blocks.put(f"{kind} {name}", ())
        else:
            self._owners.remove(key)
        self.problems.put(_about(kind, namespace, name), [])
        self._tell()

    def _apply_pod(self, pod: Pod, meta: ObjectMeta, namespace: str, problems: list[str]) -> None:
        key = (POD, namespace, meta.name)
        name = identity.given_name(meta, self.keys, problems)
        owner = identity.controller(meta.owner_references)
        if owner is not None and owner.kind == NODE:  # a static pod: it owns itself, the node only runs it
            name = name or identity.static_name(meta.name, owner.name)
            owner = None
        renamed = self._given.get(key) != name
        if name is None:
            self._given.pop(key, None)
        else:
            self._given[key] = name
        moved = self._owners.put(key, _parent(owner, namespace))
        old = self._pods.get(key)
        workload = old.workload if old and not renamed and not moved else self._workload(key)
        entry = build.pod_entry(pod, meta, namespace, workload, problems)
        self._share_labels(entry, owner, old)
        if not _same(entry, old):
            self._put_pod(key, entry)
        if moved:
            self._resolve_below(key)

    def _apply_node(self, node: Node, meta: ObjectMeta, problems: list[str]) -> None:
        self._put_node(meta.name, build.node_entry(node, meta, problems))

    def _apply_slice(self, key: Key, item: EndpointSlice | Endpoints, meta: ObjectMeta, problems: list[str]) -> None:
        service, targets = build.slice_targets(item, meta, key[1], problems)
        if service is None:
            problems.append("names no service")
            self._touch_services(self._endpoints.remove(key))
        else:
            self._touch_services(self._endpoints.put(key, service, targets))

    def _put_pod(self, key: Key, new: PodEntry | None) -> None:
        """Replace a pod's entry, or remove it, with all that depends on it."""
        old = self._pods.pop(key, None)
        for entry, adding in ((old, False), (new, True)):
            if entry is None:
                continue
            if adding:
                self._groups.add(entry)
            else:
                self._groups.remove(entry)
            if entry.host_network:
                self._put_host_pod(key, entry, adding=adding)
                continue
            for address in entry.addresses:
                if adding:
                    self._claims.add(address, Claim(entry, entry.start, entry.end))
                else:
                    self._claims.remove(address, entry)
                self._touch_address(address)
        if new is not None:
            self._pods[key] = new
        if old is not None or new is not None:
            self._touch_services(self._endpoints.services_of(key[1:]))

    def _put_host_pod(self, key: Key, entry: PodEntry, *, adding: bool) -> None:
        pods = self._host_pods.setdefault(entry.node, {})
        if adding:
            pods[key] = entry
        else:
            del pods[key]
        node = self._nodes.get(entry.node)
        if node is not None:
            node.host_pods = _sorted_pods(pods)
            for address in node.addresses:
                self._touch_address(address)
        if not pods:
            del self._host_pods[entry.node]

    def _put_service(self, key: ServiceKey, new: ServiceEntry | None) -> None:
        if new is not None and new == self._services.get(key):
            return
        old = self._services.pop(key, None)
        if old is not None:
            for address in old.addresses:
                self._claims.remove(address, old)
                self._touch_address(address)
        api_server = new if new is not None and new.is_api_server else None
        if api_server or (old is not None and old.is_api_server):
            self._blocks.put(f"{SERVICE} {key}", around(api_server.addresses) if api_server else ())
        if new is not None:
            new.find_backends_with(self._backends)
            self._services[key] = new
            for address in new.addresses:
                self._claims.add(address, Claim(new, new.start, FOREVER))
                self._touch_address(address)
        if old is not None or new is not None:
            self._changed.add(service_key(*key))

    def _put_node(self, name: str, new: NodeEntry | None) -> None:
        if new is not None and _same(new, self._nodes.get(name), without="host_pods"):
            return
        old = self._nodes.pop(name, None)
        if old is not None:
            for address in old.addresses:
                self._claims.remove(address, old)
                self._touch_address(address)
        if new is not None:
            new.host_pods = _sorted_pods(self._host_pods.get(name, {}))
            self._nodes[name] = new
            for address in new.addresses:
                self._claims.add(address, Claim(new, new.start, FOREVER))
                self._touch_address(address)
        self._blocks.put(f"{NODE} {name}", new.pod_cidrs if new else ())

    # Who a pod is

    def _set_owner(self, key: Key, references: list[OwnerReference] | None) -> None:
        if self._owners.put(key, _parent(identity.controller(references), key[1])):
            self._resolve_below(key)

    def _resolve_below(self, key: Key) -> None:
        for below in self._owners.below(key):
            pod = self._pods.get(below)
            if pod is None:
                continue
            workload = self._workload(below)
            if workload == pod.workload:
                continue
            self._groups.remove(pod)
            pod.workload = workload
            self._groups.add(pod)
            self._touch_pod(below, pod)

    def _workload(self, key: Key) -> Workload:
        kind, _, name = self._owners.root(key)
        return self._groups.shared(Workload(self._given.get(key, name), key[1], kind.partition(".")[0]))

    def _share_labels(self, entry: PodEntry, owner: OwnerReference | None, old: PodEntry | None) -> None:
        """Take the labels of a pod of the same owner where they are equal: most of a cluster's labels are."""
        sibling = old or self._sibling(entry, owner)
        if sibling is None:
            return
        if sibling.labels == entry.labels:
            entry.labels = sibling.labels
        if sibling.ports == entry.ports:
            entry.ports = sibling.ports

    def _sibling(self, entry: PodEntry, owner: OwnerReference | None) -> PodEntry | None:
        parent = _parent(owner, entry.namespace)
        for key in self._owners.children(parent) if parent else ():
            if (pod := self._pods.get(key)) is not None:
                return pod
        return None

    # Who is behind a service

    def _backends(self, service: ServiceEntry) -> tuple[Workload, ...]:
        found: set[Workload] = set()
        for target in self._endpoints.targets((service.namespace, service.name)):
            if target.pod is not None:
                pod = self._pods.get((POD, *target.pod))
                if pod is not None:
                    found.add(pod.workload)
                continue
            for address in target.addresses:
                pods = self._claims.living_pods(address, 2)
                if len(pods) == 1:
                    found.add(pods[0].workload)
        return tuple(sorted(found, key=_by_name))

    def _host(self, meant: ServiceName, instant: int) -> Entry | Contested | None:
        key = (meant.namespace, meant.service)
        known = self._endpoints.pod_by_host(key, meant.host)
        pod = self._pods.get((POD, *known)) if known else None
        if pod is not None and pod.start <= instant < pod.end:
            return pod
        address = from_dashes(meant.host)
        found = self.at(address, instant) if address else None
        if isinstance(found, Claim):
            return found.owner if isinstance(found.owner, PodEntry) else None
        return found

    # Telling others

    def _touch_pod(self, key: Key, pod: PodEntry) -> None:
        addresses = pod.addresses
        if pod.host_network:
            node = self._nodes.get(pod.node)
            addresses = node.addresses if node else ()
        for address in addresses:
            self._touch_address(address)
        self._touch_services(self._endpoints.services_of(key[1:]))

    def _touch_address(self, address: str) -> None:
        self._changed.add(address)
        self._touch_services(self._endpoints.services_of(address))
        pods = self._claims.living_pods(address, _NAMED + 1)
        causes = []
        if len(pods) > 1:
            names = ", ".join(f"{pod.namespace}/{pod.name}" for pod in pods[:_NAMED])
            causes.append(f"claimed by {names}" + (" and others" if len(pods) > _NAMED else ""))
        self.problems.put(f"address {address}", causes)

    def _touch_services(self, keys: Iterable[ServiceKey]) -> None:
        for key in keys:
            service = self._services.get(key)
            if service is not None:
                service.forget_backends()
                self._changed.update(service.addresses)
                self._changed.add(service_key(*key))

    def _tell(self) -> None:
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        if self.on_change is not None:
            for key in changed:
                self.on_change(key)


def _parent(owner: OwnerReference | None, namespace: str) -> Key | None:
    return None if owner is None else (group_kind(owner.api_version, owner.kind), namespace, owner.name)


def _about(kind: str, namespace: str, name: str) -> str:
    return f"{kind.partition('.')[0]} {namespace}/{name}" if namespace else f"{kind.partition('.')[0]} {name}"


def _by_name(workload: Workload) -> tuple[str, str, str]:
    return workload.namespace, workload.name, workload.kind


def _same(new: PodEntry | NodeEntry, old: PodEntry | NodeEntry | None, without: str = "") -> bool:
    return old is not None and all(
        getattr(old, field) == getattr(new, field) for field in new.__struct_fields__ if field != without
    )


def _sorted_pods(pods: dict[Key, PodEntry]) -> tuple[PodEntry, ...]:
    return tuple(pods[key] for key in sorted(pods))
