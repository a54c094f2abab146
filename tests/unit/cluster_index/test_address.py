from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.cluster.address import canonical, from_dashes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:a00:1", "10.0.0.1"),
        ("::1", "::1"),
        ("0.0.0.0", "0.0.0.0"),
    ],
)
def test_an_address_has_one_text(text, expected):
    assert canonical(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "None", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", " 10.0.0.1", "10.0.0.1/32", "1", "0x7f.1"),
        *("fe80::1%eth0", "::1%", ":::", "1:2:3", "::ffff:10.0.0.256", "10.0.0.1\0", "१.२.३.४", "host", "1" * 10_000),
    ],
)
def test_what_is_no_address_is_none(text):
    assert canonical(text) is None


@given(st.ip_addresses())
def test_every_address_agrees_with_the_standard_library(address):
    expected = getattr(address, "ipv4_mapped", None) or address
    assert canonical(str(address)) == str(expected)
    assert canonical(address.exploded) == str(expected)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text):
    found = canonical(text)
    assert found is None or str(ipaddress.ip_address(found)) == found


@given(st.ip_addresses())
def test_dashes_stand_for_dots_and_colons(address):
    assert from_dashes(address.exploded.replace(".", "-").replace(":", "-")) == canonical(str(address))


@pytest.mark.parametrize("label", ["", "web", "web-0", "1-2-3", "a-b-c-d", "1-2-3-4-5", "-" * 63])
def test_other_labels_are_no_addresses(label):
    assert from_dashes(label) is None
