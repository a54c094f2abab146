"""What pods, services and nodes hold, and how they come to it and leave it.

Whoever goes, at a time that is told, is remembered with what it held until then (`remembered`). One that goes on but
gives something up, such as a service that loses an address, is remembered with that alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.cluster.address import canonical
from network_mapper.cluster.applications import Applications
from network_mapper.cluster.blocks import Blocks, Neighbourhoods, around
from network_mapper.cluster.claims import Claims, holds
from network_mapper.cluster.control_plane import API_SERVICE, ControlPlane
from network_mapper.cluster.endpoints import EndpointTable, ServiceKey
from network_mapper.cluster.entries import Claim, NodeEntry, PodEntry, ServiceEntry
from network_mapper.cluster.groups import Groups
from network_mapper.cluster.lifetimes import SECOND
from network_mapper.cluster.names import OUTSIDE_KEY, host_key, service_key
from network_mapper.cluster.news import News
from network_mapper.cluster.objects import NODE, SERVICE
from network_mapper.cluster.problems import Problems
from network_mapper.cluster.remembered import Remembered
from network_mapper.cluster.sightings import Sighted, Sightings
from network_mapper.cluster.spans import ALWAYS

if TYPE_CHECKING:
    from network_mapper.cluster.entries import Entry
    from network_mapper.cluster.owners import Key
    from network_mapper.model import PodSighting, Workload

_MOST_ADDRESSES: Final = 16
"""Of a pod, in a sighting."""
_MOST_CLOCKS: Final = 10_000
_LONGEST: Final = 253
"""Characters of a name, as of any in Kubernetes."""


class Holdings:
    """Who is there, who was, and what they hold."""

    def __init__(self, control_plane_prefix: int, remember: int, remember_most: int) -> None:
        self.problems = Problems()
        self._remembered = Remembered(remember, remember_most)
        self._sightings = Sightings()
        self._ahead: dict[str, int] = {}
        self._claims = Claims(self._remembered, self._doubted_until)
        self._by_key = self._claims.by_key
        self._pods: dict[Key, PodEntry] = {}
        self._by_uid: dict[str, PodEntry] = {}
        self._services: dict[ServiceKey, ServiceEntry] = {}
        self._storied: dict[ServiceEntry, None] = {}
        """Services with a history."""
        self._unfound: set[ServiceKey] = set()
        """Services whose backends have not been looked for since they may have changed."""
        self._nodes: dict[str, NodeEntry] = {}
        self._addresses_of_node: dict[str, dict[str, int]] = {}
        """All that a node has, or had as far as is remembered, counted."""
        self._endpoints = EndpointTable()
        self._groups = Groups()
        self._applications = Applications()
        self._blocks = Blocks()
        self._near_pods = Neighbourhoods()
        self._inside_changed = False
        """Other addresses may be the cluster's own than when this was last told."""
        self._control_plane = ControlPlane(control_plane_prefix)
        self._dialled_nodes: set[str] = set()
        self._news = News(self._claims, self._endpoints, self._services, self.problems)

    # Pods

    def _put_pod(self, key: Key, new: PodEntry | None) -> None:
        """Replace a pod's entry, or remove it, with all that depends on it."""
        old = self._pods.pop(key, None)
        if old is not None:
            self._groups.remove(old)
            self._applications.remove(old)
            if self._by_uid.get(old.uid) is old:
                del self._by_uid[old.uid]
            self._give_up(old)
        if new is not None:
            self._groups.add(new)
            self._applications.add(new)
            if new.uid:
                self._by_uid[new.uid] = new
            self._take_up(new)
            self._pods[key] = new
        if old is not None or new is not None:
            self._news.services(self._endpoints.services_of(key[1:]))

    def _take_up(self, pod: PodEntry) -> None:
        if not pod.waits:
            for key in holds(pod):
                self._claims.add(key, pod)
        if not pod.host_network:
            for address in pod.addresses:
                self._inside_changed |= self._near_pods.add(address)
        self._tell_of(pod)

    def _give_up(self, pod: PodEntry) -> None:
        if not pod.waits:
            for key in holds(pod):
                self._claims.remove(key, pod)
        if not pod.host_network:
            for address in pod.addresses:
                self._inside_changed |= self._near_pods.remove(address)
        self._tell_of(pod)

    def _tell_of(self, pod: PodEntry) -> None:
        """Tell everything that leads to a pod."""
        if not pod.host_network:
            for address in pod.addresses:
                self._news.address(address)
        if pod.host_network or pod.node_ports:
            for address in self._addresses_of_node.get(pod.node, ()):
                self._news.address(address)
        for address in self._sightings.addresses_of(pod.uid):
            self._news.address(address)

    def _bury_pod(self, key: Key, pod: PodEntry, end: int) -> None:
        """Take a pod out of the present and remember that it had its addresses until `end`."""
        self._put_pod(key, None)
        if not (pod.addresses or pod.uid) or not self._remembered.is_on:
            return
        traits = self._groups.traits(pod)
        self._groups.bury(traits)
        # The clock of the one who says when it went may be behind: it lived for a moment.
        end = pod.end if pod.end_told else min(pod.end, max(end, pod.start + SECOND))
        number = self._remembered.add(pod, end, traits)
        self._applications.bury(number, traits)
        self._keep(number)

    def _raise_pod(self, uid: str) -> None:
        """A pod that was said to be gone is not."""
        number = self._remembered.of_uid(uid) if uid else None
        if number is not None:
            self._release(number)
            self._remembered.drop(number)

    def _keep_lost_addresses(self, old: PodEntry, new: PodEntry, at: int) -> None:
        """Remember that a pod had addresses which it has no longer."""
        lost = tuple(address for address in old.addresses if address not in new.addresses)
        if lost and not old.host_network and not old.waits and self._remembered.is_on:
            end = new.end if new.end_told else max(self._on_clock_of(old.node, at), old.start + SECOND)
            traits = self._groups.traits(old)
            self._keep(self._remembered.add(old, end, traits, keys=lost))

    def _on_clock_of(self, node: str, at: int) -> int:
        """An instant of our clock as a node's clock shows it."""
        return at + self._ahead.get(node, 0)

    # Services

    def _put_service(self, key: ServiceKey, new: ServiceEntry | None, at: int | None) -> None:
        old = self._services.get(key)
        if new is not None and new == old:
            return
        same = old is not None and new is not None and (old.uid == new.uid or not (old.uid and new.uid))
        if old is not None:
            del self._services[key]
            for held in holds(old):
                self._claims.remove(held, old)
            for address in old.addresses:
                self._news.address(address)
        if new is not None:
            new.find_backends_with(self._backends)
            self._services[key] = new
            for held in holds(new):
                self._claims.add(held, new)
            for address in new.addresses:
                self._news.address(address)
            if same and old is not None:
                new.succeed(old)
                if self._storied.pop(old, 0) is None:
                    self._storied[new] = None
            else:
                self._unfound.add(key)
        if old is not None:
            end = new.start + SECOND if new is not None and not same else at
            if end is not None:
                self._bury_service(old, max(end, old.start + SECOND), new if same else None)
        if old is not None or new is not None:
            self._tell_ways(key, old, new)
        if key == API_SERVICE:
            self._inside_changed |= self._blocks.put(f"{SERVICE} {key}", around(new.addresses) if new else ())

    def _bury_service(self, old: ServiceEntry, end: int, heir: ServiceEntry | None) -> None:
        """Remember a service, or what one that lives on as `heir` holds no longer."""
        keys = None if heir is None else _lost(old, heir)
        if keys == () or not self._remembered.is_on:
            return
        old.stop(end)
        self._keep(self._remembered.add(old, end, keys=keys))

    def _tell_ways(self, key: ServiceKey, old: ServiceEntry | None, new: ServiceEntry | None) -> None:
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

    def _backends(self, service: ServiceEntry) -> tuple[Workload, ...]:
        raise NotImplementedError

    # Nodes

    def _put_node(self, name: str, new: NodeEntry | None, at: int | None) -> None:
        old = self._nodes.get(name)
        if new is not None and old is not None and msgspec.structs.astuple(new) == msgspec.structs.astuple(old):
            return
        same = old is not None and new is not None and (old.uid == new.uid or not (old.uid and new.uid))
        if old is not None:
            del self._nodes[name]
            for held in holds(old):
                self._claims.remove(held, old)
            self._tell_of_node(old, -1)
        if new is not None:
            self._nodes[name] = new
            for held in holds(new):
                self._claims.add(held, new)
            self._tell_of_node(new, 1)
        if old is not None:
            end = new.start + SECOND if new is not None and not same else at
            if end is not None:
                self._bury_node(old, max(end, old.start + SECOND), new if same else None)
        self._inside_changed |= self._blocks.put(f"{NODE} {name}", new.pod_cidrs if new else ())

    def _bury_node(self, old: NodeEntry, end: int, heir: NodeEntry | None) -> None:
        """Remember a node, or what one that lives on as `heir` holds no longer."""
        keys = None if heir is None else _lost(old, heir)
        if keys == () or not self._remembered.is_on:
            return
        gone = msgspec.structs.replace(old, end=end)
        number = self._remembered.add(gone, end, keys=keys)
        self._inside_changed |= self._blocks.put(_until(number), old.pod_cidrs)
        self._keep(number)

    def _tell_of_node(self, node: NodeEntry, count: int) -> None:
        """Tell of the addresses of a node that comes (1) or goes (-1)."""
        known = self._addresses_of_node.setdefault(node.name, {})
        for address in (*node.addresses, *node.gateways):
            self._news.address(address)
            known[address] = known.get(address, 0) + count
            if not known[address]:
                del known[address]
        if not known:
            del self._addresses_of_node[node.name]

    # Who is gone

    def _keep(self, number: int) -> None:
        """Let one that is gone have held what it held."""
        entry = self._remembered.entry(number)
        for key in self._held_by(number, entry):
            self._claims.bury(key, number)
            if isinstance(entry, PodEntry) and not entry.host_network and key in entry.addresses:
                self._inside_changed |= self._near_pods.add(key)
        self._tell_of_gone(number, entry, 1)
        while self._remembered.too_many():
            self._forget_first(early=True)

    def _forget_first(self, *, early: bool = False) -> None:
        """Forget the one that went first."""
        number = self._remembered.first()
        if number is not None:
            self._release(number)
        self._remembered.forget_first(early=early)

    def _release(self, number: int) -> None:
        """Let one that is gone have held nothing."""
        entry, traits = self._remembered.entry(number), self._remembered.traits(number)
        for key in self._held_by(number, entry):
            self._claims.forget(key, number)
            if isinstance(entry, PodEntry) and not entry.host_network and key in entry.addresses:
                self._inside_changed |= self._near_pods.remove(key)
        if traits is not None and self._remembered.part(number) is None:
            self._groups.forget(traits)
            self._applications.forget(number, traits)
        if isinstance(entry, NodeEntry):
            self._inside_changed |= self._blocks.put(_until(number), ())
        self._tell_of_gone(number, entry, -1)

    def _held_by(self, number: int, entry: Entry) -> list[str] | tuple[str, ...]:
        keys = self._remembered.part(number)
        return holds(entry) if keys is None else keys

    def _tell_of_gone(self, number: int, entry: Entry, count: int) -> None:
        if isinstance(entry, PodEntry):
            self._tell_of(entry)
            self._news.services(self._endpoints.services_of((entry.namespace, entry.name)))
        elif isinstance(entry, NodeEntry):
            self._tell_of_node(entry, count)
        else:
            for address in entry.addresses:
                self._news.address(address)
            if self._remembered.part(number) is None or entry.hostnames or entry.on_nodes:
                self._tell_ways((entry.namespace, entry.name), entry, None)

    # What nodes saw

    def _see(self, node: str, sighting: PodSighting, ahead: int) -> None:
        """Take in that a node saw a pod to have addresses."""
        if ahead and len(self._ahead) < _MOST_CLOCKS:
            self._ahead[node] = ahead
        else:
            self._ahead.pop(node, None)
        pod = sighting.pod
        longest = max(len(pod.uid), len(pod.name), len(pod.namespace), len(node))
        if not pod.uid or not pod.name or longest > _LONGEST or not 0 < sighting.first <= sighting.last:
            self._sightings.refused += 1
            return
        known = self._by_uid.get(pod.uid)
        addresses = known.addresses if known else ()
        who = (known.namespace, known.name, known.uid) if known else (pod.namespace, pod.name, pod.uid)
        held_by = self._nodes.get(node)
        node = held_by.name if held_by else node
        for text in sighting.addresses[:_MOST_ADDRESSES]:
            address = next((own for own in addresses if own == text), None) or canonical(text)
            if address is None:
                self._sightings.refused += 1
                continue
            new = Sighted(*who, node, address, sighting.first, sighting.last + 1)
            if self._is_news(new, self._sightings.put(new)):
                self._claims.settle(address)
                self._news.address(address)
        while forgotten := self._sightings.too_many():
            for each in forgotten:
                self._overlook(each)

    def _is_news(self, new: Sighted, spans: list[tuple[int, int]]) -> bool:
        """Whether a sighting may tell more than the API does: not where it sees the one who is known to be alone."""
        held = self._by_key.get(new.address)
        if type(held) is not Claim or not isinstance(held.owner, PodEntry) or held.owner.uid != new.uid:
            return bool(spans)
        return any(start < held.start or held.end < end for start, end in spans)

    def _overlook(self, sighted: Sighted) -> None:
        """A sighting is forgotten."""
        self._claims.settle(sighted.address)
        self._news.address(sighted.address)

    def _tell_inside(self) -> None:
        """Tell of the addresses that nobody but a node knows, which must be the cluster's own to be believed."""
        if self._inside_changed:
            self._inside_changed = False
            self._news.keys(key for key in self._sightings.addresses() if not self._claims.is_known(key))

    def _doubted_until(self, key: str, uid: str) -> int:
        return self._sightings.others_until(key, uid) if self._sightings else ALWAYS


def _lost(old: ServiceEntry | NodeEntry, heir: ServiceEntry | NodeEntry) -> tuple[str, ...]:
    kept = set(holds(heir))
    return tuple(key for key in holds(old) if key not in kept)


def _until(number: int) -> str:
    return f"{NODE} that is gone, {number}"
