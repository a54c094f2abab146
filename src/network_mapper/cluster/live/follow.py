"""Gives reflectors their connections and their time: the only part of the protocol that waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from network_mapper.cluster.live.reflector import SLICE
from network_mapper.kube.errors import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from network_mapper.cluster.live.api import Api, Stream
    from network_mapper.cluster.live.reflector import Reflector

logger = logging.getLogger(__name__)

STALL: Final = 30.0
"""Seconds without a line after which a streaming list is taken for one that never ends."""
PAGES_AT_ONCE: Final = 2
"""Pages that are read at the same time: each is in memory as a whole."""


class Contact:
    """Whether the API answers at all, as the last request of any resource found it.

    Attributes:
        lost_since: When it stopped answering, milliseconds since the epoch; 0 while it answers.
        error: What the last request met.
    """

    def __init__(self, wall: Callable[[], int]) -> None:
        self.lost_since = 0
        self.error = ""
        self._wall = wall

    def answered(self) -> None:
        """Something came back, whatever it was."""
        self.lost_since = 0

    def lost(self, error: Exception) -> None:
        """Nothing came back."""
        self.lost_since = self.lost_since or self._wall()
        self.error = str(error) or type(error).__name__


class Follower:
    """Makes the requests of reflectors.

    Args:
        api: Where.
        contact: Is told whether the API answers.
        changed: Called after each request, when a watch begins, and when a list has come to its end.
    """

    def __init__(self, api: Api, contact: Contact, changed: Callable[[Reflector], None]) -> None:
        self._api = api
        self._contact = contact
        self._changed = changed
        self._gate = asyncio.Semaphore(PAGES_AT_ONCE)
        self._sooner = asyncio.Event()

    def look_again(self) -> None:
        """Let whoever waits look again for how long: something has changed that."""
        self._sooner.set()
        self._sooner = asyncio.Event()

    async def follow(self, reflector: Reflector) -> None:
        """Let a reflector list and watch until cancelled."""
        while True:
            await self.once(reflector)

    async def once(self, reflector: Reflector, namespace: str = "") -> None:
        """Wait until a reflector's next request is due, and make it; `namespace` restricts it to that one."""
        time = asyncio.get_running_loop().time
        while (delay := reflector.delay(time())) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._sooner.wait()
        ask, path = reflector.ask(), reflector.resource.path(namespace)
        try:
            if ask.watch:
                async with self._api.stream(path, ask.params, accept=ask.accept, silence=ask.silence) as stream:
                    await self._watch(reflector, stream)
            else:
                async with self._gate:
                    answer = await self._api.get(path, ask.params, accept=ask.accept)
                    self._contact.answered()
                    for _ in reflector.page(answer.status, answer.headers, answer.body, time()):
                        await asyncio.sleep(0)
        except ApiError as error:
            self._contact.lost(error)
            reflector.failed(error, time(), "unreachable" if isinstance(error, UnreachableError) else "client")
        except Exception as error:
            logger.exception("following a resource failed", extra={"resource": reflector.resource.name})
            reflector.lost(error, time())
        self._changed(reflector)

    async def _watch(self, reflector: Reflector, stream: Stream) -> None:
        time = asyncio.get_running_loop().time
        self._contact.answered()
        kind = stream.headers.get("content-type", "")
        if stream.status != 200 or (kind and "json" not in kind):
            reflector.refused(stream.status, stream.headers, await stream.body(), time())
            return
        reflector.opened(time())
        self._changed(reflector)
        lines = stream.lines()
        try:
            if reflector.initial and not await self._first_part(reflector, lines):
                return
            number = 0
            async for line in lines:
                if not reflector.line(line, time()):
                    return
                number += 1
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            reflector.ended(time())
        except TimeoutError:
            reflector.stalled(time())
        except UnreachableError:
            raise
        except ApiError as error:
            reflector.lost(error, time())

    async def _first_part(self, reflector: Reflector, lines: AsyncIterator[bytes]) -> bool:
        """The list with which a streaming list begins; False when the watch is of no use any more."""
        time = asyncio.get_running_loop().time
        number = 0
        async with asyncio.timeout(STALL) as limit:
            async for line in lines:
                if not reflector.line(line, time()):
                    return False
                if not reflector.initial:
                    break
                number += 1
                if number % SLICE == 0:
                    limit.reschedule(time() + STALL)
                    await asyncio.sleep(0)
        for _ in reflector.work():
            await asyncio.sleep(0)
        self._changed(reflector)
        return True
