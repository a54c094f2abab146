"""Answers probes and scrapes: `/healthz` and `/metrics`, each on its own port or both on one.

An agent must not fall because of who looks at it. A port that is taken is a warning, since on a host network clashes
are common, and the warning names who has it: probes of this agent reach that process. So `/healthz` says whose it is.
Given as `127.0.0.1:PORT` a page is for this node alone: the kubelet probes with that host. Each request has a thread of
its own with a time limit, and there are only a few of them, so that clients which connect and say nothing hold nothing
up. The server is a few lines over sockets because the standard library's would bring in a web of modules that nothing
else here needs.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from network_mapper.settings import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

_TIMEOUT = 5.0
_LONGEST_HEAD = 8192
_LONGEST_NAME = 300
_MOST_CLIENTS = 16
_ASKING = 1.0
_OK = "ok: "
_PAUSE_AFTER_ERROR = 0.5
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error", 503: "Unavailable"}

PLAIN = "text/plain; charset=utf-8"


class Page(msgspec.Struct):
    """What a path answers."""

    body: bytes
    status: int = 200
    content_type: str = PLAIN


class Pulse:
    """Says whether a loop still turns.

    Args:
        whose: Says whose loop it is: the program, its node, whom it reports to.
        limit: Seconds without a beat after which it does not.
        clock: Seconds of a clock that never jumps.
    """

    def __init__(self, whose: str, limit: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._whose = whose
        self._limit = limit
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Note that the loop came round."""
        self._last = self._clock()

    def page(self) -> Page:
        """`/healthz`: 200 while it beats, else 503."""
        silent = self._clock() - self._last
        if silent <= self._limit:
            return Page(f"{_OK}{self._whose}\n".encode())
        return Page(f"{self._whose}: the main loop has not come round for {silent:.0f} s\n".encode(), status=503)


class PageServer:
    """Serves pages on one port until `close`. Port 0 lets the kernel choose; `port` tells.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(self, port: int, pages: Mapping[str, Callable[[], Page]], host: str = "") -> None:
        self._pages = pages
        self._listener = _listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._slots = threading.BoundedSemaphore(_MOST_CLIENTS)
        self._closed = threading.Event()
        threading.Thread(target=self._accept, name=f"pages-{self.port}", daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed, or out of descriptors
                self._closed.wait(_PAUSE_AFTER_ERROR)
                continue
            if not self._slots.acquire(blocking=False):
                connection.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(connection,), name="page", daemon=True).start()
            except RuntimeError:  # the system allows no more threads
                self._slots.release()
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                head = _read_head(connection, time.monotonic() + _TIMEOUT)
                if head is not None:
                    connection.settimeout(_TIMEOUT)
                    connection.sendall(self._answer(head))
        finally:
            self._slots.release()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        make = self._pages.get(path)
        if make is None:
            page = Page(f"here are: {' '.join(sorted(self._pages))}\n".encode(), status=404)
        elif method not in (b"GET", b"HEAD"):
            page = Page(b"only GET\n", status=405)
        else:
            try:
                page = make()
            except Exception:
                logger.exception("a page could not be made", extra={"path": path})
                page = Page(b"see the log\n", status=500)
        start = (
            f"HTTP/1.1 {page.status} {_REASONS[page.status]}\r\nContent-Type: {page.content_type}\r\n"
            f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
        )
        return start.encode() + (b"" if method == b"HEAD" else page.body)

    def close(self) -> None:
        """Stop listening; requests that are being answered end by themselves."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
        self._listener.close()


def _listen(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # IPv6 may be switched off; if the port is taken, IPv4 will say so
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host, port))


def _read_head(connection: socket.socket, deadline: float) -> bytes | None:
    """Read up to the empty line; None when it does not come in time, is too long, or the client goes away."""
    head = b""
    while b"\r\n\r\n" not in head:
        left = deadline - time.monotonic()
        if left <= 0 or len(head) > _LONGEST_HEAD:
            return None
        connection.settimeout(left)
        chunk = connection.recv(4096)
        if not chunk:
            return None
        head += chunk
    return head


def serve_pages(places: Mapping[str, str], pages: Mapping[str, Callable[[], Page]]) -> list[PageServer]:
    """Serve each path at its place; paths with the same place share it.

    Args:
        places: By path, as `settings.host_and_port` reads it; port 0 switches a path off.
        pages: What each path answers.

    Returns:
        The servers that could be started. A port that cannot be had is logged and left out.
    """
    by_place: dict[tuple[str, int], dict[str, Callable[[], Page]]] = {}
    for path, place in places.items():
        host, port = host_and_port(place)
        if port:
            by_place.setdefault((host, port), {})[path] = pages[path]
    servers = []
    for (host, port), served in by_place.items():
        try:
            servers.append(PageServer(port, served, host))
        except OSError as error:
            where = f"port {port}" + (f" of {host}" if host else "")
            reason = error.strerror or str(error)
            logger.warning("%s cannot be had, so %s is not served: %s", where, " and ".join(served), reason)
            if error.errno == errno.EADDRINUSE:
                logger.warning(
                    "probes and scrapes of %s reach %s; choose another port for one of the two",
                    where,
                    _who_has(host or "localhost", port) or "another process",
                )
    return servers


def _who_has(host: str, port: int) -> str:
    """Whose agent answers there; empty when none says so."""
    try:
        with socket.create_connection((host, port), _ASKING) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            head, _, body = connection.recv(4096).partition(b"\r\n\r\n")
            body = body or connection.recv(4096)
    except OSError:
        return ""
    text = body.decode("utf-8", "replace").strip()
    said = text.startswith(_OK) and text.isprintable() and head.startswith(b"HTTP/1.1 200")
    return text.removeprefix(_OK)[:_LONGEST_NAME] if said else ""
