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
from harness.installed import Installed
from harness.kubelet import Kubelet
from harness.places import Places
from harness.processes import ProgramMissingError
from harness.proxy import FaultProxy
from model_mapper import ModelMapper

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


@pytest.fixture(scope="session")
def places(control_plane):
    """Makes places."""
    return Places(control_plane)


@pytest.fixture
def place(control_plane, places):
    """A namespace of one test's own, with addresses that nobody else has."""
    place = places.new()
    yield place
    control_plane.remove_namespace(place.namespace)


@pytest.fixture(scope="session")
def mappers(control_plane, tmp_path_factory):
    """Starts mappers, one for each combination of options, and keeps them for the next test that asks."""
    running = {}
    config = control_plane.kubeconfig(tmp_path_factory.mktemp("mappers") / "kubeconfig")

    def mapper_with(*options):
        if options not in running:
            folder = tmp_path_factory.mktemp("m")
            running[options] = ModelMapper(folder, None, "--kubeconfig", str(config), *options).start().wait_ready()
        return running[options]

    yield mapper_with
    assert [process.stop()[0] for process in running.values()] == [0] * len(running)


@pytest.fixture(scope="session")
def mapper(mappers):
    """The mapper as it is without settings."""
    return mappers()


@pytest.fixture(scope="session")
def kubelet(control_plane):
    """A node that forwards ports."""
    try:
        program = kubernetes.kubelet()
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))
    with Kubelet(control_plane, program) as kubelet:
        yield kubelet


@pytest.fixture(scope="module")
def installed(control_plane, places, kubelet, tmp_path_factory):
    """A mapper as it is installed in a cluster, with one edge in its map."""
    installed = Installed(places.new(), kubelet, tmp_path_factory.mktemp("i"))
    yield installed
    installed.stop()
    control_plane.admin.delete("services", installed.place.namespace, installed.service)
    control_plane.remove_namespace(installed.place.namespace)


@pytest.fixture
def admin_config(control_plane, tmp_path):
    """A kubeconfig of the admin."""
    return control_plane.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def account(control_plane, namespace, installed, tmp_path):
    """Make a kubeconfig of a service account that may do this, everywhere or where the mapper is."""

    def make(*rules, wide=True, **more):
        control_plane.service_account(namespace, "reader")
        subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
        if rules:
            control_plane.grant(subject, rules, None if wide else installed.place.namespace)
        return control_plane.kubeconfig(tmp_path / "account", token=control_plane.token(namespace, "reader"), **more)

    return make
