"""`network-mapper snapshot` against an API server in memory."""

import asyncio
import io
import json
import random

import fake_api
import kube
import pytest
import virtual_time

from network_mapper.cluster.index import Index
from network_mapper.cluster.live.cluster import LiveCluster
from network_mapper.cluster.snapshot import load
from network_mapper.kube.errors import UnreachableError

NAME = "intents.otterize.com/workload-name"


def fill(api):
    """A small cluster with an owner of an operator's kind, and things that must not be written."""
    api.serve("argoproj.io", "v1alpha1", "rollouts", "Rollout")
    api.serve("", "v1", "secrets", "Secret")
    api.serve("", "v1", "configmaps", "ConfigMap")
    api.put("secrets", kube.obj("Secret", "password"))
    api.put("nodes", kube.node("n1", "192.168.1.1", podCIDRs=["10.0.0.0/24"]))
    api.put("rollouts", kube.obj("Rollout", "web", api_version="argoproj.io/v1alpha1"))
    owned = kube.owned_by("Rollout", "web", "argoproj.io/v1alpha1")
    api.put("replicasets", kube.obj("ReplicaSet", "web-1", api_version="apps/v1", meta=owned))
    env = [{"name": "PASSWORD", "value": "hunter2"}]
    spec = {"containers": [{"name": "app", "env": env, "ports": [{"containerPort": 8080}]}]}
    labels = {"app": "web", "empty": ""}
    for number in (1, 2):
        owner = kube.owned_by("ReplicaSet", "web-1")
        api.put("pods", kube.pod(f"web-1-{number}", f"10.0.0.{number}", spec=spec, labels=labels, **owner))
    named = {NAME: "shop-database", "notes": "hunter2"}
    api.put("pods", kube.pod("db-0", "10.0.0.9", annotations=named, **kube.owned_by("Secret", "password", "v1")))
    api.put("pods", kube.pod("done", "10.0.0.3", ended=30))
    api.put("services", kube.service("web", "10.96.0.5"))
    ends = [kube.end(f"10.0.0.{number}", f"web-1-{number}") for number in (1, 2)]
    api.put("endpointslices", kube.endpoint_slice("web-x", "web", *ends))
    api.put("servicecidrs", kube.obj("ServiceCIDR", "kubernetes", None, spec={"cidrs": ["10.96.0.0/16"]}))
    other = kube.pod("elsewhere", "10.0.0.77")
    other["metadata"]["namespace"] = "payment"
    api.put("pods", other)


@pytest.fixture
def api(monkeypatch):
    """The cluster of whatever kubeconfig."""
    api = fake_api.FakeApi()
    fill(api)

    async def close():
        api.closed = True

    api.close = close
    monkeypatch.setattr("network_mapper.kube.config.find_access", lambda file, context: (file, context))
    monkeypatch.setattr("network_mapper.kube.client.ApiClient", lambda access: setattr(api, "access", access) or api)
    return api


@pytest.fixture
def snapshot(run, tmp_path):
    """Write a snapshot to `tmp_path/out`."""
    return lambda *args: run("snapshot", "-o", str(tmp_path / "out"), *args)


def everything(index):
    addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "10.0.0.77", "10.96.0.5", "192.168.1.1"]
    at = {}
    for address in addresses:
        for second in (1, 20, 59):
            claim = index.at(address, kube.instant(second))
            owner = claim.owner if claim else None
            at[address, second] = owner and (type(owner).__name__, owner.name, getattr(owner, "workload", None))
    service = index.name("web.shop.svc.cluster.local", kube.instant(5))
    return index.workloads(), index.counts(), index.nodes(), at, service.backends


