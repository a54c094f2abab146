"""What the objects of a cluster say of this program's own installation."""

from __future__ import annotations

import msgspec
import pytest

from network_mapper.cluster.index import Index
from network_mapper.cluster.installation import DAEMON_SET, Installation, SnifferSet
from network_mapper.cluster.live.decode import codec
from network_mapper.cluster.objects import NAMESPACE, NODE, POD, SERVICE

OURS = {"app.kubernetes.io/name": "network-mapper"}
SNIFFER = {**OURS, "app.kubernetes.io/component": "sniffer"}
MAPPER = {**OURS, "app.kubernetes.io/component": "mapper"}


class Cluster:
    """Objects on their way, decoded as the live cluster decodes them."""

    def __init__(self) -> None:
        self.index = Index()
        self.installed = Installation(self.index, "maps")

    def put(self, kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None, **rest) -> None:
        meta = {"name": name, "namespace": namespace or None, "uid": name, "labels": labels}
        _, (item,) = codec(kind).page(msgspec.json.encode({"kind": "List", "items": [{"metadata": meta, **rest}]}))
        self.installed.apply(kind, item)

    def level(self, namespace: str, level: str) -> None:
        self.put(NAMESPACE, namespace, labels={"pod-security.kubernetes.io/enforce": level})

    def sniffers(self, desired: int, scheduled: int, ready: int, namespace: str = "maps", **labels: str) -> None:
        status = {
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": scheduled,
            "numberReady": ready,
        }
        self.put(DAEMON_SET, "sniffer", namespace, {**SNIFFER, **labels}, status=status)

    def pod(self, name: str, node: str, phase: str, waits: str = "", namespace: str = "maps") -> None:
        state = {"waiting": {"reason": waits}} if waits else {"running": {}}
        status = {"phase": phase, "containerStatuses": [{"state": state}]}
        self.put(POD, name, namespace, SNIFFER, spec={"nodeName": node}, status=status)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        self.installed.delete(kind, namespace, name, at=1)


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def installed(cluster):
    return cluster.installed


def test_objects_go_on_to_the_index(cluster):
    cluster.put(NODE, "n1")
    cluster.put(NAMESPACE, "maps")
    cluster.sniffers(1, 1, 1)
    assert (cluster.index.nodes(), cluster.index.namespaces()) == (["n1"], ["maps"])
    cluster.delete(NODE, "n1")
    assert cluster.index.nodes() == []


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_namespace_that_refuses_the_sniffers_is_a_problem_with_its_remedy(cluster, installed, level):
    cluster.level("maps", level)
    cluster.sniffers(2, 0, 0)
    (line,) = installed.problems()
    assert f"namespace maps enforces the PodSecurity level {level}" in line
    assert "kubectl label --overwrite namespace maps pod-security.kubernetes.io/enforce=privileged" in line
    assert installed.pod_security == level
    assert installed.reason("n1") == f"namespace maps enforces PodSecurity {level}, which refuses sniffers"


def test_a_namespace_that_lets_them_in_is_none(cluster, installed):
    cluster.level("maps", "restricted")
    cluster.sniffers(2, 2, 2)
    cluster.level("maps", "privileged")
    assert (installed.problems(), installed.pod_security) == ([], "privileged")
    cluster.put(NAMESPACE, "maps")
    assert installed.pod_security == ""


def test_a_level_is_no_problem_where_no_sniffers_are_wanted(cluster, installed):
    cluster.level("maps", "restricted")
    assert installed.problems() == []
    cluster.sniffers(2, 0, 0)
    cluster.delete(DAEMON_SET, "sniffer", "maps")
    assert installed.problems() == []


def test_the_numbers_of_the_daemon_set_are_told_as_they_change(cluster, installed):
    cluster.sniffers(3, 2, 1)
    assert installed.sniffer_sets() == [SnifferSet("maps", "sniffer", 3, 2, 1)]
    cluster.sniffers(3, 3, 3)
    assert installed.sniffer_sets() == [SnifferSet("maps", "sniffer", 3, 3, 3)]


def test_other_daemon_sets_are_not_ours(cluster, installed):
    cluster.put(DAEMON_SET, "logs", "maps", {"app.kubernetes.io/component": "sniffer"})
    assert installed.sniffer_sets() == []


def test_what_loses_its_labels_is_ours_no_more(cluster, installed):
    cluster.sniffers(1, 1, 1)
    cluster.put(SERVICE, "network-mapper", "other", MAPPER, spec={})
    cluster.put(DAEMON_SET, "sniffer", "maps")
    cluster.put(SERVICE, "network-mapper", "other", spec={})
    assert (installed.sniffer_sets(), installed.others()) == ([], [])


def test_a_namespace_that_is_gone_enforces_nothing(cluster, installed):
    cluster.level("maps", "restricted")
    cluster.delete(NAMESPACE, "maps")
    assert installed.pod_security == ""


def test_the_sniffers_of_another_namespace_count_only_where_there_are_none_in_ours(cluster, installed):
    cluster.sniffers(1, 1, 1, namespace="other")
    assert [one.namespace for one in installed.sniffer_sets()] == ["other"]
    cluster.sniffers(1, 1, 1)
    assert [one.namespace for one in installed.sniffer_sets()] == ["maps"]


