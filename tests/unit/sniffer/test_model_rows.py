"""What the model's sniffer does, row by row, asked of ours: the shipped process against a mapper of the model.

Where ours does otherwise on purpose, the test's name says what it does instead.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise

import pytest
from capture_writer import pcap
from packet_craft import Handshake, answer, datagram, question
from query_door import CONNECTIONS, LOOKUPS, SOCKETS, QueryDoor

from network_mapper.testing.lab import command_line, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket tables are Linux's")

RAW = 101
"""Link type of packets that begin with their IP header."""
T = 1_790_000_000_000 - 1_790_000_000_000 % 60_000 + 5_000
"""Five seconds into a minute."""
POD, OTHER, RESOLVER = "10.244.1.5", "10.244.1.6", "10.96.0.10"
POD6, SERVER6 = "fd00:10:244::5", "fd00:10:96::9"
SERVER = ("10.96.0.20", 443)

wires = pytest.mark.parametrize("wire", ["graphql", "auto"])


@pytest.fixture
def door():
    made = QueryDoor()
    yield made
    made.stop()


class Sniffer:
    """A running sniffer."""

    def __init__(self, arguments, environ):
        inherited = {key: value for key, value in environment().items() if not key.startswith("OTTERIZE_")}
        self._process = subprocess.Popen(
            command_line("sniffer", "--node", "node-1", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**inherited, **environ},
        )

    def end(self, seconds=30):
        """Wait for the end; the exit code and the log."""
        _, log = self._process.communicate(timeout=seconds)
        return self._process.returncode, log

    def terminate(self):
        self._process.terminate()
        return self.end()

    @property
    def running(self):
        return self._process.poll() is None

    def kill(self):
        if self.running:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def sniff(door):
    """Start sniffers that report to the door."""
    started = []

    def start(*arguments, wire="graphql", environ=None):
        started.append(Sniffer(["--mapper-url", door.url, "--wire", wire, *arguments], environ or {}))
        return started[-1]

    yield start
    for sniffer in started:
        sniffer.kill()


@pytest.fixture
def play(sniff, tmp_path):
    """Play packets, pairs of milliseconds after T and bytes; returns the log, of a process that must end well."""

    def run(packets, *arguments, wire="graphql"):
        path = tmp_path / "packets.pcap"
        path.write_bytes(pcap([(T + when, packet) for when, packet in packets], link=RAW))
        code, log = sniff("--pcap", str(path), *arguments, wire=wire).end()
        assert code == 0, log
        return log

    return run


class FakeProc:
    """A procfs of processes, each with a network namespace of its own."""

    def __init__(self, root):
        self.root = root

    def process(self, pid, *rows, rows6=()):
        """Rows are (local, remote, state) with addresses and ports as the kernel prints them."""
        folder = self.root / str(pid)
        (folder / "net").mkdir(parents=True)
        (folder / "net/tcp6").write_text(_table(rows6))
        partial = folder / "net/tcp.new"
        partial.write_text(_table(rows))
        partial.rename(folder / "net/tcp")

    def client(self, pid, port=443):
        self.process(pid, (hexed(POD, 40_000), hexed("10.96.0.20", port), "01"))

    def remove(self, pid):
        """Let a process end."""
        (self.root / str(pid)).rename(self.root / f"ended-{pid}")


def _table(rows):
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = "   0: {} {} {} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 4 30 10 -1\n"
    return head + "".join(line.format(*row) for row in rows)


def hexed(address, port):
    """An end as /proc/net/tcp and tcp6 show it: words of 32 bits in the byte order of the host."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "proc").mkdir()
    return FakeProc(tmp_path / "proc")


@pytest.fixture
def watch(sniff, proc):
    """Watch the socket tables of the fake procfs every fifth of a second; packets need privileges."""

    def start(*arguments, wire="graphql", environ=None):
        options = ["--no-enable-tcp", "--no-enable-dns", "--socket-interval", "0.2", "--report-interval", "0.2"]
        return sniff(*options, "--proc-dir", str(proc.root), *arguments, wire=wire, environ=environ)

    return start


