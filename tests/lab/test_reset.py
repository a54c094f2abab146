"""After a reset the map shows what is still going on, and only that, within six seconds."""

from __future__ import annotations

import contextlib
import time

import pytest

from network_mapper.http_client import HttpClient
from network_mapper.model import Workload
from network_mapper.testing import topology
from network_mapper.testing.lab import wait_for
from network_mapper.testing.topology import Call, Port, Topology
from network_mapper.testing.topology import Workload as Plan

pytestmark = pytest.mark.lab

BACK = 6.0
"""Seconds after a reset in which every edge that lives is back."""

ENDLESS = 1_000_000


def _pairs(lab) -> set[tuple[str, str]]:
    return {
        (edge.client.name, edge.server.name)
        for edge in lab.mapper.map().edges
        if isinstance(edge.client, Workload)
        and isinstance(edge.server, Workload)
        and (edge.connections or edge.sockets)
    }


def _reset(lab) -> None:
    with contextlib.closing(HttpClient(lab.mapper.socket_url)) as client:
        answer = client.request("POST", "/api/v1/reset", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 200, answer.body


def _seconds_until(lab, wanted: set[tuple[str, str]], since: float) -> dict[tuple[str, str], float]:
    """When each of these edges was back, as long as that takes, at most twice as long as allowed."""
    back: dict[tuple[str, str], float] = {}
    while back.keys() != wanted and time.monotonic() < since + 2 * BACK:
        for pair in wanted & _pairs(lab) - back.keys():
            back[pair] = round(time.monotonic() - since, 2)
        time.sleep(0.05)
    return back


def _cluster() -> Topology:
    """Clients on three nodes, with one connection that stays open or many that end, on the same node and on others."""
    nodes = ("node-1", "node-2", "node-3")
    clients = {
        "holds-far": Call(client="holds-far", server="store", hold=True, connections=1),
        "holds-near": Call(client="holds-near", server="store", hold=True, connections=1, via="pod"),
        "holds-six": Call(client="holds-six", server="store", hold=True, connections=2, family=6),
        "holds-until-then": Call(client="holds-until-then", server="store", hold=True, connections=1),
        "opens": Call(client="opens", server="store", rate=2, connections=ENDLESS),
        "opens-until-then": Call(client="opens-until-then", server="store", rate=20, connections=ENDLESS),
    }
    places = dict(zip(clients, ("node-1", "node-2", "node-3", "node-1", "node-3", "node-2"), strict=True))
    return Topology(
        namespace="shop",
        nodes=nodes,
        workloads=(
            Plan(name="store", ports=(Port(port=5432),), nodes=("node-2",)),
            *(Plan(name=name, service="none", nodes=(places[name],)) for name in clients),
        ),
        calls=tuple(clients.values()),
    )


def test_what_is_open_and_what_is_opened_is_back_in_time_and_what_ended_is_not(build):
    with build(_cluster()) as lab:
        every = {(call.client, "store") for call in lab.plan.topology.calls}
        live = {pair for pair in every if not pair[0].endswith("until-then")}
        lab.traffic.start()
        wait_for("all edges", 20, lambda: _pairs(lab) == every or None)
        for client in ("holds-until-then", "opens-until-then"):
            lab.traffic.stop(client)
        time.sleep(0.2)  # a program notices that it was stopped between two of its connections

        # The heartbeats of a quiet node come every four seconds, so some of these fall right behind one of them; some
        # come so close together that the socket tables were only just read.
        for pause in (0, 1.3, 2.6, 0.5):
            time.sleep(pause)
            began = time.monotonic()
            _reset(lab)
            back = _seconds_until(lab, live, began)
            assert back.keys() == live
            assert max(back.values()) < BACK, back
        _reset(lab)
        time.sleep(1)
        began = time.monotonic()
        _reset(lab)
        back = _seconds_until(lab, live, began)
        assert back.keys() == live
        assert max(back.values()) < BACK, back

        # Two more reports of everybody: what would come back late had its time.
        lab.mapper.settle(quiet=60, seconds=2.5)
        assert _pairs(lab) == live


def test_a_client_that_stopped_is_gone_after_a_reset_and_the_others_stay(build):
    shop = topology.load(topology.BOUTIQUE)
    expected = {(call.client, call.server) for call in shop.calls}
    with build(shop) as lab:
        lab.traffic.start(rate=2)
        wait_for("all edges", 20, lambda: _pairs(lab) == expected or None)

        lab.traffic.stop("checkoutservice")
        lab.mapper.settle(quiet=0.5, seconds=2.5)
        began = time.monotonic()
        done = lab.mapper.run("reset", "--yes")
        assert done.returncode == 0, done.stderr

        remaining = {pair for pair in expected if pair[0] != "checkoutservice"}
        back = _seconds_until(lab, remaining, began)
        assert back.keys() == remaining
        assert max(back.values()) < BACK, back
        # Two more reports of everybody: what would come back late had its time.
        lab.mapper.settle(quiet=60, seconds=2.5)
        assert _pairs(lab) == remaining
