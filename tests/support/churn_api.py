"""What the API server tells of a world: late by up to five seconds, kinds out of step, some of it twice.

Each kind's events keep their order, as in a watch. How late they are changes again and again, by kind, so an owner may
be told seconds after its pods, and many events come at once. Watches break and are taken up again; for a while nothing
is answered at all, and what happened then is told by nobody: the list after it shows who is left.
"""

from __future__ import annotations

import asyncio
import copy
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import churn_recorded
import fake_api
from churn_world import EPOCH, NODES, POD_PORT, SERVICE_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from churn_world import Life, World
    from fake_api import FakeApi

    from network_mapper.model import ServiceRef

Object = dict[str, Any]

LATEST = 5_000
CALM = (2_000, 12_000)
KEPT = 200
"""Events of a kind that the server remembers."""


class Faults(NamedTuple):
    """What goes wrong between the API server and the mapper.

    Attributes:
        latest: By how much an event comes late at most, milliseconds.
        repeats: Whether events are told again.
        cuts: Whether watches break.
        away: When nothing is answered, milliseconds since the epoch.
        killed: When the mapper is killed, likewise; 0 for never. It starts again two seconds later.
        clocks: By how much each node's clock is ahead, milliseconds.
    """

    latest: int = LATEST
    repeats: bool = True
    cuts: bool = True
    away: tuple[int, int] = (0, 0)
    killed: int = 0
    clocks: tuple[int, int] = (0, 0)


class Happening(NamedTuple):
    """A change of one object; None stands for its removal."""

    at: int
    resource: str
    namespace: str
    name: str
    object: Object | None


def happenings(world: World, faults: Faults) -> list[Happening]:
    """Everything that the API server learns, sorted by when."""
    found = [*_standing(world), *_slices(world)]
    known: set[tuple[str, str]] = set()
    for life in world.lives:
        found += _owner(life, known)
        found += _pod(life, faults.clocks[NODES.index(life.node)])
    return sorted(found, key=lambda each: each.at)


def _pod(life: Life, ahead: int) -> Iterator[Happening]:
    node = NODES.index(life.node)
    names = {
        "@pod@": life.pod[1],
        "@uid@": life.uid,
        "@owner@": life.owner[1],
        "@owner-uid@": f"11111111-0000-4000-8000-{life.number:012x}",
        "@namespace@": life.pod[0],
        "@app@": life.workload.name,
        "@node@": life.node,
        "@v4@": life.addresses[0],
        "@v6@": life.addresses[1],
        "@host4@": _node_address(node),
        "@host6@": f"fd00:172:30::{11 + node:x}",
    }
    for told in life.story.events:
        item = None if told.type == "DELETED" else churn_recorded.tell(told.text, names, life.moment, ahead)
        yield Happening(life.moment(told.at), "pods", *life.pod, item)


def _owner(life: Life, known: set[tuple[str, str]]) -> Iterator[Happening]:
    """What stands between a pod and its root, made right before it."""
    kind, name = life.owner
    namespace = life.pod[0]
    if kind not in ("ReplicaSet", "Job") or (namespace, name) in known:
        return
    known.add((namespace, name))
    resource = {"ReplicaSet": "replicasets", "Job": "jobs"}[kind]
    item = next(copy.deepcopy(each) for each in churn_recorded.objects(resource))
    item["metadata"] = {
        "name": name,
        "namespace": namespace,
        "uid": f"11111111-0000-4000-8000-{life.number:012x}",
        "creationTimestamp": churn_recorded.written(life.base - 20),
    }
    if life.workload.kind != "Job":
        api = {"Deployment": "apps/v1", "CronJob": "batch/v1"}[life.workload.kind]
        owner = {"apiVersion": api, "kind": life.workload.kind, "name": life.workload.name, "controller": True}
        item["metadata"]["ownerReferences"] = [owner | {"uid": "22222222-0000-4000-8000-000000000000"}]
    yield Happening(life.base - 20, resource, namespace, name, item)
    if kind == "Job":
        yield Happening(life.gone + 30, resource, namespace, name, None)


def _standing(world: World) -> Iterator[Happening]:
    """What is there from the beginning: nodes, root owners, services."""
    for number, name in enumerate(NODES):
        item = copy.deepcopy(churn_recorded.objects("nodes")[0])
        item["metadata"] |= {"name": name, "creationTimestamp": churn_recorded.written(EPOCH)}
        item["spec"] = {"podCIDRs": [f"10.244.{number + 1}.0/24", f"fd00:10:244:{number + 1}::/64"]}
        item["status"]["addresses"] = [{"type": "InternalIP", "address": _node_address(number)}]
        yield Happening(EPOCH, "nodes", "", name, item)
    for one in world.sets:
        resource = {"Deployment": "deployments", "CronJob": "cronjobs", "StatefulSet": "statefulsets"}[
            one.workload.kind
        ]
        meta = {"name": one.workload.name, "namespace": one.workload.namespace, "uid": f"root-{one.workload.name}"}
        yield Happening(EPOCH, resource, one.workload.namespace, one.workload.name, {"metadata": meta})
    for ref in services(world):
        item = copy.deepcopy(churn_recorded.objects("services")[0])
        item["metadata"] |= {"name": ref.name, "namespace": ref.namespace}
        item["metadata"]["creationTimestamp"] = churn_recorded.written(EPOCH)
        item["spec"] |= {"clusterIP": address_of(world, ref), "clusterIPs": [address_of(world, ref)]}
        item["spec"]["ports"] = [{"name": "main", "protocol": "TCP", "port": SERVICE_PORT, "targetPort": POD_PORT}]
        yield Happening(EPOCH, "services", ref.namespace, ref.name, item)


