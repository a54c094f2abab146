"""The objects that `install` applies are the chart's own, whatever options change in them."""

import json

import kubernetes
import profiles
import pytest
import yaml

from network_mapper.cli.deploy import image, manifests, resources
from network_mapper.cli.deploy.manifests import Options
from network_mapper.cli.deploy.names import NAMESPACE, PROFILES

DIGEST = "sha256:" + "a1" * 32


@pytest.fixture(scope="module")
def render():
    """`helm template` with values, as objects; each combination once."""
    try:
        kubernetes.tool("helm")
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))
    known = {}

    def render(*values, namespace=NAMESPACE):
        key = (values, namespace)
        if key not in known:
            known[key] = profiles.render(values, namespace)
        return known[key]

    return render


def by_name(items):
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


def charted(render, profile, *values, namespace=NAMESPACE):
    text = render(*profiles.VALUES[profile], *values, namespace=namespace)
    return by_name(item for item in yaml.safe_load_all(text) if item)


def test_every_profile_has_values_and_a_meaning():
    assert list(PROFILES) == list(profiles.VALUES)
    assert sorted(file.stem for file in profiles.FOLDER.glob("*.yaml")) == sorted(PROFILES)


@pytest.mark.timeout(1800)  # where no Helm is there yet, it is built first
@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_what_helm_renders(render, profile):
    assert manifests.profile_text(profile) == render(*profiles.VALUES[profile])


@pytest.mark.parametrize("profile", PROFILES)
def test_another_namespace_is_that_of_the_chart(render, profile):
    made = manifests.as_charted(Options(profile), "observability")
    assert by_name(made) == charted(render, profile, namespace="observability")


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        ("registry.example.com:5000/tools/mapper", ["image.repository=registry.example.com:5000/tools/mapper"]),
        ("mapper:2.0-rc1", ["image.repository=mapper", "image.tag=2.0-rc1"]),
        (f"r.example.com/mapper@{DIGEST}", ["image.repository=r.example.com/mapper", f"image.digest={DIGEST}"]),
        (f"r.example.com/mapper:1@{DIGEST}", ["image.repository=r.example.com/mapper", f"image.digest={DIGEST}"]),
    ],
)
def test_another_image_is_that_of_the_chart(render, wanted, values):
    assert by_name(manifests.as_charted(Options(image=wanted), NAMESPACE)) == charted(render, "default", *values)


def test_pull_secrets_are_those_of_the_chart(render):
    made = manifests.as_charted(Options(pull_secrets=("one", "two")), NAMESPACE)
    values = ["imagePullSecrets[0].name=one", "imagePullSecrets[1].name=two"]
    assert by_name(made) == charted(render, "default", *values)


def test_the_health_port_is_that_of_the_chart(render):
    made = manifests.as_charted(Options(health_port=19777), NAMESPACE)
    assert by_name(made) == charted(render, "default", "sniffer.healthPort=19777")


def test_all_options_together_are_the_charts(render):
    options = Options("openshift", "r.example.com/mapper:v7", ("one",), 1234)
    values = ["image.repository=r.example.com/mapper", "image.tag=v7", "imagePullSecrets[0].name=one"]
    made = manifests.as_charted(options, "other")
    assert by_name(made) == charted(render, "openshift", *values, "sniffer.healthPort=1234", namespace="other")


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_applied_differs_from_the_chart_by_who_manages_it(profile):
    options = Options(profile, pull_secrets=("one",))
    made = by_name(manifests.objects(options, "shop"))
    for key, item in by_name(manifests.as_charted(options, "shop")).items():
        labels = made[key]["metadata"]["labels"]
        assert labels.pop("app.kubernetes.io/managed-by") == "network-mapper"
        assert labels.pop("network-mapper.io/installation") == "shop"
        assert item["metadata"]["labels"].pop("app.kubernetes.io/managed-by") == "Helm"
        assert item["metadata"]["labels"].pop("helm.sh/chart")
        if key[0] == "Deployment":
            kept = made[key]["metadata"]["annotations"].pop("network-mapper.io/options")
            assert json.loads(kept) == {"pull_secrets": ["one"]} | (
                {"profile": profile} if profile != "default" else {}
            )
            made[key]["metadata"].pop("annotations")
        assert made[key] == item


@pytest.mark.parametrize("profile", PROFILES)
def test_what_runs_is_applied_after_what_it_needs(profile):
    kinds = [item["kind"] for item in manifests.objects(Options(profile), "shop")]
    assert kinds[-2:] == ["Deployment", "DaemonSet"]
    assert kinds.index("ClusterRole") < kinds.index("ClusterRoleBinding")


def test_the_manifests_are_printed_as_they_are_applied():
    items = manifests.objects(Options("openshift"), "shop")
    assert list(yaml.safe_load_all(manifests.encode(items))) == items


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mapper", ("mapper", "", "")),
        ("r.example.com:5000/mapper", ("r.example.com:5000/mapper", "", "")),
        ("r.example.com:5000/a/mapper:v1", ("r.example.com:5000/a/mapper", "v1", "")),
        (f"mapper:v1@{DIGEST}", ("mapper", "v1", DIGEST)),
    ],
)
def test_an_image_is_split(text, parts):
    assert image.split(text) == parts


@pytest.mark.parametrize(
    "text", ["", "mapper:", "mapper@", "mapper@md5:1", "https://r.example.com/mapper", "r/Mapper", "a b", "r/", ":v1"]
)
def test_what_is_no_image_is_refused(text):
    with pytest.raises(ValueError, match="is no image"):
        image.split(text)


def test_paths_are_those_of_the_api():
    item = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    item["metadata"] = {"name": "network-mapper", "namespace": "shop"}
    assert resources.path_of(item) == "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/network-mapper"
    assert resources.NODE.path("shop", "a") == "/api/v1/nodes/a"
    assert resources.POD.path() == "/api/v1/pods"
    assert resources.POD.path("shop", "a", "log") == "/api/v1/namespaces/shop/pods/a/log"
