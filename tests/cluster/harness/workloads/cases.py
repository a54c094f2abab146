"""Every way in which pods reach each other, with what the map must show for it and why.

One client, `ways`, stands on the first node and goes every way to `near` on its own node and to `far` on the other.
Each of its ways has a port of its own, so each has an edge of its own. The other workloads are special in themselves:
in how they are named, how long they live, or whose address they speak from.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.objects import Object, make
from harness.workloads import manifests
from harness.workloads.judge import Row
from harness.workloads.manifests import Pods, call
from network_mapper.model import Node
from network_mapper.testing.truth import TrueEdge, label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.workloads.manifests import Image

FAMILIES = (4, 6)
DOMAIN = "cluster.local"
OTTERIZE_KEY = "intents.otterize.com/workload-name"
OWN_KEY = "network-mapper.io/workload-name"

# Of the servers that have all their ways on one client: port of the service to port of the pod, by the last digit's
# family. Where a pod is dialled, its port is what the map shows, so these differ by way as well.
_SERVICE = {8004: 7004, 8006: 7006}
_ALIAS, _HELD, _CLOSED = 8014, 8024, 8099
_POD = {4: 7014, 6: 7016}
_HEADLESS = {4: 7024, 6: 7026}
_NODE_PORTS = {"near": 31000, "far": 31100}
_HOST_SERVER = {8204: 7204, 8206: 7206}
_HOST_PORTS = {4: 7304, 6: 7306}
_PLAIN = {8004: 7004}


@dataclass(frozen=True)
class Addresses:
    """What is only known when everything runs, by name and family: nodes' own addresses, and one pod's of an app."""

    nodes: Mapping[str, Mapping[int, str]]
    pods: Mapping[str, Mapping[int, str]]


@dataclass(frozen=True)
class Named:
    """A workload with a name from its team: where it stands, what it is called, and what that overrides."""

    app: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


NAMED = (
    Named("labelled", "named-by-label", labels={OWN_KEY: "named-by-label"}),
    Named("annotated", "named-by-us", annotations={OWN_KEY: "named-by-us"}),
    Named("annotated-otterize", "named-as-before", annotations={OTTERIZE_KEY: "named-as-before"}),
)


class Cases:
    """Objects and expectations in one namespace over two nodes.

    Attributes:
        namespace: Of everything.
        static: The static pod's manifest, for the second node's kubelet.
    """

    def __init__(self, image: Image, nodes: tuple[str, str], namespace: str = "cases") -> None:
        self.namespace = namespace
        self._image = image
        self._here, self._there = nodes
        calls = {"static pod calls": call("near", 8004, count=4)}
        static = Pods(app="static", listen=(7004,), calls=calls, after=3.0)
        self.static = manifests.static_pod(image, namespace, static)

    def servers(self) -> list[Object]:
        """Everything that stays, in the order in which it is made."""
        return [*self._matrix_objects(), *self._special_objects(), *self._named_objects()]

    def late(self) -> list[Object]:
        """What calls as soon as it starts, and so must be made when the servers run."""
        first = {"init container calls": call("far", 8004, count=3)}
        tick = {"cron job calls": call("far", 8004, count=2)}
        waiting = Pods(app="waiting", listen=(7004,), init_calls=first, node=self._here)
        job = Pods(app="tick", calls=tick, linger=1.5, stay=False)
        ns, image = self.namespace, self._image
        return [manifests.deployment(image, ns, waiting), manifests.cron_job(image, ns, job)]

    def rows(self, at: Addresses) -> list[Row]:
        """The table."""
        return [
            *self._matrix(at),
            *self._other_ways(),
            *self._own_addresses(at),
            *self._kinds(),
            *self._names(),
            *self._short_lived(),
        ]

    # The matrix: every way to both servers over both families.

    def _matrix_objects(self) -> Iterator[Object]:
        ns, image = self.namespace, self._image
        yield manifests.deployment(image, ns, Pods(app="ways", node=self._here))
        listen = (7004, 7006, *_POD.values(), *_HEADLESS.values())
        for app, node in (("near", self._here), ("far", self._there)):
            yield manifests.deployment(image, ns, Pods(app=app, listen=listen, node=node))
            more = {_ALIAS: 7004, _HELD: 7004, _CLOSED: 7099}
            yield manifests.service(ns, app, {**_SERVICE, **more})
            yield manifests.service(
                ns, f"{app}-pods", {port: port for port in _HEADLESS.values()}, app=app, headless=True
            )
            node_ports = {8000 + way: _NODE_PORTS[app] + way for way in (14, 16, 24, 26)}
            targets = dict.fromkeys(node_ports, 7004)
            yield manifests.service(ns, f"{app}-nodes", targets, app=app, node_ports=node_ports)

    def _matrix(self, at: Addresses) -> Iterator[Row]:
        for (app, there), family in itertools.product((("near", "its own node"), ("far", "the other node")), FAMILIES):
            server = self._workload(app)
            ending = f"to {app} on {there} over IPv{family}"
            # Numbers that differ, so that no two edges can be taken for each other.
            count = 2 + family // 4 + (app == "far")
            port = 8000 + family
            yield self._ways(
                f"ClusterIP {ending}", call(app, port, family=family, count=count), server, service=app, port=port
            )
            port = _HEADLESS[family]
            yield self._ways(
                f"headless service {ending}",
                call(f"{app}-pods", port, family=family, count=count + 1),
                server,
                port=port,
                looked_up=f"{app}-pods",
                reason="a headless service names its pods, so a pod is dialled",
            )
            port, addresses = _POD[family], [at.pods[app][family]]
            dialled = call(port=port, addresses=addresses, family=family, count=count + 2)
            yield self._ways(f"pod address {ending}", dialled, server, port=port)
            for number, node in ((10, self._here), (20, self._there)):
                entry = "its own node" if node == self._here else "the other node"
                port = _NODE_PORTS[app] + number + family
                dialled = call(port=port, addresses=[at.nodes[node][family]], family=family, count=count + number // 10)
                yield self._ways(
                    f"NodePort of {entry} {ending}",
                    dialled,
                    server,
                    service=f"{app}-nodes",
                    port=port,
                    reason="every node listens for the service; what it forwards is the same connection",
                )

    def _other_ways(self) -> Iterator[Row]:
        near = self._workload("near")
        alias = call("alias", _ALIAS, count=5)
        yield self._ways(
            "ExternalName of a service",
            alias,
            near,
            service="near",
            port=_ALIAS,
            looked_up="alias",
            reason="the alias is looked up; its answer is the address of the service that it stands for",
        )
        yield self._ways("connection that is held open", call("near", _HELD, count=1, hold=True), near, "near", _HELD)
        yield self._ways(
            "port on which nobody listens",
            call("near", _CLOSED, count=4),
            near,
            "near",
            _CLOSED,
            refused=True,
            reason="refused connections are attempts",
        )
        yield self._ways("lookup without a connection", call("looked-up", count=6), near, looked_up="looked-up")
        label_ = self._workload("itself")
        yield self._row(
            "a pod through its own service",
            "itself",
            call("itself", 8004, count=7),
            TrueEdge(label_, label_, self._service("itself"), 8004),
            looked_up="itself",
            reason="it leaves the pod and comes back to it",
        )

    # Who speaks from the node's address, or listens there.

    def _special_objects(self) -> Iterator[Object]:
        ns, image = self.namespace, self._image
        yield manifests.external_name(ns, "alias", f"near.{ns}.svc.{DOMAIN}")
        yield manifests.service(ns, "looked-up", _PLAIN, app="near")
        yield manifests.deployment(image, ns, Pods(app="itself", listen=(7004,), node=self._there))
        yield manifests.service(ns, "itself", _PLAIN)
        ports = tuple(_HOST_SERVER.values())
        host_server = Pods(app="host-server", listen=ports, node=self._there, host_network=True)
        yield manifests.deployment(image, ns, host_server)
        yield manifests.service(ns, "host-server", _HOST_SERVER)
        yield manifests.deployment(image, ns, Pods(app="host-client", node=self._there, host_network=True))
        for app, node in (("host-port-near", self._here), ("host-port-far", self._there)):
            ports = tuple(_HOST_PORTS.values())
            yield manifests.deployment(image, ns, Pods(app=app, listen=ports, host_ports=ports, node=node))
        yield manifests.stateful_set(image, ns, Pods(app="store", listen=(7404, 7406)), 2)
        yield manifests.service(ns, "store", {7404: 7404, 7406: 7406}, headless=True)
        yield manifests.daemon_set(image, ns, Pods(app="everywhere", listen=(7004,)))
        yield manifests.service(ns, "everywhere", _PLAIN)
        yield manifests.service(ns, "static", _PLAIN)

    def _own_addresses(self, at: Addresses) -> Iterator[Row]:
        server = self._workload("host-server")
        for family in FAMILIES:
            port = 8200 + family
            yield self._ways(
                f"server on its node's network through its service over IPv{family}",
                call("host-server", port, family=family, count=3),
                server,
                service="host-server",
                port=port,
            )
            port, address = 7200 + family, at.nodes[self._there][family]
            yield self._ways(
                f"server on its node's network at the node's address over IPv{family}",
                call(port=port, addresses=[address], family=family, count=4),
                server,
                port=port,
                reason="it alone says that it listens there",
            )
            for app, node in (("host-port-near", self._here), ("host-port-far", self._there)):
                port, address = _HOST_PORTS[family], at.nodes[node][family]
                yield self._ways(
                    f"{app} at its node's address over IPv{family}",
                    call(port=port, addresses=[address], family=family, count=2 + (node == self._there)),
                    self._workload(app),
                    port=port,
                    reason="the pod says that it has this port of its node",
                )
        for app in ("near", "far"):
            client = repr(Node(self._there))
            yield self._row(
                f"client on its node's network calls {app}",
                "host-client",
                call(app, 8004, count=5 + (app == "far")),
                TrueEdge(client, self._workload(app), "", 7004),
                looked_up=app,
                client_label=client,
                reason="it speaks from its node's address, and which process that was is not known; the node puts the "
                "pod's address in the service's place before anybody can see it",
            )

    # Kinds of workloads.

    def _kinds(self) -> Iterator[Row]:
        store = self._workload("store", "StatefulSet")
        for number, family in itertools.product(range(2), FAMILIES):
            port = 7400 + family
            yield self._ways(
                f"store-{number} by its own name over IPv{family}",
                call(f"store-{number}.store", port, family=family, count=3),
                store,
                port=port,
                by_name=TrueEdge(self._workload("ways"), store, "", 0),
                reason="a pod of a StatefulSet stands for the set",
            )
        everywhere = self._workload("everywhere", "DaemonSet")
        yield self._ways("DaemonSet", call("everywhere", 8004, count=6), everywhere, "everywhere", 8004)
        yield self._calls_far("DaemonSet calls", "everywhere", everywhere, pods=2)
        yield self._calls_far("StatefulSet calls", "store", store, pods=2)
        static = self._workload("static", "Pod")
        yield self._ways("static pod", call("static", 8004, count=3), static, "static", 8004)

    # Names that teams give.

    def _named_objects(self) -> Iterator[Object]:
        for named in NAMED:
            pods = Pods(app=named.app, listen=(7004,), labels=named.labels, annotations=named.annotations)
            yield manifests.deployment(self._image, self.namespace, pods)
            yield manifests.service(self.namespace, named.app, _PLAIN)

    def _names(self) -> Iterator[Row]:
        for named in NAMED:
            workload = self._workload(named.name)
            yield self._ways(f"{named.app} is called", call(named.app, 8004, count=3), workload, named.app, 8004)
            yield self._calls_far(f"{named.app} calls", named.app, workload)

    # What is gone before anybody asks.

    def _short_lived(self) -> Iterator[Row]:
        waiting, tick = self._workload("waiting"), self._workload("tick", "CronJob")
        far, near = self._workload("far"), self._workload("near")
        yield self._at_start("init container calls", "waiting", TrueEdge(waiting, far, self._service("far"), 8004), 3)
        yield self._at_start("cron job calls", "tick", TrueEdge(tick, far, self._service("far"), 8004), 2)
        static = self._workload("static", "Pod")
        yield self._at_start("static pod calls", "static", TrueEdge(static, near, self._service("near"), 8004), 4)

    # How rows are written.

    def _workload(self, name: str, kind: str = "Deployment") -> str:
        return label(name, self.namespace, kind)

    def _service(self, name: str) -> str:
        return f"{self.namespace}/{name}" if name else ""

    def _ways(
        self, name: str, dialled: Object, server: str, service: str = "", port: int = 0, *, looked_up: str = "",
        by_name: TrueEdge | None = None, reason: str = "", refused: bool = False,
    ) -> Row:  # fmt: skip
        client = self._workload("ways")
        edge = TrueEdge(client, server, self._service(service), port) if port else None
        if dialled["name"] and by_name is None:
            by_name = TrueEdge(client, server, self._service(looked_up or service), 0)
        where = f"{self.namespace}/ways"
        return Row(name=name, client=where, call=dialled, edge=edge, by_name=by_name, reason=reason, refused=refused)

    def _row(
        self, name: str, app: str, dialled: Object, edge: TrueEdge, *, looked_up: str, client_label: str = "",
        reason: str = "",
    ) -> Row:  # fmt: skip
        by_name = TrueEdge(client_label or edge.client, edge.server, self._service(looked_up), 0)
        where = f"{self.namespace}/{app}"
        return Row(name=name, client=where, call=dialled, edge=edge, by_name=by_name, reason=reason)

    def _calls_far(self, name: str, app: str, client: str, pods: int = 1) -> Row:
        edge = TrueEdge(client, self._workload("far"), self._service("far"), 8004)
        by_name = TrueEdge(client, edge.server, edge.service, 0)
        dialled = call("far", 8004, count=3)
        where = f"{self.namespace}/{app}"
        return Row(name=name, client=where, call=dialled, edge=edge, by_name=by_name, pods=pods)

    def _at_start(self, name: str, app: str, edge: TrueEdge, count: int) -> Row:
        by_name = TrueEdge(edge.client, edge.server, edge.service, 0)
        dialled = call(edge.service.partition("/")[2], edge.port, count=count)
        where = f"{self.namespace}/{app}"
        return Row(name=name, client=where, call=dialled, edge=edge, by_name=by_name, at_start=True)


def namespace(name: str) -> Object:
    """A namespace that lets in pods on their nodes' network."""
    return make("v1", "Namespace", name)
