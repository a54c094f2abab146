"""`docs/operations.md`: a map is copied and brought back as the page says."""

import subprocess
import time
from pathlib import Path

import pytest
import tutorial
from harness.parts import disk
from harness.release import Release

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
OURS = "network-mapper"
VALUES = {"persistence": {"enabled": True, "storageClass": "-"}}
CLIENT = "until wget -q -O - http://server:8080; do sleep 1; done; sleep 1000"
SERVER = "echo hello > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def release(cluster, product):
    with disk(cluster, "node1", OURS), Release(cluster, OURS, VALUES) as release:
        release.wait_ready()
        yield release


def edges(release, namespace):
    """The map of a namespace, with all counts and times."""
    return release.map("-n", namespace)["edges"]


def test_map_is_copied_and_brought_back(release, cluster, namespace, tmp_path):
    copy, bring_back = tutorial.steps(PAGE.read_text())

    def type_in(lines):
        return cluster.run(["bash", "-ec", lines], cwd=tmp_path, stdin=subprocess.DEVNULL).stdout

    def run_pod(name, script):
        cluster.kubectl("-n", namespace, "run", name, "--image=docker.io/library/busybox:1.36", f"--labels=app={name}",
                        "--", "sh", "-c", script)  # fmt: skip

    run_pod("server", SERVER)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
    cluster.kubectl("-n", namespace, "expose", "pod", "server", "--port=8080")
    run_pod("client", CLIENT)
    before = settled(release, namespace)
    tutorial.follow(copy, type_in)
    release.cli("reset", "--yes")
    assert edges(release, namespace) == []
    tutorial.follow(bring_back, type_in)
    release.wait_ready()
    assert edges(release, namespace) == before
    assert "restore" not in cluster.kubectl("-n", OURS, "get", "pods", "-o", "name")


def settled(release, namespace):
    """The map, once it has the client's one connection and does not change any more."""
    found: list = []

    def same():
        now = edges(release, namespace)
        kept = found == now and any(edge["connections"] for edge in now)
        found[:] = now
        time.sleep(2)
        return kept

    release.cluster.admin.wait("a map that rests", same, 90)
    return found
