"""One run: a world, what is told and seen of it, a mapper in virtual time, and the judge's verdict."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import churn_api
import churn_judge
import churn_world
import virtual_time
from churn_judge import Key, Made
from churn_mapper import DEAD, Mapper
from churn_nodes import Sniffer
from churn_world import NODES
from fake_api import FakeApi

from network_mapper.model import Drop

if TYPE_CHECKING:
    from pathlib import Path

    from churn_api import Faults
    from churn_judge import Verdict
    from churn_world import Connection, Shape, World

    from network_mapper.model import Edge, Tally

AMBIGUOUS = 0.001
"""Share of connections that may have several possible owners."""
AFTER = 100_000
"""Milliseconds after the last pod in which everything that waits is settled."""
BEFORE, CATCHING_UP = 7_000, 3_000
"""Milliseconds around a time without the API that belong to it: not told yet then, and the list after it."""
UNSETTLED = 40_000
"""Milliseconds before a kill in which rows may be unsettled; the next start knows nothing of pods gone by then."""


class Result(NamedTuple):
    """What came of a run.

    Attributes:
        world: What happened.
        verdict: Of the judge.
        drops: What the mapper dropped, in observations.
        unbalanced: A sentence for each place where an observation went missing without being counted.
    """

    world: World
    verdict: Verdict
    drops: dict[Drop, int]
    unbalanced: list[str]

    @property
    def lost(self) -> int:
        """Observations that should be in the map and were counted as dropped."""
        return sum(count for reason, count in self.drops.items() if reason.is_loss)


def run(shape: Shape, faults: Faults, folder: Path, *, knowing: bool = True) -> Result:
    """Let a world happen and be mapped.

    Args:
        shape: Of the world.
        faults: Of what is told.
        folder: Where the map lies.
        knowing: Whether nodes know their pods.
    """
    world = churn_world.make(shape)
    results: list[Result] = []
    virtual_time.run(_run(world, faults, folder, knowing, results))
    return results[0]


async def _run(world: World, faults: Faults, folder: Path, knowing: bool, results: list[Result]) -> None:
    """See `run`. What is long to write down is no result of a task, because tasks write theirs down."""
    wall = asyncio.get_running_loop().wall
    api = FakeApi()
    mapper = Mapper(folder, api, wall, world.shape.seed)

    async def post(body: bytes, encoding: str) -> tuple[int, dict[str, str], bytes]:
        return await mapper.post(body, encoding)

    sniffers = [
        Sniffer(world, node, ahead, wall, post, knowing=knowing)
        for node, ahead in zip(NODES, faults.clocks, strict=True)
    ]
    tasks = [asyncio.create_task(churn_api.tell(api, world, faults))]
    tasks += [asyncio.create_task(sniffer.watch()) for sniffer in sniffers]
    last = max(max(life.gone, life.taken) for life in world.lives)
    try:
        while wall() < last + AFTER:
            await asyncio.sleep(1)
            if faults.killed and wall() >= faults.killed > wall() - 1_000:
                await mapper.kill()
                await asyncio.sleep(DEAD)
                mapper = Mapper(folder, api, wall, world.shape.seed)
            mapper.check()
            for task in tasks:
                if task.done():
                    task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await mapper.stop()
    edges = [entry.edge for entry in mapper.state.graph.in_order()]
    verdict = churn_judge.judge((made_of(one, faults) for one in world.connections), edges)
    drops = dict(mapper.state.drops)
    unbalanced = [
        *(f"{name}: {sentence}" for s in sniffers for name, sentence in s.unbalanced()),
        *_unbalanced(sum(sniffer.handed_over for sniffer in sniffers), edges, mapper.state.drops),
        *(f"on disk: {sentence}" for sentence in churn_judge.differences(edges, mapper.stored())),
        *(
            f"{row.hop} {row.unit}: {row}"
            for row in mapper.state.accounting()
            if row.seen != row.passed + row.held + sum(row.dropped.values())
        ),
    ]
    results.append(Result(world, verdict, drops, unbalanced))


def broken(result: Result) -> list[str]:
    """A sentence for each promise that a run has broken; none where all were kept."""
    verdict = result.verdict
    sentences = [*verdict.wrong, *result.unbalanced]
    if verdict.ambiguous > AMBIGUOUS * verdict.true:
        sentences.append(f"{verdict.ambiguous} of {verdict.true} are ambiguous")
    if result.lost != verdict.missed + verdict.excused:
        sentences.append(f"{verdict.missed + verdict.excused} are missed, {result.lost} counted as lost")
    return sentences


def is_kept(result: Result) -> bool:
    """Whether a run has kept every promise."""
    return not broken(result)


def _unbalanced(seen: int, edges: list[Edge], drops: Tally) -> list[str]:
    """Whether the map and what was counted as dropped are what the nodes saw."""
    mapped = sum(edge.connections for edge in edges)
    dropped = sum(count for reason, count in drops.items() if reason.unit == "observations" and reason != Drop.REPEATED)
    return [] if seen == mapped + dropped else [f"{seen} seen, {mapped} in the map, {dropped} dropped"]


def made_of(one: Connection, faults: Faults) -> Made:
    """A connection as the judge takes it.

    A pod that is removed by force speaks on for a moment after its end was told, when its address is nobody's that is
    known: what is made then is missed unless a node knows better.
    """
    windows = [(begin - BEFORE, end + CATCHING_UP) for begin, end in (faults.away,) if end]
    if faults.killed:
        windows.append((faults.killed - UNSETTLED, faults.killed + round(DEAD * 1000) + CATCHING_UP))
    ended = min(one.client.gone, one.server.gone)
    excused = one.at >= ended or any(begin <= one.at <= end for begin, end in windows)
    key = Key(one.client.workload, one.server.workload, one.service, one.port)
    return Made(key, one.client.pod, one.server.pod, excused)
