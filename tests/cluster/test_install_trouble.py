"""What `install` says while pods do not come up; the nodes' part is played by the test."""

import itertools
import json
import os
import pty
import signal
import subprocess
import time

import pytest
from harness.command_line import command, environment, run
from harness.kube_api import MERGE_PATCH
from node_player import NodePlayer

pytestmark = pytest.mark.cluster

numbers = itertools.count()


@pytest.fixture
def name(control_plane, admin_config):
    for node in control_plane.admin.list("nodes"):
        label = {"metadata": {"labels": {"kubernetes.io/os": "linux"}}}
        control_plane.admin.patch("nodes", None, node["metadata"]["name"], label)
    name = control_plane.make_namespace(f"trouble-{next(numbers)}")
    yield name
    run("uninstall", "--yes", "-n", name, "--delete-data", "--no-wait", "--kubeconfig", admin_config)
    control_plane.remove_namespace(name)


@pytest.fixture
def nodes(control_plane, name):
    """How many nodes there are: other tests may have made some."""
    return len(control_plane.admin.list("nodes"))


@pytest.fixture
def install(admin_config, name):
    def install(*options, code=1):
        return run("install", "-n", name, "--kubeconfig", admin_config, *options, code=code)

    return install


def label(control_plane, name, level):
    labels = {"pod-security.kubernetes.io/enforce": level}
    control_plane.admin.patch("namespaces", None, name, {"metadata": {"labels": labels}})


def stuck(reason, message, **more):
    """Status of a pod whose container waits."""

    def status(pod):
        container = pod["spec"]["containers"][0]
        waiting = {"waiting": {"reason": reason, "message": message}}
        found = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False}
        found |= {"restartCount": 0, "state": waiting, **more}
        return {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [found]}

    return status


def test_a_namespace_that_forbids_the_sniffers_gets_the_mapper_and_advice(control_plane, install, name, admin_config):
    label(control_plane, name, "baseline")
    with NodePlayer(control_plane.admin, name):
        done = install("--timeout", "60s")
        assert "the PodSecurity level 'baseline', which forbids the sniffers" in done.stderr
        assert f"runs in namespace {name}: mapper ready." in done.stdout
        assert done.stderr.splitlines()[-1].startswith(f"Error: namespace {name} forbids the sniffers")
        assert f"'network-mapper upgrade -n {name} --label-namespace'" in done.stderr
        to = ("-n", name, "--kubeconfig", admin_config, "--timeout", "60s")
        done = run("upgrade", *to, "--label-namespace", "-o", "json")
    assert [part["done"] for part in json.loads(done.stdout)["parts"]] == [True, True]


def test_pods_that_a_quota_forbids_are_told_from_events_and_conditions(control_plane, install, name, nodes):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": name}}
    path = f"/api/v1/namespaces/{name}/resourcequotas"
    spec = {"spec": {"hard": {"pods": "0"}}}
    control_plane.admin.call("POST", path, quota | spec)
    status = {"status": {**spec["spec"], "used": {"pods": "0"}}}  # the quota controller's part
    control_plane.admin.call("PATCH", f"{path}/none/status", status, content_type=MERGE_PATCH)
    done = install("--timeout", "12s")
    assert "Warning: sniffers: Kubernetes refuses its pods: " in done.stderr
    assert "Warning: mapper: Kubernetes refuses its pods: " in done.stderr
    assert f"'kubectl -n {name} describe quota'" in done.stderr
    assert f"Error: not everything runs after 12 s: mapper not ready, 0 of {nodes} sniffers ready." in done.stderr


def test_an_image_that_cannot_be_pulled_is_told_once_for_all_pods(control_plane, install, name):
    said = 'failed to resolve reference "x": pull access denied'
    with NodePlayer(control_plane.admin, name, stuck("ErrImagePull", said)):
        done = install("--timeout", "8s")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning:")]
    assert len(warnings) == 2
    assert all("cannot be pulled (pull access denied). The registry wants credentials" in line for line in warnings)


def test_programs_get_the_problems_too(control_plane, install, name):
    with NodePlayer(control_plane.admin, name, stuck("CreateContainerError", "no such device")):
        done = install("--timeout", "2s", "-o", "json")
    found = json.loads(done.stdout)
    assert found["running"] is False
    assert [problem.split(":")[0] for problem in found["problems"]] == ["mapper", "sniffers"]
    assert [part["ready"] for part in found["parts"]] == [0, 0]


def test_a_crash_is_told_with_what_the_program_said(control_plane, install, name):
    ended = {"terminated": {"exitCode": 3, "reason": "Error", "message": "starting\nno socket for me\n"}}
    crash = stuck("CrashLoopBackOff", "back-off", lastState=ended)
    with NodePlayer(control_plane.admin, name, crash):
        done = install("--timeout", "8s")
    assert "ends at once with code 3; its last words: starting | no socket for me." in done.stderr


def test_what_is_late_is_waited_for(control_plane, install, name, nodes):
    began = time.monotonic()

    def slowly(pod):
        return None if time.monotonic() - began > 4 else stuck("ContainerCreating", "")(pod)

    with NodePlayer(control_plane.admin, name, slowly):
        done = install("--timeout", "60s", code=0)
    assert f"{nodes} of {nodes} sniffers ready" in done.stdout
    assert "Warning" not in done.stderr


def test_interrupted_it_says_what_stays_and_how_to_remove_it(admin_config, name):
    argv = command("install", "-n", name, "--kubeconfig", admin_config)
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), bufsize=1
    )
    for line in process.stdout:
        if line.startswith("daemonset"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == f"What was applied stays. 'network-mapper uninstall -n {name}' removes it.\n"


def test_an_api_server_that_is_away_for_a_while_is_waited_for(control_plane, proxy, name, nodes, tmp_path):
    config = control_plane.kubeconfig(
        tmp_path / "by-proxy", certificate=control_plane.admin_certificate, server=proxy.url
    )
    argv = command("install", "-n", name, "--kubeconfig", config, "--timeout", "60s")
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), bufsize=1
    )
    for line in process.stdout:
        if line.startswith("daemonset"):
            break
    proxy.refuse()
    time.sleep(2)
    proxy.listen()
    with NodePlayer(control_plane.admin, name):
        rest, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"{nodes} of {nodes} sniffers ready" in rest


def on_terminal(typed, *arguments):
    """Run a command whose standard input is a terminal, on which somebody types; returns code and what it said."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            command(*arguments), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        os.write(ours, typed.encode())
        _, said = process.communicate(timeout=60)
        return process.returncode, said.decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_uninstall_shows_what_goes_and_what_stays_and_asks(control_plane, install, admin_config, name):
    install("--no-wait", "--profile", "persistent", code=0)
    uninstall = ("uninstall", "-n", name, "--no-wait", "--kubeconfig", admin_config)
    code, said = on_terminal("n\n", *uninstall)
    assert code == 1
    assert f"  clusterrole.rbac.authorization.k8s.io/network-mapper.{name}\n" in said
    assert "  persistentvolumeclaim/network-mapper stays, with the map (--delete-data)\n" in said
    assert "Remove 10 objects? [y/N]" in said
    assert said.endswith("Error: nothing was removed.\n")
    assert control_plane.admin.list("deployments", name)
    assert on_terminal("y\n", *uninstall)[0] == 0
    assert control_plane.admin.list("deployments", name) == []


def test_without_a_terminal_uninstall_demands_yes(install, admin_config, name):
    install("--no-wait", code=0)
    done = run("uninstall", "-n", name, "--kubeconfig", admin_config, code=1)
    assert "Give --yes." in done.stderr
