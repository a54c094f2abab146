"""From addresses to peers: one small function per kind of question, no state.

A resolution is valid for a span of time (an address changes owners), and it names the node each end lives on, because
that decides which node's sighting counts. What cannot be resolved is a `Drop`, never a guess, and what was seen while
an address changed hands has both owners as candidates. All times are on the mapper's clock (`views`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

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
    from network_mapper.mapper.views import View
    from network_mapper.model import PodRef

__all__ = ["FOREVER", "NOW", "Client", "Server", "client_at", "client_between", "name_between", "server_between"]

API_SERVER = Service("kubernetes", "default")
"""The cluster's own API, which is no pod in many clusters."""

_LONGEST_NAME = 253

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


_Party = TypeVar("_Party", Client, Server)


def address_of(text: str) -> str | None:
    """The address whose owners decide who a party is; None where it is not an address that decides."""
    if (address := canonical(text)) is not None:
        # Only the canonical text is what the index tells about.
        return address if address == text else None
    who = party.read(text)
    return canonical(who.address) if who is not None and not who.kind else None


def pod_client(pod: PodEntry, node: str) -> Client:
    """A client that a node knows for certain; `node` is which says so, for a pod that is not said to be on any."""
    return Client(pod.workload, pod.node or node, 0, FOREVER)


def unknown_owner(pod: PodRef, node: str) -> Client:
    """A client that a node knows for certain, and of which nobody else has told."""
    return Client(Workload(pod.name, pod.namespace, ""), node, 0, FOREVER)


def client_between(view: View, text: str, first: int, last: int) -> Client | Drop:
    """Find out who a client was during a span.

    Args:
        view: The cluster.
        text: An address, or another party (`wire.party`).
        first: Start of the span, milliseconds since the epoch.
        last: Its end.
    """
    found = client_at(view, text, last)
    if first >= last or (isinstance(found, Client) and found.start <= first):
        return found
    before = client_at(view, text, first)
    if isinstance(before, Drop) or isinstance(found, Drop):
        return _known(found, before)
    if found.peer == before.peer:
        return found
    return Client(_either(found.peer, before.peer), found.node if found.node == before.node else "", last, last)


def client_at(view: View, text: str, instant: int) -> Client | Drop:
    """Find out who a client was at an instant, milliseconds since the epoch; as `client_between`."""
    address = canonical(text)
    if address is not None:
        return _client_at(view, address, instant)
    found = _named(view, text, instant)
    if isinstance(found, Drop):
        return found
    if isinstance(found, Server):
        return Client(found.peer, found.node, found.start, found.end)
    return _client_at(view, found, instant)


def _client_at(view: View, address: str, instant: int) -> Client | Drop:
    match view.at(address, instant):
        case Claim(owner=PodEntry() as pod) as claim:
            return Client(pod.workload, pod.node, claim.start, claim.end)
        case Claim(owner=NodeEntry() as node) as claim:
            return Client(Node(node.name), node.name, claim.start, claim.end)
        case Claim():
            return Drop.CLIENT_IS_SERVICE
        case Contested(owners=owners):
            return Client(_ambiguous(owners), _node_of(owners), instant, instant)
    if view.cluster.is_control_plane(address):
        return Client(API_SERVER, "", 0, instant)
    if (refused := _refusal(view, address, Drop.CLIENT_UNKNOWN, instant)) is not None:
        return refused
    return Client(_outside(address), "", 0, instant)


class Dialled(NamedTuple):
    """What a node saw of a server.

    Attributes:
        text: An address, or another party (`wire.party`).
        address: The former, canonical; None for the latter.
        port: That was dialled; 0 where it is not known.
        protocol: In lower case.
        answered_by: The address that answered, where the node saw it.
        answered_port: And its port.
    """

    text: str
    address: str | None
    port: int
    protocol: str
    answered_by: str = ""
    answered_port: int = 0


def server_between(view: View, dialled: Dialled, first: int, last: int) -> Server | Drop:
    """Find out who was dialled during a span.

    Args:
        view: The cluster.
        dialled: Who that was, as the node saw it.
        first: Start of the span, milliseconds since the epoch.
        last: Its end.
    """
    found = _server_at(view, dialled, last)
    if first >= last or (isinstance(found, Server) and found.start <= first):
        return found
    before = _server_at(view, dialled, first)
    if isinstance(before, Drop) or isinstance(found, Drop):
        return _known(found, before)
    return _one_server(found, before, last, answered=bool(dialled.answered_by))


