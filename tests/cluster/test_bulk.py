"""The large cluster of the benchmarks, in small."""

import pytest
from harness import bulk
from harness.control_plane import ControlPlane

pytestmark = pytest.mark.cluster

SIZE = bulk.Size(pods=20, revisions=3, nodes=2)
COUNTS = {"nodes": 2, "deployments": 2, "replicasets": 6, "services": 2, "pods": 20, "endpointslices": 2}


@pytest.fixture
def data(programs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = []
    data = bulk.filled(programs, SIZE, said.append)
    assert len(said) == len(COUNTS) + 1
    assert bulk.filled(programs, SIZE, pytest.fail) == data
    return data


def test_a_control_plane_begins_with_the_cluster_that_was_kept(programs, workspaces, data):
    with ControlPlane(programs, parent=workspaces, controllers=(), etcd_data=data) as plane:
        api = plane.admin
        found = {kind: len(api.list(kind, None if kind == "nodes" else bulk.NAMESPACE)) for kind in COUNTS}
        assert found == COUNTS
        sets = {item["metadata"]["uid"]: item for item in api.list("replicasets", bulk.NAMESPACE)}
        deployments = {item["metadata"]["uid"] for item in api.list("deployments", bulk.NAMESPACE)}
        for pod in api.list("pods", bulk.NAMESPACE):
            assert pod["status"]["phase"] == "Running"
            assert [len(container["env"]) for container in pod["spec"]["containers"]] == [20, 20]
            owner = sets[pod["metadata"]["ownerReferences"][0]["uid"]]
            assert owner["spec"]["replicas"] == 10
            assert owner["metadata"]["ownerReferences"][0]["uid"] in deployments
        ready = [
            end["addresses"][0] for item in api.list("endpointslices", bulk.NAMESPACE) for end in item["endpoints"]
        ]
        assert sorted(ready) == sorted(bulk.pod_address(pod) for pod in range(20))
        assert api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "it-takes-writes"}})
