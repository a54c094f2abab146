"""One real control plane for all tests of this folder, a namespace of its own for each, and a proxy that breaks things.

The programs may still be built when the first of these tests is due; it waits for the build's lock (tests/conftest.py
gives it the time). Where they cannot be had, these tests are skipped and say why.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import kubernetes
import pytest
from harness import objects, pods
from harness.control_plane import ControlPlane
from harness.processes import ProgramMissingError
from harness.proxy import FaultProxy

from network_mapper.testing import sandbox

NODES = {pods.NODE: "172.30.0.11", "node-b": "172.30.0.12"}


@pytest.fixture(scope="session")
def programs():
    """Folder of the Kubernetes programs."""
    try:
        return kubernetes.programs()
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def workspaces():
    """Folder for the files of control planes: inside the sandbox one that goes away with it, else the system's."""
    return Path("/run") if sandbox.inside() else None


@pytest.fixture(scope="session")
def control_plane(programs, workspaces):
    """The control plane, with two Node objects for posted pods."""
    try:
        plane = ControlPlane(programs, parent=workspaces)
    except ProgramMissingError as error:
        pytest.skip(str(error))
    with plane:
        for name, address in NODES.items():
            plane.admin.create(objects.node(name, address))
        yield plane


@pytest.fixture
def namespace(control_plane):
    """Name of a namespace that exists for one test."""
    name = control_plane.make_namespace(f"test-{uuid.uuid4().hex[:8]}")
    yield name
    control_plane.remove_namespace(name)


@pytest.fixture
def proxy(control_plane):
    """A proxy before the control plane, without faults yet."""
    with FaultProxy(control_plane) as proxy:
        yield proxy
