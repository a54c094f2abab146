"""One real cluster of two nodes for all tests of this folder, and a namespace of its own for each.

python -m network_mapper.testing.sandbox --net -- pytest tests/nodes
"""

from __future__ import annotations

import uuid

import kubernetes
import pytest
from harness.cluster import Cluster, obstacle

from network_mapper.testing import sandbox

STARTING = 30 * 60  # the programs may have to be built
TEST = 180


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.nodes)


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


@pytest.fixture
def namespace(cluster):
    """Name of a namespace that exists for one test."""
    name = cluster.plane.make_namespace(f"test-{uuid.uuid4().hex[:8]}")
    yield name
    cluster.plane.remove_namespace(name)
