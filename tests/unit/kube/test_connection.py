"""The protocol fed by hand: any bytes, cut anywhere, and connections that end at any moment."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from network_mapper.kube.connection import Connection
from network_mapper.kube.errors import UnreachableError


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.aborted = False

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True

    def write(self, data):
        pass

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def fed(*pieces):
    """What a connection makes of these pieces and an end after them: status and body, or words."""

    async def main():
        connection = Connection("https://api")
        connection.connection_made(Transport())
        connection.start(b"GET / HTTP/1.1\r\n\r\n")
        for piece in pieces:
            connection.data_received(piece)
        connection.connection_lost(None)
        try:
            await connection.wait_head(1)
            body = b""
            while taken := await connection.take(1):
                body += b"".join(taken)
        except UnreachableError as error:
            return str(error)
        return connection.status, body

    return asyncio.run(main())


def one_line(text):
    return isinstance(text, str) and text.startswith("https://api: ") and text.isprintable()


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
    (b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\nT: 1\r\n\r\n", (404, b"hi")),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx", (200, b"hi")),
]


def test_how_an_answer_was_cut_changes_nothing():
    for answer, wanted in ANSWERS:
        for at in range(1, len(answer)):
            assert fed(answer[:at], answer[at:]) == wanted


def test_an_answer_that_ends_too_early_is_none():
    for answer, _ in ANSWERS[:3]:
        for at in range(len(answer)):
            assert one_line(fed(answer[:at]))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_give_an_answer_or_one_line(pieces):
    found = fed(b"HTTP/1.1 200 OK\r\n", *pieces)
    assert isinstance(found, tuple) or one_line(found)


@given(st.sampled_from(ANSWERS), st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_a_damaged_answer_gives_an_answer_or_one_line(answer, at, damage):
    text = answer[0]
    at %= len(text)
    found = fed(text[:at] + damage + text[at + len(damage) :])
    assert isinstance(found, tuple) or one_line(found)
