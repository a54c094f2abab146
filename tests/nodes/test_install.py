"""`network-mapper install`, `upgrade` and `uninstall` on the real cluster, as a newcomer runs them."""

import json
import sys
import uuid

import image
import pytest

from network_mapper import __version__
from network_mapper.cli.deploy import resources

PORT = 19777
"""Of the sniffers' health: another installation of the shared cluster may have the usual one."""


@pytest.fixture
def name(cluster):
    """Name of a namespace that does not exist yet; nothing of an installation in it is left afterwards."""
    name = f"install-{uuid.uuid4().hex[:8]}"
    yield name
    program(cluster, "uninstall", "--yes", "-n", name, "--delete-data")
    left = [item for item in cluster.admin.list("namespaces") if item["metadata"]["name"] == name]
    if left:
        cluster.plane.remove_namespace(name)


def program(cluster, *arguments, code=0):
    """Run this program; returns what it printed and said."""
    done = cluster.run([sys.executable, "-m", "network_mapper", *map(str, arguments)], check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def install(cluster, name, *options, code=0):
    where = ("-n", name, "--allow-second", "--sniffer-health-port", PORT)
    return program(cluster, "install", *where, "--timeout", "90s", *options, code=code)


def objects(cluster, name):
    """Titles of what has the label of this installation."""
    found = []
    for kind in resources.IN_ORDER:
        if kind.group != "security.openshift.io":
            path = f"{kind.path(name)}?labelSelector=network-mapper.io/installation={name}"
            found += [f"{kind.plural}/{item['metadata']['name']}" for item in cluster.admin.call("GET", path)["items"]]
    return found


def test_a_newcomer_installs_looks_changes_and_removes(cluster, product, name):
    done = install(cluster, name)
    assert done.stdout.splitlines()[-1] == (
        f"network-mapper {__version__} runs in namespace {name}: mapper ready, 2 of 2 sniffers ready, 2 reporting."
    )
    assert done.stderr.splitlines()[-1] == f"See the map: network-mapper list --mapper-namespace {name}"
    to = ("--mapper-namespace", name, "-o", "json")
    status = json.loads(program(cluster, "status", *to).stdout)
    assert {sniffer["node"] for sniffer in status["sniffers"]} == set(cluster.nodes)
    assert json.loads(program(cluster, "list", *to, "--all").stdout)["edges"]

    done = json.loads(program(cluster, "upgrade", "-n", name, "--profile", "sockets", "-o", "json").stdout)
    changed = {row["kind"] for row in done["objects"] if row["action"] == "configured"}
    assert (changed, done["running"]) == ({"Deployment", "DaemonSet"}, True)
    pods = cluster.admin.list("pods", name, labelSelector="app.kubernetes.io/component=sniffer")
    assert {pod["spec"]["securityContext"].get("runAsUser") for pod in pods} == {65532}

    removed = program(cluster, "uninstall", "--yes", "-n", name, "--delete-namespace").stdout
    assert f"namespace/{name} removed" in removed
    assert objects(cluster, name) == []
    assert name not in cluster.plane.namespaces()
    assert "nothing was removed" in program(cluster, "uninstall", "--yes", "-n", name).stdout


def test_an_image_that_no_registry_has_is_told_and_mended_by_an_upgrade(cluster, product, name):
    done = install(cluster, name, "--image", "registry.invalid/network-mapper", "--timeout", "15s", code=1)
    pulls = [line for line in done.stderr.splitlines() if line.startswith("Warning:")]
    assert sorted(line.split()[1] for line in pulls) == ["mapper", "sniffers"]
    assert all(f"the image registry.invalid/network-mapper:{__version__} cannot be pulled (" in line for line in pulls)
    assert all("registry.invalid" in line.partition("(")[2] for line in pulls)
    repository, _, _ = image.reference().rpartition(":")
    mended = program(cluster, "upgrade", "-n", name, "--image", repository, "--timeout", "90s")
    assert "mapper ready, 2 of 2 sniffers ready" in mended.stdout


def test_in_a_namespace_that_forbids_the_sniffers_the_mapper_runs(cluster, product, name):
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    done = install(cluster, name, code=1)
    assert done.stdout.splitlines()[-1] == f"network-mapper {__version__} runs in namespace {name}: mapper ready."
    assert "the PodSecurity level 'restricted', which forbids the sniffers" in done.stderr
    allowed = program(cluster, "upgrade", "-n", name, "--label-namespace", "--timeout", "90s")
    assert "mapper ready, 2 of 2 sniffers ready" in allowed.stdout


def test_without_a_storage_class_it_says_so(cluster, product, name):
    done = install(cluster, name, "--profile", "persistent", "--timeout", "12s", code=1)
    assert "Warning: mapper: the volume claim network-mapper waits, for the cluster has no default storage class" in (
        done.stderr
    )
    assert "2 of 2 sniffers ready" in done.stderr
