"""What a peer is called in text.

Names come from the cluster and, for the outside world, from DNS answers, so nothing that a terminal would act on may
pass: characters that do not print are written as escapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.model import Ambiguous, External, Node, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.model import Edge, Peer


def clean(name: str) -> str:
    """The name, with every character that does not print written as an escape."""
    return name if name.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def namespace_of(peer: Peer) -> str:
    """The namespace that a peer lives in; empty where it has none, or more than one is possible."""
    return peer.namespace if isinstance(peer, Workload | Service) else ""


class Labels:
    """Names of the peers of one map.

    Two workloads of different kinds may share name and namespace; only those carry their kind, `api (CronJob)`.
    """

    def __init__(self, edges: Iterable[Edge]) -> None:
        kinds: dict[tuple[str, str], set[str]] = {}
        for edge in edges:
            for peer in (edge.client, edge.server):
                if isinstance(peer, Workload):
                    kinds.setdefault((peer.name, peer.namespace), set()).add(peer.kind)
        self._twins = {key for key, found in kinds.items() if len(found) > 1}

    def bare(self, peer: Workload | Node | Service | External) -> str:
        """The name without its namespace, `redis (service)`."""
        match peer:
            case Workload():
                twin = (peer.name, peer.namespace) in self._twins
                return f"{clean(peer.name)} ({clean(peer.kind)})" if twin else clean(peer.name)
            case Node():
                return f"node {clean(peer.name)}"
            case Service():
                return f"{clean(peer.name)} (service)"
            case External():
                return f"{clean(peer.name)} (external)"

    def sentence(self, peer: Peer, home: str = "") -> str:
        """The name in a sentence, `redis (service) in namespace db`; the namespace `home` goes without saying."""
        if isinstance(peer, Ambiguous):
            return " | ".join(self.sentence(candidate, home) for candidate in peer.candidates) + " (ambiguous)"
        namespace = namespace_of(peer)
        place = f" in namespace {clean(namespace)}" if namespace and namespace != home else ""
        return self.bare(peer) + place

    def cell(self, peer: Peer) -> str:
        """The name in a table, `db/redis (service)`."""
        if isinstance(peer, Ambiguous):
            return " | ".join(self.cell(candidate) for candidate in peer.candidates) + " (ambiguous)"
        namespace = namespace_of(peer)
        return f"{clean(namespace)}/{self.bare(peer)}" if namespace else self.bare(peer)
