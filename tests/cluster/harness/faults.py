"""What can go wrong between a Kubernetes client and its server, as a test says it.

    fault = proxy.on("/api/v1/pods", watch=True, times=1).cut(after=3, middle=True)

`on` chooses requests, the method behind it what happens to them. A fault either replies in the server's place or
changes the body on its way; in a watch that body is a row of lines, one event each. `fault.used` tells how often it
struck, so that a test can assert that it tested something.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Pieces = AsyncIterator[bytes]

HTML = b"<html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


class CutError(Exception):
    """End the connection here, without a farewell."""


@dataclass
class Request:
    """One request that came to the proxy, and what became of it.

    Attributes:
        method: HTTP method.
        path: Path without the query.
        query: Parameters of the query.
        headers: Its headers, names in lower case.
        target: Path and query as they came.
        status: Status of the answer; 0 while there is none, and when none was sent.
        bytes: Bytes of the answer's body that were sent, before framing.
        lines: Lines among them: a watch's events.
        faults: Names of the faults that struck it.
        ongoing: Whether the answer is not over.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    target: str = field(default="", repr=False)
    status: int = 0
    bytes: int = 0
    lines: int = 0
    faults: list[str] = field(default_factory=list)
    ongoing: bool = True

    @property
    def watch(self) -> bool:
        """Whether it asks for a watch."""
        return self.query.get("watch", "").lower() in ("true", "1")

    @property
    def token(self) -> str:
        """Its bearer token, or an empty text."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""


@dataclass(frozen=True)
class Choice:
    """Which requests: those for which all that is not None holds. Paths may hold `*`."""

    path: str = "*"
    method: str | None = None
    watch: bool | None = None
    token: str | None = None
    when: Callable[[Request], bool] | None = None

    def holds(self, request: Request) -> bool:
        """Whether a request is one of them."""
        return (
            fnmatchcase(request.path, self.path)
            and self.method in (None, request.method)
            and self.watch in (None, request.watch)
            and self.token in (None, request.token)
            and (self.when is None or self.when(request))
        )


@dataclass(frozen=True)
class Reply:
    """An answer in the server's place."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Fault:
    """One thing that goes wrong; see `Faults` for how they are made.

    Attributes:
        name: What it is called in `Request.faults`.
        choice: Which requests it strikes.
        skip: So many of them are spared first.
        times: So many are struck; None for all.
        reply: Replies instead of the server, or never, or raises CutError; returns None to let the request pass.
        change: Changes the answer's body on its way.
        used: How many requests it struck.
    """

    name: str
    choice: Choice
    skip: int
    times: int | None
    reply: Callable[[Request], Awaitable[Reply | None]] | None = None
    change: Callable[[Pieces], Pieces] | None = None
    used: int = 0
    _spared: int = 0

    def strikes(self, request: Request) -> bool:
        """Whether it strikes this request; counts it."""
        if (self.times is not None and self.used >= self.times) or not self.choice.holds(request):
            return False
        if self._spared < self.skip:
            self._spared += 1
            return False
        self.used += 1
        request.faults.append(self.name)
        return True


