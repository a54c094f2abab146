from __future__ import annotations

import ipaddress

import pytest
from kube import (
    apply,
    decoded,
    delete,
    end,
    endpoint_slice,
    instant,
    node,
    obj,
    owned_by,
    pod,
    replica_set,
    service,
    time,
)

from network_mapper.cluster.index import FOREVER, MISSING, OUTSIDE, Claim, Contested, Index
from network_mapper.cluster.objects import POD, Owner, OwnerMeta
from network_mapper.model import Workload

LATER = instant(50)
WEB = Workload("web", "shop", "Deployment")


@pytest.fixture
def index():
    return Index()


def web(*ips, name="web-1-x", **more):
    return pod(name, *ips, **owned_by("ReplicaSet", "web-1"), **more)


def workload_at(index, address, when=LATER):
    return index.at(address, when).owner.workload


# Addresses


class TestMayBeTold:
    """Whether an address may turn out to be somebody's."""

    def test_an_address_beside_a_pod_may_and_one_outside_may_not(self, index):
        apply(index, web("10.0.0.1"))
        assert index.may_be_told("10.0.0.2", LATER)
        assert not index.may_be_told("198.51.100.7", LATER)

    def test_one_that_somebody_has_or_had_later_may_not(self, index):
        apply(index, web("10.0.0.1", start=5))
        assert not index.may_be_told("10.0.0.1", LATER)
        assert not index.may_be_told("10.0.0.1", instant(1))

    def test_one_that_was_given_back_may_from_that_moment_on(self, index):
        apply(index, pod("job-1", "10.0.0.1", ended=5))
        assert not index.may_be_told("10.0.0.1", instant(5.999))  # times of the API are whole seconds
        assert index.may_be_told("10.0.0.1", instant(6))

    def test_the_nodes_own_address_among_its_pods_may_not(self, index):
        apply(index, node("n1", "192.168.0.1", podCIDR="10.0.0.0/24", podCIDRs=["10.0.0.0/24"]))
        assert not index.may_be_told("10.0.0.1", LATER)
        assert index.may_be_told("10.0.0.2", LATER)

    def test_the_api_servers_among_the_pods_may_not(self, index):
        kubernetes, ends = (
            service("kubernetes", "10.96.0.1"),
            endpoint_slice("kubernetes", "kubernetes", end("10.0.0.9")),
        )
        kubernetes["metadata"]["namespace"] = ends["metadata"]["namespace"] = "default"
        apply(index, web("10.0.0.1"), kubernetes, ends)
        assert not index.may_be_told("10.0.0.9", LATER)


def test_a_pod_owns_all_its_addresses_of_both_families(index):
    apply(index, web("10.0.0.1", "FD00:0:0::1"))
    assert index.at("10.0.0.1", LATER).owner is index.at("fd00::1", LATER).owner


def test_a_pod_without_pod_ips_owns_its_pod_ip(index):
    item = web()
    item["status"] |= {"podIPs": None, "podIP": "10.0.0.1"}
    assert apply(index, item).at("10.0.0.1", LATER)


def test_nobody_owns_an_address_before_its_pod_started(index):
    apply(index, web("10.0.0.1", start=5))
    assert index.at("10.0.0.1", instant(4.999)) is None
    assert index.at("10.0.0.1", instant(5)) is not None


def test_a_pod_that_waited_for_its_place_does_not_own_its_address_from_its_creation(index):
    apply(index, pod("first", "10.0.0.1", ended=10), web("10.0.0.1", start=20))
    assert index.at("10.0.0.1", instant(5)).owner.name == "first"


def test_a_pod_without_start_time_owns_its_address_from_its_creation(index):
    item = web("10.0.0.1", creationTimestamp=time(5))
    del item["status"]["startTime"]
    assert apply(index, item).at("10.0.0.1", LATER).start == instant(5)


def test_a_static_pod_runs_before_its_mirror_is_created(index):
    mirror = owned_by("Node", "n1", "v1")
    apply(index, pod("dns-n1", "10.0.0.1", start=3, creationTimestamp=time(9), **mirror))
    apply(index, pod("log-n1", "10.0.0.2", start=9, creationTimestamp=time(3), **mirror))
    assert [index.at(f"10.0.0.{n}", LATER).start for n in (1, 2)] == [instant(3)] * 2


