"""The kernel's socket tables: a printer that follows the kernel's format is the oracle of the reader."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.capture.tcp_table import (
    ESTABLISHED,
    LISTEN,
    ClientFinder,
    Clients,
    Side,
    Socket,
    decode_line,
    parse_port_range,
    side_of,
)

ports = st.integers(0, 65535)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


def printed(address: str, port: int, byteorder: str) -> str:
    """As seq_printf writes it: each 32-bit word of memory as a number of the host, the port as a number."""
    raw = ipaddress.ip_address(address).packed
    words = (int.from_bytes(raw[at : at + 4], byteorder) for at in range(0, len(raw), 4))
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def line(
    local: str, local_port: int, remote: str, remote_port: int, state: int = ESTABLISHED, *, order: str = "little"
):
    return (
        f"   0: {printed(local, local_port, order)} {printed(remote, remote_port, order)} {state:02X} "
        "00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 20 4 30 10 -1\n"
    ).encode()


def folded(address: str) -> str:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return str(mapped or parsed)


def find(*lines: bytes, ephemeral: tuple[int, int] = (32768, 60999)) -> Clients:
    finder = ClientFinder(ephemeral, "little")
    finder.feed(lines)
    return finder.result()


@given(st.builds(Socket, addresses, ports, addresses, ports, st.integers(0, 12)), st.sampled_from(["little", "big"]))
def test_what_is_printed_is_read_back(socket, order):
    expected = socket._replace(local=folded(socket.local), remote=folded(socket.remote))
    assert decode_line(line(*socket, order=order), order) == expected


def test_a_line_of_a_little_endian_kernel():
    text = b"   1: 0F02000A:9C40 0A00600A:0050 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
    assert decode_line(text, "little") == Socket("10.0.2.15", 40000, "10.96.0.10", 80, ESTABLISHED)


def test_a_line_of_a_big_endian_kernel():
    text = b"   1: 0A00020F:9C40 0A60000A:0050 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
    assert decode_line(text, "big") == Socket("10.0.2.15", 40000, "10.96.0.10", 80, ESTABLISHED)


def test_an_address_mapped_into_ipv6_is_read_as_ipv4():
    text = b"   1: 0000000000000000FFFF00000F02000A:9C40 0000000000000000FFFF00000A00600A:0050 01 0:0 0:0 0 0 0\n"
    assert decode_line(text, "little") == Socket("10.0.2.15", 40000, "10.96.0.10", 80, ESTABLISHED)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_socket_or_nothing(text):
    decode_line(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"   1: 0F02000A:9C40",
        b"   1: 0F02000A:9C40 0A00600A:0050",
        b"   1: 0F02000A 0A00600A:0050 01 0",
        b"   1: 0F02000:9C40 0A00600A:0050 01 0",
        b"   1: 0F02000A0000:9C40 0A00600A:0050 01 0",
        b"   1: 0F02000A:-C40 0A00600A:0050 01 0",
        b"   1: 0F02000A:9C400 0A00600A:0050 01 0",
        b"   1: 0F02000A:9C40 0A00600A:0050 1 0",
        b"   1: 0F02000A:9C40 0A00600A:0050 XX 0",
        b"   1: \xff\xff\xff\xff:9C40 0A00600A:0050 01 0",
    ],
)
def test_a_damaged_line_is_counted_and_its_neighbours_are_kept(text):
    good = line("10.0.0.1", 40000, "10.0.0.2", 80)
    found = find(good, text, good)
    assert found.malformed == 1
    assert found.pairs == {("10.0.0.1", "10.0.0.2", 80): 2}


def test_an_endless_line_is_counted_and_not_searched():
    assert find(b"0" * 100_000).malformed == 1


@pytest.mark.parametrize(
    ("local", "remote", "listening", "side"),
    [
        ("ephemeral", "other", False, Side.CLIENT),
        ("ephemeral", "other", True, Side.CLIENT),
        ("other", "ephemeral", False, Side.SERVER),
        ("other", "ephemeral", True, Side.SERVER),
        ("ephemeral", "ephemeral", False, Side.CLIENT),
        ("ephemeral", "ephemeral", True, Side.UNKNOWN),
        ("other", "other", False, Side.CLIENT),
        ("other", "other", True, Side.SERVER),
    ],
)
def test_the_side_follows_the_ports_then_the_listeners(local, remote, listening, side):
    answer = side_of(local_ephemeral=local == "ephemeral", remote_ephemeral=remote == "ephemeral", listening=listening)
    assert answer is side


def test_clients_are_counted_by_the_server_they_dialled():
    found = find(
        line("10.0.0.1", 40000, "10.0.0.2", 80),
        line("10.0.0.1", 40001, "10.0.0.2", 80),
        line("10.0.0.1", 40002, "10.0.0.2", 443),
        line("fd00::1", 40003, "fd00::2", 80),
    )
    assert found.pairs == {
        ("10.0.0.1", "10.0.0.2", 80): 2,
        ("10.0.0.1", "10.0.0.2", 443): 1,
        ("fd00::1", "fd00::2", 80): 1,
    }


@pytest.mark.parametrize("state", [code for code in range(1, 13) if code not in (ESTABLISHED, LISTEN)])
def test_only_established_sockets_count(state):
    found = find(line("10.0.0.1", 40000, "10.0.0.2", 80, state))
    assert (found.established, found.pairs) == (0, {})


@pytest.mark.parametrize(
    ("local", "remote"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("10.0.0.1", "10.0.0.1"), ("::ffff:127.0.0.1", "::ffff:127.0.0.1")],
)
def test_a_process_that_talks_to_its_own_address_is_left_out(local, remote):
    assert find(line(local, 40000, remote, 80)).established == 0


@pytest.mark.parametrize("listener", ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1"])
def test_a_listener_of_either_family_makes_its_connections_the_servers(listener):
    accepted = line("10.0.0.1", 8080, "10.0.0.9", 1024)
    listening = line(listener, 8080, "0.0.0.0", 0, LISTEN)
    for order in itertools.permutations([accepted, listening]):
        assert find(*order).pairs == {}


def test_a_listener_at_another_address_does_not_make_a_server():
    listening = line("10.0.0.77", 8080, "0.0.0.0", 0, LISTEN)
    found = find(listening, line("10.0.0.1", 8080, "10.0.0.9", 1024))
    assert found.pairs == {("10.0.0.1", "10.0.0.9", 1024): 1}


def test_a_client_whose_port_is_also_listened_on_is_still_a_client():
    found = find(line("0.0.0.0", 40000, "0.0.0.0", 0, LISTEN), line("10.0.0.1", 40000, "10.0.0.2", 80))
    assert found.pairs == {("10.0.0.1", "10.0.0.2", 80): 1}


def test_a_server_whose_listener_has_gone_is_still_a_server():
    assert find(line("10.0.0.1", 8080, "10.0.0.9", 40000)).pairs == {}


def test_a_socket_between_two_ephemeral_ports_beside_a_listener_is_undecided():
    found = find(line("10.0.0.1", 50051, "10.0.0.9", 40000), line("::", 50051, "::", 0, LISTEN))
    assert (found.undecided, found.pairs) == (1, {})


def test_the_range_of_client_ports_is_the_hosts():
    found = find(line("10.0.0.1", 20000, "10.0.0.9", 9000), ephemeral=(10000, 30000))
    assert found.pairs == {("10.0.0.1", "10.0.0.9", 9000): 1}


rows = st.tuples(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "::ffff:10.0.0.1"]),
    st.sampled_from([80, 8080, 40000, 50051]),
    st.sampled_from(["10.0.0.3", "10.0.0.1", "fd00::3", "127.0.0.1"]),
    st.sampled_from([80, 1024, 41000, 50051]),
    st.sampled_from([ESTABLISHED, ESTABLISHED, LISTEN, 6]),
)


@given(st.lists(rows, max_size=30), st.randoms())
def test_the_order_of_lines_does_not_matter_and_nothing_is_lost(table, random):
    lines = [line(*row) for row in table]
    found = find(*lines)
    random.shuffle(lines)
    assert find(*lines) == found
    listeners = {(folded(row[0]), row[1]) for row in table if row[4] == LISTEN}
    established = [row for row in table if row[4] == ESTABLISHED and folded(row[0]) != row[2] and row[2] != "127.0.0.1"]
    servers = sum(_is_server(row, listeners) for row in established)
    assert found.established == len(established)
    assert sum(found.pairs.values()) + found.undecided + servers == len(established)


def _is_server(row: tuple[str, int, str, int, int], listeners: set[tuple[str, int]]) -> bool:
    local_is_high, remote_is_high = row[1] >= 32768, row[3] >= 32768
    return not local_is_high and (remote_is_high or (folded(row[0]), row[1]) in listeners)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32768\t60999\n", (32768, 60999)),
        ("1024 65535", (1024, 65535)),
        ("", None),
        ("1", None),
        ("a b", None),
        ("2 1", None),
        ("0 70000", None),
    ],
)
def test_the_port_range_is_read_or_refused(text, expected):
    assert parse_port_range(text) == expected
