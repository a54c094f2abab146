"""A mapper that knows nothing but the model's GraphQL, for the command line to be tried against.

It is written from the description of the model's interface and shares nothing with our own GraphQL door, so that the
two cannot agree by mistake. Intents are given as Python data and filtered as the model filters them; older versions
know less of the schema and refuse the rest with 422, as the model does.

    with ModelServer([intent("shop/cart", "db/redis"), intent("shop/cart", "db/api", http={"/a": ["GET"]})]) as server:
        run("list", "--mapper-url", server.url)
        assert server.operations == ["Intents"]
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import graphql

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"

_REPORTS = """
scalar Time
input Destination {
  destination: String! destinationIP: String destinationPort: Int TTL: Int lastSeen: Time! srcPorts: [Int!]
}
input RecordedDestinationsForSrc { srcIp: String! srcHostname: String! destinations: [Destination!]! }
input CaptureResults { results: [RecordedDestinationsForSrc!]! }
input CaptureTCPResults { results: [RecordedDestinationsForSrc!]! }
input SocketScanResults { results: [RecordedDestinationsForSrc!]! }
input KafkaMapperResult {
  srcIp: String! serverPodName: String! serverNamespace: String! topic: String! operation: String! lastSeen: Time!
}
input KafkaMapperResults { results: [KafkaMapperResult!]! }
input IstioConnection {
  srcWorkload: String! srcWorkloadNamespace: String! dstWorkload: String! dstServiceName: String!
  dstWorkloadNamespace: String! path: String! methods: [HttpMethod!]! lastSeen: Time!
}
input IstioConnectionResults { results: [IstioConnection!]! }
input NamespacedName { name: String! namespace: String! }
input AWSOperation { resource: String! actions: [String!]! srcIp: String iamRole: String client: NamespacedName }
input GCPOperation { resource: String! permissions: [String!]! srcIp: String client: NamespacedName }
input AzureOperation {
  scope: String! actions: [String!]! dataActions: [String!]! clientName: String! clientNamespace: String!
}
input TrafficLevelResult { srcIP: String! dstIP: String! bytesSent: Int! flows: Int! }
input TrafficLevelResults { results: [TrafficLevelResult!]! }
type Mutation {
  resetCapture: Boolean!
  reportCaptureResults(results: CaptureResults!): Boolean!
  reportTCPCaptureResults(results: CaptureTCPResults!): Boolean!
  reportSocketScanResults(results: SocketScanResults!): Boolean!
  reportKafkaMapperResults(results: KafkaMapperResults!): Boolean!
  reportIstioConnectionResults(results: IstioConnectionResults!): Boolean!
  reportAWSOperation(operation: [AWSOperation!]!): Boolean!
  reportAzureOperation(operation: [AzureOperation!]!): Boolean!
  reportGCPOperation(operation: [GCPOperation!]!): Boolean!
  reportTrafficLevelResults(results: TrafficLevelResults!): Boolean!
}
enum HttpMethod { GET POST PUT DELETE OPTIONS TRACE PATCH CONNECT ALL }
"""

CURRENT = (
    _REPORTS
    + """
type Query {
  serviceIntents(namespaces: [String!], includeLabels: [String!], includeAllLabels: Boolean): [ServiceIntents!]!
  intents(
    namespaces: [String!]
    includeLabels: [String!]
    excludeServiceWithLabels: [String!]
    includeAllLabels: Boolean
    server: ServerFilter
  ): [Intent!]!
  health: Boolean!
}
input ServerFilter { name: String! namespace: String! }
type PodLabel { key: String! value: String! }
type GroupVersionKind { group: String version: String! kind: String! }
type TCPDestResolveBugfixData { isSrcControlPlane: Boolean! resolvedUsingIp: Boolean! }
type IdentityResolutionData {
  host: String podHostname: String procfsHostname: String port: Int isService: Boolean uptime: String lastSeen: String
  extraInfo: String hasLinkerdSidecar: Boolean tcpDestResolveFixData: TCPDestResolveBugfixData
}
type OtterizeServiceIdentity {
  name: String! namespace: String! labels: [PodLabel!] nameResolvedUsingAnnotation: Boolean
  resolutionData: IdentityResolutionData podOwnerKind: GroupVersionKind kubernetesService: String
}
type KafkaConfig { name: String! operations: [KafkaOperation!] }
type HttpResource { path: String! methods: [HttpMethod!] }
type Intent {
  client: OtterizeServiceIdentity! server: OtterizeServiceIdentity! type: IntentType resolutionData: String
  kafkaTopics: [KafkaConfig!] httpResources: [HttpResource!] awsActions: [String!]
}
type ServiceIntents { client: OtterizeServiceIdentity! intents: [OtterizeServiceIdentity!]! }
enum IntentType { HTTP KAFKA DATABASE AWS S3 }
enum KafkaOperation {
  ALL CONSUME PRODUCE CREATE ALTER DELETE DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS ALTER_CONFIGS IDEMPOTENT_WRITE
}
"""
)
"""The newest version."""

WITH_LABELS = """
type Query { serviceIntents(namespaces: [String!], includeLabels: [String!]): [ServiceIntents!]! }
type Mutation { resetCapture: Boolean! }
type PodLabel { key: String! value: String! }
type OtterizeServiceIdentity { name: String! namespace: String! labels: [PodLabel!] }
type ServiceIntents { client: OtterizeServiceIdentity! intents: [OtterizeServiceIdentity!]! }
"""
"""A version before `intents`, such as 0.1.13."""

NAMES_ONLY = """
type Query { serviceIntents(namespaces: [String!]): [ServiceIntents!]! }
type Mutation { resetCapture: Boolean! }
type OtterizeServiceIdentity { name: String! namespace: String! }
type ServiceIntents { client: OtterizeServiceIdentity! intents: [OtterizeServiceIdentity!]! }
"""
"""A version before labels."""


class End(NamedTuple):
    """One end of an intent. `kind` is that of the pods' owner, empty where an annotation gives the name."""

    name: str
    namespace: str
    kind: str = "Deployment"
    labels: Mapping[str, str] = MappingProxyType({})
    service: str | None = None
    group: str | None = "apps"
    version: str = "v1"

    @property
    def key(self) -> str:
        """What ends are sorted by."""
        return f"{self.namespace}/{self.name}"

    def shown(self, labels: dict[str, str]) -> dict[str, Any]:
        """`OtterizeServiceIdentity`."""
        kind = {"group": self.group, "version": self.version, "kind": self.kind}
        return {
            "name": self.name,
            "namespace": self.namespace,
            "labels": [{"key": key, "value": value} for key, value in labels.items()],
            "nameResolvedUsingAnnotation": not self.kind,
            "podOwnerKind": kind if self.kind else None,
            "kubernetesService": self.service,
        }


