"""Where each value of the Helm chart ends up, and what no value changes; by the real Helm and without a cluster."""

from __future__ import annotations

import kubernetes
import pytest
import yaml
from helm import CHART, Helm, container, one, pod

from network_mapper import __version__

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # Helm may still be built when the first of these is due

CONTROLLERS = {"mapper": "Deployment", "sniffer": "DaemonSet"}
components = pytest.mark.parametrize("component", CONTROLLERS)


def of_both(component):
    """Values that mapper and sniffer have, each with something that is found again."""
    return {
        "nodeSelector": {"pool": f"{component}-pool"},
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": component}]}},
        "tolerations": [{"key": f"{component}-taint", "operator": "Exists"}],
        "priorityClassName": f"{component}-class",
        "podAnnotations": {"example.com/pod": f"{component}-pod"},
        "podLabels": {"example.com/label": f"{component}-pod"},
        "resources": {"requests": {"cpu": "7m"}, "limits": {"memory": "77Mi"}},
        "terminationGracePeriodSeconds": 17,
        "serviceAccount": {"annotations": {"example.com/account": component}},
        "livenessProbe": {"periodSeconds": 71},
        "readinessProbe": {"periodSeconds": 72},
    }


GIVEN = {
    "imagePullSecrets": ["plain", {"name": "named"}],
    "commonLabels": {"example.com/label": "common", "app.kubernetes.io/name": "shop", "example.com/team": "maps"},
    "commonAnnotations": {"example.com/contact": "maps"},
    "mapper": {
        **of_both("mapper"),
        "startupProbe": {"periodSeconds": 73},
        "service": {"type": "NodePort", "annotations": {"example.com/service": "yes"}},
    },
    "sniffer": {
        **of_both("sniffer"),
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 7}},
    },
    "persistence": {
        "enabled": True,
        "size": "7Gi",
        "storageClass": "slow",
        "annotations": {"helm.sh/resource-policy": "keep"},
    },
}


