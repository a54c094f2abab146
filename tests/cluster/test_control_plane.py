"""The harness's control plane is a real one, and does what tests build on."""

import json
import os
import ssl
import subprocess

import kubernetes
import pytest
from harness import objects, pods
from harness.faults import at_present
from harness.kube_api import ApiError, KubeApi
from harness.pki import Authority

pytestmark = pytest.mark.cluster


def test_what_runs_is_the_version_of_the_lock(control_plane, programs):
    said = subprocess.run([programs / "kube-apiserver", "--version"], check=True, capture_output=True, text=True).stdout
    assert control_plane.version() == said.split()[-1]
    if "KUBEBUILDER_ASSETS" not in os.environ:
        assert control_plane.version() == f"v{kubernetes.version()}" == "v1.34.4"


def test_a_deployment_gets_its_replica_set_and_pods_from_the_real_controllers(control_plane, namespace):
    api = control_plane.admin
    deployment = api.create(objects.deployment(namespace, "web", 2))
    found = api.wait("two pods", lambda: len(items := api.list("pods", namespace)) == 2 and items)
    (replica_set,) = api.list("replicasets", namespace)
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    for pod in found:
        owner = pod["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"]) == ("ReplicaSet", replica_set["metadata"]["uid"])
        assert pod["status"]["phase"] == "Pending"
        assert "nodeName" not in pod["spec"]


def test_pods_of_a_deployment_run_where_they_are_bound(control_plane, namespace):
    api = control_plane.admin
    api.create(objects.deployment(namespace, "web", 2))
    ran = pods.run_pods_of(api, namespace, "web", [["10.244.1.1", "fd00::1"], "10.244.1.2"], node="node-b")
    assert [pod["status"]["podIPs"] for pod in ran] == [
        [{"ip": "10.244.1.1"}, {"ip": "fd00::1"}],
        [{"ip": "10.244.1.2"}],
    ]
    now = api.list("pods", namespace)
    assert {(pod["spec"]["nodeName"], pod["status"]["phase"]) for pod in now} == {("node-b", "Running")}
    api.wait("ready", lambda: api.get("deployments", namespace, "web")["status"].get("readyReplicas") == 2)


def test_a_posted_pod_is_in_the_endpoint_slice_while_it_is_ready(control_plane, namespace):
    api = control_plane.admin
    api.create(objects.service(namespace, "db"))
    pod = pods.run_pod(api, objects.pod(namespace, "db"), "10.244.0.7")
    api.wait("the endpoint", lambda: pods.addresses_of(api, namespace, "db") == {"10.244.0.7": "db"})
    pods.end_pod(api, pod)
    api.wait("no endpoint", lambda: pods.addresses_of(api, namespace, "db") == {})


def test_a_cron_job_makes_a_job_that_makes_a_pod(control_plane, namespace):
    api = control_plane.admin
    cron = api.create(objects.cron_job(namespace, "backup"))
    # What the controller does each minute, done now.
    made = objects.job(namespace, "backup-1", meta=objects.owned_by(cron))
    api.create(made)
    (pod,) = pods.run_pods_of(api, namespace, "backup-1", ["10.244.0.8"])
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "Job"
    pods.end_pod(api, pod)
    # The controller keeps a finished pod from being removed until it has counted it.
    api.wait("the end", lambda: api.get("jobs", namespace, "backup-1")["status"].get("succeeded") == 1, 30)


def test_the_api_servers_own_service_has_the_advertised_address(control_plane):
    (item,) = control_plane.admin.list("endpointslices", "default")
    assert item["endpoints"][0]["addresses"] == [control_plane.addresses.advertise]


def test_a_service_account_may_do_what_it_was_given_and_nothing_else(control_plane, namespace):
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    control_plane.service_account(namespace, "reader", rules)
    with control_plane.client(token=control_plane.token(namespace, "reader")) as api:
        assert api.list("pods", namespace) == []
        with pytest.raises(ApiError) as refused:
            api.list("services", namespace)
    assert (refused.value.status, refused.value.reason) == (403, "Forbidden")


def test_a_right_in_one_namespace_is_none_elsewhere(control_plane, namespace):
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    control_plane.service_account(namespace, "local", rules, wide=False)
    with control_plane.client(token=control_plane.token(namespace, "local")) as api:
        assert api.list("pods", namespace) == []
        with pytest.raises(ApiError):
            api.list("pods")


