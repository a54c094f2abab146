"""Mappers whose only door is the GraphQL of the model: one notes what it is told, one hands it on to a real one."""

from __future__ import annotations

import datetime as dt
import json
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import graphql
from graphql.execution.values import get_variable_values

from network_mapper.http_client import HttpClient
from network_mapper.mapper.graphql.schema import schema

JSON = "application/json"
ABSENT = (404, JSON, b'{"message":"Not Found"}')
LOOKUPS, CONNECTIONS, SOCKETS = "reportCaptureResults", "reportTCPCaptureResults", "reportSocketScanResults"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status, kind, content = self.server.answer(self.path, self.headers["content-type"], body)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, address, answer):
        self.address_family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.answer = answer
        self.open = set()
        super().__init__(address, _Handler)

    def server_bind(self):
        if self.address_family == socket.AF_INET:
            super().server_bind()
        else:
            self.socket.bind(self.server_address)

    def get_request(self):
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address or ("", 0)

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Say what went wrong, unless it is a peer that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Door:
    """An HTTP server that can be taken away and come again at the same address.

    Args:
        path: Of a Unix socket; without one, it is a port of this machine.
    """

    def __init__(self, path=None):
        self._address = str(path) if path else ("127.0.0.1", 0)
        self._server = None
        self.start()

    @property
    def url(self):
        """As the model's sniffer is given it."""
        return f"unix:{self._address}" if isinstance(self._address, str) else self.base + "/query"

    @property
    def base(self):
        return f"http://127.0.0.1:{self._address[1]}"

    def start(self):
        self._server = _Server(self._address, self.answer)
        if not isinstance(self._address, str):
            self._address = self._server.server_address
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self):
        """Refuse connections, and break off those that are there."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        self._thread.join()
        for connection in list(server.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        server.server_close()

    def answer(self, path, kind, body):
        """Status, content type and content."""
        raise NotImplementedError


class Told(NamedTuple):
    """One destination of a report; `last` in milliseconds since the epoch."""

    client: str
    hostname: str
    destination: str
    address: str | None
    port: int | None
    ttl: int | None
    source_ports: tuple[int, ...]
    last: int


class Call(NamedTuple):
    """One mutation: when it came, in seconds of a steady clock."""

    at: float
    operation: str
    told: list[Told]


class QueryDoor(Door):
    """Answers as the model's mapper does: 422 for what its schema forbids, 404 for every path but its own."""

    def __init__(self, path=None):
        self.calls = []
        self.full = Counter()
        """How often the queue of an operation is full before it takes something."""
        self.health = 0
        self.elsewhere = []
        """Paths asked for in vain."""
        self._changed = threading.Condition()
        super().__init__(path)

    def answer(self, path, kind, body):
        with self._changed:
            self._changed.notify_all()
            if path != "/query":
                self.elsewhere.append(path)
                return ABSENT
            if kind != JSON:
                return 400, JSON, b'{"errors":[{"message":"transport not supported"}],"data":null}'
            status, content = self._query(json.loads(body))
            return status, JSON, json.dumps(content).encode()

    def _query(self, asked):
        document = graphql.parse(asked["query"])
        errors = graphql.validate(schema(), document)
        (operation,) = document.definitions
        variables = get_variable_values(schema(), operation.variable_definitions or (), asked["variables"])
        if errors or isinstance(variables, list):
            return 422, {"errors": [{"message": str(error)} for error in errors or variables], "data": None}
        (field,) = (selection.name.value for selection in operation.selection_set.selections)
        if field == "health":
            self.health += 1
            return 200, {"data": {"health": True}}
        if self.full[field] > 0:
            self.full[field] -= 1
            return 200, {"data": {field: False}}
        self.calls.append(Call(time.monotonic(), field, list(_told(asked["variables"]["results"]["results"]))))
        return 200, {"data": {field: True}}

    def told(self, operation):
        """Everything that was told with an operation, in order."""
        return [told for call in list(self.calls) if call.operation == operation for told in call.told]

    def wait_for(self, condition, seconds=15):
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition():
                assert self._changed.wait(max(0.0, deadline - time.monotonic())), f"it did not come: {self.calls}"


def _told(sources):
    for source in sources:
        for row in source["destinations"]:
            last = dt.datetime.fromisoformat(row["lastSeen"]).timestamp()
            yield Told(
                source["srcIp"],
                source["srcHostname"],
                row["destination"],
                row["destinationIP"],
                row["destinationPort"],
                row["TTL"],
                tuple(row["srcPorts"]),
                round(last * 1000),
            )


class Between(Door):
    """Stands before a real mapper and lets through only the GraphQL door, until the others are let through as well.

    `paths` counts what was asked for; `answers` holds the status of each.
    """

    def __init__(self, upstream, path=None):
        self._upstream = upstream
        self._lock = threading.Lock()
        self.native = False
        self.paths = Counter()
        self.answers = []
        super().__init__(path)

    def answer(self, path, kind, body):
        with self._lock:
            self.paths[path] += 1
            if path != "/query" and not self.native:
                return ABSENT
            client = HttpClient(self._upstream, timeout=20)
            try:
                answer = client.request("POST", path, body, {"Content-Type": kind, "Accept": kind})
            finally:
                client.close()
            self.answers.append((path, answer.status))
            return answer.status, answer.headers.get("content-type", JSON), answer.body
