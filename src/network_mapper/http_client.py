"""One HTTP client for everything of ours that talks to a mapper: the agents and the command line.

It speaks the little of HTTP/1.1 (RFC 9112) that a mapper and the proxies before it need, over sockets. A library, and
even the standard one, would be the largest thing in the sniffer's memory: `http.client` brings in a mail parser and
OpenSSL, six megabytes, also where no TLS is spoken. It keeps one connection open, speaks plain HTTP, HTTPS and HTTP
over a Unix socket (`unix:/run/mapper.sock`), and never uses a proxy, whatever the environment says: a mapper is inside
the cluster or on this machine.

A mapper moves: its pod is replaced, its node dies without a word, its Service gets another address. So a connection on
which nothing is acknowledged for five seconds is given up, and the name is looked up for each new one; where the
cluster's DNS is away too, the addresses that were found last are tried.
"""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
from typing import TYPE_CHECKING, Literal, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import BufferedReader

    _Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...] | tuple[int, bytes]]
    """As `socket.getaddrinfo` has it."""

_LONGEST_LINE = 65_536
_MOST_HEADERS = 200
_LARGEST_BODY = 2**30
_UNACKNOWLEDGED = 5_000
"""Milliseconds after which the kernel ends a connection whose other side has vanished; else it takes it 15 minutes."""


class Dialled(Protocol):
    """An open connection, as far as it is needed here; a socket is one."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def makefile(self, mode: Literal["rb"], /) -> BufferedReader:
        """A reader of what comes."""

    def close(self) -> None:
        """Close it."""


class UrlError(ValueError):
    """A URL that names no mapper; the message says what is expected."""


class HttpError(OSError):
    """What came back is not HTTP, or ended too early."""


class CutShortError(HttpError):
    """What came back began as HTTP and ended too early."""


class Response(msgspec.Struct):
    """What came back. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def mapper_address(url: str) -> str:
    """A mapper's address without the path of its GraphQL door, which is how the model's programs are given it."""
    scheme, _, rest = url.partition("://")
    before, _, last = rest.rstrip("/").rpartition("/")
    return f"{scheme}://{before}" if before and last == "query" and scheme in ("http", "https") else url


