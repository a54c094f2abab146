"""An installation into a cluster that is not as it should be: what is wrong is said, and what can work works.

Each test installs with something missing or refused, reads what people read (Helm's notes, the command line, a pod's
state or log), mends it in the way that is named there, and sees that connections made before are in the map: nobody
lost anything while he waited.
"""

from __future__ import annotations

import contextlib
import sys
import uuid

import pytest
from harness import dns, objects, shells
from harness.parts import Parts, disk
from harness.processes import HarnessError
from harness.release import Release
from harness.town import View

MENDED = 100.0
"""Seconds; controllers of Kubernetes that failed again and again look more and more rarely."""


@pytest.fixture
def name():
    """Name of a namespace of its own."""
    return f"bad-{uuid.uuid4().hex[:8]}"


def values(port, **more):
    """With a port of its own, because sniffers of all installations share those of their node."""
    return {"sniffer": {"healthPort": port, "settings": {"repeatInterval": 3}}, **more}


@contextlib.contextmanager
def installed(cluster, town, name, chosen):
    """An installation, its pods, and what it shows."""
    town.truth.clear()
    with Release(cluster, name, chosen) as release:
        yield release, Parts(release), View(release, town)


def said(process):
    """What a command printed, wherever."""
    return process.stdout + process.stderr


def test_namespace_that_forbids_sniffers_has_a_mapper_that_says_so_until_it_allows_them(cluster, town, name):
    label = "pod-security.kubernetes.io/enforce"
    cluster.admin.create(objects.namespace(name, labels={label: "restricted"}))
    with installed(cluster, town, name, values(19611)) as (release, parts, view):
        cluster.wait_available(name, "network-mapper")  # the mapper is one of the most restricted kind
        assert 'enforces the Pod Security level "restricted"' in release.notes
        remedy = f"kubectl label --overwrite namespace {name} {label}=privileged"
        assert remedy in release.notes
        status = release.cli("status").stdout
        assert remedy in status
        assert f"Without a sniffer: node1, node2 (namespace {name} enforces PodSecurity restricted" in status
        assert remedy in said(release.cli("list"))
        assert not parts.pods("sniffer")
        cluster.kubectl(*remedy.split()[1:])
        view.wait_watched({}, MENDED)
        town.call("node1", "node2", 2)
        view.wait_equal()
        assert not view.status().installation.problems


def test_mapper_without_a_volume_waits_for_it_and_sniffers_keep_what_they_see(cluster, town, name):
    with installed(cluster, town, name, values(19612, persistence={"enabled": True})) as (release, parts, view):
        assert "no default storage class (it has: none). The mapper waits for its volume" in release.notes
        wait_watching(cluster, parts)
        assert "unbound immediate PersistentVolumeClaims" in cluster.kubectl("get", "events", "-n", name)
        told = release.cli("list", check=False)
        assert told.returncode == 1
        assert f"{name}/network-mapper" in told.stderr
        assert "Pending" in told.stderr
        town.call("node1", "node2", 3)
        town.call("node2", "node2", 2)
        with disk(cluster, "node1", name):
            view.wait_equal(MENDED)
            view.wait_watched({})
            release.remove()


def test_kind_that_may_not_be_read_is_named_with_what_follows_and_is_read_once_it_may(cluster, town, name):
    with installed(cluster, town, name, values(19613)) as (release, parts, view):
        view.wait_watched({})
        role = f"network-mapper.{name}"
        rules = cluster.admin.get("rbac.authorization.k8s.io/v1/clusterroles", None, role)["rules"]
        less = [{**rule, "resources": [kind for kind in rule["resources"] if kind != "replicasets"]} for rule in rules]
        grant(cluster, role, less)
        mapper = parts.mapper()
        parts.delete(mapper)
        parts.wait_replaced(mapper, parts.mapper)
        view.wait_watched({})
        held = town.call("node1", "node2", 1, hold=True)
        view.wait_until_none(lambda: not view.edges(), 30)
        [edge] = view.edges()
        assert (edge.port, edge.connections, edge.client.kind) == (held.port, 1, "ReplicaSet")
        status = release.cli("status").stdout
        assert "replicasets.apps may not be read" in status
        assert '"get", "list", "watch"' in status or "get, list, watch" in status
        grant(cluster, role, rules)
        view.wait_until_none(lambda: view.status().cluster.problems, MENDED)
        town.truth.clear()
        town.call("node1", "node2", 2)
        view.wait_counted()
        town.hang_up()