def _one_server(found: Server, before: Server, last: int, *, answered: bool = False) -> Server:
    """The server of a span with these two at its ends; `answered` says that it is known who answered."""
    service = found.service
    if found.peer == before.peer and service == before.service:
        return found
    if service is not None and service == before.service and not answered:
        return Server(Service(service.name, service.namespace), service, "", found.entry_node, last, last)
    return Server(
        _either(found.peer, before.peer),
        found.service if found.service == before.service else None,
        found.node if found.node == before.node else "",
        found.entry_node,
        last,
        last,
    )


def _server_at(view: View, dialled: Dialled, instant: int) -> Server | Drop:
    address = dialled.address
    if address is None:
        found = _named(view, dialled.text, instant)
        if isinstance(found, Server | Drop):
            return found
        address = found
    match view.dialled(address, dialled.port, dialled.protocol, instant):
        case Claim(owner=ServiceEntry() as service) as claim:
            server = _behind(view, service, claim, dialled, instant)
            return server._replace(entry_node=view.cluster.node_of(address, instant))
        case Claim(owner=PodEntry() as pod) as claim:
            return Server(pod.workload, None, pod.node, "", claim.start, claim.end)
        case Claim(owner=NodeEntry() as node) as claim:
            return _behind_node(view, node, claim, dialled, instant)
        case Contested(owners=owners):
            return Server(_ambiguous(owners), None, _node_of(owners), "", instant, instant)
    if (refused := _refusal(view, address, Drop.SERVER_UNKNOWN, instant)) is not None:
        return refused
    return Server(_outside(address), None, "", "", 0, instant)


def _known(found: _Party | Drop, before: _Party | Drop) -> _Party | Drop:
    """Of two answers, of which one at least is none: the later, or the other where nobody had the address by then.

    Whoever had it at one end of the span was there at that time, which is no guess.
    """
    return before if found is Drop.NEVER_SEEN and not isinstance(before, Drop) else found


def _named(view: View, text: str, instant: int) -> Server | Drop | str:
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
        workload = view.cluster.workload_named(who.namespace, who.name) or Workload(who.name, who.namespace, "")
        return Server(workload, None, "", "", instant, instant)
    if not who.kind:
        address = canonical(who.address)
        if address is None:
            return Drop.ADDRESS_INVALID
        pod = view.cluster.hosted(who.name, address, instant)
        if pod is None:
            return Drop.HOSTNAME_MISMATCH if _may_be_a_pod(view, address, instant) else address
    elif who.kind == party.POD:
        pod = view.cluster.pod(who.namespace, who.name, instant)
    else:
        pod = view.cluster.application(who.namespace, who.name, instant)
    if pod is None:
        return Drop.POD_UNKNOWN
    return Server(pod.workload, None, pod.node, "", pod.start, pod.end)


def _may_be_a_pod(view: View, address: str, instant: int) -> bool:
    match view.at(address, instant):
        case Claim(owner=PodEntry()):
            return True
        case Contested(owners=owners):
            return any(isinstance(owner, PodEntry) for owner in owners)
    return False


def name_between(view: View, name: str, first: int, last: int) -> Server | Drop:
    """Find out whose name was looked up during a span; times as in `server_between`."""
    if not name or len(name) > _LONGEST_NAME:
        return Drop.ROW_MALFORMED
    found = _named_at(view, name, last, LONGEST_ALIAS)
    if isinstance(found, Drop) or found.start <= first:
        return found
    before = _named_at(view, name, first, LONGEST_ALIAS)
    return found if isinstance(before, Drop) else _one_server(found, before, last)


def _named_at(view: View, name: str, instant: int, steps: int) -> Server | Drop:
    found = view.cluster.name(name, instant)
    if isinstance(found, ServiceEntry):
        # Who looks for a service that is gone finds what is remembered of it, for its time alone.
        end = FOREVER if view.cluster.name(name, NOW) is found else instant
        if found.external_name and steps:
            # Who asks for an alias goes on to what it stands for, which may well be a service of the cluster.
            meant = _named_at(view, found.external_name, instant, steps - 1)
            if isinstance(meant, Server):
                ref = ServiceRef(found.name, found.namespace)
                return meant._replace(service=ref, start=max(meant.start, found.start), end=min(meant.end, end))
        return _any_behind(found, found.start, end, instant)
    if isinstance(found, PodEntry):
        return Server(found.workload, None, found.node, "", found.start, found.end)
    if isinstance(found, Contested):
        return Server(_ambiguous(found.owners), None, "", "", instant, instant)
    if isinstance(found, Outside):
        return Server(External(name), None, "", "", 0, FOREVER)
    return Drop.NAME_UNKNOWN


