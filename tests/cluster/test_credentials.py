"""Who the mapper is to a real API server, and what happens when that is renewed, expires, or cannot be had."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from urllib.parse import urlsplit

import pytest
from followed import Followed
from harness import objects
from harness.kube_api import path_of
from harness.pki import Authority
from mapper_process import MapperProcess
from model_mapper import eventually

from network_mapper.cluster.live.resources import rules
from network_mapper.kube.config import find_access

pytestmark = pytest.mark.cluster

PODS = "/api/v1/pods"


@pytest.fixture
def account(control_plane, namespace):
    """Name of a service account that may read what the mapper reads."""
    control_plane.service_account(namespace, "mapper", rules())
    return "mapper"


@pytest.fixture
def new_token(control_plane, namespace, account):
    """Make tokens that differ: their times are whole seconds."""
    seconds = iter(range(600, 10_000))
    return lambda: control_plane.token(namespace, account, next(seconds))


@pytest.fixture
def start(tmp_path, proxy):  # the proxy, because it must outlive the mappers
    """Start a mapper with a kubeconfig; it is ended with the test, and must end well."""
    made = []

    def start(config, *options):
        made.append(MapperProcess(tmp_path, None, "--kubeconfig", str(config), *options).start())
        return made[-1]

    yield start
    for mapper in made:
        assert mapper.stop()[0] == 0


def problems(mapper):
    return mapper.get("/api/v1/status")["cluster"]["problems"]


def sees(mapper, api, namespace, name):
    """Make a pod, and wait until the mapper knows it."""
    api.create(objects.pod(namespace, name))
    path = f"/api/v1/workloads?namespace={namespace}"
    eventually(lambda: name in [row["name"] for row in mapper.get(path)["workloads"]])


# A pod's account


@pytest.fixture
def in_pod(control_plane, namespace, account, proxy, tmp_path):
    """The folder that a pod finds its account in, filled as the kubelet does, and the way to the API from there."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()

    def fill(number, ca=None):
        data = control_plane.account_folder(folder / f"..{number}", namespace, account)
        if ca:
            (data / "ca.crt").write_bytes(ca)
        (folder / "..new").symlink_to(data.name)
        (folder / "..new").replace(folder / "..data")

    fill(0)
    for name in ("token", "ca.crt", "namespace"):
        (folder / name).symlink_to(f"..data/{name}")
    address = urlsplit(proxy.url)
    environ = {"KUBERNETES_SERVICE_HOST": address.hostname, "KUBERNETES_SERVICE_PORT": str(address.port)}
    return find_access(environ=environ, service_account=folder), fill, folder


def test_in_a_pod_it_follows_as_the_pods_account(in_pod, namespace, proxy):
    access, _, folder = in_pod
    assert access.namespace == namespace
    with Followed(access) as followed:
        followed.wait_synced()
        assert followed.ask(followed.live.problems) == []
        token = (folder / "token").read_text()
        assert {request.token for request in proxy.seen()} == {token}


def test_a_pods_account_and_the_clusters_authority_may_be_renewed(in_pod, control_plane, namespace, proxy, tmp_path):
    access, fill, folder = in_pod
    with Followed(access) as followed:
        followed.wait_synced()
        other = Authority(tmp_path / "other")
        old = (folder / "token").read_text()
        time.sleep(1.1)  # a token's times are whole seconds: another one needs another second
        fill(1, other.cert.read_bytes())
        proxy.show(other.issue("server", "kube-apiserver", hosts=["127.0.0.1"]))
        proxy.on(token=old).unauthorized()
        proxy.cut_open()
        control_plane.admin.create(objects.pod(namespace, "later"))
        followed.wait(lambda: followed.index._pods.get(("Pod", namespace, "later")))
        followed.wait(lambda: not followed.live.problems())
        assert (folder / "token").read_text() != old
        assert {request.token for request in proxy.seen(watch=True, ongoing=True)} == {(folder / "token").read_text()}


# Kubeconfigs whose credentials change


