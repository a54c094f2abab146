"""Who may install: the role that docs/install.md gives is enough, and what is missing is named in one line."""

import itertools
import re
from pathlib import Path

import pytest
import yaml
from harness.command_line import complaint, run
from node_player import NodePlayer

pytestmark = pytest.mark.cluster

PAGE = (Path(__file__).parents[2] / "docs/install.md").read_text()
RULES = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])["rules"]
numbers = itertools.count()


@pytest.fixture
def name(control_plane):
    name = f"rights-{next(numbers)}"
    yield name
    config = control_plane.kubeconfig(control_plane.folder / "rights")
    run("uninstall", "--yes", "-n", name, "--delete-data", "--no-wait", "--kubeconfig", config)
    if name in control_plane.namespaces():
        control_plane.remove_namespace(name)


@pytest.fixture
def installer(control_plane, namespace, tmp_path):
    """Make a kubeconfig of somebody who may do what these rules say."""

    def make(rules):
        control_plane.service_account(namespace, "installer", rules)
        return control_plane.kubeconfig(tmp_path / "config", token=control_plane.token(namespace, "installer"))

    return make


def without(verb, plural):
    """The documented rules, but for one right."""
    rules = []
    for rule in RULES:
        for resource in rule["resources"]:
            verbs = [word for word in rule["verbs"] if (word, resource) != (verb, plural)]
            rules.append({"apiGroups": rule["apiGroups"], "resources": [resource], "verbs": verbs})
    return [rule for rule in rules if rule["verbs"]]


@pytest.mark.parametrize("profile", ["default", "persistent"])
def test_the_documented_rights_are_enough(control_plane, installer, name, profile):
    to = ("-n", name, "--kubeconfig", installer(RULES))
    with NodePlayer(control_plane.admin, name):
        done = run("install", *to, "--profile", profile, "--timeout", "60s")
        assert "may" not in done.stderr
        run("upgrade", *to, "--profile", "otterize", "--timeout", "60s", "--delete-data")
        run("uninstall", "--yes", *to, "--delete-namespace", "--no-wait")


def test_somebody_without_any_right_is_told_which_one(installer, name):
    said = complaint("install", "-n", name, "--kubeconfig", installer([]))
    assert said.startswith(
        f"you may not list deployments.apps in namespace {name} of context tests. Ask for that right"
    )


@pytest.mark.parametrize(
    ("verb", "plural", "right"),
    [
        ("patch", "daemonsets", "patch daemonsets.apps in namespace {name}"),
        ("create", "deployments", "create deployments.apps in namespace {name}"),
        ("patch", "clusterroles", "patch clusterroles.rbac.authorization.k8s.io in the whole cluster"),
        ("create", "namespaces", "create namespaces in the whole cluster"),
        ("get", "services", "get services in namespace {name}"),
    ],
)
def test_a_missing_right_is_named_and_nothing_is_made(control_plane, installer, name, verb, plural, right):
    if plural not in ("namespaces", "clusterroles"):
        control_plane.make_namespace(name)
    said = complaint("install", "-n", name, "--kubeconfig", installer(without(verb, plural)))
    assert said.startswith(
        f"you may not {right.format(name=name)}, of context tests. Ask for these rights; docs/install.md "
    )
    if name in control_plane.namespaces():
        assert control_plane.admin.list("deployments", name) == []
    roles = [role["metadata"]["name"] for role in control_plane.admin.list("clusterroles")]
    assert f"network-mapper.{name}" not in roles


def test_all_missing_rights_are_named_at_once(control_plane, installer, name):
    control_plane.make_namespace(name)
    rules = [rule for rule in RULES if rule["apiGroups"] not in (["policy"], ["scheduling.k8s.io"])]
    reads = [{"apiGroups": ["policy", "scheduling.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}]
    said = complaint("install", "-n", name, "--kubeconfig", installer(rules + reads))
    assert "patch priorityclasses.scheduling.k8s.io in the whole cluster; patch poddisruptionbudgets.policy in" in said


def test_who_may_not_grant_the_mappers_rights_is_told_so(control_plane, installer, name):
    control_plane.make_namespace(name)
    said = complaint("install", "-n", name, "--kubeconfig", installer(without("escalate", "clusterroles")))
    assert said.startswith("you may not grant what you may not do yourself: ")
    assert f"clusterrole.rbac.authorization.k8s.io/network-mapper.{name}" in said
    assert "'escalate' and 'bind'" in said


def test_who_may_not_remove_is_told_what_is_missing(installer, name):
    config = installer(without("delete", "daemonsets"))
    run("install", "-n", name, "--kubeconfig", config, "--no-wait")
    said = complaint("uninstall", "--yes", "-n", name, "--kubeconfig", config)
    assert said.startswith(f"you may not delete daemonsets.apps in namespace {name} of context tests.")


def test_in_one_namespace_alone_the_namespaces_right_is_not_needed(control_plane, installer, name):
    control_plane.make_namespace(name)
    rules = [rule for rule in RULES if rule["resources"] != ["namespaces"]]
    run("install", "-n", name, "--kubeconfig", installer(rules), "--no-wait")


def test_without_events_the_wait_says_so_once(control_plane, installer, name):
    config = installer(without("list", "events"))
    done = run("install", "-n", name, "--kubeconfig", config, "--timeout", "3s", code=1)
    assert done.stderr.count(f"who may list events in namespace {name}") == 1
