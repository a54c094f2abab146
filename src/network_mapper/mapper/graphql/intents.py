"""The map as the model's queries show it: one intent for each client, server and kind of call.

An edge of ours says more than an intent: it also knows the port and the service, has ends that are no workloads, and
counts each kind of evidence. So several edges become one intent, and what an intent says beyond its key comes from all
of them, never from whichever came first. Names have underscores in the place of dots here, and only here.

What the model never shows stays away: nodes, the world outside, addresses with several owners, calls of a cloud's API,
and volumes. A service whose answering pods are not known stands for all of its backends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from network_mapper.mapper.graphql.requests import KAFKA_OPERATIONS
from network_mapper.mapper.graphql.times import text_of
from network_mapper.model import Service, ServiceRef, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from network_mapper.model import Edge, Peer

API_SERVER: Final = Service("kubernetes", "default")
"""The cluster's own API, which in many clusters is no pod."""

_API_REF: Final = ServiceRef("kubernetes", "default")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "ALL"})
_OPERATIONS: Final = frozenset({"ALL", *KAFKA_OPERATIONS.values()})
_TYPES: Final = {"http": "HTTP", "kafka": "KAFKA", "tcp": "", "udp": "", "sctp": "", "dns": ""}


class Names(Protocol):
    """What the cluster says about workloads and services."""

    def labels_of(self, workload: Workload) -> dict[str, str]:
        """The labels of its newest pod."""

    def is_named_by_annotation(self, workload: Workload) -> bool:
        """Whether its team gave the name."""

    def version_of(self, kind: str) -> tuple[str, str] | None:
        """API group (empty for the core one) and version of a kind; None where it is not known."""

    def backends_of(self, service: Service) -> tuple[Workload, ...]:
        """The workloads behind a service."""


class Label(msgspec.Struct, frozen=True, gc=False):
    """`PodLabel`."""

    key: str
    value: str


class GroupVersionKind(msgspec.Struct, gc=False):
    """`GroupVersionKind`."""

    group: str | None
    version: str
    kind: str


class FixData(msgspec.Struct, gc=False):
    """`TCPDestResolveBugfixData`."""

    is_src_control_plane: bool
    resolved_using_ip: bool = True


class Resolution(msgspec.Struct, gc=False):
    """`IdentityResolutionData`. An edge belongs to workloads, so what only one pod has stays empty."""

    host: str | None = None
    pod_hostname: str | None = None
    procfs_hostname: str | None = None
    port: int | None = None
    is_service: bool | None = None
    uptime: str | None = None
    last_seen: str | None = None
    extra_info: str | None = None
    has_linkerd_sidecar: bool | None = None
    tcp_dest_resolve_fix_data: FixData | None = None


class Identity(msgspec.Struct, gc=False):
    """`OtterizeServiceIdentity`."""

    name: str
    namespace: str
    labels: list[Label] | None = None
    name_resolved_using_annotation: bool | None = None
    resolution_data: Resolution | None = None
    pod_owner_kind: GroupVersionKind | None = None
    kubernetes_service: str | None = None


class KafkaConfig(msgspec.Struct, gc=False):
    """`KafkaConfig`."""

    name: str
    operations: list[str]


class HttpResource(msgspec.Struct, gc=False):
    """`HttpResource`."""

    path: str
    methods: list[str]


class Intent(msgspec.Struct, gc=False):
    """`Intent`."""

    client: Identity
    server: Identity
    type: str | None
    resolution_data: str
    kafka_topics: list[KafkaConfig] | None = None
    http_resources: list[HttpResource] | None = None
    aws_actions: None = None


class ServiceIntents(msgspec.Struct, gc=False):
    """`ServiceIntents`."""

    client: Identity
    intents: list[Identity]


class Filter(NamedTuple):
    """Which intents are asked for.

    Attributes:
        namespaces: Of the client; empty for all.
        labels: Keys of the labels that are shown; None for all.
        without: Labels that neither end may have: a key with a value, or with None for any value.
        server: Name and namespace; only clients that call it, with all that they call.
    """

    namespaces: frozenset[str] = frozenset()
    labels: frozenset[str] | None = frozenset()
    without: tuple[tuple[str, str | None], ...] = ()
    server: tuple[str, str] | None = None

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> Filter:
        """Read the arguments of `intents` or `serviceIntents`."""
        server = arguments.get("server")
        return cls(
            frozenset(arguments.get("namespaces") or ()),
            None if arguments.get("includeAllLabels") else frozenset(arguments.get("includeLabels") or ()),
            tuple(_label(text) for text in arguments.get("excludeServiceWithLabels") or ()),
            (server["name"], server["namespace"]) if server else None,
        )


def _label(text: str) -> tuple[str, str | None]:
    key, *values = text.split("=")
    return key, values[0] if values else None


