"""The loop of a running sniffer, over sources that do as told."""

from __future__ import annotations

import ctypes
import select
import socket
import sys
import threading
import time

import pytest

from network_mapper.capture import ring, sockets
from network_mapper.capture.source import SourceStats
from network_mapper.http_client import HttpClient, UrlError
from network_mapper.model import Kind, Observation, Tally
from network_mapper.sniffer import live, memory
from network_mapper.sniffer import run as sniffer_run
from network_mapper.sniffer.alarm import Alarm
from network_mapper.sniffer.settings import SnifferSettings
from network_mapper.sniffer.stop import Stop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watching is Linux's")

T = 1_700_000_000_000


def seen(port: int) -> Observation:
    return Observation(Kind.CONNECTIONS, "10.0.0.1", "10.0.0.2", port, "tcp", 1, T, T)


class Scripted:
    """Hands over one observation per read, port by port, and one at the end; fails at the drain it is told to."""

    def __init__(self, name: str, fails_at: int = 0) -> None:
        self.name = name
        self.drains = 0
        self.port = 0
        self._fails_at = fails_at
        self._fresh: list[Observation] = []
        self._wakes, self.wake = socket.socketpair()

    def fileno(self) -> int:
        return self._wakes.fileno()

    def read(self, _now: int) -> None:
        self._wakes.recv(1)
        self.port += 1
        self._fresh.append(seen(self.port))

    def drain(self, _now: int) -> list[Observation]:
        self.drains += 1
        if self.drains == self._fails_at:
            raise OSError("the interface is gone")
        fresh, self._fresh = self._fresh, []
        return fresh

    def flush(self, now: int) -> list[Observation]:
        return [*self.drain(now), seen(9999)]

    def stats(self) -> SourceStats:
        return SourceStats(self.port, self.port, Tally())

    def close(self) -> None:
        self._wakes.close()
        self.wake.close()


@pytest.fixture
def settings():
    return SnifferSettings(report_interval=0.05, enable_sockets=False)


@pytest.fixture
def packets(monkeypatch):
    def install(fails_at: int = 0) -> Scripted:
        source = Scripted("ring", fails_at)
        monkeypatch.setattr(ring, "RingSource", lambda **_: source)
        return source

    return install


def ports(mapper) -> set[int]:
    return {flow.port for report in mapper.reports() for client in report.clients for flow in client.connections}


def in_thread(settings: SnifferSettings, mapper, stop: Stop) -> tuple[threading.Thread, list[int]]:
    codes: list[int] = []
    # A daemon: where a test fails before it asks for the end, the run ends all the same.
    thread = threading.Thread(
        target=lambda: codes.append(live.watch(settings, HttpClient(mapper.url), stop)), daemon=True
    )
    thread.start()
    return thread, codes


def test_what_is_read_is_reported_until_the_end_and_with_the_end_what_was_open(settings, packets, mapper):
    source = packets()
    with Stop() as stop:
        thread, codes = in_thread(settings, mapper, stop)
        source.wake.send(b"1")
        mapper.wait_for(lambda: ports(mapper) == {1})
        source.wake.send(b"1")
        mapper.wait_for(lambda: ports(mapper) == {1, 2})
        stop.request()
        thread.join(5)
    assert codes == [0]
    assert ports(mapper) == {1, 2, 9999}


def test_packets_that_can_no_longer_be_watched_end_the_process_with_an_error(settings, packets, mapper, caplog):
    packets(fails_at=3)
    with Stop() as stop:
        assert live.watch(settings, HttpClient(mapper.url), stop) == 1
    assert "the interface is gone" in caplog.text


def test_socket_tables_that_fail_do_not_stop_the_packets(settings, packets, mapper, monkeypatch):
    source, tables = packets(), Scripted("sockets", fails_at=2)
    tables.rescan = lambda _now: None
    monkeypatch.setattr(sockets, "SocketTables", lambda *_: tables)
    settings.enable_sockets = True
    with Stop() as stop:
        thread, codes = in_thread(settings, mapper, stop)
        mapper.wait_for(lambda: tables.drains >= 2 or bool(mapper.accepted))
        source.wake.send(b"1")
        mapper.wait_for(lambda: ports(mapper) == {1})
        stop.request()
        thread.join(5)
    assert codes == [0]


def test_connecting_is_given_up_sooner_than_an_answer(monkeypatch):
    limits = {}

    def made(_url: str, timeout: float, *, connect_timeout: float) -> None:
        limits.update(answer=timeout, connecting=connect_timeout)
        raise UrlError("not in this test")

    monkeypatch.setattr(sniffer_run, "HttpClient", made)
    assert sniffer_run.run(SnifferSettings(calls_timeout=10)) == 1
    assert limits == {"answer": 10, "connecting": 3}


def test_memory_limits_are_set_where_the_c_library_has_them(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, parameter: int, value: int) -> None:
            calls.append((parameter, value))

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library())
    memory.keep_small()
    assert calls == [(-8, 1), (-3, 65_536), (-1, 131_072)]


def test_a_c_library_without_them_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    memory.keep_small()


class TestForgottenByTheMapper:
    @pytest.fixture
    def tables(self, monkeypatch, settings):
        tables = Scripted("sockets")
        tables.wanted = []
        tables.rescan = tables.wanted.append
        monkeypatch.setattr(sockets, "SocketTables", lambda *_: tables)
        settings.enable_sockets = True
        settings.report_interval = 60
        settings.heartbeat_interval = 0.1
        return tables

    def test_everything_is_handed_over_at_once(self, settings, packets, mapper, tables):
        source = packets()
        with Stop() as stop:
            thread, _ = in_thread(settings, mapper, stop)
            mapper.wait_for(lambda: len(mapper.accepted) >= 2)
            source.wake.send(b"1")
            assert tables.wanted == []
            mapper.epoch = 2
            mapper.wait_for(lambda: ports(mapper) == {1})
            stop.request()
            thread.join(5)
        assert len(tables.wanted) == 1

    def test_a_mapper_that_forgets_with_every_answer_makes_no_more_than_five_turns_a_second(
        self, settings, packets, mapper, tables
    ):
        packets()
        with Stop() as stop:
            thread, _ = in_thread(settings, mapper, stop)
            began = time.monotonic()
            while len(tables.wanted) < 15:
                mapper.epoch += 1
                time.sleep(0.02)
                assert time.monotonic() < began + 20
            turns, took = tables.drains, time.monotonic() - began
            stop.request()
            thread.join(5)
        assert turns <= 2 + 5 * took


def test_an_alarm_rings_once_until_it_is_silenced():
    alarm = Alarm()
    assert not alarm.silence()
    for _ in range(100_000):
        alarm.ring()
    rang = select.select([alarm], [], [], 5)[0]
    while alarm.silence():
        pass
    quiet = select.select([alarm], [], [], 0)[0]
    alarm.close()
    alarm.ring()
    assert (rang, quiet) == ([alarm], [])
