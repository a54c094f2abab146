"""A small, synchronous Kubernetes client for tests, independent of the product's own.

It speaks JSON in dictionaries over kept connections, one per thread, so that many threads may post at once with one
client. An answer that is no success raises, because a test that goes on after a failed write proves nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from harness.pki import Certificate

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # YAML takes JSON in
PAGE = 500
WAITING = 20.0
POLL = 0.05

GROUPS = {
    "v1": "configmaps endpoints events namespaces nodes pods secrets serviceaccounts services",
    "apps/v1": "daemonsets deployments replicasets statefulsets",
    "batch/v1": "cronjobs jobs",
    "discovery.k8s.io/v1": "endpointslices",
    "rbac.authorization.k8s.io/v1": "clusterroles clusterrolebindings roles rolebindings",
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
}
API_VERSIONS = {plural: version for version, plurals in GROUPS.items() for plural in plurals.split()}


class ApiError(AssertionError):
    """The server refused; `status` is HTTP's, `reason` the one of its Status object."""

    def __init__(self, what: str, answer: Answer) -> None:
        found: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            found = answer.json()
        self.status = answer.status
        self.reason = found.get("reason", "")
        super().__init__(f"{what}: {answer.status} {found.get('message') or answer.body[:500]!r}")


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def path_of(resource: str, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """Path of a collection or an object.

    Args:
        resource: A plural that `API_VERSIONS` knows, or any as `GROUP/VERSION/PLURAL`.
        namespace: Its namespace; None for all, and for what has none.
        name: The object's name; None for the collection.
        subresource: Such as `status`.
    """
    version, _, plural = resource.rpartition("/")
    version = version or API_VERSIONS[plural]
    parts = ["api" if version == "v1" else "apis", version]
    parts += ["namespaces", quote(namespace)] if namespace else []
    parts += [plural, *([quote(name)] if name else []), *([subresource] if subresource else [])]
    return "/" + "/".join(parts)


def resource_of(item: Mapping[str, Any]) -> str:
    """The resource of an object, as GROUP/VERSION/PLURAL, by English rules for plurals."""
    kind = item["kind"].lower()
    if kind.endswith("y") and kind != "gateway":
        plural = kind[:-1] + "ies"
    elif kind.endswith(("s", "x", "ch")):
        plural = kind if kind == "endpoints" else kind + "es"
    else:
        plural = kind + "s"
    return f"{item['apiVersion']}/{plural}"


class KubeApi:
    """A client of one server.

    Args:
        url: Address of the server, `https://HOST:PORT`.
        ca: Certificate of the authority that signed the server's.
        certificate: The client's own certificate, if it has one.
        token: A bearer token, if it has one.
        timeout: Seconds to wait for an answer, or for the next event of a watch.
    """

    def __init__(
        self, url: str, ca: Path, certificate: Certificate | None = None, token: str = "", timeout: float = 30.0
    ) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 443
        self._tls = ssl.create_default_context(cafile=str(ca))
        if certificate:
            self._tls.load_cert_chain(certificate.cert, certificate.key)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self._mine = threading.local()
        self._all: list[http.client.HTTPSConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads; a later request opens a new one."""
        while self._all:
            self._all.pop().close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Answer:
        """Send one request and read its whole answer, whatever its status.

        A kept connection that the server had closed is replaced once, for requests that change nothing.

        Raises:
            OSError: No connection, or it broke.
        """
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {
            "Accept": JSON,
            **({"Content-Type": content_type} if payload else {}),
            **self._headers,
            **(headers or {}),
        }
        target = f"{path}?{urlencode(query)}" if query else path
        connection, fresh = self._connection()
        try:
            return _exchange(connection, method, target, payload, sent)
        except OSError:
            if fresh or method != "GET":
                raise
        return _exchange(connection, method, target, payload, sent)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Send one request; returns the answer's JSON.

        Raises:
            ApiError: The status is none of success.
        """
        answer = self.request(method, path, body, **more)
        if not 200 <= answer.status < 300:
            raise ApiError(f"{method} {path}", answer)
        return answer.json()

    def create(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Post an object; returns it as the server made it. Its `status`, if any, is written right after."""
        found = self.call("POST", path_of(resource_of(item), item["metadata"].get("namespace")), item)
        return self.set_status(found, item["status"]) if item.get("status") else found

    def replace(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Put an object in the place of the one with its name."""
        found: dict[str, Any] = self.call("PUT", _path(item), item)
        return found

    def apply(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply."""
        query = {"fieldManager": "tests", "force": "true"}
        found: dict[str, Any] = self.call("PATCH", _path(item), item, query=query, content_type=APPLY_PATCH)
        return found

    def patch(self, resource: str, namespace: str | None, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Merge a change into an object; None removes a field."""
        path = path_of(resource, namespace, name)
        found: dict[str, Any] = self.call("PATCH", path, change, content_type=MERGE_PATCH)
        return found

    def set_status(self, item: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into an object's status, through its status subresource."""
        path = _path(item) + "/status"
        found: dict[str, Any] = self.call("PATCH", path, {"status": status}, content_type=MERGE_PATCH)
        return found

    def delete(self, resource: str, namespace: str | None, name: str, *, grace: int | None = 0) -> None:
        """Delete an object.

        Args:
            resource: See `path_of`.
            namespace: Its namespace.
            name: Its name.
            grace: Seconds that a pod has to end; 0 removes it at once, as there is no kubelet that would report its
                end; None leaves the pod's own.
        """
        options = {"gracePeriodSeconds": grace} if grace is not None else {}
        self.call("DELETE", path_of(resource, namespace, name), {**options, "propagationPolicy": "Background"})

    def get(self, resource: str, namespace: str | None, name: str) -> dict[str, Any]:
        """Read one object."""
        found: dict[str, Any] = self.call("GET", path_of(resource, namespace, name))
        return found

    def list(self, resource: str, namespace: str | None = None, **query: Any) -> list[dict[str, Any]]:
        """Read a collection, in pages; `query` adds parameters such as labelSelector.

        The items tell their kind, which the server leaves out.
        """
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self.call(
                "GET", path_of(resource, namespace), query={"limit": PAGE, **query, "continue": token}
            )  # an empty token asks for the first page
            what = {"apiVersion": page["apiVersion"], "kind": page["kind"].removesuffix("List")}
            found += [{**what, **item} for item in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    @contextlib.contextmanager
    def watch(self, resource: str, namespace: str | None = None, **query: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """Open a watch, on a connection of its own: `with api.watch("pods") as events`.

        Raises:
            ApiError: It was refused.
            OSError: The connection broke, or it was silent for too long.
        """
        path = path_of(resource, namespace) + "?" + urlencode({"watch": "true", **query})
        connection = self._connect()
        try:
            connection.request("GET", path, headers={"Accept": JSON, **self._headers})
            answer = connection.getresponse()
            if answer.status != 200:
                headers = {name.lower(): value for name, value in answer.getheaders()}
                raise ApiError(f"watch {path}", Answer(answer.status, headers, answer.read()))
            yield _events(answer)
        finally:
            connection.close()

    def wait(self, what: str, probe: Callable[[], Any], seconds: float = WAITING) -> Any:
        """Ask until there is a true result, which is returned; "not found" means not yet.

        Raises:
            AssertionError: There was none in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if result := probe():
                    return result
            except ApiError as failure:
                if failure.status != 404:
                    raise
            time.sleep(POLL)
        raise AssertionError(f"not within {seconds:.0f} s: {what}")

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=self._timeout)

    def _connection(self) -> tuple[http.client.HTTPSConnection, bool]:
        connection: http.client.HTTPSConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = self._connect()
            self._all.append(connection)
        elif connection not in self._all:  # closed meanwhile; it opens itself again
            self._all.append(connection)
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # nothing is asked, so what comes is its end: an idle one is not kept for long
        return connection, connection.sock is None


def _path(item: Mapping[str, Any]) -> str:
    meta = item["metadata"]
    return path_of(resource_of(item), meta.get("namespace"), meta["name"])


def _exchange(
    connection: http.client.HTTPSConnection, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
) -> Answer:
    try:
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except OSError:
        connection.close()
        raise
    except http.client.HTTPException as error:
        connection.close()
        raise OSError(f"{method} {target}: {error!r}") from error


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    rest = b""
    try:
        # Not readline(), which takes a connection that ended between two chunks for the body's end.
        while piece := answer.read1(65536):
            *lines, rest = (rest + piece).split(b"\n")
            yield from map(json.loads, lines)
    except http.client.IncompleteRead as error:
        raise OSError(f"the watch was cut{' in the middle of a line' if rest else ''}") from error
