"""A cluster whose pods live for seconds and take each other's addresses: what happened, exactly, from a seed.

Everything here is the truth, in milliseconds on a clock that is always right. What the API server tells of it, and
when, is made of it in `churn_api`, and what the nodes see in `churn_nodes`.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import churn_recorded

from network_mapper.model import ServiceRef, Workload

if TYPE_CHECKING:
    from churn_recorded import Story

EPOCH = 1_790_001_000_000
"""When virtual clocks begin; the standing objects are of then."""
START = EPOCH + 60_000
"""When the first pods come."""
NODES = ("node1", "node2")
NAMESPACES = ("shop", "stock", "lab")
SHORTEST, LONGEST = 2_000, 20_000
SERVICE_PORT, POD_PORT = 80, 8080
FIRST_PORT, PORTS = 10_000, 50_000
SIXTH = 0.1
"""Share of connections to pods over IPv6."""
AT_AN_END = 0.05
"""Share of connections that are a client's very first or last."""


class Shape(NamedTuple):
    """What kind of world.

    Attributes:
        seed: Of all chances.
        connections: How many are made.
        addresses: That each node has for its pods.
        gap: Between two owners of an address, milliseconds: from the one's being taken to the other's being given.
        seconds: For how long pods come and go.
    """

    seed: int = 1
    connections: int = 100_000
    addresses: int = 60
    gap: tuple[int, int] = (1_000, 5_000)
    seconds: int = 600


class Set(NamedTuple):
    """A root owner and what stands between it and its pods.

    Attributes:
        workload: Who its pods are.
        between: Kind of what stands between: `ReplicaSet`, `Job`, or empty.
        service: The service that its pods stand behind, if any.
    """

    workload: Workload
    between: str
    service: ServiceRef | None = None


class Life(NamedTuple):
    """One pod.

    Attributes:
        number: Counts the pods; its name, uid, interface and client port are made of it.
        pod: Namespace and name.
        uid: Its uid.
        workload: Who it is.
        owner: Kind and name of its controller; empty for none.
        node: Where it runs.
        addresses: IPv4 and IPv6.
        story: What is told of it.
        base: When the first is told; the story's times are relative to this.
        stretch: By how much its middle is longer than the recorded one.
        service: That it stands behind, if any.
    """

    number: int
    pod: tuple[str, str]
    uid: str
    workload: Workload
    owner: tuple[str, str]
    node: str
    addresses: tuple[str, str]
    story: Story
    base: int
    stretch: int
    service: ServiceRef | None

    def moment(self, told: int) -> int:
        """The moment that one of the story became."""
        return self.base + told + (self.stretch if told >= self.story.quiet else 0)

    @property
    def given(self) -> int:
        """When its addresses became its own."""
        return self.moment(self.story.given)

    @property
    def started(self) -> int:
        """From when it speaks."""
        return self.moment(self.story.started)

    @property
    def ended(self) -> int:
        """Until when it speaks."""
        return self.moment(self.story.ended)

    @property
    def taken(self) -> int:
        """When its addresses were taken back."""
        return self.moment(self.story.taken)

    @property
    def gone(self) -> int:
        """When the API server said that it is gone."""
        return self.moment(self.story.gone)

    @property
    def ready(self) -> int:
        """From when services lead to it."""
        return self.moment(self.story.quiet - 1)


class Connection(NamedTuple):
    """One connection; `service` is what was dialled where that was no pod's address, `family` 0 for IPv4."""

    at: int
    client: Life
    server: Life
    service: ServiceRef | None
    port: int
    family: int


class World(NamedTuple):
    """Everything that happened."""

    shape: Shape
    start: int
    end: int
    sets: tuple[Set, ...]
    lives: tuple[Life, ...]
    connections: tuple[Connection, ...]


