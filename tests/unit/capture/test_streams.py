"""DNS over TCP, from segments to observations."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_craft import NOW, Handshake, answer, question, segment

from network_mapper.capture import streams
from network_mapper.capture.packets import PacketTracker
from network_mapper.capture.streams import Streams
from network_mapper.model import Drop, Tally

CLIENT, SERVER = ("10.0.1.5", 40000), ("10.96.0.10", 53)
NAME = "api.shop.svc.cluster.local."
KEY = b"stream"


def framed(message):
    wire = message.to_wire()
    return len(wire).to_bytes(2, "big") + wire


def ask(payload, *, seq=100, client=CLIENT, server=SERVER):
    return segment(*client, *server, seq=seq, flags="PA", payload=payload)


def tell(payload, *, seq=900, client=CLIENT, server=SERVER):
    return segment(*server, *client, seq=seq, flags="PA", payload=payload)


@pytest.fixture
def tracker():
    return PacketTracker()


@pytest.fixture
def asked():
    return framed(question(NAME))


@pytest.fixture
def told():
    return framed(answer(question(NAME), (NAME, "A", "10.96.7.7")))


def test_a_question_and_its_answer_over_tcp_are_a_lookup(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    (seen,) = tracker.drain(NOW)
    assert (seen.protocol, seen.client, seen.server) == ("tcp", CLIENT[0], "api.shop.svc.cluster.local")
    assert not tracker.tally


def test_the_same_over_ipv6(tracker, asked, told):
    ends = {"client": ("2001:db8::5", 40000), "server": ("2001:db8::a", 53)}
    tracker.feed(ask(asked, **ends), NOW, 4)
    tracker.feed(tell(told, **ends), NOW, -4)
    assert [seen.client for seen in tracker.drain(NOW)] == ["2001:db8::5"]


def test_segments_seen_at_several_taps_and_translated_count_once(tracker, asked, told):
    pod = ("10.0.2.9", 53)
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(ask(asked), NOW, 2)
    tracker.feed(ask(asked, server=pod), NOW, -9)
    tracker.feed(tell(told, server=pod), NOW, 9)
    tracker.feed(tell(told), NOW, 2)
    tracker.feed(tell(told), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]
    assert not tracker.tally


@given(st.lists(st.integers(1, 200), max_size=5), st.integers(0, 2**32 - 1), st.booleans())
def test_messages_split_anywhere_come_out_whole(cuts, start, repeated):
    tally = Tally()
    reader = Streams(tally)
    messages = [answer(question(NAME, ident=n), (NAME, "A", "10.0.0.1")).to_wire() for n in range(3)]
    data = b"".join(len(each).to_bytes(2, "big") + each for each in messages)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    found = []
    for begin, end in itertools.pairwise(edges):
        for _ in range(1 + repeated):
            found += reader.segment(KEY, (start + begin) % 2**32, data[begin:end], 0, NOW)
    assert found == messages
    assert not tally


def test_a_segment_that_overlaps_what_was_taken_gives_only_what_is_new():
    reader = Streams(Tally())
    data = framed(question(NAME))
    assert reader.segment(KEY, 100, data[:10], 0, NOW) == []
    assert reader.segment(KEY, 105, data[5:], 0, NOW) == [data[2:]]


def test_behind_a_gap_the_message_is_lost_and_the_next_one_is_kept(tracker, asked, told):
    tracker.feed(ask(asked[:10]), NOW, 4)
    tracker.feed(ask(asked, seq=300), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]
    assert tracker.tally == {Drop.DNS_STREAM_LOST: 1}


def test_a_segment_that_was_captured_in_part_is_lost(tracker, asked):
    tracker.feed(ask(asked)[:-4], NOW, 4)
    assert tracker.tally == {Drop.DNS_STREAM_LOST: 1}


def test_a_segment_that_was_captured_in_part_is_lost_once_however_many_taps_see_it(tracker, asked, told):
    for tap in (4, 2, -9):
        tracker.feed(ask(asked)[:-4], NOW, tap)
    tracker.feed(ask(asked, seq=100 + len(asked)), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    assert len(tracker.drain(NOW)) == 1
    assert tracker.tally == {Drop.DNS_STREAM_LOST: 1}


def test_after_a_part_was_lost_the_stream_goes_on(tracker, asked, told):
    tracker.feed(ask(asked)[:-4], NOW, 4)
    tracker.feed(ask(asked, seq=100 + len(asked)), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]


def test_a_length_that_no_message_has_is_lost(tracker):
    tracker.feed(ask(b"\x00\x03abc"), NOW, 4)
    assert tracker.tally == {Drop.DNS_STREAM_LOST: 1}


def test_a_message_that_is_no_dns_is_counted_and_the_next_segment_is_read(tracker, asked, told):
    tracker.feed(ask(b"\x00\x20" + b"\xff" * 32), NOW, 4)
    tracker.feed(ask(asked, seq=134), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]
    assert tracker.tally == {Drop.DNS_MALFORMED: 1}


def test_a_new_connection_on_the_same_ports_begins_a_new_stream(tracker, asked, told):
    tracker.feed(ask(asked[:10]), NOW, 4)
    tracker.feed(Handshake(CLIENT, SERVER, isn=7000).syn(), NOW, 4)
    tracker.feed(ask(asked, seq=7001), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    assert "lookups" in [seen.kind.value for seen in tracker.drain(NOW)]
    assert not tracker.tally


def test_a_stream_that_ends_inside_a_message_is_lost_when_it_is_old():
    tally = Tally()
    reader = Streams(tally)
    reader.segment(KEY, 0, b"\x01\x00abc", 0, NOW)
    reader.expire(NOW + 40_000)
    reader.expire(NOW + 80_000)
    assert tally == {Drop.DNS_STREAM_LOST: 1}
    assert reader._buffered == 0


def test_buffers_are_bounded_and_their_loss_is_counted(monkeypatch):
    monkeypatch.setattr(streams, "MAX_BUFFERED", 1000)
    tally = Tally()
    reader = Streams(tally)
    for number in range(20):
        reader.segment(b"%d" % number, 0, b"\xff\xff" + bytes(98), 0, NOW)
    assert reader._buffered == 1000
    assert tally == {Drop.DNS_STREAM_LOST: 10}


def test_streams_are_bounded():
    reader = Streams(Tally())
    for number in range(5 * streams.MAX_STREAMS):
        reader.segment(b"%d" % number, 0, b"\xff\xffabc", 0, NOW)
    held = {**reader._streams, **reader._streams_before}
    assert len(held) <= 2 * streams.MAX_STREAMS
    assert reader._buffered == sum(len(stream.pending) for stream in held.values())


def test_a_message_of_the_largest_size_comes_out_whole():
    reader = Streams(Tally())
    message = bytes(65535)
    data = b"\xff\xff" + message
    found = []
    for begin in range(0, len(data), 1400):
        found += reader.segment(KEY, begin, data[begin : begin + 1400], 0, NOW)
    assert found == [message]
