import io
import os
import struct
import threading

import pytest
from capture_writer import PcapNg, ethernet, pcap
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_craft import NOW, Handshake
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapWriter

from network_mapper.capture import pcapfile
from network_mapper.capture.linklayers import LinkError, strip_link
from network_mapper.capture.pcap_format import CaptureReader, DamagedError
from network_mapper.capture.pcapfile import CaptureFileError, FileSource
from network_mapper.model import Drop, Kind

CLIENT, SERVER = ("10.0.1.5", 40000), ("10.0.2.9", 8080)
SHAKE = Handshake(CLIENT, SERVER)
SYN, SYN_ACK = SHAKE.syn(), SHAKE.syn_ack()
SYN6 = Handshake(("2001:db8::5", 40000), ("2001:db8::9", 8080)).syn()


def sll(packet, direction=0):
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return struct.pack("!HHH8sH", direction, 1, 6, b"", kind) + packet


def sll2(packet, index, direction=0):
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return struct.pack("!HHIHBB8s", kind, 0, index, 1, direction, 6, b"") + packet


@pytest.fixture
def play(tmp_path):
    """Write bytes into a file and play it to its end; returns the observations and the source."""

    def run(data):
        path = tmp_path / "capture"
        path.write_bytes(data)
        source = FileSource(str(path))
        seen = []
        while not source.finished:
            source.read(0)
            seen += source.drain(0)
        seen += source.drain(0)
        source.close()
        return seen, source

    return run


def handshake_frames(wrap=ethernet):
    return [(NOW, wrap(SYN)), (NOW + 2, wrap(SYN_ACK))]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_a_pcap_file_is_read_in_every_byte_order_and_unit(play, order, nanoseconds):
    (seen,), source = play(pcap(handshake_frames(), order=order, nanoseconds=nanoseconds))
    assert (seen.kind, seen.client, seen.first, seen.tap) == (Kind.CONNECTIONS, CLIENT[0], NOW, 0)
    assert source.clock == NOW + 2
    assert (source.stats().seen, source.stats().passed, dict(source.stats().drops)) == (2, 1, {})


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_file_is_read_in_every_byte_order(play, order):
    file = PcapNg(order).section().interface()
    for when, frame in handshake_frames():
        file.packet(when * 1000, frame)
    (seen,), source = play(file.data)
    assert (seen.kind, seen.first, seen.tap) == (Kind.CONNECTIONS, NOW, 1)
    assert source.stats().seen == 2


def test_files_of_another_writer_are_read(tmp_path, play):
    for writer, name in ((PcapWriter, "a.pcap"), (PcapNgWriter, "a.pcapng")):
        path = str(tmp_path / name)
        with writer(path) as out:
            for when, frame in handshake_frames():
                packet = Ether(frame)
                packet.time = when / 1000
                out.write(packet)
        (seen,), _ = play((tmp_path / name).read_bytes())
        assert (seen.kind, abs(seen.first - NOW) <= 1) == (Kind.CONNECTIONS, True)