def test_a_finished_pod_owns_its_address_until_the_end_of_its_last_containers_second(index):
    item = web("10.0.0.1", ended=7)
    item["status"]["initContainerStatuses"] = [{"state": {"terminated": {"finishedAt": time(3)}}}]
    apply(index, item)
    assert index.at("10.0.0.1", instant(7.999)) is not None
    assert index.at("10.0.0.1", instant(8)) is None


def test_a_pod_that_is_being_deleted_owns_its_address(index):
    assert apply(index, web("10.0.0.1", deletionTimestamp=time(9))).at("10.0.0.1", LATER).end == FOREVER


def test_an_address_that_is_used_again_has_an_owner_for_each_time(index):
    apply(index, pod("old", "10.0.0.1", ended=10), web("10.0.0.1", start=20))
    assert index.at("10.0.0.1", instant(5)).owner.name == "old"
    assert index.at("10.0.0.1", instant(15)) is None
    assert index.at("10.0.0.1", instant(25)).owner.name == "web-1-x"
    assert index.problems.lines() == []


def test_within_the_same_second_both_owners_are_possible(index):
    apply(index, pod("old", "10.0.0.1", ended=10), web("10.0.0.1", start=10))
    assert isinstance(index.at("10.0.0.1", instant(10.5)), Contested)
    assert index.at("10.0.0.1", instant(9.999)).owner.name == "old"


def test_an_answer_holds_only_until_the_next_claim_begins(index):
    apply(index, pod("old", "10.0.0.1", ended=10), web("10.0.0.1", start=10))
    answer = index.at("10.0.0.1", instant(3))
    assert (answer.start, answer.end) == (instant(0), instant(10))
    assert index.at("10.0.0.1", LATER).start == instant(11)


def test_two_living_pods_on_one_address_contest_it_and_are_a_problem_while_they_do(index):
    other = pod("other", "10.0.0.1", start=4)
    apply(index, web("10.0.0.1"), other)
    answer = index.at("10.0.0.1", LATER)
    assert [owner.name for owner in answer.owners] == ["web-1-x", "other"]
    assert index.problems.lines() == ["address 10.0.0.1: claimed by shop/web-1-x, shop/other"]
    delete(index, other)
    assert index.at("10.0.0.1", LATER).owner.name == "web-1-x"
    assert index.problems.lines() == []


def test_many_pods_on_one_address_make_one_short_line(index):
    apply(index, *(pod(f"p{number}", "10.0.0.1") for number in range(50)))
    assert len(index.at("10.0.0.1", LATER).owners) == 50
    assert index.problems.lines() == ["address 10.0.0.1: claimed by shop/p0, shop/p1, shop/p10 and others"]


def test_a_pod_with_a_new_address_gives_up_the_old_one(index):
    apply(index, web("10.0.0.1"), web("10.0.0.2"))
    assert index.at("10.0.0.1", LATER) is None
    assert workload_at(index, "10.0.0.2") == Workload("web-1", "shop", "ReplicaSet")


def test_a_service_owns_cluster_external_and_balancer_addresses(index):
    item = service("web", "10.96.0.1", "fd00::96", externalIPs=["203.0.113.1"])
    item["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.2"}, {"hostname": "lb.example.org"}]}}
    apply(index, item)
    for address in ("10.96.0.1", "fd00::96", "203.0.113.1", "203.0.113.2"):
        assert index.at(address, LATER).owner.name == "web"


def test_a_headless_service_owns_nothing(index):
    apply(index, service("web", "None", clusterIP="None"))
    assert index.name("web.shop.svc.cluster.local", LATER).addresses == ()
    assert index.problems.lines() == []


