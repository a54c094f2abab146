"""The objects that `install` applies, and how it takes images apart; tests/cluster compares them with the chart's."""

import json
import re

import profiles
import pytest
import yaml

from network_mapper.cli.deploy import image, manifests, resources
from network_mapper.cli.deploy.manifests import Options
from network_mapper.cli.deploy.names import PROFILES

DIGEST = "sha256:" + "a1" * 32


def by_name(items):
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


def test_every_profile_has_values_and_a_meaning():
    assert list(PROFILES) == list(profiles.VALUES)
    assert sorted(file.stem for file in profiles.FOLDER.glob("*.yaml")) == sorted(PROFILES)


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


def test_the_table_of_kinds_has_those_of_the_profiles_and_no_other():
    kinds = frozenset.union(*(manifests.kinds(profile) for profile in PROFILES))
    assert {resource.kind for resource in resources.IN_ORDER} == kinds


def test_the_page_has_every_profile_with_its_values():
    page = (profiles.ROOT / "docs/install.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z]+)` \|.*\| (.*) \|$", page, re.MULTILINE))
    assert {name: cell.strip("`").split(",") for name, cell in rows.items()} == {
        name: list(values) or ["none"] for name, values in profiles.VALUES.items()
    }


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
