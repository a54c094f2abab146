from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.capture.links import RTM_DELLINK, RTM_NEWLINK, LinkEvents, names_a_link


def message(kind: int, payload: bytes = b"") -> bytes:
    body = struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload
    return body + bytes(-len(body) % 4)


@pytest.mark.parametrize("kind", [RTM_NEWLINK, RTM_DELLINK])
def test_a_link_that_came_or_went_is_recognised(kind):
    assert names_a_link(message(kind))


def test_an_address_that_changed_is_no_link():
    assert not names_a_link(message(20))


def test_a_link_behind_another_message_is_recognised():
    assert names_a_link(message(20, b"abcde") + message(RTM_NEWLINK))


@given(st.binary(max_size=100))
def test_any_bytes_are_survived(datagram):
    names_a_link(datagram)


class Deaf:
    """A socket that has lost events, then has none."""

    def __init__(self) -> None:
        self.answers: list[OSError] = [OSError(errno.ENOBUFS, "overflow"), BlockingIOError()]

    def recv(self, _size: int) -> bytes:
        raise self.answers.pop(0)


def test_lost_events_count_as_an_event():
    events = LinkEvents.__new__(LinkEvents)
    events._socket = Deaf()
    assert events.happened()
