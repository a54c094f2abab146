import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from network_mapper.capture.addresses import address_text


@given(st.binary(min_size=4, max_size=4))
def test_an_ipv4_address_is_written_as_python_does(raw):
    assert address_text(raw) == str(ipaddress.IPv4Address(raw))


@given(st.binary(min_size=16, max_size=16))
@example(bytes(16))
@example(bytes(15) + b"\x01")
@example(bytes(12) + b"\x01\x02\x00\x00")
@example(bytes(12) + b"\x01\x02\x03\x04")
@example(bytes.fromhex("20010db8000000000001000000000001"))
def test_an_ipv6_address_is_written_as_rfc_5952_says(raw):
    address = ipaddress.IPv6Address(raw)
    assert address_text(raw) == str(address.ipv4_mapped or address)


@pytest.mark.parametrize("text", ["10.0.0.1", "0.0.0.0", "255.255.255.255"])
def test_a_mapped_address_is_the_ipv4_address(text):
    assert address_text(ipaddress.IPv6Address(f"::ffff:{text}").packed) == text
