from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.testing.plan import make_plan
from network_mapper.testing.topology import BOUTIQUE, TopologyError, check, load, random_topology

HEAD = "namespace: shop\nnodes: [a, b]\n"
DATABASE = "workloads: [{name: db, ports: [{port: 5432, target: 6432}]}, {name: web}]\n"


def test_the_boutique_calls_what_the_online_boutique_calls():
    shop = load(BOUTIQUE)
    called: dict[str, list[str]] = {}
    for call in shop.calls:
        called.setdefault(call.client, []).append(call.server)
    assert called == {
        "cartservice": ["redis-cart"],
        "checkoutservice": [
            "cartservice",
            "currencyservice",
            "emailservice",
            "paymentservice",
            "productcatalogservice",
            "shippingservice",
        ],
        "frontend": [
            "adservice",
            "cartservice",
            "checkoutservice",
            "currencyservice",
            "productcatalogservice",
            "recommendationservice",
            "shippingservice",
        ],
        "loadgenerator": ["frontend"],
        "recommendationservice": ["productcatalogservice"],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + DATABASE + "calls: [{client: web, server: nobody}]", "no workload is called 'nobody'"),
        (HEAD + DATABASE + "calls: [{client: web, server: db, port: 1}]", "db has no port 1, which web calls"),
        (HEAD + DATABASE + "calls: [{client: db, server: web}]", "web has no port at all, which db calls"),
        (HEAD + DATABASE + "calls: [{client: web, server: other/db}]", "no workload is called 'other/db'"),
        (HEAD + "workloads: [{name: db}, {name: db}]", "two workloads are called 'db' in namespace 'shop'"),
        (HEAD + "workloads: [{name: db, nodes: [c]}]", "wants node 'c', which does not exist"),
        (HEAD + "workloads: [{name: Db}]", "$.workloads[0].name"),
        (HEAD + "workloads: [{name: db, replica: 2}]", "unknown field `replica`"),
        (HEAD + "workloads: [{name: db, ports: [{port: 70000}]}]", "$.workloads[0].ports[0].port"),
        ("namespace: shop\nnodes: []\nworkloads: []", "$.nodes"),
        ("namespace: shop\nnodes: [a, a]\nworkloads: []", "two nodes have the same name"),
        ("workloads: [", "mine.yaml"),
        ("\x00", "mine.yaml"),
        ("", "Expected `object`"),
        (
            HEAD + "workloads: [{name: db, ports: [{port: 1}], service: none}]\ncalls: [{client: db, server: db}]",
            "calls db via name, but that has no service",
        ),
        (
            HEAD
            + "workloads: [{name: db, ports: [{port: 1}], service: headless}]\n"
            + "calls: [{client: db, server: db, via: service}]",
            "via its service address, but that is headless",
        ),
    ],
)
def test_what_cannot_be_built_is_explained(tmp_path, text, expected):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TopologyError) as raised:
        load(path)
    assert expected in str(raised.value)
    assert "mine.yaml" in str(raised.value)


def test_a_file_that_does_not_exist_is_explained(tmp_path):
    with pytest.raises(TopologyError, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")


def test_a_call_names_the_pods_port_where_the_pod_is_dialled(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + DATABASE + "calls: [{client: web, server: db, port: 6432, via: pod}]")
    shop = load(path)
    assert shop.port_of(shop.calls[0]).port == 5432


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 4))
def test_a_random_topology_can_be_built_and_repeated(seed, workloads, nodes):
    made = random_topology(seed, workloads, nodes)
    assert check(made) == random_topology(seed, workloads, nodes)
    assert len(made.workloads) == workloads
    assert make_plan(made).pods
