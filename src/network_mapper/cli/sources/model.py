"""The map of a mapper that knows only the GraphQL of the Otterize network mapper.

It tells who calls whom, and of HTTP and Kafka what was asked for, but neither ports nor counts nor times. So its edges
have port 0 and no counters at all: a list shows them without a mark, because nothing says that they are weaker than
others. Their protocol is `http` or `kafka` with details, and empty where none is told. Names have underscores where
ours have dots, and stay as they come.

Older versions refuse with 422 what they do not know. Then the older query is asked, and a warning says what is missing.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.cli.console import warn
from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import EVERYTHING, MapQuery, MapSource, NoStatusError
from network_mapper.cli.sources.exchange import ask, refusal, short
from network_mapper.model import Edge, Service, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, ResetDocument, WorkloadRow

if TYPE_CHECKING:
    from network_mapper.http_client import HttpClient
    from network_mapper.wire.api import Status

API_SERVER: Final = Service("kubernetes", "default")
"""The cluster's own API, which is shown by its service's name and without a kind."""

_PROTOCOLS: Final = {"HTTP": "http", "KAFKA": "kafka", "AWS": "aws", "S3": "aws"}

_IDENTITY: Final = "{ name namespace labels { key value } podOwnerKind { group version kind } kubernetesService }"
_INTENTS: Final = """query Intents(
  $namespaces: [String!], $includedLabels: [String!], $excludeServiceWithLabels: [String!], $server: ServerFilter%s
) {
  intents(
    namespaces: $namespaces, includeLabels: $includedLabels, excludeServiceWithLabels: $excludeServiceWithLabels
    server: $server%s
  ) {
    client IDENTITY
    server IDENTITY
    type
    kafkaTopics { name operations }
    httpResources { path methods }
  }
}""".replace("IDENTITY", _IDENTITY)
_SERVICE_INTENTS: Final = """query ServiceIntents($namespaces: [String!]%s) {
  serviceIntents(namespaces: $namespaces%s) { client { name namespace%s } intents { name namespace%s } }
}"""
_ALL_LABELS: Final = (", $includeAllLabels: Boolean", ", includeAllLabels: $includeAllLabels")
_SOME_LABELS: Final = (", $includedLabels: [String!]", ", includeLabels: $includedLabels")
_LABELS: Final = " labels { key value }"


class _Label(msgspec.Struct):
    key: str
    value: str


class _Kind(msgspec.Struct):
    kind: str


class _Identity(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    labels: list[_Label] | None = None
    pod_owner_kind: _Kind | None = None
    kubernetes_service: str | None = None


class _Topic(msgspec.Struct):
    name: str
    operations: list[str] | None = None


class _Resource(msgspec.Struct):
    path: str
    methods: list[str] | None = None


class _Intent(msgspec.Struct, rename="camel"):
    client: _Identity
    server: _Identity
    type: str | None = None
    kafka_topics: list[_Topic] | None = None
    http_resources: list[_Resource] | None = None


class _ServiceIntents(msgspec.Struct):
    client: _Identity
    intents: list[_Identity]


class _Data(msgspec.Struct, rename="camel"):
    intents: list[_Intent] | None = None
    service_intents: list[_ServiceIntents] | None = None
    reset_capture: bool | None = None


class _Failure(msgspec.Struct):
    message: str


class _Answer(msgspec.Struct):
    data: _Data | None = None
    errors: list[_Failure] | None = None


class _RefusedError(CliError):
    """422: the mapper does not know something that it was asked for."""


class ModelSource(MapSource):
    """The map of a mapper that speaks the model's GraphQL at `/query`.

    Args:
        client: Connected to the mapper; closed with the source. Its time-out is that of the queries.
        where: What the mapper is called in messages.

    Raises:
        CliError: From every method, when there is no usable answer.
    """

    def __init__(self, client: HttpClient, where: str) -> None:
        self._client = client
        self.where = where
        self._is_old = False

    def map(self, query: MapQuery = EVERYTHING) -> MapDocument:
        """The part of the map that is asked for. There are no times in it but that of the answer, by our clock."""
        if query.since:
            raise CliError(
                f"the mapper at {self.where} does not tell when it saw what: it knows only the GraphQL of the Otterize "
                "network mapper. Leave out --since."
            )
        intents = self._intents(query)
        kinds = _kinds(intents)
        return MapDocument(
            store="",
            epoch=0,
            watching_since=0,
            generated_at=int(time.time() * 1000),
            since=0,
            until=0,
            edges=_edges(intents, kinds),
            workloads=_rows(intents, kinds) if query.labels else [],
        )

    def _intents(self, query: MapQuery) -> list[_Intent]:
        if self._is_old:
            return self._ask_older(query)[0]
        try:
            return self._ask_intents(query)
        except _RefusedError as error:
            refused = error
        answer, with_labels = self._ask_older(query)
        self._is_old = True  # it is told once, also where the map is asked for again and again
        warn(
            f"the mapper at {self.where} is of an older version, which does not know the query 'intents' ({refused}). "
            f"It tells only names{' and labels' if with_labels else ''}, neither kinds and services nor what was asked "
            "for. Upgrade the mapper."
        )
        return answer

    def _ask_intents(self, query: MapQuery) -> list[_Intent]:
        every = query.labels and not query.label_keys
        variables: dict[str, Any] = {
            "namespaces": list(query.namespaces),
            "includedLabels": list(query.label_keys),
            "excludeServiceWithLabels": [],  # chosen from the labels afterwards, by the rules of `export.selection`
            "server": None,
        }
        if every:
            variables["includeAllLabels"] = True
        found = self._query(_INTENTS % (_ALL_LABELS if every else ("", "")), "Intents", variables).intents
        if found is None:
            raise self._incomplete()
        return found

    def _ask_older(self, query: MapQuery) -> tuple[list[_Intent], bool]:
        """What a mapper tells that does not know `intents`, and whether labels are among it."""
        if query.labels:
            try:
                return self._ask_service_intents(query, labels=True), True
            except _RefusedError as error:
                if query.label_keys:
                    raise CliError(
                        f"the mapper at {self.where} is too old to tell labels ({error}). Upgrade it, or leave out the "
                        "options that need labels, such as --distinct-by-label and --exclude-labels."
                    ) from error
        try:
            return self._ask_service_intents(query, labels=False), False
        except _RefusedError as error:
            raise CliError(
                f"the mapper at {self.where} knows neither the query 'intents' nor 'serviceIntents' ({error}). "
                "Check --mapper-url, or upgrade the mapper."
            ) from error

    def _ask_service_intents(self, query: MapQuery, *, labels: bool) -> list[_Intent]:
        variables: dict[str, Any] = {"namespaces": list(query.namespaces)}
        words = ("", "")
        if labels and query.label_keys:
            words, variables["includedLabels"] = _SOME_LABELS, list(query.label_keys)
        elif labels:
            words, variables["includeAllLabels"] = _ALL_LABELS, True
        shown = _LABELS if labels else ""
        found = self._query(_SERVICE_INTENTS % (*words, shown, shown), "ServiceIntents", variables).service_intents
        if found is None:
            raise self._incomplete()
        return [_Intent(item.client, server) for item in found for server in item.intents]

    def status(self) -> Status:
        """There is none."""
        raise NoStatusError(
            f"the mapper at {self.where} has no status to show: it knows only the GraphQL of the Otterize network "
            "mapper. 'network-mapper list' shows its map."
        )

    def reset(self) -> ResetDocument:
        """Empty the map. The mapper does not say how much that was, so it is counted before."""
        removed = len(self.map().edges)
        if not self._query("mutation ResetCapture { resetCapture }", "ResetCapture", {}).reset_capture:
            raise CliError(f"the mapper at {self.where} did not empty its map. Try again.")
        return ResetDocument(0, removed)

    def _query(self, text: str, name: str, variables: dict[str, Any]) -> _Data:
        content = msgspec.json.encode({"query": text, "operationName": name, "variables": variables})
        response = ask(self._client, self.where, "POST", "/query", content)
        try:
            answer = msgspec.json.decode(response.body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if response.status != HTTPStatus.OK:
                raise CliError(refusal(self.where, response)) from None
            raise CliError(
                f"the answer of {self.where} is none that the Otterize network mapper gives ({error}). "
                "Check that the URL is a mapper's."
            ) from error
        if answer.errors:
            message = short(answer.errors[0].message)
            if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                raise _RefusedError(message)
            raise CliError(
                f"the mapper at {self.where} could not answer: {message} (HTTP {response.status}). "
                "Its log may say more."
            )
        if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise _RefusedError("HTTP 422")
        if response.status != HTTPStatus.OK:
            raise CliError(refusal(self.where, response))
        return answer.data or _Data()

    def _incomplete(self) -> CliError:
        return CliError(f"the answer of {self.where} holds no intents. Check that the URL is a mapper's.")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


_Kinds = dict[tuple[str, str], set[str]]


def _kinds(intents: list[_Intent]) -> _Kinds:
    """The kinds that are told for each name and namespace."""
    found: _Kinds = {}
    for intent in intents:
        for end in (intent.client, intent.server):
            if end.pod_owner_kind and end.pod_owner_kind.kind:
                found.setdefault((end.name, end.namespace), set()).add(end.pod_owner_kind.kind)
    return found


def _peer(identity: _Identity, kinds: _Kinds) -> Workload | Service:
    """Who is meant. Kafka's intents tell no kinds, so a missing one is taken from the others where they agree."""
    name, namespace = identity.name, identity.namespace
    if (name, namespace) == (API_SERVER.name, API_SERVER.namespace):
        return API_SERVER
    kind = identity.pod_owner_kind.kind if identity.pod_owner_kind else ""
    if not kind:
        told = kinds.get((name, namespace), set())
        kind = next(iter(told)) if len(told) == 1 else ""
    return Service(name, namespace) if kind == "Service" else Workload(name, namespace, kind)


