"""`network-mapper snapshot` of a real cluster: what it reads, what it writes, and what a mapper makes of it."""

import os
import re
import subprocess
import sys
import time

import pytest
from harness import objects
from model_mapper import ModelMapper, eventually
from model_reports import connection

from network_mapper.cluster.live.resources import REQUIRED, rules

pytestmark = pytest.mark.cluster

GROUP = "snapshots.tests.example.org"
HIDDEN = "do-not-tell"


@pytest.fixture(scope="module")
def shop(control_plane, places):
    """A namespace with owners of several kinds, services, a Secret, and things that are nobody's business."""
    place = places.new()
    api, namespace = place.api, place.namespace
    place.kind(GROUP, "Stall")
    owner = api.create(objects.make(f"{GROUP}/v1", "Stall", "corner", namespace))
    api.create(objects.make("v1", "Secret", "password", namespace, stringData={"password": HIDDEN}))
    api.create(objects.make("v1", "ConfigMap", "settings", namespace, data={"setting": HIDDEN}))
    environment = [{"name": "PASSWORD", "value": HIDDEN}]
    container = {"name": "app", "image": "registry.example.org/app:1", "env": environment}
    place.client, *_ = place.deployment("client", 2, containers=[container])
    place.server, *_ = place.deployment("server", meta=objects.owned_by(owner))
    place.service("server")
    annotations = {"example.org/notes": HIDDEN, "intents.otterize.com/workload-name": "named"}
    place.named = place.pod("bare", annotations=annotations, labels={"empty": ""})
    api.create(objects.stateful_set(namespace, "db"))
    place.db, *_ = place.pods_of("db")
    place.service("db", clusterIP="None")
    yield place
    api.delete("customresourcedefinitions", None, f"stalls.{GROUP}")
    control_plane.remove_namespace(namespace)


@pytest.fixture
def account(control_plane, namespace, proxy, tmp_path):
    """Make a kubeconfig of a service account that may do what rules say, by way of the proxy."""

    def make(given):
        control_plane.service_account(namespace, "reader", given)
        token = control_plane.token(namespace, "reader")
        return control_plane.kubeconfig(tmp_path / "kubeconfig", token=token, server=proxy.url)

    return make


@pytest.fixture
def config(account):
    """A kubeconfig of somebody who may read what the documentation says."""
    return account(rules())


