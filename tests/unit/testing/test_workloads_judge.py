"""How a map is compared with what pods did."""

from __future__ import annotations

from harness.workloads import judge
from harness.workloads.judge import Report, Row
from harness.workloads.manifests import call

from network_mapper.model import Edge, External, Node, ServiceRef, Workload
from network_mapper.testing.truth import Numbers, TrueEdge

WEB, DB = "shop/web (Deployment)", "shop/db (Deployment)"
EDGE = TrueEdge(WEB, DB, "shop/db", 80)
NAMED = TrueEdge(WEB, DB, "shop/db", 0)
ROW = Row(name="web calls db", client="shop/web", call=call("db", 80, count=3), edge=EDGE, by_name=NAMED, pods=2)


def _report(pod, connections=3, failures=None, answered=6, client="shop/web", name=ROW.name):
    lookups = {
        "db.shop.svc.cluster.local": {"asked": answered, "answered": answered},
        "db": {"asked": 2, "nxdomain": 2},
    }
    did = {"connections": {"10.0.0.1 80": connections}, "failures": failures or {}, "lookups": lookups}
    return Report(client, pod, "1", {name: did})


def test_what_all_pods_of_a_client_did_is_added_up():
    found = judge.expected([ROW], [_report("web-1"), _report("web-2")])
    assert found == {EDGE: Numbers(connections=6), NAMED: Numbers(lookups=12)}


def test_the_numbers_are_what_was_done_and_not_what_was_planned():
    assert judge.expected([ROW], [_report("web-1", connections=2)])[EDGE] == Numbers(connections=2)


def test_refused_and_silent_connections_are_attempts_and_failed_lookups_are_not():
    failures = {"10.0.0.1 80 refused": 2, "10.0.0.1 80 silent": 1, "lookup: db: no such name": 4}
    assert judge.expected([ROW], [_report("web-1", 0, failures)])[EDGE] == Numbers(attempts=3)


def test_another_client_with_the_same_calls_is_not_counted():
    assert judge.expected([ROW], [_report("other-1", client="shop/other")]) == {}


def test_pods_that_did_as_told_are_no_complaint():
    assert judge.complaints([ROW], [_report("web-1"), _report("web-2")]) == []


def test_a_pod_that_is_silent_or_did_too_little_is_a_complaint():
    found = judge.complaints([ROW], [_report("web-1", 2, {"10.0.0.1 80 refused": 1})])
    assert found == [
        "web calls db: 1 pods of shop/web reported instead of 2",
        "web calls db: shop/web made 2 instead of 3: {'10.0.0.1 80 refused': 1}",
    ]


def test_a_port_that_should_refuse_and_answers_is_a_complaint():
    row = Row(name="closed", client="shop/web", call=call("db", 81, count=2), edge=EDGE, refused=True)
    assert judge.complaints([row], [_report("web-1", 2, name="closed")]) == ["closed: shop/web made 0 instead of 2"]


def test_how_many_pods_of_a_cron_job_there_were_is_known_afterwards():
    assert judge.complaints([ROW], [_report("web-1")], {ROW.name: 1}) == []


def _edge(client, server, **more):
    return Edge(client, server, **{"service": None, "port": 80, "protocol": "tcp", "connections": 1, **more})


def test_edges_of_other_namespaces_are_not_looked_at():
    web, other = Workload("web", "shop", "Deployment"), Workload("web", "elsewhere", "Deployment")
    edges = [
        _edge(web, other),
        _edge(other, web),
        _edge(other, other),
        _edge(Node("n"), web),
        _edge(External("x"), other),
    ]
    assert len(judge.seen(edges, ["shop"])) == 3


def test_lookups_are_compared_beside_connections():
    web, db = Workload("web", "shop", "Deployment"), Workload("db", "shop", "Deployment")
    service = ServiceRef("db", "shop")
    edges = [
        _edge(web, db, service=service, connections=6),
        _edge(web, db, service=service, connections=0, port=0, protocol="dns", lookups=11),
    ]
    wanted = judge.expected([ROW], [_report("web-1"), _report("web-2")])
    (sentence,) = judge.differences(wanted, judge.seen(edges, ["shop"]))
    assert sentence.startswith(f"counted wrongly: {NAMED}: ")
    assert "11 lookups, instead of 0 connections, 0 attempts, 12 lookups" in sentence
