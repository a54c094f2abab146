"""Just enough HTTP/1.1 over asyncio streams to pass requests on and to break their answers at any byte."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE = 64 * 1024
LIMIT = 1 << 20
WITHOUT_BODY = frozenset({204, 304})


class BrokenError(OSError):
    """The other side ended or sent what is no HTTP."""


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    """First line and headers, their names in lower case; None when the other side has ended before one.

    Raises:
        BrokenError: It ended within one.
    """
    try:
        block = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise BrokenError("ended within a head") from error
    except asyncio.LimitOverrunError as error:
        raise BrokenError("a head of more than a mebibyte") from error
    first, *rest = block.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in rest)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str], *, to_end: bool) -> AsyncIterator[bytes]:
    """The body in pieces as they come, without framing.

    Args:
        reader: The connection, after the head.
        headers: The head's.
        to_end: Whether a body without a length goes on until the connection ends, as an answer's does.

    Raises:
        BrokenError: It ended within the body.
    """
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                async for piece in _exactly(reader, size):
                    yield piece
                await reader.readexactly(2)
            await reader.readuntil(b"\r\n")
        elif "content-length" in headers:
            async for piece in _exactly(reader, int(headers["content-length"])):
                yield piece
        elif to_end:
            while piece := await reader.read(PIECE):
                yield piece
    except (asyncio.IncompleteReadError, ValueError) as error:
        raise BrokenError("ended within a body") from error


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(PIECE, size))
        if not piece:
            raise BrokenError("ended within a body")
        size -= len(piece)
        yield piece


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes cut behind each newline; the last piece may lack one."""
    rest: list[bytes] = []
    async for piece in pieces:
        *whole, last = piece.split(b"\n")
        for line in whole:
            yield b"".join([*rest, line, b"\n"])
            rest = []
        rest.append(last)
    if last := b"".join(rest):
        yield last


def head(first: str, headers: dict[str, str]) -> bytes:
    """A head as it goes over the wire."""
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")


def chunk(piece: bytes) -> bytes:
    """A piece of a chunked body; the empty piece ends it."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)
