"""One real cluster of two nodes for all tests of this folder, and a namespace of its own for each.

It needs a sandbox, as `make test-cluster` gives it; elsewhere these tests are skipped and say so.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import image
import kubernetes
import pytest
from harness.cluster import Cluster, obstacle
from harness.town import Town
from harness.workloads import image as workload_image

from network_mapper.testing import sandbox

HERE = Path(__file__).parent
STARTING = 30 * 60  # the programs may have to be built


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    for item in mine:
        item.add_marker(pytest.mark.nodes)
    if mine:
        mine[0].add_marker(pytest.mark.timeout(STARTING), append=False)


@pytest.fixture(scope="session")
def programs():
    """Folders of the programs: control plane, nodes, and CoreDNS itself."""
    if not sandbox.inside():
        pytest.skip("a cluster with nodes runs in a sandbox only: make test-cluster")
    if reason := obstacle():
        pytest.skip(reason)
    try:
        return kubernetes.programs(), kubernetes.node_programs(), kubernetes.tool("coredns")
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster(programs):
    """The cluster that all tests share."""
    with Cluster(*programs) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def product(cluster):
    """The archive of this program's image, which the nodes have, beside that of the workloads."""
    try:
        archive = image.build()
    except image.ImageMissingError as error:
        pytest.skip(str(error))
    files, command = workload_image.files(), workload_image.command("/usr/bin/python3.11")
    workloads = image.layered(archive, workload_image.REFERENCE, files, command)
    for one in (archive, workloads):
        cluster.load_image(one)
    return archive


@pytest.fixture(scope="module")
def town(cluster, product):
    """Workloads that are silent until they are told."""
    with Town(cluster, f"town-{uuid.uuid4().hex[:8]}") as town:
        yield town


@pytest.fixture
def namespace(cluster):
    """Name of a namespace that exists for one test."""
    name = cluster.plane.make_namespace(f"test-{uuid.uuid4().hex[:8]}")
    yield name
    cluster.plane.remove_namespace(name)