def _edges(intents: list[_Intent], kinds: _Kinds) -> list[Edge]:
    found: dict[tuple[Any, ...], Edge] = {}
    for intent in intents:
        client, server = _peer(intent.client, kinds), _peer(intent.server, kinds)
        name = intent.server.kubernetes_service
        service = ServiceRef(name, server.namespace) if name and isinstance(server, Workload) else None
        protocol = _PROTOCOLS.get(intent.type or "", "")
        key = (client, server, service, protocol)
        edge = found.get(key)
        if edge is None:
            edge = found[key] = Edge(client, server, service, 0, protocol, details={})
        for topic in intent.kafka_topics or ():
            _add(edge.details, topic.name, topic.operations)
        for resource in intent.http_resources or ():
            _add(edge.details, resource.path, resource.methods)
    return list(found.values())


def _add(details: dict[str, list[str]], name: str, words: list[str] | None) -> None:
    held = details.setdefault(name, [])
    held += [word for word in words or () if word not in held]


def _rows(intents: list[_Intent], kinds: _Kinds) -> list[WorkloadRow]:
    """The labels of the ends; how many pods they have is not told."""
    found: dict[Workload, WorkloadRow] = {}
    for intent in intents:
        for identity in (intent.client, intent.server):
            peer = _peer(identity, kinds)
            if isinstance(peer, Workload):
                row = found.setdefault(peer, WorkloadRow(peer.name, peer.namespace, peer.kind, 0, {}))
                row.labels.update({label.key: label.value for label in identity.labels or ()})
    return list(found.values())
