"""The mapper's HTTP side: the report door and the REST interface.

The report doors, ours and the model's GraphQL, are plain ASGI, since they are asked thousands of times a minute; the
rest are ordinary routes. Errors are problem documents (RFC 9457), at the GraphQL door GraphQL's own. Requests that
change something need a content type that a foreign web page cannot send without asking first, so that a browser on an
engineer's machine is no way into the map.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from network_mapper.mapper import openapi, query
from network_mapper.mapper.decode import ReportError
from network_mapper.mapper.graphql import door
from network_mapper.mapper.graphql.seams import Sender
from network_mapper.mapper.intake import BusyError, Intake
from network_mapper.mapper.metrics import CONTENT_TYPE, Metrics
from network_mapper.mapper.model_door import open_door
from network_mapper.store import StoreUnavailableError
from network_mapper.wire.api import Problem, ResetDocument
from network_mapper.wire.report import JSON, MSGPACK, PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from network_mapper.mapper.clusters import Cluster
    from network_mapper.mapper.settings import MapperSettings
    from network_mapper.mapper.state import State
    from network_mapper.store import Writer

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

_PROBLEM = "application/problem+json"
_RETRY_AFTER = "1"

BODY_PATIENCE = 20.0
"""Seconds in which a report must have arrived whole, so that slow senders cannot take all places."""


class TooLargeError(Exception):
    """A body is larger than allowed."""


def _json(content: object, status: int = 200) -> Response:
    return Response(_encode(content), status, media_type=JSON)


def _problem(status: int, title: str, detail: str = "", headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(Problem(title, status, detail)), status, headers, media_type=_PROBLEM)


def _busy(detail: str) -> Response:
    return _problem(503, "Not now", detail, {"Retry-After": _RETRY_AFTER})


class Doors:
    """Everything that can be asked of the mapper over HTTP.

    Args:
        state: What is served.
        writer: Makes changes durable.
        settings: Bounds.
        cluster: The Kubernetes side.
        clock: Milliseconds since the epoch.
    """

    def __init__(
        self,
        state: State,
        writer: Writer,
        settings: MapperSettings,
        cluster: Cluster,
        clock: Callable[[], int],
    ) -> None:
        self._state = state
        self._writer = writer
        self._settings = settings
        self._cluster = cluster
        self._clock = clock
        self._intake = Intake(
            state,
            writer,
            clock,
            settings.max_reports,
            obstacle=cluster.obstacle,
            patience=settings.legacy_patience,
        )
        self._metrics = Metrics(state, self._intake.counters, cluster, clock)
        self._door = open_door(state, writer, self._intake, settings, clock)
        self._reading = 0
        routes = [
            Route("/api/v1/map", self._map),
            Route("/api/v1/workloads", self._workloads),
            Route("/api/v1/status", self._status),
            Route("/api/v1/reset", self._reset, methods=["POST"]),
            Route("/api/v1/openapi.json", self._openapi),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._scrape),
        ]
        self._metrics_alone: ASGIApp = Starlette(
            routes=[Route("/metrics", self._scrape)], exception_handlers={HTTPException: _http_error}
        )
        self._rest: ASGIApp = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _http_error, query.FilterError: _filter_error},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path == PATH:
            response = await self._report(scope, receive)
            await response(scope, receive, send)
        elif path == door.PATH:
            response = await self._query(scope, receive)
            await response(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def scrape_only(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI) at an address that has the metrics and nothing else."""
        await self._metrics_alone(scope, receive, send)

    async def _report(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return _problem(405, "Method not allowed", "Reports are sent with POST.", {"Allow": "POST"})
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        if encoding not in (MSGPACK, JSON):
            return _problem(415, "Unsupported media type", f"A report is {MSGPACK} or {JSON}.")
        if b"content-encoding" in headers:
            return _problem(415, "Unsupported content encoding", "Reports are sent as they are, without compression.")
        body = await self._read(headers, receive)
        if isinstance(body, Response):
            return body
        try:
            receipt = await self._intake.accept(body, encoding)
        except ReportError as error:
            return _problem(400, "Unreadable report", str(error))
        except BusyError as error:
            return _busy(str(error))
        return _json(receipt)

    async def _query(self, scope: Scope, receive: Receive) -> Response:
        """One request at the GraphQL door."""
        headers = dict(scope["headers"])
        body = await self._read(headers, receive) if scope["method"] == "POST" else b""
        if isinstance(body, Response):
            return body
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        sender = Sender((scope.get("client") or ("",))[0], headers.get(b"user-agent", b"").decode("latin-1"))
        reply = await self._door.handle(door.Request(scope["method"], query, content_type, body, sender))
        return Response(reply.body, reply.status, reply.headers)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | Response:
        """A request's body, or the answer to one that does not come."""
        if self._reading >= self._settings.max_reports:
            return _busy("as many requests as allowed are being read")
        self._reading += 1
        try:
            async with asyncio.timeout(BODY_PATIENCE):
                body = await self._body(headers, receive)
        except TimeoutError:
            return _problem(408, "Too slow", f"The report did not arrive within {BODY_PATIENCE:g} seconds.")
        except TooLargeError:
            limit = self._settings.max_report_bytes
            return _problem(413, "Report too large", f"The limit is {limit} bytes (--max-report-bytes).")
        finally:
            self._reading -= 1
        if body is None:
            return _problem(400, "Incomplete request", "The connection ended before the report did.")
        return body

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        limit = self._settings.max_report_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise TooLargeError
        chunks = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLargeError
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _map(self, request: Request) -> Response:
        wanted = query.filter_of(request.query_params.multi_items())
        now = self._clock()
        if not wanted.since and not wanted.until:
            return _json(query.map_document(self._state, wanted, now))
        try:
            await self._state.checkpoint(self._writer, now)
        except StoreUnavailableError as error:
            return _busy(str(error))
        finish = await asyncio.to_thread(query.read_range, self._settings.store, wanted, now)
        return _json(finish(self._state))

    async def _workloads(self, request: Request) -> Response:
        wanted = query.filter_of(request.query_params.multi_items())
        return _json(query.workloads_document(self._state, wanted))

    async def _status(self, _: Request) -> Response:
        cluster = self._cluster
        return _json(query.status_document(self._state, cluster.status(), self._clock(), cluster.installation()))

    async def _reset(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return _problem(415, "Unsupported media type", f"A reset is sent with Content-Type: {JSON}.")
        try:
            emptied = await self._state.reset(self._writer, self._clock())
        except StoreUnavailableError as error:
            return _busy(f"the map is empty, but that is not yet on disk: {error}")
        _log.info("the map was reset", extra={"removed_edges": emptied.edges, "epoch": emptied.epoch})
        return _json(ResetDocument(emptied.epoch, emptied.edges, emptied.since, self._state.store, emptied.at))

    async def _openapi(self, _: Request) -> Response:
        return _json(openapi.document())

    async def _healthz(self, _: Request) -> Response:
        return Response(b"", 200)

    async def _readyz(self, _: Request) -> Response:
        if self._writer.failure:
            return _problem(503, "Not ready", f"the store cannot be written: {self._writer.failure}")
        if obstacle := self._cluster.obstacle():
            return _problem(503, "Not ready", obstacle)
        return Response(b"", 200)

    async def _scrape(self, _: Request) -> Response:
        return Response(self._metrics.text(), 200, headers={"Content-Type": CONTENT_TYPE})


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, error.detail, headers=dict(error.headers or {}))


async def _filter_error(_: Request, error: Exception) -> Response:
    return _problem(400, "Wrong parameter", str(error))
