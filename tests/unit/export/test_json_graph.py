import json

import pytest
from export_maps import NOW, deployment, document, everything, hostile, tcp
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export.json_graph import identifier, is_earlier, to_json_graph
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

# The format's fields and their types, https://jsongraphformat.info/v2.0/json-graph-schema.json
GRAPH = {"id": str, "label": str, "directed": bool, "type": str, "metadata": dict, "nodes": dict, "edges": list}
NODE = {"label": str, "metadata": dict}
EDGE = {
    "id": str,
    "source": str,
    "target": str,
    "relation": str,
    "directed": bool,
    "label": str,
    "metadata": dict,
}


def graph(edges):
    content = json.loads(to_json_graph(document(edges), edges))
    assert content.keys() == {"graph"}
    return content["graph"]


def has_fields(value, known):
    return isinstance(value, dict) and all(isinstance(item, known.get(key, ())) for key, item in value.items())


def test_it_is_the_json_graph_format():
    found = graph([*everything(), *hostile()])
    assert has_fields(found, GRAPH)
    assert all(has_fields(node, NODE) for node in found["nodes"].values())
    assert all(has_fields(edge, EDGE) and {"source", "target"} <= edge.keys() for edge in found["edges"])


def test_every_edge_joins_two_nodes_and_every_node_has_an_edge():
    edges = [*everything(), *hostile()]
    found = graph(edges)
    ends = {edge[end] for edge in found["edges"] for end in ("source", "target")}
    assert ends == found["nodes"].keys()
    assert len(found["edges"]) == len(edges)
    assert len(found["nodes"]) == len({peer for edge in edges for peer in (edge.client, edge.server)})


def test_an_edge_says_all_that_it_does_in_the_map():
    edge = Edge(
        deployment("cart"),
        Node("node-a"),
        ServiceRef("x", "y"),
        80,
        "tcp",
        connections=1,
        attempts=2,
        lookups=3,
        sockets=4,
        first_seen=NOW,
        last_seen=0,
        requests=5,
        bytes=6,
        flows=7,
        details={"/a": ["GET"]},
    )
    found = graph([edge])
    assert found["nodes"] == {
        "node:node-a": {"label": "node node-a", "metadata": {"type": "node", "name": "node-a"}},
        "workload:shop/Deployment/cart": {
            "label": "shop/cart",
            "metadata": {"type": "workload", "name": "cart", "namespace": "shop", "kind": "Deployment"},
        },
    }
    assert found["edges"] == [
        {
            "source": "workload:shop/Deployment/cart",
            "target": "node:node-a",
            "relation": "calls",
            "metadata": {
                "service": {"name": "x", "namespace": "y"},
                "port": 80,
                "protocol": "tcp",
                "connections": 1,
                "attempts": 2,
                "lookups": 3,
                "sockets": 4,
                "requests": 5,
                "bytes": 6,
                "flows": 7,
                "first_seen": "2027-01-15T08:00:00.000Z",
                "last_seen": None,
                "details": {"/a": ["GET"]},
            },
        }
    ]


def test_the_order_of_the_edges_does_not_matter():
    edges = everything()
    assert graph(edges) == graph(edges[::-1])


def test_nothing_is_a_graph_without_nodes():
    found = graph([])
    assert (found["nodes"], found["edges"]) == ({}, [])


names = st.text(alphabet="ab/%|:", max_size=4)
single = st.one_of(st.builds(Workload, names, names, names), st.builds(Node, names), st.builds(Service, names, names))
peers = single | st.builds(External, names) | st.builds(Ambiguous, st.lists(single, max_size=3).map(tuple))


@given(peers, peers)
def test_different_peers_have_different_identifiers(one, other):
    assert (identifier(one) == identifier(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Workload("b/c", "a", "K"), Workload("c", "a/K", "b")),
        (Workload("K/c", "a", "b"), Workload("c", "a/b", "K")),
        (Service("b/c", "a"), Service("c", "a/b")),
        (Service("b/c", "a"), Service("b%2Fc", "a")),
        (Ambiguous((Node("a"), Node("b"))), Ambiguous((Node("a|node:b"),))),
    ],
)
def test_separators_in_names_make_no_two_peers_alike(one, other):
    assert identifier(one) != identifier(other)


def test_an_earlier_graph_is_known_by_its_beginning():
    content = to_json_graph(document([]), [tcp(deployment("a"), deployment("b"))])
    assert content.endswith(b"}\n")
    assert is_earlier(content[:4096])
    assert is_earlier(content.replace(b"\n", b"\r\n"))
    assert not is_earlier(b'{\n  "graph": {}\n}')
