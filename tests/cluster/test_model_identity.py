"""What pods are called: by their owners, by annotations and labels, by their images."""

import pytest
from harness import objects
from harness.places import owner_reference
from model_mapper import ModelMapper, eventually

pytestmark = pytest.mark.cluster

API = "kubernetes.default.svc.cluster.local"
NEW = "intents.otterize.com/workload-name"
OLD = "intents.otterize.com/service-name"
OWN = "network-mapper.io/workload-name"
LABEL = "otterize/service-name"
GROUP = "fleet.tests.example.org"


@pytest.fixture(scope="module")
def by_images(mappers):
    return mappers("--image-names-for-jobs")


@pytest.fixture(scope="module")
def by_other_keys(mappers):
    return mappers("--workload-name-annotation", "example.org/team", "--own-name-label", "example.org/app")


@pytest.fixture(scope="module")
def folding(mappers):
    return mappers("--fold-generated-names")


@pytest.fixture(scope="module")
def fleets(control_plane, places):
    """Two kinds of the tests' own: a Flock may own a Bird, and Birds own pods."""
    place = places.new()
    place.kind(GROUP, "Bird")
    place.kind(GROUP, "Flock")
    yield
    for plural in ("birds", "flocks"):
        control_plane.admin.delete("customresourcedefinitions", None, f"{plural}.{GROUP}")
    control_plane.remove_namespace(place.namespace)


def identity(mapper, place, ip, name=None):
    """What a pod at an address is called as a client, once it is called `name`."""

    def found():
        clients = [intent["client"] for intent in mapper.intents(place.namespace)]
        return [client for client in clients if name in (None, client["name"])]

    return mapper.after(lambda: mapper.lookups(ip, API), found)[0]


def kind_of(client):
    return {key: value for key, value in client["podOwnerKind"].items() if value is not None}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job"])
def test_a_pod_is_its_root_owner(kind, place, mapper):
    make = {
        "Deployment": objects.deployment,
        "StatefulSet": objects.stateful_set,
        "DaemonSet": objects.daemon_set,
        "Job": objects.job,
    }[kind]
    # A node that no kubelet says to be ready has a taint.
    more = {"tolerations": [{"operator": "Exists"}]} if kind == "DaemonSet" else {}
    place.api.create(make(place.namespace, "web", **more))
    pod, *_ = place.pods_of("web")
    client = identity(mapper, place, pod.ip)
    group = "batch" if kind == "Job" else "apps"
    assert (client["name"], kind_of(client)) == ("web", {"group": group, "version": "v1", "kind": kind})
    assert client["nameResolvedUsingAnnotation"] is False


@pytest.mark.parametrize("version", ["batch/v1", "batch/v1beta1"])
def test_a_pod_of_a_cron_jobs_job_is_the_cron_job(version, place, mapper):
    cron = place.api.create(objects.cron_job(place.namespace, "report", "0 0 1 1 *"))
    meta = objects.owned_by({**cron, "apiVersion": version})
    place.api.create(objects.job(place.namespace, "report-28", meta=meta))
    (pod,) = place.pods_of("report-28")
    client = identity(mapper, place, pod.ip)
    assert (client["name"], client["podOwnerKind"]["kind"]) == ("report", "CronJob")


def test_a_bare_pod_is_itself(place, mapper):
    client = identity(mapper, place, place.pod("tool").ip)
    assert (client["name"], kind_of(client)) == ("tool", {"version": "v1", "kind": "Pod"})
    assert client["podOwnerKind"]["group"] is None


def test_a_static_pod_is_itself_without_its_nodes_name(place, mapper):
    node = place.api.get("nodes", None, "node-a") | {"apiVersion": "v1", "kind": "Node"}
    assert identity(mapper, place, place.pod("etcd-node-a", owner=node).ip)["name"] == "etcd"


def test_a_pod_of_a_custom_resource_is_its_root(fleets, place, mapper):
    flock = place.api.create(objects.make(f"{GROUP}/v1", "Flock", "geese", place.namespace))
    bird = objects.make(f"{GROUP}/v1", "Bird", "goose", place.namespace, meta=objects.owned_by(flock))
    pod = place.pod("goose-1", owner=place.api.create(bird))
    client = identity(mapper, place, pod.ip, "geese")
    assert kind_of(client) == {"group": GROUP, "version": "v1", "kind": "Flock"}


def test_of_several_owners_the_controller_counts(place, mapper):
    owner = place.api.create(objects.deployment(place.namespace, "web", replicas=0))
    other = place.api.create(objects.deployment(place.namespace, "other", replicas=0))
    reference, *_ = objects.owned_by(other)["ownerReferences"]
    references = [{**reference, "controller": False}, *objects.owned_by(owner)["ownerReferences"]]
    pod = place.pod("web-1")
    place.api.patch("pods", place.namespace, "web-1", {"metadata": {"ownerReferences": references}})
    assert identity(mapper, place, pod.ip, "web")["podOwnerKind"]["kind"] == "Deployment"


