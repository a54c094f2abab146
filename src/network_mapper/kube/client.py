"""Requests to the Kubernetes API that do not block: whole answers, streams of lines for watches, and upgrades.

It does what these need and nothing else: kept connections, credentials that change while we run, time-outs for
every way in which a server can fall silent, and no answer that is taken on trust. Redirects are not followed, for the
token would go with them. Why this is ours is in docs/decisions/0006-kubernetes-credentials-and-client.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import urllib.parse
from typing import TYPE_CHECKING

import msgspec

from network_mapper import __version__
from network_mapper.kube.connect import connect
from network_mapper.kube.errors import ApiError, CredentialsError, RefusedError, UnreachableError
from network_mapper.kube.status import read_status
from network_mapper.kube.tls import make_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from network_mapper.kube.access import Access
    from network_mapper.kube.connection import Connection
    from network_mapper.kube.credentials import Proof

__all__ = ["Answer", "ApiClient", "ApiError", "CredentialsError", "RefusedError", "Stream", "UnreachableError"]

logger = logging.getLogger(__name__)

MOST_IDLE = 8
"""Connections that are kept open between requests."""

LONGEST_IDLE = 60.0
"""Seconds for which one is kept; API servers close them after 90."""

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes. etcd takes objects of 1.5 MiB in a compact form, and six times that is the worst that JSON makes of it."""

LARGEST_BODY = 256 * 1024 * 1024
"""Bytes. A list that was asked for in pages has some megabytes; one of 10,000 large pods in one piece fits as well."""

_LARGEST_ERROR = 64 * 1024


class Answer(msgspec.Struct):
    """A whole answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


_GATHER = 0.02
"""Seconds for which a busy stream is not read after what it brought was taken.

