"""A small map with every kind of peer and of evidence."""

from __future__ import annotations

import pytest

from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

SECOND = 1_000
NOW = 1_800_000_000_000


def shop(name: str, kind: str = "Deployment") -> Workload:
    return Workload(name, "shop", kind)


@pytest.fixture
def edges() -> list[Edge]:
    db = Workload("postgres", "db", "StatefulSet")
    cache = Service("cache", "shop")
    return [
        Edge(
            shop("frontend"), shop("ads"), ServiceRef("ads", "shop"), 80, "tcp", 3, 1, 0, 2, NOW - 90_000, NOW - 5_000
        ),
        Edge(shop("frontend"), shop("ads"), ServiceRef("ads", "shop"), 0, "dns", 0, 0, 7, 0, NOW - 95_000, NOW - 6_000),
        Edge(shop("frontend"), db, ServiceRef("postgres", "db"), 5432, "tcp", connections=9, last_seen=NOW),
        Edge(shop("frontend"), cache, None, 6379, "tcp", attempts=4, last_seen=NOW),
        Edge(shop("checkout"), External("api.example.com"), None, 0, "dns", lookups=2, last_seen=NOW),
        Edge(shop("checkout"), Node("node-a"), None, 10250, "tcp", sockets=1, last_seen=NOW),
        Edge(shop("checkout"), Ambiguous((shop("old"), db)), None, 80, "tcp", 1, last_seen=NOW),
        Edge(Node("node-a"), shop("frontend"), None, 8080, "tcp", 12, last_seen=NOW),
        Edge(External("203.0.113.0/24"), shop("frontend"), None, 8080, "tcp", 5, last_seen=NOW),
    ]
