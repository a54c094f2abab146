"""A Kubernetes API server in memory: lists in pages, watches with bookmarks, discovery, and faults at will.

It keeps one counter of versions, as etcd does, and a history that can be compacted. Every request is noted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from network_mapper.kube.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

BOOKMARK_SECONDS = 60.0
TICK = 1e-6
"""Seconds that sums of virtual times may be off."""
SERVED = (
    ("", "v1", "pods", "Pod", True),
    ("", "v1", "services", "Service", True),
    ("", "v1", "nodes", "Node", False),
    ("", "v1", "namespaces", "Namespace", False),
    ("", "v1", "endpoints", "Endpoints", True),
    ("", "v1", "replicationcontrollers", "ReplicationController", True),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True),
    ("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False),
    ("apps", "v1", "replicasets", "ReplicaSet", True),
    ("apps", "v1", "deployments", "Deployment", True),
    ("apps", "v1", "statefulsets", "StatefulSet", True),
    ("apps", "v1", "daemonsets", "DaemonSet", True),
    ("batch", "v1", "jobs", "Job", True),
    ("batch", "v1", "cronjobs", "CronJob", True),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False),
)


class Request(NamedTuple):
    path: str
    params: dict[str, str]
    accept: str
    watch: bool
    at: float


class FakeAnswer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Change(NamedTuple):
    version: int
    type: str
    object: dict[str, Any]


class Collection:
    """The objects of one resource."""

    def __init__(self, api_version: str, kind: str) -> None:
        self.api_version = api_version
        self.kind = kind
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.history: list[Change] = []
        self.floor = 0


def status_body(code: int, reason: str, message: str = "", **meta: Any) -> bytes:
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "metadata": meta, "status": "Failure", "code": code, "reason": reason}
        | {"message": message or reason}
    ).encode()


class FakeApi:
    """`network_mapper.cluster.live.api.Api`.

    Attributes:
        requests: All that were made.
        lists_answered: Lists that were begun and answered, streaming ones too.
        down: Whether nothing is answered.
        streaming: `yes`, `no` (as where it is switched off), `ignored` (as by a server that knows nothing of it).
        forbidden: Plurals that may not be read.
        aggregated: Whether discovery is one document; else as before 1.27.
        inconsistent: Whether an expired page token is answered with another one.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.down = False
        self.streaming = "no"
        self.forbidden: set[str] = set()
        self.aggregated = True
        self.inconsistent = True
        self.bookmarks = True
        self.error_events = False
        self.twist: Callable[[list[bytes]], list[bytes]] | None = None
        self.version = 100
        self.lists_answered = 0
        self.collections: dict[str, Collection] = {}
        self.served: list[tuple[str, str, str, str, bool]] = []
        self._answers: list[tuple[str, bool | None, FakeAnswer | Exception]] = []
        self._tokens: dict[str, tuple[int, list[dict[str, Any]], tuple[str, str]]] = {}
        self._streams: set[FakeStream] = set()
        for row in SERVED:
            self.serve(*row)

    # What a test does to it

    def serve(self, group: str, version: str, plural: str, kind: str, namespaced: bool = True) -> str:
        """Serve a resource from now on; returns the path of its collection."""
        self.served.append((group, version, plural, kind, namespaced))
        path = f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}"
        self.collections[path] = Collection(f"{group}/{version}" if group else version, kind)
        return path

    def unserve(self, plural: str) -> None:
        self.served = [row for row in self.served if row[2] != plural]
        for path in [path for path in self.collections if path.endswith(f"/{plural}")]:
            del self.collections[path]
            self.cut(path)

    def path(self, plural: str) -> str:
        return next(path for path in self.collections if path.endswith(f"/{plural}"))

    def put(self, plural: str, item: dict[str, Any]) -> dict[str, Any]:
        """Create or change an object; it gets the next version."""
        collection = self.collections[self.path(plural)]
        meta = item["metadata"]
        key = (meta.get("namespace") or "", meta.get("name") or "")
        known = key in collection.objects
        self.version += 1
        item = item | {"metadata": meta | {"resourceVersion": str(self.version)}}
        item = {"apiVersion": collection.api_version, "kind": collection.kind} | item
        collection.objects[key] = item
        self._happened(collection, Change(self.version, "MODIFIED" if known else "ADDED", item))
        return item

    def remove(self, plural: str, namespace: str, name: str) -> None:
        collection = self.collections[self.path(plural)]
        item = collection.objects.pop((namespace, name))
        self.version += 1
        item = item | {"metadata": item["metadata"] | {"resourceVersion": str(self.version)}}
        self._happened(collection, Change(self.version, "DELETED", item))

    def _happened(self, collection: Collection, change: Change) -> None:
        collection.history.append(change)
        for stream in self._streams:
            if self.collections.get(stream.path) is collection:
                stream.happened(change)

    def compact(self, plural: str = "") -> None:
        """Forget history: watches from before are answered 410."""
        for path, collection in self.collections.items():
            if not plural or path.endswith(f"/{plural}"):
                collection.history.clear()
                collection.floor = self.version

    def expire_tokens(self) -> None:
        for token, (_, _, last) in list(self._tokens.items()):
            self._tokens[token] = (0, [], last)

    def cut(self, path: str = "", *, cleanly: bool = False, in_line: bool = False) -> None:
        """End open watches."""
        for stream in list(self._streams):
            if path in stream.path:
                stream.end("cleanly" if cleanly else "in a line" if in_line else "broken")

    def say(self, plural: str, line: bytes) -> None:
        """Send a line on the open watches of a resource."""
        for stream in list(self._streams):
            if stream.path.endswith(f"/{plural}"):
                stream.say(line)

    def answer(
        self,
        path: str,
        status: int,
        body: bytes = b"",
        *,
        watch: bool | None = None,
        times: int = 1,
        **headers: str,
    ) -> None:
        """Answer the next requests whose path ends so with this, in turn with other such answers."""
        found = {key.replace("_", "-"): value for key, value in headers.items()}
        self._answers += [(path, watch, FakeAnswer(status, found, body))] * times

    def fail(self, path: str, error: Exception, *, watch: bool | None = None, times: int = 1) -> None:
        self._answers += [(path, watch, error)] * times

    # What was asked

    def lists(self, plural: str) -> list[Request]:
        """Lists that were begun: pages after the first left out."""
        found = self.asked(plural)
        return [item for item in found if not item.watch and "continue" not in item.params]

    def pages(self, plural: str) -> list[Request]:
        return [item for item in self.asked(plural) if not item.watch]

    def watches(self, plural: str) -> list[Request]:
        return [item for item in self.asked(plural) if item.watch]

    def asked(self, plural: str) -> list[Request]:
        return [item for item in self.requests if item.path.endswith(f"/{plural}")]

    def open_watches(self) -> list[str]:
        return sorted(stream.path.rpartition("/")[2] for stream in self._streams)

    # Api

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: str = "application/json"
    ) -> FakeAnswer:
        await asyncio.sleep(0)
        return self._respond(path, dict(params or {}), accept, watch=False)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        silence: float = 330.0,
    ) -> AsyncIterator[FakeStream]:
        await asyncio.sleep(0)
        answer = self._respond(path, dict(params or {}), accept, watch=True)
        stream = FakeStream(self, path, dict(params or {}), answer, silence)
        if answer.status == 200 and not answer.body:
            stream.begin()
            self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    def _respond(self, path: str, params: dict[str, str], accept: str, *, watch: bool) -> FakeAnswer:
        self.requests.append(Request(path, params, accept, watch, asyncio.get_running_loop().time()))
        if self.down:
            raise UnreachableError("https://api.example:6443: connection refused")
        for number, (wanted, only, answer) in enumerate(self._answers):
            if path.endswith(wanted) and only in (None, watch):
                del self._answers[number]
                if isinstance(answer, Exception):
                    raise answer
                return answer
        if path in ("/api", "/apis") or (path not in self.collections and not self._collection(path)):
            return self._discovery(path, accept)
        if path.rpartition("/")[2] in self.forbidden:
            return FakeAnswer(403, JSON, status_body(403, "Forbidden", f"{path} is forbidden: User cannot list"))
        return self._opening(path, params) if watch else self._page(path, params, accept)

    def _collection(self, path: str) -> Collection | None:
        if path in self.collections:
            return self.collections[path]
        root, _, rest = path.partition("/namespaces/")
        return self.collections.get(f"{root}/{rest.partition('/')[2]}") if rest else None

    def _page(self, path: str, params: dict[str, str], accept: str) -> FakeAnswer:
        collection = self._collection(path)
        limit = int(params.get("limit", "0")) or 10**9
        namespace = path.partition("/namespaces/")[2].partition("/")[0]
        token = params.get("continue")
        if token is None:
            version, rest = self.version, self._items(collection, namespace)
            self.lists_answered += 1
        else:
            version, rest, last = self._tokens.get(token, (0, [], ("", "")))
            if token.startswith("later-"):
                version = self.version
                rest = [item for item in self._items(collection, namespace) if key_of(item) > last]
            elif not version:
                meta = {"continue": self._token(0, [], last, "later")} if self.inconsistent else {}
                return FakeAnswer(410, JSON, status_body(410, "Expired", "The continue token is too old", **meta))
        items, rest = rest[:limit], rest[limit:]
        meta = {"resourceVersion": str(version)}
        if rest:
            meta["continue"] = self._token(version, rest, key_of(items[-1]), "token")
        kind = "PartialObjectMetadata" if "PartialObjectMetadata" in accept else collection.kind
        if kind != collection.kind:
            items = [{"apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": item["metadata"]} for item in items]
        body = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": meta, "items": items}
        return FakeAnswer(200, JSON, json.dumps(body).encode())

    def _items(self, collection: Collection, namespace: str) -> list[dict[str, Any]]:
        return [item for key, item in sorted(collection.objects.items()) if not namespace or key[0] == namespace]

    def _token(self, version: int, rest: list[dict[str, Any]], last: tuple[str, str], name: str) -> str:
        token = f"{name}-{len(self._tokens)}"
        self._tokens[token] = (version, rest, last)
        return token

    def _opening(self, path: str, params: dict[str, str]) -> FakeAnswer:
        if params.get("sendInitialEvents"):
            if self.streaming == "no":
                return FakeAnswer(422, JSON, status_body(422, "Invalid", "sendInitialEvents: Forbidden: not allowed"))
            self.lists_answered += 1
        elif int(params["resourceVersion"]) < self.collections[path].floor and not self.error_events:
            return FakeAnswer(410, JSON, status_body(410, "Expired", "too old resource version"))
        return FakeAnswer(200, JSON, b"")

    def _discovery(self, path: str, accept: str) -> FakeAnswer:
        groups = sorted({row[0] for row in self.served if row[0]})
        if path == "/api":
            body: Any = self._aggregate([""]) if self.aggregated else {"kind": "APIVersions", "versions": ["v1"]}
        elif path == "/apis":
            body = self._aggregate(groups) if self.aggregated else {"kind": "APIGroupList", "groups": self._old(groups)}
        else:
            *_, group, version = f"/{path.removeprefix('/apis').removeprefix('/api')}".split("/")
            rows = [row for row in self.served if row[:2] == (group, version)]
            if not rows:
                return FakeAnswer(404, JSON, status_body(404, "NotFound", "the server could not find the resource"))
            body = {"kind": "APIResourceList", "resources": [self._old_resource(row) for row in rows]}
        assert "application/json" in accept
        return FakeAnswer(200, JSON, json.dumps(body).encode())

    def _aggregate(self, groups: list[str]) -> dict[str, Any]:
        items = []
        for group in groups:
            versions: dict[str, list[Any]] = {}
            for row in self.served:
                if row[0] == group:
                    resource = {
                        "resource": row[2],
                        "responseKind": {"group": "", "version": "", "kind": row[3]},
                        "scope": "Namespaced" if row[4] else "Cluster",
                        "verbs": ["get", "list", "watch"],
                    }
                    versions.setdefault(row[1], []).append(resource)
            listed = [{"version": name, "freshness": "Current", "resources": found} for name, found in versions.items()]
            items.append({"metadata": {"name": group} if group else {}, "versions": listed})
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}

    def _old(self, groups: list[str]) -> list[dict[str, Any]]:
        found = []
        for group in groups:
            versions = [{"version": name} for name in dict.fromkeys(row[1] for row in self.served if row[0] == group)]
            found.append({"name": group, "versions": versions, "preferredVersion": versions[0]})
        return found

    def _old_resource(self, row: tuple[str, str, str, str, bool]) -> dict[str, Any]:
        return {"name": row[2], "kind": row[3], "namespaced": row[4], "verbs": ["get", "list", "watch"]}


