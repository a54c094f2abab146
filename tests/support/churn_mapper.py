"""The mapper in virtual time: its state, its intake and its loops, over the real store without its thread."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import msgspec

from network_mapper.cluster.index import Index
from network_mapper.cluster.live.cluster import LiveCluster
from network_mapper.mapper.decode import ReportError
from network_mapper.mapper.intake import BusyError, Intake
from network_mapper.mapper.state import State
from network_mapper.store import Database, Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_api import FakeApi

RETRY, FORGET, CHECKPOINT = 0.25, 5.0, 5.0
"""Seconds between two of the mapper's looks at what waits, at the dead, and at what is to be written."""


class InlineWriter(Writer):
    """The writer of the store, which commits in the loop's own turns."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(path, sync="off", max_bytes=0, deliver=loop.call_soon)
        self._database = Database(path, sync="off", max_bytes=0)
        self._loop = loop
        self._group = []

    def _put(self, job) -> None:
        if not self._group:
            self._loop.call_soon(self._flush)
        self._group.append(job)

    def _flush(self) -> None:
        group, self._group = self._group, []
        self._commit(self._database, group)

    def end(self) -> None:
        """Close the file."""
        self._database.close()


class Mapper:
    """One mapper that follows a server in memory.

    Args:
        folder: Where its map lies.
        api: The server.
        wall: Milliseconds since the epoch.
        seed: Of the jitter.
    """

    def __init__(self, folder: Path, api: FakeApi, wall: Callable[[], int], seed: int) -> None:
        path = str(folder / "map.db")
        self.path = path
        self._wall = wall
        self.index = Index("cluster.local")
        self.state = State(self.index, max_edges=500_000)
        database = Database(path, sync="off")
        self.state.restore(database, wall())
        database.close()
        self.writer = InlineWriter(path, asyncio.get_running_loop())
        self.live = LiveCluster(api, self.index, wall=wall, spread=random.Random(seed))
        self._ready = False
        self.intake = Intake(self.state, self.writer, wall, 64, obstacle=lambda: "" if self._ready else "not yet")

    async def run(self) -> None:
        """Follow the cluster and do what a mapper does every few seconds; until cancelled."""
        tasks = [asyncio.create_task(each) for each in (self.live.run(), self._follow(), self._checkpoints())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        await self.live.synced.wait()
        self._ready = True
        rounds = 0
        while True:
            await asyncio.sleep(RETRY)
            rounds += 1
            self.state.retry(self._wall())
            if rounds % round(FORGET / RETRY) == 0:
                self.index.forget(self._wall())
                self.state.give_up(self._wall())

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT)
            await self.state.checkpoint(self.writer, self._wall())

    async def post(self, body: bytes, encoding: str) -> tuple[int, dict[str, str], bytes]:
        """The report door."""
        try:
            receipt = await self.intake.accept(body, encoding)
        except BusyError as error:
            return 503, {}, str(error).encode()
        except ReportError as error:
            return 400, {}, str(error).encode()
        return 200, {"content-type": encoding}, msgspec.msgpack.encode(receipt)

    async def end(self) -> None:
        """Write what is left."""
        await self.state.checkpoint(self.writer, self._wall())
        self.writer.end()
