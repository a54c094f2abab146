"""Workloads by their owners, as real controllers make them and as kinds come, go, and may or may not be read."""

import json
import subprocess
import sys
import time
import uuid

import pytest
from followed import Followed
from harness import objects, pods
from mapper_process import MapperProcess
from model_mapper import eventually

from network_mapper.cluster.live import reflector
from network_mapper.cluster.live.resources import PODS, REQUIRED, rules

pytestmark = pytest.mark.cluster

CRDS = "customresourcedefinitions"
CORE = [{"apiGroups": [item.group], "resources": [item.plural], "verbs": ["list", "watch"]} for item in REQUIRED]


@pytest.fixture
def group():
    """A group of kinds that no other test has."""
    return f"g{uuid.uuid4().hex[:8]}.tests.example.org"


@pytest.fixture
def account(control_plane, namespace):
    """Makes a service account that may do what rules say; returns its token and its name as a subject."""

    def make(name, given):
        control_plane.service_account(namespace, name, given)
        return control_plane.token(namespace, name), {
            "kind": "ServiceAccount",
            "name": name,
            "namespace": namespace,
        }

    return make


def workloads(mapper, namespace):
    rows = mapper.get(f"/api/v1/workloads?namespace={namespace}")["workloads"]
    return {(row["kind"], row["name"]): row["pods"] for row in rows}


def become(mapper, namespace, expected, seconds=20):
    """Wait until a namespace has these workloads."""
    deadline = time.monotonic() + seconds
    while (found := workloads(mapper, namespace)) != expected:
        assert time.monotonic() < deadline, (found, expected)
        time.sleep(0.05)


def states(mapper):
    return {row["resource"]: row["state"] for row in mapper.get("/api/v1/status")["cluster"]["resources"]}


def of_group(mapper, group):
    """What status says of a group's kinds: their states, and problems."""
    found = {resource: state for resource, state in states(mapper).items() if resource.endswith(f".{group}")}
    return found, [line for line in mapper.get("/api/v1/status")["cluster"]["problems"] if group in line]


def readiness(mapper):
    answer = mapper.client.request("GET", "/readyz")
    return answer.status, json.loads(answer.body or b"{}").get("detail", "")