def test_a_snapshot_answers_as_the_live_cluster_does(api, snapshot, tmp_path):
    live = Index()

    async def follow():
        cluster = LiveCluster(api, live, wall=asyncio.get_running_loop().wall, spread=random.Random(1))
        task = asyncio.create_task(cluster.run())
        await asyncio.sleep(60)
        await cluster.close()
        await task

    virtual_time.run(follow())
    result = snapshot()
    assert (result.code, result.out) == (0, ""), result.err
    read = Index()
    loaded = load(tmp_path / "out", take=read.apply)
    assert loaded.problems.lines() == live.problems.lines() == []
    assert everything(read) == everything(live)
    workloads = {workload.name: workload.kind for workload, _, _ in live.workloads()}
    assert workloads["web"] == "Rollout"
    assert "shop-database" in workloads


def test_each_resource_has_its_file(api, snapshot, tmp_path):
    result = snapshot()
    assert result.code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "pods.json",
        "services.json",
        "nodes.json",
        "endpointslices.discovery.k8s.io.json",
        "replicasets.apps.json",
        "servicecidrs.networking.k8s.io.json",
        "rollouts.argoproj.io.json",
    }
    document = json.loads((tmp_path / "out" / "replicasets.apps.json").read_text())
    assert (document["apiVersion"], document["kind"]) == ("v1", "List")
    (item,) = document["items"]
    assert (item["apiVersion"], item["kind"], item["metadata"]["name"]) == ("apps/v1", "ReplicaSet", "web-1")
    assert "Wrote 5 pods, 1 services, 1 endpointslices.discovery.k8s.io, 1 nodes" in result.err
    assert api.closed


def test_nothing_is_written_that_the_map_does_not_need(api, snapshot, tmp_path):
    snapshot()
    text = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert NAME in text
    for unwanted in ("hunter2", "PASSWORD", "notes", '"env"', "null"):
        assert unwanted not in text
    assert not api.asked("secrets")
    assert not api.asked("configmaps")


def test_further_annotations_are_kept_on_request(api, snapshot, tmp_path):
    snapshot("--annotation", "notes")
    assert "hunter2" in (tmp_path / "out" / "pods.json").read_text()


def test_two_snapshots_of_an_unchanged_cluster_are_equal(api, run, tmp_path):
    for name in ("one", "two"):
        assert run("snapshot", "-o", str(tmp_path / name)).code == 0
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_one_document_can_be_printed(api, run, tmp_path, monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed))
    result = run("snapshot", "-o", "-")
    assert result.code == 0
    assert result.err.startswith("Wrote 5 pods")
    (tmp_path / "all.json").write_bytes(printed.getvalue())
    loaded = load(tmp_path / "all.json")
    assert loaded.kinds["Pod"] == 5
    assert loaded.kinds["Rollout.argoproj.io"] == 1


@pytest.mark.parametrize("given", [("-n", "payment"), ("-n", "payment,none", "-n", "payment")])
def test_only_the_named_namespaces_are_read(api, snapshot, tmp_path, given):
    assert snapshot(*given).code == 0
    document = json.loads((tmp_path / "out" / "pods.json").read_text())
    assert [item["metadata"]["name"] for item in document["items"]] == ["elsewhere"]
    assert {item.path for item in api.asked("pods")} >= {"/api/v1/namespaces/payment/pods"}
    assert "/api/v1/pods" not in {item.path for item in api.requests}
    assert (tmp_path / "out" / "nodes.json").exists()


def test_kinds_that_may_not_be_read_are_warnings_with_their_grant(api, snapshot):
    api.forbidden |= {"nodes", "rollouts"}
    result = snapshot()
    assert result.code == 0
    assert 'Warning: nodes may not be read: grant {apiGroups: [""], resources: [nodes]' in result.err
    assert "Warning: rollouts.argoproj.io may not be read: grant {apiGroups: [argoproj.io]" in result.err


def test_without_pods_there_is_no_snapshot(api, snapshot, tmp_path):
    api.forbidden.add("pods")
    result = snapshot()
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith('Error: pods may not be read: grant {apiGroups: [""], resources: [pods]')
    assert list(tmp_path.iterdir()) == []


