from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.cluster.names import MISSING, OUTSIDE, AddressName, ServiceName, parse


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.shop.svc.cluster.local", ServiceName("shop", "web", "")),
        ("WEB.Shop.svc.Cluster.Local.", ServiceName("shop", "web", "")),
        ("web-0.web.shop.svc.cluster.local", ServiceName("shop", "web", "web-0")),
        ("10-0-0-1.web.shop.svc.cluster.local", ServiceName("shop", "web", "10-0-0-1")),
        ("_http._tcp.web.shop.svc.cluster.local", ServiceName("shop", "web", "")),
        ("10-0-0-1.shop.pod.cluster.local", AddressName("10.0.0.1")),
        ("2001-db8--1.shop.pod.cluster.local", AddressName("2001:db8::1")),
        ("--1.shop.pod.cluster.local", AddressName("::1")),
    ],
)
def test_in_cluster_names_are_read(name, expected):
    assert parse(name, "cluster.local") == expected


@pytest.mark.parametrize(
    "name",
    [
        *(
            "cluster.local",
            "svc.cluster.local",
            "shop.svc.cluster.local",
            "pod.cluster.local",
            "shop.pod.cluster.local",
        ),
        *("a.b.web.shop.svc.cluster.local", "x.shop.pod.cluster.local", "web.shop.other.cluster.local"),
        *(".cluster.local", "..svc.cluster.local", "web..svc.cluster.local", "1-2-3-4.a.b.pod.cluster.local"),
    ],
)
def test_names_under_the_domain_that_mean_nothing_are_missing(name):
    assert parse(name, "cluster.local") is MISSING


@pytest.mark.parametrize("name", ["", ".", "mycluster.local", "web.shop.svc", "example.org", "cluster.local.org"])
def test_the_domain_matches_at_a_label_only(name):
    assert parse(name, "cluster.local") is OUTSIDE


@given(
    st.text(alphabet="ab-_.1", max_size=40),
    st.sampled_from(["", "cluster.local", ".cluster.local", ".pod.cluster.local"]),
)
def test_no_name_raises(name, ending):
    parse(name + ending, "cluster.local")