def status_text(mapper):
    command = [sys.executable, "-m", "network_mapper", "status", "--mapper-url", mapper.url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def remove_kind(api, group, plural):
    name = f"{plural}.{group}"
    api.delete(CRDS, None, name)
    api.wait(f"end of {name}", lambda: name not in [kind["metadata"]["name"] for kind in api.list(CRDS)])


def due_cron_job(place, name):
    """A CronJob that is due at once, as one whose last time is long ago."""
    cron = place.api.create(objects.cron_job(place.namespace, name, "* * * * *"))
    place.api.set_status(cron, {"lastScheduleTime": pods.now(-90)})


def test_pods_of_every_built_in_kind_are_their_root(place, mapper):
    api, namespace = place.api, place.namespace
    api.create(objects.deployment(namespace, "web", replicas=2))
    api.create(objects.stateful_set(namespace, "db"))
    api.create(objects.daemon_set(namespace, "agent", tolerations=[{"operator": "Exists"}]))
    api.create(objects.job(namespace, "once"))
    due_cron_job(place, "report")
    spec = {"replicas": 0, "selector": {"app": "old"}, "template": objects.template("old")}
    place.pod("old-1", owner=api.create(objects.make("v1", "ReplicationController", "old", namespace, spec=spec)))
    expected = {
        ("Deployment", "web"): 2,
        ("StatefulSet", "db"): 1,
        ("DaemonSet", "agent"): len(api.list("nodes")),
        ("Job", "once"): 1,
        ("CronJob", "report"): 1,
        ("ReplicationController", "old"): 1,
    }
    become(mapper, namespace, expected)


def test_a_kind_that_comes_while_it_runs_names_workloads_and_gives_them_back(place, mapper, group):
    api, namespace = place.api, place.namespace
    place.deployment("web", 2)
    become(mapper, namespace, {("Deployment", "web"): 2})
    place.kind(group, "Shop")
    shop = api.create(objects.make(f"{group}/v1", "Shop", "corner", namespace))
    api.patch("deployments", namespace, "web", {"metadata": objects.owned_by(shop)})
    become(mapper, namespace, {("Shop", "corner"): 2})
    # An owner of the owner, of a kind that comes later still.
    place.kind(group, "Chain")
    chain = api.create(objects.make(f"{group}/v1", "Chain", "all", namespace))
    api.patch(f"{group}/v1/shops", namespace, "corner", {"metadata": objects.owned_by(chain)})
    become(mapper, namespace, {("Chain", "all"): 2})
    eventually(lambda: of_group(mapper, group) == ({f"{one}.{group}": "watching" for one in ("shops", "chains")}, []))
    # As `kubectl delete --cascade=orphan` leaves what is below.
    nobody = {"metadata": {"ownerReferences": None}}
    api.patch(f"{group}/v1/shops", namespace, "corner", nobody)
    remove_kind(api, group, "chains")
    become(mapper, namespace, {("Shop", "corner"): 2})
    eventually(lambda: of_group(mapper, group) == ({f"shops.{group}": "watching"}, []))
    api.patch("deployments", namespace, "web", nobody)
    remove_kind(api, group, "shops")
    become(mapper, namespace, {("Deployment", "web"): 2})
    eventually(lambda: of_group(mapper, group) == ({}, []))
    assert workloads(mapper, namespace) == {("Deployment", "web"): 2}


def test_a_kind_that_goes_with_its_objects_leaves_nothing_to_complain_about(place, mapper, group):
    api, namespace = place.api, place.namespace
    place.kind(group, "Shop")
    shop = api.create(objects.make(f"{group}/v1", "Shop", "corner", namespace))
    place.pod("corner-1", owner=shop)
    eventually(lambda: of_group(mapper, group) == ({f"shops.{group}": "watching"}, []))
    remove_kind(api, group, "shops")
    eventually(lambda: of_group(mapper, group) == ({}, []))
    # And it may come back.
    place.kind(group, "Shop")
    shop = api.create(objects.make(f"{group}/v1", "Shop", "new", namespace))
    place.pod("new-1", owner=shop)
    eventually(lambda: of_group(mapper, group) == ({f"shops.{group}": "watching"}, []))
    eventually(lambda: workloads(mapper, namespace).get(("Shop", "new")) == 1)
    remove_kind(api, group, "shops")


def test_of_two_owners_the_controller_counts_wherever_it_stands(place, mapper):
    api, namespace = place.api, place.namespace
    first, second = (api.create(objects.deployment(namespace, name, replicas=0)) for name in ("first", "second"))
    shared, own = (objects.owned_by(item)["ownerReferences"][0] for item in (first, second))
    place.pod("pod-1")
    references = [{**shared, "controller": False}, own]
    api.patch("pods", namespace, "pod-1", {"metadata": {"ownerReferences": references}})
    become(mapper, namespace, {("Deployment", "second"): 1})
    api.patch("pods", namespace, "pod-1", {"metadata": {"ownerReferences": None}})
    become(mapper, namespace, {("Pod", "pod-1"): 1})


# What may be read


def test_with_the_documented_rules_nothing_is_missing_and_nothing_else_is_asked(
    account, place, control_plane, proxy, tmp_path, group
):
    api, namespace = place.api, place.namespace
    place.kind("argoproj.io", "Rollout")
    rollout = api.create(objects.make("argoproj.io/v1", "Rollout", "web", namespace))
    meta = objects.owned_by(rollout)
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": objects.template("web")}
    api.create(objects.make("apps/v1", "ReplicaSet", "web-1", namespace, meta=meta, spec=spec))
    place.pods_of("web")
    token, _ = account("mapper", rules())
    config = control_plane.kubeconfig(tmp_path / "config", token=token, server=proxy.url)
    mapper = MapperProcess(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    try:
        become(mapper, namespace, {("Rollout", "web"): 1})
        eventually(
            lambda: {row["state"] for row in mapper.get("/api/v1/status")["cluster"]["resources"]} == {"watching"}
        )
        cluster = mapper.get("/api/v1/status")["cluster"]
        assert [line for line in cluster["problems"] if "may not" in line or "grant" in line] == []
        granted = {(rule["apiGroups"][0], plural) for rule in rules() for plural in rule["resources"]}
        asked = {request.path for request in proxy.seen()} - {"/api", "/apis"}
        parts = [path.strip("/").split("/") for path in asked]
        assert {(part[1] if part[0] == "apis" else "", part[-1]) for part in parts} <= granted
        assert len(asked) == len(states(mapper))
        assert {request.method for request in proxy.seen()} == {"GET"}
        assert {request.status for request in proxy.seen() if request.status} == {200}
    finally:
        assert mapper.stop()[0] == 0
        remove_kind(api, "argoproj.io", "rollouts")


def test_status_tells_the_kind_that_may_not_be_read_and_the_rule_to_add(account, place, control_plane, tmp_path, group):
    place.kind(group, "Shop")
    shop = place.api.create(objects.make(f"{group}/v1", "Shop", "corner", place.namespace))
    place.pod("corner-1", owner=shop)
    token, _ = account("poor", CORE)
    config = control_plane.kubeconfig(tmp_path / "config", token=token)
    mapper = MapperProcess(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    try:
        rule = f"{{apiGroups: [{group}], resources: [shops], verbs: [get, list, watch]}}"
        eventually(lambda: rule in (text := status_text(mapper)) and f"shops.{group} may not be read" in text, 30)
        assert "deployments.apps may not be read" in status_text(mapper)
        assert workloads(mapper, place.namespace) == {("Shop", "corner"): 1}
    finally:
        assert mapper.stop()[0] == 0
        remove_kind(place.api, group, "shops")


def test_a_grant_that_is_given_later_is_found_without_a_restart(
    account, place, control_plane, tmp_path, group, monkeypatch
):
    monkeypatch.setattr(reflector, "_FORBIDDEN_RETRY", 0.5)
    place.kind(group, "Shop")
    place.kind(group, "Chain")
    chain = place.api.create(objects.make(f"{group}/v1", "Chain", "all", place.namespace))
    shop = objects.make(f"{group}/v1", "Shop", "corner", place.namespace, meta=objects.owned_by(chain))
    place.pod("corner-1", owner=place.api.create(shop))
    token, subject = account("poor", CORE)

    def names():
        return {workload.name for workload, *_ in followed.index.workloads() if workload.namespace == place.namespace}

    with Followed(control_plane.kubeconfig(tmp_path / "config", token=token)) as followed:
        followed.wait_synced()
        followed.wait(lambda: any(f"shops.{group} may not be read" in line for line in followed.live.problems()))
        assert followed.ask(names) == {"corner"}
        control_plane.grant(subject, [{"apiGroups": [group], "resources": ["*"], "verbs": ["list", "watch"]}])
        followed.wait(lambda: names() == {"all"})
        followed.wait(lambda: not any(group in line for line in followed.live.problems()))
    for plural in ("shops", "chains"):
        remove_kind(place.api, group, plural)


def test_without_pods_it_waits_says_which_right_it_lacks_and_goes_on_with_all_once_it_has_it(
    account, place, control_plane, tmp_path
):
    place.deployment("web", 1)
    token, subject = account("poor", [])
    config = control_plane.kubeconfig(tmp_path / "config", token=token)
    mapper = MapperProcess(tmp_path, None, "--kubeconfig", str(config)).start()
    try:
        answer = eventually(lambda: (found := mapper.client.request("GET", "/readyz")).status == 503 and found)
        answer = eventually(
            lambda: (
                PODS.grant in (text := mapper.client.request("GET", "/readyz").body.decode().replace('\\"', '"'))
                and text
            )
        )
        assert "pods may not be read" in answer
        assert mapper.client.request("GET", "/healthz").status == 200
        assert "Not read yet" in (text := status_text(mapper))
        assert PODS.grant in text
        control_plane.grant(subject, rules())
        mapper.wait_ready(20)
        # Whoever is ready knows the owners too: nobody is in the map by a passing name.
        assert workloads(mapper, place.namespace) == {("Deployment", "web"): 1}
    finally:
        assert mapper.stop()[0] == 0
