"""What the generator did is what the map has, edge by edge, whatever is killed meanwhile.

Every pod of a town goes on connecting while something ends without warning. Afterwards each edge has the generator's
count: none more, and fewer only by what happened while its node was declared not to be watched; such a time is no
longer than the outage was. The balance sheet of mapper and sniffers balances, and what is lost is counted there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid

import pytest
from harness import balance, dns
from harness.parts import Parts, disk
from harness.release import Release
from harness.town import View
from harness.traffic import Traffic, wrong

pytestmark = pytest.mark.timeout(240)

HOME, OTHER = "node1", "node2"
VALUES = {
    "persistence": {"enabled": True, "storageClass": "-"},
    "sniffer": {"healthPort": 19604, "settings": {"repeatInterval": 3}},
}
AROUND = 3.0  # seconds of traffic before and after what happens
UNREPORTED = 6.0  # seconds by which a blind window may begin before the outage, and end after it
AWAY = 60.0
SETTLING = 75.0
PATIENCE = 65.0  # for so long rows may wait for the pod that had an address
DAEMONS = {"containerd": 1, "kubelet": 2, "kube-proxy": 3}  # places in `Node.daemons`


@pytest.fixture(scope="module")
def release(cluster, product, town):
    """The product with a volume; the town stands before it, so what that did to get ready was not seen."""
    namespace = f"counted-{uuid.uuid4().hex[:8]}"
    with disk(cluster, HOME, namespace), Release(cluster, namespace, VALUES) as release:
        release.wait_ready()
        yield release


@pytest.fixture(scope="module")
def parts(release):
    """Its pods."""
    return Parts(release)


@pytest.fixture(scope="module")
def view(release, town):
    """What it shows."""
    view = View(release, town)
    view.wait_watched({})
    return view


@pytest.fixture(scope="module")
def traffic(town, view):
    """The generator; what it did in one test is still to be in the map after the next."""
    with Traffic(town) as traffic:
        yield traffic


@contextlib.contextmanager
def going(traffic):
    """Let the connections go on before, during and after something."""
    traffic.start()
    try:
        time.sleep(AROUND)
        yield
        time.sleep(AROUND)
    finally:
        traffic.stop()


def windows(view):
    """The blind windows of nodes that are declared."""
    completeness = view.map().completeness
    assert completeness is not None
    assert completeness.blind_windows == len(completeness.blind)
    return [window for window in completeness.blind if window.node]


def assert_conserved(traffic, view):
    """Every edge has its count, and the sheet balances."""
    events = traffic.events()
    assert events
    view.wait_until_none(lambda: wrong(events, view.map().edges, windows(view), traffic.town.namespace), SETTLING)
    view.wait_until_none(lambda: balance.unbalanced(view.status()) + balance.torn(view.status()), 10)
    status = view.status()
    assert {row.hop for row in status.accounting} >= {"intake", "resolve", "graph", "store"}
    assert all(sniffer.hops for sniffer in status.sniffers)
    assert balance.lost(status) == {}, balance.sheet(status.accounting)
    assert not traffic.failed["connections"]  # nothing that is killed stands in their way


def assert_no_longer_blind_than(view, known, node, began, ended):
    """The windows that were added lie around an outage of the node's sniffer, and there is one."""
    added = [window for window in windows(view) if window not in known]
    assert [window.node for window in added] == [node]
    [window] = added
    assert window.reason == "sniffer_away"
    assert window.start >= (began - UNREPORTED) * 1000
    assert began * 1000 <= window.end <= (ended + UNREPORTED) * 1000


def test_every_connection_is_counted_where_nothing_happens(traffic, view):
    with going(traffic):
        pass
    assert_conserved(traffic, view)


@pytest.mark.parametrize("node", [HOME, OTHER])
def test_sniffer_that_is_killed_loses_what_it_says_it_did_not_watch(traffic, view, parts, node):
    known, boots, sniffer = windows(view), view.boots(), parts.sniffer(node)
    with going(traffic):
        began = time.time()
        parts.kill(sniffer)
        parts.wait_restarted(sniffer)
        ended = time.time()
        view.wait_watched({node: boots[node]})
    assert_conserved(traffic, view)
    assert_no_longer_blind_than(view, known, node, began, ended)


def test_mapper_that_is_killed_loses_nothing(traffic, view, parts):
    known, mapper = windows(view), parts.mapper()
    with going(traffic):
        parts.kill(mapper)
        parts.wait_restarted(mapper)
    assert_conserved(traffic, view)
    assert windows(view) == known


def test_mapper_that_is_away_for_a_minute_loses_nothing(cluster, traffic, view, release, parts):
    known = windows(view)

    def scale(replicas):
        change = {"spec": {"replicas": replicas}}
        cluster.admin.patch("deployments", release.namespace, "network-mapper", change)

    with going(traffic):
        scale(0)
        cluster.admin.wait("the mapper's end", lambda: not parts.pods("mapper"))
        time.sleep(AWAY)
        scale(1)
        cluster.wait_available(release.namespace, "network-mapper")
    assert_conserved(traffic, view)
    assert windows(view) == known


def test_without_api_server_nothing_is_lost(cluster, traffic, view):
    known = windows(view)
    with going(traffic):
        cluster.plane.restart_apiserver(kill=True)
    assert_conserved(traffic, view)
    assert windows(view) == known


def test_cluster_dns_that_is_killed_loses_nothing(cluster, traffic, view):
    known = windows(view)
    with going(traffic):
        [pod] = cluster.admin.list("pods", dns.NAMESPACE, labelSelector="k8s-app=kube-dns")
        for pid in cluster.nodes[pod["spec"]["nodeName"]].pids(pod["status"]["containerStatuses"][0]["containerID"]):
            os.kill(pid, signal.SIGKILL)
        cluster.wait_available(dns.NAMESPACE, dns.NAME)
    assert_conserved(traffic, view)
    assert windows(view) == known


@pytest.mark.parametrize("node", [HOME, OTHER])
@pytest.mark.parametrize("name", DAEMONS)
def test_daemon_of_a_node_that_is_killed_loses_nothing(cluster, traffic, view, node, name):
    known, daemon = windows(view), cluster.nodes[node].daemons()[DAEMONS[name]]
    with going(traffic):
        daemon.signal(signal.SIGKILL)
        daemon.wait(10)
        daemon.start()
        cluster.nodes[node].wait_ready()
    assert_conserved(traffic, view)
    assert windows(view) == known


def test_what_waited_in_the_end_was_not_lost_either(traffic, view):
    time.sleep(PATIENCE)
    assert wrong(traffic.events(), view.map().edges, windows(view), traffic.town.namespace) == []
    assert balance.lost(view.status()) == {}
