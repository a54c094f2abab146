"""A TLS proxy before a real API server that breaks what a test chooses and remembers every request.

    with FaultProxy(plane) as proxy:
        proxy.on("/api/v1/pods", watch=True, times=1).cut(after=3, middle=True)

A request with a bearer token is passed on with it; one without is the admin's, since a client certificate cannot be
passed on. The proxy shows the server's own certificate, or another one (`show`). It runs in a thread of its own; what
tests call may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import ssl
import threading
import time
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from harness import http1
from harness.faults import Choice, CutError, Fault, Faults, Reply, Request
from harness.processes import HarnessError, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from harness.control_plane import ControlPlane
    from harness.pki import Certificate

T = TypeVar("T")

STARTING = 10.0
WAITING = 20.0
POLL = 0.02
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})


class FaultProxy:
    """A proxy before one control plane's API server.

    Args:
        plane: The control plane, which must run.
        address: Address to listen on; the server's certificate must be valid for it.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, plane: ControlPlane, address: str = "127.0.0.1") -> None:
        self._address, self._port = address, free_port(address)
        self.url = f"https://{address}:{self._port}"
        upstream = urlsplit(plane.url)
        self._upstream = (upstream.hostname or "", upstream.port or 443)
        self._own = plane.serving
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(self._own)
        self._as_admin = ssl.create_default_context(cafile=str(plane.authority.cert))
        self._as_admin.load_cert_chain(plane.admin_certificate.cert, plane.admin_certificate.key)
        self._by_token = ssl.create_default_context(cafile=str(plane.authority.cert))
        self._faults: list[Fault] = []
        self._requests: list[Request] = []
        self._connections: dict[asyncio.Task[None], Request | None] = {}
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._call(self._abandon())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What a test says

    def on(
        self,
        path: str = "*",
        *,
        method: str | None = None,
        watch: bool | None = None,
        token: str | None = None,
        when: Callable[[Request], bool] | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> Faults:
        """Choose requests; the method called on the result says what happens to them.

        Args:
            path: Their path; may hold `*`.
            method: Their HTTP method.
            watch: Whether they are watches.
            token: The bearer token that they carry.
            when: Any further condition.
            skip: So many of them are spared first.
            times: So many are struck then; None for all, until `heal`.
        """
        return Faults(Choice(path, method, watch, token, when), skip, times, self._add)

    def heal(self) -> None:
        """Take all faults away; what they already hold up stays so."""
        self._faults = []

    def show(self, certificate: Certificate | None = None) -> None:
        """Show this certificate to new connections; None is the API server's own."""
        shown = certificate or self._own
        self._tls.load_cert_chain(shown.cert, shown.key)

    def refuse(self) -> None:
        """Cut all connections and take no new ones, as a server that is down."""
        self._call(self._close())

    def listen(self) -> None:
        """Take connections again, at the same address."""
        self._call(self._open())

    def cut_open(self, path: str = "*", *, watch: bool | None = None) -> int:
        """Cut the connections of answers that go on now; returns how many."""
        return self._call(self._cut(Choice(path, watch=watch)))

    # What a test asks

    def seen(
        self, path: str = "*", *, method: str | None = None, watch: bool | None = None, ongoing: bool | None = None
    ) -> list[Request]:
        """The requests that came, in their order; `ongoing` chooses those whose answer goes on, or not."""
        choice = Choice(path, method, watch)
        return [
            request for request in list(self._requests) if choice.holds(request) and ongoing in (None, request.ongoing)
        ]

    def forget(self) -> None:
        """Forget the requests that came."""
        self._requests = [request for request in self._requests if request.ongoing]

    def wait_seen(
        self, path: str = "*", *, watch: bool | None = None, ongoing: bool | None = None, count: int = 1
    ) -> list[Request]:
        """Wait until so many requests came, and return them.

        Raises:
            AssertionError: They did not come in time.
        """
        deadline = time.monotonic() + WAITING
        while time.monotonic() < deadline:
            if len(found := self.seen(path, watch=watch, ongoing=ongoing)) >= count:
                return found
            time.sleep(POLL)
        raise AssertionError(f"not {count} requests of {path} (watch: {watch}) but {self.seen()}")

    # What it does

    def _add(self, fault: Fault) -> Fault:
        self._faults = [*self._faults, fault]
        return fault

    def _call(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTING)

    async def _open(self) -> None:
        if self._server:
            return
        try:
            self._server = await asyncio.start_server(
                self._serve, self._address, self._port, ssl=self._tls, limit=http1.LIMIT
            )
        except OSError as error:
            raise HarnessError(f"the proxy cannot listen at {self.url}: {error}") from error

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut(None)

    async def _abandon(self) -> None:
        """End connections in their TLS handshake: they have no task yet, and asyncio has no public way to them."""
        for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)

    async def _cut(self, choice: Choice | None) -> int:
        tasks = [
            task
            for task, request in self._connections.items()
            if choice is None or (request is not None and choice.holds(request))
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections[task] = None
        upstream = _Upstream(self._upstream)
        try:
            while head := await http1.read_head(reader):
                request = _request(*head)
                self._requests.append(request)
                self._connections[task] = request
                try:
                    await self._handle(request, reader, writer, upstream)
                finally:
                    request.ongoing = False
                self._connections[task] = None
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (OSError, CutError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            upstream.close()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._connections[task]

    async def _handle(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: _Upstream
    ) -> None:
        body = b"".join([piece async for piece in http1.read_body(reader, request.headers, to_end=False)])
        faults = [fault for fault in self._faults if fault.strikes(request)]
        work = asyncio.create_task(self._answer(request, body, faults, writer, upstream))
        try:
            # A client that leaves ends its request here as it would at the server.
            while not work.done() and not (reader.at_eof() or reader.exception()):
                await asyncio.wait([work], timeout=POLL)
        finally:
            if not work.done():
                work.cancel()
            await asyncio.wait([work])
        if work.cancelled():
            raise CutError
        work.result()

    async def _answer(
        self, request: Request, body: bytes, faults: list[Fault], writer: asyncio.StreamWriter, upstream: _Upstream
    ) -> None:
        for fault in faults:
            if fault.reply and (reply := await fault.reply(request)):
                await _send(writer, request, reply)
                return
        changes = [fault.change for fault in faults if fault.change]
        tls = self._by_token if request.token else self._as_admin
        status, headers, pieces = await upstream.ask(tls, request, body, plain=bool(changes))
        if request.watch or changes:
            pieces = http1.lines(pieces)
        for change in changes:
            pieces = change(pieces)
        request.status = status
        kept = {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
        bare = request.method == "HEAD" or status in http1.WITHOUT_BODY
        framing = {} if bare else {"transfer-encoding": "chunked"}
        writer.write(http1.head(_status_line(status), kept | framing))
        async for piece in pieces:
            await _pass(writer, request, piece)
        request.ongoing = False  # before the client can know
        if not bare:
            writer.write(http1.chunk(b""))
        await writer.drain()


class _Upstream:
    """One connection to the real server, kept for the next request of the same client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._tls: ssl.SSLContext | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, tls: ssl.SSLContext, request: Request, body: bytes, *, plain: bool
    ) -> tuple[int, dict[str, str], AsyncIterator[bytes]]:
        """Send a request; returns status, headers and the body's pieces. `plain` asks for no compression."""
        dropped = HOP_BY_HOP | ({"accept-encoding"} if plain else set())
        headers = {name: value for name, value in request.headers.items() if name not in dropped}
        headers |= {"host": "{}:{}".format(*self._address), "content-length": str(len(body))}
        message = http1.head(f"{request.method} {request.target} HTTP/1.1", headers) + body
        if self._tls is not tls:
            self.close()
        kept = self._streams is not None
        found = await self._exchange(tls, message)
        if found is None and kept:  # the server had closed the kept connection
            found = await self._exchange(tls, message)
        if found is None:
            raise http1.BrokenError("the server ended without an answer")
        first, answer = found
        status = int(first.split(" ")[1])
        return status, answer, self._body(request, status, answer)

    async def _exchange(self, tls: ssl.SSLContext, message: bytes) -> tuple[str, dict[str, str]] | None:
        if not self._streams:
            self._tls = tls
            self._streams = await asyncio.open_connection(*self._address, ssl=tls, limit=http1.LIMIT)
        reader, writer = self._streams
        try:
            writer.write(message)
            await writer.drain()
            found = await http1.read_head(reader)
        except ConnectionError:
            found = None
        if found is None:
            self.close()
        return found

    async def _body(self, request: Request, status: int, headers: dict[str, str]) -> AsyncIterator[bytes]:
        assert self._streams
        if request.method != "HEAD" and status not in http1.WITHOUT_BODY:
            async for piece in http1.read_body(self._streams[0], headers, to_end=True):
                yield piece
        if headers.get("connection", "").lower() == "close":
            self.close()

    def close(self) -> None:
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None


def _request(first: str, headers: dict[str, str]) -> Request:
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    return Request(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, target)


def _status_line(status: int) -> str:
    with contextlib.suppress(ValueError):
        return f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"
    return f"HTTP/1.1 {status} Unknown"


async def _send(writer: asyncio.StreamWriter, request: Request, reply: Reply) -> None:
    request.status = reply.status
    request.bytes = len(reply.body)
    request.ongoing = False
    head = http1.head(_status_line(reply.status), {**reply.headers, "content-length": str(len(reply.body))})
    writer.write(head + reply.body)
    await writer.drain()


async def _pass(writer: asyncio.StreamWriter, request: Request, piece: bytes) -> None:
    if not piece:
        return
    request.bytes += len(piece)
    request.lines += piece.count(b"\n")
    writer.write(http1.chunk(piece))
    await writer.drain()
