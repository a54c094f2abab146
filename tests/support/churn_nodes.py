"""Nodes that saw a world: what their sniffers report of it, with the product's own fold and reporter.

The client's node sees a connection where it leaves its pod, the server's node where it comes in. Each node looks every
fifth of a second which pods it has, so it knows of a pod from the first look in its life to the last one. Answers of
the mapper are lost now and then, after it has taken the report.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from churn_api import address_of
from churn_world import POD_PORT

from network_mapper.agent.fold import Fold
from network_mapper.agent.reporter import Reporter
from network_mapper.model import Kind, Observation, PodRef, PodSighting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from churn_world import Connection, Life, World

    Post = Callable[[bytes, str], Awaitable[tuple[int, dict[str, str], bytes]]]

TURN = 1_000
LOOK = 200
"""Milliseconds between two looks at which pods a node has."""
TELLING = 5_000
"""Milliseconds after which a pod that is still there is told again."""
LOST = 0.1
"""Share of answers that are lost."""
UPLINK = 2
"""Interface through which a node reaches the others."""


def seen(world: World, node: str) -> list[tuple[int, Observation]]:
    """What a node sees, by when, sorted; times are the world's."""
    found = [(made.at, one) for made in world.connections for one in _sightings(world, made, node)]
    return sorted(found, key=lambda each: each[0])


def _sightings(world: World, made: Connection, node: str) -> Iterator[Observation]:
    client, server = made.client.addresses[made.family], made.server.addresses[made.family]
    if made.client.node == node:
        dialled = address_of(world, made.service) if made.service else server
        answered = (server, POD_PORT) if made.service else ("", 0)
        tap = 100 + made.client.number
        yield Observation(Kind.CONNECTIONS, client, dialled, made.port, "tcp", 1, made.at, made.at, tap, *answered)
    elif made.server.node == node:
        port = POD_PORT if made.service else made.port
        yield Observation(Kind.CONNECTIONS, client, server, port, "tcp", 1, made.at, made.at, UPLINK)


class _Look:
    """One pod as the looks found it: from the first that saw it to the last."""

    def __init__(self, life: Life, first: int) -> None:
        self.pod = PodRef(*life.pod, life.uid)
        self.addresses = life.addresses
        self.taken = life.taken
        self.first = self.last = first
        self.told = 0


class Pods:
    """What a node knows of its pods, by looking again and again.

    Args:
        lives: Those of the node.
        first: When it looks for the first time.
        ahead: By how much its clock is ahead, milliseconds.
    """

    def __init__(self, lives: Iterable[Life], first: int, ahead: int) -> None:
        self._coming = sorted(lives, key=lambda life: life.given, reverse=True)
        self._next, self._ahead = first, ahead
        self._there: list[_Look] = []
        self._gone: list[_Look] = []
        self._by_address: dict[str, list[_Look]] = {}

    def look(self, until: int) -> None:
        """Look at every time that has come by now."""
        while self._next <= until:
            now, clock = self._next, self._next + self._ahead
            while self._coming and self._coming[-1].given <= now:
                life = self._coming.pop()
                found = _Look(life, clock)
                self._there.append(found)
                for address in life.addresses:
                    self._by_address.setdefault(address, []).append(found)
            self._gone += [each for each in self._there if each.taken <= now]
            self._there = [each for each in self._there if each.taken > now]
            for found in self._there:
                found.last = clock
            self._next += LOOK

    def owner(self, address: str, first: int, last: int) -> PodRef | None:
        """The pod that certainly had an address all the time between two moments."""
        for found in reversed(self._by_address.get(address, ())):
            if found.first <= first and last <= found.last:
                return found.pod
        return None

    def take_news(self) -> list[PodSighting]:
        """Pods that are new, gone, or were told of some seconds ago."""
        found, self._gone = self._gone, []
        found += [each for each in self._there if each.last >= each.told + TELLING]
        for each in found:
            each.told = each.last
        return [PodSighting(each.pod, each.addresses, each.first, each.last) for each in found]

    def tell_again(self) -> None:
        """Let every pod be news."""
        known = {id(each): each for held in self._by_address.values() for each in held}
        for each in self._there:
            del known[id(each)]
            each.told = 0
        self._gone = list(known.values())


class Sniffer:
    """One node's sniffer.

    Args:
        world: What it sees.
        node: Where it runs.
        ahead: By how much its clock is ahead, milliseconds.
        wall: The clock that is right.
        post: Brings a report to the mapper; gives status, headers and body of the answer.
        knowing: Whether it knows the pods of its node.
    """

    def __init__(
        self, world: World, node: str, ahead: int, wall: Callable[[], int], post: Post, *, knowing: bool = True
    ) -> None:
        self._seen = seen(world, node)
        lives = [life for life in world.lives if life.node == node] if knowing else []
        self.pods = Pods(lives, wall(), ahead)
        self.handed_over = 0
        self._ahead, self._wall, self._post = ahead, wall, post
        self._chance = random.Random(f"{world.shape.seed} {node}")
        self.reporter = Reporter(
            Fold(owner=self.pods.owner),
            node=node,
            agent="sniffer/churn",
            started=self._clock(),
            wall=self._clock,
            boot=f"{node}-1",
            spread=self._chance,
            wire="native",
            capture="packets",
            on_new_mapper=self.pods.tell_again,
        )

    def _clock(self) -> int:
        return self._wall() + self._ahead

    async def watch(self) -> None:
        """Hand over what was seen every second, and report it; until cancelled."""
        await asyncio.sleep(self._chance.random())
        sending = asyncio.create_task(self._send())
        place = 0
        try:
            while True:
                now = self._wall()
                fresh = []
                while place < len(self._seen) and self._seen[place][0] <= now:
                    fresh.append(self._shifted(self._seen[place][1]))
                    place += 1
                self.handed_over = place
                self.pods.look(now)
                self.reporter.set_pods(self.pods.take_news())
                self.reporter.feed(fresh, now, self._clock())
                await asyncio.sleep(TURN / 1000)
        finally:
            sending.cancel()

    def unbalanced(self) -> Iterator[tuple[str, str]]:
        """Each hop of the sniffer whose account does not add up, and what it says."""
        drops = self.reporter.drops
        for row in self.reporter.hops:
            dropped = sum(count for reason, count in drops.items() if (reason.hop, reason.unit) == (row.hop, row.unit))
            if row.seen != row.passed + row.held + dropped:
                yield row.hop, f"{row} with {dropped} dropped"

    def _shifted(self, one: Observation) -> Observation:
        one.first += self._ahead
        one.last += self._ahead
        return one

    async def _send(self) -> None:
        while True:
            request = self.reporter.next_request(self._wall())
            if request is None:
                await asyncio.sleep(max(0.02, min(self.reporter.wait(self._wall()), 100) / 1000))
                continue
            await asyncio.sleep(self._chance.uniform(0.001, 0.02))
            status, headers, body = await self._post(request.body, request.headers["Content-Type"])
            await asyncio.sleep(self._chance.uniform(0.001, 0.02))
            if self._chance.random() < LOST:
                self.reporter.failed(ConnectionResetError("the answer was cut"), self._wall())
            else:
                self.reporter.answered(status, headers, body, self._wall())