def test_a_host_network_pod_is_listed_under_its_node_and_owns_nothing(index):
    agent = pod("agent", "192.168.0.1", spec={"hostNetwork": True})
    apply(index, agent, node("n1", "192.168.0.1"))
    found = index.at("192.168.0.1", LATER).owner
    assert found.name == "n1"
    assert [each.name for each in found.host_pods] == ["agent"]
    delete(index, agent)
    assert index.at("192.168.0.1", LATER).owner.host_pods == ()


def test_a_node_speaks_from_an_address_that_services_share(index):
    apply(index, node("n1", "192.168.0.1"), service("web", "10.96.0.1", externalIPs=["192.168.0.1"]))
    assert index.at("192.168.0.1", LATER).owner.name == "n1"


def test_the_port_decides_which_service_of_a_shared_address_is_dialled(index):
    shared = {"externalIPs": ["192.168.0.1"]}
    apply(index, node("n1", "192.168.0.1"), service("web", port=80, **shared), service("db", port=5432, **shared))
    assert index.dialled("192.168.0.1", 80, "tcp", LATER).owner.name == "web"
    assert index.dialled("192.168.0.1", 5432, "tcp", LATER).owner.name == "db"
    assert index.dialled("192.168.0.1", 5432, "udp", LATER).owner.name == "n1"


def test_a_service_alone_on_its_address_is_dialled_on_any_port(index):
    assert apply(index, service("web", "10.96.0.1")).dialled("10.96.0.1", 9999, "tcp", LATER).owner.name == "web"


def test_addresses_inside_the_blocks_of_pods_and_services_are_known(index):
    cidr = obj("ServiceCIDR", "main", None, "networking.k8s.io/v1", spec={"cidrs": ["10.96.0.0/16", "fd00:96::/108"]})
    items = [node("n1", podCIDRs=["10.0.0.0/24"]), node("n2", podCIDRs=["10.0.1.0/24", "fd00::/64"]), cidr]
    apply(index, *items)
    inside = {
        text: index.is_inside(ipaddress.ip_address(text)) for text in ("10.0.0.0", "10.0.1.255", "10.96.7.1", "fd00::5")
    }
    assert all(inside.values()), inside
    for text in ("9.255.255.255", "10.0.2.0", "10.97.0.0", "fd00:0:0:1::", "::1"):
        assert not index.is_inside(ipaddress.ip_address(text))
    delete(index, items[1])
    assert not index.is_inside(ipaddress.ip_address("10.0.1.255"))


def test_a_node_has_the_first_two_addresses_of_its_pods_blocks(index):
    apply(index, node("n1", "192.168.0.1", podCIDRs=["10.0.0.0/24", "fd00::/64"]))
    for address in ("10.0.0.0", "10.0.0.1", "fd00::", "fd00::1"):
        assert index.at(address, LATER).owner.name == "n1"
        assert index.dialled(address, 8080, "tcp", LATER).owner.name == "n1"
    for address in ("10.0.0.2", "10.0.1.1", "fd00::2"):
        assert index.at(address, LATER) is None


def test_a_pod_with_such_an_address_has_it_also_when_it_is_gone(index):
    item = web("10.0.0.1")
    apply(index, node("n1", podCIDRs=["10.0.0.0/24"]), item)
    assert workload_at(index, "10.0.0.1").name == "web-1"
    index.delete("Pod", "shop", item["metadata"]["name"], LATER + 5000)
    assert workload_at(index, "10.0.0.1").name == "web-1"
    assert index.at("10.0.0.1", LATER + 10_000) is None


def test_a_block_of_two_addresses_or_less_has_no_bridge(index):
    apply(index, node("n1", podCIDRs=["10.0.0.0/31", "10.0.0.5/32"]))
    for address in ("10.0.0.0", "10.0.0.1", "10.0.0.5"):
        assert index.at(address, LATER) is None


def test_a_node_whose_blocks_begin_alike_is_one_owner_of_their_addresses(index):
    apply(index, node("n1", podCIDRs=["10.0.0.0/24", "10.0.0.0/25"]))
    assert index.at("10.0.0.1", LATER).owner.name == "n1"


