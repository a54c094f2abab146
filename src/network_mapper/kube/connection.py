"""One HTTP/1.1 connection to the API, read with back-pressure.

llhttp (through httptools, which the mapper's own server needs anyway) takes the answer apart; here its pieces wait
until somebody takes them. Reading stops while more than a bound waits, so a server that sends faster than we decode
fills its own buffers and not our memory. A connection is for one exchange at a time, and for the next one only when
the answer was read to its end. After an upgrade (101) it carries another protocol: its pieces are raw bytes then.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import httptools

from network_mapper.kube.errors import UnreachableError, one_line, reason

HIGH_WATER = 512 * 1024
"""Bytes waiting to be taken above which reading pauses."""

_LARGEST_HEAD = 64 * 1024
_HEAD_TOO_LARGE = f"the answer's headers are longer than {_LARGEST_HEAD} bytes"


class Connection(asyncio.Protocol):
    """The protocol beneath a transport. All methods belong to the event loop's thread.

    Args:
        server: URL of the API, with which every message begins.
        peer: Host and port of the API or of the proxy, for messages about who cut the connection.
    """

    def __init__(self, server: str, peer: str = "") -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.closed = False
        self.idle_since = 0.0
        self.generation: object = None
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._waiter: asyncio.Future[bool] | None = None
        self._failure: UnreachableError | None = None
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._head = 0
        self._paused = False
        self._begun = False
        self._answered = False
        self._complete = True
        self._keep = True
        self._delimited = False
        self._upgrade = self._raw = False
        self.on_body = self._pieces.append  # called by the parser for every piece: nothing of ours in between
        self._parser = httptools.HttpResponseParser(self)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; after an upgrade to TLS this is called again, or the transport was set."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take the answer apart, and wake who waits for it."""
        if self._complete or self._failure is not None:
            self.abort()  # bytes that nobody asked for
            return
        self._begun = True
        self._waiting += len(data)
        try:
            if self._raw:
                self._pieces.append(data)
            else:
                self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._complete:
                self.abort()  # the answer is whole; what follows it is not for us
            elif self._answered:
                self._fail(f"the answer broke the rules of HTTP ({reason(error)})")
            else:
                self._fail(f"the answer is no HTTP: {one_line(repr(data[:40]))}")
        if not self._answered and self._waiting > _LARGEST_HEAD:
            self._fail(_HEAD_TOO_LARGE)
        if self._waiting > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _switch(self, rest: bytes) -> None:
        """Read what follows the head as another protocol, if that was asked for."""
        if not self._upgrade or self._parser.get_status_code() != 101:
            self._fail("answered with another protocol")
            return
        self.status = 101
        self._raw = self._answered = True
        self._complete = self._keep = self._delimited = False
        self._pieces[:] = [rest] if rest else []

    def eof_received(self) -> bool | None:
        """Nothing more comes, so nothing more is said either: the transport closes itself."""
        return None

    def connection_lost(self, error: BaseException | None) -> None:
        """Decide whether that was the end of the answer or a loss."""
        self.closed = True
        if not self._complete and not self._failure:
            if self._answered and not self._delimited and error is None:
                self._complete = True  # a body without a length ends with its connection
            else:
                self._failure = self._error(self._lost_words(error))
        if not self.lost.done():
            self.lost.set_result(None)
        self._wake()

    def _lost_words(self, error: BaseException | None) -> str:
        if isinstance(error, ssl.SSLError):
            return f"TLS failed: {tls_words(error)}"
        said = f" ({reason(error)})" if error else ""
        if self._raw:
            return f"the connection broke{said}"
        if not self._begun:
            return f"the connection was closed without an answer{said}"
        return f"the connection broke in the middle of the answer{said}"

    # What the parser calls, beside `on_body`.

    def on_message_begin(self) -> None:
        """A head begins: the final one, or an interim one before it."""
        if self._complete:
            raise ValueError("a second answer")
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; the values of one that comes several times are joined."""
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip()
        self._head += len(name) + len(value) + 4
        if self._head > _LARGEST_HEAD:
            self._fail(_HEAD_TOO_LARGE)
            raise ValueError
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """The head is whole; interim answers (1xx) are passed over."""
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._answered = True
            self._delimited = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "")
            self._delimited = self._delimited or self.status in (204, 304)

    def on_message_complete(self) -> None:
        """The body is whole."""
        if self._answered:
            self._complete = True
            self._keep = bool(self._parser.should_keep_alive())

    # What the client calls.

    def start(self, request: bytes, *, upgrade: bool = False) -> None:
        """Send a request. The connection must be open and its last answer read to the end.

        Args:
            request: All of it.
            upgrade: Whether it asks for another protocol, to which the server may switch.

        Raises:
            UnreachableError: The connection is closed.
        """
        transport = self._transport
        if transport is None or not self._open:
            raise self._error("the connection was closed without an answer")
        self.status, self.headers = 0, {}
        self._pieces.clear()
        self._waiting = self._head = 0
        self._failure = None
        self._begun = self._answered = self._complete = self._delimited = self._raw = False
        self._upgrade = upgrade
        self._parser = httptools.HttpResponseParser(self)
        self._resume()
        transport.write(request)

    def send(self, data: bytes) -> None:
        """Send bytes of the protocol that was switched to; what the server does not take yet waits in memory.

        Raises:
            UnreachableError: The connection is closed.
        """
        if self._transport is None or not self._open:
            raise self._failure or self._error("the connection is closed")
        self._transport.write(data)

    async def wait_head(self, seconds: float) -> None:
        """Wait until status and headers are there.

        Raises:
            UnreachableError: They do not come within `seconds`, or what comes is no HTTP.
        """
        limit = self._loop.time() + seconds
        while not self._answered:
            if self._failure:
                raise self._failure
            if not await self._wait(limit - self._loop.time()):
                raise self._error(f"no answer within {seconds:g} s")

    async def take(self, silence: float) -> list[bytes]:
        """What has come of the body since the last call, at least one piece; nothing at the body's end.

        Raises:
            UnreachableError: The connection broke, or not a byte came for `silence` seconds.
        """
        while not self._pieces:
            if self._complete:
                return []
            if self._failure:
                raise self._failure
            if not await self._wait(silence):
                raise self._error(f"nothing came for {silence:g} s in the middle of an answer")
        pieces = self._pieces[:]
        self._pieces.clear()
        self._waiting = 0
        self._resume()
        return pieces

    async def rest(self, seconds: float) -> None:
        """Read nothing for a moment: what comes meanwhile is then read at once."""
        if self._paused or self._complete or self._failure or self._transport is None or not self._open:
            return
        self._paused = True
        self._transport.pause_reading()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._resume()

    @property
    def begun(self) -> bool:
        """Whether a byte of the present answer has come."""
        return self._begun

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._complete and self._keep and not self._failure and self._open

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Speak TLS from now on, after a proxy has opened the way."""
        transport = await self._loop.start_tls(
            cast("asyncio.Transport", self._transport), self, context, server_hostname=name
        )
        self._transport = cast("asyncio.Transport", transport)

    def tunnelled(self) -> None:
        """Forget the proxy's answer: what comes from now on is the API's."""
        self._complete, self._keep, self._failure = True, True, None
        self._pieces.clear()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the transport has let go; call `abort` before."""
        if self._transport is not None:
            await asyncio.shield(self.lost)

    # Details.

    def _error(self, words: str) -> UnreachableError:
        through = f" (through {self._peer})" if self._peer else ""
        return UnreachableError(f"{self._server}{through}: {words}")

    @property
    def _open(self) -> bool:
        return not self.closed and self._transport is not None and not self._transport.is_closing()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            if self._open:
                self._transport.resume_reading()

    def _fail(self, words: str) -> None:
        if not self._failure:
            self._failure = self._error(words)
        self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    async def _wait(self, seconds: float) -> bool:
        """Wait for anything to happen; False when nothing did."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        timer = self._loop.call_later(max(seconds, 0.0), _give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


def tls_words(error: ssl.SSLError) -> str:
    """What OpenSSL says, in its words without its numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return one_line(error.verify_message)
    return one_line((error.reason or str(error)).replace("_", " ").lower())
