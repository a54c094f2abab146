"""Whatever ends while the map is on a volume, the map is as it was, and goes on.

Each test lets connections be made, waits until the map shows each of them once, and then breaks something while nobody
connects: nothing could bring back an edge that was lost. Afterwards the map has the same edges with the same counts and
times, and connections made during the fault and after it are counted once as well.
"""

from __future__ import annotations

import time
import uuid

import image
import pytest
from harness.parts import Parts, disk, lost
from harness.release import Release
from harness.town import View

MOVED = 10  # seconds: the Service leads to the new pod, and sniffers look for a mapper every three
WRITTEN = 2  # seconds after which a few edges are on the volume
VALUES = {
    "persistence": {"enabled": True, "storageClass": "-"},
    "sniffer": {"healthPort": 19602, "settings": {"repeatInterval": 3}},
}
HOME = "node1"  # of the disk, and so of the mapper
OTHER = "node2"


@pytest.fixture(scope="module")
def release(cluster, product):
    """The product with a volume, in a cluster without a storage class."""
    namespace = f"kept-{uuid.uuid4().hex[:8]}"
    with disk(cluster, HOME, namespace), Release(cluster, namespace, VALUES) as release:
        release.wait_ready()
        yield release


@pytest.fixture(scope="module")
def parts(release):
    """Its pods."""
    return Parts(release)


@pytest.fixture(scope="module")
def view(release, town):
    """What it shows of the town."""
    return View(release, town)


@pytest.fixture
def before(view, town):
    """The map's closed edges before the fault, this test's own among them."""
    town.call(HOME, OTHER, 3)
    town.call(OTHER, HOME, 2)
    town.call(OTHER, OTHER, 4)
    view.wait_equal()
    yield view.edges()
    town.hang_up()


def unchanged(view, before):
    """Whether what was in the map is there as it was, with all counts and times."""
    now = {edge.port: edge for edge in view.edges()}
    return [now.get(edge.port) for edge in before] == before


def goes_on(view, town):
    """New connections from both nodes are counted."""
    town.call(HOME, OTHER, 2)
    town.call(OTHER, OTHER, 3)
    view.wait_equal()


def test_sniffer_that_is_killed_loses_nothing_that_it_has_sent(view, town, parts, before):
    held = town.call(OTHER, HOME, 1, hold=True)
    view.wait_equal()
    boots = view.boots()
    sniffer = parts.sniffer(OTHER)
    parts.kill(sniffer)
    parts.wait_restarted(sniffer)
    view.wait_watched({OTHER: boots[OTHER]})
    assert unchanged(view, before)
    goes_on(view, town)
    # It is still open, so the new sniffer has seen it again, and it is one connection all the same.
    [edge] = [edge for edge in view.edges() if edge.port == held.port]
    assert (edge.connections, edge.sockets) == (1, 1)


def test_sniffer_that_is_killed_can_lose_its_unsent_second_and_nothing_else(view, town, parts, before):
    boots = view.boots()
    sniffer = parts.sniffer(HOME)
    burst = town.call(HOME, OTHER, 5)
    parts.kill(sniffer)
    parts.wait_restarted(sniffer)
    view.wait_watched({HOME: boots[HOME]})
    seen = sum(edge.connections for edge in view.edges() if edge.port == burst.port)
    assert seen <= 5
    if seen:
        town.truth[burst].connections = seen
    else:
        del town.truth[burst]
    assert unchanged(view, before)
    goes_on(view, town)


def test_sniffer_that_is_asked_to_end_sends_what_it_has_first(view, town, parts, before):
    sniffer = parts.sniffer(OTHER)
    town.call(OTHER, HOME, 5)
    parts.delete(sniffer)
    parts.wait_replaced(sniffer, lambda: parts.sniffer(OTHER))
    view.wait_equal()
    assert unchanged(view, before)
    goes_on(view, town)