def free_port():
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


def get(port, path):
    """A page of the sniffer's, once it serves any."""
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as page:
                return page.status, page.read().decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# DNS capture


def exchange(client, name, *records, kind="A", port=50_000, rcode="NOERROR", server=RESOLVER):
    """A question and its answer."""
    asked = question(name, kind, ident=port)
    return [
        (0, datagram(client, port, server, 53, asked)),
        (3, datagram(server, 53, client, port, answer(asked, *records, rcode=rcode))),
    ]


def named(door):
    return {(told.client, told.destination, told.address) for told in door.told(LOOKUPS)}


@wires
def test_an_answer_is_told_with_its_client_its_name_and_its_addresses_and_nothing_else_is(door, play, wire):
    api = "api.shop.svc.cluster.local."
    play(
        [
            *exchange(POD, api, (api, "A", "10.96.0.20")),
            *exchange(POD, api, (api, "AAAA", SERVER6), kind="AAAA", port=50_001),
            *exchange(OTHER, "gone.shop.svc.cluster.local.", port=50_002, rcode="NXDOMAIN"),
            *exchange(OTHER, "v4.shop.svc.cluster.local.", kind="AAAA", port=50_003),
            (9, datagram(OTHER, 50_004, RESOLVER, 53, question("mute.example.", ident=50_004))),
        ],
        wire=wire,
    )
    name = api.removesuffix(".")
    assert named(door) == {(POD, name, "10.96.0.20"), (POD, name, SERVER6)}
    for told in door.told(LOOKUPS):
        assert (told.hostname, told.port, told.ttl, told.source_ports, told.last) == ("", None, None, (), T + 3)
    assert [call.operation for call in door.calls] == [LOOKUPS]


def test_behind_a_chain_of_aliases_stands_the_name_that_was_asked_for(door, play):
    chain = [
        ("shop.example.", "CNAME", "edge.example."),
        ("edge.example.", "CNAME", "host.example."),
        ("host.example.", "A", "192.0.2.7"),
    ]
    play(exchange(POD, "shop.example.", *chain))
    assert named(door) == {(POD, "shop.example", "192.0.2.7")}


def test_an_answer_over_ipv6_is_told(door, play):
    records = [("shop.example.", "AAAA", SERVER6)]
    play(exchange(POD6, "shop.example.", *records, kind="AAAA", server="fd00:10:96::a"))
    assert named(door) == {(POD6, "shop.example", SERVER6)}


def test_an_answer_that_nobody_asked_for_is_not_told(door, play):
    _, forged = exchange(POD, "bank.example.", ("bank.example.", "A", "192.0.2.66"))
    real = exchange(OTHER, "shop.example.", ("shop.example.", "A", "192.0.2.7"), port=50_009)
    log = play([forged, *real])
    assert named(door) == {(OTHER, "shop.example", "192.0.2.7")}
    assert "dns_unasked 1" in log


@pytest.mark.parametrize(("switch", "left"), [("--no-enable-dns", CONNECTIONS), ("--no-enable-tcp", LOOKUPS)])
def test_a_capture_that_is_switched_off_tells_nothing(door, play, switch, left):
    lookups = exchange(POD, "shop.example.", ("shop.example.", "A", "192.0.2.7"))
    play([*lookups, (5, Handshake((POD, 40_000), SERVER).syn())], switch)
    assert {call.operation for call in door.calls} == {left}


# TCP SYN capture


def opened(door):
    return [(told.client, told.destination, told.address, told.port) for told in door.told(CONNECTIONS)]


@wires
def test_connections_are_told_once_with_the_port_that_was_dialled_and_never_by_their_answers(door, play, wire):
    packets = []
    for number in range(5):
        shake = Handshake((POD, 40_000 + number), SERVER, isn=1000 + number, stamp=7 + number)
        packets += [(number * 10, shake.syn()), (number * 10 + 1, shake.syn_ack())]
    play(packets, wire=wire)
    assert opened(door) == [(POD, "10.96.0.20", "10.96.0.20", 443)]
    (told,) = door.told(CONNECTIONS)
    assert (told.hostname, told.ttl, told.source_ports, told.last) == ("", None, (), T + 40)


