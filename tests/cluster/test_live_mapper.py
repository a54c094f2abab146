"""The mapper on a real API server: it names what really runs, as it comes and goes."""

import collections
import contextlib
import time

import pytest
from harness import objects, pods
from mapper_process import MapperProcess

from network_mapper.wire.report import Client, Flow, Report

pytestmark = pytest.mark.cluster


@pytest.fixture
def mapper(control_plane, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "kubeconfig")
    process = MapperProcess(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    yield process
    assert process.stop()[0] == 0


def eventually(probe, seconds=15):
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def workloads(mapper, namespace):
    rows = mapper.get(f"/api/v1/workloads?namespace={namespace}")["workloads"]
    return {(row["kind"], row["name"]): row["pods"] for row in rows}


SNIFFER = {"labels": {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "sniffer"}}


@pytest.fixture
def sniffers(control_plane, namespace):
    """A DaemonSet of sniffers."""
    made = {**objects.daemon_set(namespace, "sniffer")}
    made["metadata"] = {**made["metadata"], **SNIFFER}
    return control_plane.admin.create(made)


def enforce(control_plane, namespace, level):
    labels = {"pod-security.kubernetes.io/enforce": level}
    control_plane.admin.patch("namespaces", None, namespace, {"metadata": {"labels": labels}})


@pytest.mark.usefixtures("sniffers")
def test_status_tells_of_a_namespace_that_refuses_the_sniffers_until_it_does_not(control_plane, namespace, mapper):
    def problems():
        return [line for line in mapper.get("/api/v1/status")["installation"]["problems"] if namespace in line]

    enforce(control_plane, namespace, "restricted")
    (line,) = eventually(problems)
    assert f"namespace {namespace} enforces the PodSecurity level restricted" in line
    enforce(control_plane, namespace, "privileged")
    eventually(lambda: not problems())


def test_status_tells_how_many_sniffers_are_wanted_there_and_ready(control_plane, namespace, mapper, sniffers):
    numbers = {"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1, "numberMisscheduled": 0}

    def told():
        control_plane.admin.set_status(sniffers, numbers)  # again and again: the controller counts as well
        sets = mapper.get("/api/v1/status")["installation"]["sniffer_sets"]
        return [(one["desired"], one["scheduled"], one["ready"]) for one in sets if one["namespace"] == namespace]

    eventually(lambda: told() == [(3, 2, 1)])


def test_the_api_is_asked_what_it_serves_and_for_one_list_and_one_watch_of_each_kind(control_plane, proxy, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)
    process = MapperProcess(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    watched = {row["kind"] for row in process.get("/api/v1/status")["cluster"]["resources"]}
    eventually(lambda: len(proxy.seen(watch=True)) == len(watched))
    time.sleep(2)  # in which nothing more may be asked
    requests = collections.Counter((request.path, request.watch) for request in proxy.seen())
    assert process.stop()[0] == 0
    discovery = {("/api", False), ("/apis", False)}
    paths = {path for path, _ in requests.keys() - discovery}
    assert set(requests) == discovery | {(path, watch) for path in paths for watch in (False, True)}
    assert set(requests.values()) == {1}
    assert len(paths) == len(watched)
    assert {"/api/v1/pods", "/apis/apps/v1/daemonsets", "/api/v1/namespaces"} <= paths


def test_a_row_of_a_pod_that_the_api_tells_of_later_is_in_the_map_soon_after(control_plane, namespace, mapper):
    api = control_plane.admin
    for name, address in (("db", "10.244.0.15"), ("early", "10.244.0.16")):
        api.create(objects.deployment(namespace, name))
        pods.run_pods_of(api, namespace, name, [address])
    api.create(objects.deployment(namespace, "late"))
    eventually(lambda: {("Deployment", "db"), ("Deployment", "early")} <= set(workloads(mapper, namespace)))
    now = time.time_ns() // 1_000_000
    row = Flow("10.244.0.15", 5432, "tcp", 3, 0, 2000)  # the pod of this test begins after it, by some milliseconds
    clients = [Client("10.244.0.17", connections=[row])]
    assert mapper.report(Report(pods.NODE, "boot", 1, now, started=now - 1000, clients=clients))[0] == 200
    assert mapper.get("/api/v1/status")["waiting"] == 1
    pods.run_pods_of(api, namespace, "late", ["10.244.0.17"])
    eventually(lambda: mapper.counts() == {("late", "db", 5432): 3}, seconds=2)
    assert mapper.get("/api/v1/status")["waiting"] == 0


def test_a_deployments_pods_are_it_as_long_as_they_are_there(control_plane, namespace, mapper):
    api = control_plane.admin
    api.create(objects.deployment(namespace, "web", replicas=2))
    pods.run_pods_of(api, namespace, "web", ["10.244.0.5", "10.244.0.6"])
    eventually(lambda: workloads(mapper, namespace) == {("Deployment", "web"): 2})
    api.delete("deployments", namespace, "web")
    for pod in api.list("pods", namespace):
        with contextlib.suppress(Exception):
            api.delete("pods", namespace, pod["metadata"]["name"])
    eventually(lambda: workloads(mapper, namespace) == {})
