"""Decides what is read of a cluster, and keeps it followed: the core kinds at once, owners' kinds as they are met.

An owner of any kind is one step on the way from a pod to its workload. Which kinds own pods in a cluster is not known
before: operators bring their own. So each object's controller is looked at on its way to the index, and a kind that was
not met before is looked up in discovery and its metadata followed, if that is allowed. CustomResourceDefinitions are
watched so that kinds that come and go are noticed; where they may not be read, discovery is asked every minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING, Final

from network_mapper.cluster import identity
from network_mapper.cluster.live import backoff, report
from network_mapper.cluster.live.discovery import Catalogue, DiscoveryError, discover
from network_mapper.cluster.live.follow import Contact, Follower
from network_mapper.cluster.live.reflector import Reflector, State, Streaming
from network_mapper.cluster.live.resources import (
    BUILTIN_OWNERS,
    CRDS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    NEVER_READ,
    REQUIRED,
    SERVICE_CIDRS,
    Resource,
)
from network_mapper.cluster.objects import NODE, POD, ObjectMeta, group_kind
from network_mapper.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.cluster.live.api import Api
    from network_mapper.cluster.live.reflector import Sink
    from network_mapper.cluster.objects import Object, OwnerReference

logger = logging.getLogger(__name__)

MOST_KINDS: Final = 100
"""Kinds of owners that are followed besides the built-in ones; each is a connection to the server."""
MOST_MET: Final = 1000
"""Kinds of owners that are remembered at all."""
MOST_WAITING: Final = 10_000
"""Pods that are gone and wait for their owners at the start; more of them go by the name that they have."""

_BETWEEN_DISCOVERIES = 5.0
_AFTER_CRD = 1.0
_AGAIN_AFTER_CRD = 10.0
_POLL = 60.0
_SELDOM_POLL = 600.0
_SHOWN = 20

_CORE = (*REQUIRED, *BUILTIN_OWNERS, NAMESPACES, SERVICE_CIDRS)


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Owners:
    """The kinds that were met as controllers, as objects pass on their way to the index.

    A pod that goes while its owners are still being listed, as when a node is drained and the mapper with it, would be
    remembered by the name of its ReplicaSet. So until `settle` the index is told of no pod's end.

    Args:
        index: Where objects go.
        keys: Annotations to keep; all others are dropped at once.
        met: Called with each kind that was not met before.
    """

    def __init__(self, index: Sink, keys: identity.IdentityKeys, met: Callable[[str], None]) -> None:
        self.refused = 0
        self._waiting: dict[tuple[str, str], int] | None = {}
        self._index = index
        self._keys = keys
        self._tell = met
        self._met = {resource.group_kind for resource in _CORE} | NEVER_READ | {NODE, POD}
        self._most = MOST_MET + len(self._met)

    def apply(self, kind: str, item: Object, /) -> None:
        """Pass an object on."""
        meta = item.metadata
        if isinstance(meta, ObjectMeta):
            if meta.annotations:
                meta.annotations = identity.only_naming(meta.annotations, self._keys)
            if kind == POD:
                if self._waiting:
                    self._end((meta.namespace or "", meta.name))
                if meta.owner_references:
                    self._look(identity.controller(meta.owner_references))
        elif meta is not None and meta.owner_references:
            self._look(identity.controller(meta.owner_references))
        self._index.apply(kind, item)

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int) -> None:
        """Pass a deletion on."""
        if kind != POD or self._waiting is None:
            self._index.delete(kind, namespace, name, at=at)
            return
        self._waiting[namespace, name] = at
        if len(self._waiting) > MOST_WAITING:
            self._end(next(iter(self._waiting)))

    def settle(self) -> None:
        """All owners are known: tell of the pods that have gone meanwhile, and of others at once from now on."""
        while self._waiting:
            self._end(next(iter(self._waiting)))
        self._waiting = None

    def _end(self, pod: tuple[str, str]) -> None:
        at = self._waiting.pop(pod, None) if self._waiting else None
        if at is not None:
            self._index.delete(POD, *pod, at=at)

    def _look(self, owner: OwnerReference | None) -> None:
        if owner is None:
            return
        kind = group_kind(owner.api_version, owner.kind)
        if kind in self._met:
            return
        if len(self._met) >= self._most:
            self.refused += 1
            return
        self._met.add(kind)
        self._tell(kind)


class _Definitions:
    """Takes in CustomResourceDefinitions: of each change only the group matters."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed

    def apply(self, kind: str, item: Object, /) -> None:  # noqa: ARG002  a sink's signature
        if item.metadata is not None:
            self._changed(item.metadata.name.partition(".")[2])

    def delete(self, kind: str, namespace: str, name: str, /, *, at: int) -> None:  # noqa: ARG002  likewise
        self._changed(name.partition(".")[2])