def test_an_answer_whose_question_was_not_seen_is_no_connection(door, play):
    play([(0, Handshake((POD, 40_000), SERVER).syn_ack()), (5, Handshake((OTHER, 40_001), SERVER).syn())])
    assert {client for client, *_ in opened(door)} == {OTHER}


def test_connections_that_nobody_answered_and_that_were_refused_are_told_as_well(door, play):
    refused = Handshake((OTHER, 40_001), SERVER, isn=7, stamp=70)
    play([(0, Handshake((POD, 40_000), SERVER).syn()), (1, refused.syn()), (2, refused.rst())])
    assert {client for client, *_ in opened(door)} == {POD, OTHER}


def test_a_syn_over_ipv6_is_told(door, play):
    shake = Handshake((POD6, 40_000), (SERVER6, 443))
    play([(0, shake.syn()), (1, shake.syn_ack())])
    assert opened(door) == [(POD6, SERVER6, SERVER6, 443)]


def test_a_syn_that_asks_for_congestion_notification_is_told(door, play):
    shake = Handshake((POD, 40_000), SERVER)
    play([(0, shake.syn(flags="SEC")), (1, shake.syn_ack(flags="SAE"))])
    assert opened(door) == [(POD, *SERVER[:1] * 2, 443)]


# Socket scan


def scanned(door):
    return {(told.client, told.destination, told.address, told.port) for told in door.told(SOCKETS)}


@wires
def test_only_the_client_ends_of_established_connections_are_told_and_with_the_servers_port(door, proc, watch, wire):
    states = ["02", "03", "04", "05", "06", "07", "08", "09", "0B"]
    proc.process(
        100,
        (hexed(POD, 40_000), hexed("10.96.0.20", 443), "01"),
        (hexed(POD, 40_001), hexed("10.96.0.20", 443), "01"),
        *((hexed(POD, 41_000 + number), hexed("10.96.0.99", 443), state) for number, state in enumerate(states)),
        (hexed("127.0.0.1", 40_002), hexed("127.0.0.1", 8080), "01"),
        (hexed(POD, 8080), hexed(OTHER, 40_003), "01"),
        (hexed("0.0.0.0", 8080), hexed("0.0.0.0", 0), "0A"),
        rows6=[
            (hexed(POD6, 40_004), hexed(SERVER6, 5432), "01"),
            (hexed(f"::ffff:{POD}", 40_005), hexed("::ffff:10.96.0.30", 6379), "01"),
            (hexed("::1", 40_006), hexed("::1", 8080), "01"),
        ],
    )
    sniffer = watch(wire=wire)
    door.wait_for(lambda: door.told(SOCKETS))
    sniffer.terminate()
    assert scanned(door) == {
        (POD, "10.96.0.20", "10.96.0.20", 443),
        (POD6, SERVER6, SERVER6, 5432),
        (POD, "10.96.0.30", "10.96.0.30", 6379),
    }
    for told in door.told(SOCKETS):
        assert (told.hostname, told.ttl, told.source_ports) == ("", None, ())
        assert abs(told.last / 1000 - time.time()) < 60
    assert {call.operation for call in door.calls} == {SOCKETS}


def test_a_listener_counts_wherever_it_stands_in_either_table(door, proc, watch):
    proc.process(
        100,
        (hexed(POD, 50_051), hexed(OTHER, 50_000), "01"),
        (hexed(POD, 40_000), hexed("10.96.0.20", 443), "01"),
        (hexed(POD, 9000), hexed(OTHER, 9001), "01"),
        (hexed("0.0.0.0", 9000), hexed("0.0.0.0", 0), "0A"),
        rows6=[(hexed("::", 50_051), hexed("::", 0), "0A")],
    )
    sniffer = watch()
    door.wait_for(lambda: door.told(SOCKETS))
    sniffer.terminate()
    assert scanned(door) == {(POD, "10.96.0.20", "10.96.0.20", 443)}