def test_mapper_that_is_killed_has_its_map_again_and_what_happened_meanwhile(view, town, parts, before):
    watching = view.map().watching_since
    mapper = parts.mapper()
    parts.kill(mapper)
    town.call(HOME, OTHER, 4)
    town.call(OTHER, OTHER, 4)
    parts.wait_restarted(mapper)
    view.wait_equal()
    assert unchanged(view, before)
    assert view.map().watching_since == watching
    goes_on(view, town)


def test_mapper_whose_pod_is_replaced_has_its_map_again_and_what_happened_meanwhile(view, town, parts, before):
    watching = view.map().watching_since
    mapper = parts.mapper()
    parts.delete(mapper)
    town.call(HOME, OTHER, 4)
    town.call(OTHER, OTHER, 4)
    ready = parts.wait_replaced(mapper, parts.mapper)
    assert view.wait_ports({edge.port for edge in town.truth}) - ready <= MOVED
    view.wait_equal()
    assert unchanged(view, before)
    assert view.map().watching_since == watching
    goes_on(view, town)


def test_without_api_server_connections_between_known_pods_are_mapped(cluster, view, town, before):
    places = {node: town.place(f"client-{node}") for node in (HOME, OTHER)}
    with cluster.plane.apiserver_away():
        town.call(HOME, OTHER, 3, place=places[HOME])
        town.call(OTHER, HOME, 2, place=places[OTHER])
        view.wait_equal()
        assert unchanged(view, before)
        assert view.status().cluster.problems[0].startswith("the API server does not answer since")
    assert unchanged(view, before)
    goes_on(view, town)


def test_after_the_api_server_is_back_new_pods_are_known(cluster, view, town, before):
    cluster.plane.restart_apiserver(kill=True)
    town.replace(f"client-{HOME}")
    goes_on(view, town)
    assert unchanged(view, before)
    view.wait_until_none(lambda: view.status().cluster.problems, 30)


@pytest.mark.timeout(240)
def test_upgrade_to_another_image_and_back_keeps_the_map(cluster, release, view, town, parts, before):
    newer = f"{image.reference()}-next"
    for node in cluster.nodes.values():
        node.exec(["ctr", "--namespace", "k8s.io", "images", "tag", "--force", image.reference(), newer])
    settings = {"mapper": {"settings": {"checkpointInterval": 5}}, "image": {"tag": newer.rpartition(":")[2]}}
    for change in (lambda: release.helm("upgrade", values=VALUES | settings), release.rollback):
        boots, old = view.boots(), parts.mapper()
        change()
        parts.wait_replaced(old, parts.mapper)
        view.wait_watched(boots)
        assert unchanged(view, before)
        goes_on(view, town)


@pytest.mark.timeout(240)
def test_node_that_is_lost_and_comes_back_changes_nothing(cluster, view, town, before):
    boots = view.boots()
    with lost(cluster, OTHER):
        town.call(HOME, HOME, 3)
        view.wait_equal()
        assert unchanged(view, before)
        status = view.status()
        assert [sniffer.node for sniffer in status.sniffers if not sniffer.connected] == [OTHER]
    town.wait_ready()
    view.wait_watched({OTHER: boots[OTHER]})
    assert unchanged(view, before)
    goes_on(view, town)


@pytest.mark.timeout(240)
def test_node_of_the_mapper_that_is_lost_and_comes_back_brings_the_map_back(cluster, view, town, before):
    boots = view.boots()
    # Reports that came after the last checkpoint are applied again, to the cluster as it is then: pods of a node that
    # was lost have other addresses, so what these were is known of the checkpoint alone.
    time.sleep(WRITTEN)
    with lost(cluster, HOME):
        town.call(OTHER, OTHER, 3)
    town.wait_ready()
    view.wait_watched({HOME: boots[HOME]})
    view.wait_equal()
    assert unchanged(view, before)
    goes_on(view, town)
