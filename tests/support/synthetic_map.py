"""Made-up maps, as a mapper would answer them: one to read whole, and any number to draw large.

`shop_map` has each kind of peer and of evidence on a page. `synthetic_map` looks like clusters do: namespaces of very
different sizes, most calls at home, two hubs that nearly everybody calls, cycles. The same seed makes the same map.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

from network_mapper.export.pairs import sort_key
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

if TYPE_CHECKING:
    from network_mapper.model import Peer

NOW = 1_800_000_000_000
HOUR = 3_600_000
SKEW = 0.6
"""Zipf's exponent of the namespaces' sizes: of 2,000 workloads in 50 namespaces the largest has some 200."""

# fmt: off
TEAMS = (
    "accounts", "analytics", "auth", "billing", "booking", "catalog", "chat", "checkout", "content", "crm",
    "delivery", "devtools", "disputes", "docs", "events", "experiments", "finance", "fraud", "fulfilment", "geo",
    "identity", "ingest", "inventory", "ledger", "loyalty", "mail", "media", "messaging", "ml", "mobile",
    "notifications", "orders", "partners", "payments", "pricing", "profile", "promotions", "recommendations",
    "returns", "reviews", "risk", "search", "shipping", "social", "storefront", "subscriptions", "support", "tax",
    "tracking", "warehouse",
)
ROLES = (
    "api", "worker", "web", "cache", "db", "gateway", "scheduler", "consumer", "sync", "batch", "indexer", "proxy",
    "admin", "exporter", "router", "store", "mailer", "relay", "watcher", "importer",
)
# fmt: on
PORTS = (80, 443, 5432, 6379, 8080, 8443, 9000, 9090, 9092, 50051)
DOMAINS = ("example.com", "example.net", "example.org")


def document(edges: list[Edge]) -> MapDocument:
    """The answer with these edges, sorted as a mapper sorts them, and labels for every workload."""

    def order(edge: Edge) -> tuple[object, ...]:
        return sort_key(edge.client), sort_key(edge.server), str(edge.service), edge.port, edge.protocol

    workloads = {peer for edge in edges for peer in (edge.client, edge.server) if isinstance(peer, Workload)}
    return MapDocument(
        store="synthetic",
        epoch=1,
        watching_since=NOW - 48 * HOUR,
        generated_at=NOW,
        since=0,
        until=0,
        edges=sorted(edges, key=order),
        workloads=[
            WorkloadRow(item.name, item.namespace, item.kind, 2, {"app": item.name, "team": item.namespace})
            for item in sorted(workloads, key=sort_key)
        ],
    )


def shop_map() -> MapDocument:
    """A shop: 11 workloads in 4 namespaces, and an external, a node, a service and an ambiguous peer."""

    def at(name: str, namespace: str = "shop", kind: str = "Deployment") -> Workload:
        return Workload(name, namespace, kind)

    def dialled(peer: Workload) -> ServiceRef:
        return ServiceRef(peer.name, peer.namespace)

    front, checkout, cart, catalog, mail = (at(name) for name in ("frontend", "checkout", "cart", "catalog", "mail"))
    report = at("nightly-report", kind="CronJob")
    postgres, redis = at("postgres", "data", "StatefulSet"), at("redis", "data", "StatefulSet")
    kafka = at("kafka", "messaging", "StatefulSet")
    ingress, metrics = at("ingress-nginx", "edge"), at("prometheus", "edge", "StatefulSet")
    stripe = External("api.stripe.example")
    seen = {"first_seen": NOW - 30 * HOUR, "last_seen": NOW - 4_000}
    return document(
        [
            Edge(External("0.0.0.0/0"), ingress, None, 443, "tcp", connections=5120, **seen),
            Edge(Node("node-a"), front, None, 8080, "tcp", connections=960, **seen),
            Edge(ingress, front, dialled(front), 80, "tcp", connections=4100, sockets=12, **seen),
            Edge(ingress, front, dialled(front), 0, "dns", lookups=34, **seen),
            Edge(front, catalog, dialled(catalog), 80, "tcp", connections=2210, sockets=3, **seen),
            Edge(
                front,
                catalog,
                dialled(catalog),
                0,
                "http",
                requests=8400,
                details={"/products": ["GET"], "/products/{id}": ["GET", "PUT"], "/search": ["GET", "POST"]},
                **seen,
            ),
            Edge(front, cart, dialled(cart), 80, "tcp", connections=1320, **seen),
            Edge(front, checkout, dialled(checkout), 8443, "tcp", connections=410, **seen),
            Edge(cart, redis, dialled(redis), 6379, "tcp", connections=640, sockets=8, **seen),
            Edge(catalog, postgres, dialled(postgres), 5432, "tcp", connections=530, sockets=10, **seen),
            Edge(checkout, postgres, dialled(postgres), 5432, "tcp", connections=220, sockets=4, **seen),
            Edge(checkout, cart, dialled(cart), 80, "tcp", connections=410, **seen),
            Edge(cart, checkout, dialled(checkout), 8443, "tcp", connections=12, **seen),
            Edge(checkout, kafka, dialled(kafka), 9092, "tcp", connections=38, sockets=2, **seen),
            Edge(
                checkout,
                kafka,
                None,
                0,
                "kafka",
                requests=912,
                details={"orders": ["PRODUCE"], "orders-dead": ["DESCRIBE", "PRODUCE"]},
                **seen,
            ),
            Edge(mail, kafka, None, 0, "kafka", requests=640, details={"orders": ["CONSUME"]}, **seen),
            Edge(checkout, stripe, None, 443, "tcp", connections=205, **seen),
            Edge(checkout, stripe, None, 0, "dns", lookups=44, **seen),
            Edge(mail, External("smtp.mail.example"), None, 0, "dns", lookups=9, **seen),
            Edge(catalog, Service("legacy-prices", "shop"), None, 8080, "tcp", attempts=77, **seen),
            Edge(metrics, catalog, None, 9090, "tcp", attempts=120, **seen),
            Edge(metrics, front, None, 9090, "tcp", connections=5760, **seen),
            Edge(report, Ambiguous((postgres, redis)), None, 5432, "tcp", connections=3, **seen),
            Edge(report, postgres, dialled(postgres), 0, "dns", lookups=6, **seen),
        ]
    )


def _sizes(workloads: int, namespaces: int) -> list[int]:
    """How many workloads each namespace has: at least one, and few have most."""
    weights = [(rank + 1) ** -SKEW for rank in range(namespaces)]
    spare = workloads - namespaces
    sizes = [1 + int(spare * weight / sum(weights)) for weight in weights]
    for rank in range(workloads - sum(sizes)):
        sizes[rank % namespaces] += 1
    return sizes


class _Maker:
    """Draws edges until there are enough."""

    def __init__(self, workloads: int, namespaces: int, edges: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._wanted = edges
        self._found: dict[tuple[object, ...], Edge] = {}
        more = (f"team-{number:02}" for number in itertools.count(1))
        names = list(itertools.islice(itertools.chain(TEAMS, more), namespaces))
        self._random.shuffle(names)
        self._homes: dict[str, list[Workload]] = {}
        for name, size in zip(names, _sizes(workloads, namespaces), strict=True):
            roles = list(itertools.islice(itertools.chain(ROLES, (f"task-{n:03}" for n in itertools.count(1))), size))
            self._homes[name] = [
                Workload(role, name, "StatefulSet" if role in {"db", "cache"} else "Deployment") for role in roles
            ]
        self._all = [item for members in self._homes.values() for item in members]
        self._friends = {name: self._random.sample(names, min(4, namespaces)) for name in names}

    @property
    def full(self) -> bool:
        return len(self._found) >= self._wanted

    def _edge(self, client: Workload | Node, server: Peer, *, port: int = 0) -> None:
        """One more way from client to server, and sometimes the lookup that went before."""
        if self.full or client == server:
            return
        named = server if isinstance(server, Workload) else None
        service = ServiceRef(named.name, named.namespace) if named else None
        number = port or PORTS[sum(str(server).encode()) % len(PORTS)]
        first = NOW - self._random.randrange(HOUR, 48 * HOUR)
        times = {"first_seen": first, "last_seen": NOW - self._random.randrange(HOUR)}
        count = int(self._random.paretovariate(0.8))
        draw = self._random.random()
        if draw < 0.06:
            edge = Edge(client, server, service, 0, "dns", lookups=count, **times)
        elif draw < 0.09:
            edge = Edge(client, server, service, number, "tcp", attempts=count, **times)
        elif draw < 0.14 and named:
            details = {f"/v1/{named.name}/{{id}}": ["GET", "POST"], "/healthz": ["GET"]}
            edge = Edge(client, server, service, 0, "http", requests=count, details=details, **times)
        else:
            edge = Edge(client, server, service, number, "tcp", connections=count, **times)
            if draw < 0.22 and len(self._found) + 1 < self._wanted:
                self._keep(Edge(client, server, service, 0, "dns", lookups=1 + count // 9, **times))
        self._keep(edge)

    def _keep(self, edge: Edge) -> None:
        self._found[edge.client, edge.server, edge.service, edge.port, edge.protocol] = edge

    def _outside(self, client: Workload) -> None:
        domain = self._random.choice(DOMAINS)
        self._edge(client, External(f"api{self._random.randrange(12)}.{domain}"), port=443)

    def _away(self, client: Workload) -> None:
        members = self._homes[self._random.choice(self._friends[client.namespace])]
        self._edge(client, members[int(len(members) * self._random.random() ** 2)])

    def _home(self, client: Workload) -> None:
        self._edge(client, self._random.choice(self._homes[client.namespace]))

    def make(self) -> list[Edge]:
        for members in self._homes.values():
            for client, server in zip(members[:3], [*members[1:3], members[0]], strict=True):
                self._edge(client, server)
        for client in self._all:
            self._home(client)
        hubs = [members[0] for members in list(self._homes.values())[-2:]]
        for hub, share in zip(hubs, (3, 2), strict=False):
            for client in self._random.sample(self._all, len(self._all)):
                if len(self._found) * share < self._wanted and self._random.random() < 0.9:
                    self._edge(client, hub)
        for number in range(max(1, self._wanted // 400)):
            client = self._random.choice(self._all)
            self._edge(Node(f"node-{number % 20:02}"), client)
            self._edge(client, Ambiguous(tuple(self._random.sample(self._all, min(2, len(self._all))))))
        ways = (self._home, self._away, self._outside)
        for _ in range(self._wanted * 50):
            if self.full:
                break
            client = self._all[int(len(self._all) * self._random.random())]
            self._random.choices(ways, (60, 34, 6))[0](client)
        return list(self._found.values())


def synthetic_map(workloads: int, namespaces: int, edges: int, seed: int = 1) -> MapDocument:
    """A map of so many workloads in so many namespaces.

    It has exactly `edges` edges where that many are possible. A workload that none of them touches is not in the map.
    """
    if not 1 <= namespaces <= workloads:
        raise ValueError("a map needs a namespace, and a workload in each")
    return document(_Maker(workloads, namespaces, edges, seed).make())
