"""Waiting until an installation runs, and telling what is wrong while it does not.

State is asked for once a second: it is one person who waits, for a minute or so. A problem is told when it has stood
for some seconds, because Kubernetes goes through several on the way of every pod. What this user may not read is said
once, with the right that it takes, and the wait goes on without it.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from network_mapper.cli.deploy import diagnose, find, manifests, resources
from network_mapper.cli.deploy.session import DeniedError

if TYPE_CHECKING:
    from network_mapper.cli.deploy.diagnose import Object, Problem
    from network_mapper.cli.deploy.session import Api

SETTLED = 5.0
"""Seconds for which a problem stands before it is told."""
MOST_TROUBLED = 8
"""Pods whose events are read at a time."""


class Part(msgspec.Struct):
    """A Deployment or DaemonSet of an installation.

    Attributes:
        name: `mapper` or `sniffers`.
        ready: Pods that run as they should, of the newest kind.
        wanted: Pods there should be.
        done: Whether all is as it should be, and nothing of a former version is left.
        missing: Whether the object itself is gone.
    """

    name: str
    ready: int = 0
    wanted: int = 0
    done: bool = False
    missing: bool = False

    @property
    def text(self) -> str:
        """For people, such as `1 of 2 sniffers ready`."""
        if self.name == "mapper" and self.wanted == 1:
            return "mapper ready" if self.done else "mapper not ready"
        return f"{self.ready} of {self.wanted} {self.name} ready"


def part_of(item: Object) -> Part:
    """How far a Deployment or DaemonSet is."""
    status = item.get("status") or {}
    seen = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
    if item["kind"] == "Deployment":
        wanted = item["spec"].get("replicas", 1)
        updated = status.get("updatedReplicas", 0)
        ready = min(status.get("availableReplicas", 0), updated) if seen else 0
        return Part("mapper", ready, wanted, seen and ready >= wanted and status.get("replicas", 0) == updated)
    wanted = status.get("desiredNumberScheduled", 0)
    ready = min(status.get("numberAvailable", 0), status.get("updatedNumberScheduled", 0)) if seen else 0
    return Part("sniffers", ready, wanted, seen and ready >= wanted)


class Step(msgspec.Struct):
    """What one look at the cluster has brought.

    Attributes:
        parts: The state of the parts.
        problems: Those that have settled and were not told before.
        hints: Rights that are missing for a better answer, not told before.
    """

    parts: list[Part]
    problems: list[Problem]
    hints: list[str]

    @property
    def done(self) -> bool:
        """Whether everything runs."""
        return all(part.done for part in self.parts)

    @property
    def text(self) -> str:
        """For people."""
        return ", ".join(part.text for part in self.parts)


class Rollout:
    """One wait.

    Args:
        api: Of the cluster.
        items: The objects that were applied.
        namespace: Of the installation.
        hopeless: Parts that are known not to come, such as sniffers that the namespace forbids.

    Attributes:
        problems: All that stand now, told or not.
    """

    def __init__(self, api: Api, items: list[Object], namespace: str, hopeless: frozenset[str] = frozenset()) -> None:
        self._api = api
        self._namespace = namespace
        found = [item for item in items if item["kind"] in ("Deployment", "DaemonSet")]
        self._items = [item for item in found if part_of(item).name not in hopeless]
        self._since: dict[tuple[str, str], float] = {}
        self._told: set[tuple[str, str]] = set()
        self._hinted: set[str] = set()
        self._hints: list[str] = []
        self.problems: list[Problem] = []

    async def look(self) -> Step:
        """Look once.

        Raises:
            DeniedError: Not even the Deployment and the DaemonSet may be read.
            ApiError: The API cannot be asked.
        """
        found = await asyncio.gather(*(self._api.get(resources.path_of(item)) for item in self._items))
        parts: list[Part] = []
        problems: list[Problem] = []
        for item, now in zip(self._items, found, strict=True):
            part = part_of(now) if now else Part(part_of(item).name, missing=True)
            parts.append(part)
            if now is None:
                what = f"{resources.title_of(item)} was removed by somebody"
                problems.append(diagnose.Problem(part.name, what, "Install again"))
            elif not part.done:
                problems += await self._problems(part.name, now)
        self.problems = diagnose.gather(problems)
        hints, self._hints = self._hints, []
        return Step(parts, await self._settled(), hints)

    async def _settled(self) -> list[Problem]:
        now = time.monotonic()
        keys = {problem.key: problem for problem in self.problems}
        self._since = {key: self._since.get(key, now) for key in keys}
        fresh = [key for key in keys if now - self._since[key] >= SETTLED and key not in self._told]
        self._told.update(fresh)
        return [await self._with_log(keys[key]) for key in fresh]

    async def explained(self) -> list[Problem]:
        """The problems that stand now and were not told yet, settled or not."""
        left = [found for found in self.problems if found.key not in self._told]
        return [await self._with_log(found) for found in left]

    # What is asked about parts that are not ready

    async def _problems(self, part: str, item: Object) -> list[Problem]:
        problems: list[Problem] = []
        if refusal := await self._refusal(part, item):
            problems.append(refusal)
        labels = item["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        pods = await self._readable(self._api.list(resources.POD.path(self._namespace), labelSelector=selector))
        troubled = [pod for pod in pods if not _ready(pod)]
        found = [await self._pod(part, pod) for pod in troubled[:MOST_TROUBLED]]
        return [*problems, *(problem for problem in found if problem)]

    async def _refusal(self, part: str, item: Object) -> Problem | None:
        """Why pods are not even made."""
        status = item.get("status") or {}
        if item["kind"] == "Deployment":
            failures = [found for found in status.get("conditions") or () if found.get("type") == "ReplicaFailure"]
            said = next((found.get("message") or "" for found in failures if found.get("status") == "True"), "")
        elif status.get("currentNumberScheduled", 0) >= status.get("desiredNumberScheduled", 0):
            return None
        else:
            said = diagnose.newest(await self._events("DaemonSet", item), "FailedCreate")
        return diagnose.refused(part, said, self._namespace) if said else None

    async def _pod(self, part: str, pod: Object) -> Problem | None:
        events = await self._events("Pod", pod)
        claims: list[Object] = []
        claim_events: list[Object] = []
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            claim = await self._one(self._api.get(resources.CLAIM.path(self._namespace, name))) if name else None
            if claim and (claim.get("status") or {}).get("phase") != "Bound":
                claims.append(claim)
                claim_events += await self._events("PersistentVolumeClaim", claim)
        started = (pod.get("status") or {}).get("containerStatuses")
        node = None
        if (name := pod["spec"].get("nodeName")) and not (started and events):
            node = await self._one(self._api.get(resources.NODE.path(name=name)))
        return diagnose.pod_problem(part, pod, events, claims, claim_events, node)

    async def _events(self, kind: str, item: Object) -> list[Object]:
        meta = item["metadata"]
        selector = f"involvedObject.kind={kind},involvedObject.name={meta['name']}"
        found = await self._readable(self._api.list(resources.EVENT.path(self._namespace), fieldSelector=selector))
        return [event for event in found if (event.get("involvedObject") or {}).get("uid", "") in ("", meta["uid"])]

    async def _with_log(self, problem: Problem) -> Problem:
        """A problem with the last lines of the log, where there is one that says more."""
        if not problem.container or not problem.pods:
            return problem
        path = resources.POD.path(self._namespace, problem.pods[0], "log")
        for previous in ("false", "true"):
            params = {"container": problem.container, "tailLines": "20", "limitBytes": "8192", "previous": previous}
            try:
                lines = diagnose.last_lines(await self._api.text(path, params))
            except DeniedError as error:
                if error.code == HTTPStatus.FORBIDDEN:
                    self._hint(error)
                    break
                continue  # no such log, or no kubelet to ask for it: there is less to say
            if lines:
                return msgspec.structs.replace(problem, what=f"{problem.what}; its last words: {lines}")
        return problem

    async def _readable(self, asked: Any) -> list[Object]:
        try:
            found: list[Object] = await asked
        except DeniedError as error:
            self._hint(error)
            return []
        return found

    async def _one(self, asked: Any) -> Object | None:
        try:
            found: Object | None = await asked
        except DeniedError as error:
            self._hint(error)
            return None
        return found

    def _hint(self, error: DeniedError) -> None:
        """Remember a right without which less can be said; any other refusal goes on."""
        if error.code not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
            raise error
        right = error.missing_right
        if right and right not in self._hinted:
            self._hinted.add(right)
            self._hints.append(right)


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(found.get("type") == "Ready" and found.get("status") == "True" for found in conditions)


async def pods(api: Api, namespace: str) -> list[Object]:
    """The pods of an installation of this command, those that end among them."""
    selector = f"{find.PARTS},{manifests.INSTANCE}={manifests.MANAGER},{manifests.COMPONENT} in (mapper, sniffer)"
    return await api.list(resources.POD.path(namespace), labelSelector=selector)