def _slices(world: World) -> Iterator[Happening]:
    """The endpoints of services, as pods become ready and end."""
    form = next(each for each in churn_recorded.objects("endpointslices") if each.get("endpoints"))
    for ref in services(world):
        changes = []
        for life in world.lives:
            if life.service == ref:
                stopping = min(told.at for told in life.story.events if told.at >= life.story.quiet)
                changes += [(life.ready + 10, True, life), (life.moment(stopping) + 10, False, life)]
        ready: dict[int, Life] = {}
        for at, begins, life in sorted(changes, key=lambda change: change[0]):
            if begins:
                ready[life.number] = life
            else:
                ready.pop(life.number, None)
            item = {**form, "metadata": {"name": f"{ref.name}-x", "namespace": ref.namespace}}
            item["metadata"]["labels"] = {"kubernetes.io/service-name": ref.name}
            item["endpoints"] = [_endpoint(form["endpoints"][0], each) for each in ready.values()]
            yield Happening(at, "endpointslices", ref.namespace, f"{ref.name}-x", item)


def _endpoint(form: Object, life: Life) -> Object:
    target = {"kind": "Pod", "namespace": life.pod[0], "name": life.pod[1], "uid": life.uid}
    return {**form, "addresses": [life.addresses[0]], "targetRef": target, "nodeName": life.node}


def services(world: World) -> list[ServiceRef]:
    """The services, in one order."""
    return sorted({one.service for one in world.sets if one.service}, key=lambda ref: ref.name)


def address_of(world: World, ref: ServiceRef) -> str:
    """The address of a service."""
    return f"10.96.0.{10 + services(world).index(ref)}"


def _node_address(number: int) -> str:
    return f"172.30.0.{11 + number}"


def told_at(found: list[Happening], faults: Faults, chance: random.Random) -> list[tuple[int, Happening]]:
    """When each happening is told: late, in order within its kind, and out of step between kinds."""
    late: dict[str, tuple[int, int]] = {}
    """By kind: how late it is now, and until when that stays so."""
    last: dict[str, int] = {}
    told = []
    for each in found:
        delay, until = late.get(each.resource, (0, EPOCH + 30_000))
        if each.at >= until:
            delay, until = chance.randint(0, faults.latest), each.at + chance.randint(*CALM)
            late[each.resource] = delay, until
        last[each.resource] = max(last.get(each.resource, 0), each.at + delay)
        told.append((last[each.resource], each))
    return sorted(told, key=lambda one: one[0])


async def tell(api: FakeApi, world: World, faults: Faults) -> None:
    """Let a server in memory know a world as time passes, with everything that goes wrong on the way."""
    chance = random.Random(world.shape.seed + 1)
    loop = asyncio.get_running_loop()
    wall = loop.wall  # type: ignore[attr-defined]  the virtual one
    due = told_at(happenings(world, faults), faults, chance)
    next_repeat, next_cut, next_compaction = (world.start + 1_000,) * 3
    away = faults.away
    for at, each in due:
        while wall() < at:
            stops = [stop for stop in (at, *away) if stop > wall()]
            await asyncio.sleep((min(stops) - wall()) / 1000)
            if away[0] <= wall() < away[1] and not api.down:
                api.down = True
                api.cut()
            elif api.down and wall() >= away[1]:
                api.compact()
                api.down = False
        now = wall()
        _happen(api, each)
        if faults.repeats and now >= next_repeat:
            next_repeat = now + chance.randint(500, 4_000)
            _repeat(api, chance)
        if faults.cuts and now >= next_cut:
            next_cut = now + chance.randint(5_000, 30_000)
            api.cut(chance.choice(("pods", "jobs", "replicasets", "")), cleanly=chance.random() < 0.5)
        if now >= next_compaction:
            next_compaction = now + 10_000
            _compact(api)


def _happen(api: FakeApi, each: Happening) -> None:
    if each.object is not None:
        api.put(each.resource, each.object)
    else:
        api.remove(each.resource, each.namespace, each.name)


def _repeat(api: FakeApi, chance: random.Random) -> None:
    """Tell some of the last events of a kind once more."""
    resource = chance.choice(("pods", "pods", "jobs", "replicasets", "endpointslices"))
    history = api.collections[api.path(resource)].history[-30:]
    if history:
        begin = chance.randrange(len(history))
        for change in history[begin : begin + chance.randint(1, 8)]:
            api.say(resource, fake_api.event(change.type, change.object))


def _compact(api: FakeApi) -> None:
    for collection in api.collections.values():
        forgotten = collection.history[:-KEPT]
        if forgotten:
            collection.floor = forgotten[-1].version
            del collection.history[:-KEPT]
