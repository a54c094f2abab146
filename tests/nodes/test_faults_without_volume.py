"""With the chart's default values, the map lives as long as the mapper's pod: what a new one knows, and how soon.

A container that is started again keeps its pod's folder, so its map is whole. A new pod begins anew: the connections
that are still open are back, those that have ended are not, and the map says since when it watches.
"""

from __future__ import annotations

import time
import uuid

import pytest
from harness.parts import Parts, lost
from harness.release import Release
from harness.town import View

SNIFFER = {"healthPort": 19603, "settings": {"repeatInterval": 3}}
FIRST_EDGE = 30.0
HANDED_OVER = 5.0


@pytest.fixture(scope="module")
def installed(cluster, product, town):
    """The product, installed while a client connects again and again, and seconds until the list showed that."""
    port = town.tick("node1", "node2")
    began = time.monotonic()
    try:
        with Release(cluster, f"plain-{uuid.uuid4().hex[:8]}", {"sniffer": SNIFFER}) as release:
            view = View(release, town)
            view.wait_until_none(lambda: not any(edge.port == port for edge in view.edges()), 120)
            listed = release.cli("list", "--namespaces", town.namespace).stdout
            took = time.monotonic() - began
            town.hang_up()
            assert "server-node2" in listed
            view.wait_watched({})
            yield release, took
    finally:
        town.hang_up()


@pytest.fixture(scope="module")
def release(installed):
    """The release."""
    return installed[0]


@pytest.fixture(scope="module")
def parts(release):
    """Its pods."""
    return Parts(release)


@pytest.fixture(scope="module")
def view(release, town):
    """What it shows of the town."""
    return View(release, town)


@pytest.fixture(autouse=True)
def silence(town):
    """Nothing is open before a test and after it, and what others did is none of its business."""
    town.truth.clear()
    yield
    town.hang_up()


def milliseconds():
    """The wall clock, as maps have it."""
    return time.time_ns() // 1_000_000


def test_first_edge_is_listed_soon_after_the_installation_began(installed):
    assert installed[1] <= FIRST_EDGE


def test_mapper_whose_container_is_started_again_has_its_map(view, town, parts):
    town.call("node1", "node2", 3)
    town.call("node2", "node2", 2)
    view.wait_counted()
    # The client of the installation may still have repetitions that its sniffer holds back.
    ports = {edge.port for edge in town.truth}
    edges, watching = [edge for edge in view.edges() if edge.port in ports], view.map().watching_since
    mapper = parts.mapper()
    parts.kill(mapper)
    town.call("node2", "node1", 4)
    parts.wait_restarted(mapper)
    view.wait_counted()
    assert [edge for edge in view.edges() if edge in edges] == edges
    assert view.map().watching_since == watching


def test_new_pod_of_the_mapper_has_what_is_open_and_what_comes(release, view, town, parts):
    begins_anew(release, view, town, parts, lambda: parts.delete(parts.mapper()))


@pytest.mark.timeout(240)
def test_after_an_upgrade_and_a_rollback_the_map_has_what_is_open_and_what_comes(release, view, town, parts):
    sniffer = {**SNIFFER, "settings": {**SNIFFER["settings"], "heartbeatInterval": 3}}
    values = {"mapper": {"settings": {"checkpointInterval": 5}}, "sniffer": sniffer}
    for step in (lambda: release.helm("upgrade", values=values), release.rollback):
        town.truth.clear()
        begins_anew(release, view, town, parts, step, sniffers_too=True)
        town.hang_up()


@pytest.mark.timeout(240)
def test_mapper_that_moves_from_a_lost_node_has_what_is_open_elsewhere_and_what_comes(
    cluster, release, view, town, parts
):
    old = parts.mapper()
    home = old["spec"]["nodeName"]
    [other] = set(cluster.nodes) - {home}
    held = town.call(other, other, 1, hold=True)
    town.call(other, other, 2)
    view.wait_counted()
    boots = view.boots()
    with lost(cluster, home):
        began = milliseconds()
        cluster.admin.delete("pods", release.namespace, old["metadata"]["name"])
        ready = parts.wait_replaced(old, parts.mapper)
        assert parts.mapper()["spec"]["nodeName"] == other
        town.truth.clear()
        new = town.call(other, other, 3)
        assert view.wait_ports({held.port, new.port}) - ready <= HANDED_OVER
        assert view.map().watching_since > began
    town.wait_ready()
    view.wait_watched({home: boots[home]})
    town.call(home, other, 2)
    view.wait_equal()
    assert view.ports() == {edge.port for edge in (held, *town.truth)}


def begins_anew(release, view, town, parts, fault, *, sniffers_too=False):
    """After this, the map has what is open and what comes, each once, and says so."""
    held = town.call("node1", "node2", 1, hold=True)
    town.call("node1", "node2", 3)
    town.call("node2", "node2", 2)
    view.wait_counted()
    began, old, boots = milliseconds(), parts.mapper(), view.boots()
    fault()
    ready = parts.wait_replaced(old, parts.mapper)
    if sniffers_too:
        view.wait_watched(boots)  # a node is not watched while its sniffer is being replaced
    town.truth.clear()
    new = {town.call("node1", "node2", 3).port, town.call("node2", "node1", 2).port}
    shown = view.wait_ports({held.port, *new})
    assert sniffers_too or shown - ready <= HANDED_OVER
    view.wait_equal()
    [edge] = [edge for edge in view.edges() if edge.port == held.port]
    assert (edge.connections, edge.sockets) == (0, 1)
    assert view.map().watching_since > began
    assert "watching since" in release.cli("status").stdout
