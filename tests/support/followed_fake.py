"""A cluster that is followed from a server in memory into an index that only records."""

from __future__ import annotations

import asyncio
import contextlib
import random

from network_mapper.cluster.live.cluster import LiveCluster
from network_mapper.cluster.live.follow import Contact, Follower
from network_mapper.cluster.live.reflector import Reflector, Streaming


class Recorder:
    """Stands in for the index: holds what it was given."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], object] = {}
        self.deleted: list[tuple[str, str, str, int]] = []
        self.applied = 0

    def apply(self, kind, item):
        self.applied += 1
        self.objects[kind, item.metadata.namespace or "", item.metadata.name] = item

    def delete(self, kind, namespace, name, *, at):
        del self.objects[kind, namespace, name]
        self.deleted.append((kind, namespace, name, at))

    def names(self, kind="Pod"):
        return sorted(name for held, _, name in self.objects if held == kind)

    def versions(self, kind="Pod"):
        return {
            (namespace, name): item.metadata.resource_version
            for (held, namespace, name), item in self.objects.items()
            if held == kind
        }


class One:
    """One resource, followed."""

    def __init__(self, api, resource, **options):
        self.api, self.sink = api, Recorder()
        wall = asyncio.get_running_loop().wall
        self.reflector = Reflector(resource, self.sink, wall=wall, spread=random.Random(1), **options)
        self.contact = Contact(wall)
        self.follower = Follower(api, self.contact, lambda _: None)
        self.task = asyncio.create_task(self.follower.follow(self.reflector))

    async def end(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def following(api, resource, *, streaming=False, **options):
    one = One(api, resource, streaming=Streaming(wanted=streaming), **options)
    try:
        yield one
    finally:
        await one.end()


@contextlib.asynccontextmanager
async def living(api, index=None, **options):
    sink = index if index is not None else Recorder()
    live = LiveCluster(api, sink, wall=asyncio.get_running_loop().wall, spread=random.Random(1), **options)
    live.sink = sink
    task = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        await live.close()
        await task


def pod(name, namespace="shop", owner=None, **meta):
    if owner:
        api_version, kind, owner_name = owner
        meta["ownerReferences"] = [{"apiVersion": api_version, "kind": kind, "name": owner_name, "controller": True}]
    return {"metadata": {"name": name, "namespace": namespace, **meta}, "spec": {"nodeName": "n1"}}
