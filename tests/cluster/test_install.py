"""`install`, `upgrade` and `uninstall` against a real API server; the nodes' part is played by the test."""

import json

import pytest
from harness.command_line import complaint, run
from node_player import NodePlayer

from network_mapper import __version__
from network_mapper.cli.deploy import resources

pytestmark = pytest.mark.cluster

LABEL = "network-mapper.io/installation"


def ours(api, namespace):
    """Titles of all objects with the label of an installation."""
    found = []
    for kind in resources.IN_ORDER:
        if kind.group == "security.openshift.io":
            continue
        path = f"{kind.path(namespace)}?labelSelector={LABEL}={namespace}"
        # Nobody here takes the finalizers off volume claims, so some are on their way out for ever.
        items = [item["metadata"] for item in api.call("GET", path)["items"]]
        found += [f"{kind.kind}/{meta['name']}" for meta in items if not meta.get("deletionTimestamp")]
    return sorted(found)


@pytest.fixture(scope="module")
def linux(control_plane):
    """The nodes of the control plane run Linux."""
    for node in control_plane.admin.list("nodes"):
        name = node["metadata"]["name"]
        control_plane.admin.patch("nodes", None, name, {"metadata": {"labels": {"kubernetes.io/os": "linux"}}})
    return [node["metadata"]["name"] for node in control_plane.admin.list("nodes")]


@pytest.fixture
def name(control_plane, admin_config, linux, request):
    """Name of a namespace that does not exist yet, and of which nothing is left afterwards."""
    name = f"nm-{abs(hash(request.node.name)) % 10**8}"
    yield name
    for item in control_plane.admin.list("deployments", name):  # Helm's
        if item["metadata"]["labels"]["app.kubernetes.io/managed-by"] != "network-mapper":
            control_plane.admin.delete("deployments", name, item["metadata"]["name"])
    run("uninstall", "--yes", "-n", name, "--delete-data", "--no-wait", "--kubeconfig", admin_config)
    api = control_plane.admin
    if any(item["metadata"]["name"] == name for item in api.list("namespaces")):
        for pod in api.list("pods", name):
            api.delete("pods", name, pod["metadata"]["name"])
        control_plane.remove_namespace(name)
    assert ours(api, name) == []


@pytest.fixture
def cli(admin_config, name):
    """Run a command for that namespace."""

    def cli(command, *options, code=0, how=run):
        given = (command, "-n", name, "--kubeconfig", admin_config, *options)
        return how(*given, code=code) if how is run else how(*given)

    return cli


def existing(control_plane, name, **labels):
    meta = {"name": name, "labels": {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}}
    control_plane.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})


# Installing