@pytest.mark.parametrize(
    ("resolution", "units"), [(3, 10**3), (6, 10**6), (9, 10**9), (0x80 | 10, 2**10), (0x80 | 20, 2**20)]
)
def test_the_resolution_of_times_is_the_interfaces(play, resolution, units):
    file = PcapNg().section().interface(resolution=resolution)
    file.packet((NOW // 1000) * units, ethernet(SYN))
    (seen,), _ = play(file.data)
    assert seen.first == NOW // 1000 * 1000


def test_the_offset_of_times_is_the_interfaces(play):
    file = PcapNg().section().interface(offset=NOW // 1000).packet(5000, ethernet(SYN))
    (seen,), _ = play(file.data)
    assert seen.first == NOW // 1000 * 1000 + 5


def test_a_time_that_cannot_be_is_that_of_the_packet_before(play):
    file = PcapNg().section().interface()
    file.packet(NOW * 1000, ethernet(SYN)).packet(2**63, ethernet(SYN_ACK))
    (seen,), source = play(file.data)
    assert (seen.kind, source.clock) == (Kind.CONNECTIONS, NOW)


def test_interfaces_and_sections_are_numbered_through_the_file(play):
    file = PcapNg().section().interface().interface(link=101)
    file.packet(NOW * 1000, ethernet(SYN), interface=0).packet(NOW * 1000, SYN, interface=1)
    other = Handshake(CLIENT, ("10.0.2.10", 80), isn=5, stamp=5).syn()
    file.section(">").interface(link=101).packet(NOW * 1000, other)
    seen, source = play(file.data)
    assert {(each.server, each.tap) for each in seen} == {(SERVER[0], 1), ("10.0.2.10", 3)}
    assert not source.stats().drops


def test_a_frame_marked_outbound_has_a_negative_tap(play):
    file = PcapNg().section().interface()
    file.packet(NOW * 1000, ethernet(SYN), flags=2)
    file.packet(NOW * 1000, ethernet(SYN6), flags=1)
    seen, _ = play(file.data)
    assert [each.tap for each in seen] == [-1, 1]


def test_a_simple_packet_has_the_time_before_it_and_the_first_interface(play):
    file = PcapNg().section().interface(snap=0).packet(NOW * 1000, ethernet(SYN)).simple(ethernet(SYN_ACK))
    (seen,), _ = play(file.data)
    assert (seen.kind, seen.first) == (Kind.CONNECTIONS, NOW)


def test_a_simple_packet_is_as_long_as_the_interface_keeps(play):
    file = PcapNg().section().interface(snap=74).simple(ethernet(SYN)[:74] + b"\0\0", original=1500)
    seen, source = play(file.data)
    assert len(seen) == 1
    assert not source.stats().drops


def test_unknown_blocks_are_skipped(play):
    file = PcapNg().section().block(0x0000000A, b"secrets").interface().block(5, bytes(40))
    file.packet(NOW * 1000, ethernet(SYN)).block(0x40000BAD, b"own")
    seen, source = play(file.data)
    assert len(seen) == 1
    assert not source.stats().drops


@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        pytest.param(1, ethernet, id="Ethernet"),
        pytest.param(1, lambda packet: ethernet(packet, [0x8100]), id="VLAN"),
        pytest.param(1, lambda packet: ethernet(packet, [0x88A8, 0x8100]), id="QinQ"),
        pytest.param(101, bytes, id="raw"),
        pytest.param(228, bytes, id="IPv4"),
        pytest.param(113, sll, id="Linux cooked"),
        pytest.param(276, lambda packet: sll2(packet, 7), id="Linux cooked 2"),
        pytest.param(0, lambda packet: b"\x02\0\0\0" + packet, id="null"),
        pytest.param(108, lambda packet: b"\0\0\0\x02" + packet, id="loop"),
    ],
)
def test_the_packet_is_found_behind_every_known_link_layer(play, link, wrap):
    (seen,), source = play(pcap(handshake_frames(wrap), link=link))
    assert (seen.kind, seen.client) == (Kind.CONNECTIONS, CLIENT[0])
    assert not source.stats().drops


@pytest.mark.parametrize(("link", "wrap"), [(1, ethernet), (101, bytes), (229, bytes), (113, sll)])
def test_ipv6_is_found_as_well(play, link, wrap):
    (seen,), _ = play(pcap([(NOW, wrap(SYN6))], link=link))
    assert seen.client == "2001:db8::5"


def test_linux_cooked_2_names_the_tap_and_its_direction(play):
    data = pcap([(NOW, sll2(SYN, 7)), (NOW, sll2(SYN, 9, 4)), (NOW, sll2(SYN6, 3, 4))], link=276)
    seen, _ = play(data)
    assert [(each.tap, each.count) for each in seen] == [(7, 1), (-3, 1)]


def test_a_frame_without_ip_is_no_loss(play):
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    seen, source = play(pcap([(NOW, arp), (NOW, ethernet(SYN))]))
    assert len(seen) == 1
    assert (source.stats().seen, dict(source.stats().drops)) == (2, {})


def test_a_frame_of_an_unknown_link_layer_is_counted_and_its_neighbours_are_kept(play):
    file = PcapNg().section().interface(link=105).interface()
    file.packet(NOW * 1000, ethernet(SYN)).packet(NOW * 1000, ethernet(SYN), interface=1)
    seen, source = play(file.data)
    assert len(seen) == 1
    assert source.stats().drops == {Drop.LINK_UNKNOWN: 1}


@pytest.mark.parametrize(
    ("link", "frame"),
    [(1, bytes(13)), (1, bytes(12) + b"\x81\x00\x00"), (113, bytes(15)), (276, bytes(19)), (0, bytes(3))],
)
def test_a_frame_shorter_than_its_link_layer_is_counted(play, link, frame):
    with pytest.raises(LinkError):
        strip_link(link, frame)
    _, source = play(pcap([(NOW, frame)], link=link))
    assert source.stats().drops == {Drop.PACKET_MALFORMED: 1}


PCAP = pcap(handshake_frames())
PCAP_EDGES = [len(pcap(handshake_frames()[:count])) for count in range(3)]
NG_PARTS = [
    PcapNg().section(),
    PcapNg().section().interface(),
    PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)),
    PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).packet(NOW * 1000, ethernet(SYN_ACK)),
]
NG = NG_PARTS[-1].data
NG_EDGES = [len(part.data) for part in NG_PARTS]


