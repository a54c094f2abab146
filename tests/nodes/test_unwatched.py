"""A pod that was born and died while the mapper could not watch the API server is named by what its node knows.

Neither is it missed, nor is another workload taken for it: the map has the pod's own name, and says of nobody that it
owned it. Both as a client and as a server.
"""

from __future__ import annotations

import contextlib
import uuid

import pytest
from harness import balance, shells
from harness.parts import Parts
from harness.release import Release
from harness.town import PYTHON, TARGET, View
from harness.workloads import image as workload_image
from harness.workloads import judge, manifests

from network_mapper.testing import truth
from network_mapper.testing.truth import Numbers, TrueEdge

pytestmark = pytest.mark.timeout(240)

SETTLING = 90.0  # the waiting room's minute, and then some


@pytest.fixture(scope="module")
def view(cluster, product, town):
    """The product."""
    values = {"sniffer": {"healthPort": 19606, "settings": {"repeatInterval": 3}}}
    with Release(cluster, f"unwatched-{uuid.uuid4().hex[:8]}", values) as release:
        release.wait_ready()
        view = View(release, town)
        view.wait_watched({})
        yield view


@contextlib.contextmanager
def cut_off(cluster, view):
    """Let nothing pass between the mapper and the API server, not even later.

    The server of before ends here: what it had to say the kernel would say again as soon as the way is free.
    """
    mapper = Parts(view.release).mapper()
    node = cluster.nodes[mapper["spec"]["nodeName"]]
    port = cluster.plane.url.rpartition(":")[2]
    address = mapper["status"]["podIP"]
    rules = [["-s", address, "-p", "tcp", "--dport", port], ["-d", address, "-p", "tcp", "--sport", port]]
    for rule in rules:
        node.exec(["iptables", "-I", "FORWARD", *rule, "-j", "DROP"])
    try:
        cluster.plane.restart_apiserver(kill=True)
        yield
        # Else the server would tell of it when it is reached again: it keeps what happened for minutes.
        cluster.plane.etcd.compact()
        cluster.plane.restart_apiserver(kill=True)
    finally:
        for rule in rules:
            node.exec(["iptables", "-D", "FORWARD", *rule, "-j", "DROP"])


def stranger(town, name, node, **work):
    """A pod without an owner."""
    image = manifests.Image(workload_image.REFERENCE, tuple(workload_image.command(PYTHON)))
    pods = manifests.Pods(app=name, stay=False, node=node, **work)
    made = manifests.static_pod(image, town.namespace, pods)
    return town.cluster.admin.create(made)


def test_pod_that_nobody_was_told_of_is_named_without_an_owner(cluster, town, view):
    call = manifests.call("server-node2", 8001, count=3)
    with cut_off(cluster, view):
        stranger(town, "caller", "node1", calls={"call": call}, linger=1.0)
        stranger(town, "answerer", "node2", listen=(TARGET,), linger=12.0)
        address = shells.addresses(shells.wait(cluster, town.namespace, "answerer"))[0]
        town.connect("client-node1", address, TARGET, 2)
        cluster.admin.wait("the caller's end", lambda: ended(cluster, town, "caller"), 40)
        for name in ("caller", "answerer"):
            cluster.admin.delete("pods", town.namespace, name, grace=None)
        cluster.admin.wait("their end", lambda: not strangers(cluster, town), 40)
    client = truth.label("client-node1", town.namespace, "Deployment")
    server = truth.label("server-node2", town.namespace, "Deployment")
    service = f"{town.namespace}/server-node2"
    born = {name: truth.label(name, town.namespace, "") for name in ("caller", "answerer")}
    want = {
        TrueEdge(born["caller"], server, service, 8001): Numbers(connections=3),
        TrueEdge(client, born["answerer"], "", TARGET): Numbers(connections=2),
    }

    def differences():
        found = judge.seen(view.edges(), [town.namespace])
        return truth.differences(want, {edge: numbers for edge, numbers in found.items() if edge.port})

    view.wait_until_none(differences, SETTLING)
    view.wait_until_none(lambda: balance.unbalanced(view.status()), 10)
    assert balance.lost(view.status()) == {}


def strangers(cluster, town):
    """Those that are there."""
    names = {pod["metadata"]["name"] for pod in cluster.admin.list("pods", town.namespace)}
    return names & {"caller", "answerer"}


def ended(cluster, town, name):
    """Whether a pod has ended well."""
    return cluster.admin.get("pods", town.namespace, name)["status"]["phase"] == "Succeeded"
