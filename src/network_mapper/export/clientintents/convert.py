"""From edges to ClientIntents.

An edge says more than an intent: a port, a service, and how often. Everything between one client and one server becomes
one target, and one for which it is known what was asked takes the place of one for which it is not. What has no place
in the resource is left out and counted, so that a person can be told.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from network_mapper.export.clientintents import names
from network_mapper.export.clientintents.model import (
    CloudTarget,
    Document,
    InternetTarget,
    KafkaTarget,
    KubernetesTarget,
    Resource,
    ServiceTarget,
)
from network_mapper.export.operations import resource_word
from network_mapper.export.selection import NO_VALUE
from network_mapper.model import External, Service, ServiceRef, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from network_mapper.export.clientintents.model import Target
    from network_mapper.model import Edge, Peer

METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"})
CLOUDS = frozenset({"aws", "gcp", "azure"})
API_SERVER = Service("kubernetes", "default")
"""The cluster's own API, which in many clusters is no pod."""
_API_REF = ServiceRef(API_SERVER.name, API_SERVER.namespace)
_ANY_METHOD = "ALL"


class Left(msgspec.Struct):
    """What could not be said.

    Attributes:
        clients: Edges whose client is a node, outside the cluster, or one of several.
        servers: Edges whose server is a node or one of several.
        internet: Edges that lead out of the cluster, where those are not wanted.
        nameless: Edges with an end that has no name, or with a namespace that no cluster can have.
        azure: Edges to Azure, where the version cannot say what was done there.
        methods: HTTP methods that the resource does not know, with the number of paths.
        operations: Kafka operations that it does not know, with the number of topics.
    """

    clients: int = 0
    servers: int = 0
    internet: int = 0
    nameless: int = 0
    azure: int = 0
    methods: dict[str, int] = {}
    operations: dict[str, int] = {}


class Options(msgspec.Struct, frozen=True):
    """What is to be said.

    Attributes:
        internet: Whether what lies outside the cluster is a target.
        azure_actions: Whether the version has a place for Azure's actions.
        labels: For each client the value of the label that tells them apart; None where their namespaces do.
    """

    internet: bool = False
    azure_actions: bool = True
    labels: Mapping[Peer, str] | None = None


class Converted(msgspec.Struct):
    """The documents, sorted by name and then by namespace, and what they do not say."""

    documents: list[Document]
    left: Left


_Client = tuple[str, str, str]
"""Name, kind, and namespace or value of a label."""


def convert(edges: Iterable[Edge], options: Options = Options()) -> Converted:  # noqa: B008  it is frozen
    """The ClientIntents of a map; those without any target are not among them."""
    left = Left()
    drafts: dict[_Client, _Draft] = {}
    kinds: dict[tuple[str, str], set[str]] = {}
    for edge in sorted(edges, key=_order):
        client = _client(edge)
        server = API_SERVER if edge.service == _API_REF else edge.server
        for end in (client, server):
            if isinstance(end, Workload):
                kinds.setdefault((names.shown(end.name), end.namespace), set()).add(end.kind)
        if client is None:
            left.clients += 1
        elif not _can_be_named(client, server):
            left.nameless += 1
        else:
            key = _key(client, options)
            draft = drafts.get(key)
            if draft is None:
                draft = drafts[key] = _Draft(client)
            draft.add(edge, server, options, left)
    twins = {key for key, found in kinds.items() if len(found) > 1}
    return Converted(_documents(drafts, twins, left), left)


def _order(edge: Edge) -> tuple[str, str]:
    """Where clients of several namespaces become one, the first of them names the namespace."""
    client = edge.client
    return (client.namespace, client.name) if isinstance(client, Workload | Service) else ("", "")


def _client(edge: Edge) -> Workload | None:
    if isinstance(edge.client, Workload):
        return edge.client
    return Workload(API_SERVER.name, API_SERVER.namespace, "") if edge.client == API_SERVER else None


def _can_be_named(client: Workload, server: Peer) -> bool:
    if not client.name or not (names.is_namespace(client.namespace) or not client.namespace):
        return False
    return not isinstance(server, Workload | Service | External) or bool(server.name)


def _key(client: Workload, options: Options) -> _Client:
    name = names.shown(client.name)
    if options.labels is None:
        return name, client.kind, client.namespace
    return name, client.kind, options.labels.get(client, NO_VALUE)


