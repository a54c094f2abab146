"""What the index holds, and how objects change it.

The order in which objects come does not matter: what a pod is called is worked out again when its owners come, who is
behind a service when its slices and pods come, and so on. Only what is gone depends on when it went.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from network_mapper.cluster import build, identity
from network_mapper.cluster.applications import Applications, name_of
from network_mapper.cluster.blocks import Blocks, Neighbourhoods, around
from network_mapper.cluster.claims import Claims
from network_mapper.cluster.control_plane import API_SERVICE, ControlPlane
from network_mapper.cluster.endpoints import EndpointTable, ServiceKey
from network_mapper.cluster.entries import FOREVER, Claim, NodeEntry, PodEntry, ServiceEntry
from network_mapper.cluster.groups import Groups
from network_mapper.cluster.kinds import Kinds
from network_mapper.cluster.names import OUTSIDE_KEY, host_key, service_key
from network_mapper.cluster.news import News
from network_mapper.cluster.objects import (
    ENDPOINT_SLICE,
    ENDPOINTS,
    NAMESPACE,
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
from network_mapper.cluster.remembered import Remembered
from network_mapper.cluster.services import ServiceTable
from network_mapper.model import Workload

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_NAMES = identity.OwnNames()


class Changes:
    """The changing side of the index; `Index` documents the arguments and attributes."""

    def __init__(
        self,
        keys: identity.IdentityKeys,
        on_change: Callable[[str], None] | None,
        control_plane_prefix: int,
        remember: int,
        remember_most: int,
    ) -> None:
        self.keys = keys
        self.on_change = on_change
        self.problems = Problems()
        self._claims = Claims()
        self._by_address = self._claims.by_address
        self._gateways = Claims()
        """What nodes have where nobody else does."""
        self._pods: dict[Key, PodEntry] = {}
        self._remembered = Remembered(remember, remember_most)
        self._services = ServiceTable()
        self._nodes: dict[str, NodeEntry] = {}
        self._host_pods: dict[str, list[PodEntry]] = {}
        self._endpoints = EndpointTable()
        self._owners = OwnerTree()
        self._own_names: dict[Key, identity.OwnNames] = {}
        self._misnamed: set[Key] = set()
        self._groups = Groups()
        self._applications = Applications()
        self._kinds = Kinds()
        self._blocks = Blocks()
        self._near_pods = Neighbourhoods()
        self._control_plane = ControlPlane(control_plane_prefix)
        self._dialled_nodes: set[str] = set()
        self._namespaces: set[str] = set()
        self._news = News(self._claims, self._endpoints, self._services, self.problems)

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
            self._put_node(meta.name, build.node_entry(item, item.metadata or ObjectMeta(), problems))
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
            owner = identity.controller(meta.owner_references)
            key = (kind, namespace, meta.name)
            if kind == NAMESPACE:
                self._namespaces.add(meta.name)
            if self._owners.put(key, self._parent(owner, namespace)):
                self._resolve_below(key)
        self.problems.put(_about(kind, namespace, meta.name), problems)
        self._tell()

    def delete(self, kind: str, namespace: str, name: str, at: int | None = None) -> None:
        """Forget an object; one that is not known is no error.

        Args:
            kind: `objects.group_kind`.
            namespace: Empty for kinds without.
            name: Of the object.
            at: When it went, milliseconds since the epoch. A pod is then remembered for the time until there. None
                forgets it at once.
        """
        key = (kind, namespace, name)
        if kind == POD:
            pod = self._pods.get(key)
            if pod is not None and at is not None:
                self._bury(key, pod, at)
            else:
                self._put_pod(key, None)
            self._own_names.pop(key, None)
            self._misnamed.discard(key)
            self._owners.remove(key)
        elif kind == SERVICE:
            self._put_service((namespace, name), None)
        elif kind == NODE:
            self._put_node(name, None)
        elif kind in (ENDPOINT_SLICE, ENDPOINTS):
            self._touch_slices(self._endpoints.remove(key))
        elif kind == SERVICE_CIDR:
            self._blocks.put(f"{kind} {name}", ())
        else:
            if kind == NAMESPACE:
                self._namespaces.discard(name)
            self._owners.remove(key)
        self.problems.put(_about(kind, namespace, name), [])
        self._tell()

    def forget(self, now: int) -> int:
        """Forget the pods that have been gone for as long as they are remembered; call it every few seconds.

        Args:
            now: Milliseconds since the epoch.

        Returns:
            How many were forgotten.
        """
        found = list(self._remembered.due(now))
        for pod in found:
            self._forget_pod(pod)
        self._tell()
        return len(found)

    # Pods

    def _apply_pod(self, pod: Pod, meta: ObjectMeta, namespace: str, problems: list[str]) -> None:
        key = (POD, namespace, meta.name)
        old = self._pods.get(key)
        if old is not None and old.uid and meta.uid and old.uid != meta.uid:
            # A name is free only when its pod is gone, so the first one went before the second was created.
            self._bury(key, old, build.created(meta, []) + build.SECOND)
            old = None
        known = len(problems)
        names = identity.own_names(pod, meta, self.keys, problems)
        if len(problems) > known:
            self._misnamed.add(key)
        else:
            self._misnamed.discard(key)
        renamed = self._own_names.get(key, _NO_NAMES) != names
        if names == _NO_NAMES:
            self._own_names.pop(key, None)
        else:
            self._own_names[key] = names
        owner = identity.controller(meta.owner_references)
        if owner is not None and owner.kind == NODE:  # a static pod: it owns itself, the node only runs it
            owner = None
        moved = self._owners.put(key, self._parent(owner, namespace))
        workload = old.workload if old and not renamed and not moved else self._workload(key)
        entry = build.pod_entry(pod, meta, namespace, workload, problems, named=bool(names.given))
        self._share_labels(entry, owner, old)
        if old is not None and _same(entry, old, without="labels") and name_of(entry) == name_of(old):
            old.labels = entry.labels  # no answer about an address or a name depends on them
        else:
            self._put_pod(key, entry)
        if moved:
            self._resolve_below(key)

    def _put_pod(self, key: Key, new: PodEntry | None) -> None:
        """Replace a pod's entry, or remove it, with all that depends on it."""
        old = self._pods.pop(key, None)
        if old is not None:
            self._groups.remove(old)
            self._release(old)
        if new is not None:
            self._groups.add(new)
            self._hold(new)
            self._pods[key] = new
        if old is not None or new is not None:
            self._news.services(self._endpoints.services_of(key[1:]))

    def _bury(self, key: Key, pod: PodEntry, end: int) -> None:
        """Take a pod out of the present and remember that it had its addresses until `end`."""
        self._put_pod(key, None)
        if not pod.addresses or not self._remembered.is_on:
            return
        # The clock of the one who says when it went may be behind that of the API server: it lived for a moment.
        gone = msgspec.structs.replace(pod, end=min(pod.end, max(end, pod.start + build.SECOND)))
        self._remembered.add(gone)
        self._groups.bury(gone)
        self._hold(gone)
        for oldest in self._remembered.too_many():
            self._forget_pod(oldest)

    def _forget_pod(self, gone: PodEntry) -> None:
        self._groups.forget(gone)
        self._release(gone)
        self._news.services(self._endpoints.services_of((gone.namespace, gone.name)))

    def _hold(self, pod: PodEntry) -> None:
        """Let a pod, present or gone, have its addresses."""
        self._applications.add(pod)
        if pod.host_network:
            self._host_pods.setdefault(pod.node, []).append(pod)
            self._share_node(pod.node)
            return
        if pod.node_ports:
            self._host_pods.setdefault(pod.node, []).append(pod)
            self._share_node(pod.node)
        for address in pod.addresses:
            self._claims.add(address, Claim(pod, pod.start, pod.end))
            self._near_pods.add(address)
            self._news.address(address)

    def _release(self, pod: PodEntry) -> None:
        """Take a pod's addresses back."""
        self._applications.remove(pod)
        if pod.host_network:
            self._host_pods[pod.node].remove(pod)
            self._share_node(pod.node)
            return
        if pod.node_ports:
            self._host_pods[pod.node].remove(pod)
            self._share_node(pod.node)
        for address in pod.addresses:
            self._claims.remove(address, pod)
            self._near_pods.remove(address)
            self._news.address(address)

    def _share_node(self, name: str) -> None:
        """Tell a node which pods share its addresses or have ports of it."""
        pods = self._host_pods[name]
        node = self._nodes.get(name)
        if node is not None:
            node.host_pods = _sorted_pods(pods)
            for address in (*node.addresses, *node.gateways):
                self._news.address(address)
        if not pods:
            del self._host_pods[name]

    # Services and nodes

    def _apply_slice(self, key: Key, item: EndpointSlice | Endpoints, meta: ObjectMeta, problems: list[str]) -> None:
        service, targets = build.slice_targets(item, meta, key[1], problems)
        if service is None:
            problems.append("names no service")
            self._touch_slices(self._endpoints.remove(key))
        else:
            self._touch_slices(self._endpoints.put(key, service, targets))

    def _touch_slices(self, services: set[ServiceKey]) -> None:
        self._news.services(services)
        if API_SERVICE in services:
            targets = self._endpoints.targets(API_SERVICE)
            plain = (address for target in targets if target.pod is None for address in target.addresses)
            self._news.keys(self._control_plane.put(plain))

    def _put_service(self, key: ServiceKey, new: ServiceEntry | None) -> None:
        if new is not None and new == self._services.get(key):
            return
        old = self._services.put(key, new)
        if old is not None:
            for address in old.addresses:
                self._claims.remove(address, old)
                self._news.address(address)
        if new is not None:
            new.find_backends_with(self._backends)
            for address in new.addresses:
                self._claims.add(address, Claim(new, new.start, FOREVER))
                self._news.address(address)
        if old is not None or new is not None:
            self._touch_ways(key, old, new)
        if key == API_SERVICE:
            self._blocks.put(f"{SERVICE} {key}", around(new.addresses) if new else ())

    def _touch_ways(self, key: ServiceKey, old: ServiceEntry | None, new: ServiceEntry | None) -> None:
        """Tell all that leads to a service besides its addresses."""
        self._news.keys((service_key(*key),))
        hosts = set(old.hostnames if old else ())
        opened = set(new.hostnames if new else ()) - hosts
        self._news.keys(host_key(host) for host in hosts | opened)
        if opened:
            self._news.keys((OUTSIDE_KEY,))
        if (old is not None and old.on_nodes) or (new is not None and new.on_nodes):
            self._news.keys(self._dialled_nodes)
            self._dialled_nodes.clear()
        if key == API_SERVICE:
            self._news.keys(self._control_plane.addresses())

    def _put_node(self, name: str, new: NodeEntry | None) -> None:
        if new is not None and _same(new, self._nodes.get(name), without="host_pods"):
            return
        old = self._nodes.pop(name, None)
        if old is not None:
            for address in old.addresses:
                self._claims.remove(address, old)
                self._news.address(address)
            for address in old.gateways:
                self._gateways.remove(address, old)
                self._news.address(address)
        if new is not None:
            new.host_pods = _sorted_pods(self._host_pods.get(name, []))
            self._nodes[name] = new
            for address in new.addresses:
                self._claims.add(address, Claim(new, new.start, FOREVER))
                self._news.address(address)
            for address in new.gateways:
                self._gateways.add(address, Claim(new, new.start, FOREVER))
                self._news.address(address)
        self._blocks.put(f"{NODE} {name}", new.pod_cidrs if new else ())

    # Who a pod is

    def _parent(self, owner: OwnerReference | None, namespace: str) -> Key | None:
        if owner is None:
            return None
        self._kinds.learn(owner)
        return group_kind(owner.api_version, owner.kind), namespace, owner.name

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
        root = self._owners.root(key)
        kind = root[0].partition(".")[0]
        names = self._own_names.get(key, _NO_NAMES)
        name = names.given
        if not name and kind == identity.JOB:
            name = names.images
        if not name and root == key:
            name = names.own
        return self._groups.shared(Workload(name or root[2], key[1], kind))

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
        parent = self._parent(owner, entry.namespace)
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
        return tuple(sorted(found, key=by_name))

    # Telling others

    def _touch_pod(self, key: Key, pod: PodEntry) -> None:
        addresses = pod.addresses
        if pod.host_network or pod.node_ports:
            node = self._nodes.get(pod.node)
            addresses += (*node.addresses, *node.gateways) if node else ()
        for address in addresses:
            self._news.address(address)
        self._news.services(self._endpoints.services_of(key[1:]))

    def _tell(self) -> None:
        keys = self._news.take()
        if self.on_change is not None:
            for key in keys:
                self.on_change(key)


def by_name(workload: Workload) -> tuple[str, str, str]:
    """Sorts workloads as they are listed."""
    return workload.namespace, workload.name, workload.kind


def _about(kind: str, namespace: str, name: str) -> str:
    return f"{kind.partition('.')[0]} {namespace}/{name}" if namespace else f"{kind.partition('.')[0]} {name}"


def _same(new: PodEntry | NodeEntry, old: PodEntry | NodeEntry | None, without: str = "") -> bool:
    return old is not None and all(
        getattr(old, field) == getattr(new, field) for field in new.__struct_fields__ if field != without
    )


def _sorted_pods(pods: list[PodEntry]) -> tuple[PodEntry, ...]:
    return tuple(sorted(pods, key=lambda pod: (pod.namespace, pod.name, pod.start)))