def test_a_scan_that_is_switched_off_tells_nothing(door, sniff, proc):
    proc.client(100)
    code, log = sniff("--no-enable-tcp", "--no-enable-dns", "--no-enable-sockets", "--proc-dir", str(proc.root)).end()
    assert code == 1
    assert "nothing to watch" in log
    assert door.calls == []


# Host names of processes


def test_processes_are_told_without_their_host_names_and_no_setting_asks_for_them(door, proc, watch):
    proc.client(100)
    (proc.root / "100/environ").write_bytes(b"HOSTNAME=web-0\0")
    (proc.root / "100/root/etc").mkdir(parents=True)
    (proc.root / "100/root/etc/hostname").write_text("web-0\n")
    sniffer = watch(environ={"OTTERIZE_USE_EXTENDED_PROCFS_RESOLUTION": "true"})
    door.wait_for(lambda: door.told(SOCKETS))
    _, log = sniffer.terminate()
    assert {told.hostname for told in door.told(SOCKETS)} == {""}
    assert "OTTERIZE_USE_EXTENDED_PROCFS_RESOLUTION" in log


def test_a_process_that_has_no_host_name_is_told_like_any_other(door, proc, watch):
    proc.client(100)
    (proc.root / "100/environ").mkdir()
    watch()
    door.wait_for(lambda: door.told(SOCKETS))
    assert scanned(door) == {(POD, "10.96.0.20", "10.96.0.20", 443)}


# Cadence and merging


def test_what_is_new_is_told_at_once_and_what_repeats_once_in_the_repeat_interval(door, proc, watch):
    proc.client(100)
    watch("--repeat-interval", "2")
    door.wait_for(lambda: len(door.told(SOCKETS)) >= 2)
    proc.client(200, port=5432)
    began = time.monotonic()
    door.wait_for(lambda: 5432 in {told.port for told in door.told(SOCKETS)})
    assert time.monotonic() - began < 1.8, "what is new does not wait for what repeats"
    door.wait_for(lambda: len([told for told in door.told(SOCKETS) if told.port == 443]) >= 3)
    calls = [call.at for call in door.calls for told in call.told if told.port == 443]
    times = [told.last for told in door.told(SOCKETS) if told.port == 443]
    assert all(later - earlier > 1.5 for earlier, later in pairwise(calls)), calls
    assert all(later > earlier for earlier, later in pairwise(times)), "the newest sighting is told"


def test_there_is_one_call_of_a_kind_in_an_interval_with_every_key_once(door, proc, watch):
    watch("--report-interval", "0.5")
    began, pid = time.monotonic(), 100
    while time.monotonic() - began < 3:
        proc.client(pid, port=pid)
        pid += 1
        time.sleep(0.05)
    took = time.monotonic() - began
    door.wait_for(lambda: len(scanned(door)) == pid - 100)
    assert len(door.calls) <= took / 0.5 + 3
    assert len(door.told(SOCKETS)) == pid - 100


def test_repetitions_of_one_connection_are_one_row_with_the_newest_time(door, play):
    shakes = [Handshake((POD, 40_000 + n), SERVER, isn=1000 + n, stamp=7 + n) for n in range(80)]
    play([(n * 500, packet) for n, shake in enumerate(shakes) for packet in (shake.syn(), shake.syn_ack())])
    rows = [told.last for told in door.told(CONNECTIONS)]
    assert set(opened(door)) == {(POD, "10.96.0.20", "10.96.0.20", 443)}
    assert 1 <= len(rows) <= 3, "at once, half a minute later, and at the end"
    assert rows == sorted(rows)
    assert rows[-1] == T + 79 * 500


def test_what_waits_is_told_at_the_end(door, proc, watch):
    proc.client(100)
    sniffer = watch("--repeat-interval", "60")
    door.wait_for(lambda: door.told(SOCKETS))
    first = door.told(SOCKETS)[-1].last
    time.sleep(0.6)
    assert len(door.told(SOCKETS)) == 1
    assert sniffer.terminate()[0] == 0
    assert door.told(SOCKETS)[-1].last > first


