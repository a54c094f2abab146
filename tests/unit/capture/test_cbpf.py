"""The kernel's filter, run by an interpreter and compared with a predicate in plain Python."""

import bpf_machine
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_craft import Handshake, datagram, ip, question, segment
from scapy.layers.inet import UDP, IPOption
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.packet import Raw, raw

from network_mapper.capture.cbpf import (
    EXTENSIONS,
    INSTRUCTION,
    KEEP_ALL,
    KEEP_EXTENDED,
    KEEP_HANDSHAKE,
    Assembler,
    capture_filter,
)

PROGRAM = capture_filter()
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
MAX_PROGRAM = 4096
"""BPF_MAXINSNS of the kernel."""

ENDS = {"IPv4": (("10.0.1.5", 40000), ("10.0.2.9", 8080)), "IPv6": (("2001:db8::5", 40000), ("2001:db8::9", 8080))}
FAMILIES = pytest.mark.parametrize("family", ENDS)
V6 = IPv6(src="2001:db8::5", dst="2001:db8::9")
EXTENDED = [
    V6 / IPv6ExtHdrHopByHop(),
    V6 / IPv6ExtHdrRouting(addresses=["2001:db8::1"]),
    V6 / IPv6ExtHdrDestOpt(),
    V6 / IPv6ExtHdrFragment(m=1),
    V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / IPv6ExtHdrFragment(),
]


def kept(packet):
    return bpf_machine.run(PROGRAM, packet, IPV6 if packet[0] >> 4 == 6 else IPV4)


def port(packet, offset):
    return packet[offset] << 8 | packet[offset + 1]


def wanted(packet, protocol):
    """What the filter is for, said in another way."""
    try:
        if protocol == IPV4:
            if int.from_bytes(packet[6:8], "big") & 0x1FFF:
                return 0
            kind, start, end, short = (
                packet[9],
                (packet[0] & 15) * 4,
                int.from_bytes(packet[2:4], "big"),
                KEEP_HANDSHAKE,
            )
        elif protocol == IPV6:
            kind, start, end = packet[6], 40, 40 + int.from_bytes(packet[4:6], "big")
            short = KEEP_HANDSHAKE if kind == 6 else KEEP_EXTENDED
            for _ in range(EXTENSIONS):
                if kind not in (0, 43, 44, 51, 60):
                    break
                if kind == 44 and int.from_bytes(packet[start + 2 : start + 4], "big") & 0xFFF8:
                    return 0
                size = {44: 8, 51: (packet[start + 1] + 2) * 4}.get(kind, (packet[start + 1] + 1) * 8)
                kind, start = packet[start], start + size
        else:
            return 0
        if kind not in (6, 17):
            return 0
        if kind == 17:
            # A packet cut between its ports passes if the first one is enough; what reads it counts it as malformed.
            return KEEP_ALL if port(packet, start) == 53 or port(packet, start + 2) == 53 else 0
        flags = packet[start + 13]
        if flags & 0x02:
            return short
        if flags & 0x04:
            return short if flags & 0x10 and packet[start + 4 : start + 8] == bytes(4) else 0
        ports = (port(packet, start), port(packet, start + 2))
        return KEEP_ALL if 53 in ports and end > start + (packet[start + 12] >> 4) * 4 else 0
    except IndexError:
        return 0


@FAMILIES
def test_packets_of_a_handshake_pass(family):
    shake = Handshake(*ENDS[family])
    packets = [shake.syn(), shake.syn(flags="SEC"), shake.syn_ack(), shake.syn_ack(flags="SAE"), shake.rst()]
    packets.append(shake.syn(payload=b"GET / HTTP/1.1"))
    assert [kept(packet) for packet in packets] == [KEEP_HANDSHAKE] * 6


@FAMILIES
def test_established_traffic_is_dropped(family):
    client, server = ENDS[family]
    packets = [segment(*client, *server, flags=flags, seq=9, payload=b"data") for flags in ("A", "PA", "FA", "R", "RA")]
    assert [kept(packet) for packet in packets] == [0] * 5


@FAMILIES
def test_dns_passes_whole_in_both_directions(family):
    client, server = ENDS[family]
    packets = [
        datagram(*client, server[0], 53, question()),
        datagram(server[0], 53, *client, question()),
        segment(*client, server[0], 53, flags="PA", payload=b"xx"),
        segment(server[0], 53, *client, flags="A", payload=b"xx"),
    ]
    assert [kept(packet) for packet in packets] == [KEEP_ALL] * 4


@FAMILIES
def test_bare_acknowledgements_of_dns_connections_and_other_datagrams_are_dropped(family):
    client, server = ENDS[family]
    assert kept(segment(*client, server[0], 53, flags="A")) == 0
    assert kept(raw(ip(client[0], server[0]) / UDP(sport=123, dport=123) / Raw(bytes(48)))) == 0


@pytest.mark.parametrize("headers", EXTENDED)
def test_a_syn_behind_extension_headers_passes(headers):
    assert kept(Handshake(*ENDS["IPv6"]).syn(headers=headers)) == KEEP_EXTENDED
    assert kept(datagram("2001:db8::5", 9, "2001:db8::9", 53, question(), headers=headers)) == KEEP_ALL


