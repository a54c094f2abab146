"""The judges of maps on real clusters find what they are to find; they need no cluster."""

from __future__ import annotations

import msgspec
import pytest
from harness import balance
from harness.traffic import Event, wrong
from harness.workloads.visits import Deed, compare

from network_mapper.model import Ambiguous, Edge, Service, ServiceRef, Workload
from network_mapper.testing.truth import TrueEdge
from network_mapper.wire.api import BlindWindow, HopRow

NAMESPACE = "shop"
CART, DESK = (Workload(name, NAMESPACE, "Deployment") for name in ("cart", "desk"))
CART_LABEL, DESK_LABEL = (f"{NAMESPACE}/{name} (Deployment)" for name in ("cart", "desk"))
SERVICE = ServiceRef("desk", NAMESPACE)
EDGES = [
    Edge(CART, DESK, SERVICE, 80, "tcp", connections=2),
    Edge(CART, DESK, SERVICE, 0, "dns", lookups=1),
    Edge(DESK, CART, None, 7000, "tcp", connections=1),
]
DEEDS = [
    Deed(1, "began", CART_LABEL, "", "", 0, "10.0.0.1"),
    *[Deed(at, "connections", CART_LABEL, DESK_LABEL, "shop/desk", 80, "10.96.0.9") for at in (2, 3)],
    Deed(4, "lookups", CART_LABEL, DESK_LABEL, "shop/desk", 0, "desk.shop"),
    Deed(5, "connections", DESK_LABEL, CART_LABEL, "", 7000, "10.0.0.1"),
]
THROUGH = TrueEdge(CART_LABEL, DESK_LABEL, "shop/desk", 80)
EVENTS = [Event("node1", THROUGH, "connections", at, at + 10) for at in (1000, 2000)]


def changed(number, **fields):
    """The map with one edge changed."""
    return [msgspec.structs.replace(edge, **fields) if n == number else edge for n, edge in enumerate(EDGES)]


def window(start, end, node="node1"):
    return BlindWindow(node, start, end, "sniffer_away")


def test_map_of_what_was_done_is_right():
    verdict = compare(DEEDS, EDGES, NAMESPACE)
    assert (verdict.false, verdict.missed) == ([], [])
    assert (verdict.edges, verdict.connections, verdict.lookups) == (3, 3, 1)


@pytest.mark.parametrize(
    ("edges", "false", "missed"),
    [
        pytest.param(changed(2, server=DESK), 1, 1, id="swapped server"),
        pytest.param(changed(0, client=Workload("other", NAMESPACE, "Job")), 1, 1, id="swapped client"),
        pytest.param(changed(0, service=None), 1, 1, id="lost service"),
        pytest.param(changed(0, client=Ambiguous((CART, DESK))), 1, 1, id="ambiguous client"),
        pytest.param(changed(0, connections=4), 1, 0, id="doubled count"),
        pytest.param(changed(0, connections=1), 0, 1, id="lost count"),
        pytest.param(changed(1, lookups=2), 1, 0, id="doubled lookup"),
        pytest.param(EDGES[:2], 0, 1, id="lost edge"),
        pytest.param([*EDGES, Edge(DESK, DESK, None, 1, "tcp", connections=1)], 1, 0, id="edge too much"),
        pytest.param([*EDGES, Edge(DESK, DESK, None, 1, "tcp", sockets=1)], 1, 0, id="socket too much"),
        pytest.param([*EDGES, Edge(DESK, DESK, None, 1, "tcp", attempts=1)], 1, 0, id="attempt too much"),
    ],
)
def test_wrong_edge_is_found(edges, false, missed):
    verdict = compare(DEEDS, edges, NAMESPACE)
    assert (len(verdict.false), len(verdict.missed)) == (false, missed)


def test_open_socket_to_a_service_that_was_dialled_is_right():
    sockets = Edge(CART, Service("desk", NAMESPACE), SERVICE, 80, "tcp", sockets=1)
    assert compare(DEEDS, [*EDGES, sockets], NAMESPACE).false == []
    other = msgspec.structs.replace(sockets, client=DESK)
    assert len(compare(DEEDS, [*EDGES, other], NAMESPACE).false) == 1


def test_what_failed_may_be_an_attempt_once():
    deeds = [*DEEDS, Deed(6, "failed", CART_LABEL, "refused", "shop/desk", 80, "10.96.0.9")]
    assert compare(deeds, changed(0, attempts=1), NAMESPACE).false == []
    assert len(compare(deeds, changed(0, attempts=2), NAMESPACE).false) == 1


def test_what_nobody_answered_to_may_be_a_connection_once():
    deeds = [*DEEDS, Deed(6, "unanswered", CART_LABEL, "", "shop/desk", 80, "10.96.0.9")]
    assert compare(deeds, changed(0, connections=3), NAMESPACE).false == []
    assert len(compare(deeds, changed(0, connections=4), NAMESPACE).false) == 1


@pytest.mark.parametrize(
    ("count", "windows", "sentences"),
    [
        (2, [], 0),
        (1, [], 1),
        (3, [], 1),
        (3, [window(0, 5000)], 1),
        (1, [window(1500, 2500)], 0),
        (0, [window(1500, 2500)], 1),
        (1, [window(1500, 2500, "node2")], 1),
        (1, [window(2005, 2006)], 0),
        (1, [window(2011, 3000)], 1),
        (0, [window(500, 0)], 0),
    ],
)
def test_events_may_be_missing_in_blind_windows_of_their_node_alone(count, windows, sentences):
    edge = msgspec.structs.replace(EDGES[0], connections=count)
    assert len(wrong(EVENTS, [edge] if count else [], windows, NAMESPACE)) == sentences


def test_connection_in_a_blind_window_may_count_as_one_that_dialled_the_pod():
    straight = TrueEdge(CART_LABEL, DESK_LABEL, "", 7000)
    events = [*EVENTS, Event("node1", straight, "connections", 3000, 3010)]
    edges = [
        msgspec.structs.replace(EDGES[0], connections=1),
        msgspec.structs.replace(EDGES[0], service=None, port=7000, connections=2),
    ]
    assert wrong(events, edges, [window(1500, 2500)], NAMESPACE) == []
    assert len(wrong(events, edges, [], NAMESPACE)) == 2


def test_edge_of_no_event_is_wrong():
    assert len(wrong(EVENTS, EDGES[:2], [], NAMESPACE)) == 1


class Sheet(msgspec.Struct):
    """As much of a status as the judge of balances asks for."""

    accounting: list[HopRow]
    sniffers: list[object] = []


def test_sheet_that_balances_is_right():
    rows = [
        HopRow("intake", "observations", 9, 7, 0, {"before_reset": 2}),
        HopRow("resolve", "observations", 7, 5, 1, {"loopback": 1}),
        HopRow("graph", "observations", 5, 5, 0, {}),
    ]
    assert balance.unbalanced(Sheet(rows)) == []
    assert balance.torn(Sheet(rows)) == []
    assert balance.lost(Sheet(rows)) == {}


def test_swallowed_observation_unknown_reason_and_torn_hops_are_found():
    rows = [
        HopRow("intake", "observations", 9, 8, 0, {}),
        HopRow("resolve", "observations", 7, 5, 0, {"other": 1, "client_unknown": 1}),
        HopRow("graph", "observations", 5, 6, -1, {}),
    ]
    assert len(balance.unbalanced(Sheet(rows))) == 3
    assert len(balance.torn(Sheet(rows))) == 1
    assert balance.lost(Sheet(rows)) == {"client_unknown": 1}
