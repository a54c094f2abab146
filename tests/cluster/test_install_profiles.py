"""The profiles of `install` are what Helm makes of the chart, and options change in them what values change there."""

import kubernetes
import profiles
import pytest
import yaml

from network_mapper.cli.deploy import manifests
from network_mapper.cli.deploy.manifests import Options
from network_mapper.cli.deploy.names import NAMESPACE, PROFILES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # Helm may still be built

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
