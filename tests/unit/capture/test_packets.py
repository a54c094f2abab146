"""The header walk, the short way against the general one, and folding."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_craft import NOW, Handshake, answer, datagram, ip, question, segment
from scapy.layers.inet import IP, UDP, IPOption
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.packet import Raw, raw

from network_mapper.capture.headers import HeaderError, find_transport, tcp_timestamps
from network_mapper.capture.packets import PacketTracker
from network_mapper.capture.pairs import ConnectionKey, Pairs
from network_mapper.model import Drop, Kind, Tally

CLIENT, SERVER = ("10.0.1.5", 40000), ("10.0.2.9", 8080)
CLIENT6, SERVER6 = ("2001:db8::5", 40000), ("2001:db8::9", 8080)
NAME = "api.shop.svc.cluster.local."

V6 = IPv6(src=CLIENT6[0], dst=SERVER6[0])
AUTHENTICATION = bytes([6, 4, 0, 0]) + bytes(20)
"""An authentication header (RFC 4302) of 24 bytes, TCP behind it."""


def authenticated(packet):
    """Put an authentication header between the IPv6 header and what follows."""
    size = (len(packet) - 40 + len(AUTHENTICATION)).to_bytes(2, "big")
    return packet[:4] + size + bytes([51]) + packet[7:40] + AUTHENTICATION + packet[40:]


HEADERS = {
    "IPv4 with options": (ip(CLIENT[0], SERVER[0], options=[IPOption(b"\x94\x04\x00\x00")]), CLIENT, SERVER),
    "first fragment": (ip(CLIENT[0], SERVER[0], flags="MF"), CLIENT, SERVER),
    "hop by hop": (V6 / IPv6ExtHdrHopByHop(), CLIENT6, SERVER6),
    "routing": (V6 / IPv6ExtHdrRouting(addresses=["2001:db8::1"]), CLIENT6, SERVER6),
    "destination options": (V6 / IPv6ExtHdrDestOpt(), CLIENT6, SERVER6),
    "first IPv6 fragment": (V6 / IPv6ExtHdrFragment(m=1), CLIENT6, SERVER6),
    "four of them": (
        V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / IPv6ExtHdrFragment(),
        CLIENT6,
        SERVER6,
    ),
}


@pytest.fixture
def tracker():
    return PacketTracker()


@pytest.mark.parametrize("name", HEADERS)
def test_a_syn_counts_behind_any_headers(tracker, name):
    headers, client, server = HEADERS[name]
    shake = Handshake(client, server)
    tracker.feed(shake.syn(headers=headers), NOW, 4)
    tracker.feed(shake.syn(), NOW, -9)
    tracker.feed(shake.syn_ack(), NOW, 9)
    (seen,) = tracker.flush(NOW)
    assert (seen.kind, seen.count, seen.client, seen.server, seen.port) == (Kind.CONNECTIONS, 1, client[0], *server)
    assert not tracker.tally


def test_a_syn_counts_behind_an_authentication_header(tracker):
    tracker.feed(authenticated(Handshake(CLIENT6, SERVER6).syn()), NOW, 4)
    assert [(seen.client, seen.port) for seen in tracker.flush(NOW)] == [(CLIENT6[0], 8080)]


@pytest.mark.parametrize("name", HEADERS)
def test_a_lookup_counts_behind_any_headers(tracker, name):
    headers, client, server = HEADERS[name]
    asked = question(NAME)
    tracker.feed(datagram(client[0], 40000, server[0], 53, asked, headers=headers), NOW, 4)
    tracker.feed(datagram(server[0], 53, client[0], 40000, answer(asked, (NAME, "A", "10.0.0.1"))), NOW, -4)
    assert [seen.client for seen in tracker.flush(NOW)] == [client[0]]


@pytest.mark.parametrize(
    "headers", [ip(CLIENT[0], SERVER[0], frag=10), V6 / IPv6ExtHdrFragment(offset=10)], ids=["IPv4", "IPv6"]
)
def test_a_later_fragment_is_no_packet_of_ours(tracker, headers):
    ends = (CLIENT6, SERVER6) if isinstance(headers, IPv6) else (CLIENT, SERVER)
    tracker.feed(Handshake(*ends).syn(headers=headers), NOW, 4)
    assert tracker.flush(NOW) == []
    assert not tracker.tally


def test_padding_behind_the_packet_does_not_matter(tracker):
    asked = question("a.")
    shake = Handshake(CLIENT, SERVER)
    for packet in (
        shake.syn(),
        shake.syn_ack(),
        datagram(*CLIENT, SERVER[0], 53, asked),
        datagram(SERVER[0], 53, *CLIENT, answer(asked, ("a.", "A", "10.0.0.1"))),
    ):
        tracker.feed(packet + b"\xff" * 20, NOW, 4)
    assert sorted(seen.kind.value for seen in tracker.drain(NOW)) == ["connections", "lookups"]
    assert not tracker.tally


def test_a_mapped_address_is_folded_into_ipv4(tracker):
    tracker.feed(Handshake(("::ffff:10.0.1.5", 40000), ("::ffff:10.0.2.9", 80)).syn(), NOW, 4)
    assert [(seen.client, seen.server) for seen in tracker.flush(NOW)] == [("10.0.1.5", "10.0.2.9")]


def test_a_memoryview_is_taken_as_well(tracker):
    tracker.feed(memoryview(Handshake(CLIENT, SERVER).syn()), NOW, 4)
    assert len(tracker.flush(NOW)) == 1


@pytest.mark.parametrize(
    "packet",
    [
        segment(*CLIENT, *SERVER, flags="PA", payload=b"hello" * 20),
        segment(*CLIENT, *SERVER, flags="R", seq=9),
        raw(ip(CLIENT[0], SERVER[0]) / UDP(sport=1, dport=123) / Raw(bytes(48))),
        raw(ip(CLIENT6[0], SERVER6[0]) / UDP(sport=1, dport=123) / Raw(bytes(48))),
        raw(ip(CLIENT[0], SERVER[0], proto=1) / Raw(bytes(60))),
        raw(ip(CLIENT[0], SERVER[0], proto=132) / Raw(bytes(8))),
        raw(IPv6(src=CLIENT6[0], dst=SERVER6[0], nh=58) / Raw(bytes(60))),
    ],
)
def test_what_opens_or_asks_nothing_makes_nothing_and_is_no_loss(tracker, packet):
    tracker.feed(packet, NOW, 4)
    assert tracker.flush(NOW) == []
    assert not tracker.tally
    assert tracker.seen == 1


SYN = Handshake(CLIENT, SERVER).syn()
SYN6 = Handshake(CLIENT6, SERVER6).syn()


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00" * 60, id="version 0"),
        pytest.param(SYN[:19], id="IPv4 header cut"),
        pytest.param(b"\x44" + SYN[1:], id="IPv4 header of 16 bytes"),
        pytest.param(SYN[:2] + b"\x00\x10" + SYN[4:], id="IPv4 length shorter than its header"),
        pytest.param(SYN[:30], id="TCP header cut"),
        pytest.param(SYN[:50], id="TCP options cut"),
        pytest.param(SYN[:32] + b"\x40" + SYN[33:], id="TCP header of 16 bytes"),
        pytest.param(SYN[:32] + b"\xf0" + SYN[33:], id="TCP header longer than the packet"),
        pytest.param(SYN6[:39], id="IPv6 header cut"),
        pytest.param(raw(V6 / IPv6ExtHdrHopByHop())[:44], id="extension header cut"),
        pytest.param(raw(IPv6(nh=0) / Raw(b"\x3c\xff" + bytes(6))), id="extension header longer than the packet"),
        pytest.param(raw(IPv6(nh=0) / Raw((b"\x00\x00" + bytes(6)) * 9)), id="nine extension headers"),
        pytest.param(raw(ip(CLIENT[0], SERVER[0]) / UDP(sport=1, dport=53, len=7) / Raw(bytes(60))), id="UDP length 7"),
        pytest.param(raw(ip(CLIENT[0], SERVER[0], proto=17) / Raw(bytes(7))), id="UDP header cut"),
    ],
)
def test_broken_headers_are_counted_and_the_next_packet_is_kept(tracker, packet):
    tracker.feed(packet, NOW, 4)
    tracker.feed(SYN, NOW, 4)
    assert len(tracker.flush(NOW)) == 1
    assert tracker.tally == {Drop.PACKET_MALFORMED: 1}


@given(st.data())
def test_no_bytes_raise(data):
    tracker = PacketTracker()
    asked = question(NAME)
    originals = [
        SYN,
        SYN6,
        Handshake(CLIENT, SERVER).syn_ack(),
        Handshake(CLIENT6, SERVER6).rst(),
        datagram(*CLIENT, SERVER[0], 53, asked),
        datagram(SERVER6[0], 53, *CLIENT6, answer(asked, (NAME, "A", "10.0.0.1"))),
        segment(*CLIENT, SERVER[0], 53, flags="PA", payload=b"\x00\x20" + bytes(32)),
        authenticated(SYN6),
    ]
    for _ in range(5):
        packet = bytearray(data.draw(st.one_of(st.sampled_from(originals), st.binary(max_size=100))))
        for _ in range(data.draw(st.integers(0, 5)) if packet else 0):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        tracker.feed(bytes(packet[: data.draw(st.integers(0, len(packet)))]), NOW, data.draw(st.integers(-3, 3)))
    tracker.flush(NOW)
    assert tracker.seen == 5


@given(st.data())
def test_the_short_way_and_the_general_way_agree(data):
    """A packet with an IP option goes the general way; otherwise the two are the same."""
    short, general = PacketTracker(), PacketTracker()
    option = [IPOption(b"\x94\x04\x00\x00")]
    for number in range(data.draw(st.integers(1, 5))):
        shake = Handshake((CLIENT[0], 40000 + number), SERVER, isn=number, stamp=number)
        outcome = data.draw(st.sampled_from(["syn_ack", "rst", ""]))
        asked = question(NAME, ident=number)
        told = answer(asked, (NAME, "A", "10.0.0.1"))
        packets = [shake.syn(), shake.syn()] + ([getattr(shake, outcome)()] * 2 if outcome else [])
        packets += [datagram(*CLIENT, SERVER[0], 53, asked), datagram(SERVER[0], 53, *CLIENT, told)]
        for packet in packets:
            tap = data.draw(st.sampled_from([0, 4, -9]))
            parsed = IP(packet)
            parsed.options = option
            del parsed.ihl, parsed.len, parsed.chksum
            short.feed(packet, NOW, tap)
            general.feed(raw(parsed), NOW, tap)
    assert short.flush(NOW) == general.flush(NOW)
    assert short.tally == general.tally


def test_timestamps_are_found_among_other_options():
    assert tcp_timestamps(b"\x01\x01\x08\x0a" + b"ABCDEFGH") == b"ABCDEFGH"
    assert tcp_timestamps(b"\x02\x04\x05\xb4\x08\x0a" + b"ABCDEFGH" + b"\x00\x00") == b"ABCDEFGH"


@pytest.mark.parametrize(
    "options", [b"", b"\x08", b"\x08\x0aABC", b"\x02\x00\x08\x0aABCDEFGH", b"\x00\x08\x0aABCDEFGH"]
)
def test_options_that_end_early_hold_no_timestamps(options):
    assert tcp_timestamps(options) == b""


def test_the_place_of_the_transport_header_is_found_or_refused():
    transport = find_transport(SYN)
    assert (transport.protocol, transport.start, transport.end) == (6, 20, 60)
    with pytest.raises(HeaderError):
        find_transport(b"\x50" * 40)


def connection(number=0, kind=Kind.CONNECTIONS):
    return ConnectionKey(kind, bytes([10, 0, 0, 1, 10, 0, number // 256, number % 256]), b"\x00\x50", 4, b"")


def test_events_less_than_a_second_apart_are_one_span():
    pairs = Pairs(Tally(), 10)
    for when in (NOW, NOW + 1000, NOW + 500, NOW + 2000, NOW - 900):
        pairs.add(connection(), when)
    (seen,) = pairs.drain()
    assert (seen.count, seen.first, seen.last) == (5, NOW - 900, NOW + 2000)


def test_a_second_of_silence_ends_a_span():
    pairs = Pairs(Tally(), 10)
    for when in (NOW, NOW + 1001, NOW + 1500):
        pairs.add(connection(), when)
    assert [(seen.count, seen.first, seen.last) for seen in pairs.drain()] == [
        (1, NOW, NOW),
        (2, NOW + 1001, NOW + 1500),
    ]


def test_pairs_beyond_the_bound_are_counted_and_known_ones_go_on():
    tally = Tally()
    pairs = Pairs(tally, 3)
    for number in (0, 1, 2, 3, 0, 4):
        pairs.add(connection(number), NOW)
    assert [seen.count for seen in pairs.drain()] == [2, 1, 1]
    assert tally == {Drop.PAIRS_FULL: 2}
    pairs.add(connection(5), NOW)
    assert len(pairs.drain()) == 1
    assert pairs.passed == 5


def test_spans_of_one_pair_are_bounded_too():
    tally = Tally()
    pairs = Pairs(tally, 3)
    for second in range(10):
        pairs.add(connection(), NOW + 2000 * second)
    assert len(pairs.drain()) == 3
    assert tally == {Drop.PAIRS_FULL: 7}


def test_attempts_and_connections_are_never_added_up():
    pairs = Pairs(Tally(), 10)
    for kind in (Kind.CONNECTIONS, Kind.ATTEMPTS):
        pairs.add(connection(kind=kind), NOW)
    assert sorted(seen.kind for seen in pairs.drain()) == ["attempts", "connections"]


def test_what_was_passed_is_what_was_drained(tracker):
    for number in range(7):
        shake = Handshake((CLIENT[0], 40000 + number), SERVER, isn=number, stamp=number)
        tracker.feed(shake.syn(), NOW, 4)
        tracker.feed(shake.syn_ack(), NOW, -4)
    assert tracker.passed == 0
    tracker.drain(NOW)
    tracker.drain(NOW)
    assert tracker.passed == 7


def test_capture_files_and_packets_need_nothing_of_linux():
    code = (
        "import socket, sys\n"
        "for name in dir(socket):\n"
        "    if name.startswith(('AF_PACKET', 'PACKET_', 'AF_NETLINK', 'NETLINK')): delattr(socket, name)\n"
        "sys.platform = 'darwin'\n"
        "import network_mapper.capture.pcapfile, network_mapper.capture.ring as ring\n"
        "try: ring.RingSource()\n"
        "except OSError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "only be watched on Linux" in done.stdout
