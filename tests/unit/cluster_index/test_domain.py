from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.cluster.domain import cluster_domain, detect


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n", "cluster.local"),
        ("nameserver 10.96.0.10\nsearch shop.svc.k8s.corp svc.k8s.corp k8s.corp corp.example\n", "k8s.corp"),
        ("search SHOP.svc.Cluster.Local. svc.cluster.local.\n", "cluster.local"),
        ("search svc.cluster.local cluster.local\n", "cluster.local"),
        ("search shop.svc.cluster.local cluster.local\n", "cluster.local"),
        ("search\tshop.svc.internal\tsvc.internal\tinternal", "internal"),
        ("search eu.example.org shop.svc.a.b svc.a.b a.b", "a.b"),
        ("search a.svc.x svc.x x\nsearch b.svc.y svc.y y\n", "y"),
        ("search svc.svc.cluster.local svc.cluster.local cluster.local", "cluster.local"),
    ],
)
def test_the_domain_is_what_the_kubelet_wrote(text, domain):
    assert cluster_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        "search\n",
        "search example.org\n",
        "search svc.example.org\n",
        "search shop.svc.example.org\n",
        "search shop.svc. svc. .\n",
        "#search a.svc.b svc.b b\n",
        "domain cluster.local\nnameserver 10.96.0.10\n",
        "search a.svc.x svc.x b.svc.y svc.y\n",
        "search a.svc.x_y svc.x_y x_y\n",
        "search a.svc.-x svc.-x\n",
    ],
)
def test_a_domain_that_cannot_be_told_is_none(text):
    assert cluster_domain(text) is None


@given(st.text(alphabet="sevarch. \n#1-", max_size=80))
def test_any_text_names_a_domain_or_none(text):
    found = cluster_domain("search " + text)
    assert found is None or found in text.lower()


def test_the_domain_is_read_from_a_file(tmp_path):
    file = tmp_path / "resolv.conf"
    assert detect(file) is None
    file.write_bytes(b"\xff\xfe\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\n")
    assert detect(file) == "cluster.local"
    assert detect(tmp_path) is None