def test_a_second_mapper_is_told_of(cluster, installed):
    cluster.put(SERVICE, "network-mapper", "maps", MAPPER, spec={})
    assert (installed.others(), installed.problems()) == ([], [])
    cluster.put(SERVICE, "network-mapper", "other", MAPPER, spec={})
    assert installed.others() == ["other/network-mapper"]
    (line,) = installed.problems()
    assert "more than one mapper" in line
    assert "other/network-mapper" in line
    cluster.delete(SERVICE, "network-mapper", "other")
    assert installed.problems() == []


def test_a_mapper_outside_of_the_cluster_counts_all_but_one(cluster):
    cluster.installed.namespace = ""
    cluster.put(SERVICE, "network-mapper", "maps", MAPPER, spec={})
    assert cluster.installed.others() == []
    cluster.put(SERVICE, "network-mapper", "other", MAPPER, spec={})
    assert cluster.installed.others() == ["other/network-mapper"]


def test_very_many_mappers_make_one_short_line(cluster, installed):
    for number in range(300):
        cluster.put(SERVICE, "network-mapper", f"tenant-{number:03}", MAPPER, spec={})
    (line,) = installed.problems()
    assert "and 292 more" in line
    assert len(line) < 400


def test_sniffers_run_on_linux_only(cluster, installed):
    cluster.put(NODE, "w1", labels={"kubernetes.io/os": "windows"})
    cluster.put(NODE, "l1", labels={"kubernetes.io/os": "linux"})
    cluster.put(NODE, "old")
    assert [installed.runs_sniffers(node) for node in ("w1", "l1", "old")] == [False, True, True]
    cluster.delete(NODE, "w1")
    assert installed.runs_sniffers("w1")


class TestWhyANodeHasNoSniffer:
    def test_none_is_installed(self, installed):
        assert installed.reason("n1") == "no DaemonSet of sniffers is installed"

    def test_its_pod_does_not_run(self, cluster, installed):
        cluster.sniffers(2, 2, 1)
        cluster.pod("sniffer-a", "n1", "Pending")
        assert installed.reason("n1") == "its pod maps/sniffer-a is Pending: see kubectl describe pod"

    def test_its_pod_has_no_phase_yet(self, cluster, installed):
        cluster.sniffers(2, 2, 1)
        cluster.put(POD, "sniffer-a", "maps", SNIFFER, spec={"nodeName": "n1"})
        assert installed.reason("n1") == "its pod maps/sniffer-a is Pending: see kubectl describe pod"

    def test_the_pod_there_is_another_mappers(self, cluster, installed):
        cluster.sniffers(2, 1, 1)
        cluster.sniffers(2, 2, 2, namespace="other")
        cluster.pod("sniffer-a", "n1", "Running", namespace="other")
        assert "DaemonSet maps/sniffer has 1 of 2 pods" in installed.reason("n1")

    @pytest.mark.parametrize(("phase", "waits"), [("Pending", "ImagePullBackOff"), ("Running", "CrashLoopBackOff")])
    def test_its_pod_waits_for_something(self, cluster, installed, phase, waits):
        cluster.sniffers(2, 2, 1)
        cluster.pod("sniffer-a", "n1", phase, waits)
        assert installed.reason("n1") == f"its pod maps/sniffer-a is {waits}: see kubectl describe pod"

    def test_its_pod_runs(self, cluster, installed):
        cluster.sniffers(2, 2, 2)
        cluster.pod("sniffer-a", "n1", "Running")
        assert "its pod maps/sniffer-a runs, but does not reach this mapper" in installed.reason("n1")

    def test_its_pod_is_not_made(self, cluster, installed):
        cluster.sniffers(2, 1, 1)
        cluster.pod("sniffer-a", "n2", "Running")
        assert "DaemonSet maps/sniffer has 1 of 2 pods: see kubectl describe daemonset" in installed.reason("n1")

    def test_its_pod_is_gone(self, cluster, installed):
        cluster.sniffers(2, 1, 1)
        cluster.pod("sniffer-a", "n1", "Running")
        cluster.delete(POD, "sniffer-a", "maps")
        assert "has 1 of 2 pods" in installed.reason("n1")

    def test_the_daemon_set_leaves_it_out(self, cluster, installed):
        cluster.sniffers(1, 1, 1)
        cluster.pod("sniffer-a", "n2", "Running")
        assert installed.reason("n1") == "DaemonSet maps/sniffer leaves it out: see its nodeSelector and tolerations"


class TestWatchedNodes:
    """Where a sniffer is, or is about to be."""

    NODES = ("n1", "n2", "n3")

    def test_those_that_have_a_pod(self, cluster, installed):
        cluster.sniffers(2, 2, 1)
        cluster.pod("sniffer-a", "n1", "Running")
        cluster.pod("sniffer-b", "n3", "Pending", "ContainerCreating")
        assert installed.watched(self.NODES) == ["n1", "n3"]

    def test_all_that_can_while_pods_are_being_replaced(self, cluster, installed):
        cluster.put(NODE, "n3", labels={"kubernetes.io/os": "windows"})
        cluster.sniffers(2, 1, 1)
        cluster.pod("sniffer-a", "n1", "Running")
        assert installed.watched(self.NODES) == ["n1", "n2"]

    def test_none_without_sniffers_or_with_those_of_another_mapper(self, cluster, installed):
        assert installed.watched(self.NODES) == []
        cluster.sniffers(3, 3, 3, namespace="others")
        assert installed.watched(self.NODES) == []
