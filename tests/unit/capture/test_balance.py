"""Each packet has one fate, each message, each socket: whatever the traffic, seen = passed + held + dropped."""

from __future__ import annotations

import functools
import random

import pytest
from balance import assert_balance, imbalances
from capture_writer import pcap
from hypothesis import given
from hypothesis import strategies as st
from packet_craft import NOW, Handshake, answer, datagram, question, segment

from network_mapper.capture.packets import PacketTracker
from network_mapper.capture.pcapfile import FileSource
from network_mapper.model import Drop

CLIENTS = ["10.0.1.5", "10.0.1.6", "2001:db8::5"]
SERVERS = ["10.96.0.7", "10.0.2.9", "2001:db8::9"]
DNS = "10.96.0.10"


@functools.cache
def made(kind: str, port: int, number: int, stamp: int | None, answered: str) -> list[bytes]:
    """The packets of one event. Crafting them takes longer than taking them in, so each is crafted once."""
    family = port % 3
    client, server = CLIENTS[family], SERVERS[family]
    shake = Handshake((client, port), (server, 53 if number % 2 else 80), isn=number % 4, stamp=stamp)
    asked = question("a." if number % 2 else "b.shop.", ident=number % 4)
    told = answer(asked, *([("a.", "A", "10.0.0.1")] if answered == "A" else []), rcode=RCODES.get(answered, "NOERROR"))
    wire = told.to_wire()
    framed = len(wire).to_bytes(2, "big") + wire
    cut = number * 7 % len(framed)
    source, to = (DNS, 53), (CLIENTS[0], port)
    match kind:
        case "connection":
            return [shake.syn(), shake.syn_ack()]
        case "syn with data":
            return [shake.syn(payload=b"x" * 9)]
        case "syn" | "syn_ack" | "rst":
            return [getattr(shake, kind)()]
        case "asked":
            return [datagram(*to, *source, asked)]
        case "told":
            return [datagram(*source, *to, told)]
        case "exchange":
            return [datagram(*to, *source, asked), datagram(*source, *to, told)]
        case "wrong way":
            return [datagram(*source, *to, asked), datagram(*to, *source, told)]
        case "over TCP":
            parts = (100, framed[:cut]), (100 + cut, framed[cut:])
            return [segment(*source, *to, flags="PA", seq=seq, payload=part) for seq, part in parts]
        case "garbage over TCP":
            return [segment(*source, *to, flags="PA", seq=number, payload=bytes(range(number, number + 40)))]
        case "cut":
            return [shake.syn()[: number * 5]]
    return [segment(client, 1, server, 2, flags="PA", payload=b"hello" * 20)]


RCODES = {"NXDOMAIN": "NXDOMAIN", "SERVFAIL": "SERVFAIL"}
KINDS = ["connection", "syn with data", "syn", "syn_ack", "rst", "asked", "told", "exchange", "wrong way", "over TCP"]
KINDS += ["garbage over TCP", "cut", "other"]

events = st.tuples(
    st.sampled_from(KINDS),
    st.integers(40_000, 40_003),
    st.integers(0, 7),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["A", "", *RCODES]),
    st.sampled_from([0, 1, 300, 1100, 2500, 4500, 31_000, 70_000, -3000]),
    st.sampled_from([[4], [4, -9], [0, 0], [4, 2, -9], [-9]]),
)
"""What, its port, number, timestamp, answer, how long after the last one, and the taps that it passes."""


def packets(drawn: list[tuple]) -> list[tuple[bytes, int, int]]:
    """Handshakes, lookups over UDP and TCP, and rubbish, at several taps, cut, repeated and out of order."""
    when, found = NOW, []
    for *what, later, taps in drawn:
        when += later
        found += [(packet, when, tap) for packet in made(*what) for tap in taps]
    return found


@given(st.lists(events, min_size=1, max_size=25).map(packets), st.sampled_from([3, 8, 65_536]), st.integers(1, 9))
def test_every_packet_message_and_observation_has_one_fate(traffic, room, often):
    tracker = PacketTracker(connections=room, questions=room, pairs=room)
    handed_over = 0
    for number, (packet, when, tap) in enumerate(traffic, 1):
        tracker.feed(packet, when, tap)
        if number % often == 0:
            handed_over += sum(seen.count for seen in tracker.drain(when))
        assert_balance(tracker, number)
    end = traffic[-1][1]
    handed_over += sum(seen.count for seen in tracker.flush(end))
    assert_balance(tracker, len(traffic))
    stats = tracker.stats(len(traffic))
    held = {hop.unit: hop.held for hop in stats.hops}
    assert (held["packets"], held["observations"]) == (0, 0)
    assert stats.passed == handed_over
    for generation in range(1, 4):
        tracker.drain(end + 60_000 * generation)
    assert_balance(tracker, len(traffic))
    assert {hop.held for hop in tracker.stats(len(traffic)).hops} == {0}