def test_a_syn_behind_ip_options_passes():
    headers = ip("10.0.1.5", "10.0.2.9", options=[IPOption(b"\x94\x04\x00\x00")])
    assert kept(Handshake(*ENDS["IPv4"]).syn(headers=headers)) == KEEP_HANDSHAKE


def test_of_fragments_only_the_first_passes():
    syn = Handshake(*ENDS["IPv4"]).syn
    assert kept(syn(headers=ip("10.0.1.5", "10.0.2.9", flags="MF"))) == KEEP_HANDSHAKE
    assert kept(syn(headers=ip("10.0.1.5", "10.0.2.9", frag=1))) == 0
    assert kept(Handshake(*ENDS["IPv6"]).syn(headers=V6 / IPv6ExtHdrFragment(offset=1))) == 0


def test_other_protocols_are_dropped():
    syn = Handshake(*ENDS["IPv4"]).syn()
    assert bpf_machine.run(PROGRAM, syn, ARP) == 0
    assert kept(syn[:9] + b"\x84" + syn[10:]) == 0


def test_the_bytes_kept_hold_the_longest_headers():
    assert KEEP_HANDSHAKE >= 60 + 60
    assert KEEP_HANDSHAKE >= 40 + 60


headers4 = st.builds(
    lambda size, total, fragment, kind: (
        bytes([0x40 | size, 0])
        + total.to_bytes(2, "big")
        + b"\0\0"
        + fragment.to_bytes(2, "big")
        + bytes([64, kind])
        + bytes(10 + max(0, size * 4 - 20))
    ),
    st.integers(5, 15),
    st.integers(20, 130),
    st.sampled_from([0, 0, 0x4000, 0x2000, 1, 0x1FFF]),
    st.sampled_from([6, 6, 17, 1, 132]),
)
extension = st.tuples(st.sampled_from([0, 43, 44, 51, 60]), st.integers(0, 3))


@st.composite
def headers6(draw):
    kinds = draw(st.lists(extension, max_size=6))
    last = draw(st.sampled_from([6, 6, 17, 59]))
    packet = b"\x60\0\0\0" + draw(st.integers(0, 130)).to_bytes(2, "big")
    packet += bytes([kinds[0][0] if kinds else last, 64]) + bytes(32)
    for position, (kind, length) in enumerate(kinds):
        following = kinds[position + 1][0] if position + 1 < len(kinds) else last
        size = {44: 8, 51: (length + 2) * 4}.get(kind, (length + 1) * 8)
        offset = draw(st.sampled_from([0, 0, 0, 1, 8])) if kind == 44 else 0
        packet += (bytes([following, length]) + offset.to_bytes(2, "big")).ljust(size, b"\0")
    return packet


transport = st.builds(
    lambda port, to_port, sequence, size, flags, rest: (
        port.to_bytes(2, "big")
        + to_port.to_bytes(2, "big")
        + sequence.to_bytes(4, "big")
        + bytes(4)
        + bytes([size << 4, flags])
        + rest
    ),
    st.sampled_from([53, 8080, 40000]),
    st.sampled_from([53, 8080, 40000]),
    st.sampled_from([0, 0, 1, 2**32 - 1]),
    st.integers(0, 15),
    st.one_of(st.sampled_from([0x02, 0x12, 0x14, 0x04, 0x10, 0x18, 0xC2]), st.integers(0, 255)),
    st.binary(max_size=40),
)


@settings(max_examples=1000)
@given(st.one_of(headers4, headers6()), transport, st.integers(0, 200), st.sampled_from([IPV4, IPV6, ARP]))
def test_the_filter_agrees_with_the_predicate(headers, rest, cut, protocol):
    packet = headers + rest
    if cut < 50:
        packet = packet[: len(packet) * cut // 50]
    assert bpf_machine.run(PROGRAM, packet, protocol) == wanted(packet, protocol)


@given(st.binary(max_size=150), st.sampled_from([IPV4, IPV6]))
def test_the_filter_agrees_with_the_predicate_on_any_bytes(packet, protocol):
    assert bpf_machine.run(PROGRAM, packet, protocol) == wanted(packet, protocol)


def test_the_program_is_one_that_the_kernel_takes():
    code = list(INSTRUCTION.iter_unpack(PROGRAM))
    assert len(code) <= MAX_PROGRAM
    assert code[-1][0] == 0x06
    for position, (operation, then, otherwise, operand) in enumerate(code):
        if operation & 0x07 == 0x05:
            furthest = operand if operation == 0x05 else max(then, otherwise)
            assert position + 1 + furthest < len(code)


def test_a_jump_that_is_too_long_for_its_bits_is_refused():
    code = Assembler()
    code.jump("jeq", 1, "far")
    for _ in range(256):
        code.do("tax")
    code.label("far")
    code.do("ret", 0)
    with pytest.raises(ValueError, match="too far"):
        code.assemble()