def test_a_rotated_token_file_is_read_while_it_runs(start, new_token, control_plane, namespace, proxy, tmp_path):
    file = tmp_path / "token"
    file.write_text(old := new_token())
    config = control_plane.kubeconfig(tmp_path / "config", token_file=file, server=proxy.url)
    mapper = start(config).wait_ready()
    file.unlink()
    sees(mapper, control_plane.admin, namespace, "meanwhile")
    file.write_text(new := new_token())
    proxy.on(token=old).unauthorized()
    proxy.cut_open()
    sees(mapper, control_plane.admin, namespace, "later")
    eventually(lambda: not problems(mapper))
    eventually(lambda: {request.token for request in proxy.seen(watch=True, ongoing=True)} == {new})
    assert len([request for request in proxy.seen(PODS, watch=False) if request.status == 200]) == 1


PLUGIN = """\
    import datetime, json, pathlib, sys
    folder = pathlib.Path(sys.argv[1])
    with (folder / "runs").open("a") as runs:
        runs.write(".")
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=float((folder / "lifetime").read_text()))
    status = {"token": (folder / "token").read_text(), "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
    print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


@pytest.fixture
def plugin(control_plane, proxy, tmp_path, new_token):
    """A kubeconfig with a plugin, beside the files `token`, `lifetime` and `runs`."""
    program = tmp_path / "plugin.py"
    program.write_text(textwrap.dedent(PLUGIN))
    (tmp_path / "token").write_text(new_token())
    (tmp_path / "lifetime").write_text("3600")
    command = [sys.executable, str(program), str(tmp_path)]
    return control_plane.kubeconfig(tmp_path / "config", exec_command=command, server=proxy.url)


def runs(folder):
    return len((folder / "runs").read_text())


def test_a_plugins_credentials_are_used_as_long_as_they_are_valid(start, plugin, tmp_path):
    start(plugin).wait_ready()
    assert runs(tmp_path) == 1


def test_a_plugins_credentials_that_expire_are_replaced(
    start, plugin, new_token, control_plane, namespace, proxy, tmp_path
):
    (tmp_path / "lifetime").write_text("3")
    mapper = start(plugin).wait_ready()
    old = (tmp_path / "token").read_text()
    (tmp_path / "lifetime").write_text("3600")
    (tmp_path / "token").write_text(new := new_token())
    before = runs(tmp_path)
    time.sleep(3)  # until they expire
    refused = proxy.on(token=old).unauthorized()
    proxy.cut_open()
    sees(mapper, control_plane.admin, namespace, "later")
    eventually(lambda: {request.token for request in proxy.seen(watch=True, ongoing=True)} == {new})
    assert runs(tmp_path) == before + 1
    assert refused.used == 0


def test_a_plugins_credentials_that_are_revoked_are_replaced_once(
    start, plugin, new_token, control_plane, namespace, proxy, tmp_path
):
    mapper = start(plugin).wait_ready()
    old = (tmp_path / "token").read_text()
    (tmp_path / "token").write_text(new := new_token())
    proxy.on(token=old).unauthorized()
    proxy.cut_open()
    sees(mapper, control_plane.admin, namespace, "later")
    eventually(lambda: {request.token for request in proxy.seen(watch=True, ongoing=True)} == {new})
    assert runs(tmp_path) == 2
    assert problems(mapper) == []


def test_a_plugin_that_fails_is_told_and_run_again(start, plugin, new_token, tmp_path):
    (tmp_path / "lifetime").unlink()
    mapper = start(plugin)
    eventually(lambda: "exec plugin" in detail(mapper) and "failed with exit code 1" in detail(mapper))
    assert mapper.client.request("GET", "/healthz").status == 200
    (tmp_path / "lifetime").write_text("3600")
    mapper.wait_ready()
    assert problems(mapper) == []


def detail(mapper):
    return json.loads(mapper.client.request("GET", "/readyz").body or b"{}").get("detail", "")


class Pipe:
    """Passes bytes on to a server without a look at them, and can cut all connections at once."""

    def __init__(self, url):
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._server.getsockname()[1]}"
        self._ends = []
        self._threads = []
        self._start(self._accept)

    def _start(self, *work):
        self._threads.append(threading.Thread(target=work[0], args=work[1:]))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.create_connection(self._target)
                self._ends += [here, there]
                self._start(self._pass, here, there)
                self._start(self._pass, there, here)

    @staticmethod
    def _pass(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        shut(one, other)

    def cut(self):
        shut(*self._ends)

    def close(self):
        shut(self._server, *self._ends)
        for thread in self._threads:
            thread.join()
        for end in (self._server, *self._ends):
            end.close()


def shut(*ends):
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_a_client_certificate_that_is_renewed_on_disk_is_shown(start, control_plane, namespace, tmp_path):
    cert, key = tmp_path / "client.crt", tmp_path / "client.key"

    def renew(name):
        made = control_plane.user(name)
        key.write_bytes(made.key.read_bytes())
        cert.write_bytes(made.cert.read_bytes())
        return control_plane.grant({"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}, rules())

    first = renew(f"{namespace}-one")
    pipe = Pipe(control_plane.url)
    try:
        config = control_plane.kubeconfig(
            tmp_path / "config", certificate=control_plane.admin_certificate, server=pipe.url
        )
        content = json.loads(config.read_text())
        content["users"][0]["user"] = {"client-certificate": str(cert), "client-key": str(key)}
        config.write_text(json.dumps(content))
        mapper = start(config).wait_ready()
        renew(f"{namespace}-two")
        control_plane.admin.call("DELETE", path_of("clusterrolebindings", None, first))
        pipe.cut()
        sees(mapper, control_plane.admin, namespace, "later")
        eventually(lambda: not problems(mapper))
        states = {row["state"] for row in mapper.get("/api/v1/status")["cluster"]["resources"]}
        assert "forbidden" not in states
    finally:
        pipe.close()


# What cannot work at all


def mapper_fails(tmp_path, *options, **environ):
    """What a mapper that cannot start says; it must be one line, and the exit code 1."""
    command = [sys.executable, "-m", "network_mapper", "mapper", "--store", str(tmp_path / "map.db")]
    command += ["--listen", f"unix:{tmp_path}/m.sock", *map(str, options)]
    environ = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": "", **environ}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ, timeout=30)
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "fault of this program" not in line
    return line


def test_without_a_cluster_it_says_where_it_looked_and_what_to_do(tmp_path):
    line = mapper_fails(tmp_path)
    assert f"KUBECONFIG is not set, and there is no kubeconfig at {tmp_path}/.kube/config" in line
    assert "--kubeconfig" in line
    assert "--snapshot" in line


def test_a_kubeconfig_that_is_missing_is_named(tmp_path):
    assert f"{tmp_path}/nowhere" in mapper_fails(tmp_path, "--kubeconfig", tmp_path / "nowhere")


def test_a_kubeconfig_that_is_none_is_named(tmp_path):
    (tmp_path / "config").write_text("[")
    assert f"{tmp_path}/config" in mapper_fails(tmp_path, "--kubeconfig", tmp_path / "config")


def test_a_context_that_is_missing_is_told_with_those_there_are(control_plane, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "config")
    line = mapper_fails(tmp_path, "--kubeconfig", config, "--context", "prod")
    assert f"{config} has no context 'prod'; it has: tests" in line
    assert "--snapshot" not in line
    line = mapper_fails(tmp_path, "--context", "prod", KUBECONFIG=str(config))
    assert "has no context 'prod'; it has: tests" in line


def test_an_authority_that_is_missing_is_named(control_plane, tmp_path):
    config = control_plane.kubeconfig(tmp_path / "config", ca=tmp_path / "ca.crt")
    assert "ca.crt" in mapper_fails(tmp_path, "--kubeconfig", config)


def test_a_pod_without_an_account_says_which_setting_it_lacks(tmp_path):
    line = mapper_fails(tmp_path, KUBERNETES_SERVICE_HOST="10.96.0.1")
    assert "automountServiceAccountToken" in line
