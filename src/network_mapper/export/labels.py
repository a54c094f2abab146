"""What a peer is called in text.

Names come from the cluster and, for the outside world, from DNS answers, so nothing that a terminal would act on may
pass: characters that do not print are written as escapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.model import Ambiguous, External, Node, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from network_mapper.model import Edge, Peer

NO_NAME = "(no name)"


def clean(name: str) -> str:
    """The name, with every character that does not print written as an escape."""
    return name if name.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def named(name: str) -> str:
    """The name for people, also where it is empty."""
    return clean(name) or NO_NAME


def namespace_of(peer: Peer) -> str:
    """The namespace that a peer lives in; empty where it has none, or more than one is possible."""
    return peer.namespace if isinstance(peer, Workload | Service) else ""


class Labels:
    """Names of the peers of one map.

    Two workloads of different kinds may share name and namespace; only those carry their kind, `api (CronJob)`.

    Args:
        edges: Of the map.
        tags: Words to put behind the name of a client, such as `team=checkout`.
    """

    def __init__(self, edges: Iterable[Edge], tags: Mapping[Peer, str] | None = None) -> None:
        kinds: dict[tuple[str, str], set[str]] = {}
        for edge in edges:
            for peer in (edge.client, edge.server):
                if isinstance(peer, Workload):
                    kinds.setdefault((peer.name, peer.namespace), set()).add(peer.kind)
        self._twins = {key for key, found in kinds.items() if len(found) > 1}
        self._tags = tags or {}

    def bare(self, peer: Workload | Node | Service | External) -> str:
        """The name without its namespace, `redis (service)`."""
        match peer:
            case Workload():
                twin = (peer.name, peer.namespace) in self._twins
                return f"{named(peer.name)} ({clean(peer.kind) or 'no kind'})" if twin else named(peer.name)
            case Node():
                return f"node {named(peer.name)}"
            case Service():
                return f"{named(peer.name)} (service)"
            case External():
                return f"{named(peer.name)} (external)"

    def tag(self, peer: Peer) -> str:
        """What follows a client's name, ` [team=checkout]`."""
        tag = self._tags.get(peer)
        return f" [{clean(tag)}]" if tag else ""

    def sentence(self, peer: Peer, home: str = "", *, client: bool = False) -> str:
        """The name in a sentence, `redis (service) in namespace db`; the namespace `home` goes without saying."""
        tag = self.tag(peer) if client else ""
        if isinstance(peer, Ambiguous):
            return " | ".join(self.sentence(candidate, home) for candidate in peer.candidates) + " (ambiguous)" + tag
        namespace = namespace_of(peer)
        place = f" in namespace {clean(namespace)}" if namespace and namespace != home else ""
        return self.bare(peer) + tag + place

    def cell(self, peer: Peer, *, client: bool = False) -> str:
        """The name in a table, `db/redis (service)`."""
        tag = self.tag(peer) if client else ""
        if isinstance(peer, Ambiguous):
            return " | ".join(self.cell(candidate) for candidate in peer.candidates) + " (ambiguous)" + tag
        namespace = namespace_of(peer)
        return (f"{clean(namespace)}/{self.bare(peer)}" if namespace else self.bare(peer)) + tag
