"""A mapper inside a cluster, reached with nothing but the kubeconfig.

Its port is forwarded through the API server (`kube/portforward.py`). Where that is forbidden, or something in between
knows no WebSockets, the API server's service proxy is asked instead. In a pod of the cluster the service is dialled
itself: an address that is next door needs no tunnel, and no rights for one.

The event loop of the Kubernetes client runs in the caller's thread whenever something is waited for. Between requests
it rests, and a forward that ended meanwhile is opened anew, to another pod perhaps.
"""

from __future__ import annotations

import asyncio
import io
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from network_mapper.cli.console import State
from network_mapper.cli.errors import CliError
from network_mapper.cli.progress import progress
from network_mapper.cli.sources.locate import Port, Search, Service, pod_port, ready_pod, service_port
from network_mapper.http_client import HttpClient, HttpError, Response
from network_mapper.kube.client import ApiClient
from network_mapper.kube.errors import ApiError, CredentialsError, RefusedError, UnreachableError
from network_mapper.kube.portforward import Forward, ForwardError, open_forward
from network_mapper.kube.status import read_status

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from network_mapper.cli.sources.base import Connection
    from network_mapper.kube.access import Access

API_TIMEOUT = 10.0
"""Seconds for connecting to the API server, and for each of its silences."""
LONGEST_IDLE = 60.0
"""Seconds after which an unused forward is opened anew: what lies between may have forgotten it without a word."""

_BY_URL = "name a mapper that can be reached from here with --mapper-url"
_BUFFER = 64 * 1024

T = TypeVar("T")


def open_mapper(access: Access, wanted: Connection) -> tuple[HttpClient, str]:
    """Find the mapper of a cluster and connect to it.

    Args:
        access: The cluster, and who we are there.
        wanted: What the person named.

    Returns:
        A client of the mapper, and what the mapper is called in messages.

    Raises:
        CliError: There is no mapper, or no way to it.
    """
    mapper = _Mapper(access, wanted)
    try:
        with progress(f"connecting to the mapper through {access.server}"):
            url = mapper.connect()
    except BaseException:
        mapper.close()
        raise
    if url:
        mapper.close()
        return HttpClient(url), mapper.where
    return mapper, mapper.where


class _BrokenForwardError(ConnectionError):
    """A forward that was open is over; the message is for people."""


class _NoForwardError(Exception):
    """No forward can be opened; the message says why."""


class _Channel(io.RawIOBase):
    """A forward as `HttpClient` wants a connection.

    Attributes:
        begun: Whether a byte has come.
        ended: Whether the pod has closed it.
    """

    def __init__(self, forward: Forward, runner: asyncio.Runner, timeout: float) -> None:
        self._forward = forward
        self._runner = runner
        self._timeout = timeout
        self._rest = memoryview(b"")
        self.begun = self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest and not self.ended:
            try:
                self._rest = memoryview(self._runner.run(self._forward.receive(self._timeout)))
            except ForwardError as error:
                raise _BrokenForwardError(str(error)) from None
            self.ended = not self._rest
            self.begun = self.begun or not self.ended
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def sendall(self, data: bytes, /) -> None:
        self._forward.send(data)

    def makefile(self, mode: Literal["rb"], /) -> io.BufferedReader:  # noqa: ARG002  a socket's signature
        return io.BufferedReader(self, _BUFFER)

    def close(self) -> None:
        if not self.closed:
            self._forward.close()
        super().close()