@pytest.fixture(scope="module")
def helm(tmp_path_factory):
    try:
        program = kubernetes.tool("helm")
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))
    return Helm(program, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def default(helm):
    return helm.objects()


@pytest.fixture(scope="module")
def given(helm, tmp_path_factory):
    file = tmp_path_factory.mktemp("values") / "values.yaml"
    file.write_text(yaml.safe_dump(GIVEN))
    return helm.objects("--values", file)


# Values that say where pods run and what they are given


@components
@pytest.mark.parametrize(
    "key", ["nodeSelector", "affinity", "tolerations", "priorityClassName", "terminationGracePeriodSeconds"]
)
def test_where_pods_run_and_how_they_end_is_as_given(given, component, key):
    wanted, found = GIVEN[component][key], pod(given, CONTROLLERS[component])[key]
    # Helm merges maps with the chart's own, and replaces everything else.
    assert {**found, **wanted} == found if isinstance(wanted, dict) else found == wanted


@components
def test_what_pods_are_given_is_as_given(given, component):
    found = container(given, CONTROLLERS[component])["resources"]
    assert (found["requests"]["cpu"], found["limits"]["memory"]) == ("7m", "77Mi")


@components
def test_probes_are_as_often_as_given(given, component):
    found = container(given, CONTROLLERS[component])
    periods = {key: found[f"{key}Probe"]["periodSeconds"] for key in ("liveness", "readiness")}
    assert periods == {"liveness": 71, "readiness": 72}


def test_the_probe_of_the_mappers_start_is_as_often_as_given(given):
    assert container(given, "Deployment")["startupProbe"]["periodSeconds"] == 73


@components
def test_secrets_for_the_image_may_be_names_alone(given, component):
    assert pod(given, CONTROLLERS[component])["imagePullSecrets"] == [{"name": "plain"}, {"name": "named"}]


def test_a_digest_alone_decides_which_image_runs(helm):
    digest = "sha256:" + "0" * 64
    options = ("--set", "image.repository=r.example.com/m,image.tag=v1", "--set", f"image.digest={digest}")
    assert container(helm.objects(*options), "Deployment")["image"] == f"r.example.com/m@{digest}"


def test_sniffers_are_replaced_as_given(given):
    assert one(given, "DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 7


def test_the_service_is_as_given(given):
    service = one(given, "Service")
    assert (service["spec"]["type"], service["metadata"]["annotations"]["example.com/service"]) == ("NodePort", "yes")


def test_the_volume_is_as_given(given):
    claim = one(given, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert claim["spec"]["storageClassName"] == "slow"


def test_a_claim_that_is_there_is_used_and_none_is_made(helm):
    found = helm.objects("--set", "persistence.enabled=true,persistence.existingClaim=mine")
    assert [item for item in found if item["kind"] == "PersistentVolumeClaim"] == []
    assert pod(found, "Deployment")["volumes"][0]["persistentVolumeClaim"]["claimName"] == "mine"


def test_without_a_volume_the_maps_folder_has_a_bound(default):
    assert pod(default, "Deployment")["volumes"] == [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}]


@components
def test_its_account_has_its_annotations(given, component):
    name = pod(given, CONTROLLERS[component])["serviceAccountName"]
    assert one(given, "ServiceAccount", name)["metadata"]["annotations"]["example.com/account"] == component


# Labels and annotations


def test_labels_and_annotations_for_all_are_on_all(given):
    metas = [item["metadata"] for item in given]
    metas += [one(given, kind)["spec"]["template"]["metadata"] for kind in CONTROLLERS.values()]
    assert {meta["labels"]["example.com/team"] for meta in metas} == {"maps"}
    assert {meta["annotations"]["example.com/contact"] for meta in metas} == {"maps"}


@components
def test_labels_and_annotations_of_pods_are_on_these_pods_alone(given, component):
    meta = one(given, CONTROLLERS[component])["spec"]["template"]["metadata"]
    assert meta["labels"]["example.com/label"] == meta["annotations"]["example.com/pod"] == f"{component}-pod"
    assert {item["metadata"]["labels"]["example.com/label"] for item in given} == {"common"}
    assert not any("example.com/pod" in item["metadata"]["annotations"] for item in given)


@components
def test_no_label_of_others_keeps_pods_from_being_chosen(given, component):
    spec = one(given, CONTROLLERS[component])["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "network-mapper",
        "app.kubernetes.io/instance": "network-mapper",
        "app.kubernetes.io/component": component,
    }


def test_every_object_names_the_chart_and_the_version(default):
    for item in default:
        labels = item["metadata"]["labels"]
        assert labels["helm.sh/chart"] == f"network-mapper-{__version__}"
        assert labels["app.kubernetes.io/version"] == __version__


# What no value changes, and what is so unless somebody says otherwise


def test_the_mapper_is_asked_whether_it_lives_and_whether_it_is_ready(default):
    found = container(default, "Deployment")
    paths = {key: found[f"{key}Probe"]["httpGet"] for key in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/healthz", "port": "http"},
        "liveness": {"path": "/healthz", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }


def test_a_mapper_has_five_minutes_to_read_its_map(default):
    probe = container(default, "Deployment")["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 300


def test_a_token_is_in_the_mappers_pod_and_nowhere_else(default):
    assert pod(default, "Deployment")["automountServiceAccountToken"] is True
    assert pod(default, "DaemonSet")["automountServiceAccountToken"] is False
    accounts = [item for item in default if item["kind"] == "ServiceAccount"]
    assert [item["automountServiceAccountToken"] for item in accounts] == [False, False]


@components
def test_what_a_program_says_last_is_in_its_pods_status(default, component):
    assert container(default, CONTROLLERS[component])["terminationMessagePolicy"] == "FallbackToLogsOnError"


@components
def test_memory_has_a_bound_and_processor_time_has_none(default, component):
    assert container(default, CONTROLLERS[component])["resources"]["limits"].keys() == {"memory"}


def test_a_sniffers_bound_is_above_what_it_asks_for(default):
    found = container(default, "DaemonSet")["resources"]
    assert (found["requests"]["memory"], found["limits"]["memory"]) == ("48Mi", "64Mi")


def test_a_volume_belongs_to_the_mappers_user(default):
    context = pod(default, "Deployment")["securityContext"]
    assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {65532}
    assert context["runAsNonRoot"] is True


def test_the_service_has_every_family_of_the_cluster(default):
    assert one(default, "Service")["spec"]["ipFamilyPolicy"] == "PreferDualStack"


def test_where_everything_is_denied_the_mapper_may_still_reach_the_api(default):
    policy = one(default, "NetworkPolicy")["spec"]
    assert (policy["policyTypes"], policy["egress"]) == (["Ingress", "Egress"], [{}])


def test_rights_are_made_unless_somebody_else_makes_them(helm):
    found = helm.objects("--set", "rbac.create=false")
    assert not {"ClusterRole", "ClusterRoleBinding"} & {item["kind"] for item in found}


def test_sniffers_ask_the_clusters_dns_again_soon(default):
    options = pod(default, "DaemonSet")["dnsConfig"]["options"]
    assert {option["name"]: option["value"] for option in options} == {"timeout": "2", "attempts": "2"}


@pytest.mark.parametrize(("value", "kind"), [("serviceMonitor", "ServiceMonitor"), ("podMonitor", "PodMonitor")])
def test_a_prometheus_finds_its_monitors_by_the_labels_that_are_given(helm, value, kind):
    options = f"{value}.enabled=true,{value}.labels.release=prometheus,sniffer.metricsPort=19591"
    assert one(helm.objects("--set", options), kind)["metadata"]["labels"]["release"] == "prometheus"


def test_the_hosts_proc_has_to_be_there(default):
    assert pod(default, "DaemonSet")["volumes"][0]["hostPath"] == {"path": "/proc", "type": "Directory"}


def test_a_sniffer_knows_its_node_by_the_pods_place(default):
    (node,) = [item for item in container(default, "DaemonSet")["env"] if item["name"] == "NODE_NAME"]
    assert node["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_few_sniffers_are_replaced_at_a_time(default):
    assert one(default, "DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%"}


def test_no_sniffer_is_wanted_where_no_pod_of_a_daemon_set_runs(default):
    (term,) = pod(default, "DaemonSet")["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    left_out = {(rule["key"], rule["operator"], *rule["values"]) for rule in term["matchExpressions"]}
    assert left_out == {
        ("eks.amazonaws.com/compute-type", "NotIn", "fargate"),
        ("type", "NotIn", "virtual-kubelet"),
    }


def test_sniffers_go_before_common_pods_and_after_those_of_the_system(default):
    found = one(default, "PriorityClass")
    assert found["globalDefault"] is False
    assert 0 < found["value"] < 1_000_000_000  # the highest of a user's


def test_on_openshift_sniffers_may_read_proc_and_the_mapper_has_the_lesser_constraints(helm):
    found = helm.objects("--set", "openshift.enabled=true")
    assert container(found, "DaemonSet")["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
    bindings = {item["metadata"]["name"]: item["roleRef"]["name"] for item in found if item["kind"] == "RoleBinding"}
    assert bindings["network-mapper-nonroot"] == "system:openshift:scc:nonroot-v2"


def test_monitors_ask_the_ports_that_serve_metrics(helm):
    found = helm.objects("--values", CHART / "ci" / "monitoring-values.yaml")
    names = {port["name"] for port in one(found, "Service")["spec"]["ports"]}
    (asked,) = one(found, "ServiceMonitor")["spec"]["endpoints"]
    assert (asked["port"], asked["path"]) == (*names, "/metrics")
    (port,) = container(found, "DaemonSet")["ports"]
    (asked,) = one(found, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (asked["port"], asked["path"]) == (port["name"], "/metrics")
    assert port["hostPort"] == port["containerPort"]
