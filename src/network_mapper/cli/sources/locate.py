"""Find the mapper in a cluster: its service, a pod of that which is ready, and the port.

Our chart labels the service, so one request finds it in any namespace. Whoever may not list services everywhere is
served from the namespaces where mappers are usually installed, and whoever names namespace and service needs no list
at all. What is found decides alone; two are never guessed between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from network_mapper.cli.console import warn
from network_mapper.cli.errors import CliError
from network_mapper.kube.errors import RefusedError, one_line
from network_mapper.kube.status import read_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from network_mapper.cli.sources.base import Connection
    from network_mapper.kube.client import ApiClient

LABELS = "app.kubernetes.io/name=network-mapper,app.kubernetes.io/component=mapper"
NAMES = ("network-mapper", "otterize-network-mapper")
"""Names of services without these labels, ours before the model's."""
NAMESPACES = ("network-mapper", "otterize-system")
PORT = 9090
MOST_SERVICES = 50
MOST_PODS = 500
_SHOWN = 5

T = TypeVar("T")


class Port(msgspec.Struct, rename="camel"):
    """A port of a service."""

    port: int
    name: str | None = None
    target_port: int | str | None = None
    protocol: str | None = None


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class _ServiceSpec(msgspec.Struct, rename="camel"):
    selector: dict[str, str] | None = None
    ports: list[Port] | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")