def test_a_user_is_who_its_certificate_names(control_plane):
    user = control_plane.user("jane", ["team-a"])
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    with control_plane.client(certificate=user) as api:
        found = api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"]["userInfo"]
    assert found["username"] == "jane"
    assert "team-a" in found["groups"]


def test_a_kubeconfig_names_server_authority_and_credentials(control_plane, tmp_path):
    config = json.loads(
        control_plane.kubeconfig(tmp_path / "config", token_file=tmp_path / "token", server="https://x:1").read_text()
    )
    assert config["clusters"][0]["cluster"]["server"] == "https://x:1"
    assert config["users"][0]["user"] == {"tokenFile": str(tmp_path / "token")}


def test_an_account_folder_holds_what_a_pod_finds_mounted(control_plane, namespace, tmp_path):
    folder = control_plane.account_folder(tmp_path / "account", namespace, "default")
    assert (folder / "namespace").read_text() == namespace
    with KubeApi(control_plane.url, folder / "ca.crt", token=(folder / "token").read_text()) as api:
        assert api.call("GET", "/version")["major"] == "1"


def test_another_authority_is_not_believed(control_plane, tmp_path):
    with (
        KubeApi(control_plane.url, Authority(tmp_path, "other").cert) as api,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        api.call("GET", "/version")


def test_compaction_makes_the_server_answer_410_to_a_page_token(control_plane, namespace):
    api = control_plane.admin
    for number in range(3):
        api.create(objects.make("v1", "ConfigMap", f"c-{number}", namespace))
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    page = api.call("GET", path, query={"limit": 1})
    api.create(objects.make("v1", "ConfigMap", "later", namespace))
    control_plane.etcd.compact()

    def expired():
        answer = api.request("GET", path, query={"limit": 1, "continue": page["metadata"]["continue"]})
        return answer.status == 410 and answer

    answer = api.wait("an expired token", expired, 60)
    assert answer.json()["metadata"]["continue"] == at_present(page["metadata"]["continue"])


def test_a_watch_tells_what_happens(control_plane, namespace):
    api = control_plane.admin
    with api.watch("services", namespace, timeoutSeconds=30) as events:
        api.create(objects.service(namespace, "web"))
        api.delete("services", namespace, "web")
        told = [
            (event["type"], event["object"]["metadata"]["name"]) for _, event in zip(range(2), events, strict=False)
        ]
    assert told == [("ADDED", "web"), ("DELETED", "web")]


def test_lists_go_over_all_pages(control_plane, namespace):
    api = control_plane.admin
    for number in range(5):
        api.create(objects.service(namespace, f"s-{number}"))
    assert len(api.list("services", namespace, limit=2)) == 5


def test_a_removed_namespace_takes_running_pods_with_it(control_plane):
    name = control_plane.make_namespace("short-lived")
    pods.run_pod(control_plane.admin, objects.pod(name, "web"), "10.244.0.9")
    control_plane.remove_namespace(name, wait=True)
    assert control_plane.admin.list("pods", name) == []


def test_custom_resources_can_be_added_and_used(control_plane, namespace):
    api = control_plane.admin
    definition = objects.custom_resource("example.org", "Rollout", "rollouts")
    api.create(definition)
    rollout = objects.make("example.org/v1", "Rollout", "web", namespace, spec={"any": 1})
    api.wait("the new kind", lambda: api.create(rollout))
    assert api.get("example.org/v1/rollouts", namespace, "web")["spec"] == {"any": 1}
    api.delete("customresourcedefinitions", None, definition["metadata"]["name"])


@pytest.mark.parametrize("kill", [False, True])
def test_the_api_server_comes_back_on_its_port(control_plane, namespace, kill):
    api, before = control_plane.admin, control_plane.apiserver.daemon.pid
    api.create(objects.service(namespace, "web"))
    control_plane.restart_apiserver(kill=kill)
    assert control_plane.apiserver.daemon.pid != before
    assert api.get("services", namespace, "web")["spec"]["ports"][0]["port"] == 80


def test_a_list_can_be_streamed(control_plane, namespace):
    api = control_plane.admin
    api.create(objects.service(namespace, "web"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with api.watch("services", namespace, timeoutSeconds=30, **query) as events:
        first, second = next(events), next(events)
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "web")
    assert second["type"] == "BOOKMARK"
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