class Faults:
    """The faults that may be chosen for some requests; `FaultProxy.on` makes it."""

    def __init__(self, choice: Choice, skip: int, times: int | None, add: Callable[[Fault], Fault]) -> None:
        self._choice, self._skip, self._times, self._add = choice, skip, times, add

    def _reply(self, name: str, reply: Callable[[Request], Awaitable[Reply | None]]) -> Fault:
        return self._add(Fault(name, self._choice, self._skip, self._times, reply=reply))

    def _change(self, name: str, change: Callable[[Pieces], Pieces]) -> Fault:
        return self._add(Fault(name, self._choice, self._skip, self._times, change=change))

    # In the server's place

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Fault:
        """Answer this."""
        reply = Reply(status, body, headers or {})
        return self._reply(f"answer {status}", lambda _: _soon(reply))

    def html(self) -> Fault:
        """Answer 200 with a page for people, as a portal in between does."""
        return self.answer(200, HTML, {"content-type": "text/html"})

    def refuse(self, code: int, reason: str, message: str = "", headers: dict[str, str] | None = None) -> Fault:
        """Answer with a Status object, as Kubernetes refuses."""
        return self.answer(code, status(code, reason, message or reason), {**JSON_TYPE, **(headers or {})})

    def too_many(self, retry_after: int = 1) -> Fault:
        """Answer 429 and when to come again, in seconds."""
        return self.refuse(429, "TooManyRequests", "too many requests", {"retry-after": str(retry_after)})

    def unauthorized(self) -> Fault:
        """Answer 401; with `token=` in `on`, until the client shows another token."""
        return self.refuse(401, "Unauthorized")

    def gone(self) -> Fault:
        """Answer 410: the resource version is too old."""
        return self.refuse(410, "Expired", "too old resource version: 1 (2)")

    def expired_pages(self, *, with_continue: bool = True) -> Fault:
        """Answer 410 to requests for a further page.

        Args:
            with_continue: Give a token that goes on from the same place in the present state, as real servers do.
        """

        async def reply(request: Request) -> Reply | None:
            if not (token := request.query.get("continue")):
                return None
            meta = {"continue": at_present(token)} if with_continue else {}
            message = "The provided continue parameter is too old"
            return Reply(410, status(410, "Expired", message, meta), JSON_TYPE)

        self._choice = Choice(**{**vars(self._choice), "when": _and(self._choice.when, _asks_for_page)})
        return self._reply("expired page", reply)

    def drop(self) -> Fault:
        """End the connection without an answer."""

        async def reply(_: Request) -> Reply | None:
            raise CutError

        return self._reply("drop", reply)

    def hang(self) -> Fault:
        """Never answer."""

        async def reply(_: Request) -> Reply | None:
            await asyncio.Event().wait()
            return None

        return self._reply("hang", reply)

    def wait(self, seconds: float) -> Fault:
        """Let the request pass so much later."""

        async def reply(_: Request) -> None:
            await asyncio.sleep(seconds)

        return self._reply("wait", reply)

    # On the way

    def cut(self, after: int = 0, *, middle: bool = False) -> Fault:
        """End the connection after so many lines of the body.

        Args:
            after: Lines that pass, an event each in a watch.
            middle: Wait for one more line, and let half of it pass.
        """

        async def change(pieces: Pieces) -> Pieces:
            left = after
            if left or middle:
                async for line in pieces:
                    if not left:
                        yield line[: len(line) // 2]
                        break
                    yield line
                    left -= 1
                    if not left and not middle:
                        break
            raise CutError

        return self._change("cut", change)

    def cut_bytes(self, after: int) -> Fault:
        """End the connection after so many bytes of the body."""

        async def change(pieces: Pieces) -> Pieces:
            left = after
            async for piece in pieces:
                if len(piece) > left:
                    yield piece[:left]
                    raise CutError
                yield piece
                left -= len(piece)

        return self._change("cut bytes", change)

    def end(self, after: int = 0) -> Fault:
        """End the body after so many lines, properly, as servers end a watch when its time is over."""
        return self._change("end", lambda pieces: _first(pieces, after))

    def gone_event(self, after: int = 0) -> Fault:
        """End a watch after so many events with an ERROR event that says 410."""
        body = json.loads(status(410, "Expired", "too old resource version: 1 (2)"))
        return self.error_event(body, after)

    def error_event(self, body: dict[str, Any], after: int = 0) -> Fault:
        """End a watch after so many events with an ERROR event of this Status object."""
        line = json.dumps({"type": "ERROR", "object": body}).encode() + b"\n"

        async def change(pieces: Pieces) -> Pieces:
            async for piece in _first(pieces, after):
                yield piece
            yield line

        return self._change("error event", change)

    def insert(self, line: bytes, after: int = 0) -> Fault:
        """Put a line of one's own into the body behind so many lines."""

        async def change(pieces: Pieces) -> Pieces:
            left = after
            if not left:
                yield line
            async for piece in pieces:
                yield piece
                left -= 1
                if not left:
                    yield line

        return self._change("insert", change)

    def fall_silent(self, after: int = 0) -> Fault:
        """Let nothing pass behind so many lines, with the connection left open."""

        async def change(pieces: Pieces) -> Pieces:
            async for piece in _first(pieces, after):
                yield piece
            await asyncio.Event().wait()

        return self._change("silent", change)

    def delay(self, seconds: float) -> Fault:
        """Hold up every line."""

        async def change(pieces: Pieces) -> Pieces:
            async for piece in pieces:
                await asyncio.sleep(seconds)
                yield piece

        return self._change("delay", change)

    def repeat(self, times: int = 2, *, lag: int = 0) -> Fault:
        """Let every line pass more than once.

        Args:
            times: How often each passes in all.
            lag: The repetition comes so many lines later, old behind new; what is held when the body ends is not sent.
        """

        async def change(pieces: Pieces) -> Pieces:
            held: deque[bytes] = deque()
            async for piece in pieces:
                yield piece
                held.append(piece)
                if len(held) > lag:
                    again = held.popleft()
                    for _ in range(times - 1):
                        yield again

        return self._change("repeat", change)

    def drip(self, size: int, seconds: float) -> Fault:
        """Let the body pass in small pieces with a pause before each."""

        async def change(pieces: Pieces) -> Pieces:
            async for piece in pieces:
                for start in range(0, len(piece), size):
                    await asyncio.sleep(seconds)
                    yield piece[start : start + size]

        return self._change("drip", change)

    def edit(self, function: Callable[[Any], Any]) -> Fault:
        """Change each event of a watch, or the one document of another answer.

        Args:
            function: Takes the decoded JSON and returns what takes its place; None removes an event.
        """

        async def change(pieces: Pieces) -> Pieces:
            async for piece in pieces:
                edited = function(json.loads(piece))
                if edited is not None:
                    yield json.dumps(edited, separators=(",", ":")).encode() + b"\n"

        return self._change("edit", change)


JSON_TYPE = {"content-type": "application/json"}


def status(code: int, reason: str, message: str, metadata: dict[str, Any] | None = None) -> bytes:
    """A Status object that says why not."""
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": metadata or {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return json.dumps(document).encode() + b"\n"


async def _soon(reply: Reply) -> Reply:
    return reply


async def _first(pieces: Pieces, count: int) -> Pieces:
    if count:
        async for piece in pieces:
            yield piece
            count -= 1
            if not count:
                return


def _asks_for_page(request: Request) -> bool:
    return bool(request.query.get("continue"))


def _and(one: Callable[[Request], bool] | None, other: Callable[[Request], bool]) -> Callable[[Request], bool]:
    return other if one is None else lambda request: one(request) and other(request)


def at_present(token: str) -> str:
    """The same place without its resource version, which servers write as -1 (apiserver storage, continue.go)."""
    try:
        place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error):
        return token
    text = json.dumps({**place, "rv": -1, "start": place["start"].lstrip("/")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