End = Workload | Service
_Target = tuple[End, str]
"""A server and the type of the calls; the empty one for those of which nothing more is known."""
_Evidence = list[tuple["Edge", str | None]]
"""The edges of an intent, each with the name of the service through which it reached the server."""


def intents(
    edges: Iterable[Edge],
    names: Names,
    wanted: Filter,
    *,
    detailed: bool = True,
    by_address: Callable[[Edge], bool] | None = None,
) -> list[Intent]:
    """The intents of a map, sorted by client, server (`namespace/name`) and type.

    Args:
        edges: The map.
        names: The cluster.
        wanted: Which of them.
        detailed: Whether they say how they and their ends were found out; without that there are fewer distinct ends.
        by_address: Whether every sighting of an edge named a server that did not resolve, beside its address that did.
    """
    maker = _Maker(names, wanted.labels, detailed, by_address)
    found = _matching(_grouped(edges, names), maker, wanted)
    # There are far fewer ends than intents, so names are compared once an end.
    ranks = {end: rank for rank, end in enumerate(sorted(_ends(found), key=_order))}
    return [
        maker.intent(client, target, found[client][target])
        for client in sorted(found, key=ranks.__getitem__)
        for target in sorted(found[client], key=lambda target: (ranks[target[0]], target[1]))
    ]


def service_intents(
    edges: Iterable[Edge], names: Names, wanted: Filter, *, detailed: bool = True
) -> list[ServiceIntents]:
    """The older form: each client with its servers, sorted, each server once."""
    answer: list[ServiceIntents] = []
    last: tuple[Identity, Identity] | None = None
    for intent in intents(edges, names, wanted, detailed=detailed):
        client, server = intent.client, intent.server
        if last is None or _who(last[0]) != _who(client):
            answer.append(ServiceIntents(client, [server]))
        elif _who(last[1]) != _who(server):
            answer[-1].intents.append(server)
        last = client, server
    return answer


def _who(identity: Identity) -> tuple[str, str, str | None]:
    owner = identity.pod_owner_kind
    return identity.namespace, identity.name, owner.kind if owner else None


def _grouped(edges: Iterable[Edge], names: Names) -> dict[End, dict[_Target, _Evidence]]:
    """The edges of each intent, by client."""
    found: dict[End, dict[_Target, _Evidence]] = {}
    last: Peer | None = None
    targets: dict[_Target, _Evidence] = {}
    for edge in edges:
        type_ = _TYPES.get(edge.protocol)
        client, server, service = edge.client, edge.server, edge.service
        if type_ is None or not (type(client) is Workload or client == API_SERVER):
            continue
        if not type_ and not (edge.connections or edge.attempts or edge.lookups or edge.sockets):
            continue
        if client is not last:  # the edges of a client stand together
            targets = found.setdefault(client, {})
            last = client
        via = service.name if service is not None else None
        if (via == API_SERVER.name and service == _API_REF) or server == API_SERVER:
            server, via = API_SERVER, API_SERVER.name
        elif type(server) is Service:
            for backend in names.backends_of(server):
                targets.setdefault((backend, type_), []).append((edge, server.name))
            continue
        elif type(server) is not Workload:
            continue
        held = targets.get((server, type_))
        if held is None:
            targets[server, type_] = [(edge, via)]
        else:
            held.append((edge, via))
    return found


def _ends(found: dict[End, dict[_Target, _Evidence]]) -> set[End]:
    return {server for targets in found.values() for server, _ in targets}.union(found)


def _matching(
    found: dict[End, dict[_Target, _Evidence]], maker: _Maker, wanted: Filter
) -> dict[End, dict[_Target, _Evidence]]:
    if wanted.server is not None:
        found = {
            client: targets
            for client, targets in found.items()
            if any(_shown(server) == wanted.server for server, _ in targets)
        }
    if wanted.namespaces:
        found = {client: targets for client, targets in found.items() if client.namespace in wanted.namespaces}
    if wanted.without:
        hidden = {end for end in _ends(found) if maker.has_any(end, wanted.without)}
        found = {
            client: {target: edges for target, edges in targets.items() if target[0] not in hidden}
            for client, targets in found.items()
            if client not in hidden
        }
    return found


def _shown(end: End) -> tuple[str, str]:
    """Name and namespace as they are shown."""
    return end.name.replace(".", "_"), end.namespace


def _order(end: End) -> tuple[str, str]:
    """What ends are sorted by: `namespace/name`, then the kind."""
    name, namespace = _shown(end)
    return f"{namespace}/{name}", end.kind if type(end) is Workload else ""


_CLIENT: Final = Resolution(is_service=False, extra_info="resolveInClusterIdentity")
_CONTROL_PLANE: Final = Resolution(is_service=True)

_EXTRA_INFO: Final = {
    "handleInternalTrafficTCPResult": "resolveDestIdentityTCP",
    "addSocketScanPodIntent": "addSocketScanPodIntent",
}


