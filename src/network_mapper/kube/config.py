"""Find the API: by a kubeconfig that was named, `$KUBECONFIG`, the pod's account, or `~/.kube/config`.

In a pod the account comes before the file in the home folder, because images are built on machines that have one. In a
cluster no proxy of the environment is used, for the API is next door; outside it is, as kubectl does.
"""

from __future__ import annotations

import base64
import os
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from network_mapper.kube import credentials, kubeconfig, proxy
from network_mapper.kube.access import Access
from network_mapper.kube.errors import CredentialsError, KubeConfigError, NoClusterError, one_line, reason
from network_mapper.kube.tls import Material, Tls, material

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EXEC_EXTENSION = "client.authentication.k8s.io/exec"


def find_access(
    file: str = "",
    context: str = "",
    *,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> Access:
    """Find out where the API is and who we are there.

    Args:
        file: Path of a kubeconfig; empty to look in `$KUBECONFIG`, the pod, and `~/.kube/config`, in this order.
        context: A context of the kubeconfig; empty for its current one. With a context named, the pod's account is
            passed over: it has none.
        environ: The environment, if not the process's.
        service_account: Folder of the pod's account.

    Raises:
        NoClusterError: There is nothing.
        KubeConfigError: What there is cannot be used; the message says what to do.
    """
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "~").expanduser() / ".kube" / "config"
    if file:
        config = kubeconfig.load([Path(file).expanduser()], missing_ok=False)
    elif any(environ.get("KUBECONFIG", "").split(os.pathsep)):
        files = [Path(part) for part in environ["KUBECONFIG"].split(os.pathsep) if part]
        config = kubeconfig.load(files, missing_ok=True)
    elif environ.get("KUBERNETES_SERVICE_HOST") and not context and not _only_home(service_account, home):
        return in_cluster(environ, service_account)
    elif _exists(home):
        config = kubeconfig.load([home], missing_ok=False)
    else:
        raise NoClusterError(
            f"no cluster is configured: KUBECONFIG is not set, and there is no kubeconfig at {home}; "
            "name a kubeconfig, or run in a pod with a service account"
        )
    return from_kubeconfig(config, context, environ=environ)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _only_home(service_account: Path, home: Path) -> bool:
    """Whether a pod without an account has a kubeconfig to use instead."""
    return not _exists(service_account / "token") and _exists(home)


