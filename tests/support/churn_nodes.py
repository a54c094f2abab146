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
from network_mapper.capture.podstays import Stays
from network_mapper.model import Kind, Observation, PodRef

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from churn_world import Connection, Life, World

    from network_mapper.capture.podstays import Stay
    from network_mapper.model import PodSighting

    Post = Callable[[bytes, str], Awaitable[tuple[int, dict[str, str], bytes]]]

TURN = 1_000
LOOK = 200
"""Milliseconds between two looks at which pods a node has."""
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
        self._there: list[tuple[Life, Stay]] = []
        self._stays = Stays()
        self.owner, self.tell_again = self._stays.owner, self._stays.tell_again

    def look(self, until: int) -> None:
        """Look at every time that has come by now."""
        while self._next <= until:
            now, clock = self._next, self._next + self._ahead
            while self._coming and self._coming[-1].given <= now:
                life = self._coming.pop()
                stay = self._stays.begin(PodRef(*life.pod, life.uid), life.addresses, clock - LOOK, clock)
                self._there.append((life, stay))
            for life, stay in self._there:
                if life.taken > now:
                    stay.last = clock
                else:
                    self._stays.end(stay, clock)
            self._there = [each for each in self._there if each[0].taken > now]
            self._stays.forget(clock)
            self._next += LOOK

    def take_news(self) -> list[PodSighting]:
        """Pods that are new, have gone, or have been there for a while since they were told of."""
        return self._stays.take_news(self._next - LOOK + self._ahead)


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
            try:
                status, headers, body = await self._post(request.body, request.headers["Content-Type"])
            except ConnectionError as error:
                self.reporter.failed(error, self._wall())
                continue
            await asyncio.sleep(self._chance.uniform(0.001, 0.02))
            if self._chance.random() < LOST:
                self.reporter.failed(ConnectionResetError("the answer was cut"), self._wall())
            else:
                self.reporter.answered(status, headers, body, self._wall())
