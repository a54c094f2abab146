"""Hostile traffic at a real sniffer: it stays small, and what well-behaved clients do is told exactly.

Pods of one node scan a /16 and ask for ten thousand random names a second, and a flood with a million forged addresses
comes in from outside, while other pods open connections and are refused as they always are. The mapper is away while it
happens, so that everything has to wait, and comes back at the end.
"""

from __future__ import annotations

import collections
import http.server
import pathlib
import shutil
import socket
import socketserver
import struct
import sys
import tempfile
import threading
import time

import msgspec
import pytest
from balance import imbalances

from network_mapper.model import Drop
from network_mapper.testing import netns
from network_mapper.wire.report import MSGPACK, Receipt, Report

pytestmark = pytest.mark.lab

NODE, SCANNER, ASKER, OUTSIDE = "hostile-node", "hostile-scan", "hostile-ask", "hostile-out"
GOOD = [f"hostile-good{number}" for number in range(3)]
PODS = {SCANNER: 11, ASKER: 12, **{name: 20 + number for number, name in enumerate(GOOD)}}
SERVER_IP, UPLINK_IP = "10.214.99.9", "10.214.99.1"
SCANNED = 40_000
QUESTIONS = 40_000
SILENT = 82
FORGED = 60_000
MEBIBYTES = 64


RULES = f"""
table ip filter {{
    chain in {{
        type filter hook input priority 0
        tcp dport {SILENT} drop
    }}
}}
"""


def address_of(pod: str) -> str:
    return f"10.214.{PODS[pod]}.5"


@pytest.fixture(scope="module")
def node():
    with netns.Namespaces() as made:
        made.add(NODE, OUTSIDE, *PODS)
        for pod, network in PODS.items():
            link = f"veth{network}"
            netns.ip(
                NODE,
                [
                    f"link add {link} type veth peer name eth0 netns {pod}",
                    f"address add 10.214.{network}.1/24 dev {link}",
                    f"link set {link} up",
                ],
            )
            gateway = f"10.214.{network}.1"
            netns.ip(
                pod,
                [f"address add {address_of(pod)}/24 dev eth0", "link set eth0 up", f"route add default via {gateway}"],
            )
        netns.ip(
            NODE,
            [
                f"link add up0 type veth peer name eth0 netns {OUTSIDE}",
                f"address add {UPLINK_IP}/24 dev up0",
                "link set up0 up",
                f"route add default via {SERVER_IP}",
            ],
        )
        # What is scanned, and who is forged, is nowhere: packets to there end here without a word.
        netns.ip(
            OUTSIDE,
            [
                f"address add {SERVER_IP}/24 dev eth0",
                "link set eth0 up",
                "link set lo up",
                f"route add 10.214.0.0/16 via {UPLINK_IP}",
                "route add blackhole 10.66.0.0/16",
                "route add blackhole default",
            ],
        )
        netns.nft(OUTSIDE, RULES)
        netns.sysctl(NODE, {"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/up0/rp_filter": "0"})
        yield made