def in_cluster(environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Access:
    """The API as a pod sees it, as the pod's service account.

    Raises:
        KubeConfigError: The pod has no account, or an incomplete one.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT") or "443"
    server = _server(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", "KUBERNETES_SERVICE_HOST")
    token, authority = service_account / "token", service_account / "ca.crt"
    for path in (token, authority):
        if not _exists(path):
            raise KubeConfigError(
                f"this pod has no service account: {path} is missing; set automountServiceAccountToken to true, or "
                "name a kubeconfig"
            )
    try:
        namespace = (service_account / "namespace").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        namespace = ""
    return Access(
        server=server,
        namespace=namespace or "default",
        tls=Tls(authority=Material(file=str(authority))),
        credentials=credentials.TokenFile(str(token)),
        origin=f"the service account at {service_account}",
        inside=True,
    )


_T = TypeVar("_T")


def _named(entries: Mapping[str, tuple[_T, Path]], name: str, kind: str, where: str) -> tuple[_T, Path]:
    try:
        return entries[name]
    except KeyError:
        known = one_line(", ".join(sorted(entries))) or "none"
        raise KubeConfigError(f"{where} has no {kind} {one_line(name)!r}; it has: {known}") from None


def from_kubeconfig(config: kubeconfig.KubeConfig, context: str = "", *, environ: Mapping[str, str]) -> Access:
    """The cluster and user of one context.

    Args:
        config: The files.
        context: Name of the context; empty for the current one.
        environ: The environment, for its proxies.

    Raises:
        KubeConfigError: The context, its cluster or its user is missing or cannot be used.
    """
    name = context or config.current_context
    if not name:
        known = one_line(", ".join(sorted(config.contexts)))
        what = f"no current context; name one of its contexts: {known}" if known else "no context; it may be empty"
        raise KubeConfigError(f"{config.origin} has {what}")
    chosen, _ = _named(config.contexts, name, "context", config.origin)
    cluster, cluster_file = _named(config.clusters, chosen.cluster or "", "cluster", config.origin)
    user, user_file = kubeconfig.User(), cluster_file
    if chosen.user:
        user, user_file = _named(config.users, chosen.user, "user", config.origin)
    cluster_at = f"{cluster_file}: cluster {chosen.cluster!r}"
    user_at = f"{user_file}: user {chosen.user!r}"
    if not cluster.server:
        raise KubeConfigError(f"{cluster_at} has no server")
    server = _server(cluster.server, cluster_at)
    parts = urllib.parse.urlsplit(server)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    way = (
        proxy.parse(cluster.proxy_url, f"{cluster_at}: proxy-url")
        if cluster.proxy_url
        else proxy.from_environment(parts.scheme, host, port, environ)
    )
    tls = _tls((cluster, cluster_file.parent, cluster_at), (user, user_file.parent, user_at))
    return Access(
        server=server,
        namespace=chosen.namespace or "default",
        tls=tls,
        credentials=_credentials(user, user_file.parent, user_at, cluster, tls),
        headers=_impersonation(user, user_at),
        proxy=way,
        origin=f"context {name!r} of {config.origin}",
        context=name,
    )


def _server(text: str, where: str) -> str:
    """A server's URL in its plain form.

    Raises:
        KubeConfigError: It is none.
    """
    try:
        parts = urllib.parse.urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urllib.parse.SplitResult("", "", "", "", ""), None
    plain = host is not None and (parts.netloc + parts.path).isascii() and (parts.netloc + parts.path).isprintable()
    if parts.scheme not in ("http", "https") or not plain or " " in text.strip() or parts.query or parts.fragment:
        raise KubeConfigError(f"{where}: {one_line(text)!r} is no URL of a server, expected https://host:port")
    if "@" in parts.netloc:
        raise KubeConfigError(f"{where}: the server's URL holds a name or password; write them into the user")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _tls(at_cluster: tuple[kubeconfig.Cluster, Path, str], at_user: tuple[kubeconfig.User, Path, str]) -> Tls:
    """What both entries say of TLS; each comes with its folder, and its name for messages."""
    cluster, cluster_folder, cluster_at = at_cluster
    user, user_folder, user_at = at_user
    authority = material(
        cluster.certificate_authority,
        cluster.certificate_authority_data,
        cluster_folder,
        f"{cluster_at}: certificate-authority-data",
    )
    if cluster.insecure_skip_tls_verify and authority:
        raise KubeConfigError(f"{cluster_at} has a certificate-authority and insecure-skip-tls-verify; remove one")
    certificate = material(
        user.client_certificate, user.client_certificate_data, user_folder, f"{user_at}: client-certificate-data"
    )
    key = material(user.client_key, user.client_key_data, user_folder, f"{user_at}: client-key-data")
    if bool(certificate) != bool(key):
        missing = "client-key" if certificate else "client-certificate"
        raise KubeConfigError(f"{user_at} lacks {missing} or {missing}-data")
    for part, where, field in (
        (authority, cluster_at, "certificate-authority"),
        (certificate, user_at, "client-certificate"),
        (key, user_at, "client-key"),
    ):
        try:
            part.read(field)
        except CredentialsError as error:
            raise KubeConfigError(f"{where}: {error}") from None
    return Tls(authority, not cluster.insecure_skip_tls_verify, cluster.tls_server_name or "", certificate, key)


def _credentials(
    user: kubeconfig.User, folder: Path, where: str, cluster: kubeconfig.Cluster, tls: Tls
) -> credentials.Credentials:
    ways = [
        name
        for name, given in (("token", user.token or user.token_file), ("username", user.username or user.password))
        if given
    ]
    if len(ways) > 1:
        raise KubeConfigError(f"{where} has a token and a password; remove one")
    for name, text in (("token", user.token), ("username", user.username)):
        if text and not text.isprintable():
            raise KubeConfigError(f"{where}: its {name} holds characters that none has")
    if user.token_file:
        return credentials.TokenFile(str(folder / user.token_file), _ascii(user.token or "", where))
    if user.token:
        return credentials.Fixed(credentials.bearer(_ascii(user.token, where)))
    if ways:
        return credentials.Fixed(_basic(user, where))
    if user.exec is not None:
        from network_mapper.kube.exec_plugin import ExecPlugin  # noqa: PLC0415  for those who have one

        told = _told(cluster, tls) if user.exec.provide_cluster_info else None
        return ExecPlugin(user.exec, folder, cluster=told, origin=where)
    if user.auth_provider:
        found = user.auth_provider.get("name") if isinstance(user.auth_provider, dict) else None
        raise KubeConfigError(
            f"{where} uses the auth-provider {one_line(str(found or ''))!r}, which Kubernetes removed in 1.26; replace "
            "it by its exec plugin"
        )
    return credentials.Fixed(credentials.Proof())


def _ascii(token: str, where: str) -> str:
    if not token.isascii() or " " in token:
        raise KubeConfigError(f"{where}: its token holds characters that none has")
    return token


def _basic(user: kubeconfig.User, where: str) -> credentials.Proof:
    try:
        return credentials.basic(user.username or "", user.password or "")
    except UnicodeEncodeError as error:
        raise KubeConfigError(f"{where}: its username or password is no text: {reason(error)}") from None


def _told(cluster: kubeconfig.Cluster, tls: Tls) -> dict[str, Any]:
    """What a plugin is told of the cluster: the `spec.cluster` of an ExecCredential."""
    told: dict[str, Any] = {"server": cluster.server}
    if cluster.tls_server_name:
        told["tls-server-name"] = cluster.tls_server_name
    if cluster.insecure_skip_tls_verify:
        told["insecure-skip-tls-verify"] = True
    if tls.authority:
        told["certificate-authority-data"] = base64.b64encode(tls.authority.read("certificate-authority")).decode()
    if cluster.proxy_url:
        told["proxy-url"] = cluster.proxy_url
    if cluster.disable_compression:
        told["disable-compression"] = True
    for extension in cluster.extensions or ():
        if extension.name == _EXEC_EXTENSION:
            told["config"] = extension.extension
    return told


def _impersonation(user: kubeconfig.User, where: str) -> list[tuple[str, str]]:
    headers = [("Impersonate-User", user.act_as or ""), ("Impersonate-Uid", user.act_as_uid or "")]
    headers += [("Impersonate-Group", group) for group in user.act_as_groups or ()]
    for key, values in (user.act_as_extra or {}).items():
        headers += [(f"Impersonate-Extra-{urllib.parse.quote(key.lower(), safe='')}", value) for value in values]
    headers = [(name, value) for name, value in headers if value]
    if headers and not user.act_as:
        raise KubeConfigError(f"{where} has as-groups, as-uid or as-user-extra without as")
    if any(not (value.isascii() and value.isprintable()) for _, value in headers):
        raise KubeConfigError(f"{where}: whom it acts as holds characters that no header may")
    return headers