class _Mapper(HttpClient):
    """Requests to a mapper, each over the forward or through the service proxy.

    Attributes:
        where: What the mapper is called in messages.
    """

    def __init__(self, access: Access, wanted: Connection) -> None:
        super().__init__("http://localhost:9090", dial=self._dial_pod)
        self._access = access
        self._wanted = wanted
        self._context = f"context {access.context}" if access.context else "this cluster"
        self.where = f"the mapper of {self._context}"
        self._runner = asyncio.Runner()
        self._api = ApiClient(access, timeout=API_TIMEOUT)
        self._service: Service | None = None
        self._service_port: Port | None = None
        self._namespace = ""
        self._pod = ""
        self._channel: _Channel | None = None
        self._closed = False
        self._proxy = ""
        self._refused = ""
        self._used = time.monotonic()

    def connect(self) -> str:
        """Find the mapper and open the way to it; returns its URL where it can be dialled from here."""
        service = self._service = self._run(Search(self._api, self._wanted, self._context).service())
        self._namespace = service.metadata.namespace
        self._service_port = service_port(service, self._wanted.port)
        self.where = f"service {service.title} of {self._context}"
        address = service.spec.cluster_ip
        if self._access.inside and self._service_port is not None and address and address != "None":
            return (
                f"http://[{address}]:{self._service_port.port}"
                if ":" in address
                else f"http://{address}:{self._service_port.port}"
            )
        try:
            self._channel = self._forwarded()
        except _NoForwardError as error:
            self._use_proxy(error)
        return ""

    # The forward

    def _dial_pod(self) -> _Channel:
        """The connection for the next request: the one that `connect` opened, or another."""
        if self._channel is None or self._channel.closed or self._channel.begun:
            with progress(f"connecting to {self.where}"):
                self._channel = self._forwarded()
        return self._channel

    def _forwarded(self) -> _Channel:
        """Open a forward to a pod that is ready now.

        Raises:
            _NoForwardError: There is none to be had.
            CliError: No pod is ready, or the API cannot be asked.
        """
        return _Channel(self._run(self._open()), self._runner, self._timeout)

    async def _open(self) -> Forward:
        assert self._service is not None
        try:
            pod = await ready_pod(self._api, self._service, self._context)
        except RefusedError as error:
            raise _NoForwardError(f"its pods cannot be found: {error}") from error
        port = pod_port(self._service_port, pod) if self._service_port else self._wanted.port
        self._pod = f"pod {pod.metadata.namespace}/{pod.metadata.name}"
        try:
            return await open_forward(self._api, self._namespace, pod.metadata.name, port)
        except (RefusedError, UnreachableError) as error:
            raise _NoForwardError(str(error)) from error

    # The service proxy

    def _use_proxy(self, refused: _NoForwardError) -> None:
        """Ask through the service proxy from now on.

        Raises:
            CliError: What was named is no port of the service.
        """
        assert self._service is not None
        self._refused = str(refused)
        if self._service_port is None:
            raise CliError(
                f"{self.where}: no port-forward ({self._refused}), and the service has no port {self._wanted.port} by "
                f"which the API server could reach it. {self._rights()}"
            ) from refused
        meta = self._service.metadata
        self._proxy = f"/api/v1/namespaces/{meta.namespace}/services/http:{meta.name}:{self._service_port.port}/proxy"
        _debug(f"no port-forward to {self.where} ({self._refused}); using the API server's service proxy")

    def _rights(self) -> str:
        return (
            f"It takes a role with 'get' and 'create' on pods/portforward in namespace {self._namespace}; or {_BY_URL}."
        )

    def _ask_proxy(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Response:
        try:
            answer = self._run(self._api.request(method, self._proxy + path, None, headers, body))
        except CliError as error:
            raise CliError(f"{self.where}: no port-forward ({self._refused}); and {error.format_message()}") from error
        if answer.status >= 400:
            said = read_status(answer.status, answer.headers, answer.body)
            if said.reason:  # a Status object: Kubernetes speaks, and no mapper
                raise CliError(
                    f"{self.where} cannot be reached: no port-forward ({self._refused}), no service proxy "
                    f"({said.message}). {self._rights()}"
                )
        return Response(answer.status, answer.headers, answer.body)

    # As any client of a mapper

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send one request and read the whole answer.

        Raises:
            CliError: There is no way to the mapper any more.
            HttpError: What answers there speaks no HTTP.
        """
        if time.monotonic() - self._used > LONGEST_IDLE:
            self._drop()
        try:
            if not self._proxy:
                try:
                    return self._ask_pod(method, path, body, headers)
                except _NoForwardError as error:
                    self._use_proxy(error)
            return self._ask_proxy(method, path, body, headers or {})
        finally:
            self._used = time.monotonic()

    def _ask_pod(self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None) -> Response:
        try:
            return super().request(method, path, body, headers)
        except HttpError as error:
            if not (self._channel and self._channel.begun and self._channel.ended):
                raise
            words = f"the connection to {self._pod} ended in the middle of the answer ({error})"
        except _BrokenForwardError as error:
            words = str(error)
        except ConnectionError:
            words = f"{self._pod} closed the connection without an answer"
        raise CliError(f"{self.where}: {words}. Try again; 'kubectl -n {self._namespace} get pods' shows its state.")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something with the API.

        Raises:
            CliError: It cannot be asked, or does not answer as it should.
        """
        server = f"the API server of {self._context}"
        try:
            return self._runner.run(work)
        except RefusedError as error:
            if error.code == HTTPStatus.UNAUTHORIZED:
                raise CliError(
                    f"{server} ({self._access.server}) does not accept the credentials of {self._access.origin} "
                    f"({error}); they may have expired. Log in to the cluster again, or {_BY_URL}."
                ) from error
            raise CliError(
                f"{server} ({self._access.server}) refused: {error}. Check --context, or {_BY_URL}."
            ) from error
        except CredentialsError as error:
            raise CliError(f"no credentials for {server}: {error}. Log in to the cluster, or {_BY_URL}.") from error
        except ApiError as error:
            raise CliError(
                f"{server} cannot be reached: {error}. Check --context and the cluster, or {_BY_URL}."
            ) from error

    def close(self) -> None:
        """End all connections; nothing can be asked any more."""
        if self._closed:
            return
        self._closed = True
        self._drop()
        if self._channel is not None:
            self._channel.close()
        try:
            self._runner.run(self._api.close())
        finally:
            self._runner.close()


def _debug(text: str) -> None:
    context = click.get_current_context(silent=True)
    state = context.find_root().obj if context else None
    if isinstance(state, State) and state.debug:
        click.echo(text, err=True)