def test_the_fates_of_a_connection_at_four_taps():
    tracker = PacketTracker()
    shake = Handshake(("10.0.1.5", 40000), ("10.0.2.9", 80))
    for tap in (4, 2, -2, -9):
        tracker.feed(shake.syn(), NOW, tap)
    assert tracker.stats(4).hops[0].held == 1
    for tap in (9, 2, -2, -4):
        tracker.feed(shake.syn_ack(), NOW, tap)
    stats = tracker.stats(8)
    assert stats.hops[0][2:] == (8, 2, 0)
    assert stats.drops == {Drop.PACKET_COPY: 3, Drop.ANSWER_REPEATED: 3}


def test_the_fates_of_a_client_that_knocks_in_vain():
    tracker = PacketTracker()
    shake = Handshake(("10.0.1.5", 40000), ("10.0.2.9", 80))
    for delay in (0, 1000, 3000, 7000):
        tracker.feed(shake.syn(stamp=7 + delay), NOW + delay, 4)
        tracker.feed(shake.syn(stamp=7 + delay), NOW + delay, -9)
    tracker.drain(NOW + 20_000)
    stats = tracker.stats(8)
    assert stats.hops[0][2:] == (8, 1, 0)
    assert stats.drops == {Drop.SYN_REPEATED: 3, Drop.PACKET_COPY: 4}


def test_an_answer_to_a_syn_that_nobody_saw_is_counted():
    tracker = PacketTracker()
    shake = Handshake(("10.0.1.5", 40000), ("10.0.2.9", 80))
    tracker.feed(shake.syn_ack(), NOW, 4)
    tracker.feed(shake.rst(), NOW, 4)
    assert tracker.stats(2).drops == {Drop.ANSWER_UNASKED: 2}


def test_the_fates_of_a_lookup_at_three_taps():
    tracker = PacketTracker()
    asked = question("a.")
    told = answer(asked, ("a.", "A", "10.0.0.1"))
    for tap in (4, 2, -9):
        tracker.feed(datagram("10.0.1.5", 40000, DNS, 53, asked), NOW, tap)
    for tap in (9, -2, -4):
        tracker.feed(datagram(DNS, 53, "10.0.1.5", 40000, told), NOW + 1, tap)
    stats = tracker.stats(6)
    assert {hop.unit: hop[2:] for hop in stats.hops} == {
        "packets": (6, 6, 0),
        "messages": (6, 2, 0),
        "observations": (1, 0, 1),
    }
    assert stats.drops == {Drop.DNS_COPY: 4}


def test_copies_and_repetitions_are_no_loss():
    reasons = (Drop.PACKET_COPY, Drop.SYN_REPEATED, Drop.ANSWER_REPEATED, Drop.DNS_COPY, Drop.PACKET_IRRELEVANT)
    assert not any(reason.is_loss for reason in reasons)


@pytest.mark.parametrize("damaged", [False, True])
def test_every_packet_of_a_file_has_one_fate(tmp_path, damaged):
    chance = random.Random(7)
    records = []
    for number in range(200):
        shake = Handshake((f"10.0.1.{chance.randrange(5)}", 40_000 + number), ("10.0.2.9", 80), isn=number)
        records += [(NOW + number, chance.choice([shake.syn, shake.syn_ack])()) for _ in range(chance.randrange(1, 3))]
    raw = pcap(records, link=101)
    path = tmp_path / "a.pcap"
    path.write_bytes(raw[:-9] if damaged else raw)
    source = FileSource(str(path))
    total = 0
    while not source.finished:
        source.read(0)
        total += sum(seen.count for seen in source.drain(0))
        stats = source.stats()
        assert imbalances(stats.hops, stats.drops) == []
    total += sum(seen.count for seen in source.flush(0))
    stats = source.stats()
    source.close()
    assert imbalances(stats.hops, stats.drops) == []
    assert (stats.seen, stats.passed) == (len(records) - damaged, total)
    assert stats.drops.get(Drop.FILE_DAMAGED, 0) == damaged
