"""How workloads are called, and what can be asked about them."""

from __future__ import annotations

import pytest
from kube import apply, delete, instant, node, obj, owned_by, pod, replica_set, service

from network_mapper.cluster.identity import IdentityKeys
from network_mapper.cluster.index import Index
from network_mapper.cluster.kinds import MOST
from network_mapper.model import Workload

LATER = instant(50)
WEB = Workload("web", "shop", "Deployment")
IMAGES = IdentityKeys(image_names_for_jobs=True)
FOLDED = IdentityKeys(fold_generated_names=True)


@pytest.fixture
def index():
    return apply(Index(), replica_set("web-1", "web"))


def web(*ips, name="web-1-x", **more):
    return pod(name, *ips, **owned_by("ReplicaSet", "web-1"), **more)


def job(*images, name="run-x", **more):
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return pod(name, "10.0.0.1", spec={"containers": containers}, **owned_by("Job", "run-123", "batch/v1"), **more)


def workload(index):
    return index.at("10.0.0.1", LATER).owner.workload


# Images


def test_a_jobs_pods_are_called_by_their_images_where_asked():
    assert workload(apply(Index(keys=IMAGES), job("reg.io/team/app:1", "nginx:1.2"))) == Workload(
        "team/app-nginx", "shop", "Job"
    )
    assert workload(apply(Index(), job("reg.io/team/app:1"))) == Workload("run-123", "shop", "Job")


def test_a_cron_jobs_pods_keep_its_name_whenever_that_is_known():
    index = apply(Index(keys=IMAGES), job("reg.io/team/app:1"))
    owner = obj("Job", "run-123", api_version="batch/v1", meta=owned_by("CronJob", "run", "batch/v1"))
    assert workload(apply(index, owner)) == Workload("run", "shop", "CronJob")


def test_a_deployments_pods_are_not_called_by_their_images():
    index = apply(Index(keys=IMAGES), replica_set("web-1", "web"))
    apply(index, web("10.0.0.1", spec={"containers": [{"name": "c", "image": "reg.io/x:1"}]}))
    assert workload(index) == WEB


def test_a_given_name_stands_above_images():
    index = apply(Index(keys=IMAGES), job("reg.io/app", labels={"otterize/service-name": "mine"}))
    assert workload(index) == Workload("mine", "shop", "Job")
    assert index.is_named(workload(index))


@pytest.mark.parametrize("images", [(), ("",), (None,), (":1",)])
def test_a_job_without_images_keeps_its_name(images):
    assert workload(apply(Index(keys=IMAGES), job(*images))).name == "run-123"


# Generated names


def generated(name, prefix, **more):
    return pod(name, "10.0.0.1", generateName=prefix, **more)


def test_bare_pods_with_generated_names_are_one_workload_where_asked():
    index = apply(Index(keys=FOLDED), generated("task-abc12", "task-"), generated("task-xyz34", "task-"))
    assert index.workloads() == [(Workload("task", "shop", "Pod"), 2, {})]
    assert not index.is_named(Workload("task", "shop", "Pod"))
    assert workload(apply(Index(), generated("task-abc12", "task-"))).name == "task-abc12"


@pytest.mark.parametrize("prefix", ["", "-", "other-", None])
def test_a_prefix_that_says_nothing_leaves_the_name(prefix):
    assert workload(apply(Index(keys=FOLDED), generated("task-abc12", prefix))).name == "task-abc12"


def test_pods_with_an_owner_are_not_folded():
    index = apply(Index(keys=FOLDED), generated("web-1-x", "web-1-", **owned_by("ReplicaSet", "web-1")))
    assert workload(index) == Workload("web-1", "shop", "ReplicaSet")


# Names that are given


def test_a_given_name_is_known_as_such(index):
    apply(index, web("10.0.0.1"), web("10.0.0.2", name="b", labels={"otterize/service-name": "front"}))
    assert index.is_named(Workload("front", "shop", "Deployment"))
    assert not index.is_named(WEB)
    assert not index.is_named(Workload("no", "shop", "Pod"))


def test_names_that_are_no_names_are_counted_while_they_are_there(index):
    bad = {"labels": {"otterize/service-name": ""}}
    other = {"annotations": {"intents.otterize.com/workload-name": "\n"}, "labels": {"otterize/service-name": "ok"}}
    apply(index, web("10.0.0.1", **bad), web("10.0.0.2", name="b", **other), web("10.0.0.1", **bad))
    assert index.names_ignored == 2
    apply(index, web("10.0.0.1"))
    delete(index, web(name="b"))
    assert index.names_ignored == 0


