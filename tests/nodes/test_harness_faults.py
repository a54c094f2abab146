"""What a test can do to the cluster, and that it recovers: nodes, API server, kube-proxy."""

from __future__ import annotations

import json
import time
from pathlib import Path

from harness import objects, shells


def condition(cluster, node):
    found = cluster.admin.get("nodes", None, node)["status"]["conditions"]
    return next(entry["status"] for entry in found if entry["type"] == "Ready")


def test_static_pod_runs_and_goes_with_its_manifest(cluster):
    node = cluster.nodes["node1"]
    manifest = node.static_pods / "still.json"
    manifest.write_text(json.dumps(shells.pod("default", "still")))
    pod = shells.wait(cluster, "default", "still-node1")
    assert pod["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "Node"
    manifest.unlink()
    pods = cluster.admin
    pods.wait("end of the static pod", lambda: not pods.list("pods", "default"))


def test_processes_of_a_pod_and_of_a_container_are_found(cluster, namespace):
    [pod] = shells.running(cluster, shells.pod(namespace, "one", "exec sleep 4242", "node2"))
    node = cluster.nodes["node2"]
    container = pod["status"]["containerStatuses"][0]["containerID"]
    [pid] = node.pids(container)
    assert Path(f"/proc/{pid}/cmdline").read_text() == "sleep\x004242\x00"
    assert len(node.pids(pod["metadata"]["uid"])) == 2  # and what holds its namespaces


def test_services_work_in_nftables_mode_and_in_iptables_mode_again(cluster, namespace):
    node = cluster.nodes["node2"]
    shells.running(cluster, shells.pod(namespace, "web", shells.SERVE, "node1"),
                      shells.pod(namespace, "client", node="node2"))  # fmt: skip
    cluster.admin.create(objects.service(namespace, "web"))

    def tables():
        return node.exec(["nft", "list", "tables"]).stdout.split("\n"), node.exec(["iptables-save"]).stdout

    def reached():
        command = ["exec", "-n", namespace, "client", "--", "timeout", "5", "wget", "-q", "-O", "-", "http://web"]
        return cluster.kubectl(*command, check=False).strip() == "web"

    try:
        node.start_proxy("nftables")
        cluster.admin.wait("rules of nftables", lambda: "table ip kube-proxy" in tables()[0])
        cluster.admin.wait("service in nftables mode", reached)
        assert "KUBE-SVC" not in tables()[1]
    finally:
        node.start_proxy("iptables")
    cluster.admin.wait("rules of iptables", lambda: "KUBE-SVC" in tables()[1])
    cluster.admin.wait("service in iptables mode", reached)
    assert "table ip kube-proxy" not in tables()[0]


def test_api_server_comes_back_and_pods_are_run_again(cluster, namespace):
    cluster.plane.restart_apiserver(kill=True)
    shells.running(cluster, shells.pod(namespace, "after"))


def test_requests_of_an_account_are_known_and_those_of_nodes_are_not(cluster, namespace):
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]
    cluster.plane.service_account(namespace, "reader", rules)
    with cluster.plane.client(token=cluster.plane.token(namespace, "reader")) as api:
        api.list("pods")
        user = f"system:serviceaccount:{namespace}:reader"
        with api.watch("pods", timeoutSeconds=30):  # known while it goes on
            cluster.admin.wait("log", lambda: len(cluster.api_requests(user)) >= 2)
    assert [(request.verb, request.resource) for request in cluster.api_requests(user)] == [
        ("list", "pods"),
        ("watch", "pods"),
    ]
    assert not cluster.api_requests("system:node:node1")


def test_node_is_lost_at_once_and_comes_back(cluster, namespace):
    node = cluster.nodes["node2"]
    [here] = shells.running(cluster, shells.pod(namespace, "here", node="node2"))
    boots = cluster.admin.get("nodes", None, "node2")["status"]["nodeInfo"]["bootID"]
    began = time.monotonic()
    node.kill()
    assert time.monotonic() - began < 5
    assert not node.pids()
    try:
        cluster.admin.wait("loss of the node", lambda: condition(cluster, "node2") != "True", 40)
    finally:
        node.start()
    again = shells.wait(cluster, namespace, "here")
    assert again["status"]["containerStatuses"][0]["restartCount"] == 1
    assert again["metadata"]["uid"] == here["metadata"]["uid"]
    assert cluster.admin.get("nodes", None, "node2")["status"]["nodeInfo"]["bootID"] != boots
    shells.running(cluster, shells.pod(namespace, "new", node="node2"))
