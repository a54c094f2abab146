"""A control plane in one `with` block: its authority, etcd, kube-apiserver, kube-controller-manager, and an admin.

    with ControlPlane(programs) as plane:
        plane.admin.create(deployment("shop", "web"))

Where it listens, what it tells others, which controllers run and in which network namespace (`prefix`) are parameters,
so that nodes can be added around it.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import itertools
import json
import shutil
import time
from typing import TYPE_CHECKING, Any, Self

from harness import audit
from harness.apiserver import Addresses, ApiServer
from harness.controllers import CONTROLLERS, ControllerManager
from harness.etcd import Etcd
from harness.kube_api import ApiError, KubeApi
from harness.objects import namespace as namespace_object
from harness.pki import Authority, Certificate, signing_key
from harness.processes import Workspace, require, stop_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.audit import ApiRequest

MASTERS = "system:masters"
RBAC_GROUP = "rbac.authorization.k8s.io"
RBAC = f"{RBAC_GROUP}/v1"
STARTING = 30.0
TOKEN_SECONDS = 3600
STOPPING = 2.0
TOOLS = {"openssl": "openssl", "prlimit": "util-linux", "setpriv": "util-linux"}


class ControlPlane:
    """A control plane that lives as long as the `with` block, and no longer than this process.

    Args:
        programs: Folder with kube-apiserver, kube-controller-manager and etcd.
        parent: Folder to make its own folder in; the system's folder for temporary files if None.
        addresses: Where the API server is, and the services' blocks.
        controllers: Names of the controllers that run; none means no controller manager.
        etcd_data: A data folder of an etcd that ended, to begin with a copy of.
        apiserver_options: More flags for kube-apiserver.
        controller_options: More flags for kube-controller-manager.
        kubelets: There are real ones: the API server shows them a certificate, and checks theirs.
        audited: Keep a log of the requests, for `requests`.
        prefix: See `Daemon`.

    Attributes:
        authority: Its certificate authority.
        admin: A client that may do everything.
        etcd: Its store.
        apiserver: Its API server.
        manager: Its controller manager, or None.
        started_in: Seconds from nothing to ready.

    Raises:
        ProgramMissingError: A tool of the system is missing.
    """

    def __init__(
        self,
        programs: Path,
        *,
        parent: Path | None = None,
        addresses: Addresses | None = None,
        controllers: Sequence[str] = CONTROLLERS,
        etcd_data: Path | None = None,
        apiserver_options: Sequence[str] = (),
        controller_options: Sequence[str] = (),
        kubelets: bool = False,
        audited: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        require(TOOLS)
        self._began = time.monotonic()
        self.addresses = addresses or Addresses()
        self._workspace = Workspace(parent)
        self._numbers = itertools.count()
        try:
            options = [*apiserver_options, *(audit.options(self.folder) if audited else ())]
            self._lay(programs, etcd_data, options, kubelets, prefix)
            self.manager = self._manager(programs, controllers, controller_options, prefix) if controllers else None
        except BaseException:
            self._workspace.remove()
            raise
        self.started_in = 0.0

    def _lay(
        self,
        programs: Path,
        etcd_data: Path | None,
        apiserver_options: Sequence[str],
        kubelets: bool,
        prefix: Sequence[str],
    ) -> None:
        folder = self.folder
        listen = self.addresses.listen
        self.etcd = Etcd(program=programs / "etcd", folder=folder, prefix=prefix)
        if etcd_data:
            shutil.copytree(etcd_data, self.etcd.data)
        pki = folder / "pki"
        self.authority = Authority(pki)
        self._token_key = signing_key(pki / "service-accounts.key")
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
        hosts = {*names, "localhost", "127.0.0.1", listen, self.addresses.advertise, *self._first_service_addresses()}
        self.serving = self.authority.issue("apiserver", "kube-apiserver", hosts=sorted(hosts))
        self.admin_certificate = self.authority.issue("admin", "admin", [MASTERS])
        self.apiserver = ApiServer(
            program=programs / "kube-apiserver",
            folder=folder,
            etcd_url=self.etcd.url,
            addresses=self.addresses,
            client_ca=self.authority.cert,
            serving=self.serving,
            token_key=self._token_key,
            options=[*apiserver_options, *(self._kubelet_options() if kubelets else ())],
            prefix=prefix,
        )
        self.admin = KubeApi(self.url, self.authority.cert, self.admin_certificate)

    def _kubelet_options(self) -> list[str]:
        shown = self.authority.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", [MASTERS])
        return [
            f"--kubelet-client-certificate={shown.cert}",
            f"--kubelet-client-key={shown.key}",
            f"--kubelet-certificate-authority={self.authority.cert}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _manager(
        self, programs: Path, controllers: Sequence[str], options: Sequence[str], prefix: Sequence[str]
    ) -> ControllerManager:
        user = self.user("system:kube-controller-manager", [MASTERS])
        return ControllerManager(
            program=programs / "kube-controller-manager",
            folder=self.folder,
            kubeconfig=self.kubeconfig(self.folder / "pki" / "controller-manager.conf", certificate=user),
            authority=self.authority,
            token_key=self._token_key,
            controllers=controllers,
            options=options,
            prefix=prefix,
        )

    @property
    def folder(self) -> Path:
        """Its folder: logs, certificates, etcd's data. Tests may put files of their own there."""
        return self._workspace.path

    @property
    def url(self) -> str:
        """Address of the API server."""
        return self.apiserver.url

    def __enter__(self) -> Self:
        try:
            self.etcd.start()
            self.apiserver.start(self._ready)
            if self.manager:
                self.manager.start()
                self.manager.daemon.wait_until(self._has_default_account, STARTING)
        except BaseException:
            self.stop()
            raise
        self.started_in = time.monotonic() - self._began
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes and remove the folder."""
        self.end_processes()
        self._workspace.remove()

    def end_processes(self) -> None:
        """End all processes, etcd last; its data is whole then, until `stop` removes the folder."""
        self.admin.close()
        stop_all([*([self.manager.daemon] if self.manager else []), self.apiserver.daemon], STOPPING / 2)
        stop_all([self.etcd.daemon], STOPPING / 2)

    def restart_apiserver(self, *, kill: bool = False) -> None:
        """End the API server and start it again, as the same server on the same port."""
        if kill:
            self.apiserver.daemon.wait(0)
        with self.apiserver_away():
            pass

    @contextlib.contextmanager
    def apiserver_away(self) -> Iterator[None]:
        """End the API server, and start it again at the end of the `with` block."""
        self.apiserver.daemon.stop(STOPPING)
        try:
            yield
        finally:
            self.apiserver.start(self._ready)

    def requests(self, user: str | None = None) -> list[ApiRequest]:
        """What was asked so far, by all or by one user, where that is logged (`audited`).

        Requests of the admin and of the cluster's own parts are left out.
        """
        return audit.requests(self.folder, user)

    def version(self) -> str:
        """The version that the running server tells, as v1.34.4."""
        return str(self.admin.call("GET", "/version")["gitVersion"])

    # Who may do what

    def user(self, name: str, groups: Sequence[str] = ()) -> Certificate:
        """A client certificate for a user."""
        return self.authority.issue(f"user-{next(self._numbers)}", name, groups)

    def service_account(
        self, namespace: str, name: str, rules: Iterable[Mapping[str, Sequence[str]]] = (), *, wide: bool = True
    ) -> None:
        """Make a service account with its own role.

        Args:
            namespace: Its namespace, which must exist.
            name: Its name.
            rules: What it may do, as rules of a role.
            wide: In the whole cluster, else in its namespace.
        """
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        self.admin.create(account)
        if rules := list(rules):
            subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
            self.grant(subject, rules, None if wide else namespace)

    def grant(
        self, subject: Mapping[str, str], rules: Iterable[Mapping[str, Sequence[str]]], namespace: str | None = None
    ) -> str:
        """Bind a subject to a new role, for the whole cluster where `namespace` is None; returns the role's name."""
        meta: dict[str, Any] = {"name": f"tests-{next(self._numbers)}", "labels": {"made-by": "tests"}}
        meta |= {"namespace": namespace} if namespace else {}
        kind = "Role" if namespace else "ClusterRole"
        self.admin.create({"apiVersion": RBAC, "kind": kind, "metadata": meta, "rules": list(rules)})
        reference = {"apiGroup": RBAC_GROUP, "kind": kind, "name": meta["name"]}
        binding = {"apiVersion": RBAC, "kind": f"{kind}Binding", "metadata": meta, "roleRef": reference}
        self.admin.create({**binding, "subjects": [subject]})
        return str(meta["name"])

    def token(self, namespace: str, account: str, seconds: int = TOKEN_SECONDS, audience: str = "") -> str:
        """A fresh token of a service account; the server makes none for less than 600 seconds."""
        spec: dict[str, Any] = {"expirationSeconds": seconds, **({"audiences": [audience]} if audience else {})}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.admin.call("POST", path, request)["status"]["token"])

    def client(
        self, *, certificate: Certificate | None = None, token: str = "", url: str = "", timeout: float = 30.0
    ) -> KubeApi:
        """A client with these credentials, for this server or another `url` that the same authority vouches for."""
        return KubeApi(url or self.url, self.authority.cert, certificate, token, timeout)

    def kubeconfig(
        self,
        file: Path,
        *,
        certificate: Certificate | None = None,
        token: str = "",
        token_file: Path | None = None,
        exec_command: Sequence[str] = (),
        server: str = "",
        ca: Path | None = None,
        embed: bool = False,
    ) -> Path:
        """Write a kubeconfig; the admin's where no credentials are given.

        Args:
            file: The file to write.
            certificate: A client certificate, embedded.
            token: A bearer token, embedded.
            token_file: A file that holds the token.
            exec_command: Command that prints an ExecCredential.
            server: Another address, such as a proxy's.
            ca: Another authority to believe.
            embed: Write the authority's certificate into it, for where its file is not seen.
        """
        user: dict[str, Any] = {}
        if token:
            user["token"] = token
        elif token_file:
            user["tokenFile"] = str(token_file)
        elif exec_command:
            user["exec"] = {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": exec_command[0],
                "args": list(exec_command[1:]),
                "interactiveMode": "Never",
            }
        else:
            cert, key = (certificate or self.admin_certificate).data()
            user |= {"client-certificate-data": cert, "client-key-data": key}
        ca = ca or self.authority.cert
        cluster = {"server": server or self.url, "certificate-authority": str(ca)}
        if embed:
            cluster = {**cluster, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()}
            del cluster["certificate-authority"]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        file.write_text(json.dumps(config))  # JSON is YAML
        return file

    def account_folder(self, folder: Path, namespace: str, account: str) -> Path:
        """Write what a pod of a service account finds mounted: `token`, `ca.crt`, `namespace`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(self.token(namespace, account))
        (folder / "ca.crt").write_bytes(self.authority.cert.read_bytes())
        (folder / "namespace").write_text(namespace)
        return folder

    # Namespaces of tests

    def make_namespace(self, name: str) -> str:
        """Make a namespace and wait until pods may be posted there."""
        self.admin.create(namespace_object(name))
        self.admin.wait(f"account of {name}", lambda: self.admin.get("serviceaccounts", name, "default"))
        return name

    def remove_namespace(self, name: str, *, wait: bool = False) -> None:
        """Remove a namespace with all that is in it; pods go at once, as no kubelet reports their end."""
        with contextlib.suppress(ApiError):
            self.admin.delete("namespaces", None, name)
        # The namespace takes no new pods any more, so controllers cannot replace these.
        self.admin.call("DELETE", f"/api/v1/namespaces/{name}/pods", {"gracePeriodSeconds": 0})
        if wait:
            self.admin.wait(f"end of {name}", lambda: name not in self.namespaces())

    def namespaces(self) -> list[str]:
        """Names of all namespaces."""
        return [item["metadata"]["name"] for item in self.admin.list("namespaces")]

    def _ready(self) -> bool:
        return self.admin.request("GET", "/readyz").status == 200

    def _has_default_account(self) -> bool:
        return self.admin.request("GET", "/api/v1/namespaces/default/serviceaccounts/default").status == 200

    def _first_service_addresses(self) -> list[str]:
        return [str(ipaddress.ip_network(block)[1]) for block in self.addresses.services]
