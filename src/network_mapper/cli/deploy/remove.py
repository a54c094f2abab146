"""Removing objects: what runs goes first and what it needs last, and the command waits until all of it is gone.

Only objects with the label of one installation are removed, each with the identity it had when it was listed, so that
nothing that was made meanwhile under the same name goes with it. A volume's claim holds the map, so it stays unless
its removal is asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from network_mapper.cli.deploy import resources, rollout
from network_mapper.cli.deploy.apply import REMOVED, Done

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.cli.deploy.diagnose import Object
    from network_mapper.cli.deploy.session import Api


def order(items: Sequence[Object]) -> list[Object]:
    """Objects in the order in which they are removed."""
    return sorted(items, key=lambda item: (-resources.place(item), item["metadata"]["name"]))


def is_data(item: Object) -> bool:
    """Whether an object holds the map."""
    return bool(item["kind"] == resources.CLAIM.kind)


async def remove(api: Api, items: Sequence[Object]) -> list[Done]:
    """Ask for the removal of objects, in this order.

    Raises:
        DeniedError: The API refused one; those before it are removed.
        ApiError: It cannot be asked.
    """
    done: list[Done] = []
    for item in items:
        await api.delete(resources.path_of(item), item["metadata"]["uid"])
        done.append(Done.of(item, REMOVED))
    return done


async def left(api: Api, items: Sequence[Object], namespace: str) -> list[str]:
    """What of it is still there, the pods of the installation among it, as titles.

    Args:
        api: Of the cluster.
        items: What was removed.
        namespace: Of the installation.

    Raises:
        DeniedError: It may not be read.
        ApiError: The API cannot be asked.
    """
    found = await asyncio.gather(*(api.get(resources.path_of(item)) for item in items))
    both = zip(items, found, strict=True)
    same = [item for item, now in both if now and now["metadata"]["uid"] == item["metadata"]["uid"]]
    return [resources.title_of(item) for item in same] + [
        f"pod/{pod['metadata']['name']}" for pod in await rollout.pods(api, namespace)
    ]