class Intent(NamedTuple):
    """A client calls a server. `kafka` holds operations by topic, `http` methods by path."""

    client: End
    server: End
    kafka: dict[str, list[str]] | None = None
    http: dict[str, list[str]] | None = None

    @property
    def type(self) -> str | None:
        """`IntentType`."""
        return "KAFKA" if self.kafka is not None else "HTTP" if self.http is not None else None


def end(text: str | End, **more: Any) -> End:
    """`shop/cart` as an end."""
    if isinstance(text, End):
        return text._replace(**more)
    namespace, _, name = text.partition("/")
    return End(name, namespace, **more)


def intent(
    client: str | End,
    server: str | End,
    *,
    kafka: dict[str, list[str]] | None = None,
    http: dict[str, list[str]] | None = None,
    service: str | None = None,
) -> Intent:
    """An intent between `namespace/name` and `namespace/name`; `service` is the Service through which it went."""
    target = end(server)
    return Intent(end(client), target._replace(service=service) if service else target, kafka, http)


API_SERVER = End("kubernetes", "default", kind="", service="kubernetes")
"""As the model shows the cluster's API."""


class Asked(NamedTuple):
    """One request, and the status that it was answered with."""

    method: str
    path: str
    operation: str
    variables: dict[str, Any]
    status: int


