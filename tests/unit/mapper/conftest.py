"""A small cluster, and reports about it."""

import pathlib

import msgspec
import pytest
from cluster_objects import write

from network_mapper.cluster.index import Index
from network_mapper.cluster.snapshot import load
from network_mapper.mapper.state import State


@pytest.fixture
def snapshot(tmp_path: pathlib.Path) -> pathlib.Path:
    return write(tmp_path / "cluster")


@pytest.fixture
def index(snapshot) -> Index:
    index = Index("cluster.local")
    load(snapshot, take=index.apply)
    return index


@pytest.fixture
def state(index) -> State:
    state = State(index, max_edges=1000)
    state.store, state.epoch = "test", 1
    return state


@pytest.fixture
def edges(state):
    """The map as plain tuples: who, how -> connections, attempts, lookups, sockets."""

    def read():
        found = {}
        for entry in state.graph.in_order():
            edge = entry.edge
            key = (label(edge.client), label(edge.server), edge.service and edge.service.name, edge.port, edge.protocol)
            found[key] = (edge.connections, edge.attempts, edge.lookups, edge.sockets)
        return found

    return read


def label(peer) -> str:
    if hasattr(peer, "candidates"):
        return "|".join(label(candidate) for candidate in peer.candidates)
    kind = msgspec.structs.asdict(peer).get("kind", type(peer).__name__)
    return f"{kind}:{peer.name}"