A server sends each event of a watch by itself, and to be woken for one costs three times what its work does.
"""
_BUSY = 0.005
"""Seconds between two wake-ups below which a stream is busy; any other is read at once."""


class _Request(msgspec.Struct, frozen=True):
    """What is asked, without who asks.

    Attributes:
        line: The request line.
        headers: Lines of headers, each with its end.
        body: Empty for none.
        upgrade: Whether another protocol is asked for.
    """

    line: str
    headers: str
    body: bytes = b""
    upgrade: bool = False


class Stream:
    """An open answer. Made by `ApiClient.stream`.

    Attributes:
        status: HTTP status.
        headers: With names in lower case.
    """

    def __init__(self, connection: Connection, server: str, silence: float, longest_line: int) -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._connection = connection
        self._server = server
        self._silence = silence
        self._longest = longest_line

    async def lines(self) -> AsyncIterator[bytes]:
        """Whole lines without their newline, until the server ends the answer.

        The server is read only as fast as this is iterated.

        Raises:
            UnreachableError: The connection broke, a line is cut or too long, or nothing came for `silence` seconds.
        """
        take, silence, longest = self._connection.take, self._silence, self._longest
        begun: list[bytes] = []  # the beginning of a line whose end has not come
        size = 0
        clock = asyncio.get_running_loop().time
        woken = -math.inf
        while pieces := await take(silence):
            lines = b"".join(pieces).split(b"\n")
            del pieces
            if len(lines) > 1:
                if begun:
                    begun.append(lines[0])
                    lines[0] = b"".join(begun)
                    begun, size = [], 0
                rest = lines.pop()
                for line in lines:
                    if len(line) > longest:
                        raise self._too_long()
                    yield line
            else:
                rest = lines[0]
            if rest:
                begun.append(rest)
                size += len(rest)
                if size > longest:
                    raise self._too_long()
            if clock() - woken < _BUSY:
                await self._connection.rest(_GATHER)
            woken = clock()
        if begun:
            raise UnreachableError(f"{self._server}: the answer ended in the middle of a line")

    def _too_long(self) -> UnreachableError:
        return UnreachableError(f"{self._server}: a line of the answer has more than {self._longest} bytes")

    async def body(self) -> bytes:
        """The body of an answer that is no success; its first 64 KiB, which are enough.

        Raises:
            UnreachableError: The connection broke, or nothing came for `silence` seconds.
        """
        kept = bytearray()
        while len(kept) < _LARGEST_ERROR and (pieces := await self._connection.take(self._silence)):
            for piece in pieces:
                kept += piece
        return bytes(kept[:_LARGEST_ERROR])


class ApiClient:
    """A client of one cluster, for one event loop.

    Args:
        access: Where the API is, and who we are.
        timeout: Seconds for connecting with TLS, for the head of an answer, and for each silence in its body.
        longest_line: Bytes of a line of a stream.
        largest_body: Bytes of a whole answer.
    """

    def __init__(
        self,
        access: Access,
        *,
        timeout: float = 30.0,
        longest_line: int = LONGEST_LINE,
        largest_body: int = LARGEST_BODY,
    ) -> None:
        self.access = access
        self._timeout = timeout
        self._longest_line = longest_line
        self._largest_body = largest_body
        parts = urllib.parse.urlsplit(access.server)
        self._tls = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        if access.proxy is not None and not self._tls:
            self._prefix = access.server.rstrip("/")  # a proxy is asked for the whole URL
        headers = [("Host", parts.netloc), ("User-Agent", f"network-mapper/{__version__}")]
        # Compressed lists cost us more to unpack, and the server far more to pack, than a cluster's network costs.
        headers += [("Accept-Encoding", "identity"), *access.headers]
        if access.proxy is not None and not self._tls and access.proxy.authorization:
            headers.append(("Proxy-Authorization", access.proxy.authorization))
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._context: ssl.SSLContext | None = None
        self._generation: object = None
        self._closed = False

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: str = "application/json"
    ) -> Answer:
        """Ask for something and wait for all of it.

        Args:
            path: From the API's root, such as `/api/v1/pods`.
            params: Query parameters.
            accept: Media types.

        Raises:
            UnreachableError: There is no answer, or none of the API.
            CredentialsError: What proves who we are cannot be had.
        """
        return await self.request("GET", path, params, {"Accept": accept})

    async def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send any request and wait for all of its answer.

        Args:
            method: HTTP method.
            path: From the API's root; what follows a `?` in it is a query.
            params: Query parameters.
            headers: More headers.
            body: What is sent; None for nothing.

        Raises:
            UnreachableError: There is no answer, or none of the API.
            CredentialsError: What proves who we are cannot be had.
        """
        length = {"Content-Length": str(len(body or b""))} if body is not None or method in ("POST", "PUT") else {}
        connection = await self._ask(self._request(method, path, params, {**(headers or {}), **length}, body or b""))
        try:
            content = bytearray()
            while pieces := await connection.take(self._timeout):
                for piece in pieces:
                    content += piece
                if len(content) > self._largest_body:
                    raise self._error(f"the answer has more than {self._largest_body} bytes")
            answer = Answer(connection.status, connection.headers, bytes(content))
        finally:
            self._release(connection)
        return answer

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        silence: float = 330.0,
    ) -> AsyncIterator[Stream]:
        """Ask for something that goes on, such as a watch. Leaving the block closes the connection.

        Args:
            path: From the API's root.
            params: Query parameters.
            accept: Media types.
            silence: Seconds without a byte after which the stream counts as broken. Bookmarks come about every minute.

        Raises:
            UnreachableError: There is no answer, or none of the API.
            CredentialsError: What proves who we are cannot be had.
        """
        connection = await self._ask(self._request("GET", path, params, {"Accept": accept}))
        try:
            yield Stream(connection, self.access.server, silence, self._longest_line)
        finally:
            self._release(connection)

    async def upgrade(self, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Connection:
        """Ask for another protocol on a connection, which is the caller's from then on; `abort` ends it.

        Args:
            path: From the API's root.
            params: Query parameters.
            headers: Those of the upgrade.

        Raises:
            RefusedError: The server answered something else.
            UnreachableError: There is no answer, or none of the API.
            CredentialsError: What proves who we are cannot be had.
        """
        connection = await self._ask(self._request("GET", path, params, headers, upgrade=True))
        if connection.status == 101:
            return connection
        try:
            status, headers = connection.status, connection.headers
            body = await Stream(connection, self.access.server, self._timeout, 0).body()
        finally:
            self._release(connection)
        raise RefusedError(read_status(status, headers, body).message, status)

    async def close(self) -> None:
        """Close every connection, also those of open streams."""
        self._closed = True
        connections = list(self._open)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()
        self._idle.clear()

    def _error(self, words: str) -> UnreachableError:
        return UnreachableError(f"{self.access.server}: {words}")

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        upgrade: bool = False,
    ) -> _Request:
        bare, _, query = path.partition("?")
        target = f"{self._prefix}{urllib.parse.quote(bare, safe='/:@!$&()*+,;=%~')}"
        if params:
            query += ("&" if query else "") + urllib.parse.urlencode(params)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        line = f"{method} {target}{'?' if query else ''}{query} HTTP/1.1\r\n"
        return _Request(line, lines, body, upgrade)

    async def _ask(self, request: _Request) -> Connection:
        """Send a request, with fresh credentials once more if they are refused; return with the answer's head there."""
        connection, proof = await self._try(request)
        if connection.status == 401 and await self._refreshed(connection, proof):
            self._release(connection)
            connection, _ = await self._try(request)
        try:
            self._check(connection)
        except UnreachableError:
            self._release(connection)
            raise
        return connection

    async def _refreshed(self, refused: Connection, proof: Proof) -> bool:
        """Whether there is another proof than the one that was refused."""
        try:
            self.access.credentials.reject(proof)
            fresh = await self.access.credentials.current()
            return fresh != proof or self._renew(fresh) != refused.generation
        except BaseException:
            self._release(refused)
            raise

    def _check(self, connection: Connection) -> None:
        kind = connection.headers.get("content-type", "").lower()
        if 200 <= connection.status < 300 and "html" in kind:
            raise self._error(
                "answered with an HTML page: this is not the Kubernetes API, or a proxy or login page stands before it"
            )
        packed = connection.headers.get("content-encoding", "identity").lower()
        if packed not in ("identity", ""):
            raise self._error(f"the answer is packed with {packed[:40]}, which was not asked for")

    async def _try(self, request: _Request) -> tuple[Connection, Proof]:
        proof = await self.access.credentials.current()
        head = request.line + self._head + request.headers
        if proof.authorization:
            head += f"Authorization: {proof.authorization}\r\n"
        message = f"{head}\r\n".encode("latin-1") + request.body
        self._renew(proof)
        while kept := self._kept():
            try:
                return await self._exchange(kept, message, upgrade=request.upgrade), proof
            except UnreachableError:
                for other in self._idle:  # whatever ended this one has probably ended them
                    other.abort()
                self._idle.clear()
                if kept.begun or not kept.closed:
                    raise
                # The server had closed it before it read the request, which may thus be sent again.
        if self._closed:
            raise self._error("the client is closed")
        generation = self._generation
        connection = await connect(self.access, self._context, self._timeout)
        connection.generation = generation
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        if self._closed:
            self._release(connection)
            raise self._error("the client is closed")
        return await self._exchange(connection, message, upgrade=request.upgrade), proof

    async def _exchange(self, connection: Connection, message: bytes, *, upgrade: bool) -> Connection:
        try:
            connection.start(message, upgrade=upgrade)
            await connection.wait_head(self._timeout)
        except BaseException:
            self._release(connection)
            raise
        return connection

    def _renew(self, proof: Proof) -> object:
        """Make TLS anew where a certificate has changed; what tells contexts apart."""
        if not self._tls:
            return None
        generation = (self.access.tls.version(), proof.certificate)
        if generation != self._generation or self._context is None:
            try:
                self._context = make_context(self.access.tls, proof.certificate, proof.key)
            except CredentialsError as error:
                if self._context is None:
                    raise
                # Somebody is writing the files at this moment, or wrote nonsense: what worked may go on working.
                logger.warning("renewed certificates cannot be used yet", extra={"error": str(error)})
                return self._generation
            self._generation = generation
        return self._generation

    def _kept(self) -> Connection | None:
        """An open connection that was made with the present certificates; the others are closed."""
        limit = asyncio.get_running_loop().time() - LONGEST_IDLE
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and connection.generation == self._generation and connection.idle_since > limit:
                return connection
            connection.abort()
        return None

    def _release(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to the end; close any other."""
        if connection.reusable and len(self._idle) < MOST_IDLE and not self._closed:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()
