"""Capture files, played to a mapper."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest

from network_mapper.wire.report import SourceState

T = 1_700_000_000
RAW = 101
"""LINKTYPE_RAW: packets begin with their IP header."""


def ipv4(client: int, port: int, number: int, *, answer: bool) -> bytes:
    """A SYN of 10.0.0.<client> to 10.0.9.9, or what answers it."""
    ends = [(bytes([10, 0, 0, client]), 30000 + number % 30000), (bytes([10, 0, 9, 9]), port)]
    (source, source_port), (target, target_port) = reversed(ends) if answer else ends
    sequence, acknowledged = (7, number + 1) if answer else (number, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
    flags = 0x12 if answer else 0x02
    return header + struct.pack("!HHIIBBHHH", source_port, target_port, sequence, acknowledged, 0x50, flags, 1024, 0, 0)


def pcap(packets: list[tuple[float, bytes]]) -> bytes:
    """A capture file (draft-ietf-opsawg-pcap)."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW)]
    for when, packet in packets:
        seconds, micros = divmod(round(when * 1_000_000), 1_000_000)
        parts.append(struct.pack("<IIII", seconds, micros, len(packet), len(packet)) + packet)
    return b"".join(parts)


def connections(client: int, port: int, count: int, start: float = T, apart: float = 0.01) -> list[tuple[float, bytes]]:
    packets = []
    for number in range(count):
        when = start + number * apart
        packets.append((when, ipv4(client, port, number, answer=False)))
        packets.append((when + 0.0005, ipv4(client, port, number, answer=True)))
    return packets


@pytest.fixture
def play(sniffer, tmp_path):
    """Writes captures to files and starts a sniffer on them."""

    def start(*captures: bytes, **settings: object):
        paths = []
        for number, capture in enumerate(captures):
            path = tmp_path / f"{number}.pcap"
            path.write_bytes(capture)
            paths.append(str(path))
        return sniffer(*paths, **{"enable_tcp": True, "enable_dns": True, "proc_dir": "/none"} | settings)

    return start


def counts(mapper) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    for report in mapper.reports():
        for client in report.clients:
            for flow in client.connections:
                key = (client.address, flow.port)
                found[key] = found.get(key, 0) + flow.count
    return found


def test_every_connection_of_every_file_is_reported_once(mapper, play):
    mapper.script = ["later", "cut", "accept", "cut", "later"]
    first = connections(1, 80, 500) + connections(2, 443, 30, start=T + 90, apart=1)
    code, log = play(pcap(first), pcap(connections(3, 5432, 7, start=T - 3600))).end()
    assert code == 0
    assert counts(mapper) == {("10.0.0.1", 80): 500, ("10.0.0.2", 443): 30, ("10.0.0.3", 5432): 7}
    assert "1074 packets" in log
    assert "drops: none" in log


def test_times_are_those_of_the_packets(mapper, play):
    assert play(pcap(connections(1, 80, 2, apart=120))).end()[0] == 0
    reports = [report for report in mapper.reports() if report.clients]
    firsts = [
        report.base + flow.first for report in reports for client in report.clients for flow in client.connections
    ]
    assert firsts == [T * 1000, (T + 120) * 1000]
    assert reports[0].started == T * 1000


def test_the_last_report_holds_the_totals(mapper, play):
    assert play(pcap(connections(1, 80, 3))).end()[0] == 0
    assert mapper.reports()[-1].sources == [SourceState("pcap", 6, 3)]


def test_reports_say_that_they_are_from_a_file(mapper, play):
    assert play(pcap(connections(1, 80, 3))).end()[0] == 0
    assert {(report.capture, report.capture_reason) for report in mapper.reports()} == {("file", "")}


def test_what_is_switched_off_is_not_reported(mapper, play):
    assert play(pcap(connections(1, 80, 3)), enable_tcp=False).end()[0] == 0
    assert counts(mapper) == {}


def test_a_damaged_file_keeps_what_came_before(mapper, play):
    code, log = play(pcap(connections(1, 80, 3))[:-10]).end()
    assert code == 0
    assert sum(counts(mapper).values()) == 2
    assert "file_damaged 1" in log


def test_a_file_that_does_not_exist_is_named_and_the_others_are_played(mapper, sniffer, tmp_path):
    good = tmp_path / "good.pcap"
    good.write_bytes(pcap(connections(1, 80, 3)))
    code, log = sniffer(str(tmp_path / "absent.pcap"), str(good), enable_tcp=True).end()
    assert code == 1
    assert "absent.pcap" in log
    assert counts(mapper) == {("10.0.0.1", 80): 3}


def test_without_a_mapper_playing_gives_up_and_says_so(play, tmp_path):
    code, log = play(pcap(connections(1, 80, 3)), mapper_url=f"unix:{tmp_path}/nobody", replay_patience=0.5).end()
    assert code == 1
    assert "no mapper took a report" in log
    assert "stopped_unsent 1" in log


def test_a_mapper_that_refuses_is_a_failure(mapper, play):
    mapper.script = ["accept", "refuse"]
    code, log = play(pcap(connections(1, 80, 3))).end()
    assert code == 1
    assert "no report door" in log
    assert "report_refused 1" in log


def test_a_slow_mapper_makes_the_file_wait_and_loses_nothing(mapper, play):
    mapper.script = ["later"] * 3
    packets = [
        packet
        for number in range(40_000)
        for packet in connections(number % 250, 1 + number // 250, 1, T + number / 1e4)
    ]
    code, log = play(pcap(packets)).end(60)
    assert code == 0
    assert sum(counts(mapper).values()) == 40_000
    assert "drops: none" in log


def test_a_request_to_stop_ends_playing_from_a_pipe_that_says_nothing(mapper, sniffer, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = sniffer(str(pipe), enable_tcp=True)
    mapper.wait_for(lambda: len(mapper.bodies) >= 1)
    process.terminate()
    assert process.end(5)[0] == 0


def test_with_nothing_to_play_nobody_waits_for_a_mapper(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("no capture at all")
    command = [sys.executable, "-m", "network_mapper", "sniffer", "--mapper-url", f"unix:{tmp_path}/nobody"]
    done = subprocess.run([*command, "--pcap", str(notes)], capture_output=True, text=True, timeout=5, check=False)
    assert done.returncode == 1
    assert "neither pcap nor pcapng" in done.stderr


def test_a_pipe_is_reported_while_it_is_open(mapper, sniffer, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = sniffer(str(pipe), enable_tcp=True)
    with pipe.open("wb") as end:
        end.write(pcap(connections(1, 80, 3)))
        end.flush()
        mapper.wait_for(lambda: counts(mapper))
        process.terminate()
        assert process.end(5)[0] == 0
    assert counts(mapper) == {("10.0.0.1", 80): 3}
