"""Namespaces for tests, made before they are asked for, and what tests put there: addresses are never used twice."""

from __future__ import annotations

import itertools
import threading
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import objects, pods

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.control_plane import ControlPlane
    from harness.objects import Object

MADE_AT_ONCE = 8


class Pod(NamedTuple):
    """A pod that runs: its name, its first address, and itself as the server made it."""

    name: str
    ip: str
    made: Object


class Addresses:
    """Addresses of pods that nobody had before."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def v4(self) -> str:
        """An IPv4 address; each in a /24 of its own, so that no neighbour makes it one of the cluster."""
        number = next(self._numbers)
        return f"10.{128 + number // 256}.{number % 256}.7"

    def v6(self) -> str:
        """An IPv6 address."""
        return f"fd00:128:0:{next(self._numbers):x}::7"


class Place:
    """A namespace and what a test puts there.

    Args:
        plane: The cluster.
        addresses: Where its pods get theirs from.
        namespace: Its name; it must exist.
    """

    def __init__(self, plane: ControlPlane, addresses: Addresses, namespace: str) -> None:
        self.plane = plane
        self.api = plane.admin
        self.addresses = addresses
        self.namespace = namespace

    def __str__(self) -> str:
        return self.namespace

    def pod(
        self,
        name: str,
        *ips: str,
        started: float = -3600,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        owner: Object | None = None,
        generated: str = "",
        status: Object | None = None,
        **spec: Any,
    ) -> Pod:
        """Let a pod run.

        Args:
            name: Of the pod, and of its label `app`.
            ips: Its addresses; else a new one.
            started: When it began to run, in seconds from now.
            labels: More labels.
            annotations: Its annotations.
            owner: Its controller, as the server made it, or one of `owner_reference`.
            generated: Its `generateName`, which stays beside its name.
            status: What to write over its status.
            spec: More fields of its spec.
        """
        ips = ips or (self.addresses.v4(),)
        meta = objects.owned_by(owner) if owner else {}
        meta |= {"labels": {"app": name, **(labels or {})}, "annotations": dict(annotations or {})}
        meta |= {"generateName": generated} if generated else {}
        bound = {"nodeName": pods.NODE, **spec}
        made = self.api.create(objects.pod(self.namespace, name, meta=meta, **bound))
        wanted = pods.running(made, ips) | {"startTime": pods.now(started)} | (status or {})
        return Pod(name, ips[0], self.api.set_status(made, wanted))

    def mark(self) -> None:
        """Make a pod that never runs and a service without pods: who knows of them knows of all that was before."""
        name = f"mark-{uuid.uuid4().hex[:8]}"
        self.api.create(objects.pod(self.namespace, name))
        self.api.create(objects.service(self.namespace, name, clusterIP="None"))

    def pods_of(self, app: str, count: int = 1) -> list[Pod]:
        """Let the pods run that a controller has made for the label `app`."""
        made = pods.run_pods_of(self.api, self.namespace, app, [self.addresses.v4() for _ in range(count)])
        return [Pod(item["metadata"]["name"], item["status"]["podIP"], item) for item in made]

    def deployment(self, name: str, count: int = 1, **more: Any) -> list[Pod]:
        """A Deployment with running pods."""
        self.api.create(objects.deployment(self.namespace, name, replicas=count, **more))
        return self.pods_of(name, count)

    def service(self, name: str, **more: Any) -> str:
        """A Service, by default of the pods labelled `app: NAME`; returns its first address."""
        made = self.api.create(objects.service(self.namespace, name, **more))
        return str(made["spec"].get("clusterIP", ""))

    def name_of(self, service: str, domain: str = "cluster.local") -> str:
        """The DNS name of a service."""
        return f"{service}.{self.namespace}.svc.{domain}"

    def kind(self, group: str, kind: str) -> None:
        """Let the API serve a kind, with a plural by English rules, for the rest of the tests."""
        self.api.create(objects.custom_resource(group, kind, f"{kind.lower()}s"))
        self.api.wait(f"{kind} to be served", lambda: self.api.list(f"{group}/v1/{kind.lower()}s") is not None)

    def living(self) -> int:
        """How many pods have not ended."""
        return sum(pod["status"]["phase"] not in ("Succeeded", "Failed") for pod in self.pods())

    def pods(self) -> list[Object]:
        """All pods."""
        return self.api.list("pods", self.namespace)

    def services(self) -> int:
        """How many services the whole cluster has."""
        return len(self.api.list("services"))


def owner_reference(api_version: str, kind: str, name: str) -> Object:
    """An owner for `Place.pod` that does not exist."""
    meta = {"name": name, "uid": "11111111-2222-3333-4444-555555555555"}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


class Places:
    """Makes namespaces ahead of the tests, some at once, because each is ready only after a moment.

    Args:
        plane: The cluster.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._addresses = Addresses()
        self._names = self._make()

    def new(self, name: str = "") -> Place:
        """A place of one test's own; with a name when that matters."""
        if name:
            self._plane.make_namespace(name)
        return Place(self._plane, self._addresses, name or next(self._names))

    def _make(self) -> Iterator[str]:
        for number in itertools.count():
            names = [f"model-{number}-{letter}" for letter in "abcdefgh"[:MADE_AT_ONCE]]
            threads = [threading.Thread(target=self._plane.make_namespace, args=(name,)) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            yield from names
