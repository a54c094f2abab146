"""The shipped command line, from a kubeconfig through a real API server and the kubelet's port-forward to a mapper."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import kubernetes
import pytest
from harness import objects
from harness.kubelet import Kubelet
from harness.processes import free_port
from model_mapper import ModelMapper

pytestmark = pytest.mark.cluster

LABELS = {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "mapper"}
FORWARD = {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}
SEARCH = {"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["list"]}
PROXY = {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get", "create"]}
LISTED = "client in namespace {0} calls:\n  - server\n"


@pytest.fixture(scope="module")
def kubelet(control_plane):
    try:
        program = kubernetes.kubelet()
    except kubernetes.KubernetesMissingError as error:
        pytest.skip(str(error))
    with Kubelet(control_plane, program) as kubelet:
        yield kubelet


class Installed:
    """A mapper in the cluster: a service, a pod, and the process that stands for the pod."""

    def __init__(self, plane, place, kubelet, folder):
        self.place, self.kubelet = place, kubelet
        self.port = free_port()
        config = plane.kubeconfig(folder / "kubeconfig")
        listen = f"unix:{folder}/m.sock,127.0.0.1:{self.port}"
        self.process = ModelMapper(folder, None, "--kubeconfig", str(config), "--listen", listen)
        self.pod = self.run_pod("mapper-1")
        ports = [{"name": "http", "port": 80, "targetPort": "web"}]
        meta = {"labels": LABELS}
        place.api.create(objects.service(place.namespace, "network-mapper", app="mapper", meta=meta, ports=ports))

    def run_pod(self, name, **more):
        containers = [
            {"name": "app", "image": objects.IMAGE, "ports": [{"containerPort": self.port, "name": "web"}]},
        ]
        labels = {"app": "mapper"}
        return self.place.pod(name, labels=labels, nodeName=self.kubelet.node, containers=containers, **more)


@pytest.fixture(scope="module")
def installed(control_plane, places, kubelet, tmp_path_factory):
    place = places.new()
    (client,), (server,) = place.deployment("client"), place.deployment("server")
    installed = Installed(control_plane, place, kubelet, tmp_path_factory.mktemp("f"))
    mapper = installed.process.start().wait_ready()
    mapper.intent(place.namespace, lambda: mapper.connections(client.ip, server.ip))
    yield installed
    if mapper.process.poll() is None:
        assert mapper.stop()[0] == 0
    control_plane.remove_namespace(place.namespace)


@pytest.fixture
def config(control_plane, tmp_path):
    return control_plane.kubeconfig(tmp_path / "kubeconfig")


def command_of(*arguments):
    return [sys.executable, "-m", "network_mapper", *map(str, arguments)]


def run(*arguments, code=0, **more):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("NETWORK_MAPPER_", "KUBE"))}
    done = subprocess.run(
        command_of(*arguments), check=False, capture_output=True, text=True, timeout=60, env={**environ, **more}
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


def complaint(*arguments, **more):
    done = run(*arguments, code=1, **more)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_the_mapper_is_found_and_asked_with_nothing_but_a_kubeconfig(installed, config):
    done = run("list", "--kubeconfig", config)
    assert (done.stdout, done.stderr) == (LISTED.format(installed.place), "")


def test_the_environment_names_the_kubeconfig(installed, config):
    assert run("list", KUBECONFIG=str(config)).stdout == LISTED.format(installed.place)
