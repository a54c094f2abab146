"""The Helm chart against a real API server: every object is taken, and installations come and go without a trace.

There are no nodes behind this server, so no pod runs here; what pods of the chart do is tried in tests/nodes.
"""

from __future__ import annotations

import contextlib
import json
import uuid

import kubernetes
import pytest
from chart_crds import DEFINITIONS
from harness.kube_api import ApiError, path_of, resource_of
from helm import CHART, RELEASE, VALUE_SETS, Helm, HelmError, objects, one
from model_mapper import ModelMapper

from network_mapper.cluster.live import resources

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # Helm may still be built when the first of these is due

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
LEVEL = "pod-security.kubernetes.io/enforce"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
sets = pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.name.removesuffix("-values.yaml"))


def resource(item):
    """The resource of an object, as GROUP/VERSION/PLURAL."""
    if item["kind"] == "SecurityContextConstraints":
        return f"{item['apiVersion']}/securitycontextconstraints"
    return resource_of(item)


@pytest.fixture(scope="module")
def program():
    try:
        return kubernetes.tool("helm")
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def helm(program, control_plane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("helm")
    return Helm(program, folder, control_plane.kubeconfig(folder / "kubeconfig"))


@pytest.fixture(scope="module")
def definitions(control_plane):
    """The server knows what the Prometheus operator and OpenShift bring."""
    api = control_plane.admin
    for definition in DEFINITIONS:
        api.apply(definition)
    for definition in DEFINITIONS:
        spec = definition["spec"]
        served = f"{spec['group']}/v1/{spec['names']['plural']}"
        api.wait(f"{served} to be served", lambda served=served: api.list(served) is not None)
    yield
    for definition in DEFINITIONS:
        api.delete("customresourcedefinitions", None, definition["metadata"]["name"])


@pytest.fixture
def other_namespace(control_plane):
    name = control_plane.make_namespace(f"test-{uuid.uuid4().hex[:8]}")
    yield name
    control_plane.remove_namespace(name)


@pytest.fixture
def installed(helm):
    """Install the chart; what was installed is removed at the end. Gives the notes."""
    done = []

    def install(namespace, *options, release=RELEASE, by=helm):
        done.append((release, namespace))
        return by.run("install", release, CHART, "--namespace", namespace, *options).partition("\nNOTES:\n")[2]

    yield install
    for release, namespace in done:
        with contextlib.suppress(HelmError):
            helm.run("uninstall", release, "--namespace", namespace)


def label(control_plane, namespace, level):
    control_plane.admin.patch("namespaces", None, namespace, {"metadata": {"labels": {LEVEL: level}}})


def test_without_the_prometheus_operator_helm_says_which_kind_is_missing(helm, namespace):
    with pytest.raises(HelmError, match='no matches for kind "ServiceMonitor"'):
        helm.run("install", RELEASE, CHART, "--namespace", namespace, "--set", "serviceMonitor.enabled=true")


@sets
def test_the_server_takes_every_object(helm, definitions, control_plane, namespace, values):
    found = helm.objects("--values", values, namespace=namespace)
    assert found
    for item in found:
        path = path_of(resource(item), item["metadata"].get("namespace"))
        made = control_plane.admin.call("POST", path, item, query=STRICT)
        assert made["metadata"]["labels"].items() >= item["metadata"]["labels"].items()


@pytest.mark.parametrize("values", ["default", "everything"])
def test_an_installation_comes_is_changed_and_goes_without_a_trace(helm, definitions, control_plane, namespace, values):
    api = control_plane.admin
    where = ("--namespace", namespace)
    release, values = "map-of-tests", CHART / "ci" / f"{values}-values.yaml"
    helm.run("install", release, CHART, *where, "--values", values)
    found = objects(helm.run("get", "manifest", release, *where))
    for item in found:
        assert api.get(resource(item), item["metadata"].get("namespace"), item["metadata"]["name"])
    helm.run("upgrade", release, CHART, *where, "--values", values, "--set", "commonLabels.changed=yes")
    for item in found:
        now = api.get(resource(item), item["metadata"].get("namespace"), item["metadata"]["name"])
        assert now["metadata"]["labels"]["changed"] == "yes"
    helm.run("uninstall", release, *where)
    kept = {
        item["metadata"]["name"]
        for item in found
        if "helm.sh/resource-policy" in item["metadata"].get("annotations", {})
    }
    left = [item for item in found if item["metadata"]["name"] not in kept]
    api.wait("its end", lambda: not [item for item in left if exists(api, item)])
    assert api.list("secrets", namespace) == []


def exists(api, item):
    path = path_of(resource(item), item["metadata"].get("namespace"), item["metadata"]["name"])
    answer = api.request("GET", path)
    return answer.status != 404 and "deletionTimestamp" not in answer.json()["metadata"]


def test_values_can_be_switched_on_and_off_by_upgrades(helm, installed, control_plane, namespace):
    installed(namespace)
    for options in (
        ["compat.otterize=true", "persistence.enabled=true"],
        ["sniffer.capture=sockets", "rbac.operators=false"],
        ["sniffer.enabled=false", "podDisruptionBudget.enabled=false", "networkPolicy.enabled=false"],
        [],
    ):
        given = [part for option in options for part in ("--set", option)]
        helm.run("upgrade", RELEASE, CHART, "--namespace", namespace, *given)
        services = {item["metadata"]["name"] for item in control_plane.admin.list("services", namespace)}
        assert ("otterize-network-mapper" in services) == ("compat.otterize=true" in options)


# What pods may do


def posted(control_plane, helm, namespace, kind):
    """Post a pod as the one object of a kind makes them, dry."""
    template = one(objects(helm.run("get", "manifest", RELEASE, "--namespace", namespace)), kind)["spec"]["template"]
    meta = {**template["metadata"], "name": "tried", "namespace": namespace}
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    return control_plane.admin.call("POST", path_of("pods", namespace), item, query=STRICT)


def test_the_mapper_s_pod_is_one_of_the_most_restricted_kind(helm, installed, control_plane, namespace):
    installed(namespace)
    label(control_plane, namespace, "restricted")
    assert posted(control_plane, helm, namespace, "Deployment")["spec"]["containers"]


def test_sniffers_take_the_level_that_the_notes_name(helm, installed, control_plane, namespace):
    installed(namespace)
    label(control_plane, namespace, "baseline")
    with pytest.raises(ApiError, match="violates PodSecurity") as refused:
        posted(control_plane, helm, namespace, "DaemonSet")
    assert refused.value.status == 403
    assert "privileged containers" not in str(refused.value)
    label(control_plane, namespace, "privileged")
    assert posted(control_plane, helm, namespace, "DaemonSet")["spec"]["priority"] == 1_000_000


def reviewed(control_plane, namespace, account, **what):
    """Whether a service account may do something in the whole cluster."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{namespace}:{account}", "resourceAttributes": what},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return control_plane.admin.call("POST", path, review)["status"]["allowed"]


def test_the_mapper_may_read_what_it_reads_and_change_nothing(installed, control_plane, namespace):
    installed(namespace)
    for rule in resources.rules():
        for name in rule["resources"]:
            may = {
                verb: reviewed(control_plane, namespace, RELEASE, verb=verb, group=rule["apiGroups"][0], resource=name)
                for verb in (*resources.VERBS, "create", "update", "patch", "delete")
            }
            assert [verb for verb, allowed in may.items() if allowed] == list(resources.VERBS)
    for name in ("secrets", "configmaps", "endpoints", "events"):
        assert not reviewed(control_plane, namespace, RELEASE, verb="list", group="", resource=name)
    assert not reviewed(control_plane, namespace, RELEASE, verb="create", group="", resource="pods", subresource="exec")


def test_sniffers_may_read_nothing(installed, control_plane, namespace):
    installed(namespace)
    for name in ("pods", "nodes", "services", "namespaces", "secrets"):
        assert not reviewed(control_plane, namespace, f"{RELEASE}-sniffer", verb="list", group="", resource=name)


def test_a_mapper_with_the_rights_of_the_chart_is_ready_and_misses_nothing(
    installed, control_plane, namespace, tmp_path
):
    installed(namespace)
    config = control_plane.kubeconfig(tmp_path / "account", token=control_plane.token(namespace, RELEASE))
    mapper = ModelMapper(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    status = json.loads(mapper.client.request("GET", "/api/v1/status").body)
    assert mapper.stop()[0] == 0
    states = {found["resource"]: found["state"] for found in status["cluster"]["resources"]}
    assert {"pods", "deployments.apps", "cronjobs.batch", "namespaces"} <= states.keys()
    assert set(states.values()) <= {"watching", "listing", "absent"}


# What Helm says afterwards


def test_notes_say_what_to_do_next_and_what_a_new_pod_forgets(installed, namespace):
    notes = installed(namespace)
    assert "network-mapper list" in notes
    assert "The map lives as long as the mapper's pod" in notes
    assert "WARNING" not in notes


def test_notes_say_where_the_map_is_kept(installed, namespace, storage_class):
    storage_class(default=True)
    notes = installed(namespace, "--set", "persistence.enabled=true")
    assert "The map is on the volume network-mapper" in notes
    assert "WARNING" not in notes


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_notes_warn_where_the_namespace_refuses_the_sniffers(installed, control_plane, namespace, level):
    label(control_plane, namespace, level)
    notes = installed(namespace)
    assert f'enforces the Pod Security level "{level}"' in notes
    assert f"kubectl label --overwrite namespace {namespace} {LEVEL}=privileged" in notes


def test_notes_are_silent_where_the_namespace_allows_the_sniffers(installed, control_plane, namespace):
    label(control_plane, namespace, "privileged")
    assert "WARNING" not in installed(namespace)


def test_notes_are_silent_where_there_are_no_sniffers_to_refuse(installed, control_plane, namespace):
    label(control_plane, namespace, "restricted")
    assert "Pod Security" not in installed(namespace, "--set", "sniffer.enabled=false")


@pytest.fixture
def storage_class(control_plane):
    """Make a storage class, for one test."""
    made = []

    def make(name="fast", *, default=False):
        meta = {"name": name, "annotations": {DEFAULT_CLASS: "true"} if default else {}}
        item = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "tests", "metadata": meta}
        path = "/apis/storage.k8s.io/v1/storageclasses"
        made.append(f"{path}/{control_plane.admin.call('POST', path, item)['metadata']['name']}")

    yield make
    for path in made:
        control_plane.admin.call("DELETE", path)


def test_notes_warn_where_there_is_no_default_storage_class(installed, namespace, storage_class):
    storage_class("fast")
    notes = installed(namespace, "--set", "persistence.enabled=true")
    assert "no default storage class (it has: fast)" in notes
    assert "--set persistence.storageClass=NAME" in notes


def test_notes_warn_where_a_storage_class_does_not_exist(installed, namespace):
    notes = installed(namespace, "--set", "persistence.enabled=true,persistence.storageClass=gone")
    assert 'no storage class "gone" (it has: none)' in notes


def test_notes_are_silent_where_no_storage_class_is_wanted(installed, namespace):
    assert "storage class" not in installed(namespace, "--set", "persistence.enabled=true,persistence.storageClass=-")


def test_two_installations_live_side_by_side_and_the_second_is_told(installed, namespace, other_namespace):
    assert "another installation" not in installed(namespace)
    notes = installed(other_namespace)
    assert f"another installation in this cluster: {namespace}/network-mapper-sniffer" in notes
    assert "sniffer.healthPort" in notes


def test_an_upgrade_is_no_second_installation(helm, installed, namespace):
    installed(namespace)
    assert "another installation" not in helm.run("upgrade", RELEASE, CHART, "--namespace", namespace)


def test_notes_name_sniffers_of_the_otterize_network_mapper(installed, control_plane, namespace, other_namespace):
    labels = {"app": "otterize-network-sniffer"}
    container = {"name": "sniffer", "image": "none"}
    control_plane.admin.create(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "otterize-network-sniffer", "namespace": other_namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
    )
    assert f"Otterize network mapper run in namespace {other_namespace}" in installed(namespace)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("mapper.service.type=LoadBalancer", "Whoever reaches it can read the map and reset it"),
        ("sniffer.healthPort=30000", "sniffer.healthPort is 30000"),
        ("sniffer.healthPort=60999", "sniffer.healthPort is 60999"),
        ("rbac.create=false", "somebody has to let the service account network-mapper"),
        ("compat.otterize=true", "finds this mapper too with --mapper-namespace"),
        ("sniffer.enabled=false", "There are no sniffers in this release"),
    ],
)
def test_notes_say_what_follows_from_a_value(installed, namespace, option, words):
    assert words in installed(namespace, "--set", option)


INSIDE = {
    "": "services serviceaccounts secrets namespaces",
    "apps": "deployments daemonsets",
    "policy": "poddisruptionbudgets",
    "networking.k8s.io": "networkpolicies",
}
"""What somebody needs who installs in one namespace."""


@pytest.fixture
def tenant(program, control_plane, namespace, tmp_path):
    """Helm of somebody who may do everything of the chart in one namespace and nothing outside of it."""
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
    rules = [{"apiGroups": [group], "resources": names.split(), "verbs": verbs} for group, names in INSIDE.items()]
    control_plane.service_account(namespace, "tenant", rules, wide=False)
    config = control_plane.kubeconfig(tmp_path / "tenant", token=control_plane.token(namespace, "tenant"))
    return Helm(program, tmp_path, config)


def test_somebody_with_rights_in_one_namespace_can_install_what_lives_there(installed, namespace, tenant):
    options = ("--set", "rbac.create=false,sniffer.priorityClass.create=false")
    assert "somebody has to let" in installed(namespace, *options, by=tenant)


def test_without_lookups_nothing_is_read_for_the_notes(control_plane, installed, namespace, tenant):
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["*"]}]
    rules += [{"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["*"]}]
    rules += resources.rules()
    rules = [rule for rule in rules if rule["apiGroups"] != ["apps"]]
    control_plane.grant({"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}, rules)
    with pytest.raises(HelmError, match="daemonsets"):
        installed(namespace, by=tenant)
    with contextlib.suppress(HelmError):
        tenant.run("uninstall", RELEASE, "--namespace", namespace)
    assert "network-mapper list" in installed(namespace, "--set", "notes.lookup=false,rbac.create=false", by=tenant)
