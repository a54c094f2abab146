"""The mapper in virtual time: its state, its intake, its loops and its store, without their threads and sockets."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING
from unittest import mock

import msgspec

from network_mapper.cluster.installation import Installation
from network_mapper.cluster.live.cluster import LiveCluster
from network_mapper.mapper import run as product
from network_mapper.mapper.clusters import FollowedCluster
from network_mapper.mapper.decode import ReportError
from network_mapper.mapper.intake import BusyError, Intake
from network_mapper.mapper.keeper import Keeper
from network_mapper.mapper.settings import MapperSettings
from network_mapper.mapper.state import State
from network_mapper.store import Database, Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_api import FakeApi

MANY = 10_000_000
SETTINGS = MapperSettings(max_edges=MANY, group_after=MANY, cluster_domain="cluster.local")
"""As it is shipped, but that no edges are folded: each client has a port of its own, which looks like a flood."""
DEAD = 2.0
"""Seconds from a kill to the next start."""


class InlineWriter(Writer):
    """The writer of the store, which commits in the loop's own turns."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(path, sync="normal", max_bytes=0, deliver=loop.call_soon)
        self._database = Database(path, sync="normal")
        self._loop = loop
        self._group = []
        self._ended = False

    def _put(self, job) -> None:
        if not self._group:
            self._loop.call_soon(self._flush)
        self._group.append(job)

    def _flush(self) -> None:
        group, self._group = self._group, []
        if not self._ended:
            self._commit(self._database, group)

    def end(self) -> None:
        """Close the file; what is not in it is lost."""
        self._ended = True
        self._database.close()


class Mapper:
    """One mapper that follows a server in memory, from its start to its end.

    Args:
        folder: Where its map lies.
        api: The server.
        wall: Milliseconds since the epoch.
        seed: Of the jitter.
    """

    def __init__(self, folder: Path, api: FakeApi, wall: Callable[[], int], seed: int) -> None:
        self._path, self._wall = str(folder / "map.db"), wall
        self._killed = asyncio.Event()
        self.index = product.make_index(SETTINGS)
        self.state = State(self.index, SETTINGS.max_edges, group_after=SETTINGS.group_after)
        self._read(self.state.restore)
        self._keeper = self.state.keeper = Keeper(
            self.index, remember=product.remember_ms(SETTINGS), most=SETTINGS.remember_pods_most
        )
        self._read(lambda database, now: self._keeper.recall(database.objects(), now))
        self._writer = InlineWriter(self._path, asyncio.get_running_loop())
        installed = Installation(self._keeper, "")
        self._live = LiveCluster(api, installed, keys=self.index.keys, wall=wall, spread=random.Random(seed))
        cluster = FollowedCluster(self.index, self._live, installed, "memory", self._know)
        self._intake = Intake(self.state, self._writer, wall, 64, obstacle=cluster.obstacle)
        self._clock = mock.patch.object(product, "clock", wall)
        self._clock.start()
        self._tasks = [
            asyncio.create_task(each)
            for each in (
                cluster.run(),
                product._checkpoints(SETTINGS, self.state, self._writer),
                product._forget_the_dead(self.state),
                product._look_around(self.state, cluster, self._writer),
            )
        ]

    def _know(self) -> None:
        """What has to wait until the cluster has been read once."""
        self._keeper.settle(self._live.listed(), self._wall())
        self._read(self.state.replay)

    def _read(self, what: Callable[[Database, int], object]) -> None:
        database = Database(self._path, sync="normal")
        what(database, self._wall())
        database.close()

    async def post(self, body: bytes, encoding: str) -> tuple[int, dict[str, str], bytes]:
        """The report door.

        Raises:
            ConnectionResetError: It was killed before it could answer.
        """
        answering = asyncio.ensure_future(self._answer(body, encoding))
        killed = asyncio.ensure_future(self._killed.wait())
        await asyncio.wait((answering, killed), return_when=asyncio.FIRST_COMPLETED)
        for each in (answering, killed):
            if not each.done():
                each.cancel()
        if killed.done() and not killed.cancelled():
            raise ConnectionResetError("killed")
        return answering.result()

    async def _answer(self, body: bytes, encoding: str) -> tuple[int, dict[str, str], bytes]:
        try:
            receipt = await self._intake.accept(body, encoding)
        except BusyError as error:
            return 503, {}, str(error).encode()
        except ReportError as error:
            return 400, {}, str(error).encode()
        return 200, {"content-type": encoding}, msgspec.msgpack.encode(receipt)

    def check(self) -> None:
        """Raise what one of its loops ended with."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def kill(self) -> None:
        """End it without a word, as kill -9 does: what is not in its file is gone."""
        self._killed.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._clock.stop()
        self._writer.end()
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Let it write what is left, and end it."""
        self.state.keep(self._writer, self._wall())
        await self.state.checkpoint(self._writer, self._wall())
        await self.kill()

    def stored(self):
        """The edges that its file has."""
        database = Database(self._path, sync="normal")
        edges = [row.edge for row in database.edges()]
        database.close()
        return edges