def test_a_node_that_leaves_takes_the_address_of_its_bridge_along(index):
    told = []
    index.on_change = told.append
    item = node("n1", podCIDRs=["10.0.0.0/24"])
    apply(index, item)
    assert {"10.0.0.0", "10.0.0.1"} <= set(told)
    told.clear()
    delete(index, item)
    assert {"10.0.0.0", "10.0.0.1"} <= set(told)
    assert index.at("10.0.0.1", LATER) is None


# Who a pod is


def test_a_pod_is_the_root_of_its_owners(index):
    apply(index, replica_set("web-1", "web"), web("10.0.0.1"))
    assert workload_at(index, "10.0.0.1") == WEB


def test_owners_seen_after_the_pod_rename_it(index):
    apply(index, web("10.0.0.1"), replica_set("web-1", "web"))
    assert workload_at(index, "10.0.0.1") == WEB
    assert index.workloads() == [(WEB, 1, {})]


def test_owners_deleted_before_the_pod_do_not_rename_it(index):
    apply(index, replica_set("web-1", "web"), web("10.0.0.1"))
    delete(index, replica_set("web-1", "web"))
    apply(index, web("10.0.0.1", labels={"a": "b"}))
    assert workload_at(index, "10.0.0.1") == WEB


def test_a_bare_pod_is_itself(index):
    assert workload_at(apply(index, pod("tool", "10.0.0.1")), "10.0.0.1") == Workload("tool", "shop", "Pod")


def test_a_static_pod_is_itself_without_its_nodes_name(index):
    apply(index, pod("etcd-n1", "10.0.0.1", **owned_by("Node", "n1", "v1")))
    assert workload_at(index, "10.0.0.1") == Workload("etcd", "shop", "Pod")


def test_a_pod_owned_by_a_pod_is_what_that_pod_is(index):
    driver = pod("driver", "10.0.0.1", **owned_by("SparkApplication", "sum", "sparkoperator.k8s.io/v1"))
    apply(index, pod("executor", "10.0.0.2", **owned_by("Pod", "driver", "v1")), driver)
    assert workload_at(index, "10.0.0.2") == Workload("sum", "shop", "SparkApplication")


def test_kinds_of_one_name_in_two_groups_are_two_kinds(index):
    knative = obj("Service", "fn", api_version="serving.knative.dev/v1", meta=owned_by("App", "app", "example.org/v1"))
    apply(index, pod("p", "10.0.0.1", **owned_by("Service", "fn", "serving.knative.dev/v1")), knative, service("fn"))
    assert workload_at(index, "10.0.0.1") == Workload("app", "shop", "App")


def test_a_given_name_keeps_the_kind_of_the_root(index):
    given = {"annotations": {"intents.otterize.com/workload-name": "front.end"}}
    apply(index, replica_set("web-1", "web"), web("10.0.0.1", **given))
    assert workload_at(index, "10.0.0.1") == Workload("front.end", "shop", "Deployment")


def test_a_name_given_and_taken_away_again_follows(index):
    apply(
        index, replica_set("web-1", "web"), web("10.0.0.1", labels={"otterize/service-name": "front"}), web("10.0.0.1")
    )
    assert workload_at(index, "10.0.0.1") == WEB


def test_an_empty_name_is_a_problem_until_it_is_mended(index):
    apply(index, replica_set("web-1", "web"), web("10.0.0.1", labels={"otterize/service-name": ""}))
    assert workload_at(index, "10.0.0.1") == WEB
    assert index.problems.lines() == ["Pod shop/web-1-x: label otterize/service-name is empty"]
    apply(index, web("10.0.0.1"))
    assert index.problems.lines() == []


def test_owners_in_a_circle_name_one_of_them(index):
    apply(
        index,
        replica_set("web-1", "web"),
        obj("Deployment", "web", api_version="apps/v1", meta=owned_by("ReplicaSet", "web-1")),
    )
    apply(index, web("10.0.0.1"))
    assert workload_at(index, "10.0.0.1") == WEB


def test_long_and_dotted_names_are_kept(index):
    name = "a.b" * 84
    apply(index, pod("p", "10.0.0.1", **owned_by("Widget", name, "example.org/v1")))
    assert workload_at(index, "10.0.0.1").name == name


