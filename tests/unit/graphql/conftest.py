"""A door with fakes behind it."""

import asyncio
import json

import pytest

from network_mapper.mapper.graphql import Door, Request, Seams, Switches
from network_mapper.model import Service, Workload

NOW = 1_749_544_116_000
JSON = "application/json"


class Cluster:
    """Names of a cluster, for the door."""

    def __init__(self):
        self.labels = {}
        self.annotated = set()
        self.versions = {"Deployment": ("apps", "v1"), "Pod": ("", "v1")}
        self.backends = {}

    def labels_of(self, workload: Workload) -> dict[str, str]:
        return self.labels.get(workload, {})

    def is_named_by_annotation(self, workload: Workload) -> bool:
        return workload in self.annotated

    def version_of(self, kind: str) -> tuple[str, str] | None:
        return self.versions.get(kind)

    def backends_of(self, service: Service) -> tuple[Workload, ...]:
        return self.backends.get(service, ())


class Behind:
    """A door, what is behind it, and what came through."""

    def __init__(self, switches=None, by_address=None):
        self.cluster = Cluster()
        self.edges = []
        self.taken = []
        self.drops = {}
        self.resets = 0
        self.error = None
        seams = Seams(
            self._take, self._reset, lambda: self.edges, self.cluster, lambda: NOW, switches or Switches(), by_address
        )
        self.door = Door(seams)

    async def _take(self, clients, base, drops):
        if self.error is not None:
            raise self.error
        self.taken.append((clients, base))
        for reason, count in drops.items():
            self.drops[reason] = self.drops.get(reason, 0) + count

    async def _reset(self):
        if self.error is not None:
            raise self.error
        self.resets += 1

    def send(self, method="POST", query="", content_type=JSON, body=b""):
        return asyncio.run(self.door.handle(Request(method, query, content_type, body)))

    def ask(self, document, variables=None, operation=None):
        """Status and content of the answer to a document."""
        content = {"query": document}
        if variables is not None:
            content["variables"] = variables
        if operation is not None:
            content["operationName"] = operation
        reply = self.send(body=json.dumps(content).encode())
        return reply.status, json.loads(reply.body)

    def data(self, document, variables=None):
        """The data of an answer without errors."""
        status, content = self.ask(document, variables)
        assert status == 200, content
        assert content.keys() == {"data"}
        return content["data"]

    @property
    def clients(self):
        """Every client that was taken, by address; each may come once."""
        clients = [client for batch, _ in self.taken for client in batch]
        by_address = {client.address: client for client in clients}
        assert len(by_address) == len(clients)
        return by_address


@pytest.fixture
def behind():
    return Behind()


@pytest.fixture
def behind_with():
    return Behind