def test_image_that_cannot_be_pulled_is_named_and_sniffers_keep_what_they_see(cluster, town, name):
    good = values(19614)
    with installed(cluster, town, name, good) as (release, parts, view):
        view.wait_watched({})
        boots = view.boots()
        with pytest.raises(HarnessError, match="context deadline exceeded"):
            release.helm("upgrade", "--wait", "--timeout", "10s", values={**good, "image": {"tag": "mistyped"}})
        # One sniffer is replaced after the other, so the first that fails is the last that is touched.
        [left] = [pod["spec"]["nodeName"] for pod in parts.pods("sniffer") if shells.ready(pod)]
        told = release.cli("list", check=False)
        assert told.returncode == 1
        assert f"{name}/network-mapper" in told.stderr
        assert "ImagePull" in told.stderr
        town.call(left, "node1", 3)
        town.call(left, "node2", 2)
        release.rollback()
        view.wait_equal(MENDED)
        [other] = set(cluster.nodes) - {left}
        view.wait_watched({other: boots[other]})


def test_sniffers_that_cannot_look_up_the_mapper_keep_what_they_see_and_say_so_once(cluster, town, name):
    with dns_away(cluster), installed(cluster, town, name, values(19615)) as (_, parts, view):
        cluster.wait_available(name, "network-mapper")  # it needs no name
        wait_watching(cluster, parts)
        town.call("node1", "node2", 3)
        town.call("node2", "node2", 2)
        sniffer = parts.sniffer("node1")
        log = ["logs", "-n", name, sniffer["metadata"]["name"]]
        cause = f"network-mapper.{name}.svc cannot be looked up"
        cluster.admin.wait("word of it", lambda: cause in cluster.kubectl(*log))
        assert not view.edges()
        scale_dns(cluster, 1)
        view.wait_equal()
        assert cluster.kubectl(*log).count(cause) == 1


def test_two_installations_work_side_by_side_and_say_what_they_share(cluster, town, name):
    other, port = f"{name}-2", 19616
    holder = f"http://network-mapper.{name}.svc:9090"
    with installed(cluster, town, name, values(port)) as (first, _, one):
        one.wait_watched({})
        with Release(cluster, other, values(port)) as second:
            two = View(second, town)
            two.wait_watched({})
            assert f"there is another installation in this cluster: {name}/network-mapper-sniffer" in second.notes
            assert "Give one of them another sniffer.healthPort" in second.notes
            assert any(str(port) in line and holder in line for line in log_of(cluster, second).splitlines())
            boots = two.boots()
            second.helm("upgrade", values=values(port + 1))
            two.wait_watched(boots)
            assert holder not in log_of(cluster, second)
            town.call("node1", "node2", 3)
            town.call("node2", "node1", 2)
            one.wait_equal()
            two.wait_equal()
            for release, stranger in ((first, other), (second, name)):
                told = release.cli("status").stdout
                assert "this cluster has more than one mapper" in told
                assert f"also {stranger}/network-mapper" in told
            asked = cluster.run([sys.executable, "-m", "network_mapper", "list"], check=False)
            assert asked.returncode == 1
            for mapper in (name, other):
                assert f"{mapper}/network-mapper" in asked.stderr
            assert "--mapper-namespace" in asked.stderr


def log_of(cluster, release):
    """What the sniffer on the first node has logged; for a moment after its start nobody can read that."""
    pod = Parts(release).sniffer("node1")["metadata"]

    def log():
        text = cluster.kubectl("logs", "-n", pod["namespace"], pod["name"], check=False)
        return "watching" in text and text

    return cluster.admin.wait("the sniffer's log", log)


def wait_watching(cluster, parts):
    """Wait until the sniffers say in their logs that they watch."""

    def watching():
        logs = [cluster.kubectl("logs", "-n", pod["metadata"]["namespace"], pod["metadata"]["name"], check=False)
                for pod in parts.pods("sniffer")]  # fmt: skip
        return len(logs) == len(cluster.nodes) and all("watching" in log for log in logs)

    cluster.admin.wait("sniffers that watch", watching, 60)


def grant(cluster, role, rules):
    """Let a role have other rules."""
    cluster.admin.patch("rbac.authorization.k8s.io/v1/clusterroles", None, role, {"rules": rules})


def scale_dns(cluster, replicas):
    """Let so many pods of the cluster's DNS run."""
    cluster.admin.patch("deployments", dns.NAMESPACE, dns.NAME, {"spec": {"replicas": replicas}})


@contextlib.contextmanager
def dns_away(cluster):
    """Without the cluster's DNS."""
    scale_dns(cluster, 0)
    try:
        selector = cluster.admin.get("deployments", dns.NAMESPACE, dns.NAME)["spec"]["selector"]["matchLabels"]
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        cluster.admin.wait("end of DNS", lambda: not cluster.admin.list("pods", dns.NAMESPACE, labelSelector=labels))
        yield
    finally:
        scale_dns(cluster, 1)
        cluster.wait_available(dns.NAMESPACE, dns.NAME)
