"""One run: a world, what is told and seen of it, a mapper in virtual time, and the judge's verdict."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import churn_api
import churn_judge
import churn_world
import virtual_time
from churn_judge import Key, Made
from churn_mapper import Mapper
from churn_nodes import Sniffer
from churn_world import NODES
from fake_api import FakeApi

if TYPE_CHECKING:
    from pathlib import Path

    from churn_api import Faults
    from churn_judge import Verdict
    from churn_world import Connection, Shape, World

    from network_mapper.model import Edge

AFTER = 90_000
"""Milliseconds after the last pod in which everything that waits is settled."""
BEFORE, CATCHING_UP = 7_000, 3_000
"""Milliseconds around a time without the API that belong to it: what had not been told yet, and the list after it."""


class Result(NamedTuple):
    """What came of a run."""

    world: World
    verdict: Verdict
    drops: dict[str, int]
    edges: list[Edge]
    seen: int


def run(shape: Shape, faults: Faults, folder: Path, *, knowing: bool = True) -> Result:
    """Let a world happen and be mapped."""
    world = churn_world.make(shape)
    results: list[Result] = []
    virtual_time.run(_run(world, faults, folder, knowing, results))
    return results[0]


async def _run(world: World, faults: Faults, folder: Path, knowing: bool, results: list[Result]) -> None:
    """See `run`. What is long to write down is no result of a task, because tasks write theirs down."""
    loop = asyncio.get_running_loop()
    wall = loop.wall
    api = FakeApi()
    mapper = Mapper(folder, api, wall, world.shape.seed)
    sniffers = [
        Sniffer(world, node, ahead, wall, mapper.post, knowing=knowing)
        for node, ahead in zip(NODES, faults.clocks, strict=True)
    ]
    tasks = [asyncio.create_task(mapper.run()), asyncio.create_task(churn_api.tell(api, world, faults))]
    await mapper.live.synced.wait()
    tasks += [asyncio.create_task(sniffer.watch()) for sniffer in sniffers]
    last = max(life.gone for life in world.lives)
    try:
        while wall() < last + AFTER:
            await asyncio.sleep(1)
            for task in tasks:
                if task.done() and (error := task.exception()):
                    raise error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await mapper.end()
    edges = [entry.edge for entry in mapper.state.graph.in_order()]
    drops = {reason.value: count for reason, count in mapper.state.drops.items()}
    verdict = churn_judge.judge((made_of(one, faults) for one in world.connections), edges)
    results.append(Result(world, verdict, drops, edges, len(world.connections)))


def made_of(one: Connection, faults: Faults) -> Made:
    """A connection as the judge takes it."""
    begin, end = faults.away
    excused = begin - BEFORE <= one.at <= end + CATCHING_UP if end else False
    key = Key(one.client.workload, one.server.workload, one.service, one.port)
    return Made(key, one.client.pod, one.server.pod, excused)
