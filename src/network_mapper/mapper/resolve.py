"""From addresses to peers: one small function per kind of question, no state.

A resolution is valid for a span of time (an address changes owners), and it names the node each end lives on, because
that decides which node's sighting counts. What cannot be resolved is a `Drop`, never a guess.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from network_mapper.cluster.index import (
    FOREVER,
    Claim,
    Contested,
    Entry,
    NodeEntry,
    Outside,
    PodEntry,
    ServiceEntry,
    canonical,
)
from network_mapper.cluster.names import LONGEST_ALIAS
from network_mapper.model import Ambiguous, Drop, External, Node, Peer, Service, ServiceRef, Workload
from network_mapper.wire import party

if TYPE_CHECKING:
    from network_mapper.cluster.index import Index

__all__ = ["FOREVER", "NOW", "Client", "Server", "client_at", "name_at", "server_at"]

API_SERVER = Service("kubernetes", "default")
"""The cluster's own API, which is no pod in many clusters."""

NOW = FOREVER - 1
"""An instant at which only the present owners hold their addresses."""


class Client(NamedTuple):
    """Who opened a connection or asked a question.

    Attributes:
        peer: The client.
        node: Node it runs on; empty when it is outside the cluster or not certain.
        start: The answer holds from here, milliseconds.
        end: And until here.
    """

    peer: Peer
    node: str
    start: int
    end: int


class Server(NamedTuple):
    """Who was dialled or looked up.

    Attributes:
        peer: The server.
        service: The service it was reached through.
        node: Node that the server runs on; empty when not known.
        entry_node: Node whose own address was dialled; empty otherwise.
        start: The answer holds from here, milliseconds.
        end: And until here.
    """

    peer: Peer
    service: ServiceRef | None
    node: str
    entry_node: str
    start: int
    end: int


def address_of(text: str) -> str | None:
    """The address whose owners decide who a party is; None where it is not an address that decides."""
    if (address := canonical(text)) is not None:
        # Only the canonical text is what the index tells about.
        return address if address == text else None
    who = party.read(text)
    return canonical(who.address) if who is not None and not who.kind else None


def client_at(index: Index, text: str, instant: int) -> Client | Drop:
    """Find out who a client is.

    Args:
        index: The cluster.
        text: An address, or another party (`wire.party`).
        instant: Milliseconds since the epoch.
    """
    address = canonical(text)
    if address is not None:
        return _client_at(index, address, instant)
    found = _named(index, text, instant)
    if isinstance(found, Drop):
        return found
    if isinstance(found, Server):
        return Client(found.peer, found.node, found.start, found.end)
    return _client_at(index, found, instant)


def _client_at(index: Index, address: str, instant: int) -> Client | Drop:
    match index.at(address, instant):
        case Claim(owner=PodEntry() as pod) as claim:
            return Client(pod.workload, pod.node, claim.start, claim.end)
        case Claim(owner=NodeEntry() as node) as claim:
            return Client(Node(node.name), node.name, claim.start, claim.end)
        case Claim():
            return Drop.CLIENT_IS_SERVICE
        case Contested(owners=owners):
            return Client(_ambiguous(owners), "", instant, instant)
    if index.is_control_plane(address):
        return Client(API_SERVER, "", instant, instant)
    if (refused := _refusal(index, address, Drop.CLIENT_UNKNOWN)) is not None:
        return refused
    return Client(_outside(address), "", instant, instant)


def server_at(
    index: Index, text: str, port: int, protocol: str, instant: int, *, answered_by: str = ""
) -> Server | Drop:
    """Find out who was dialled.

    Args:
        index: The cluster.
        text: An address, or another party (`wire.party`).
        port: That was dialled; 0 where it is not known.
        protocol: In lower case.
        instant: Milliseconds since the epoch.
        answered_by: The address that answered, where the node saw it.
    """
    address = canonical(text)
    if address is None:
        found = _named(index, text, instant)
        if isinstance(found, Server | Drop):
            return found
        address = found
    match index.dialled(address, port, protocol, instant):
        case Claim(owner=ServiceEntry() as service) as claim:
            server = _behind(index, service, claim, answered_by, instant)
            return server._replace(entry_node=index.node_of(address, instant))
        case Claim(owner=PodEntry() as pod) as claim:
            return Server(pod.workload, None, pod.node, "", claim.start, claim.end)
        case Claim(owner=NodeEntry() as node) as claim:
            return _behind_node(index, node, claim, answered_by, instant)
        case Contested(owners=owners):
            return Server(_ambiguous(owners), None, "", "", instant, instant)
    if (refused := _refusal(index, address, Drop.SERVER_UNKNOWN)) is not None:
        return refused
    return Server(_outside(address), None, "", "", instant, instant)