def sets() -> tuple[Set, ...]:
    """The owners: some Deployments stand behind services, two of them behind one."""
    found = []
    for number in range(12):
        namespace = NAMESPACES[number % 3]
        service = ServiceRef(f"front-{number // 2 * 2}", NAMESPACES[number // 2 * 2 % 3]) if number < 8 else None
        if service is not None:
            namespace = service.namespace
        found.append(Set(Workload(f"web-{number}", namespace, "Deployment"), "ReplicaSet", service))
    found += [Set(Workload(f"nightly-{number}", NAMESPACES[number % 3], "CronJob"), "Job") for number in range(6)]
    found += [Set(Workload(f"queue-{number}", NAMESPACES[number % 3], "StatefulSet"), "") for number in range(8)]
    return tuple(found)


def make(shape: Shape) -> World:
    """The world of a shape; equal shapes make equal worlds."""
    chance = random.Random(shape.seed)
    start = START
    end = start + shape.seconds * 1000
    owners = sets()
    lives = _lives(shape, chance, start, end, owners)
    connections = tuple(sorted(_connections(shape, chance, lives), key=lambda made: made.at))
    return World(shape, start, end, owners, tuple(sorted(lives, key=lambda life: life.base)), connections)


def _lives(shape: Shape, chance: random.Random, start: int, end: int, owners: tuple[Set, ...]) -> list[Life]:
    """Let addresses be used one pod after another; the address that is free first is used first."""
    stories = [story for story in churn_recorded.stories() if story.ended - story.started <= LONGEST]
    by_owner = {kind: [s for s in stories if s.owner == kind] for kind in ("ReplicaSet", "Job", "StatefulSet", "")}
    places = [(node, slot) for node in range(len(NODES)) for slot in range(shape.addresses)]
    free = {place: (start + chance.randrange(shape.gap[1] + 2_000), "") for place in places}
    busy: dict[str, int] = {}
    """Pods of StatefulSets: until when their names are taken."""
    lives: list[Life] = []
    while True:
        place = min(free, key=lambda each: free[each][0])
        due, former = free[place]
        if due >= end:
            return lives
        life = _live(chance, len(lives), due, former, place, owners, by_owner, busy)
        lives.append(life)
        free[place] = life.taken + chance.randint(*shape.gap), _name(life.workload)


def _live(
    chance: random.Random,
    number: int,
    given: int,
    former: str,
    place: tuple[int, int],
    owners: tuple[Set, ...],
    by_owner: dict[str, list[Story]],
    busy: dict[str, int],
) -> Life:
    """One pod that gets its address at `given` and is of another workload than the `former` owner."""
    kind = chance.choices(("ReplicaSet", "CronJob", "StatefulSet", "Job", ""), (50, 20, 10, 10, 10))[0]
    story = chance.choice(by_owner["Job" if kind == "CronJob" else kind])
    base = given - story.given
    stretch = max(0, chance.randint(SHORTEST, LONGEST) - (story.ended - story.started))
    service = None
    if kind in ("Job", ""):
        workload = Workload(f"{'import' if kind else 'shell'}-{number}", chance.choice(NAMESPACES), kind or "Pod")
        owner, name = (kind, workload.name) if kind else ("", ""), f"{workload.name}{'-x7k2p' if kind else ''}"
    else:
        fitting = [one for one in owners if _name(one.workload) != former and one.workload.kind in _ROOTS[kind]]
        if kind == "StatefulSet":
            fitting = [one for one in fitting if busy.get(_name(one.workload), 0) < base]
            if not fitting:
                return _live(chance, number, given, former, place, owners, by_owner, busy)
        workload, between, service = chance.choice(fitting)
        owner = (between or kind, workload.name if not between else f"{workload.name}-{_generation(kind, number)}")
        name = f"{workload.name}-0" if kind == "StatefulSet" else f"{owner[1]}-{number:05x}"
    node, slot = place
    addresses = (f"10.244.{node + 1}.{slot + 10}", f"fd00:10:244:{node + 1}::{slot + 10:x}")
    life = Life(
        number,
        (workload.namespace, name),
        f"00000000-0000-4000-8000-{number:012x}",
        workload,
        owner,
        NODES[node],
        addresses,
        story,
        base,
        stretch,
        service,
    )
    if kind == "StatefulSet":
        busy[_name(workload)] = max(life.gone, life.taken) + 100
    return life


_ROOTS = {"ReplicaSet": ("Deployment",), "CronJob": ("CronJob",), "StatefulSet": ("StatefulSet",)}


def _generation(kind: str, number: int) -> str:
    """A Deployment goes on to another ReplicaSet now and then; every run of a CronJob is a Job of its own."""
    return f"{number // 100:08x}" if kind == "ReplicaSet" else str(29_000_000 + number)


def _name(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _connections(shape: Shape, chance: random.Random, lives: list[Life]) -> list[Connection]:
    """Let pods that speak connect to pods that are there, at all times of their lives, the first and last included."""
    by_place: dict[tuple[str, str], list[Life]] = {}
    for life in lives:
        by_place.setdefault((life.node, life.addresses[0]), []).append(life)
    places = list(by_place)
    starts = {place: [life.started for life in held] for place, held in by_place.items()}
    made: list[Connection] = []
    while len(made) < shape.connections:
        client = chance.choice(lives)
        ends = (client.started, client.ended - 1)
        at = chance.choice(ends) if chance.random() < AT_AN_END else chance.randint(*ends)
        place = chance.choice(places)
        found = bisect_right(starts[place], at) - 1
        if found < 0:
            continue
        server = by_place[place][found]
        if server is client or not server.started <= at < server.ended:
            continue
        service = server.service if chance.random() < 0.7 and server.ready <= at else None
        port = SERVICE_PORT if service else chance.choice((POD_PORT, FIRST_PORT + client.number % PORTS))
        made.append(Connection(at, client, server, service, port, 0 if service else int(chance.random() < SIXTH)))
    return made