def test_workloads_of_one_name_and_two_kinds_stay_apart(place, mapper):
    owner = place.api.create(objects.deployment(place.namespace, "web", replicas=0))
    pods = [place.pod("web-1", owner=owner)]
    place.api.create(objects.stateful_set(place.namespace, "web"))
    pods += place.pods_of("web")
    mapper.knows(place)
    for pod in pods:
        mapper.lookups(pod.ip, API)
    kinds = [intent["client"]["podOwnerKind"]["kind"] for intent in mapper.intents(place.namespace)]
    assert kinds == ["Deployment", "StatefulSet"]


def test_reports_ask_nothing_of_the_api(place, control_plane, proxy, tmp_path):
    place.api.create(objects.deployment(place.namespace, "web", replicas=5))
    pods = place.pods_of("web", 5)
    config = control_plane.kubeconfig(tmp_path / "kubeconfig", server=proxy.url)
    mapper = ModelMapper(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    try:
        mapper.knows(place)
        for pod in pods:
            assert identity(mapper, place, pod.ip)["name"] == "web"
        # Every object was read in a list of its whole resource, and each resource once.
        assert proxy.seen("*/namespaces/*") == []
        pages = [request for request in proxy.seen(watch=False) if "limit" in request.query]
        lists = [page.path for page in pages if not page.query.get("continue")]
        assert len(lists) == len(set(lists)) > 5
    finally:
        assert mapper.stop()[0] == 0


def test_owners_in_a_circle_name_a_pod_by_one_of_them(fleets, place, mapper):
    flock = place.api.create(objects.make(f"{GROUP}/v1", "Flock", "geese", place.namespace))
    bird = objects.make(f"{GROUP}/v1", "Bird", "goose", place.namespace, meta=objects.owned_by(flock))
    bird = place.api.create(bird)
    place.api.patch(f"{GROUP}/v1/flocks", place.namespace, "geese", {"metadata": objects.owned_by(bird)})
    pods = [place.pod(f"goose-{number}", owner=bird) for number in (1, 2)]
    assert len({identity(mapper, place, pod.ip)["name"] for pod in pods} & {"geese", "goose"}) == 1


def test_a_name_of_253_characters_with_dots_is_a_name(place, mapper):
    name = ".".join(["x" * 63] * 3 + ["y" * 61])
    assert len(name) == 253
    pod = place.pod(name, labels={"app": "long"})
    assert identity(mapper, place, pod.ip)["name"] == name.replace(".", "_")
    mapper.lookups(pod.ip, API, hostname=name)
    assert mapper.edges(place.namespace)[0]["lookups"] >= 2


# Owners that cannot be read


def test_an_owner_that_is_gone_leaves_its_name(place, mapper):
    pod = place.pod("web-5d4-x", owner=owner_reference("apps/v1", "ReplicaSet", "web-5d4"))
    client = identity(mapper, place, pod.ip)
    assert (client["name"], client["podOwnerKind"]["kind"]) == ("web-5d4", "ReplicaSet")


def test_an_owner_of_a_kind_that_nobody_knows_leaves_its_name(place, mapper):
    pod = place.pod("goose-1", owner=owner_reference("gone.tests.example.org/v1", "Ghost", "casper"))
    client = identity(mapper, place, pod.ip)
    assert (client["name"], client["podOwnerKind"]["kind"]) == ("casper", "Ghost")


def test_an_owner_that_may_not_be_read_leaves_its_name_and_the_grant_that_would_help(
    fleets, place, control_plane, tmp_path
):
    core = {"apiGroups": [""], "resources": ["pods", "services", "nodes", "endpoints", "namespaces"]}
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]}
    rules = [{**rule, "verbs": ["get", "list", "watch"]} for rule in (core, slices)]
    control_plane.service_account(place.namespace, "poor", rules)
    flock = place.api.create(objects.make(f"{GROUP}/v1", "Flock", "geese", place.namespace))
    bird = objects.make(f"{GROUP}/v1", "Bird", "goose", place.namespace, meta=objects.owned_by(flock))
    pod = place.pod("goose-1", owner=place.api.create(bird))
    config = control_plane.kubeconfig(tmp_path / "kubeconfig", token=control_plane.token(place.namespace, "poor"))
    mapper = ModelMapper(tmp_path, None, "--kubeconfig", str(config)).start().wait_ready()
    try:
        client = identity(mapper, place, pod.ip)
        assert (client["name"], client["podOwnerKind"]["kind"]) == ("goose", "Bird")
        resources = eventually(
            lambda: [
                item
                for item in mapper.get("/api/v1/status")["cluster"]["resources"]
                if item["resource"] == f"birds.{GROUP}" and item["state"] == "forbidden"
            ]
        )
        assert resources[0]["grant"] == f"{{apiGroups: [{GROUP}], resources: [birds], verbs: [get, list, watch]}}"
    finally:
        assert mapper.stop()[0] == 0


# Names that teams give