def test_it_installs_waits_and_says_what_was_made(control_plane, cli, name):
    with NodePlayer(control_plane.admin, name):
        done = cli("install", "--timeout", "60s")
    lines = done.stdout.splitlines()
    assert lines[0] == f"namespace/{name} created"
    assert "deployment.apps/network-mapper created" in lines
    assert f"clusterrole.rbac.authorization.k8s.io/network-mapper.{name} created" in lines
    nodes = len(control_plane.admin.list("nodes"))
    assert lines[-1].startswith(
        f"network-mapper {__version__} runs in namespace {name}: mapper ready, {nodes} of {nodes} sniffers ready"
    )
    assert "Mapper ready." in done.stderr
    labels = control_plane.admin.get("namespaces", None, name)["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"privileged"}


def test_it_says_it_for_programs_too(cli, name):
    found = json.loads(cli("install", "--no-wait", "-o", "json").stdout)
    assert (found["namespace"], found["profile"], found["version"]) == (name, "default", __version__)
    assert {row["action"] for row in found["objects"]} == {"created"}
    assert {"api_version": "apps/v1", "kind": "DaemonSet", "namespace": name, "name": "network-mapper-sniffer",
            "action": "created"} in found["objects"]  # fmt: skip
    assert found["running"] is None


def test_a_second_time_changes_nothing(control_plane, cli, name):
    cli("install", "--no-wait")
    again = json.loads(cli("install", "--no-wait", "-o", "json").stdout)
    actions = {f"{row['kind']}/{row['name']}": row["action"] for row in again["objects"]}
    assert set(actions.values()) == {"unchanged"}, actions


def test_a_dry_run_of_the_server_keeps_nothing(control_plane, cli, name):
    existing(control_plane, name)
    done = cli("install", "--dry-run=server")
    assert "deployment.apps/network-mapper created (server dry run)" in done.stdout
    assert ours(control_plane.admin, name) == []


def test_a_dry_run_of_the_server_makes_no_namespace(control_plane, cli, name):
    assert f"namespace/{name} created (server dry run)" in cli("install", "--dry-run=server").stdout
    assert name not in control_plane.namespaces()


@pytest.mark.parametrize("profile", ["default", "persistent", "sockets", "otterize"])
def test_every_profile_is_accepted(cli, profile):
    assert "created" in cli("install", "--no-wait", "--profile", profile).stdout


def test_where_a_kind_is_unknown_nothing_is_made(control_plane, cli, name):
    said = cli("install", "--profile", "openshift", how=complaint)
    assert said.startswith("context tests has no securitycontextconstraints.security.openshift.io, ")
    assert name not in control_plane.namespaces()


def test_the_fields_of_somebody_else_are_left_or_taken_over(control_plane, cli, name):
    existing(control_plane, name)
    meta = {"name": "network-mapper", "namespace": name, "labels": {"app.kubernetes.io/managed-by": "somebody"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": True}
    control_plane.admin.apply(account)
    said = cli("install", how=complaint)
    assert 'serviceaccount/network-mapper .automountServiceAccountToken (conflict with "tests"' in said
    assert "--force-conflicts" in said
    assert ours(control_plane.admin, name) == []
    assert "serviceaccount/network-mapper configured" in cli("install", "--no-wait", "--force-conflicts").stdout


def test_a_namespace_that_is_being_deleted_is_not_used(control_plane, cli, name):
    existing(control_plane, name)
    hold = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hold", "namespace": name}}
    hold["metadata"]["finalizers"] = ["tests.example.org/hold"]
    control_plane.admin.create(hold)
    control_plane.admin.call("DELETE", f"/api/v1/namespaces/{name}")
    said = cli("install", how=complaint)
    control_plane.admin.patch("configmaps", name, "hold", {"metadata": {"finalizers": None}})
    assert said == f"namespace {name} is being deleted. Wait until it is gone, and try again."


# Beside others


def test_over_a_release_of_helm_it_names_helms_command(control_plane, cli, name):
    existing(control_plane, name)
    labels = {"app.kubernetes.io/part-of": "network-mapper", "app.kubernetes.io/component": "mapper",
              "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "shop-map"}  # fmt: skip
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "replicas": 0, "template": template}
    meta = {"name": "shop-map", "namespace": name, "labels": labels}
    control_plane.admin.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    assert f"'helm upgrade shop-map … -n {name}'" in cli("install", how=complaint)
    assert f"'helm upgrade shop-map -n {name}'" in cli("upgrade", how=complaint)
    assert f"'helm uninstall shop-map -n {name}'" in cli("uninstall", "--yes", how=complaint)


def test_a_second_installation_must_be_wanted(control_plane, cli, name, admin_config):
    cli("install", "--no-wait")
    other = f"{name}-b"
    second = ("install", "-n", other, "--kubeconfig", admin_config, "--no-wait")
    said = complaint(*second)
    assert f"network-mapper is in namespace {name} of context tests already" in said
    assert "--allow-second --sniffer-health-port" in said
    same = complaint(*second, "--allow-second")
    assert f"the installation in namespace {name} have port 19591 on every node" in same
    run(*second, "--allow-second", "--sniffer-health-port", 19592)
    try:
        assert len(ours(control_plane.admin, other)) == len(ours(control_plane.admin, name))
        back = ("upgrade", "-n", other, "--kubeconfig", admin_config, "--sniffer-health-port", 19591)
        assert "have port 19591 on every node" in complaint(*back)
        assert f"several namespaces of context tests: {name}, {other}" in complaint(
            "upgrade", "--kubeconfig", admin_config
        )
    finally:
        run("uninstall", "--yes", "-n", other, "--no-wait", "--kubeconfig", admin_config)
        control_plane.remove_namespace(other)
    assert ours(control_plane.admin, other) == []
    assert ours(control_plane.admin, name)


def test_install_does_not_change_what_upgrade_should(cli, name):
    cli("install", "--no-wait")
    assert f"'network-mapper upgrade -n {name} …' changes them" in cli("install", "--profile=sockets", how=complaint)


# Upgrading


def test_upgrade_keeps_what_was_chosen_and_changes_what_is_said(control_plane, cli, name):
    cli("install", "--no-wait", "--image", "r.example.com/mapper:7", "--image-pull-secret", "mine")
    done = json.loads(cli("upgrade", "--no-wait", "--profile", "sockets", "-o", "json").stdout)
    assert (done["profile"], done["previous_version"]) == ("sockets", __version__)
    pod = control_plane.admin.get("daemonsets", name, "network-mapper-sniffer")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "mine"}]
    assert pod["containers"][0]["image"] == f"r.example.com/mapper:{__version__}"
    variables = {found["name"]: found.get("value") for found in pod["containers"][0]["env"]}
    assert variables["NETWORK_MAPPER_CAPTURE"] == "sockets"
    assert "capabilities" in pod["containers"][0]["securityContext"]


def test_upgrade_removes_what_the_new_profile_has_not(control_plane, cli, name):
    cli("install", "--no-wait", "--profile", "otterize")
    assert "service/otterize-network-mapper removed" in cli("upgrade", "--no-wait", "--profile", "default").stdout
    assert "Service/otterize-network-mapper" not in ours(control_plane.admin, name)


def test_upgrade_keeps_the_volume_until_its_removal_is_asked_for(control_plane, cli, name):
    cli("install", "--no-wait", "--profile", "persistent")
    done = cli("upgrade", "--no-wait", "--profile", "default")
    assert "persistentvolumeclaim/network-mapper kept" in done.stdout
    assert "--delete-data removes it" in done.stderr
    assert "PersistentVolumeClaim/network-mapper" in ours(control_plane.admin, name)
    assert "persistentvolumeclaim/network-mapper removed" in cli("upgrade", "--no-wait", "--delete-data").stdout


def test_upgrade_says_from_where_to_where(control_plane, cli, name):
    cli("install", "--no-wait")
    version = {"metadata": {"labels": {"app.kubernetes.io/version": "0.0.1"}}}
    control_plane.admin.patch("deployments", name, "network-mapper", version)
    assert "version 0.0.1" in cli("install", how=complaint)
    assert "--force-conflicts" in cli("upgrade", "-q", how=complaint)  # the label is of somebody else now
    done = cli("upgrade", "--no-wait", "--force-conflicts")
    assert f"Upgrading from version 0.0.1 to {__version__}." in done.stderr


def test_a_newer_version_is_not_replaced_by_chance(control_plane, cli, name):
    cli("install", "--no-wait")
    version = {"metadata": {"labels": {"app.kubernetes.io/version": "99.1.0"}}}
    control_plane.admin.patch("deployments", name, "network-mapper", version)
    assert "--allow-downgrade" in cli("upgrade", how=complaint)
    cli("upgrade", "--no-wait", "--allow-downgrade", "--force-conflicts")


def test_without_an_installation_upgrade_names_install(cli, name):
    said = cli("upgrade", how=complaint)
    assert said == (
        f"network-mapper is not installed in namespace {name} of context tests. 'network-mapper install' installs it."
    )


# Uninstalling


def test_uninstall_removes_everything_but_the_volume_and_the_namespace(control_plane, cli, name):
    with NodePlayer(control_plane.admin, name):
        cli("install", "--profile", "persistent", "--timeout", "60s")
        done = cli("uninstall", "--yes")
    assert ours(control_plane.admin, name) == ["PersistentVolumeClaim/network-mapper"]
    assert control_plane.admin.list("pods", name) == []
    assert name in control_plane.namespaces()
    assert "persistentvolumeclaim/network-mapper kept" in done.stdout
    lines = [line.partition("/")[0] for line in done.stdout.splitlines()]
    assert lines.index("daemonset.apps") < lines.index("clusterrole.rbac.authorization.k8s.io")


def test_uninstall_removes_volume_and_namespace_where_it_is_told_to(control_plane, cli, name):
    cli("install", "--no-wait", "--profile", "persistent")
    cli("uninstall", "--yes", "--delete-data", "--delete-namespace", "--no-wait")
    assert ours(control_plane.admin, name) == []
    control_plane.admin.wait("the namespace goes", lambda: _gone(control_plane, name))


def _gone(control_plane, name):
    found = [item for item in control_plane.admin.list("namespaces") if item["metadata"]["name"] == name]
    return not found or found[0]["metadata"].get("deletionTimestamp")


def test_a_second_uninstall_is_no_failure(cli, name):
    cli("install", "--no-wait")
    cli("uninstall", "--yes", "--no-wait")
    assert cli("uninstall", "--yes").stdout == (
        f"network-mapper is not installed in namespace {name} of context tests; nothing was removed.\n"
    )


def test_what_is_left_without_a_namespace_is_found(control_plane, cli, name, admin_config):
    cli("install", "--no-wait")
    for pod in control_plane.admin.list("pods", name):
        control_plane.admin.delete("pods", name, pod["metadata"]["name"])
    control_plane.remove_namespace(name, wait=True)
    done = run("uninstall", "--yes", "--kubeconfig", admin_config)
    assert f"clusterrole.rbac.authorization.k8s.io/network-mapper.{name} removed" in done.stdout


def test_a_namespace_of_somebody_else_is_not_removed(control_plane, cli, name):
    existing(control_plane, name)
    cli("install", "--no-wait")
    said = cli("uninstall", "--yes", "--delete-namespace", how=complaint)
    assert "was not made by 'network-mapper install', so it is not removed" in said
    assert ours(control_plane.admin, name)