def test_an_api_that_does_not_answer_is_one_line(api, snapshot, tmp_path):
    api.down = True
    result = snapshot()
    assert result == (1, "", "Error: https://api.example:6443: connection refused\n")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_fails_once_is_read_again(api, snapshot, monkeypatch):
    monkeypatch.setattr("network_mapper.cluster.live.backoff.SHORTEST", 0.001)
    api.fail("/services", UnreachableError("cut"), times=2)
    assert snapshot().code == 0


def test_what_keeps_failing_ends_it(api, snapshot, monkeypatch, tmp_path):
    monkeypatch.setattr("network_mapper.cluster.live.backoff.SHORTEST", 0.001)
    api.answer("/services", 500, fake_api.status_body(500, "InternalError", "etcd is unwell"), times=20)
    result = snapshot()
    assert result == (1, "", "Error: services cannot be read: etcd is unwell\n")
    assert list(tmp_path.iterdir()) == []


def test_without_discovery_the_core_kinds_are_written(api, snapshot):
    api.answer("/api", 403, fake_api.status_body(403, "Forbidden", "not for you"))
    result = snapshot()
    assert result.code == 0
    assert "Warning: discovery failed, so only the core kinds are read: not for you" in result.err


def test_objects_that_cannot_be_read_are_left_out_and_named(api, snapshot, tmp_path):
    api.put("pods", kube.pod("odd") | {"spec": 7})
    result = snapshot()
    assert result.code == 0
    assert "Warning: pods shop/odd is left out: Expected" in result.err
    assert len(json.loads((tmp_path / "out" / "pods.json").read_text())["items"]) == 5


def test_a_folder_with_something_in_it_is_left_alone(api, snapshot, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pods.json").write_text("{}")
    result = snapshot()
    assert result.code == 1
    assert result.err == f"Error: {tmp_path / 'out'} is not empty: name another folder, or replace it with --force\n"
    assert not api.requests
    assert snapshot("--force").code == 0
    assert len(json.loads((tmp_path / "out" / "pods.json").read_text())["items"]) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_force_replaces_nothing_but_a_snapshot(api, snapshot, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("all my work")
    result = snapshot("--force")
    assert result.code == 1
    assert "holds more than a snapshot (thesis.txt)" in result.err
    assert (tmp_path / "out" / "thesis.txt").read_text() == "all my work"


def test_an_empty_folder_is_filled(api, snapshot, tmp_path):
    (tmp_path / "out").mkdir()
    assert snapshot().code == 0
    assert (tmp_path / "out" / "pods.json").exists()


def test_a_file_in_the_way_is_an_error(api, snapshot, tmp_path):
    (tmp_path / "out").write_text("")
    result = snapshot()
    assert result.code == 1
    assert result.err.startswith(f"Error: cannot write to {tmp_path / 'out'}: ")


def test_a_failure_to_write_leaves_what_was_there(api, snapshot, tmp_path, monkeypatch):
    assert snapshot().code == 0
    before = (tmp_path / "out" / "pods.json").read_bytes()
    api.put("pods", kube.pod("new"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("network_mapper.cluster.write_snapshot._write", full)
    result = snapshot("--force")
    assert result.code == 1
    assert result.err.endswith(": No space left on device\n")
    assert (tmp_path / "out" / "pods.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_kubeconfig_and_context_are_passed_on(api, snapshot):
    assert snapshot("--kubeconfig", "my.conf", "--context", "staging").code == 0
    assert api.access == ("my.conf", "staging")


def test_a_kubeconfig_that_is_missing_is_one_line(run, tmp_path):
    result = run("snapshot", "--kubeconfig", str(tmp_path / "none"), "-o", str(tmp_path / "out"))
    assert (result.code, result.out) == (1, "")
    assert str(tmp_path / "none") in result.err
    assert len(result.err.splitlines()) == 1