@pytest.mark.parametrize("key", [NEW, OLD, OWN])
def test_an_annotation_names_the_workload(key, place, mapper):
    owner = place.api.create(objects.deployment(place.namespace, "web", replicas=0))
    client = identity(mapper, place, place.pod("web-1", owner=owner, annotations={key: "shop"}).ip)
    assert (client["name"], client["podOwnerKind"]) == ("shop", None)
    assert client["nameResolvedUsingAnnotation"] is True


@pytest.mark.parametrize("key", [LABEL, OWN])
def test_a_label_names_the_workload(key, place, mapper):
    assert identity(mapper, place, place.pod("web-1", labels={key: "shop"}).ip)["name"] == "shop"


def test_the_new_annotation_goes_before_the_old_one_and_annotations_before_labels(place, mapper):
    keys = [NEW, OLD, OWN]
    for number in range(len(keys)):
        annotations = {key: f"by-{keys.index(key)}" for key in keys[number:]}
        pod = place.pod(f"pod-{number}", annotations=annotations, labels={LABEL: "by-label"})
        identity(mapper, place, pod.ip, f"by-{number}")
    found = {client for client, _ in mapper.pairs(place.namespace)}
    assert found == {"by-0", "by-1", "by-2"}


def test_an_empty_annotation_is_passed_over(place, mapper):
    pod = place.pod("web-1", annotations={NEW: "", OLD: "shop"})
    assert identity(mapper, place, pod.ip)["name"] == "shop"
    problems = mapper.get("/api/v1/status")["cluster"]["problems"]
    assert any(f"{place.namespace}/web-1" in line and "empty" in line for line in problems)


def test_an_annotation_of_the_workload_itself_does_not_count(place, mapper):
    meta = {"annotations": {NEW: "shop"}}
    owner = place.api.create(objects.deployment(place.namespace, "web", replicas=0, meta=meta))
    assert identity(mapper, place, place.pod("web-1", owner=owner).ip)["name"] == "web"


def test_the_annotations_key_can_be_chosen(place, by_other_keys):
    first = place.pod("first", annotations={"example.org/team": "payments", NEW: "no"})
    assert identity(by_other_keys, place, first.ip)["name"] == "payments"
    second = place.pod("second", labels={"example.org/app": "billing"})
    assert identity(by_other_keys, place, second.ip, "billing")


def test_a_pod_that_is_given_a_name_has_it_at_once(place, mapper):
    pod = place.pod("web-1")
    assert identity(mapper, place, pod.ip)["name"] == "web-1"
    place.api.patch("pods", place.namespace, "web-1", {"metadata": {"annotations": {NEW: "shop"}}})
    assert identity(mapper, place, pod.ip, "shop")["nameResolvedUsingAnnotation"] is True


def test_dots_are_underscores_in_answers_and_nowhere_else(place, mapper):
    owner = place.api.create(objects.deployment(place.namespace, "a.b", replicas=0))
    client = identity(mapper, place, place.pod("web-1", owner=owner).ip)
    assert client["name"] == "a_b"
    assert [edge["client"]["name"] for edge in mapper.edges(place.namespace)] == ["a.b"]
    assert mapper.pairs(place.namespace) == mapper.pairs(
        place.namespace, server={"name": "kubernetes", "namespace": "default"}
    )


# Jobs by their images, and pods by what their names begin with


@pytest.mark.parametrize(
    ("images", "name"),
    [
        ({"app": "reg/x/y:1"}, "x/y"),
        ({"app": "nginx:1.2"}, "nginx"),
        ({"app": "reg:5000/team/app@sha256:" + "0" * 64}, "team/app"),
        ({"a": "reg/one:1", "istio-proxy": "istio/proxyv2:1", "my-sidecar": "reg/z:1", "b": "reg/two"}, "one-two"),
    ],
)
def test_a_job_is_named_by_its_images_where_asked(images, name, place, by_images, mapper):
    containers = [{"name": key, "image": image} for key, image in images.items()]
    place.api.create(objects.job(place.namespace, "job-4711", containers=containers))
    (pod,) = place.pods_of("job-4711")
    assert identity(by_images, place, pod.ip)["name"] == name
    assert identity(mapper, place, pod.ip)["name"] == "job-4711"


def test_a_cron_jobs_pods_keep_its_name_where_jobs_are_named_by_images(place, by_images):
    cron = place.api.create(objects.cron_job(place.namespace, "report", "0 0 1 1 *"))
    place.api.create(objects.job(place.namespace, "report-28", meta=objects.owned_by(cron)))
    (pod,) = place.pods_of("report-28")
    assert identity(by_images, place, pod.ip)["name"] == "report"


def test_pods_with_generated_names_are_one_workload_where_asked(place, folding, mapper):
    pods = [place.pod(f"build-{letter}", generated="build-") for letter in "ab"]
    for one, names in ((mapper, {"build-a", "build-b"}), (folding, {"build"})):
        one.knows(place)
        for pod in pods:
            one.lookups(pod.ip, API)
        assert {client for client, _ in one.pairs(place.namespace)} == names
