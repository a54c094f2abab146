"""The far end of a port-forward for tests: the head of an upgrade and WebSocket frames, by the letter of RFC 6455.

Written apart from any library, so that what is tested is not tested by itself.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SUBPROTOCOL = "v4.channel.k8s.io"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def switched(key: str, *, accepted: str | None = None, subprotocol: str = SUBPROTOCOL, more: str = "") -> bytes:
    """The head of an answer that switches to WebSocket."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Accept: {accept(key) if accepted is None else accepted}",
        *([f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []),
        *([more] if more else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload: bytes, opcode: int = BINARY, *, fin: bool = True, rsv: int = 0) -> bytes:
    """One frame of a server, which masks nothing."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload


def message(data: bytes, channel: int = 0) -> bytes:
    """A message on a channel."""
    return frame(bytes([channel]) + data)


def opened(port: int) -> bytes:
    """What a kubelet sends first: the port, on both channels."""
    number = struct.pack("<H", port)
    return message(number) + message(number, 1)


def closing(code: int = 1000, reason: str = "") -> bytes:
    return frame(struct.pack(">H", code) + reason.encode(), CLOSE)


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame of a client, which must be masked: opcode and payload."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack(">Q", await reader.readexactly(8))
    assert second & 0x80, "a client masks its frames"
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def read_data(reader: asyncio.StreamReader) -> bytes:
    """The next message of a client on the data channel."""
    opcode, payload = await read_frame(reader)
    assert (opcode, payload[:1]) == (BINARY, b"\0"), (opcode, payload)
    return payload[1:]