def _evidence(edges: _Evidence, type_: str) -> str:
    """Where the model would say that it knows this from: the strongest evidence, from connections to lookups."""
    if type_:
        return "handleReportKafkaMapperResults" if type_ == "KAFKA" else "handleReportIstioConnectionResults"
    answer = "handleDNSCaptureResultsAsKubernetesPods"
    for edge, service in edges:
        if edge.connections or edge.attempts:
            return "handleInternalTrafficTCPResult"
        if edge.sockets and answer != "addSocketScanServiceIntent":
            answer = "addSocketScanServiceIntent" if service else "addSocketScanPodIntent"
    return answer


def _resolution(edges: _Evidence, service: str | None, evidence: str) -> Resolution:
    """What is known about how the server was found: from the latest edge that leads through its service."""
    ports = [(edge.last_seen, edge.port) for edge, via in edges if via == service and edge.port]
    return Resolution(
        port=max(ports)[1] if ports else None,
        is_service=service is not None,
        last_seen=text_of(max(edge.last_seen for edge, _ in edges)),
        extra_info=_EXTRA_INFO.get(evidence),
    )


def _details(edges: _Evidence, known: frozenset[str]) -> Sequence[tuple[str, list[str]]]:
    """The names of all edges with their actions, sorted, as far as the schema has a word for these."""
    if len(edges) == 1:
        details = edges[0][0].details
    else:
        details = {}
        for edge, _ in edges:
            for name, actions in edge.details.items():
                details[name] = [*details.get(name, ()), *actions]
    return [(name, sorted({action for action in details[name] if action in known})) for name in sorted(details)]


class _Maker:
    """Makes intents. Equal ends of them are one object, so that they are written once."""

    def __init__(
        self, names: Names, labels: frozenset[str] | None, detailed: bool, by_address: Callable[[Edge], bool] | None
    ) -> None:
        self._names = names
        self._labels = labels
        self._detailed = detailed
        self._by_address = by_address
        self._made: dict[tuple[End, str | None, int], Identity] = {}
        self._plain: dict[End, Identity] = {}
        self._all_labels: dict[End, dict[str, str]] = {}

    def intent(self, client: End, target: _Target, edges: _Evidence) -> Intent:
        """One intent."""
        server, type_ = target
        service = edges[0][1]
        for _, name in edges[1:]:
            if name is not None and (service is None or name < service):
                service = name
        own: Resolution | None = None
        resolution: Resolution | None = None
        evidence = ""
        if self._detailed:
            evidence = _evidence(edges, type_)
            if not type_:
                own = _CLIENT if type(client) is Workload else _CONTROL_PLANE
                resolution = _resolution(edges, service, evidence)
                if self._by_address is not None and all(self._by_address(edge) for edge, _ in edges):
                    resolution.tcp_dest_resolve_fix_data = FixData(client == API_SERVER)
        intent = Intent(
            self._identity(client, API_SERVER.name if type(client) is Service else None, own),
            self._identity(server, service, resolution),
            type_ or None,
            evidence,
        )
        if type_ == "KAFKA":
            intent.kafka_topics = [KafkaConfig(*item) for item in _details(edges, _OPERATIONS)]
        elif type_ == "HTTP":
            intent.http_resources = [HttpResource(*item) for item in _details(edges, _METHODS)]
        return intent

    def has_any(self, end: End, labels: tuple[tuple[str, str | None], ...]) -> bool:
        """Whether an end has one of these labels."""
        own = self._labels_of(end)
        return any(key in own and (value is None or own[key] == value) for key, value in labels)

    def _identity(self, end: End, service: str | None, resolution: Resolution | None) -> Identity:
        key = (end, service, id(resolution))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._new(end, service, resolution)
        return found

    def _new(self, end: End, service: str | None, resolution: Resolution | None) -> Identity:
        plain = self._plain.get(end)
        if plain is None:
            plain = self._plain[end] = self._identity_of(end)
        return msgspec.structs.replace(plain, resolution_data=resolution, kubernetes_service=service)

    def _identity_of(self, end: End) -> Identity:
        """An end with what holds for it however it is reached."""
        identity = Identity(*_shown(end))
        if type(end) is Workload:
            own = self._labels_of(end)
            identity.labels = [
                Label(key, own[key]) for key in sorted(own) if self._labels is None or key in self._labels
            ]
            annotated = identity.name_resolved_using_annotation = self._names.is_named_by_annotation(end)
            if end.kind and not annotated:
                group, version = self._names.version_of(end.kind) or ("", "")
                identity.pod_owner_kind = GroupVersionKind(group or None, version, end.kind)
        return identity

    def _labels_of(self, end: End) -> dict[str, str]:
        found = self._all_labels.get(end)
        if found is None:
            found = self._names.labels_of(end) if type(end) is Workload else {}
            self._all_labels[end] = found
        return found