class LiveCluster:
    """A cluster that is followed through its API.

    Attributes:
        synced: Set when pods, services, endpoints, nodes, and all built-in owners that may be read were listed once.

    Args:
        api: Client of the API; it is not closed here.
        index: Where objects go.
        keys: Where teams write the names of their workloads.
        streaming: Ask for streaming lists instead of pages.
        wall: Milliseconds since the epoch.
        spread: Source of jitter.
        most_kinds: Kinds of owners that are followed besides the built-in ones.
    """

    def __init__(
        self,
        api: Api,
        index: Sink,
        *,
        keys: identity.IdentityKeys | None = None,
        streaming: bool = False,
        wall: Callable[[], int] = wall_clock,
        spread: random.Random | None = None,
        most_kinds: int = MOST_KINDS,
    ) -> None:
        self.synced = asyncio.Event()
        self._api = api
        self._owners = Owners(index, keys or identity.IdentityKeys(), self._meet)
        self._wall = wall
        self._spread = spread or random.Random()  # noqa: S311  jitter is no secret
        self._streaming = Streaming(wanted=streaming)
        self._most_kinds = most_kinds
        self._contact = Contact(wall)
        self._follower = Follower(api, self._contact, self._changed)
        self._reflectors: dict[str, Reflector] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wanted: dict[str, None] = {}
        self._too_many: set[str] = set()
        self._refused: set[str] = set()
        self._catalogue: Catalogue | None = None
        self._discovery_error = ""
        self._past = report.Totals()
        self._discovered_at = 0.0
        self._refresh_at: float | None = None
        self._look_again = False
        self._started = False
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    # Running

    async def run(self) -> None:
        """Follow the cluster until `close`, or until cancelled."""
        self._ended.clear()
        supervisor = asyncio.create_task(self._supervise())
        try:
            await self._stop.wait()
        finally:
            tasks = [supervisor, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._ended.set()

    async def close(self) -> None:
        """End `run`, and wait for it."""
        self._stop.set()
        await self._ended.wait()

    async def _supervise(self) -> None:
        now = asyncio.get_running_loop().time
        self._refresh_at = now()
        failures = 0
        while True:
            try:
                await self._until_due()
                await self._refresh()
                failures = 0
            except ApiError as error:
                failures += 1
                self._refresh_at = now() + backoff.delay(failures, self._spread)
                self._discovery_error = str(error)
                if isinstance(error, DiscoveryError):
                    self._contact.answered()
                    if not self._started:  # without discovery the core kinds are where they are in all clusters
                        await self._adjust(Catalogue(), certain=False)
                else:
                    self._contact.lost(error)
                if failures == 1:
                    logger.warning("discovery failed", extra={"error": str(error)})
            except Exception:
                failures += 1
                self._refresh_at = now() + backoff.delay(failures, self._spread)
                logger.exception("looking after the kinds that are followed failed")

    async def _until_due(self) -> None:
        now = asyncio.get_running_loop().time
        while self._refresh_at is None or self._refresh_at > now():
            self._wake.clear()
            await self._start_wanted()
            wait = None if self._refresh_at is None else self._refresh_at - now()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _refresh(self) -> None:
        found = await discover(self._api)
        self._contact.answered()
        now = asyncio.get_running_loop().time()
        same = self._catalogue is not None and found.resources == self._catalogue.resources
        self._catalogue, self._discovery_error = found, ""
        self._past.discoveries += 1
        self._discovered_at = now
        again, self._look_again = self._look_again and same, False
        poll = _POLL if self._wanted and not self._sees_definitions() else _SELDOM_POLL
        self._refresh_at = now + (_AGAIN_AFTER_CRD if again else poll * self._spread.uniform(0.9, 1.1))
        if not same or not self._started:
            await self._adjust(found, certain=True)

    def _refresh_within(self, seconds: float) -> None:
        """Ask for discovery soon, but never more often than every few seconds."""
        now = asyncio.get_running_loop().time()
        due = max(now + seconds, self._discovered_at + _BETWEEN_DISCOVERIES)
        if self._refresh_at is None or due < self._refresh_at:
            self._refresh_at = due
        self._wake.set()

    # What is followed

    async def _adjust(self, catalogue: Catalogue, *, certain: bool) -> None:
        """Follow what there is: start, move and end reflectors until they are as the catalogue says."""
        self._started = True
        for default in _CORE:
            kind = default.group_kind
            if (
                certain
                and catalogue.serves(kind) is False
                and default in (ENDPOINT_SLICES, SERVICE_CIDRS, *BUILTIN_OWNERS)
            ):
                await self._end(kind)
            elif certain or default != SERVICE_CIDRS:
                await self._follow(catalogue.resources.get(kind) or self._present(kind) or default)
        if ENDPOINT_SLICES.group_kind in self._reflectors:
            await self._end(ENDPOINTS.group_kind)
        else:
            await self._follow(ENDPOINTS)
        if definitions := catalogue.resources.get(CRDS.group_kind):
            await self._follow(definitions)
        for kind in list(self._reflectors):
            if kind in self._wanted and catalogue.serves(kind) is False:
                await self._end(kind)
        await self._start_wanted()
        self._check_synced()

    def _present(self, kind: str) -> Resource | None:
        reflector = self._reflectors.get(kind)
        return reflector.resource if reflector else None

    async def _start_wanted(self) -> None:
        """Follow the kinds that were met and that discovery knows."""
        known = self._catalogue.resources if self._catalogue else {}
        followed = sum(kind in self._reflectors for kind in self._wanted)
        self._too_many.clear()
        for kind in list(self._wanted):
            if kind not in known:
                continue
            if kind not in self._reflectors:
                if followed >= self._most_kinds:
                    self._too_many.add(kind)
                    continue
                followed += 1
            await self._follow(known[kind])

    async def _follow(self, resource: Resource) -> None:
        kind = resource.group_kind
        reflector = self._reflectors.get(kind)
        if reflector is None:
            definitions = kind == CRDS.group_kind
            reflector = Reflector(
                resource,
                _Definitions(self._definition_changed) if definitions else self._owners,
                wall=self._wall,
                spread=self._spread,
                streaming=self._streaming,
                required=kind in _REQUIRED_KINDS,
            )
            self._reflectors[kind] = reflector
        elif reflector.resource == resource:
            return
        else:
            await self._cancel(kind)
            reflector.moved(resource)
        self._tasks[kind] = asyncio.create_task(self._follower.follow(reflector))

    async def _end(self, kind: str) -> None:
        """Follow a kind no more; what it held leaves."""
        reflector = self._reflectors.pop(kind, None)
        if reflector is None:
            return
        await self._cancel(kind)
        self._refused.discard(kind)
        self._past.add(reflector.counts)
        logger.info("not served any more", extra={"resource": reflector.resource.name})
        for _ in reflector.forget():
            await asyncio.sleep(0)

    async def _cancel(self, kind: str) -> None:
        task = self._tasks.pop(kind)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # What is heard on the way

    def _meet(self, kind: str) -> None:
        self._wanted[kind] = None
        if self._catalogue is None or kind in self._catalogue.resources:
            self._wake.set()
        else:
            self._refresh_within(0)

    def _definition_changed(self, group: str) -> None:
        reflector = self._reflectors.get(CRDS.group_kind)
        if reflector is None or not reflector.listed:
            return
        if any(kind.partition(".")[2] == group for kind in self._wanted):
            self._look_again = True
            self._refresh_within(_AFTER_CRD)

    def _changed(self, reflector: Reflector) -> None:
        if reflector.state is State.ABSENT:
            self._refresh_within(_AFTER_CRD)
        kind = reflector.resource.group_kind
        if reflector.listed and kind in self._refused:
            self._refused.discard(kind)
            self._ask_refused()
        elif reflector.state is State.FORBIDDEN and not reflector.listed:
            self._refused.add(kind)
        self._check_synced()

    def _ask_refused(self) -> None:
        """Somebody has given a grant, and those come together."""
        for reflector in self._reflectors.values():
            reflector.retry()
        self._follower.look_again()

    def _sees_definitions(self) -> bool:
        reflector = self._reflectors.get(CRDS.group_kind)
        return reflector is not None and reflector.listed and reflector.state is not State.FORBIDDEN

    def _check_synced(self) -> None:
        if not self.synced.is_set() and self._started and not any(True for _ in self._unsettled()):
            self._owners.settle()
            self.synced.set()
            logger.info("the cluster was read", extra={"resources": len(self._reflectors)})

    def _unsettled(self) -> Iterable[Reflector]:
        for kind, reflector in self._reflectors.items():
            if reflector.listed:
                continue
            unreadable = reflector.state in (State.FORBIDDEN, State.ABSENT)
            if kind in _REQUIRED_KINDS or (kind in _BUILTIN_KINDS and not unreadable):
                yield reflector

    # For people

    def status(self) -> list[report.ResourceStatus]:
        """How it stands with each resource that is read, or should be."""
        return [report.status_of(reflector) for reflector in self._reflectors.values()]

    def totals(self) -> report.Totals:
        """Counters over all resources."""
        totals = report.Totals()
        totals.add(self._past)
        for reflector in self._reflectors.values():
            totals.add(reflector.counts)
        return totals

    def problems(self) -> list[str]:
        """What is wrong at present, a line each."""
        lines = []
        if self._contact.lost_since:
            lines.append(
                f"the API server does not answer since {report.at(self._contact.lost_since)}: {self._contact.error}"
            )
        elif self._discovery_error:
            lines.append(f"discovery failed: {self._discovery_error}")
        for kind, reflector in self._reflectors.items():
            if reflector.state is State.FORBIDDEN and kind != CRDS.group_kind:
                lines.append(report.refusal(reflector, required=kind in _REQUIRED_KINDS))
        unwatchable = self._catalogue.unwatchable if self._catalogue else set()
        lines += [
            f"{kind} owns objects, but the API does not let anybody list and watch it"
            for kind in self._wanted
            if kind in unwatchable
        ]
        if self._too_many:
            names = ", ".join(sorted(self._too_many)[:_SHOWN])
            lines.append(
                f"{len(self._too_many)} kinds of owners more than {self._most_kinds} are not followed: {names}"
            )
        if self._owners.refused:
            lines.append(f"{self._owners.refused} objects name owners of kinds beyond the first {MOST_MET}")
        if not self._contact.lost_since:
            lines += report.trouble(self._reflectors.values())
        return lines

    def waiting_for(self) -> list[str]:
        """Why the cluster is not synced yet, a line each; none when it is."""
        if self.synced.is_set():
            return []
        if self._contact.lost_since or not self._started:
            return self.problems()[:1] or ["the API server has not answered yet"]
        lines = []
        under_way: dict[str, list[str]] = {}
        for reflector in self._unsettled():
            if reflector.state is State.FORBIDDEN:
                lines.append(report.refusal(reflector, required=True))
            else:
                under_way.setdefault(reflector.last_error, []).append(reflector.resource.name)
        for error, names in under_way.items():
            lines.append(f"{', '.join(names)} are being listed{f': {error}' if error else ''}")
        return lines


_REQUIRED_KINDS: Final = frozenset(resource.group_kind for resource in (*REQUIRED, ENDPOINTS))
_BUILTIN_KINDS: Final = frozenset(resource.group_kind for resource in BUILTIN_OWNERS)