def _documents(drafts: Mapping[_Client, _Draft], twins: set[tuple[str, str]], left: Left) -> list[Document]:
    documents = []
    taken: dict[str, set[str]] = {}
    for (name, kind, _), draft in sorted(drafts.items(), key=lambda item: (names.rank(item[0][1]), item[0])):
        targets = draft.targets(twins, left)
        if not targets:
            continue
        namespace = draft.client.namespace
        others = taken.setdefault(namespace, set())
        resource = names.of_resource(name, kind, others)
        others.add(resource)
        documents.append(Document(resource, namespace, name, kind, (name, namespace) in twins, targets))
    return sorted(documents, key=lambda document: (document.name, document.namespace))


class _Draft:
    """The intents of one client while edges are added."""

    def __init__(self, client: Workload) -> None:
        self.client = client
        self._servers: dict[Workload | Service, dict[str, set[str]] | None] = {}
        self._kafka: dict[tuple[str, str], dict[str, set[str]]] = {}
        self._clouds: dict[tuple[str, str], dict[str, set[str]]] = {}
        self._internet: dict[str, set[int]] = {}

    def add(self, edge: Edge, server: Peer, options: Options, left: Left) -> None:
        """Add what one edge says, or count it as left out."""
        if isinstance(server, Workload | Service):
            self._add_inside(edge, server)
        elif not isinstance(server, External):
            left.servers += 1
        elif edge.protocol in CLOUDS:
            if edge.protocol == "azure" and not options.azure_actions:
                left.azure += 1
            else:
                _unite(self._clouds.setdefault((edge.protocol, server.name), {}), edge.details)
        elif options.internet:
            ports = self._internet.setdefault(server.name, set())
            if edge.port:
                ports.add(edge.port)
        else:
            left.internet += 1

    def _add_inside(self, edge: Edge, server: Workload | Service) -> None:
        name = names.shown(server.name)
        if edge.protocol == "kafka":
            _unite(self._kafka.setdefault((name, server.namespace), {}), edge.details)
            return
        if isinstance(server, Workload):
            end: Workload | Service = Workload(name, server.namespace, server.kind)
        else:
            end = Service(name, server.namespace)
        paths = self._servers.setdefault(end, None)
        if edge.protocol == "http":
            if paths is None:
                paths = self._servers[end] = {}
            _unite(paths, edge.details)

    def targets(self, twins: set[tuple[str, str]], left: Left) -> tuple[Target, ...]:
        """What was added, sorted by name, then namespace; the rest only keeps the order total."""
        found: list[tuple[tuple[str, str, str, str], Target]] = []
        for server, paths in self._servers.items():
            place = server.name, server.namespace
            if paths is None and place in self._kafka:
                continue  # known better
            http = _paths(paths or {}, left)
            if isinstance(server, Workload):
                target: Target = KubernetesTarget(*place, server.kind, place in twins, http)
                found.append(((*place, "kubernetes", server.kind), target))
            else:
                found.append(((*place, "service", ""), ServiceTarget(*place, http)))
        for place, topics in self._kafka.items():
            found.append(((*place, "kafka", ""), KafkaTarget(*place, _topics(topics, left))))
        for (provider, name), uses in self._clouds.items():
            actions = uses.get("permissions" if provider == "gcp" else "actions", ())
            cloud = CloudTarget(provider, name, _sorted(actions), _sorted(uses.get("dataActions", ())))
            found.append(((name, "", provider, ""), cloud))
        for name, ports in self._internet.items():
            found.append(((name, "", "internet", ""), InternetTarget(name, _is_address(name), tuple(sorted(ports)))))
        return tuple(target for _, target in sorted(found, key=lambda item: item[0]))


def _unite(known: dict[str, set[str]], details: Mapping[str, Iterable[str]]) -> None:
    for name, values in details.items():
        known.setdefault(name, set()).update(values)


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(value for value in values if value))


def _paths(paths: Mapping[str, set[str]], left: Left) -> tuple[Resource, ...]:
    for methods in paths.values():
        for method in methods - METHODS - {_ANY_METHOD, ""}:
            left.methods[method] = left.methods.get(method, 0) + 1
    return tuple(Resource(path, tuple(sorted(paths[path] & METHODS))) for path in sorted(paths))


def _topics(topics: Mapping[str, set[str]], left: Left) -> tuple[Resource, ...]:
    found = []
    for topic in sorted(topics):
        words = set()
        for operation in topics[topic] - {""}:
            word = resource_word(operation)
            if word is None:
                left.operations[operation] = left.operations.get(operation, 0) + 1
            else:
                words.add(word)
        found.append(Resource(topic, tuple(sorted(words, key=str.lower))))
    return tuple(found)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return True
