"""What the Helm chart renders, by the real Helm and without a cluster."""

from __future__ import annotations

import json
import re

import chart
import dist
import kubernetes
import pytest
import yaml
from helm import CHART, NAMESPACE, RELEASE, VALUE_SETS, Helm, HelmError, container, environment, one, pod

from network_mapper.cluster.live import resources
from network_mapper.cluster.own import is_own
from network_mapper.mapper.settings import MapperSettings
from network_mapper.settings import LogSettings, load
from network_mapper.sniffer.settings import SnifferSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # Helm may still be built when the first of these is due

sets = pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.name.removesuffix("-values.yaml"))
CONTROLLERS = {"mapper": "Deployment", "sniffer": "DaemonSet"}
COMPONENTS = {"mapper": MapperSettings, "sniffer": SnifferSettings}


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


def set_of(name):
    return "--values", CHART / "ci" / f"{name}-values.yaml"


def value_files():
    """values.yaml, and its schema."""
    return (CHART / "values.yaml").read_text(), json.loads((CHART / "values.schema.json").read_text())


@sets
def test_lint_finds_nothing(helm, values):
    assert "0 chart(s) failed" in helm.lint("--values", values)


@sets
def test_rendering_twice_gives_the_same_text(helm, values):
    assert helm.template("--values", values) == helm.template("--values", values)


@sets
def test_no_object_is_there_twice_and_all_have_the_standard_labels(helm, values):
    found = helm.objects("--values", values)
    keys = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found]
    assert len(keys) == len(set(keys))
    for item in found:
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/part-of"] == "network-mapper"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert {"app.kubernetes.io/instance", "app.kubernetes.io/component", "helm.sh/chart"} <= labels.keys()


@sets
def test_one_service_is_what_the_command_line_looks_for(helm, values):
    wanted = {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "mapper"}
    services = [item for item in helm.objects("--values", values) if item["kind"] == "Service"]
    found = [item for item in services if wanted.items() <= item["metadata"]["labels"].items()]
    assert len(found) == (0 if "sniffers-only" in values.name else 1)


@sets
def test_pods_are_known_as_parts_of_this_program(helm, values):
    for item in helm.objects("--values", values):
        if item["kind"] in CONTROLLERS.values():
            assert is_own(item["spec"]["template"]["metadata"]["labels"])


@sets
def test_no_rule_has_a_wildcard_or_lets_anybody_write(helm, values):
    for item in helm.objects("--values", values):
        for rule in item.get("rules", ()):
            assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            if rule["apiGroups"] != ["security.openshift.io"]:
                assert set(rule["verbs"]) == set(resources.VERBS)


@sets
def test_variables_are_each_set_once_and_read_by_the_program(helm, values):
    found = helm.objects("--values", values)
    kinds = {item["kind"] for item in found}
    for component, settings in COMPONENTS.items():
        if (kind := CONTROLLERS[component]) in kinds:
            names = [item["name"] for item in container(found, kind)["env"]]
            assert len(names) == len(set(names))
            load(settings, {}, environment(found, kind))
            load(LogSettings, {}, environment(found, kind))


def test_the_packed_chart_renders_the_same(helm, tmp_path):
    first, second = (dist.tar(chart.contents(), "", moment=0) for _ in range(2))
    assert first == second
    packed = tmp_path / "network-mapper.tgz"
    packed.write_bytes(first)
    where = ("--namespace", NAMESPACE, "--kube-version", kubernetes.version())
    assert helm.run("template", RELEASE, packed, *where) == helm.template()


def granted(found):
    rules = one(found, "ClusterRole")["rules"]
    return {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}


def read():
    return {(group, name) for rule in resources.rules() for group in rule["apiGroups"] for name in rule["resources"]}


def test_the_mapper_may_read_exactly_what_the_code_reads(default):
    assert granted(default) == read()


def test_kinds_of_operators_can_be_left_out(helm):
    operators = {(group, plural) for group, plural, _ in resources.KNOWN_OWNERS}
    assert granted(helm.objects("--set", "rbac.operators=false")) == read() - operators


def test_another_kind_can_be_granted(helm):
    found = granted(helm.objects(*set_of("everything"), "--set", "openshift.enabled=false"))
    assert found == read() | {("example.com", "gadgets")}


