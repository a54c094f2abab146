"""Which map is meant: what was named, by flags before variables before a file, else the cluster, else this machine."""

from __future__ import annotations

import os

import pytest

KUBECONFIGS = {
    "empty": ("", "has no context; it may be empty"),
    "broken": ("a:\n  - b\n c: d", "is no YAML: line 3: did not find expected key"),
    "foreign": ("kind: Pod", "is no kubeconfig: it holds a 'Pod', expected a 'Config'"),
    "lame": ("current-context: x", "has no context 'x'; it has: none"),
}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No cluster, and nothing of ours in the environment."""
    for name in list(os.environ):
        if name.startswith(("KUBE", "NETWORK_MAPPER_", "OTTERIZE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def usage_error(result):
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    return result.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--mapper-url", "http://x", "--map-file", "m.json"), "--map-file and --mapper-url contradict each other"),
        (("--map-file", "m.json", "--context", "x"), "--map-file and --context contradict each other"),
        (("--mapper-url", "http://x", "--kubeconfig", "k"), "--mapper-url and --kubeconfig contradict each other"),
        (
            ("--mapper-url", "http://x", "--mapper-namespace", "n", "--mapper-service-port", "1"),
            "--mapper-url and --mapper-namespace and --mapper-service-port contradict each other",
        ),
    ],
)
def test_two_ways_at_once_are_a_wrong_usage(run, given, said):
    assert said in usage_error(run("list", *given))


def test_two_variables_of_different_ways_contradict_each_other_too(run, monkeypatch):
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", "http://x")
    monkeypatch.setenv("OTTERIZE_MAPPER_NAMESPACE", "n")
    assert "--mapper-url and --mapper-namespace contradict" in usage_error(run("list"))


def test_a_flag_goes_before_a_variable_that_names_another_way(run, mapper, monkeypatch, tmp_path):
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", mapper.url)
    assert "there is no kubeconfig at" in run("list", "--kubeconfig", str(tmp_path / "none")).err
    monkeypatch.setenv("NETWORK_MAPPER_MAPPER_URL", "")
    monkeypatch.setenv("NETWORK_MAPPER_KUBECONFIG", str(tmp_path / "none"))
    assert run("list", "--mapper-url", mapper.url).code == 0


def test_a_variable_goes_before_the_configuration_file(run, mapper, monkeypatch, tmp_path):
    (tmp_path / "config.toml").write_text(f'kubeconfig = "{tmp_path}/none"\n')
    arguments = ("list", "--config", str(tmp_path / "config.toml"))
    assert "there is no kubeconfig at" in run(*arguments).err
    monkeypatch.setenv("OTTERIZE_MAPPER_URL", mapper.url)
    assert run(*arguments).code == 0


def test_a_variable_and_a_flag_of_one_way_go_together(run, monkeypatch, tmp_path):
    (tmp_path / "kubeconfig").write_text("contexts: []")
    monkeypatch.setenv("NETWORK_MAPPER_KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert f"{tmp_path}/kubeconfig has no context 'mine'" in run("list", "--context", "mine").err


def test_without_a_cluster_this_machine_is_asked(run):
    assert "http://localhost:9090" in run("list").err


@pytest.mark.parametrize("flag", ["--context", "--mapper-namespace", "--mapper-service-name"])
def test_a_flag_of_clusters_wants_a_cluster(run, flag):
    result = run("list", flag, "x")
    assert result.code == 1
    assert "no cluster is configured" in result.err
    assert "--mapper-url" in result.err


@pytest.mark.parametrize("name", KUBECONFIGS)
def test_a_kubeconfig_that_cannot_be_used_is_one_line_with_the_other_way(run, tmp_path, name):
    text, said = KUBECONFIGS[name]
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    result = run("list", "--kubeconfig", str(file))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"Error: {file} {said}")
    assert result.err.endswith("Check --kubeconfig and --context, or name a mapper with --mapper-url.\n")
    assert result.err.count("\n") == 1


def test_a_kubeconfig_in_the_home_folder_is_used(run, tmp_path):
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("")
    assert f"{tmp_path}/.kube/config has no context" in run("list").err


def test_several_kubeconfigs_are_one(run, monkeypatch, tmp_path):
    (tmp_path / "a").write_text("current-context: x")
    (tmp_path / "b").write_text("contexts: [{name: x, context: {cluster: c}}]")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a{os.pathsep}{tmp_path}/none{os.pathsep}{tmp_path}/b")
    assert f"{tmp_path}/a, {tmp_path}/b has no cluster 'c'" in run("list").err