def test_workloads_count_living_pods_and_show_the_newest_ones_labels(index):
    apply(
        index,
        replica_set("web-1", "web"),
        web(name="a", labels={"v": "1"}),
        web(name="b", labels={"v": "2"}, start=9),
        web(name="c", ended=3),
        pod("job", ended=3, **owned_by("Job", "job", "batch/v1")),
    )
    assert index.workloads() == [(Workload("job", "shop", "Job"), 0, {}), (WEB, 2, {"v": "2"})]
    assert index.pods_of(WEB) == 2
    assert index.pods_of(Workload("no", "shop", "Job")) == 0
    assert index.counts().items() >= {"pods": 4, "services": 0, "nodes": 0, "workloads": 2}.items()


def test_pods_of_one_owner_share_equal_labels(index):
    apply(index, web("10.0.0.1", name="a", labels={"app": "web"}), web("10.0.0.2", name="b", labels={"app": "web"}))
    first, second = (index.at(f"10.0.0.{n}", LATER).owner for n in (1, 2))
    assert first.labels is second.labels


# Services


def backends(index, name="web"):
    return [workload.name for workload in index.name(f"{name}.shop.svc.cluster.local", LATER).backends]


def test_all_endpoints_count_ready_or_not(index):
    slices = endpoint_slice(
        "web-a", "web", end("10.0.0.2", "b"), end("10.0.0.1", "a") | {"conditions": {"ready": False}}
    )
    apply(index, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), service("web", "10.96.0.1"), slices)
    assert backends(index) == ["a", "b"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_pods_slices_and_services_may_come_in_any_order(index, order):
    items = [web("10.0.0.1"), service("web", "10.96.0.1"), endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x"))]
    apply(index, *(items[number] for number in order))
    assert backends(index) == ["web-1"]


def test_backends_follow_slices_pods_and_owners(index):
    ends = endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x"))
    apply(index, web("10.0.0.1"), service("web"), ends)
    assert backends(index) == ["web-1"]
    apply(index, replica_set("web-1", "web"))
    assert backends(index) == ["web"]
    delete(index, ends)
    assert backends(index) == []
    apply(index, ends)
    delete(index, web())
    assert backends(index) == []


def test_a_selectorless_service_with_plain_addresses_has_the_pods_that_own_them(index):
    apply(index, web("10.0.0.1"), service("web"), endpoint_slice("web-a", "web", end("10.0.0.1"), end("203.0.113.9")))
    assert backends(index) == ["web-1"]
    apply(index, web("10.0.0.2"))
    assert backends(index) == []


def test_slices_for_a_missing_service_wait_for_it(index):
    apply(index, web("10.0.0.1"), endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x")))
    assert index.name("web.shop.svc.cluster.local", LATER) is MISSING
    assert backends(apply(index, service("web"))) == ["web-1"]


def test_endpoints_count_only_where_there_are_no_slices(index):
    old = obj(
        "Endpoints", "web", subsets=[{"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}]}]
    )
    apply(index, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), pod("c", "10.0.0.3"), service("web"), old)
    assert backends(index) == ["a", "b"]
    new = endpoint_slice("web-a", "web", end("10.0.0.3", "c"))
    assert backends(apply(index, new)) == ["c"]
    delete(index, new)
    assert backends(index) == ["a", "b"]


def test_a_slice_of_host_names_has_no_addresses(index):
    apply(index, service("web"), endpoint_slice("web-a", "web", end("db.example.org"), addressType="FQDN"))
    assert backends(index) == []
    assert index.problems.lines() == []


def test_a_service_without_ports_or_spec_is_a_service(index):
    apply(index, service("web", ports=None), obj("Service", "bare"))
    assert index.name("web.shop.svc.cluster.local", LATER).ports == ()
    assert index.name("bare.shop.svc.cluster.local", LATER).addresses == ()


def test_the_api_servers_service_is_marked(index):
    apply(index, obj("Service", "kubernetes", "default"), obj("Service", "kubernetes", "shop"))
    assert index.name("kubernetes.default.svc.cluster.local", LATER).is_api_server
    assert not index.name("kubernetes.shop.svc.cluster.local", LATER).is_api_server


# Names


def named(index, name, when=LATER):
    return index.name(f"{name}.cluster.local", when)


def test_a_headless_services_host_is_its_pod(index):
    ends = endpoint_slice("db-a", "db", end("10.0.0.1", "db-0"), end("10.0.0.2", "db-1", hostname="replica"))
    apply(index, pod("db-0", "10.0.0.1"), pod("db-1", "10.0.0.2"), service("db"), ends)
    assert named(index, "db-0.db.shop.svc").name == "db-0"
    assert named(index, "replica.db.shop.svc").name == "db-1"
    assert named(index, "10-0-0-2.db.shop.svc").name == "db-1"
    assert named(index, "db-9.db.shop.svc").name == "db"


def test_a_hosts_pod_that_did_not_live_yet_is_the_service(index):
    ends = endpoint_slice("db-a", "db", end("10.0.0.1", "db-0"))
    apply(index, pod("db-0", "10.0.0.1", start=20), service("db"), ends)
    assert named(index, "db-0.db.shop.svc", instant(10)).name == "db"


def test_a_host_name_of_two_pods_is_the_service(index):
    ends = endpoint_slice("db-a", "db", end("10.0.0.1", "a", hostname="x"), end("10.0.0.2", "b", hostname="x"))
    apply(index, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), service("db"), ends)
    assert named(index, "x.db.shop.svc").name == "db"


def test_an_address_name_is_who_had_the_address_then(index):
    apply(index, pod("old", "10.0.0.1", "fd00::1", ended=10), pod("new", "10.0.0.1", start=20))
    apply(index, service("web"))
    for name in ("10-0-0-1.shop.pod", "10-0-0-1.web.shop.svc"):
        assert named(index, name, instant(5)).name == "old"
        assert named(index, name).name == "new"
    assert named(index, "fd00--1.shop.pod", instant(5)).name == "old"
    assert named(index, "10-0-0-9.shop.pod") is MISSING


def test_a_contested_address_name_is_contested(index):
    apply(index, pod("a", "10.0.0.1"), pod("b", "10.0.0.1"))
    assert len(named(index, "10-0-0-1.shop.pod").owners) == 2


def test_an_external_name_service_leads_outside(index):
    apply(index, service("mail", type="ExternalName", externalName="SMTP.example.org."))
    found = named(index, "mail.shop.svc")
    assert (found.external_name, found.backends, found.addresses) == ("smtp.example.org", (), ())


def test_the_cluster_domain_can_be_another(index):
    own = apply(Index("k8s.example.org."), service("web"))
    assert own.name("web.shop.svc.k8s.example.org", LATER).name == "web"
    assert own.name("web.shop.svc.cluster.local", LATER) is OUTSIDE
    assert index.name("cluster.local", LATER) is MISSING


# Bad input


@pytest.mark.parametrize("kind", ["Pod", "Service", "Endpoints", "Node"])
@pytest.mark.parametrize("meta", [None, {}, {"name": ""}, {"namespace": "shop"}])
def test_an_object_without_a_name_is_passed_over(index, kind, meta):
    index.apply(kind, decoded({"apiVersion": "v1", "kind": kind, "metadata": meta}))
    assert index.counts().items() >= {"pods": 0, "services": 0, "nodes": 0, "workloads": 0}.items()
    assert len(index.problems) == 1


def test_an_object_with_nothing_but_a_name_is_kept(index):
    index.apply(POD, decoded({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}))
    assert index.counts()["pods"] == 1
    assert index.problems.lines() == [
        "Pod default/p: no namespace, taken as default; no readable creationTimestamp, taken as always there"
    ]


@pytest.mark.parametrize("when", ["", "yesterday", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", None])
def test_a_time_that_cannot_be_read_widens_the_span(index, when):
    item = web("10.0.0.1", creationTimestamp=when)
    item["status"]["startTime"] = when
    answer = apply(index, item).at("10.0.0.1", LATER)
    assert (answer.start, answer.end) == (0, FOREVER)
    assert len(index.problems) == 1


def test_an_invalid_address_costs_that_address_only(index):
    apply(index, web("10.0.0.1", "10.0.0.300", "fe80::1%eth0"))
    assert index.at("10.0.0.1", LATER)
    assert "'10.0.0.300' is no IP address; 'fe80::1%eth0' is no IP address" in index.problems.lines()[0]


def test_a_finished_pod_whose_end_is_unknown_is_a_problem(index):
    item = web("10.0.0.1", ended=5)
    item["status"]["containerStatuses"] = None
    assert apply(index, item).at("10.0.0.1", LATER).end == FOREVER
    assert "over, but no container says since when" in index.problems.lines()[0]


def test_huge_labels_are_kept_and_make_no_huge_lines(index):
    labels = {f"key-{n}": "x" * 1000 for n in range(1000)} | {"otterize/service-name": "x" * 100_000}
    apply(index, web("10.0.0.1", labels=labels))
    assert index.at("10.0.0.1", LATER).owner.labels == labels
    assert max(map(len, index.problems.lines())) < 500


def test_problems_are_bounded_and_the_rest_counted(index):
    for number in range(2000):
        apply(index, pod(f"p{number}", "bad"))
    assert len(index.problems.lines()) == 101
    assert index.problems.lines()[-1] == "and 1900 more"


def test_deleting_what_is_unknown_does_nothing(index):
    for kind in ("Pod", "Service", "Node", "Endpoints", "EndpointSlice.discovery.k8s.io", "ReplicaSet.apps"):
        index.delete(kind, "shop", "no")
    assert index.counts()["pods"] == 0


# Changes


def test_changes_are_told_by_address_and_name(index):
    told = []
    index.on_change = told.append
    apply(index, service("web", "10.96.0.1"))
    assert sorted(told) == ["10.96.0.1", "name:web/shop"]
    told.clear()
    apply(index, endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x")))
    assert sorted(told) == ["10.96.0.1", "name:web/shop"]
    told.clear()
    apply(index, web("10.0.0.1"))
    assert sorted(told) == ["10.0.0.1", "10.96.0.1", "name:web/shop"]
    told.clear()
    apply(index, replica_set("web-1", "web"))
    assert sorted(told) == ["10.0.0.1", "10.96.0.1", "name:web/shop"]
    told.clear()
    delete(index, web())
    assert sorted(told) == ["10.0.0.1", "10.96.0.1", "name:web/shop"]


def test_what_did_not_change_is_not_told(index):
    items = [web("10.0.0.1"), service("web", "10.96.0.1"), node("n1", "192.168.0.1"), replica_set("web-1", "web")]
    items.append(endpoint_slice("web-a", "web", end("10.0.0.1", "web-1-x")))
    apply(index, *items)
    told = []
    index.on_change = told.append
    apply(index, *items)
    assert told == []


def test_a_change_is_told_when_it_is_done(index):
    apply(index, web("10.0.0.1"))
    seen = []
    index.on_change = lambda key: seen.append((key, index.at(key, LATER)))
    delete(index, web())
    assert seen == [("10.0.0.1", None)]


def test_the_keys_of_a_name_are_its_service_and_its_address(index):
    assert index.keys_of("web.shop.svc.cluster.local") == ("name:web/shop",)
    assert index.keys_of("10-0-0-1.web.shop.svc.cluster.local") == ("name:web/shop", "10.0.0.1")
    assert index.keys_of("10-0-0-1.shop.pod.cluster.local") == ("10.0.0.1",)
    assert index.keys_of("example.org") == ("host:",)


def test_the_common_answer_is_the_stored_claim(index):
    apply(index, web("10.0.0.1"))
    answer = index.at("10.0.0.1", LATER)
    assert isinstance(answer, Claim)
    assert index.at("10.0.0.1", LATER) is answer


def test_namespaces_come_and_go():
    index = Index()
    for name in ("shop", "web"):
        index.apply("Namespace", Owner(OwnerMeta(name=name)))
    index.delete("Namespace", "", "web")
    assert index.namespaces() == ["shop"]
