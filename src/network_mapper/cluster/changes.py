"""What the index holds, and how objects change it.

The order in which objects come does not matter: what a pod is called is worked out again when its owners come, who is
behind a service when its slices and pods come, and so on. Only what is gone depends on when it went.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from network_mapper.cluster import build, identity
from network_mapper.cluster.applications import name_of
from network_mapper.cluster.backing import HEEDED_WITHIN, TOLD_WITHIN
from network_mapper.cluster.control_plane import API_SERVICE
from network_mapper.cluster.endpoints import Target
from network_mapper.cluster.holdings import Holdings
from network_mapper.cluster.kinds import Kinds
from network_mapper.cluster.lifetimes import SECOND
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
from network_mapper.cluster.roots import Roots
from network_mapper.model import Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.cluster.endpoints import ServiceKey
    from network_mapper.cluster.entries import PodEntry, ServiceEntry
    from network_mapper.model import PodSighting

_NO_NAMES = identity.OwnNames()


class Changes(Holdings):
    """The changing side of the index; `Index` documents the arguments and attributes."""

    def __init__(
        self,
        keys: identity.IdentityKeys,
        on_change: Callable[[str], None] | None,
        control_plane_prefix: int,
        remember: int,
        remember_most: int,
    ) -> None:
        super().__init__(control_plane_prefix, remember, remember_most)
        self.keys = keys
        self.on_change = on_change
        self._owners = OwnerTree()
        self._roots = Roots()
        self._own_names: dict[Key, identity.OwnNames] = {}
        self._misnamed: set[Key] = set()
        self._kinds = Kinds()
        self._namespaces: set[str] = set()

    def apply(self, kind: str, item: Object, at: int | None = None, since: int | None = None) -> None:
        """Take in an object that is new or has changed.

        Args:
            kind: `objects.group_kind`; for kinds that are not indexed the object is an `Owner`.
            item: The object. One without a name is passed over and noted in `problems`.
            at: When that was told, milliseconds since the epoch on our clock. None where it has been so for as long as
                anybody knows: from files, and from the first list of a resource.
            since: From when on it may have been so, where that is longer ago than a watch takes to tell: after a time
                in which the resource could not be watched.
        """
        meta = item.metadata
        if meta is None or not meta.name:
            self.problems.put(f"{kind} without a name", ["passed over"])
            return
        self._find_unfound(at)
        problems: list[str] = []
        namespace = ""
        if isinstance(item, Node):
            self._put_node(meta.name, build.node_entry(item, item.metadata or ObjectMeta(), problems), at)
        elif isinstance(item, ServiceCidr):
            self._inside_changed |= self._blocks.put(
                f"{kind} {meta.name}", build.blocks((item.spec and item.spec.cidrs) or (), problems)
            )
        elif isinstance(meta, ObjectMeta):
            namespace = build.namespace_of(meta, problems)
            if isinstance(item, Pod):
                self._apply_pod(item, meta, namespace, problems, at)
            elif isinstance(item, Service):
                self._put_service((namespace, meta.name), build.service_entry(item, meta, namespace, problems), at)
            elif isinstance(item, EndpointSlice | Endpoints):
                self._apply_slice((kind, namespace, meta.name), item, meta, problems)
        else:
            namespace = sys.intern(meta.namespace or "")
            owner = identity.controller(meta.owner_references)
            key = (kind, namespace, meta.name)
            if kind == NAMESPACE:
                self._namespaces.add(meta.name)
            elif owner is None:
                self._roots.put(key)
            else:
                self._roots.read(kind)
                self._roots.remove(key)
            if self._owners.put(key, self._parent(owner, namespace)):
                self._resolve_below(key)
        self.problems.put(_about(kind, namespace, meta.name), problems)
        self._tell(at, since)

    def delete(self, kind: str, namespace: str, name: str, at: int | None = None, since: int | None = None) -> None:
        """Forget an object; one that is not known is no error.

        Args:
            kind: `objects.group_kind`.
            namespace: Empty for kinds without.
            name: Of the object.
            at: When that was told, milliseconds since the epoch on our clock. A pod, service or node is then remembered
                for the time until there. None forgets it at once.
            since: As in `apply`.
        """
        self._find_unfound(at)
        key = (kind, namespace, name)
        if kind == POD:
            pod = self._pods.get(key)
            if pod is not None and at is not None:
                self._bury_pod(key, pod, self._on_clock_of(pod.node, at))
            else:
                self._put_pod(key, None)
            self._own_names.pop(key, None)
            self._misnamed.discard(key)
            self._owners.remove(key)
        elif kind == SERVICE:
            self._put_service((namespace, name), None, at)
        elif kind == NODE:
            self._put_node(name, None, at)
        elif kind in (ENDPOINT_SLICE, ENDPOINTS):
            self._touch_slices(self._endpoints.remove(key))
        elif kind == SERVICE_CIDR:
            self._inside_changed |= self._blocks.put(f"{kind} {name}", ())
        else:
            if kind == NAMESPACE:
                self._namespaces.discard(name)
            self._owners.remove(key)
            self._roots.remove(key)
        self.problems.put(_about(kind, namespace, name), [])
        self._tell(at, since)

    def listed(self, kind: str) -> None:
        """Note that all objects of a kind that may own pods have been told, even if there are none."""
        self._roots.read(kind)

    def sight(self, node: str, sighting: PodSighting, ahead: int) -> None:
        """Take in that a node saw a pod to have addresses; used where the API's times do not decide (`witnesses`).

        In what order sightings come does not matter, but that when there are too many, those that were not told of for
        the longest time are forgotten.

        Args:
            node: Who saw it.
            sighting: What it saw, with times of its own clock. They are kept so, as the API's times of a pod are on
                the clock of its node.
            ahead: By how many milliseconds that clock is ahead of ours. What we hear from then on of the end of pods of
                that node, at a time of our clock, is taken on theirs.
        """
        self._see(node, sighting, ahead)
        self._tell(None, None)

    def forget(self, now: int) -> int:
        """Forget what has been gone for as long as it is remembered; call it every few seconds.

        Args:
            now: Milliseconds since the epoch.

        Returns:
            How many pods were forgotten.
        """
        remembered = self._remembered
        before = remembered.pods
        while remembered.due(now):
            self._forget_first()
        for sighted in self._sightings.due(now - remembered.span):
            self._overlook(sighted)
        for service in list(self._storied):
            if not service.forget_history(now - remembered.span):
                del self._storied[service]
        self._tell(None, None)
        return before - remembered.pods

    # Pods

    def _apply_pod(self, pod: Pod, meta: ObjectMeta, namespace: str, problems: list[str], at: int | None) -> None:
        key = (POD, namespace, meta.name)
        old = self._pods.get(key)
        if old is not None and old.uid and meta.uid and old.uid != meta.uid:
            # A name is free only when its pod is gone, so the first one went before the second was created.
            self._bury_pod(key, old, build.created(meta, []) + SECOND)
            old = None
        if old is None:
            self._raise_pod(meta.uid)
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
        if old is not None:
            _keep_start(entry, old)
            if at is not None:
                self._keep_lost_addresses(old, entry, at)
        if old is not None and _same(entry, old, without="labels") and name_of(entry.labels) == name_of(old.labels):
            old.labels = entry.labels  # no answer about an address or a name depends on them
        else:
            self._put_pod(key, entry)
        if moved:
            self._resolve_below(key)

    # Services and nodes

    def _apply_slice(self, key: Key, item: EndpointSlice | Endpoints, meta: ObjectMeta, problems: list[str]) -> None:
        service, targets = build.slice_targets(item, meta, key[1], problems)
        if service is None:
            problems.append("names no service")
            self._touch_slices(self._endpoints.remove(key))
        else:
            self._touch_slices(self._endpoints.put(key, service, tuple(map(self._shared, targets))))

    def _shared(self, target: Target) -> Target:
        """An endpoint with the texts that its pod has."""
        pod = self._pods.get((POD, *target.pod)) if target.pod is not None else None
        if pod is None:
            return target
        addresses = pod.addresses if pod.addresses == target.addresses else target.addresses
        return Target((pod.namespace, pod.name), target.hostname, addresses)

    def _touch_slices(self, services: set[ServiceKey]) -> None:
        self._news.services(services)
        if API_SERVICE in services:
            targets = self._endpoints.targets(API_SERVICE)
            plain = (address for target in targets if target.pod is None for address in target.addresses)
            self._news.keys(self._control_plane.put(plain))

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
            self._tell_of(pod)
            self._news.services(self._endpoints.services_of(below[1:]))

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

    def _find_unfound(self, at: int | None) -> None:
        """Find who is behind services before that changes at a time that is told."""
        if at is None:
            return
        for key in self._unfound:
            service = self._services.get(key)
            if service is not None:
                _ = service.backends
        self._unfound.clear()

    def _tell(self, at: int | None, since: int | None) -> None:
        for touched in self._news.touched():
            service = self._services.get(touched)
            if service is None:
                continue
            if at is None:
                service.forget_backends()
                self._unfound.add(touched)
            else:
                earliest = at - TOLD_WITHIN if since is None else min(since, at - TOLD_WITHIN)
                if service.renew_backends(earliest, at + HEEDED_WITHIN):
                    self._storied[service] = None
            self._news.service(service)
        self._tell_inside()
        keys = self._news.take()
        if self.on_change is not None:
            for key in keys:
                self.on_change(key)


def by_name(workload: Workload) -> tuple[str, str, str]:
    """Sorts workloads as they are listed."""
    return workload.namespace, workload.name, workload.kind


def _about(kind: str, namespace: str, name: str) -> str:
    return f"{kind.partition('.')[0]} {namespace}/{name}" if namespace else f"{kind.partition('.')[0]} {name}"


def _same(new: PodEntry, old: PodEntry, without: str) -> bool:
    return all(getattr(old, field) == getattr(new, field) for field in new.__struct_fields__ if field != without)


def _keep_start(new: PodEntry, old: PodEntry) -> None:
    """Keep what was told of a pod's start: of containers that began anew the API does not say when they first did."""
    if old.start_told and not old.waits:
        new.start = min(old.start, new.start) if new.start_told else old.start
        new.start_told, new.waits = True, False
