"""The programs of pods, over loopback."""

from __future__ import annotations

import socket
import threading

import pytest

from network_mapper.testing import pod


def _order(port: int, **changes):
    order = {"name": "", "addresses": ["127.0.0.1"], "port": port, "family": 4, "lookup": "udp"}
    return {**order, "count": 3, "rate": 0, "hold": False, **changes}


def _resolver() -> pod.Resolver:
    return pod.Resolver({"4": "127.0.0.1"}, [])


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    servers = pod.Servers([free], None, "cluster.local")
    threading.Thread(target=servers.run, daemon=True).start()
    return free


def _run(order) -> dict[str, dict[str, int]]:
    caller = pod.Caller(order, _resolver())
    caller.start()
    caller.join(10)
    return caller.counts()


def test_a_call_connects_the_known_number_of_times(port):
    assert _run(_order(port)) == {"connections": {f"127.0.0.1 {port}": 3}, "failures": {}}


def test_addresses_are_dialled_in_turn(port):
    counts = _run(_order(port, addresses=["127.0.0.1", "::1"]))
    assert counts["connections"] == {f"127.0.0.1 {port}": 2, f"::1 {port}": 1}


def test_a_refused_connection_is_a_failure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[1]
        assert _run(_order(closed, count=1))["failures"] == {f"127.0.0.1 {closed} refused": 1}


def test_a_held_connection_stays_until_the_call_is_stopped(port):
    caller = pod.Caller(_order(port, count=1, hold=True), _resolver())
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    assert caller.counts()["connections"] == {f"127.0.0.1 {port}": 1}
    caller.stop()
    caller.join(5)
    assert not caller.is_alive()


def test_a_call_without_a_number_goes_on_until_it_is_stopped(port):
    caller = pod.Caller(_order(port, count=0), _resolver())
    caller.start()
    caller.join(0.1)
    caller.stop()
    caller.join(5)
    assert sum(caller.connections.values()) > 3