def _named(index: Index, text: str, instant: int) -> Server | Drop | str:
    """Who a party is that is no plain address, or the plain address by which it is to be found.

    A host name beside an address settles which of the address's owners is meant. Where a pod of another name had the
    address, the sighting is nobody's; where no pod had it (a node's name beside its address) the name adds nothing.
    """
    who = party.read(text)
    if who is None:
        return Drop.ADDRESS_INVALID
    if who.kind == party.EXTERNAL:
        return Server(External(who.name), None, "", "", 0, FOREVER)
    if who.kind == party.WORKLOAD:
        workload = index.workload_named(who.namespace, who.name) or Workload(who.name, who.namespace, "")
        return Server(workload, None, "", "", instant, instant)
    if not who.kind:
        address = canonical(who.address)
        if address is None:
            return Drop.ADDRESS_INVALID
        pod = index.hosted(who.name, address, instant)
        if pod is None:
            return Drop.HOSTNAME_MISMATCH if _may_be_a_pod(index, address, instant) else address
    elif who.kind == party.POD:
        pod = index.pod(who.namespace, who.name, instant)
    else:
        pod = index.application(who.namespace, who.name, instant)
    if pod is None:
        return Drop.POD_UNKNOWN
    return Server(pod.workload, None, pod.node, "", pod.start, pod.end)


def _may_be_a_pod(index: Index, address: str, instant: int) -> bool:
    match index.at(address, instant):
        case Claim(owner=PodEntry()):
            return True
        case Contested(owners=owners):
            return any(isinstance(owner, PodEntry) for owner in owners)
    return False


def name_at(index: Index, name: str, instant: int) -> Server | Drop:
    """Find out whose name was looked up."""
    if not name or len(name) > 253:
        return Drop.ROW_MALFORMED
    return _named_at(index, name, instant, LONGEST_ALIAS)


def _named_at(index: Index, name: str, instant: int, steps: int) -> Server | Drop:
    found = index.name(name, instant)
    if isinstance(found, ServiceEntry):
        ref = ServiceRef(found.name, found.namespace)
        if found.external_name and steps:
            # Who asks for an alias goes on to what it stands for, which may well be a service of the cluster.
            meant = _named_at(index, found.external_name, instant, steps - 1)
            if isinstance(meant, Server):
                return meant._replace(service=ref, start=max(meant.start, found.start))
        return Server(_service_peer(found), ref, "", "", found.start, FOREVER)
    if isinstance(found, PodEntry):
        return Server(found.workload, None, found.node, "", found.start, found.end)
    if isinstance(found, Contested):
        return Server(_ambiguous(found.owners), None, "", "", instant, instant)
    if isinstance(found, Outside):
        return Server(External(name), None, "", "", 0, FOREVER)
    return Drop.NAME_UNKNOWN


def _behind(index: Index, service: ServiceEntry, claim: Claim, answered_by: str, instant: int) -> Server:
    ref = ServiceRef(service.name, service.namespace)
    pod = _pod_at(index, answered_by, instant)
    if pod is not None:
        start, end = max(claim.start, pod.start), min(claim.end, pod.end)
        return Server(pod.workload, ref, pod.node, "", start, end)
    return Server(_service_peer(service), ref, "", "", claim.start, claim.end)


def _behind_node(index: Index, node: NodeEntry, claim: Claim, answered_by: str, instant: int) -> Server:
    pod = _pod_at(index, answered_by, instant)
    if pod is not None:
        start, end = max(claim.start, pod.start), min(claim.end, pod.end)
        return Server(pod.workload, None, pod.node, node.name, start, end)
    return Server(Node(node.name), None, node.name, node.name, claim.start, claim.end)


def _pod_at(index: Index, text: str, instant: int) -> PodEntry | None:
    address = canonical(text) if text else None
    claim = index.at(address, instant) if address else None
    return claim.owner if isinstance(claim, Claim) and isinstance(claim.owner, PodEntry) else None


def _service_peer(service: ServiceEntry) -> Peer:
    if len(service.backends) == 1 and not service.is_api_server:
        return service.backends[0]
    return Service(service.name, service.namespace)


def _ambiguous(owners: tuple[Entry, ...]) -> Peer:
    peers = {_peer_of(owner) for owner in owners}
    if len(peers) == 1:
        return peers.pop()
    return Ambiguous(tuple(sorted(peers, key=repr)))


def _peer_of(owner: Entry) -> Workload | Node | Service:
    match owner:
        case PodEntry():
            return owner.workload
        case NodeEntry():
            return Node(owner.name)
        case _:
            return Service(owner.name, owner.namespace)


def _refusal(index: Index, address: str, unknown: Drop) -> Drop | None:
    """Why an address without an owner is not taken for the outside world, if it is not."""
    ip = ipaddress.ip_address(address)
    if ip.is_loopback or ip.is_unspecified:
        return Drop.LOOPBACK
    if ip.is_multicast or ip.is_link_local:
        return unknown
    return unknown if index.is_inside(ip) else None


def _outside(address: str) -> External:
    # One peer per block: a scan of the internet makes thousands of peers, not millions.
    prefix = 24 if "." in address else 48
    return External(str(ipaddress.ip_network(f"{address}/{prefix}", strict=False)))