def _behind(view: View, service: ServiceEntry, claim: Claim, dialled: Dialled, instant: int) -> Server:
    ref = ServiceRef(service.name, service.namespace)
    match _answered(view, dialled, instant):
        case Claim(owner=PodEntry() as pod) as answer:
            return Server(pod.workload, ref, pod.node, "", max(claim.start, answer.start), min(claim.end, answer.end))
        case Contested(owners=owners):
            return Server(_ambiguous(owners), ref, _node_of(owners), "", instant, instant)
        case Drop():
            # Somebody answered whom nobody knows: whoever is known to be behind the service need not be all.
            return Server(Service(service.name, service.namespace), ref, "", "", instant, instant)
    return _any_behind(service, claim.start, claim.end, instant)


def _any_behind(service: ServiceEntry, start: int, end: int, instant: int) -> Server:
    """A service of which it is not known who answered: the workload where there was but one, else itself."""
    ref = ServiceRef(service.name, service.namespace)
    backing = service.backing(instant)
    start, end = max(start, backing.start), min(end, backing.end)
    if len(backing.workloads) == 1 and not service.is_api_server:
        return Server(backing.workloads[0], ref, "", "", start, end)
    return Server(Service(service.name, service.namespace), ref, "", "", start, end)


def _behind_node(view: View, node: NodeEntry, claim: Claim, dialled: Dialled, instant: int) -> Server:
    match _answered(view, dialled, instant):
        case Claim(owner=PodEntry() as pod) as answer:
            start, end = max(claim.start, answer.start), min(claim.end, answer.end)
            return Server(pod.workload, None, pod.node, node.name, start, end)
        case Contested(owners=owners):
            return Server(_ambiguous(owners), None, _node_of(owners), node.name, instant, instant)
        case Drop():
            return Server(Node(node.name), None, node.name, node.name, instant, instant)
    return Server(Node(node.name), None, node.name, node.name, claim.start, claim.end)


def _answered(view: View, dialled: Dialled, instant: int) -> Claim | Contested | Drop | None:
    """Who had the address that answered, if it was another than was dialled; None too where it is outside."""
    address = canonical(dialled.answered_by) if dialled.answered_by else None
    if address is None:
        return None
    found = view.at(address, instant)
    if found is None:
        return _refusal(view, address, Drop.SERVER_UNKNOWN, instant)
    if isinstance(found, Claim) and isinstance(found.owner, NodeEntry) and dialled.answered_port:
        # Pods on the node's network have its address, and the port tells them apart.
        listening = view.dialled(address, dialled.answered_port, dialled.protocol, instant)
        if isinstance(listening, Claim) and isinstance(listening.owner, PodEntry):
            return listening
    return found


def _ambiguous(owners: tuple[Entry, ...]) -> Peer:
    return _one_of({_peer_of(owner) for owner in owners})


def _node_of(owners: tuple[Entry, ...]) -> str:
    """The node on which each of these lives; empty where they do not live on one."""
    nodes = {owner.node if isinstance(owner, PodEntry) else owner.name for owner in owners}
    return nodes.pop() if len(nodes) == 1 and not any(isinstance(owner, ServiceEntry) for owner in owners) else ""


def _either(one: Peer, other: Peer) -> Peer:
    """One of two peers, if that is certain to be all they may be."""
    return _one_of({*_candidates(one), *_candidates(other)})


def _one_of(peers: set[Workload | Node | Service]) -> Peer:
    if len(peers) == 1:
        return peers.pop()
    return Ambiguous(tuple(sorted(peers, key=repr)))


def _candidates(peer: Peer) -> tuple[Workload | Node | Service, ...]:
    match peer:
        case Ambiguous(candidates):
            return candidates
        case External():
            return ()
        case _:
            return (peer,)


def _peer_of(owner: Entry) -> Workload | Node | Service:
    match owner:
        case PodEntry():
            return owner.workload
        case NodeEntry():
            return Node(owner.name)
        case _:
            return Service(owner.name, owner.namespace)


def _refusal(view: View, address: str, unknown: Drop, instant: int) -> Drop | None:
    """Why an address without an owner is not taken for the outside world, if it is not."""
    ip = ipaddress.ip_address(address)
    if ip.is_loopback or ip.is_unspecified:
        return Drop.LOOPBACK
    if ip.is_multicast or ip.is_link_local:
        return unknown
    if not view.cluster.is_inside(ip):
        return None
    view.missing.append((address, instant))
    return Drop.NEVER_SEEN


def _outside(address: str) -> External:
    # One peer per block: a scan of the internet makes thousands of peers, not millions.
    prefix = 24 if "." in address else 48
    return External(str(ipaddress.ip_network(f"{address}/{prefix}", strict=False)))