@pytest.mark.parametrize(("data", "edges"), [(PCAP, PCAP_EDGES), (NG, NG_EDGES)], ids=["pcap", "pcapng"])
def test_a_file_cut_anywhere_keeps_the_packets_before_the_cut(play, data, edges):
    for size in range(4, len(data) + 1):
        _, source = play(data[:size])
        assert source.stats().drops == ({} if size in edges else {Drop.FILE_DAMAGED: 1})
        assert source.stats().seen == sum(size >= edge for edge in edges[-2:])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(pcap([(NOW, ethernet(SYN))]) + struct.pack("<IIII", 1, 1, 2**30, 2**30), id="packet of 1 GiB"),
        pytest.param(pcap([(NOW, ethernet(SYN))]) + b"\xff" * 40, id="rubbish behind pcap"),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).data + b"\xff" * 40, id="rubbish"
        ),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).packet(1, b"x", interface=9).data,
            id="unknown interface",
        ),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).block(6, bytes(8)).data, id="short block"
        ),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).data
            + struct.pack("<II", 6, 16)
            + bytes(8),
            id="lengths that differ",
        ),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).block(0x0A0D0D0A, bytes(16)).data,
            id="section without byte order",
        ),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).section().simple(b"x").data,
            id="simple packet without interface",
        ),
        pytest.param(
            PcapNg().section().interface().packet(NOW * 1000, ethernet(SYN)).block(1, b"").data, id="short interface"
        ),
    ],
)
def test_a_damaged_file_is_counted_and_keeps_what_stands_before(play, damage):
    seen, source = play(damage)
    assert [each.count for each in seen] == [1]
    assert source.stats().drops == {Drop.FILE_DAMAGED: 1}


@settings(max_examples=200)
@given(st.sampled_from([PCAP, NG]), st.data())
def test_no_bytes_raise_anything_but_damage(data, draw):
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        changed[draw.draw(st.integers(4, len(changed) - 1))] = draw.draw(st.integers(0, 255))
    reader = CaptureReader(bytes(changed[:4]))
    records = []
    try:
        for offset in range(0, len(changed), 37):
            records += reader.feed(bytes(changed[offset : offset + 37]))
        reader.end()
    except DamagedError:
        pass
    assert len(records) <= len(changed) // 16  # a length that is damaged may cut one record into several


@given(st.sampled_from([PCAP, NG]), st.lists(st.integers(1, 80), min_size=1))
def test_pieces_of_any_size_give_the_same_packets(data, sizes):
    whole = list(CaptureReader(data[:4]).feed(data))
    reader, found, offset = CaptureReader(data[:4]), [], 0
    for size in [*sizes, len(data)]:
        found += reader.feed(data[offset : offset + size])
        offset += size
    reader.end()
    assert found == whole
    assert len(found) == 2


@pytest.mark.parametrize("content", [b"", b"\xd4", b"#!/bin/sh\n", b"\x1f\x8b\x08\x00" * 10, bytes(100)])
def test_what_is_no_capture_file_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(CaptureFileError, match=r"notes\.txt: not a capture file"):
        FileSource(str(path))


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        FileSource(str(tmp_path / "none.pcap"))


def test_a_file_larger_than_a_piece_is_read_in_bounded_pieces(play, monkeypatch):
    monkeypatch.setattr(pcapfile, "PIECE", 1000)
    shakes = [Handshake((CLIENT[0], 1024 + n), SERVER, isn=n, stamp=n) for n in range(200)]
    frames = [
        (NOW + n, ethernet(packet)) for n, shake in enumerate(shakes) for packet in (shake.syn(), shake.syn_ack())
    ]
    seen, source = play(pcap(frames))
    assert sum(each.count for each in seen) == 200
    assert source.stats().seen == 400


def test_silence_is_measured_by_the_time_of_the_packets(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(NOW, ethernet(SYN)), (NOW + 5000, ethernet(SYN6))]))
    source = FileSource(str(path))
    source.read(0)
    assert [(seen.kind, seen.first) for seen in source.drain(0)] == [(Kind.ATTEMPTS, NOW)]
    source.close()


def test_a_regular_file_never_makes_anybody_wait(play):
    _, source = play(PCAP)
    assert source.fileno() == -1


def test_standard_input_is_read_as_it_comes(monkeypatch):
    out, into = os.pipe()
    with open(out, "rb") as stdin:  # noqa: PTH123  a descriptor, no path
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stdin))
        os.write(into, PCAP[:100])
        source = FileSource("-")
        assert source.fileno() == out
        source.read(0)
        writer = threading.Thread(target=lambda: (os.write(into, PCAP[100:]), os.close(into)))
        writer.start()
        while not source.finished:
            source.read(0)
        writer.join()
        assert [seen.kind for seen in source.drain(0)] == [Kind.CONNECTIONS]
        source.close()
        assert not stdin.closed
