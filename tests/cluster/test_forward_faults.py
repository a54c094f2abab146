"""What the shipped command line says where the way through a real API server leads to no mapper: one line each."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness import pods
from harness.command_line import FORWARD, LIST_PODS, PROXY, SEARCH, command, complaint, environment, run
from harness.installed import LABELS
from harness.processes import free_port

from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import Connection
from network_mapper.cli.sources.open import open_source

pytestmark = pytest.mark.cluster

BY_URL = "name a mapper that can be reached from here with --mapper-url."


# Which mapper


@pytest.fixture
def lame(installed, place):
    """A second mapper, in a namespace of its own, whose pods the test decides."""
    installed.add_service("network-mapper", place, meta={"labels": LABELS})
    yield place
    place.api.delete("services", place.namespace, "network-mapper")


def test_a_namespace_without_a_mapper_is_named(installed, admin_config, namespace):
    assert complaint("list", "--kubeconfig", admin_config, "--mapper-namespace", namespace) == (
        f"no mapper was found in context tests. Looked in namespace {namespace} for services labelled "
        "app.kubernetes.io/name=network-mapper,app.kubernetes.io/component=mapper or named network-mapper or "
        "otterize-network-mapper. Install it there with network-mapper install, or name it with --mapper-namespace and "
        "--mapper-service-name, or by its address with --mapper-url (on this machine http://localhost:9090)."
    )


def test_a_namespace_that_does_not_exist_is_told_from_an_empty_one(installed, admin_config):
    assert complaint("list", "--kubeconfig", admin_config, "--mapper-namespace", "nowhere") == (
        "there is no namespace nowhere in context tests. Check --mapper-namespace."
    )


def test_a_service_that_does_not_exist_is_named(installed, admin_config):
    where = ("--mapper-namespace", installed.place, "--mapper-service-name", "other")
    assert complaint("list", "--kubeconfig", admin_config, *where) == (
        f"there is no service other in namespace {installed.place} of context tests. "
        "Check --mapper-namespace and --mapper-service-name."
    )


def test_two_mappers_are_listed_with_the_flags_that_choose(installed, admin_config, lame):
    said = complaint("list", "--kubeconfig", admin_config)
    both = sorted([f"{installed.place}/network-mapper", f"{lame}/network-mapper"])
    assert said == (
        f"there are 2 mappers in context tests: {', '.join(both)}. "
        "Choose one with --mapper-namespace and --mapper-service-name."
    )
    assert run("list", "--kubeconfig", admin_config, "--mapper-namespace", installed.place).stdout


def test_a_search_that_is_forbidden_says_where_it_looked_and_what_was_refused(installed, account, namespace):
    said = complaint("list", "--kubeconfig", account())
    assert "Looked in namespaces default, network-mapper, otterize-system for services" in said
    assert 'cannot list resource "services" in API group "" at the cluster scope' in said


# Which pod


def complaint_of(config, lame):
    return complaint("list", "--kubeconfig", config, "--mapper-namespace", lame)


def test_a_service_without_pods_is_no_mystery(lame, admin_config):
    assert complaint_of(admin_config, lame) == (
        f"the mapper's service {lame}/network-mapper in context tests has no pods (app=mapper). "
        f"Is its Deployment scaled to 0, or are its pods refused? 'kubectl -n {lame} get events' says."
    )


def test_pods_that_are_not_ready_are_told_with_their_states(lame, installed, admin_config, control_plane):
    waiting = {
        "name": "app",
        "image": "",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff"}},
    }
    lame.pod(
        "a", labels={"app": "mapper"}, status={"phase": "Pending", "conditions": [], "containerStatuses": [waiting]}
    )
    made = installed.run_pod("b", place=lame).made
    failing = {**waiting, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    status = {**pods.running(made, ["10.9.9.9"], ready=False), "containerStatuses": [failing]}
    control_plane.admin.set_status(made, status)
    installed.run_pod("c", place=lame)
    control_plane.admin.delete("pods", lame.namespace, "c", grace=30)
    assert complaint_of(admin_config, lame) == (
        f"no pod of the mapper's service {lame}/network-mapper in context tests is ready: a is Pending "
        f"(ImagePullBackOff), b is Running (CrashLoopBackOff), c is being deleted. "
        f"'kubectl -n {lame} describe pod a' says why."
    )


def test_a_pod_that_is_ready_is_preferred_to_newer_ones_that_are_not(lame, installed, admin_config, control_plane):
    installed.run_pod("good", place=lame)
    time.sleep(1.1)  # creation times are whole seconds
    made = installed.run_pod("newer", place=lame).made
    control_plane.admin.set_status(made, pods.running(made, ["10.9.9.9"], ready=False))
    assert run("list", "--kubeconfig", admin_config, "--mapper-namespace", lame).stdout


def test_a_named_port_that_the_pod_lacks_is_named(lame, installed, admin_config):
    lame.pod("plain", labels={"app": "mapper"}, nodeName=installed.kubelet.node)
    assert f"the mapper's pod {lame}/plain has no port named 'web', which its service dials" in complaint_of(
        admin_config, lame
    )


# The way


def test_a_port_that_nobody_listens_at_is_told_as_the_kubelet_says(installed, admin_config):
    port = free_port()
    said = complaint("list", "--kubeconfig", admin_config, "--mapper-service-port", port)
    assert said.startswith(
        f"service {installed.place}/network-mapper of context tests: port {port} of pod {installed.place}/mapper-1 "
        "refused the connection: "
    )
    assert f"127.0.0.1:{port}: connect: connection refused" in said


def test_without_any_right_of_way_both_ways_and_the_right_are_told(installed, account):
    said = complaint("list", "--kubeconfig", account(SEARCH))
    assert 'cannot get resource "pods/portforward"' in said
    assert 'cannot get resource "services/proxy"' in said
    assert said.endswith(
        f"It takes a role with 'get' and 'create' on pods/portforward in namespace {installed.place}; or {BY_URL}"
    )


def test_a_pod_port_that_is_no_port_of_the_service_has_no_second_way(installed, account):
    said = complaint("list", "--kubeconfig", account(SEARCH, PROXY), "--mapper-service-port", installed.port)
    assert f"the service has no port {installed.port} by which the API server could reach it" in said


def test_without_pods_to_be_listed_the_service_proxy_is_left(installed, account):
    installed.wait_endpoints()
    rule = {**LIST_PODS, "resources": ["services"]}
    assert run("list", "--kubeconfig", account(rule, PROXY)).stdout


def test_credentials_that_expired_are_told_as_such(installed, control_plane, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "expired", token="expired")  # noqa: S106  it is none
    assert complaint("list", "--kubeconfig", config) == (
        f"the API server of context tests ({control_plane.url}) does not accept the credentials of context 'tests' of "
        f"{config} (Unauthorized); they may have expired. Log in to the cluster again, or {BY_URL}"
    )


def test_a_refused_token_is_replaced_once(installed, control_plane, namespace, tmp_path):
    control_plane.service_account(namespace, "reader", [FORWARD, SEARCH])
    credential = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}
    for name, token in (("first", "stale"), ("second", control_plane.token(namespace, "reader"))):
        (tmp_path / name).write_text(json.dumps({**credential, "status": {"token": token}}))
    script = f"cat {tmp_path}/first; cp {tmp_path}/second {tmp_path}/first; echo run >> {tmp_path}/runs"
    config = control_plane.kubeconfig(tmp_path / "plugin", exec_command=["sh", "-c", script])
    assert run("list", "--kubeconfig", config).stdout
    assert (tmp_path / "runs").read_text() == "run\n" * 2


def test_an_api_server_that_is_not_there_is_told_with_the_other_way(control_plane, tmp_path):
    server = f"https://127.0.0.1:{free_port()}"
    config = control_plane.kubeconfig(tmp_path / "nowhere", server=server)
    assert complaint("list", "--kubeconfig", config) == (
        f"the API server of context tests cannot be reached: {server}: cannot connect: Connection refused. "
        f"Check --context and the cluster, or {BY_URL}"
    )


def test_a_login_page_in_place_of_the_api_is_no_mapper(installed, account, proxy):
    proxy.on().html()
    assert "answered with an HTML page: this is not the Kubernetes API" in complaint(
        "list", "--kubeconfig", account(SEARCH, server=proxy.url)
    )


@pytest.mark.parametrize("code", [200, 404, 500, 503])
def test_an_upgrade_that_is_answered_otherwise_leads_to_the_service_proxy(installed, account, proxy, code):
    installed.wait_endpoints()
    fault = proxy.on("*/portforward").answer(code, b"words", {"content-type": "text/plain"})
    done = run("list", "--debug", "--kubeconfig", account(SEARCH, FORWARD, PROXY, server=proxy.url))
    assert fault.used == 1
    assert f"no port-forward to service {installed.place}/network-mapper of context tests ({code} " in done.stderr
    assert done.stdout


# What ends in the middle


@pytest.fixture
def source(installed, admin_config):
    with open_source(Connection(kubeconfig=str(admin_config))) as source:
        yield source


def test_a_mapper_that_dies_before_it_answers_is_one_line(source, installed):
    process = installed.process
    os.kill(process.process.pid, signal.SIGSTOP)
    timer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -KILL {process.process.pid}"])
    try:
        with pytest.raises(CliError) as caught:
            source.map()
    finally:
        timer.wait()
        process.stop(signal.SIGKILL)
        process.start().wait_ready()
    assert str(caught.value.message).startswith(f"service {installed.place}/network-mapper of context tests: ")
    assert "\n" not in caught.value.message


def test_control_c_ends_a_request_that_is_not_answered(installed, admin_config):
    os.kill(installed.process.process.pid, signal.SIGSTOP)
    try:
        process = subprocess.Popen(
            command("list", "--kubeconfig", admin_config),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = process.communicate(timeout=20)
    finally:
        os.kill(installed.process.process.pid, signal.SIGCONT)
    assert (process.returncode, out, err) == (130, "", "")
    assert time.monotonic() - began < 5


def test_a_slow_cluster_is_told_on_the_terminal_and_the_line_is_erased(installed, account, proxy):
    proxy.on("/api/v1/services").wait(1.6)
    config = account(SEARCH, FORWARD, PROXY, server=proxy.url)
    near, far = os.openpty()
    done = subprocess.run(
        command("list", "--kubeconfig", config), check=True, stdout=subprocess.PIPE, stderr=far, env=environment()
    )
    os.close(far)
    written = os.read(near, 10_000).decode()
    os.close(near)
    assert done.stdout
    assert re.fullmatch(rf"\rconnecting to the mapper through {proxy.url} … 1 s\r +\r", written), written
