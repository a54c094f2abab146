"""A TCP connection into a pod, through the API server: what `kubectl port-forward` does, over a WebSocket.

It needs `get` and `create` on `pods/portforward` and nothing in the cluster that listens for us: the kubelet dials the
port inside the pod, so a server that listens on the pod's loopback is reached too. Each message begins with a byte that
names a channel, 0 for data and 1 for the kubelet's error; what comes first on each is the port, two bytes, little end
first. The frames themselves are taken apart and made by `websockets`, without its input and output.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
from typing import TYPE_CHECKING

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from network_mapper.kube.errors import ApiError, RefusedError, UnreachableError, one_line

if TYPE_CHECKING:
    from network_mapper.kube.client import ApiClient
    from network_mapper.kube.connection import Connection

SUBPROTOCOL = "v4.channel.k8s.io"
LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes; kubelets send 32 KiB at once."""

_SILENT = logging.Logger("frames", logging.CRITICAL + 1)  # noqa: LOG001  its errors are raised here, and no log shall have them too
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_DATA, _ERROR = 0, 1
_PORT_BYTES = 2
_SLICE = 64 * 1024
_LONGEST_ERROR = 4096
_NORMAL = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD})


class ForwardError(ApiError):
    """A forward that was open failed: the pod refused the connection, or something broke on the way."""


async def open_forward(client: ApiClient, namespace: str, pod: str, port: int) -> Forward:
    """Open a connection to a port of a pod. Whether the pod takes it is known when something is read.

    Raises:
        RefusedError: The API does not allow it, or does not switch to the protocol.
        UnreachableError: There is no answer of the API.
        CredentialsError: What proves who we are cannot be had.
    """
    key = base64.b64encode(os.urandom(16))
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Protocol": SUBPROTOCOL,
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    connection = await client.upgrade(path, {"ports": str(port)}, headers)
    wanted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    answered = connection.headers
    problem = ""
    if answered.get("sec-websocket-accept") != wanted:
        problem = "the answer to the upgrade is no WebSocket's"
    elif answered.get("sec-websocket-protocol") != SUBPROTOCOL:
        problem = f"the server speaks {one_line(answered.get('sec-websocket-protocol') or 'another protocol')}"
    elif answered.get("sec-websocket-extensions"):
        problem = "the server uses extensions that were not asked for"
    if problem:
        connection.abort()
        raise RefusedError(f"{problem}, expected {SUBPROTOCOL}", 101)
    return Forward(connection, f"{namespace}/{pod}", port)


class Forward:
    """One connection into a pod. Made by `open_forward`; belongs to its client's event loop.

    Args:
        connection: Switched to WebSocket.
        pod: Namespace and name, for messages.
        port: Port of the pod.
    """

    def __init__(self, connection: Connection, pod: str, port: int) -> None:
        self._connection = connection
        self._pod = pod
        self._port = port
        self._frames = Protocol(Side.CLIENT, state=State.OPEN, max_size=LARGEST_MESSAGE, logger=_SILENT)
        self._channel: int | None = None
        self._preamble = (bytearray(), bytearray())
        self._data: list[bytes] = []
        self._said = bytearray()
        self._failure = ""
        self._ended = False

    def send(self, data: bytes) -> None:
        """Send bytes to the pod. What comes after the end is dropped: `receive` tells how it ended."""
        for start in range(0, len(data), _SLICE):
            if self._frames.state is State.OPEN:
                self._frames.send_binary(bytes([_DATA]) + data[start : start + _SLICE])
        self._flush()

    async def receive(self, silence: float) -> bytes:
        """What the pod sent since the last call, at least a byte; nothing when the pod has closed the connection.

        Raises:
            ForwardError: The kubelet told of an error, the forward broke, or nothing came for `silence` seconds.
        """
        while not self._data:
            if self._failure:
                raise self._error(self._failure)
            if self._ended:
                return b""
            try:
                pieces = await self._connection.take(silence)
            except UnreachableError as error:
                raise self._error(str(error)) from None
            self._feed(pieces)
        data = b"".join(self._data)
        self._data.clear()
        return data

    def close(self) -> None:
        """End the forward at once."""
        self._ended = True
        if self._frames.state is State.OPEN:
            self._frames.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        self._connection.abort()

    def _error(self, words: str) -> ForwardError:
        if self._said:  # the kubelet's own words: it cannot reach the port
            return ForwardError(f"port {self._port} of pod {self._pod} refused the connection: {words}")
        return ForwardError(f"the port-forward to port {self._port} of pod {self._pod} failed: {words}")

    def _feed(self, pieces: list[bytes]) -> None:
        if pieces:
            self._frames.receive_data(b"".join(pieces))
        else:
            if self._frames.close_rcvd is None and not self._failure:
                self._failure = self._told() or "the connection ended without a word"
            self._frames.receive_eof()
            self._ended = True
        for event in self._frames.events_received():
            assert isinstance(event, Frame)
            self._take(event)
        broken = self._frames.parser_exc
        if broken is not None and not isinstance(broken, EOFError) and not self._failure:
            self._failure = f"what came breaks the rules of WebSocket ({one_line(str(broken))})"
        if not self._ended:
            self._flush()  # pongs, and the answer to a close

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._ended = True
            close = self._frames.close_rcvd
            if self._said:
                self._failure = self._failure or self._told()
            elif close is not None and close.code not in _NORMAL and not self._failure:
                reason = one_line(close.reason)
                self._failure = f"it was closed with code {int(close.code)}{': ' + reason if reason else ''}"
            return
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            return
        data = bytes(frame.data)
        if frame.opcode is not Opcode.CONT:
            self._channel = None
        if self._channel is None and data:
            self._channel, data = data[0], data[1:]
        self._deliver(data)
        if frame.fin and self._channel == _ERROR and self._said:
            self._failure = self._failure or self._told()

    def _deliver(self, data: bytes) -> None:
        if self._channel not in (_DATA, _ERROR):
            if data and not self._failure:
                self._failure = f"a message came on channel {self._channel}, which nobody opened"
            return
        preamble = self._preamble[self._channel]
        missing = _PORT_BYTES - len(preamble)
        if missing and data:
            preamble += data[:missing]
            data = data[missing:]
            if len(preamble) == _PORT_BYTES and int.from_bytes(preamble, "little") != self._port:
                self._failure = self._failure or f"the kubelet opened port {int.from_bytes(preamble, 'little')}"
        if not data:
            return
        if self._channel == _DATA:
            self._data.append(data)
        elif len(self._said) < _LONGEST_ERROR:
            self._said += data

    def _told(self) -> str:
        return one_line(self._said.decode("utf-8", "replace"))

    def _flush(self) -> None:
        with contextlib.suppress(UnreachableError):  # reading tells of it
            for data in self._frames.data_to_send():
                if data:  # nothing stands for the end, which is `close`'s
                    self._connection.send(data)