# Mapper down


@wires
def test_nothing_of_an_outage_is_missing_and_the_sniffer_stays_healthy(door, proc, watch, wire):
    proc.client(100)
    health = free_port()
    sniffer = watch("--health-port", str(health), wire=wire)
    door.wait_for(lambda: door.told(SOCKETS))
    door.stop()
    outage = time.time() * 1000
    for pid in range(101, 111):
        proc.client(pid, port=pid)
    time.sleep(1)
    for pid in range(101, 111):
        proc.remove(pid)
    time.sleep(0.5)
    assert get(health, "/healthz")[0] == 200
    over = time.time() * 1000
    door.start()
    door.wait_for(lambda: {told.port for told in door.told(SOCKETS)} >= {443, *range(101, 111)}, seconds=40)
    assert get(health, "/healthz")[0] == 200
    for told in door.told(SOCKETS):
        if told.port != 443:
            assert outage - 1 <= told.last <= over
    assert sniffer.running


def test_a_sniffer_that_never_found_its_mapper_is_healthy(sniff, proc, door):
    proc.client(100)
    door.stop()
    health = free_port()
    sniff("--no-enable-tcp", "--no-enable-dns", "--proc-dir", str(proc.root), "--health-port", str(health))
    assert get(health, "/healthz")[0] == 200


def test_a_replay_that_finds_no_mapper_gives_up_and_says_so(sniff, door, tmp_path):
    path = tmp_path / "packets.pcap"
    path.write_bytes(pcap([(T, Handshake((POD, 40_000), SERVER).syn())], link=RAW))
    door.stop()
    code, log = sniff("--pcap", str(path), "--replay-patience", "0.5").end()
    assert code == 1
    assert "stopped_unsent 1" in log


# Metrics


def test_a_busy_port_for_metrics_is_a_warning_and_everything_else_goes_on(door, proc, watch):
    proc.client(100)
    with socket.create_server(("", 0)) as taken:
        port, health = taken.getsockname()[1], free_port()
        sniffer = watch("--metrics-port", str(port), "--health-port", str(health))
        door.wait_for(lambda: door.told(SOCKETS))
        assert get(health, "/healthz")[0] == 200
        code, log = sniffer.terminate()
    assert code == 0
    assert f"port {port} cannot be had" in log


@pytest.mark.parametrize("environ", [{}, {"OTTERIZE_DEBUG": "true"}])
def test_metrics_say_which_wire_is_spoken(door, proc, watch, environ):
    proc.client(100)
    metrics = free_port()
    watch("--metrics-port", str(metrics), wire="auto", environ=environ)
    door.wait_for(lambda: door.told(SOCKETS))
    page = get(metrics, "/metrics")[1]
    values = dict(re.findall(r'network_mapper_sniffer_wire\{wire="(\w+)"\} (\d)', page))
    assert values == {"native": "0", "graphql": "1"}


# Settings


def test_the_models_own_variables_start_it(door, proc, tmp_path):
    proc.client(100)
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("NETWORK_MAPPER_", "OTTERIZE_"))}
    model = {
        "OTTERIZE_MAPPER_API_URL": door.url,
        "OTTERIZE_HOST_PROC_DIR": str(proc.root),
        "OTTERIZE_ENABLE_TCP": "false",
        "OTTERIZE_ENABLE_DNS": "false",
        "OTTERIZE_SNIFFER_REPORT_INTERVAL": "200ms",
        "OTTERIZE_HEALTH_PROBES_PORT": str(free_port()),
    }
    process = subprocess.Popen(command_line("sniffer"), env={**ours, **model}, stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        door.wait_for(lambda: door.told(SOCKETS))
        assert get(model["OTTERIZE_HEALTH_PROBES_PORT"], "/healthz")[0] == 200
    finally:
        process.terminate()
        process.wait(20)
    assert scanned(door) == {(POD, "10.96.0.20", "10.96.0.20", 443)}
