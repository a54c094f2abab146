"""The cluster as what runs in it sees it: names, services, addresses of both families, and ways in from outside."""

from __future__ import annotations

import http.client
import re
import subprocess

import pytest
from harness import objects, shells

FAMILIES = {"four": "IPv4", "six": "IPv6"}
NODES = ("node1", "node2")


@pytest.fixture(scope="module")
def web(cluster):
    """A web server on each node, behind a service of each family; and a client on each node. Returns the namespace."""
    namespace = cluster.plane.make_namespace("web")
    made = [shells.pod(namespace, f"web-{node}", shells.SERVE, node, meta={"labels": {"app": "web"}}) for node in NODES]
    made += [shells.pod(namespace, f"client-{node}", node=node) for node in NODES]
    for name, family in FAMILIES.items():
        service = objects.service(namespace, name, app="web", ipFamilies=[family], type="NodePort")
        cluster.admin.create(service)
    shells.running(cluster, *made)
    yield namespace
    cluster.plane.remove_namespace(namespace)


def get(address, port=80):
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    finally:
        connection.close()


def test_nodes_are_ready_and_tell_addresses_and_pod_blocks_of_both_families(cluster):
    nodes = cluster.admin.list("nodes")
    assert [node["metadata"]["name"] for node in nodes] == list(NODES)
    for node, own in zip(nodes, cluster.nodes.values(), strict=True):
        addresses = {entry["address"] for entry in node["status"]["addresses"]}
        assert {own.address, own.address6} <= addresses
        assert [":" in block for block in node["spec"]["podCIDRs"]] == [False, True]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("node", NODES)
def test_pod_reaches_service_by_name_on_both_nodes(cluster, web, node, family):
    script = f"for i in $(seq 30); do wget -q -O - http://{family}.{web}.svc.cluster.local; done"
    answers = cluster.kubectl("exec", "-n", web, f"client-{node}", "--", "sh", "-c", script).split()
    assert len(answers) == 30
    assert set(answers) == {"web-node1", "web-node2"}


@pytest.mark.parametrize("family", FAMILIES)
def test_node_port_of_one_node_reaches_pod_of_the_other(cluster, web, family):
    service = cluster.admin.get("services", web, family)
    port = service["spec"]["ports"][0]["nodePort"]
    node = cluster.nodes["node1"]
    answers = {get(node.address if family == "four" else node.address6, port) for _ in range(30)}
    assert "web-node2" in answers


@pytest.mark.parametrize("family", FAMILIES)
def test_services_and_pods_are_reached_from_the_admins_machine(cluster, web, family):
    assert get(cluster.admin.get("services", web, family)["spec"]["clusterIP"]) in {"web-node1", "web-node2"}
    pod = cluster.admin.get("pods", web, "web-node2")
    assert get(shells.addresses(pod)[family == "six"], shells.PORT) == "web-node2"


def test_pod_sees_the_address_of_a_client_pod_as_it_is(cluster, web):
    server = shells.pod(web, "verbose", f"exec httpd -fvv -p {shells.PORT}", "node2")
    client = cluster.admin.get("pods", web, "client-node1")
    shells.running(cluster, server)
    cluster.admin.create(objects.service(web, "verbose"))
    script = "until wget -q -O /dev/null http://verbose/ 2>&1 | grep -q 404; do sleep 0.2; done"
    cluster.kubectl("exec", "-n", web, "client-node1", "--", "timeout", "20", "sh", "-c", script)
    assert shells.addresses(client)[0] in cluster.kubectl("logs", "-n", web, "verbose")


def test_logs_and_exec_work(cluster, namespace):
    shells.running(cluster, shells.pod(namespace, "talker", "echo hello; " + shells.WAIT))
    assert cluster.kubectl("logs", "-n", namespace, "talker") == "hello\n"
    assert cluster.kubectl("exec", "-i", "-n", namespace, "talker", "--", "cat", input="echoed") == "echoed"


def test_port_forward_works(cluster, web):
    command = ["kubectl", "port-forward", "-n", web, "pod/web-node2", f":{shells.PORT}"]
    with subprocess.Popen(command, env=cluster.environment(), stdout=subprocess.PIPE, text=True) as forward:
        try:
            port = re.search(r"127.0.0.1:(\d+)", forward.stdout.readline())[1]
            assert get("127.0.0.1", int(port)) == "web-node2"
        finally:
            forward.terminate()


def test_host_port_is_open_on_its_node(cluster, namespace):
    ports = [{"containerPort": shells.PORT, "hostPort": 18080}]
    container = shells.container(shells.SERVE, ports=ports)
    shells.running(cluster, shells.pod(namespace, "ported", node="node2", containers=[container]))
    node = cluster.nodes["node2"]
    assert [get(node.address, 18080), get(node.address6, 18080)] == ["ported", "ported"]


def test_host_process_tree_in_a_pod_is_that_of_its_node(cluster, namespace):
    volumes = [{"name": "proc", "hostPath": {"path": "/proc"}}]
    mounts = [{"name": "proc", "mountPath": "/host/proc", "readOnly": True}]
    script = "cat /host/proc/[0-9]*/comm; " + shells.WAIT
    container = shells.container(script, volumeMounts=mounts)
    item = shells.pod(namespace, "looker", node="node1", containers=[container], volumes=volumes)
    shells.running(cluster, item)
    seen = cluster.kubectl("logs", "-n", namespace, "looker").split()
    assert [seen.count(name) for name in ("kubelet", "kube-proxy", "containerd", "kube-apiserver")] == [1, 1, 1, 0]


def test_volume_of_a_node_is_bound_to_a_claim(cluster, namespace):
    modes = {"accessModes": ["ReadWriteOnce"]}
    claim = {"storageClassName": "", **modes, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": namespace}
    volume = {"capacity": {"storage": "1Gi"}, **modes, "hostPath": {"path": f"/var/lib/{namespace}"}}
    cluster.admin.create(objects.make("v1", "PersistentVolume", namespace, spec=volume))
    cluster.admin.create(objects.make("v1", "PersistentVolumeClaim", "claim", namespace, spec=claim))
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    container = shells.container("echo kept > /data/file; " + shells.WAIT, volumeMounts=mounts)
    writer = shells.pod(namespace, "writer", containers=[container], volumes=volumes)
    [pod] = shells.running(cluster, writer)
    node = cluster.nodes[pod["spec"]["nodeName"]]
    assert node.exec(["cat", f"/var/lib/{namespace}/file"]).stdout == "kept\n"
    cluster.admin.delete("v1/persistentvolumes", None, namespace)