class Service(msgspec.Struct):
    """A service, as far as it is needed here."""

    metadata: _Meta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)

    @property
    def title(self) -> str:
        """Namespace and name."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


class _ContainerPort(msgspec.Struct, rename="camel"):
    container_port: int = 0
    name: str | None = None


class _Container(msgspec.Struct):
    ports: list[_ContainerPort] | None = None


class _PodSpec(msgspec.Struct, rename="camel"):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    message: str | None = None


class _Waiting(msgspec.Struct):
    reason: str | None = None
    message: str | None = None


class _Terminated(msgspec.Struct):
    reason: str | None = None
    message: str | None = None


class _Running(msgspec.Struct):
    """Since when does not matter."""


class _ContainerState(msgspec.Struct):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct, rename="camel"):
    state: _ContainerState | None = None
    last_state: _ContainerState | None = None


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str | None = None
    reason: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class Pod(msgspec.Struct):
    """A pod, as far as it is needed here."""

    metadata: _Meta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""
        return (
            self.metadata.deletion_timestamp is None
            and self.status.phase == "Running"
            and any(found.type == "Ready" and found.status == "True" for found in self.status.conditions or ())
        )

    @property
    def runs(self) -> bool:
        """Whether its program runs, so that it may be able to say why it is not ready."""
        containers = self.status.container_statuses or ()
        return (
            self.metadata.deletion_timestamp is None
            and self.status.phase == "Running"
            and bool(containers)
            and all(found.state is not None and found.state.running is not None for found in containers)
        )

    @property
    def state(self) -> str:
        """Why it is not ready, in a few words, and what Kubernetes knows of the cause."""
        if self.metadata.deletion_timestamp is not None:
            return "being deleted"
        for container in self.status.container_statuses or ():
            if container.state and container.state.waiting and container.state.waiting.reason:
                return f"{self.status.phase} ({_cause(container.state.waiting, container.last_state)})"
        if self.status.phase == "Running":
            return "running, but not ready"
        refused = [found.message for found in self.status.conditions or () if _unscheduled(found) and found.message]
        reason = _last_line(refused[0]) if refused else self.status.reason
        return f"{self.status.phase} ({reason})" if reason else f"{self.status.phase}"


def _unscheduled(condition: _Condition) -> bool:
    return condition.type == "PodScheduled" and condition.status == "False"


def _cause(waiting: _Waiting, before: _ContainerState | None) -> str:
    """Why a container waits: how its program ended before, or what hinders it to start."""
    if before is None or before.terminated is None:
        said = _last_line(waiting.message)
    elif before.terminated.message:  # the end of its log, where the program itself said why
        said = _last_line(before.terminated.message)
    else:
        said = before.terminated.reason or ""
    return f"{waiting.reason}: {said}" if said else f"{waiting.reason}"


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return one_line(lines[-1]).removesuffix(".") if lines else ""


class _Services(msgspec.Struct):
    items: list[Service]


class _Pods(msgspec.Struct):
    items: list[Pod]


async def _read(client: ApiClient, path: str, params: Mapping[str, str], expected: type[T]) -> T:
    answer = await client.get(path, params)
    if answer.status != 200:
        raise RefusedError(read_status(answer.status, answer.headers, answer.body).message, answer.status)
    try:
        return msgspec.json.decode(answer.body, type=expected)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(f"its answer for {path} is none of Kubernetes ({one_line(str(error))})", 502) from None


class Search:
    """One search for a mapper.

    Args:
        client: Of the cluster.
        wanted: What the person named.
        where: How messages name the cluster.

    Raises:
        CliError: From `service`: there is none, or more than one, or it may not be read.
        RefusedError: Likewise, for what is no matter of the search: refused credentials, a broken server.
    """

    def __init__(self, client: ApiClient, wanted: Connection, where: str) -> None:
        self._client = client
        self._wanted = wanted
        self._where = where
        self._looked = ""
        self._forbidden = ""

    async def service(self) -> Service:
        """The mapper's service."""
        wanted = self._wanted
        if wanted.namespace and wanted.service:
            return await self._named(wanted.namespace, wanted.service)
        try:
            self._looked = f"namespace {one_line(wanted.namespace)}" if wanted.namespace else "all namespaces"
            found = await self._search([wanted.namespace])
        except RefusedError as error:
            if error.code != 403:
                raise
            self._forbidden = str(error)
            own = wanted.namespace or self._client.access.namespace
            places = [own] if wanted.namespace else list(dict.fromkeys((own, *NAMESPACES)))
            self._looked = f"namespace{'s' if len(places) > 1 else ''} {', '.join(map(one_line, places))}"
            found = await self._search(places, forgiving=True)
        if not found:
            raise await self._nothing()
        if len(found) > 1:
            titles = sorted(service.title for service in found)
            more = ", …" if len(titles) > _SHOWN else ""
            raise CliError(
                f"there are {len(titles)} mappers in {self._where}: {', '.join(titles[:_SHOWN])}{more}. "
                "Choose one with --mapper-namespace and --mapper-service-name."
            )
        return found[0]

    async def _named(self, namespace: str, name: str) -> Service:
        try:
            return await self._get(namespace, name)
        except RefusedError as error:
            if error.code == 404:
                raise CliError(
                    f"there is no service {one_line(name)} in namespace {one_line(namespace)} of {self._where}. "
                    "Check --mapper-namespace and --mapper-service-name."
                ) from None
            if error.code == 403:
                raise CliError(
                    f"the service {namespace}/{name} of {self._where} may not be read ({error}). "
                    "It takes 'get' on services; or name the mapper with --mapper-url."
                ) from None
            raise

    async def _get(self, namespace: str, name: str) -> Service:
        path = f"/api/v1/namespaces/{_segment(namespace)}/services/{_segment(name)}"
        return await _read(self._client, path, {}, Service)

    async def _search(self, namespaces: list[str], *, forgiving: bool = False) -> list[Service]:
        """What there is by the first way of recognising a mapper that finds any; an empty name is all namespaces."""
        names = [{"fieldSelector": f"metadata.name={name}"} for name in self._names()]
        for selector in names if self._wanted.service else [{"labelSelector": LABELS}, *names]:
            found = []
            for namespace in namespaces:
                try:
                    found += await self._list(namespace, selector)
                except RefusedError as error:
                    if not forgiving or error.code != 403:
                        raise
                    found += await self._got(namespace, selector)
            if found:
                return found
        return []

    def _names(self) -> tuple[str, ...]:
        return (self._wanted.service,) if self._wanted.service else NAMES

    async def _list(self, namespace: str, selector: Mapping[str, str]) -> list[Service]:
        path = f"/api/v1/namespaces/{_segment(namespace)}/services" if namespace else "/api/v1/services"
        found = await _read(self._client, path, {**selector, "limit": str(MOST_SERVICES)}, _Services)
        return found.items

    async def _got(self, namespace: str, selector: Mapping[str, str]) -> list[Service]:
        """The service of that name, where services may be read and not listed."""
        _, _, name = selector.get("fieldSelector", "").partition("=")
        try:
            return [await self._get(namespace, name)] if name else []
        except RefusedError as error:
            if error.code not in (403, 404):
                raise
        return []

    async def _nothing(self) -> CliError:
        named = self._wanted.namespace
        if named:
            answer = await self._client.get(f"/api/v1/namespaces/{_segment(named)}")
            if answer.status == 404:
                return CliError(f"there is no namespace {one_line(named)} in {self._where}. Check --mapper-namespace.")
        names = " or ".join(one_line(name) for name in self._names())
        kinds = f"named {names}" if self._wanted.service else f"labelled {LABELS} or named {names}"
        looked = f"Looked in {self._looked} for services {kinds}"
        if self._forbidden:
            looked += f"; a wider search is refused ({self._forbidden})"
        return CliError(
            f"no mapper was found in {self._where}. {looked}. Install it there with network-mapper install, or name it "
            "with --mapper-namespace and --mapper-service-name, or by its address with --mapper-url (on this machine "
            "http://localhost:9090)."
        )


