"""What a map must show of connections that were really made, and what is wrong with the one that it shows.

Connections are judged edge by edge. An edge may be short only of connections that were made in a declared window, and
is never too long. A peer that is not named in full is no error where it can be the truth: a pod without its owner is
that pod, an ambiguous peer is one of its candidates, a service one of the workloads behind it. Each of these is
counted, and has to find connections that are missing elsewhere; what finds none is a false edge.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from network_mapper.model import Ambiguous, Service, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from network_mapper.model import Edge, Peer, ServiceRef


class Key(NamedTuple):
    """An edge: who, whom, through which service, at which port."""

    client: Workload
    server: Workload
    service: ServiceRef | None
    port: int


class Made(NamedTuple):
    """Connections that were made.

    Attributes:
        key: Their edge.
        client_pod: The pod that made them, as (namespace, name).
        server_pod: The pod that answered.
        excused: They were made in a declared window.
        count: How many.
    """

    key: Key
    client_pod: tuple[str, str]
    server_pod: tuple[str, str]
    excused: bool
    count: int = 1


class Verdict(NamedTuple):
    """What a map is worth, in connections.

    Attributes:
        true: That were made.
        named: That are in the edge of their two workloads.
        unowned: That are in an edge of a pod whose owner the map does not know.
        ambiguous: That are in an edge with several candidates, the truth among them.
        unnamed: That are in an edge of the service, without the workload that answered.
        missed: That are in no edge, outside of declared windows.
        excused: That are in no edge, made in declared windows.
        false: That were never made and are in an edge.
        wrong: A sentence for each edge that is false or short.
    """

    true: int
    named: int
    unowned: int
    ambiguous: int
    unnamed: int
    missed: int
    excused: int
    false: int
    wrong: tuple[str, ...]


Who = tuple[Key, tuple[str, str], tuple[str, str]]
"""An edge, and the two pods between which a connection was."""


class _Assignment:
    """Gives each connection of the map one that was really made: as many as can be given to all edges together.

    An edge of which a connection finds nobody left makes another edge take other connections, if that can; so the order
    in which edges come does not matter for what is left over.
    """

    def __init__(self, left: Counter[Who]) -> None:
        self.left = left
        self._taken: dict[Who, Counter[int]] = {}
        self._may: dict[int, list[Who]] = {}

    def take(self, edge: int, may: list[Who], count: int) -> int:
        """Give an edge so many of the connections that it may mean; returns how many could not be given."""
        self._may[edge] = may
        for who in may:
            taken = min(count, self.left[who])
            self._give(who, edge, taken)
            count -= taken
        while count and self._move(edge, set()):
            count -= 1
        return count

    def _give(self, who: Who, edge: int, count: int) -> None:
        if count:
            self.left[who] -= count
            self._taken.setdefault(who, Counter())[edge] += count

    def _move(self, edge: int, tried: set[Who]) -> bool:
        """Give an edge one more, where another edge has one that can be had from somewhere else."""
        for who in self._may[edge]:
            if who in tried:
                continue
            tried.add(who)
            if self.left[who]:
                self._give(who, edge, 1)
                return True
            for other in [each for each, count in self._taken.get(who, Counter()).items() if count and each != edge]:
                if self._move(other, tried):
                    self._taken[who][other] -= 1
                    self._taken[who][edge] += 1
                    return True
        return False


def judge(made: Iterable[Made], edges: Iterable[Edge]) -> Verdict:
    """Compare a map with the truth."""
    left: Counter[Who] = Counter()
    excused: Counter[Key] = Counter()
    for one in made:
        left[one.key, one.client_pod, one.server_pod] += one.count
        excused[one.key] += one.count * one.excused
    true = left.total()
    by_key: dict[Key, list[Who]] = {}
    for who in left:
        by_key.setdefault(who[0], []).append(who)
    pods = _pods(left)
    found: Counter[str] = Counter()
    wrong: list[str] = []
    assignment = _Assignment(left)
    for number, edge in enumerate(sorted(edges, key=_certain_first)):
        count = assignment.take(number, _meant(edge, by_key, pods), edge.connections)
        found[_sort(edge)] += edge.connections - count
        found["false"] += count
        if count:
            wrong.append(f"false: {_words(edge)} has {count} that were never made, of {edge.connections}")
    missing: Counter[Key] = Counter()
    for (key, _, _), count in left.items():
        missing[key] += count
    for key, count in missing.items():
        beyond = max(count - excused[key], 0)
        found["missed"] += beyond
        found["excused"] += count - beyond
        if beyond:
            wrong.append(f"missed: {_words(key)} lacks {beyond}")
    return Verdict(
        true,
        *(found[name] for name in ("named", "unowned", "ambiguous", "unnamed", "missed", "excused", "false")),
        tuple(wrong),
    )


def _meant(edge: Edge, by_key: Mapping[Key, list[Who]], pods: Mapping[tuple[str, str], Workload]) -> list[Who]:
    """The connections that an edge can speak of."""
    return [
        who
        for client, server in itertools.product(_of(edge.client, pods), list(_of(edge.server, pods)))
        for who in by_key.get(Key(client[0], server[0], edge.service, edge.port), ())
        if client[1] in (None, who[1]) and server[1] in (None, who[2])
    ]


Meaning = tuple[Workload, tuple[str, str] | None]
"""A workload, and the one pod of it that is meant, where only one is."""


def _pods(made: Iterable[Who]) -> dict[tuple[str, str], Workload]:
    """The workload of each pod that took part."""
    found = {}
    for key, client, server in made:
        found[client], found[server] = key.client, key.server
    return found


def _of(peer: Peer, pods: Mapping[tuple[str, str], Workload]) -> Iterator[Meaning]:
    """The workloads that a peer can stand for."""
    match peer:
        case Workload(name, namespace, ""):
            if (namespace, name) in pods:
                yield pods[namespace, name], (namespace, name)
        case Workload():
            yield peer, None
        case Service():
            for workload in sorted(set(pods.values()), key=repr):
                yield workload, None
        case Ambiguous(candidates):
            for candidate in candidates:
                yield from _of(candidate, pods)


def _sort(edge: Edge) -> str:
    peers = (edge.client, edge.server)
    if any(isinstance(peer, Ambiguous) for peer in peers):
        return "ambiguous"
    if any(isinstance(peer, Service) for peer in peers):
        return "unnamed"
    return "unowned" if any(isinstance(peer, Workload) and not peer.kind for peer in peers) else "named"


def _certain_first(edge: Edge) -> int:
    return ("named", "unowned", "unnamed", "ambiguous").index(_sort(edge))


def _words(edge: Edge | Key) -> str:
    via = f" through {edge.service.namespace}/{edge.service.name}" if edge.service else ""
    return f"{edge.client} -> {edge.server} port {edge.port}{via}"


def differences(edges: Iterable[Edge], other: Iterable[Edge]) -> list[str]:
    """A sentence for each edge that two maps show differently."""
    ours, theirs = ({(*_identity(edge),): edge.connections for edge in each} for each in (edges, other))
    return [
        f"{key}: {ours.get(key)} and {theirs.get(key)}" for key in ours | theirs if ours.get(key) != theirs.get(key)
    ]


def _identity(edge: Edge) -> tuple[object, ...]:
    return edge.client, edge.server, edge.service, edge.port, edge.protocol