@pytest.mark.parametrize(
    ("capture", "capabilities", "user"),
    [
        ("packets", {"drop": ["ALL"], "add": ["NET_RAW"]}, {"runAsUser": 0, "runAsGroup": 0}),
        ("sockets", {"drop": ["ALL"]}, {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": True}),
    ],
)
def test_sniffers_have_what_their_way_of_watching_takes_and_no_more(helm, capture, capabilities, user):
    found = helm.objects("--set", f"sniffer.capture={capture}")
    assert container(found, "DaemonSet")["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "privileged": False,
        "readOnlyRootFilesystem": True,
    }
    seccomp = {"seccompProfile": {"type": "RuntimeDefault"}}
    assert pod(found, "DaemonSet")["securityContext"] == {**user, **seccomp}
    assert environment(found, "DaemonSet")["NETWORK_MAPPER_CAPTURE"] == capture


def test_sniffers_are_on_the_nodes_network_and_read_nothing_but_proc(default):
    spec = pod(default, "DaemonSet")
    assert spec["hostNetwork"] is True
    assert spec["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert not {"hostPID", "hostIPC"} & spec.keys()
    assert spec["automountServiceAccountToken"] is False
    assert [volume["hostPath"]["path"] for volume in spec["volumes"]] == ["/proc"]
    (mount,) = container(default, "DaemonSet")["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/host/proc", True)
    assert environment(default, "DaemonSet")["NETWORK_MAPPER_PROC_DIR"] == "/host/proc"


def test_sniffers_run_on_every_linux_node(default):
    spec = pod(default, "DaemonSet")
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["priorityClassName"] == one(default, "PriorityClass")["metadata"]["name"]


def test_sniffers_report_to_the_mapper_s_service_by_its_full_name(helm):
    found = helm.objects(release="shop", namespace="tools")
    service = one(found, "Service")["metadata"]
    url = environment(found, "DaemonSet")["NETWORK_MAPPER_MAPPER_URL"]
    assert (
        url
        == f"http://{service['name']}.{service['namespace']}.svc:9090"
        == "http://shop-network-mapper.tools.svc:9090"
    )


def test_the_kubelet_asks_a_sniffer_at_the_node_s_own_address_only(default):
    port = environment(default, "DaemonSet")["NETWORK_MAPPER_HEALTH_PORT"]
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container(default, "DaemonSet")[probe]["httpGet"]
        assert f"{asked['host']}:{asked['port']}" == port == "127.0.0.1:19591"


def test_health_and_metrics_can_share_a_port(helm):
    found = environment(helm.objects("--set", "sniffer.metricsPort=19591"), "DaemonSet")
    assert found["NETWORK_MAPPER_HEALTH_PORT"] == found["NETWORK_MAPPER_METRICS_PORT"] == "19591"


def test_a_sniffer_s_default_port_is_none_that_a_node_gives_out(default):
    assert container(default, "DaemonSet")["livenessProbe"]["httpGet"]["port"] < 30_000


def test_one_mapper_writes_the_map(default):
    spec = one(default, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_mapper_has_no_capability_no_root_and_writes_to_its_volume_only(default):
    assert container(default, "Deployment")["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    context = pod(default, "Deployment")["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, 65532, 65532)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    (mount,) = container(default, "Deployment")["volumeMounts"]
    assert environment(default, "Deployment")["NETWORK_MAPPER_STORE"].startswith(mount["mountPath"] + "/")


@pytest.mark.parametrize(
    ("options", "volume"),
    [
        ([], {"emptyDir": {"sizeLimit": "1Gi"}}),
        (["persistence.enabled=true"], {"persistentVolumeClaim": {"claimName": "network-mapper"}}),
        (
            ["persistence.enabled=true", "persistence.existingClaim=old"],
            {"persistentVolumeClaim": {"claimName": "old"}},
        ),
    ],
)
def test_the_map_is_where_the_values_say(helm, options, volume):
    found = helm.objects(*[part for option in options for part in ("--set", option)])
    assert pod(found, "Deployment")["volumes"] == [{"name": "data", **volume}]
    claims = [item for item in found if item["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == (volume.get("persistentVolumeClaim") == {"claimName": "network-mapper"})


@pytest.mark.parametrize(("given", "written"), [("", None), ("-", ""), ("fast", "fast")])
def test_the_storage_class_is_the_default_one_none_or_a_named_one(helm, given, written):
    found = helm.objects("--set", "persistence.enabled=true", "--set", f"persistence.storageClass={given}")
    assert one(found, "PersistentVolumeClaim")["spec"].get("storageClassName") == written


def test_reports_are_admitted_from_any_address(default):
    spec = one(default, "NetworkPolicy")["spec"]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert spec["egress"] == [{}]


def test_a_drain_never_waits_for_the_mapper(default):
    assert one(default, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("kind", CONTROLLERS.values())
def test_pods_get_no_variables_of_services(default, kind):
    assert pod(default, kind)["enableServiceLinks"] is False


def test_two_installations_share_no_name(helm):
    def names(release, namespace):
        found = helm.objects(
            *set_of("otterize"), "--set", "openshift.enabled=true", release=release, namespace=namespace
        )
        return {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found}

    assert not names("network-mapper", "a") & names("network-mapper", "b")
    assert not names("a", "b-network-mapper") & names("a-network-mapper-b", "network-mapper")


def test_the_otterize_command_line_finds_the_mapper_by_its_service(helm):
    found = helm.objects(*set_of("otterize"))
    service = one(found, "Service", "otterize-network-mapper")
    labels = one(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert labels["app"] == service["spec"]["selector"]["app"] == "otterize-network-mapper"
    (port,) = service["spec"]["ports"]
    assert port["port"] == port["targetPort"] == container(found, "Deployment")["ports"][0]["containerPort"] == 9090


def test_on_openshift_constraints_allow_what_the_sniffers_have(helm):
    found = helm.objects(*set_of("openshift"))
    allowed, spec = one(found, "SecurityContextConstraints"), container(found, "DaemonSet")["securityContext"]
    assert allowed["allowedCapabilities"] == spec["capabilities"]["add"]
    yes = {key for key, value in allowed.items() if value is True}
    assert yes == {"allowHostNetwork", "allowHostPorts", "allowHostDirVolumePlugin", "readOnlyRootFilesystem"}
    role = one(found, "ClusterRole", allowed["metadata"]["name"])
    assert role["rules"][0]["resourceNames"] == [allowed["metadata"]["name"]]


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_setting_reaches_the_program_as_it_was_given(helm, tmp_path, component):
    given, wanted = {}, {}
    for key, item in chart.settings(component).items():
        given[key], wanted[item.field] = another(item)
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({component: {"settings": given}}))
    environ = environment(helm.objects("--values", file), CONTROLLERS[component])
    loaded = {**vars_of(load(COMPONENTS[component], {}, environ)), **vars_of(load(LogSettings, {}, environ))}
    assert {field: loaded[field] for field in wanted} == wanted


def another(item):
    """A value that is not the default, as it is written in values and as the program has it."""
    match item.form:
        case "whole":
            value = 30 if item.default == 32 else 12_345_678
            return value, value
        case "seconds":
            return 12.5, 12.5
        case "switch":
            return not item.default, not item.default
        case "words":
            return ["one", "two"], ("one", "two")
        case "choice":
            value = next(word for word in item.choices if word != item.default)
            return value, value
        case _:
            return "some text", "some text"


def vars_of(settings):
    return {field: getattr(settings, field) for field in settings.__struct_fields__}


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [
        ("excludedNamespaces: []", "excluded_namespaces", ()),
        ("rememberPods: 1h30m", "remember_pods", 5400.0),
        ("checkpointInterval: 0.05", "checkpoint_interval", 0.05),
        ("storeMaxBytes: 100000000000", "store_max_bytes", 100_000_000_000),
        ("rememberPods: 604800", "remember_pods", 604_800.0),
    ],
)
def test_values_of_other_forms_are_read_as_meant(helm, tmp_path, written, field, value):
    file = tmp_path / "values.yaml"
    file.write_text(f"mapper: {{settings: {{{written}}}}}")
    assert getattr(load(MapperSettings, {}, environment(helm.objects("--values", file), "Deployment")), field) == value


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("sniffer.capture=ebpf", ["/sniffer/capture", "'packets'", "'sockets'"]),
        ("mapper.settngs.debug=true", ["/mapper", "'settngs' not allowed"]),
        ("mapper.settings.maxEdges=0", ["/mapper/settings/maxEdges", "got 0, want 1"]),
        ("mapper.settings.rememberPods=1y", ["/mapper/settings/rememberPods", "'1y'"]),
        ("mapper.settings.debug=perhaps", ["/mapper/settings/debug", "got string, want boolean"]),
        ("sniffer.healthPort=70000", ["/sniffer/healthPort", "70,000"]),
        ("sniffer.securityContext.privileged=true", ["/sniffer/securityContext", "'privileged' not allowed"]),
        (
            "sniffer.securityContext.allowPrivilegeEscalation=true",
            ["/sniffer/securityContext/allowPrivilegeEscalation"],
        ),
        ("image.digest=latest", ["/image/digest", "sha256"]),
        ("image.pullPolicy=Sometimes", ["/image/pullPolicy", "'Never'"]),
        ("persistence.size=big", ["/persistence/size", "'big'"]),
        ("rbac.extraRules[0].resources[0]=*", ["/rbac/extraRules/0/resources/0", "'*'"]),
        ("rbac.extraRules[0].verbs[0]=create", ["/rbac/extraRules/0/verbs/0", "'watch'"]),
        ("fullnameOverride=Map", ["/fullnameOverride", "'Map'"]),
        ("podMonitor.enabled=true", ["set sniffer.metricsPort"]),
        ("mapper.enabled=false", ["sniffer.mapperUrl has to name the mapper"]),
        ("mapper.enabled=false,sniffer.enabled=false", ["both false", "nothing would be installed"]),
        ("mapper=null", ["missing property 'mapper'"]),
        ("image.repository=null", ["/image", "missing property 'repository'"]),
        ("commonLabels.a label=x", ["/commonLabels", "'a label' not allowed"]),
        ("mapper.priorityClassName=High", ["/mapper/priorityClassName", "'High'"]),
        ("persistence.existingClaim=mine", ["persistence.enabled"]),
        ("mapper.extraEnv[0].name=NETWORK_MAPPER_STORE", ["mapper.extraEnv sets NETWORK_MAPPER_STORE"]),
        ("sniffer.extraEnv[0].name=NODE_NAME", ["sniffer.extraEnv sets NODE_NAME"]),
        ("mapper.extraEnv[0].name=A,mapper.extraEnv[1].name=A", ["mapper.extraEnv sets A twice"]),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_why(helm, option, words):
    with pytest.raises(HelmError) as refused:
        helm.template("--set", option)
    for word in words:
        assert word in str(refused.value)


def test_a_key_with_nothing_below_it_is_as_if_it_were_not_there(helm, default, tmp_path):
    empty = [value for value in chart.values(*value_files()) if value.default in ('""', "[]", "{}")]
    document = {}
    for value in empty:
        *above, last = value.name.split(".")
        place = document
        for name in above:
            place = place.setdefault(name, {})
        place[last] = None
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(document))
    assert "nodeSelector" not in document["mapper"]
    assert document["mapper"]["extraEnv"] is document["commonLabels"] is None
    assert helm.objects("--values", file) == default


def test_what_has_to_be_there_is_missed_by_its_name_where_it_is_set_to_null(helm):
    text, schema = value_files()
    leaves = {value.name for value in chart.values(text, schema)} & set(required(schema))
    assert leaves > {"image.repository", "sniffer.securityContext"}
    for level in (set(schema["required"]), leaves):
        with pytest.raises(HelmError) as refused:
            helm.template("--set", ",".join(f"{name}=null" for name in level))
        missed = set(re.findall(r"'(\w+)'", str(refused.value)))
        assert {name.rpartition(".")[2] for name in level} <= missed


def test_what_may_be_none_can_be_set_to_null(helm):
    text, schema = value_files()
    free = {value.name for value in chart.values(text, schema)} - set(required(schema))
    assert free > {"sniffer.tolerations", "mapper.resources", "mapper.extraEnv", "commonLabels"}
    assert "nil" not in helm.template("--set", ",".join(f"{name}=null" for name in free))


def required(schema, prefix=""):
    """Names of the values that the schema requires."""
    for name in schema.get("required", ()):
        yield prefix + name
        yield from required(schema["properties"][name], f"{prefix}{name}.")


def test_a_release_whose_name_makes_no_service_is_told_what_to_do(helm):
    with pytest.raises(HelmError, match="set fullnameOverride"):
        helm.template(release="1st")
    assert one(helm.objects("--set", "fullnameOverride=first", release="1st"), "Service")["metadata"]["name"] == "first"


def test_names_stay_within_what_a_service_may_have(helm):
    found = helm.objects(release="r" + 50 * "e", namespace="n" + 62 * "s")
    assert max(len(item["metadata"]["name"]) for item in found if "namespace" in item["metadata"]) <= 63


def test_names_that_look_like_numbers_stay_text(helm):
    found = helm.objects("--set", "fullnameOverride=map", release="7", namespace="8")
    assert one(found, "DaemonSet")["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] == "7"
    assert one(found, "ClusterRoleBinding")["subjects"][0]["namespace"] == "8"
