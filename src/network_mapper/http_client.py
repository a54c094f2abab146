"""One HTTP client for everything of ours that talks to a mapper: the agents and the command line.

It is the standard library's, because a client library would be the largest thing in the sniffer's memory. It keeps one
connection open, speaks plain HTTP, HTTPS and HTTP over a Unix socket (`unix:/run/mapper.sock`), and never uses a proxy:
a mapper is inside the cluster or on this machine.
"""

from __future__ import annotations

import http.client
import socket
import urllib.parse
from typing import Self

import msgspec


class UrlError(ValueError):
    """A URL that names no mapper; the message says what is expected."""


class Response(msgspec.Struct):
    """What came back. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class HttpClient:
    """Requests to one mapper over one kept connection. Not for several threads at once.

    Args:
        url: `http://host:port`, `https://host:port`, with a path prefix if need be, or `unix:/path`.
        timeout: Seconds for connecting and for each read.

    Raises:
        UrlError: The URL has another form.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.url = url
        self._timeout = timeout
        self._prefix = ""
        self._connection: http.client.HTTPConnection | None = None
        if url.startswith("unix:"):
            self._path = "/" + url.removeprefix("unix:").lstrip("/")
            self._scheme = "unix"
            return
        try:
            parts = urllib.parse.urlsplit(url)
            self._host, self._port = parts.hostname, parts.port
        except ValueError as error:
            raise UrlError(f"{url!r} is no URL of a mapper: {error}") from None
        if parts.scheme not in ("http", "https") or not self._host:
            raise UrlError(f"{url!r} is no URL of a mapper: expected http://host:port, https://host:port or unix:/path")
        self._scheme = parts.scheme
        self._prefix = parts.path.rstrip("/")

    def _connect(self) -> http.client.HTTPConnection:
        if self._scheme == "unix":
            return _UnixConnection(self._path, self._timeout)
        assert self._host is not None
        if self._scheme == "https":
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send one request and read the whole answer.

        A kept connection that the server closed meanwhile is opened anew once; the caller's own retries are its own.

        Raises:
            OSError: No connection, or it broke.
            http.client.HTTPException: What came back is not HTTP.
        """
        fresh = self._connection is None
        try:
            return self._exchange(method, path, body, headers or {})
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if fresh:
                raise
        except BaseException:
            self.close()
            raise
        return self._exchange(method, path, body, headers or {})

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Response:
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.request(method, self._prefix + path, body=body, headers=headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except BaseException:
            self.close()
            raise
        return Response(answer.status, {key.lower(): value for key, value in answer.getheaders()}, content)

    def close(self) -> None:
        """Close the kept connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