class Door:
    """A report door that is away until it is opened, and then believes everything."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.reports: list[Report] = []
        self._path = str(folder / "m.sock")
        self.url = f"unix:{self._path}"
        self._server: socketserver.UnixStreamServer | None = None

    def open(self) -> None:
        reports = self.reports

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                reports.append(
                    msgspec.msgpack.decode(self.rfile.read(int(self.headers["Content-Length"])), type=Report)
                )
                answer = msgspec.msgpack.encode(Receipt("s", 1))
                self.send_response(200)
                self.send_header("Content-Type", MSGPACK)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self._server = Server(self._path, Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class Sniffer:
    """The shipped sniffer in the node's namespace, with the log in a file."""

    def __init__(self, folder: pathlib.Path, url: str) -> None:
        self._log = folder / "log"
        argv = [sys.executable, "-m", "network_mapper", "sniffer", "--mapper-url", url, "--wire", "native"]
        argv += ["--node", "node-1", "--no-enable-sockets"]
        with self._log.open("wb") as log:
            self.process = netns.spawn(NODE, argv, stderr=log)
        deadline = time.monotonic() + 20
        while b"watching" not in self._log.read_bytes():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def log(self) -> str:
        return self._log.read_text()

    def peak(self) -> float:
        """The largest resident set so far, in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log()


@pytest.fixture
def watched(node):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hostile-", dir="/run"))
    door = Door(folder)
    sniffer = Sniffer(folder, door.url)
    yield sniffer, door
    if sniffer.process.poll() is None:
        sniffer.process.kill()
        sniffer.process.wait()
    door.close()
    shutil.rmtree(folder)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def syn(source: bytes, target: bytes, port: int, number: int) -> bytes:
    """A SYN as Linux sends it, with timestamps."""
    options = struct.pack("!HHHBBIIBBH", 0x0204, 1460, 0x0402, 8, 10, number, 0, 1, 3, 0x0307)
    head = struct.pack("!HHIIBBHHH", 1024 + number % 60_000, port, number, 0, 0xA0, 2, 64240, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, 6, 40)
    check = struct.pack("!H", checksum(pseudo + head + options))
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 60, 0, 0x4000, 64, 6, 0) + source + target
    return ip + head[:16] + check + head[18:] + options


def raw(where: str, packets) -> None:
    """Send crafted IP packets, some ten thousand a second, as the ring has room for."""

    def body() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as endpoint:
            for number, packet in enumerate(packets):
                endpoint.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
                if number % 200 == 199:
                    time.sleep(0.02)

    netns.call(where, body)


def scan() -> None:
    """One SYN to each of many addresses of a /16."""
    me = socket.inet_aton(address_of(SCANNER))
    raw(SCANNER, (syn(me, bytes([10, 66, n >> 8, n & 255]), 80, n) for n in range(SCANNED)))


def flood() -> None:
    """One SYN each from many addresses to a pod."""
    target = socket.inet_aton(address_of(GOOD[0]))
    raw(OUTSIDE, (syn(bytes([60 + n % 4, n >> 16, n >> 8 & 255, n & 255]), target, 81, n) for n in range(FORGED)))


def ask() -> None:
    """Ten thousand questions a second for names that nobody has asked for."""

    def body() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
            endpoint.bind((address_of(ASKER), 0))
            for number in range(QUESTIONS):
                name = f"x{number * 7919 % 1_000_003:07d}".encode()
                question = struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0)
                question += bytes([len(name)]) + name + b"\x07example\x00\x00\x01\x00\x01"
                endpoint.sendto(question, (SERVER_IP, 53))
                if number % 100 == 99:
                    time.sleep(0.01)

    netns.call(ASKER, body)


def knock(seconds: float) -> collections.Counter[tuple[str, str, int]]:
    """Each good pod knocks at a port that never answers, and the kernel knocks again after one, three and seven."""
    made: collections.Counter[tuple[str, str, int]] = collections.Counter()

    def body(pod: str) -> None:
        endpoints = [socket.socket() for _ in range(5)]
        for endpoint in endpoints:
            endpoint.setblocking(False)
            endpoint.connect_ex((SERVER_IP, SILENT))
            made["attempts", address_of(pod), SILENT] += 1
        time.sleep(seconds)
        for endpoint in endpoints:
            endpoint.close()

    _everybody(body)
    return made


def _everybody(body) -> None:
    threads = [threading.Thread(target=netns.call, args=(pod, body, pod)) for pod in GOOD]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def behave(rounds: int) -> collections.Counter[tuple[str, str, int]]:
    """Each good pod opens connections to two ports, and is refused at a third; what it did, by kind and port."""
    made: collections.Counter[tuple[str, str, int]] = collections.Counter()

    def body(pod: str) -> None:
        for _ in range(rounds):
            for port in (8080, 8081, 9):
                with socket.socket() as endpoint:
                    endpoint.settimeout(5)
                    refused = endpoint.connect_ex((SERVER_IP, port)) != 0
                made["attempts" if refused else "connections", address_of(pod), port] += 1
            time.sleep(0.05)

    _everybody(body)
    return made


def told(reports: list[Report]) -> collections.Counter[tuple[str, str, int]]:
    """What the reports say of the good pods."""
    good = {address_of(pod) for pod in GOOD}
    found: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for report in reports:
        for client in report.clients:
            if client.address in good:
                for kind in ("connections", "attempts"):
                    for row in getattr(client, kind):
                        if row.server == SERVER_IP:
                            found[kind, client.address, row.port] += row.count
    return found


def listen(port: int) -> socket.socket:
    """Listen; the kernel accepts connections by itself."""
    return socket.create_server((SERVER_IP, port), backlog=4096)


def test_hostile_neighbours_cost_the_well_behaved_nothing(watched):
    sniffer, door = watched
    listeners = [netns.call(OUTSIDE, listen, port) for port in (8080, 8081)]
    hostile = [threading.Thread(target=each) for each in (scan, flood, ask)]
    for thread in hostile:
        thread.start()
    made = behave(rounds=30) + knock(seconds=8)
    for thread in hostile:
        thread.join()
    late = behave(rounds=5)
    time.sleep(6)
    peak_away = sniffer.peak()
    door.open()
    deadline = time.monotonic() + 60
    while told(door.reports) != made + late:
        assert time.monotonic() < deadline, (made + late - told(door.reports), door.reports[-1].drops)
        time.sleep(0.2)
    peak = sniffer.peak()
    sniffer.end()
    for listener in listeners:
        listener.close()
    last = door.reports[-1]
    print(f"peak {peak_away:.1f} MiB while the mapper was away, {peak:.1f} MiB in all; drops {last.drops}")  # noqa: T201
    assert told(door.reports) == made + late
    assert peak <= MEBIBYTES, f"{peak:.1f} MiB, {peak_away:.1f} while the mapper was away"
    assert imbalances(last.hops, last.drops) == []
    assert Drop.RING_OVERFLOW not in last.drops, "what the ring lost would make this prove nothing"
    assert last.drops[Drop.FOLD_CLIENT_FULL] > 0
    assert not {Drop.FOLD_FULL, Drop.CONNECTION_TABLE_FULL, Drop.PAIRS_FULL, Drop.DNS_TABLE_FULL} & set(last.drops)
    assert address_of(SCANNER) in {each.client for each in last.excess}
    assert f'"client":"{address_of(SCANNER)}"' in sniffer.log()