class HttpClient:
    """Requests to one mapper over one kept connection. Not for several threads at once.

    Args:
        url: `http://host:port`, `https://host:port`, with a path prefix if need be, or `unix:/path`.
        timeout: Seconds for connecting and for each read.
        dial: Opens the connection in some other way; the URL then names only the host that requests are meant for.
        connect_timeout: Seconds for connecting to one address, where that is less. A new attempt comes from another
            port, so that a cluster's load balancing decides anew where it goes.

    Raises:
        UrlError: The URL has another form.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 10.0,
        dial: Callable[[], Dialled] | None = None,
        *,
        connect_timeout: float | None = None,
    ) -> None:
        self.url = url
        self._timeout = timeout
        self._connect_timeout = timeout if connect_timeout is None else min(timeout, connect_timeout)
        self._found: Sequence[_Address] = []
        self._dial = dial or self._connect
        self._prefix = ""
        self._host = "localhost"
        self._name = "localhost"
        self._socket: Dialled | None = None
        self._stream: BufferedReader | None = None
        if url.startswith("unix:"):
            self._path = "/" + url.removeprefix("unix:").lstrip("/")
            self._scheme = "unix"
            return
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise UrlError(f"{url!r} is no URL of a mapper: {error}") from None
        if "@" in parts.netloc:
            raise UrlError(
                f"the URL of a mapper at {host!r} has a name or password in it, and none is sent to a mapper: "
                "leave out what stands before the @"
            )
        if not (url.isascii() and url.isprintable() and " " not in url):
            raise UrlError(f"{url!r} is no URL of a mapper: only ASCII without blanks may stand in it")
        if parts.scheme not in ("http", "https") or not host:
            raise UrlError(f"{url!r} is no URL of a mapper: expected http://host:port, https://host:port or unix:/path")
        self._scheme = parts.scheme
        self._name = host
        self._port = port or (443 if parts.scheme == "https" else 80)
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/")

    def _connect(self) -> socket.socket:
        if self._scheme == "unix":
            endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            endpoint.settimeout(self._timeout)
            try:
                endpoint.connect(self._path)
            except BaseException:
                endpoint.close()
                raise
            return endpoint
        endpoint = self._connect_tcp()
        try:
            endpoint.settimeout(self._timeout)
            if self._scheme == "https":
                import ssl  # noqa: PLC0415  five megabytes, for those who use it

                return ssl.create_default_context().wrap_socket(endpoint, server_hostname=self._name)
        except BaseException:
            endpoint.close()
            raise
        return endpoint

    def _connect_tcp(self) -> socket.socket:
        """Connect to the first address of the mapper's name that answers."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in self._addresses():
            endpoint = socket.socket(family, kind, protocol)
            try:
                endpoint.settimeout(self._connect_timeout)
                endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if hasattr(socket, "TCP_USER_TIMEOUT"):  # it exists on Linux only
                    endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
                endpoint.connect(address)
            except OSError as error:
                endpoint.close()
                failure = error
            except BaseException:
                endpoint.close()
                raise
            else:
                return endpoint
        raise failure or OSError(f"{self._name} has no address")

    def _addresses(self) -> Sequence[_Address]:
        """The mapper's addresses; those found last where the name cannot be looked up now."""
        try:
            self._found = socket.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if not self._found:
                raise socket.gaierror(error.errno, f"{self._name} cannot be looked up: {error.strerror}") from None
        return self._found

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send one request and read the whole answer.

        A kept connection that the server closed meanwhile is opened anew once; the caller's own retries are its own.

        Raises:
            HttpError: What came back is not HTTP. It is an OSError too.
            OSError: No connection, or it broke.
        """
        fresh = self._socket is None
        try:
            return self._exchange(method, path, body, headers or {})
        except ConnectionError:
            if fresh:
                raise
        return self._exchange(method, path, body, headers or {})

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Response:
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None or method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body or b'')}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            if self._socket is None or self._stream is None:
                self._socket = self._dial()
                self._stream = self._socket.makefile("rb")
            self._socket.sendall(head + (body or b""))
            response, keep = _read_response(self._stream, method)
        except BaseException:
            self._drop()
            raise
        if not keep:
            self._drop()
        return response

    def _drop(self) -> None:
        """Close the kept connection; the next request opens another."""
        for part in (self._stream, self._socket):
            if part is not None:
                with contextlib.suppress(OSError):
                    part.close()
        self._stream = self._socket = None

    def close(self) -> None:
        """Close the kept connection; the next request opens another."""
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_line(stream: BufferedReader) -> bytes:
    line = stream.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
        raise HttpError("a line of the answer is too long")
    if not line.endswith(b"\n"):
        raise CutShortError("the answer is cut short")
    return line.rstrip(b"\r\n")


def _read_response(stream: BufferedReader, method: str) -> tuple[Response, bool]:
    """Read one response; also whether the connection may be kept."""
    status = 100
    while 100 <= status < 200:  # an interim response comes before the final one
        version, status = _read_status(stream)
        headers = _read_headers(stream)
    connection = headers.get("connection", "").lower()
    keep = version != b"HTTP/1.0" and "close" not in connection
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        body = _read_chunks(stream)
    elif "content-length" in headers:
        body = _read_exactly(stream, _size(headers["content-length"], 10))
    else:
        body, keep = stream.read(), False
    return Response(status, headers, body), keep


def _read_status(stream: BufferedReader) -> tuple[bytes, int]:
    line = stream.readline(_LONGEST_LINE)
    if not line:
        raise ConnectionResetError("the connection was closed without an answer")
    version, _, rest = line.rstrip(b"\r\n").partition(b" ")
    number = rest[:3]
    if not version.startswith(b"HTTP/1.") or not number.isdigit() or len(number) != 3:
        raise HttpError(f"the answer is no HTTP: {line[:40]!r}")
    return version, int(number)


def _read_headers(stream: BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = _read_line(stream)
        if not line:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise HttpError("the answer has too many headers")


def _size(text: str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        size = -1
    if not 0 <= size <= _LARGEST_BODY:
        raise HttpError(f"the answer's length is no usable number: {text[:40]!r}")
    return size


def _read_exactly(stream: BufferedReader, size: int) -> bytes:
    body = stream.read(size)
    if len(body) != size:
        raise CutShortError(f"{len(body)} of {size} bytes came")
    return body


def _read_chunks(stream: BufferedReader) -> bytes:
    chunks = []
    while size := _size(_read_line(stream).partition(b";")[0].decode("latin-1"), 16):
        chunks.append(_read_exactly(stream, size))
        _read_line(stream)
    _read_headers(stream)  # trailers
    return b"".join(chunks)
