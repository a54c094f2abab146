"""The mapper on a real API server: it names what really runs, as it comes and goes."""

import contextlib
import time

import pytest
from harness import objects, pods
from mapper_process import MapperProcess

pytestmark = pytest.mark.cluster


@pytest.fixture
def mapper(control_plane, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "kubeconfig")
    process = MapperProcess(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    yield process
    assert process.stop()[0] == 0


def eventually(probe, seconds=15):
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def workloads(mapper, namespace):
    rows = mapper.get(f"/api/v1/workloads?namespace={namespace}")["workloads"]
    return {(row["kind"], row["name"]): row["pods"] for row in rows}


def test_a_deployments_pods_are_it_as_long_as_they_are_there(control_plane, namespace, mapper):
    api = control_plane.admin
    api.create(objects.deployment(namespace, "web", replicas=2))
    pods.run_pods_of(api, namespace, "web", ["10.244.0.5", "10.244.0.6"])
    eventually(lambda: workloads(mapper, namespace) == {("Deployment", "web"): 2})
    api.delete("deployments", namespace, "web")
    for pod in api.list("pods", namespace):
        with contextlib.suppress(Exception):
            api.delete("pods", namespace, pod["metadata"]["name"])
    eventually(lambda: workloads(mapper, namespace) == {})
