"""Maps for the tests of exports: the model's tutorial, one with every kind of edge, and one with hostile names."""

from __future__ import annotations

from network_mapper.export.pairs import sort_key
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload
from network_mapper.wire.api import MapDocument, WorkloadRow

NOW = 1_800_000_000_000
API = Service("kubernetes", "default")
API_REF = ServiceRef("kubernetes", "default")

HOSTILE = (
    "true",
    "no",
    "123",
    "1e3",
    "0x1f",
    "1:30",
    "2027-01-15",
    "~",
    "null",
    "-rf",
    "- item",
    "? key",
    "a: b",
    "a #b",
    "#b",
    "{id}",
    "[1]",
    "*",
    "&a",
    "!tag",
    "|",
    ">",
    "'quoted'",
    '"double"',
    "%40",
    "@at",
    "`tick`",
    " leading",
    "trailing ",
    "trailing:",
    "two\nlines",
    "tab\there",
    "\x1b[31mred",
    "a\\b",
    "ünïcode-名前-🚀",
    "nel\x85 bom\ufeff ls\u2028",
    "---",
    "...",
    "=cmd|' /C calc'!A0",
    "a/b:c*d?e",
    "con",
    "x" * 300,
    "UPPER_case",
    "dots.in.name",
)
"""Texts that mean something to YAML, terminals, spreadsheets, file systems or Kubernetes."""


def document(edges: list[Edge], labels: dict[str, dict[str, str]] | None = None) -> MapDocument:
    """A mapper's answer; `labels` are those of workloads by name."""
    ends = {peer for edge in edges for peer in (edge.client, edge.server) if isinstance(peer, Workload)}
    rows = [
        WorkloadRow(end.name, end.namespace, end.kind, 1, (labels or {}).get(end.name, {}))
        for end in sorted(ends, key=sort_key)
    ]
    return MapDocument("map-1", 1, NOW - 300_000, NOW, 0, 0, edges, workloads=rows)


def deployment(name: str, namespace: str = "shop") -> Workload:
    """A Deployment."""
    return Workload(name, namespace, "Deployment")


def tcp(client: object, server: object, port: int = 80, service: ServiceRef | None = None, **counts: int) -> Edge:
    """An edge that was connected to, unless counts say otherwise."""
    counts = counts or {"connections": 3}
    return Edge(client, server, service, port, "tcp", first_seen=NOW - 60_000, last_seen=NOW - 1_000, **counts)


def asked(client: object, server: object, protocol: str, **details: list[str]) -> Edge:
    """An edge of requests."""
    return Edge(client, server, None, 0, protocol, requests=2, last_seen=NOW, details=details)


def looked_up(client: object, server: object, service: ServiceRef | None = None) -> Edge:
    """An edge that is known from DNS."""
    return Edge(client, server, service, 0, "dns", lookups=2, last_seen=NOW)


def documented() -> list[Edge]:
    """The edges behind the layouts of the model's description."""
    client = deployment("client", "ns1")
    web, kafka = deployment("web", "other-ns"), Workload("kafka", "kafka", "StatefulSet")
    return [
        tcp(client, deployment("server", "ns1")),
        tcp(client, web),
        Edge(client, web, None, 0, "http", requests=3, details={"/a": ["GET", "POST"], "/b": ["ALL"]}),
        tcp(client, API, 443, API_REF),
        tcp(client, kafka, 9092),
        asked(client, kafka, "kafka", mytopic=["CONSUME", "DESCRIBE"]),
        tcp(deployment("api", "ns1"), deployment("client", "ns1")),
    ]


def everything() -> list[Edge]:
    """One edge of every kind that the map can hold."""
    cart, twin = deployment("cart"), Workload("cart", "shop", "CronJob")
    db, dotted = Workload("redis", "db", "StatefulSet"), deployment("search.v2")
    return [
        *documented(),
        tcp(cart, db, 6379, ServiceRef("redis", "db")),
        looked_up(cart, db, ServiceRef("redis", "db")),
        tcp(twin, db, 6379),
        tcp(deployment("orders"), cart),
        tcp(deployment("orders"), twin),
        Edge(deployment("orders"), cart, ServiceRef("cart", "shop"), 0, "http", requests=1, details={"/%7B": ["HEAD"]}),
        tcp(cart, dotted),
        tcp(dotted, Service("cache", "shop"), 6379),
        tcp(cart, deployment("gone"), attempts=4),
        looked_up(cart, deployment("asked", "db")),
        tcp(cart, External("api.example.com"), 443),
        tcp(cart, External("api.example.com"), 8443),
        looked_up(cart, External("www.example.org")),
        tcp(cart, External("203.0.113.0/24"), 25),
        tcp(cart, External("2001:db8::/56"), 443),
        asked(
            cart, External("arn:aws:s3:::bucket/*"), "aws", actions=["s3:GetObject"], iamRole=["arn:aws:iam::1:role/x"]
        ),
        asked(cart, External("projects/x/buckets/y"), "gcp", permissions=["storage.objects.get"]),
        asked(cart, External("/subscriptions/1/x"), "azure", actions=["a/read"], dataActions=["b/read"]),
        asked(cart, Workload("kafka", "kafka", "StatefulSet"), "kafka", clicks=["PRODUCE", "WHATEVER"], none=[]),
        tcp(cart, Node("node-a"), 10250),
        tcp(cart, Ambiguous((db, deployment("old"))), 80),
        Edge(cart, db, None, 0, "ip", bytes=900, flows=2, last_seen=NOW),
        tcp(API, deployment("webhook", "system"), 443),
        tcp(Node("node-a"), cart),
        tcp(External("198.51.100.0/24"), cart),
        tcp(Ambiguous((db, dotted)), cart),
    ]


def hostile() -> list[Edge]:
    """Every hostile text as the name of a client, a server, a path, a topic, a service, and something outside."""
    edges = []
    for text in HOSTILE:
        client = deployment(text)
        edges += [
            tcp(client, Workload(text, "db", text)),
            tcp(client, Service(text, "db")),
            asked(client, deployment("web"), "http", **{text: ["GET", text]}),
            asked(client, deployment("kafka"), "kafka", **{text: ["CONSUME", text]}),
            tcp(client, External(text)),
            asked(client, External(text), "aws", actions=[text]),
        ]
    return edges
