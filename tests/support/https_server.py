"""A small HTTP server in the test's own event loop, with TLS where wanted, that answers as each test tells it.

Certificates are made with openssl, once for a test session: an authority, certificates for a server, two for clients,
and another authority that nobody trusts.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pytest

from network_mapper.kube.access import Access
from network_mapper.kube.client import ApiClient
from network_mapper.kube.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Handler = Callable[["Request", asyncio.StreamWriter], Awaitable[object]]

NAMES = "DNS:localhost,DNS:api.internal,IP:127.0.0.1,IP:::1"


@dataclass
class Request:
    """A request, and who sent it."""

    method: str
    target: str
    headers: dict[str, str]
    all_headers: list[tuple[str, str]]
    client: str
    connection: int
    reader: asyncio.StreamReader

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            await self.reader.read()

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Server:
    """Answers each request by calling `handler`; a handler that closes its writer ends the connection."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    ended: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _change: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                request = await _read(reader, writer, number)
                self.requests.append(request)
                await self.handler(request, writer)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            with contextlib.suppress(Exception):
                await writer.wait_closed()
            self.ended += 1
            async with self._change:
                self._change.notify_all()

    async def until_ended(self, count: int) -> None:
        """Wait until this many connections are over."""
        async with self._change:
            await self._change.wait_for(lambda: self.ended >= count)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:-2])]
    shown = writer.get_extra_info("peercert") or {}
    names = dict(item[0] for item in shown.get("subject", ()))
    return Request(method, target, dict(pairs), pairs, names.get("commonName", ""), connection, reader)


def ok(body: bytes, kind: str = "application/json", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextlib.asynccontextmanager
async def client_of(url, tls=None, **options):
    more = {name: options.pop(name) for name in ("credentials", "headers", "proxy") if name in options}
    client = ApiClient(Access(url, tls=tls or Tls(), **more), **{"timeout": 20.0, **options})
    try:
        yield client
    finally:
        await client.close()


def answering(*answers):
    left = list(answers)

    async def handler(request, writer):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer is None:
            writer.transport.abort()
        else:
            writer.write(answer)

    return handler


def closing(answer):
    async def handler(request, writer):
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


class Certificates:
    """Files in a folder: `ca.crt`, `other.crt`, and for each name `NAME.crt` with `NAME.key`."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("openssl"):
            pytest.skip("openssl is not installed")
        self.folder = folder
        for name in ("ca", "other"):
            self._openssl("req", "-x509", *_new_key(name), "-days", "30", "-subj", f"/CN={name}", "-out", f"{name}.crt")
        self.make("server", f"subjectAltName={NAMES}")
        self.make("alice", "extendedKeyUsage=clientAuth")
        self.make("bob", "extendedKeyUsage=clientAuth")

    def make(self, name: str, extension: str) -> None:
        self._openssl("req", "-new", *_new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(extension)
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip

    def _openssl(self, *args: str) -> None:
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def text(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def server(self, *, ask: bool = False, require: bool = False) -> ssl.SSLContext:
        """A server's context, which asks for client certificates, or wants one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.crt"), self.path("server.key"))
        if ask or require:
            context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
            context.load_verify_locations(self.path("ca.crt"))
        return context


def _new_key(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
