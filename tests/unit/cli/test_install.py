"""What `install`, `upgrade` and `uninstall` do and refuse before any cluster is asked."""

import json
import os

import pytest
import yaml

from network_mapper import __version__

NOBODY = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}


@pytest.fixture
def alone(run, monkeypatch, tmp_path):
    """Run a command where no cluster is configured."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("KUBE")]:
        monkeypatch.delenv(name)
    return run


def documents(text):
    return list(yaml.safe_load_all(text))


def test_the_manifests_are_printed_without_a_cluster(alone):
    result = alone("install", "--dry-run")
    assert (result.code, result.err) == (0, "")
    kinds = [item["kind"] for item in documents(result.out)]
    assert (kinds[0], kinds[-2:]) == ("Namespace", ["Deployment", "DaemonSet"])


def test_as_json_the_manifests_are_one_list_that_kubectl_takes(alone):
    found = json.loads(alone("install", "--dry-run=client", "-o", "json", "--profile", "persistent").out)
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    assert "PersistentVolumeClaim" in [item["kind"] for item in found["items"]]


def test_options_are_in_the_manifests(alone):
    options = (
        "--image",
        "r.example.com/m:1",
        "--image-pull-secret",
        "s",
        "--sniffer-health-port",
        "1234",
        "-n",
        "shop",
    )
    items = documents(alone("install", "--dry-run=client", *options).out)
    pod = items[-1]["spec"]["template"]["spec"]
    assert items[-1]["metadata"]["namespace"] == "shop"
    assert pod["containers"][0]["image"] == "r.example.com/m:1"
    assert pod["imagePullSecrets"] == [{"name": "s"}]
    assert pod["containers"][0]["livenessProbe"]["httpGet"]["port"] == 1234
    assert json.loads(items[-2]["metadata"]["annotations"]["network-mapper.io/options"]) == {
        "image": "r.example.com/m:1",
        "pull_secrets": ["s"],
        "health_port": 1234,
    }


def test_the_image_is_that_of_this_version(alone):
    pod = documents(alone("install", "--dry-run=client").out)[-1]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"].endswith(f":{__version__}")


@pytest.mark.parametrize(("switch", "labels"), [("--label-namespace", 4), ("--no-label-namespace", 1)])
def test_the_labels_of_a_new_namespace_can_be_left_out(alone, switch, labels):
    first = documents(alone("install", "--dry-run=client", switch).out)[0]
    assert len(first["metadata"]["labels"]) == labels


def test_variables_name_the_namespace_of_the_mapper(alone, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_NAMESPACE", "of-clients")
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_NAMESPACE", "observability")
    assert documents(alone("install", "--dry-run=client").out)[0]["metadata"]["name"] == "observability"


@pytest.mark.parametrize(("key", "namespace"), [("namespace", "network-mapper"), ("mapper-namespace", "shop")])
def test_a_namespace_in_the_settings_is_one_of_clients(alone, tmp_path, key, namespace):
    file = tmp_path / "config.toml"
    file.write_text(f'{key} = "shop"\n')
    result = alone("install", "--dry-run=client", "--config", str(file))
    assert documents(result.out)[0]["metadata"]["name"] == namespace


BAD = [
    ("--namespace", "Shop", "is no name of a namespace"),
    ("--mapper-namespace", "a" * 64, "is no name of a namespace"),
    ("--image", "https://r.example.com/m", "is no image"),
    ("--image-pull-secret", "a b", "is no name of a secret"),
    ("--profile", "fast", "'default', 'persistent', 'sockets', 'openshift', 'otterize'"),
    ("--sniffer-health-port", "0", "1<=x<=65535"),
    ("--timeout", "soon", "is no span of time"),
    ("--dry-run", "maybe", "'none', 'client', 'server'"),
]


@pytest.mark.parametrize(("option", "value", "message"), BAD)
def test_bad_values_are_wrong_usage(alone, option, value, message):
    result = alone("install", option, value)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("command", ["install", "upgrade", "uninstall"])
def test_without_a_cluster_it_says_how_to_name_one(alone, command):
    result = alone(command)
    assert (result.code, result.out) == (1, "")
    assert "no cluster is configured" in result.err
    assert "--kubeconfig" in result.err


@pytest.mark.parametrize("command", ["install", "upgrade", "uninstall"])
def test_a_cluster_that_does_not_answer_is_named(alone, command, tmp_path):
    file = tmp_path / "config"
    clusters = [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}]
    contexts = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
    users = [{"name": "u", "user": {}}]
    file.write_text(json.dumps({**NOBODY, "clusters": clusters, "contexts": contexts, "users": users}))
    result = alone(command, "--kubeconfig", str(file))
    assert result.code == 1
    assert result.err.startswith("Error: the API server of context c cannot be reached: ")
    assert result.err.count("\n") == 1