JSON = {"content-type": "application/json"}


def key_of(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("namespace") or "", item["metadata"].get("name") or ""


class FakeStream:
    """An open answer; a watch when its body is empty."""

    def __init__(self, api: FakeApi, path: str, params: dict[str, str], answer: FakeAnswer, silence: float) -> None:
        self.path = path
        self.params = params
        self.status = answer.status
        self.headers = answer.headers
        self.silence = silence
        self._api = api
        self._body = answer.body
        self._ended = ""
        self._lines: list[bytes] = []
        self._initial = False
        self._poked = asyncio.Event()

    def begin(self) -> None:
        """Collect what the watch begins with; later changes are told as they happen."""
        collection = self._collection = self._api.collections[self.path]
        if self.params.get("sendInitialEvents"):
            self._initial = True
            self._lines = [event("ADDED", item) for item in collection.objects.values()]
            if self._api.streaming == "yes":
                self._lines.append(bookmark(collection, self._api.version, {"k8s.io/initial-events-end": "true"}))
            return
        version = int(self.params["resourceVersion"])
        if version < collection.floor:
            self.say(event("ERROR", json.loads(status_body(410, "Expired", "too old resource version"))))
        for change in collection.history:
            if change.version > version:
                self.happened(change)

    def happened(self, change: Change) -> None:
        self.say(event(change.type, change.object))

    def end(self, how: str) -> None:
        self._ended = how
        self._poked.set()

    def say(self, line: bytes) -> None:
        if not self._ended:
            self._lines.append(line)
            self._poked.set()

    async def body(self) -> bytes:
        return self._body

    async def lines(self) -> AsyncIterator[bytes]:
        if self._body:
            for line in self._body.splitlines():
                yield line
            return
        collection = self._collection
        now = asyncio.get_running_loop().time
        until = now() + float(self.params["timeoutSeconds"])
        marked = now()
        while True:
            if self.path not in self._api.collections:
                return
            lines, self._lines = self._lines, []
            if self._api.twist and not self._initial:
                lines = self._api.twist(lines)
            self._initial = False
            for line in lines:
                yield line
            if lines and b'"ERROR"' in lines[-1]:
                return
            if self._ended == "cleanly" or now() >= until - TICK:
                return
            if self._ended == "in a line":
                raise UnreachableError("https://api.example:6443: the connection broke in the middle of a line")
            if self._ended:
                raise UnreachableError("https://api.example:6443: the connection broke")
            if self._api.bookmarks and now() - marked >= BOOKMARK_SECONDS - TICK:
                marked = now()
                yield bookmark(collection, self._api.version)
                continue
            self._poked.clear()
            if not self._lines:
                due = min(until, marked + BOOKMARK_SECONDS if self._api.bookmarks else until)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._poked.wait()


def event(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


def bookmark(collection: Collection, version: int, annotations: dict[str, str] | None = None) -> bytes:
    meta = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        meta["annotations"] = annotations
    item = {"kind": collection.kind, "apiVersion": collection.api_version, "metadata": meta, "spec": {}, "status": {}}
    return event("BOOKMARK", item)
