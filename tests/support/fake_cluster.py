"""A small API server in a thread that knows services and pods, and forwards to a port of this machine.

For commands that run in the test's own process: they are synchronous, so the server needs a loop elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import forwarding
from https_server import Request, Server, ok

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

LABELS = {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "mapper"}


def service(namespace: str, name: str = "network-mapper", *, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    ports = [{"name": "http", "port": 9090, "targetPort": 9090}]
    spec = {"selector": {"app": name}, "ports": ports, "clusterIP": "10.96.0.9", **spec}
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": spec}


def pod(
    namespace: str, name: str, app: str = "network-mapper", *, ready: bool = True, runs: bool = False, **meta: Any
) -> Any:
    state = {"running": {"startedAt": "2027-01-01T00:00:00Z"}} if runs else {"waiting": {"reason": "CrashLoopBackOff"}}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}, **meta},
        "spec": {"containers": [{"ports": [{"containerPort": 8080, "name": "web"}]}]},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [{"state": state}]},
    }


def refusal(code: int, reason: str, message: str) -> bytes:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return ok(json.dumps(body).encode(), status=f"{code} {reason}")


class FakeCluster:
    """The server, and what it holds.

    Attributes:
        services, pods: What there is.
        forbidden: Paths, or their beginnings, that are answered with 403.
        requests: Paths with their queries.
        forwards: Pods and ports of all forwards.
        target: Port of this machine that every forward leads to.
        on_forward: What is done with a forward instead; gets request and writer.
        on_request: What is done with any request before all else; returns whether that was the answer.
    """

    def __init__(self) -> None:
        self.services: list[Any] = []
        self.pods: list[Any] = []
        self.forbidden: set[str] = set()
        self.requests: list[str] = []
        self.forwards: list[tuple[str, int]] = []
        self.target = 0
        self.url = ""
        self.on_forward: Callable[[Request, asyncio.StreamWriter], Awaitable[object]] | None = None
        self.on_request: Callable[[Request, asyncio.StreamWriter], Awaitable[bool]] | None = None

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        loop, server = asyncio.new_event_loop(), Server(self._handle)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5)
            self.url = server.url
            yield
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(5)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def kubeconfig(self, file: Path, namespace: str = "default", **user: str) -> str:
        context = {"cluster": "c", "user": "u", "namespace": namespace}
        config = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": user or {"token": "t"}}],
            "contexts": [{"name": "kind", "context": context}],
            "current-context": "kind",
        }
        file.write_text(json.dumps(config))
        return str(file)

    async def _handle(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request.target)
        if self.on_request and await self.on_request(request, writer):
            return
        path, _, query = request.target.partition("?")
        if any(path.startswith(start) if start.endswith("*") else path == start for start in self.forbidden):
            writer.write(refusal(403, "Forbidden", f"{path} is forbidden"))
        elif path.endswith("/portforward"):
            self.forwards.append((path.split("/")[6], int(dict(parse_qsl(query))["ports"])))
            await (self.on_forward or self.forward)(request, writer)
        else:
            writer.write(self._answer(path.split("/")[3:], dict(parse_qsl(query))))

    def _answer(self, parts: list[str], query: dict[str, str]) -> bytes:
        namespace = ""
        if parts[0] == "namespaces":
            namespace, parts = parts[1], parts[2:]
        if not parts:
            known = any(item["metadata"]["namespace"] == namespace for item in self.services)
            return ok(b"{}") if known else refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        items = self.services if parts[0] == "services" else self.pods
        found = [item for item in items if namespace in ("", item["metadata"]["namespace"]) and _chosen(item, query)]
        if len(parts) == 1:
            return ok(json.dumps({"items": found}).encode())
        for item in found:
            if item["metadata"]["name"] == parts[1]:
                return ok(json.dumps(item).encode())
        return refusal(404, "NotFound", f'{parts[0]} "{parts[1]}" not found')

    async def forward(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Forward to the target, as a kubelet does."""
        port = self.forwards[-1][1]
        writer.write(forwarding.switched(request.headers["sec-websocket-key"]) + forwarding.opened(port))
        reader, back = await asyncio.open_connection("127.0.0.1", self.target)
        there = asyncio.create_task(_send(request.reader, back))
        try:
            while data := await reader.read(32_768):
                writer.write(forwarding.message(data))
                await writer.drain()
            writer.write(forwarding.closing())
            await writer.drain()
        finally:
            there.cancel()
            back.transport.abort()
            writer.close()


async def _send(reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            opcode, payload = await forwarding.read_frame(reader)
            if opcode == forwarding.CLOSE:
                break
            if opcode == forwarding.BINARY:
                back.write(payload[1:])
    back.transport.abort()


def _chosen(item: Any, query: dict[str, str]) -> bool:
    labels = item["metadata"].get("labels", {})
    wanted = [pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair]
    _, _, name = query.get("fieldSelector", "").partition("=")
    return all(labels.get(key) == value for key, value in wanted) and name in ("", item["metadata"]["name"])
