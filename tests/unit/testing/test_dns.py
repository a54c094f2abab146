"""The lab's DNS against dnspython."""

from __future__ import annotations

import contextlib

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.testing import dns as lab

RECORDS = {
    "web.shop.svc.cluster.local": ["10.96.1.1", "fd00:10:96::1:1"],
    "old.shop.svc.cluster.local": ["10.96.1.2"],
    "alias.shop.svc.cluster.local": ["web.shop.svc.cluster.local"],
}


def _ask(name: str, qtype: int) -> dns.message.Message:
    query = lab.question(4711, name, qtype)
    answer = dns.message.from_wire(lab.answer(query, RECORDS, "cluster.local"))
    assert dns.message.from_wire(query).is_response(answer)
    return answer


def _rows(message: dns.message.Message) -> list[str]:
    return [str(row) for rrset in message.answer for row in rrset]


def test_a_question_is_what_dnspython_would_ask():
    parsed = dns.message.from_wire(lab.question(4711, "web.shop.svc.cluster.local", lab.AAAA))
    assert (parsed.id, parsed.flags) == (4711, dns.flags.RD)
    assert str(parsed.question[0]) == "web.shop.svc.cluster.local. IN AAAA"


@pytest.mark.parametrize(("qtype", "expected"), [(lab.A, ["10.96.1.1"]), (lab.AAAA, ["fd00:10:96::1:1"])])
def test_a_name_is_answered_with_the_addresses_of_that_type(qtype, expected):
    answer = _ask("web.shop.svc.cluster.local", qtype)
    assert answer.rcode() == dns.rcode.NOERROR
    assert _rows(answer) == expected


def test_case_does_not_matter_and_comes_back_as_asked():
    answer = _ask("WEB.shop.SVC.cluster.local", lab.A)
    assert _rows(answer) == ["10.96.1.1"]
    assert str(answer.question[0].name) == "WEB.shop.SVC.cluster.local."


def test_a_name_without_that_type_is_answered_with_nothing_and_a_soa():
    answer = _ask("old.shop.svc.cluster.local", lab.AAAA)
    assert (answer.rcode(), _rows(answer)) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].rdtype == lab.SOA


def test_an_unknown_name_does_not_exist():
    answer = _ask("nobody.shop.svc.cluster.local", lab.A)
    assert (answer.rcode(), _rows(answer)) == (dns.rcode.NXDOMAIN, [])
    assert answer.authority[0].rdtype == lab.SOA


def test_an_alias_is_followed():
    answer = _ask("alias.shop.svc.cluster.local", lab.A)
    assert _rows(answer) == ["web.shop.svc.cluster.local.", "10.96.1.1"]
    assert answer.answer[1].name.to_text() == "web.shop.svc.cluster.local."


def test_dnspythons_answer_is_read():
    query = dns.message.make_query("web.shop.svc.cluster.local", "A", id=99)
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("web.shop.svc.cluster.local.", 30, "IN", "CNAME", "x.example."))
    answer.answer.append(dns.rrset.from_text("x.example.", 30, "IN", "A", "192.0.2.1", "192.0.2.2"))
    ident, code, addresses = lab.read_answer(answer.to_wire())
    # dnspython writes the records of a set in any order.
    assert (ident, code, sorted(addresses)) == (99, lab.NOERROR, ["192.0.2.1", "192.0.2.2"])


@given(st.binary(max_size=80) | st.just(lab.question(1, "a.b", 1)).map(lambda message: message[:-1]))
def test_broken_messages_are_value_errors(message):
    with contextlib.suppress(ValueError):
        lab.read_question(message)
    with contextlib.suppress(ValueError):
        lab.read_answer(message)
