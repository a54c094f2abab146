"""The judge finds what is wrong with a map, whatever it is, and nothing where nothing is wrong."""

import pytest
from churn_judge import Key, Made, differences, judge

from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

WEB, SHOP, STOCK = (Workload(name, "shop", "Deployment") for name in ("web", "shop", "stock"))
FRONT = ServiceRef("front", "shop")


def made(client=WEB, server=SHOP, count=1, *, excused=False, port=80, service=None, client_pod="", server_pod=""):
    pods = ("shop", client_pod or f"{client.name}-1"), ("shop", server_pod or f"{server.name}-1")
    return Made(Key(client, server, service, port), *pods, excused, count)


def edge(client=WEB, server=SHOP, count=1, *, port=80, service=None):
    return Edge(client, server, service, port, "tcp", connections=count)


TRUTH = [made(count=3), made(WEB, STOCK, 2), made(SHOP, STOCK, 5, port=8080), made(STOCK, WEB, 4, service=FRONT)]
MAP = [edge(count=3), edge(WEB, STOCK, 2), edge(SHOP, STOCK, 5, port=8080), edge(STOCK, WEB, 4, service=FRONT)]


def counts(verdict):
    return {name: value for name, value in verdict._asdict().items() if value and name not in ("true", "wrong")}


def test_a_right_map_has_nothing_wrong():
    verdict = judge(TRUTH, MAP)
    assert counts(verdict) == {"named": 14}
    assert verdict.wrong == ()


def test_an_owner_that_is_swapped_is_false_and_missed():
    verdict = judge(TRUTH, [edge(SHOP, STOCK, 3), *MAP[1:]])
    assert counts(verdict) == {"named": 11, "false": 3, "missed": 3}
    assert len(verdict.wrong) == 2


def test_a_count_that_is_doubled_is_false():
    assert counts(judge(TRUTH, [edge(count=6), *MAP[1:]])) == {"named": 14, "false": 3}


def test_a_row_that_is_lost_is_missed():
    assert counts(judge(TRUTH, [edge(count=2), *MAP[1:]])) == {"named": 13, "missed": 1}


def test_an_edge_that_is_lost_is_missed():
    assert counts(judge(TRUTH, MAP[1:])) == {"named": 11, "missed": 3}


def test_what_is_lost_in_a_declared_window_is_excused():
    truth = [made(count=2), made(count=1, excused=True), *TRUTH[1:]]
    assert counts(judge(truth, MAP[1:])) == {"named": 11, "missed": 2, "excused": 1}


def test_a_window_excuses_nothing_that_is_false():
    assert counts(judge([made(excused=True)], [edge(SHOP, STOCK)])) == {"false": 1, "excused": 1}


@pytest.mark.parametrize("wrong", [{"port": 81}, {"service": FRONT}])
def test_another_port_or_service_is_another_edge(wrong):
    assert counts(judge([made()], [edge(**wrong)])) == {"false": 1, "missed": 1}


def test_a_swap_within_an_edge_of_the_same_workloads_is_none():
    truth = [made(client_pod="web-1"), made(client_pod="web-2")]
    assert counts(judge(truth, [edge(count=2)])) == {"named": 2}


@pytest.mark.parametrize("peer", [External("10.0.0.0/24"), Node("node1"), Workload("other", "shop", "Deployment")])
def test_a_peer_that_no_pod_is_is_false(peer):
    assert counts(judge([made()], [edge(peer, SHOP)])) == {"false": 1, "missed": 1}
    assert counts(judge([made()], [edge(WEB, peer)])) == {"false": 1, "missed": 1}


def test_a_pod_without_its_owner_is_that_pod():
    assert counts(judge([made(client_pod="web-7")], [edge(Workload("web-7", "shop", ""), SHOP)])) == {"unowned": 1}


def test_a_pod_without_its_owner_is_no_other_pod_of_it():
    truth = [made(client_pod="web-7"), made(server=STOCK, client_pod="web-8")]
    verdict = judge(truth, [edge(Workload("web-8", "shop", ""), SHOP), edge(WEB, STOCK)])
    assert counts(verdict) == {"named": 1, "false": 1, "missed": 1}


@pytest.mark.parametrize("named", ["web-7", "web-8"])
def test_edges_of_a_workload_leave_to_its_pods_what_only_those_can_be(named):
    truth = [made(client_pod="web-7"), made(client_pod="web-8")]
    shown = [edge(), edge(Workload(named, "shop", ""), SHOP)]
    assert counts(judge(truth, shown)) == {"named": 1, "unowned": 1}


def test_edges_of_pods_leave_to_each_other_what_only_one_of_them_can_be():
    truth = [
        made(client_pod="web-7", server_pod="shop-1"),
        made(client_pod="web-7", server_pod="shop-2"),
        made(client_pod="web-8", server_pod="shop-1"),
    ]
    shown = [edge(WEB, Workload("shop-1", "shop", "")), edge(Workload("web-7", "shop", ""), SHOP, 2)]
    assert counts(judge(truth, shown)) == {"unowned": 3}


def test_an_ambiguous_peer_is_one_of_its_candidates():
    assert counts(judge([made()], [edge(Ambiguous((STOCK, WEB)), SHOP)])) == {"ambiguous": 1}


def test_an_ambiguous_peer_without_the_truth_among_its_candidates_is_false():
    assert counts(judge([made()], [edge(Ambiguous((STOCK, SHOP)), SHOP)])) == {"false": 1, "missed": 1}


def test_an_ambiguous_peer_takes_what_certain_edges_leave():
    assert counts(judge([made(count=2)], [edge(Ambiguous((STOCK, WEB)), SHOP), edge(count=2)])) == {
        "named": 2,
        "false": 1,
    }


def test_a_service_is_one_of_the_workloads_behind_it():
    truth, shown = made(service=FRONT), edge(WEB, Service("front", "shop"), service=FRONT)
    assert counts(judge([truth], [shown])) == {"unnamed": 1}


def test_maps_differ_in_counts_and_edges():
    assert differences(MAP, MAP) == []
    assert len(differences(MAP, [edge(count=4), *MAP[1:]])) == 1
    assert len(differences(MAP, MAP[1:])) == 1
