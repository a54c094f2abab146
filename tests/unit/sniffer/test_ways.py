"""Which way of watching is taken, and what is said of it."""

from __future__ import annotations

import errno
import sys

import pytest

from network_mapper.capture import ring, sockets
from network_mapper.sniffer.settings import SnifferSettings
from network_mapper.sniffer.ways import open_ways

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watching is Linux's")

RING, TABLES = object(), object()


@pytest.fixture
def opened(monkeypatch):
    """What the ring and the tables were opened with."""
    arguments = {}

    def note(name: str, made: object):
        def make(*given: object, **named: object) -> object:
            arguments[name] = (*given, *named.values())
            return made

        return make

    monkeypatch.setattr(ring, "RingSource", note("ring", RING))
    monkeypatch.setattr(sockets, "SocketTables", note("tables", TABLES))
    return arguments


def refuse(monkeypatch, error: OSError) -> None:
    def make(**_: object) -> None:
        raise error

    monkeypatch.setattr(ring, "RingSource", make)


def test_packets_are_watched_beside_the_tables(opened):
    assert open_ways(SnifferSettings()) == (RING, TABLES, "packets", "")
    assert opened["tables"] == ("/proc", 300.0)


def test_the_ring_has_the_size_that_is_set(opened):
    open_ways(SnifferSettings(ring_size=123_456))
    assert opened["ring"] == (123_456,)


def test_with_sockets_set_packets_are_not_tried_and_tables_are_read_often(opened):
    assert open_ways(SnifferSettings(capture="sockets")) == (None, TABLES, "sockets", "set to sockets (--capture)")
    assert opened == {"tables": ("/proc", 5.0, 0.003)}


def test_an_interval_that_is_set_is_kept_to(opened):
    open_ways(SnifferSettings(capture="sockets", socket_interval=60))
    assert opened["tables"] == ("/proc", 60)


@pytest.mark.parametrize("options", [{}, {"capture": "sockets"}, {"socket_interval": 60}])
def test_the_tables_are_those_of_the_proc_that_is_set(opened, options):
    open_ways(SnifferSettings(proc_dir="/host/proc", **options))
    assert opened["tables"][0] == "/host/proc"


@pytest.mark.parametrize("unwanted", ["enable_tcp", "enable_dns"])
def test_one_kind_of_rows_is_reason_enough_to_watch_packets(opened, unwanted):
    assert open_ways(SnifferSettings(**{unwanted: False})).capture == "packets"


def test_tables_that_cannot_be_read_leave_the_packets(opened, monkeypatch, caplog):
    def unreadable(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "no such folder")

    monkeypatch.setattr(sockets, "SocketTables", unreadable)
    assert open_ways(SnifferSettings()) == (RING, None, "packets", "")
    assert "socket tables cannot be read" in caplog.text


def test_a_refused_ring_leaves_the_tables_and_is_explained_by_what_to_grant(opened, monkeypatch, caplog):
    refuse(monkeypatch, PermissionError(errno.EPERM, "no"))
    assert open_ways(SnifferSettings()) == (None, TABLES, "sockets", "packets need CAP_NET_RAW")
    assert opened["tables"] == ("/proc", 5.0, 0.003)
    for word in ("CAP_NET_RAW", "setcap cap_net_raw+ep", "securityContext.capabilities.add: [NET_RAW]"):
        assert word in caplog.text


def test_another_reason_is_told_as_it_is(opened, monkeypatch, caplog):
    refuse(monkeypatch, OSError(errno.ENOMEM, "too little memory for the ring"))
    ways = open_ways(SnifferSettings())
    assert (ways.capture, ways.reason) == (
        "sockets",
        "packets cannot be watched on this system: too little memory for the ring",
    )
    assert "too little memory for the ring" in caplog.text


def test_packets_that_nobody_wants_are_not_tried(opened):
    ways = open_ways(SnifferSettings(enable_tcp=False, enable_dns=False))
    assert (ways.packets, ways.capture) == (None, "sockets")
    assert "switched off" in ways.reason


def test_without_tables_there_is_nothing_below_packets(opened, monkeypatch):
    refuse(monkeypatch, PermissionError(errno.EPERM, "no"))
    ways = open_ways(SnifferSettings(enable_sockets=False))
    assert (ways.packets, ways.sockets, ways.capture) == (None, None, "")