# Kinds


def test_built_in_kinds_have_their_versions(index):
    asked = ("Deployment", "CronJob", "Pod", "StatefulSet")
    assert [index.version_of(kind) for kind in asked] == [
        ("apps", "v1"),
        ("batch", "v1"),
        ("", "v1"),
        ("apps", "v1"),
    ]
    assert index.version_of("Rollout") is None


def test_versions_of_other_kinds_are_learned_from_references(index):
    rollout = owned_by("Rollout", "web", "argoproj.io/v1alpha1")
    apply(index, obj("ReplicaSet", "r", api_version="apps/v1", meta=rollout))
    apply(index, pod("p", **owned_by("PodSet", "p", "example.org/v2")))
    assert index.version_of("Rollout") == ("argoproj.io", "v1alpha1")
    assert index.version_of("PodSet") == ("example.org", "v2")


def test_an_old_version_of_a_built_in_kind_does_not_replace_it(index):
    apply(index, pod("p", **owned_by("CronJob", "p", "batch/v1beta1")))
    assert index.version_of("CronJob") == ("batch", "v1")


@pytest.mark.parametrize("groups", [("a.org/v1", "b.org/v1"), ("b.org/v1", "a.org/v1")])
def test_of_two_groups_the_first_stands_for_a_kind_in_any_order(groups):
    index = apply(Index(), *(pod(f"p{group[0]}", **owned_by("Widget", "w", group)) for group in groups))
    assert index.version_of("Widget") == ("a.org", "v1")


def test_kinds_that_are_learned_are_bounded(index):
    apply(index, *(pod("p", **owned_by(f"Kind{number}", "k", "a.org/v1")) for number in range(MOST + 5)))
    assert index.version_of(f"Kind{MOST - 1}") == ("a.org", "v1")
    assert index.version_of(f"Kind{MOST}") is None
    assert index.owner_kinds_left_out >= 5


# What is known of a workload


def test_labels_are_those_of_the_newest_pod(index):
    apply(index, web(name="a", labels={"v": "1"}), web(name="b", start=9, labels={"v": "2"}))
    assert index.labels_of(WEB) == {"v": "2"}
    delete(index, web(name="b"))
    assert index.labels_of(WEB) == {"v": "1"}
    assert index.labels_of(Workload("no", "shop", "Pod")) == {}


def test_the_workload_of_a_name_is_the_kind_with_the_most_living_pods(index):
    apply(index, *(pod(f"s{number}", **owned_by("StatefulSet", "web")) for number in range(2)), web())
    assert index.workload_named("shop", "web").kind == "StatefulSet"
    apply(index, pod("s0", ended=3, **owned_by("StatefulSet", "web")))
    assert index.workload_named("shop", "web").kind == "StatefulSet"
    apply(index, web(name="b"))
    assert index.workload_named("shop", "web") == WEB
    assert index.workload_named("other", "web") is None
    delete(index, web())
    delete(index, web(name="b"))
    apply(index, pod("d", **owned_by("DaemonSet", "web")), pod("s1", ended=3, **owned_by("StatefulSet", "web")))
    assert index.workload_named("shop", "web").kind == "DaemonSet"


def test_of_equal_kinds_the_first_in_the_alphabet_has_the_name(index):
    apply(index, pod("s", **owned_by("StatefulSet", "web")), pod("d", **owned_by("DaemonSet", "web")))
    assert index.workload_named("shop", "web").kind == "DaemonSet"


def test_services_are_found_by_name(index):
    apply(index, service("web", "10.96.0.1"))
    assert index.service("shop", "web").addresses == ("10.96.0.1",)
    assert index.service("web", "shop") is None
    assert index.backends_of("no", "shop") == ()


# Applications of a mesh

CANONICAL = "service.istio.io/canonical-name"


@pytest.mark.parametrize("label", [CANONICAL, "app.kubernetes.io/name", "app"])
def test_an_application_is_found_by_its_label_before_and_after_it_is_first_asked_for(index, label):
    apply(index, web("10.0.0.1", labels={label: "front"}))
    assert index.application("shop", "front", LATER).name == "web-1-x"
    apply(index, pod("other", labels={label: "back"}))
    assert index.application("shop", "back", LATER).name == "other"
    delete(index, web())
    assert index.application("shop", "front", LATER) is None
    assert index.application("other", "back", LATER) is None