def snapshot(*options, code=0):
    command = [sys.executable, "-m", "network_mapper", "snapshot", *map(str, options)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done
    return done


def told(mapper, shop):
    """The workloads of a namespace, and what reports of its traffic become."""
    namespace = shop.namespace
    path = f"/api/v1/workloads?namespace={namespace}"
    workloads = eventually(lambda: len(found := mapper.get(path)["workloads"]) >= 4 and found)
    service = shop.api.get("services", namespace, "server")["spec"]["clusterIP"]
    node = shop.api.get("nodes", None, "node-a")["status"]["addresses"][0]["address"]
    mapper.connections(shop.client.ip, connection(service), connection(shop.db.ip), node, "10.96.0.1")
    mapper.lookups(shop.named.ip, shop.name_of("server"), f"db-0.{shop.name_of('db')}", "kubernetes.default.svc")
    mapper.sockets(shop.client.ip, shop.server.ip)
    edges = [
        (edge["client"], edge["server"], edge["port"], edge["connections"], edge["lookups"], edge["sockets"])
        for edge in mapper.edges(namespace)
    ]
    return workloads, edges, [intent["server"]["podOwnerKind"] for intent in mapper.intents(namespace)]


def test_a_mapper_on_a_snapshot_says_what_one_on_the_cluster_says(shop, mapper, config, tmp_path):
    folder = tmp_path / "snapshot"
    snapshot("-o", folder, "--kubeconfig", config)
    read = ModelMapper(tmp_path, folder).start().wait_ready()
    try:
        workloads, edges, kinds = told(read, shop)
        assert (workloads, edges, kinds) == told(mapper, shop)
        assert {(row["kind"], row["name"]): row["pods"] for row in workloads} == {
            ("Deployment", "client"): 2,
            ("Stall", "corner"): 1,
            ("Pod", "named"): 1,
            ("StatefulSet", "db"): 1,
        }
        assert len(edges) >= 5
        assert read.get("/api/v1/status")["cluster"]["problems"] == []
    finally:
        assert read.stop()[0] == 0


def test_nothing_is_read_or_written_that_no_map_needs(shop, config, proxy, tmp_path):
    folder = tmp_path / "snapshot"
    done = snapshot("-o", folder, "--kubeconfig", config)
    granted = {(rule["apiGroups"][0], plural) for rule in rules() for plural in rule["resources"]}
    granted.add((GROUP, "stalls"))  # met, tried, and refused
    parts = [request.path.strip("/").split("/") for request in proxy.seen()]
    asked = [(part[1] if part[0] == "apis" else "", part[-1]) for part in parts if len(part) > 1]
    assert set(asked) <= granted
    assert {plural for _, plural in asked} & {"secrets", "configmaps"} == set()
    assert not [request for request in proxy.seen() if request.watch or request.method != "GET"]
    assert len([part for part in parts if part[-1] == "pods"]) == 1
    assert f"Warning: stalls.{GROUP} may not be read: grant {{apiGroups: [{GROUP}], resources: [stalls]" in done.stderr
    names = {file.name for file in folder.iterdir()}
    assert {"pods.json", "services.json", "nodes.json", "endpointslices.discovery.k8s.io.json"} <= names
    written = "".join(file.read_text() for file in folder.iterdir())
    assert HIDDEN not in written
    assert "example.org/notes" not in written
    assert '"named"' in written
    assert "client" in written


def test_kinds_that_may_not_be_read_are_told_with_their_grants(shop, account, tmp_path):
    core = [{"apiGroups": [item.group], "resources": [item.plural], "verbs": ["list"]} for item in REQUIRED]
    done = snapshot("-o", tmp_path / "snapshot", "--kubeconfig", account(core))
    warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    for resource in ("replicasets", "deployments", "statefulsets", "daemonsets"):
        rule = f"{{apiGroups: [apps], resources: [{resource}], verbs: [get, list, watch]}}"
        assert f"Warning: {resource}.apps may not be read: grant {rule}" in warnings
    (line,) = [line for line in done.stderr.splitlines() if line not in warnings]
    assert line.startswith("Wrote ")
    assert (tmp_path / "snapshot" / "pods.json").exists()


def test_without_pods_there_is_no_snapshot(account, tmp_path):
    done = snapshot("-o", tmp_path / "snapshot", "--kubeconfig", account([]), code=1)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: pods may not be read: grant {")
    assert not (tmp_path / "snapshot").exists()


def test_a_server_that_is_not_there_is_told_in_one_line(config, proxy, tmp_path):
    proxy.refuse()
    done = snapshot("-o", tmp_path / "snapshot", "--kubeconfig", config, code=1)
    (line,) = done.stderr.splitlines()
    assert line == f"Error: {proxy.url}: cannot connect: Connection refused"
    assert not (tmp_path / "snapshot").exists()


def test_a_server_that_fails_for_a_moment_is_asked_again(shop, config, proxy, tmp_path):
    fault = proxy.on("/api/v1/pods", times=2).too_many(retry_after=1)
    began = time.monotonic()
    snapshot("-o", tmp_path / "snapshot", "--kubeconfig", config)
    assert time.monotonic() - began >= 2
    assert fault.used == 2


def test_a_folder_that_holds_something_is_left_alone(config, proxy, tmp_path):
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "old.json").write_text("{}")
    done = snapshot("-o", folder, "--kubeconfig", config, code=1)
    assert done.stderr == f"Error: {folder} is not empty: name another folder, or replace it with --force\n"
    assert proxy.seen() == []  # nothing is asked of the cluster for nothing
    snapshot("-o", folder, "--force", "--kubeconfig", config)
    assert not (folder / "old.json").exists()
    assert (folder / "pods.json").exists()


def test_on_a_terminal_it_says_how_far_it_is(shop, config, tmp_path):
    command = [sys.executable, "-m", "network_mapper", "snapshot", "-o", str(tmp_path / "snapshot")]
    ours, theirs = os.openpty()
    try:
        subprocess.run([*command, "--kubeconfig", str(config)], check=True, stderr=theirs, timeout=60)
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.search(r"\r\x1b\[KReading pods: [1-9]", said)
    assert said.split("\x1b[K")[-1].splitlines()[-1].startswith("Wrote ")
    assert "\x1b" not in snapshot("-o", tmp_path / "again", "--kubeconfig", config).stderr


def test_some_namespaces_are_asked_for_alone_with_rights_in_them(shop, control_plane, proxy, tmp_path):
    namespace = shop.namespace
    control_plane.service_account(namespace, "inside", rules(), wide=False)
    token = control_plane.token(namespace, "inside")
    config = control_plane.kubeconfig(tmp_path / "kubeconfig", token=token, server=proxy.url)
    done = snapshot("-o", tmp_path / "snapshot", "-n", namespace, "--kubeconfig", config)
    assert "Warning: nodes may not be read" in done.stderr
    assert "Warning: pods" not in done.stderr
    read = ModelMapper(tmp_path, tmp_path / "snapshot").start().wait_ready()
    try:
        rows = read.get("/api/v1/workloads")["workloads"]
        assert {row["namespace"] for row in rows} == {namespace}
        assert ("client", 2) in [(row["name"], row["pods"]) for row in rows]
    finally:
        assert read.stop()[0] == 0