async def ready_pod(client: ApiClient, service: Service, where: str) -> Pod:
    """A pod of the service that is ready, the newest of several; without one, the newest that runs.

    A mapper that may not read what it needs never becomes ready, and nobody knows better what it lacks.

    Args:
        client: Of the cluster.
        service: Whose pods.
        where: How messages name the cluster.

    Raises:
        CliError: There is none; the message says what state the others are in.
        RefusedError: Pods may not be listed, or the service chooses none.
    """
    selector = service.spec.selector
    if not selector:
        raise RefusedError(f"the service {service.title} has no selector", 404)
    words = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    path = f"/api/v1/namespaces/{_segment(service.metadata.namespace)}/pods"
    found = await _read(client, path, {"labelSelector": words, "limit": str(MOST_PODS)}, _Pods)
    ready = [pod for pod in found.items if pod.ready]
    able = ready or [pod for pod in found.items if pod.runs]
    if len(ready) > 1:
        warn(
            f"{len(ready)} pods are behind the service {service.title}. Each has a map of its own with a part of what "
            "the sniffers saw, and one of them answers: scale its Deployment to 1."
        )
    if able:
        return max(able, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name))
    if not found.items:
        raise CliError(
            f"the mapper's service {service.title} in {where} has no pods ({words}). "
            "Is its Deployment scaled to 0, or are its pods refused? "
            f"'kubectl -n {service.metadata.namespace} get events' says."
        )
    states = ", ".join(f"{pod.metadata.name} is {pod.state}" for pod in found.items[:_SHOWN])
    more = ", …" if len(found.items) > _SHOWN else ""
    raise CliError(
        f"no pod of the mapper's service {service.title} in {where} is ready: {states}{more}. "
        f"'kubectl -n {service.metadata.namespace} describe pod {found.items[0].metadata.name}' says why."
    )


def _segment(name: str) -> str:
    import urllib.parse  # noqa: PLC0415  loaded by the client anyway

    return urllib.parse.quote(name, safe="")


def service_port(service: Service, wanted: int) -> Port | None:
    """The port of a service that is meant; None when `wanted` is none of its ports, and thus one of the pod.

    Raises:
        CliError: None was named, and the service has several that could be meant, or none.
    """
    ports = [port for port in service.spec.ports or () if port.protocol in (None, "TCP")]
    if wanted:
        return next((port for port in ports if port.port == wanted), None)
    chosen = (
        [port for port in ports if (port.name or "").partition("-")[0] == "http"]
        or [port for port in ports if port.port == PORT]
        or ports
    )
    if len(chosen) == 1:
        return chosen[0]
    numbers = ", ".join(f"{port.port} ({port.name})" if port.name else str(port.port) for port in ports) or "none"
    raise CliError(
        f"the mapper's service {service.title} has these ports: {numbers}. Choose one with --mapper-service-port."
    )


def pod_port(port: Port, pod: Pod) -> int:
    """The port of a pod behind a service's port.

    Raises:
        CliError: The service names it, and the pod has no port of that name.
    """
    target = port.target_port
    if isinstance(target, str) and not target.isdigit():
        for container in (*(pod.spec.containers or ()), *(pod.spec.init_containers or ())):
            for found in container.ports or ():
                if found.name == target:
                    number: int = found.container_port
                    return number
        raise CliError(
            f"the mapper's pod {pod.metadata.namespace}/{pod.metadata.name} has no port named {one_line(target)!r}, "
            "which its service dials. Give the pod's port with --mapper-service-port."
        )
    return int(target or 0) or port.port