class ModelServer:
    """Serves intents at `url` (its GraphQL at `url/query`) while it is entered. Attributes may be changed meanwhile.

    Attributes:
        intents: What is served; `resetCapture` empties it.
        schema: The version: CURRENT, WITH_LABELS or NAMES_ONLY.
        all_labels: Whether `intents` shows all labels whatever is asked for, as the model does, or those asked for.
        delay: Seconds before each answer.
        errors: Messages of GraphQL errors that every query is answered with, by 200.
        answer: Status, headers and body that every request is answered with; None for what is right.
        requests: What was asked, in order.
    """

    def __init__(self, intents: list[Intent] | None = None, schema: str = CURRENT) -> None:
        self.intents = list(intents or ())
        self.schema = schema
        self.all_labels = True
        self.delay = 0.0
        self.errors: list[str] = []
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.requests: list[Asked] = []
        self._closed = threading.Event()
        self._built: dict[str, graphql.GraphQLSchema] = {}

    @property
    def operations(self) -> list[str]:
        """Names of the operations that were asked for, in order."""
        return [asked.operation for asked in self.requests if asked.operation]

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    # Requests

    def handle(self, method: str, target: str, kind: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        if self.delay:
            self._closed.wait(self.delay)
        path = urlsplit(target).path
        asked = self._envelope(method, target, kind, body) if path == "/query" else {}
        found = self.answer or self._right(method, path, asked)
        asked = asked if isinstance(asked, dict) else {}
        name, variables = asked.get("operationName") or "", asked.get("variables") or {}
        self.requests.append(Asked(method, target, name, variables, found[0]))
        return found

    def _right(self, method: str, path: str, asked: dict[str, Any] | str) -> tuple[int, dict[str, str], bytes]:
        if path == "/healthz" and method == "GET":
            return 200, {}, b""
        if path != "/query":
            return _json(404, {"message": "Not Found"})
        if isinstance(asked, str):
            return _json(400, {"errors": [{"message": asked}], "data": None})
        return _json(*self._run(method, asked))

    @staticmethod
    def _envelope(method: str, target: str, kind: str, body: bytes) -> dict[str, Any] | str:
        """What a request asks for, or why that cannot be told."""
        if method == "GET":
            return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        if method != "POST" or kind.partition(";")[0] != JSON:
            return "transport not supported"
        try:
            asked = json.loads(body)
        except ValueError as error:
            return f"json request body could not be decoded: {error}"
        return asked if isinstance(asked, dict) else "json request body could not be decoded"

    def _run(self, method: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        schema = self._built.get(self.schema) or self._built.setdefault(self.schema, graphql.build_schema(self.schema))
        try:
            document = graphql.parse(asked.get("query") or "")
        except graphql.GraphQLError as error:
            return _refused([error], "GRAPHQL_PARSE_FAILED")
        if errors := graphql.validate(schema, document):
            return _refused(errors, "GRAPHQL_VALIDATION_FAILED")
        name, variables = asked.get("operationName"), asked.get("variables")
        operation = graphql.get_operation_ast(document, name)
        if operation is None:
            return _refused([graphql.GraphQLError(f"operation {name} not found")], "GRAPHQL_VALIDATION_FAILED")
        if method == "GET" and operation.operation is graphql.OperationType.MUTATION:
            return 406, {"errors": [{"message": "GET requests only allow query operations"}], "data": None}
        values = graphql.execution.values.get_variable_values(
            schema, operation.variable_definitions or (), variables or {}
        )
        if isinstance(values, list):
            return _refused(values, "GRAPHQL_VALIDATION_FAILED")
        if self.errors:
            return 200, {"errors": [{"message": message} for message in self.errors], "data": None}
        result = graphql.execute_sync(
            schema, document, self._root(schema), variable_values=variables, operation_name=name
        )
        return 200, result.formatted

    # Fields

    def _root(self, schema: graphql.GraphQLSchema) -> dict[str, Any]:
        """The root fields. What is reported goes nowhere: this mapper's map is given."""
        reports = schema.mutation_type.fields if schema.mutation_type else {}
        return {
            **{name: lambda _info, **_arguments: True for name in reports},
            "health": True,
            "intents": lambda _info, **arguments: self._intents(arguments),
            "serviceIntents": lambda _info, **arguments: self._service_intents(arguments),
            "resetCapture": lambda _info: self.intents.clear() is None,
        }

    def _service_intents(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        clients: dict[str, dict[str, Any]] = {}
        labels = None if arguments.get("includeAllLabels") else arguments.get("includeLabels") or []
        for item in self._wanted(arguments):
            found = clients.setdefault(item.client.key, {"client": _shown(item.client, labels), "intents": {}})
            found["intents"].setdefault(item.server.key, _shown(item.server, labels))
        return [{"client": found["client"], "intents": list(found["intents"].values())} for found in clients.values()]

    def _intents(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        every = self.all_labels or arguments.get("includeAllLabels")
        labels = None if every else arguments.get("includeLabels") or []
        return [
            {
                "client": _shown(item.client, labels),
                "server": _shown(item.server, labels),
                "type": item.type,
                "kafkaTopics": _pairs(item.kafka, "name", "operations"),
                "httpResources": _pairs(item.http, "path", "methods"),
            }
            for item in self._wanted(arguments)
        ]

    def _wanted(self, arguments: dict[str, Any]) -> list[Intent]:
        """The intents that pass the filters, sorted."""
        found = list(self.intents)
        if server := arguments.get("server"):
            wanted = f"{server['namespace']}/{server['name']}"
            callers = {item.client.key for item in found if item.server.key == wanted}
            found = [item for item in found if item.client.key in callers]
        if namespaces := arguments.get("namespaces"):
            found = [item for item in found if item.client.namespace in namespaces]
        # One value a key, the last one given, and a key alone means the empty value: so it is in the model.
        without = {}
        for text in arguments.get("excludeServiceWithLabels") or ():
            key, value = (*text.split("="), "")[:2]
            without[key] = value
        found = [
            item for item in found if not (item.client.labels.items() | item.server.labels.items()) & without.items()
        ]
        return sorted(found, key=lambda item: (item.client.key, item.server.key))


def _shown(one: End, labels: list[str] | None) -> dict[str, Any]:
    return one.shown({key: value for key, value in one.labels.items() if labels is None or key in labels})


def _pairs(details: dict[str, list[str]] | None, name: str, values: str) -> list[dict[str, Any]] | None:
    return None if details is None else [{name: key, values: list(words)} for key, words in details.items()]


def _json(status: int, content: Any) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": JSON}, json.dumps(content).encode()


def _refused(errors: list[graphql.GraphQLError], code: str) -> tuple[int, dict[str, Any]]:
    found = [{"message": error.message, "extensions": {"code": code}} for error in errors]
    return 422, {"errors": found, "data": None}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    model: ModelServer

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Break off those that clients keep, whose threads would otherwise wait for another request."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless it is a client that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, headers, content = self.server.model.handle(
            self.command, self.path, self.headers.get("content-type", ""), body
        )
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET  # noqa: N815  the library's naming

    def log_message(self, *_: object) -> None:
        pass