def test_the_stronger_label_names_the_application(index):
    apply(index, web("10.0.0.1", labels={"app": "weak", CANONICAL: "strong"}))
    assert index.application("shop", "strong", LATER) is not None
    assert index.application("shop", "weak", LATER) is None


def test_without_labels_the_workload_names_the_application(index):
    apply(index, web("10.0.0.1"))
    assert index.application("shop", "web", LATER).workload == WEB
    apply(index, web("10.0.0.1", labels={"app": "front"}))
    assert index.application("shop", "web", LATER) is None


def test_the_newest_pod_that_lived_then_stands_for_the_application(index):
    for name, start in (("a", 0), ("b", 10), ("c", 40)):
        apply(index, web(name=name, start=start, labels={"app": "front"}))
    assert index.application("shop", "front", instant(20)).name == "b"


def test_an_application_of_two_workloads_is_not_guessed(index):
    apply(index, web(labels={"app": "front"}), pod("canary", labels={"app": "front"}))
    assert index.application("shop", "front", LATER) is None
    assert [pod.name for pod in index.applications("shop", "front", LATER)] == ["canary", "web-1-x"]


def test_a_pod_that_is_gone_is_found_for_its_time(index):
    apply(index, web("10.0.0.1", labels={"app": "front"}))
    index.delete("Pod", "shop", "web-1-x", instant(20))
    assert index.application("shop", "front", instant(10)).name == "web-1-x"
    assert index.application("shop", "front", instant(20)) is None


# Pods by host name

LONG = "web-" + "x" * 57 + "--.tail"


@pytest.mark.parametrize(
    ("name", "spec", "host", "fits"),
    [
        ("web-0", {}, "web-0", True),
        ("web-0", {}, "web-1", False),
        ("web-0", {}, "", False),
        (LONG, {}, LONG, True),
        (LONG, {}, LONG[:61], True),
        (LONG, {}, LONG[:63], False),
        ("web-0", {"hostname": "front"}, "front", True),
        ("web-0", {"hostname": "front"}, "web-0", True),
        ("web-0", {"hostname": "web-0"}, "web-0", True),
        ("web-0", {"subdomain": "web"}, "web-0.web.shop.svc.cluster.local", True),
        ("web-0", {"subdomain": "web"}, "web-0.web.other.svc.cluster.local", False),
        ("web-0", {}, "web-0.example.org", False),
    ],
)
def test_a_pod_fits_its_host_name(index, name, spec, host, fits):
    apply(index, pod(name, "10.0.0.1", spec=spec))
    assert (index.hosted(host, "10.0.0.1", LATER) is not None) == fits


def test_the_host_name_settles_which_of_several_pods_has_an_address(index):
    apply(index, pod("a", "10.0.0.1"), pod("b", "10.0.0.1"))
    assert index.hosted("b", "10.0.0.1", LATER).name == "b"
    assert index.hosted("c", "10.0.0.1", LATER) is None
    assert index.hosted("b", "10.0.0.2", LATER) is None


def test_the_host_name_holds_for_the_pods_time(index):
    apply(index, pod("a", "10.0.0.1", start=10, ended=20))
    assert [bool(index.hosted("a", "10.0.0.1", instant(second))) for second in (9, 10, 20, 21)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_host_name_finds_a_pod_on_its_nodes_network(index):
    apply(index, node("n1", "192.168.0.1"), pod("agent", "192.168.0.1", spec={"hostNetwork": True}))
    assert index.hosted("agent", "192.168.0.1", LATER).name == "agent"
    assert index.hosted("n1", "192.168.0.1", LATER) is None


def test_pods_of_two_workloads_with_one_host_name_are_not_guessed(index):
    for name in ("a", "b"):
        apply(index, pod(name, "10.0.0.1", spec={"hostname": "same"}))
    assert index.hosted("same", "10.0.0.1", LATER) is None


def test_labels_that_alone_change_are_known_and_cost_no_answer(index):
    apply(index, web("10.0.0.1", labels={"v": "1"}))
    before = index.at("10.0.0.1", LATER).owner
    told = []
    index.on_change = told.append
    apply(index, web("10.0.0.1", labels={"v": "2"}))
    assert index.labels_of(WEB) == {"v": "2"}
    assert index.at("10.0.0.1", LATER).owner is before
    assert told == []


def test_labels_that_name_another_application_are_news(index):
    label = "service.istio.io/canonical-name"
    apply(index, web("10.0.0.1", labels={label: "one"}))
    apply(index, web("10.0.0.1", labels={label: "two"}))
    assert index.application("shop", "one", LATER) is None
    assert index.application("shop", "two", LATER) is not None
