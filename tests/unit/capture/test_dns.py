import contextlib
import ipaddress

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_craft import answer, question

from network_mapper.capture.dns import MAX_ADDRESSES, NXDOMAIN, DnsError, decode, name_text

HEADER = bytes.fromhex("004d 8180 0001 0001 0000 0000")
QUESTION = b"\x03api\x04shop\x00\x00\x01\x00\x01"

# A few labels, so that names collide, nest and compress; a few of them odd.
label = st.sampled_from([b"a", b"A", b"api", b"Shop", b"x" * 63, b"\x00", b"do.t", b"\\", b"\xffz", b"_tcp", b" "])
name = st.lists(label, min_size=0, max_size=3).map(lambda labels: dns.name.Name([*labels, b""]))
address = st.tuples(st.just("A"), st.sampled_from(["10.0.0.1", "10.0.0.2", "192.0.2.9"]))
address6 = st.tuples(st.just("AAAA"), st.sampled_from(["2001:db8::1", "::ffff:10.0.0.1", "::"]))
other = st.sampled_from([("TXT", '"hello"'), ("MX", "10 mail.example."), ("SRV", "0 0 53 target.example.")])


@st.composite
def messages(draw):
    """A question, and records about it and a few other names."""
    names = draw(st.lists(name, min_size=1, max_size=4))
    alias = st.tuples(st.just("CNAME"), st.sampled_from(names))
    record = st.tuples(st.sampled_from(names), st.one_of(address, address6, alias, alias, other))
    return names[0], draw(st.lists(record, max_size=8))


def cname(target):
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.CNAME, target.to_wire(), 0, len(target.to_wire()))


def expected_addresses(message):
    """What dnspython's own reading of a message leads to."""
    owners = {message.question[0].name}
    while True:
        found = {
            item.target
            for entry in message.answer
            if entry.name in owners and entry.rdtype == dns.rdatatype.CNAME
            for item in entry
        }
        if found <= owners:
            break
        owners |= found
    texts = {
        ipaddress.ip_address(item.address)
        for entry in message.answer
        if entry.name in owners and entry.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
        for item in entry
    }
    return {str(getattr(each, "ipv4_mapped", None) or each) for each in texts}


@settings(max_examples=300)
@given(messages(), st.sampled_from(["A", "AAAA", "SRV"]), st.sampled_from([0, 2, 3, 5]))
def test_a_valid_answer_reads_as_dnspython_reads_it(content, kind, rcode):
    asked, records = content
    message = dns.message.make_response(dns.message.make_query(asked, kind))
    message.set_rcode(rcode)
    for owner, (rtype, data) in records:
        rdata = cname(data) if rtype == "CNAME" else dns.rdata.from_text("IN", rtype, data)
        message.answer.append(dns.rrset.from_rdata(owner, 30, rdata))
    wire = message.to_wire()
    oracle = dns.message.from_wire(wire, one_rr_per_rrset=True)

    decoded = decode(wire)

    assert decoded.is_answer
    assert decoded.rcode == oracle.rcode()
    assert decoded.kind == oracle.question[0].rdtype
    assert decoded.question[:-4] == oracle.question[0].name.to_digestable()
    assert len(decoded.addresses) == len(set(decoded.addresses))
    assert set(decoded.addresses) == expected_addresses(oracle)


@given(name)
def test_text_of_a_name_reads_back_as_the_same_name(asked):
    text = decode(dns.message.make_query(asked, "A").to_wire()).name
    assert dns.name.from_text(text + ("" if text == "." else ".")) == asked


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(body):
    with contextlib.suppress(DnsError):
        decode(body)
    with contextlib.suppress(DnsError):
        decode(HEADER + body)


@given(st.data())
def test_a_damaged_answer_decodes_or_is_refused(data):
    message = answer(
        question("web.shop.svc.cluster.local."),
        ("web.shop.svc.cluster.local.", "CNAME", "real.shop.svc.cluster.local."),
        ("real.shop.svc.cluster.local.", "A", "10.0.0.1"),
        ("real.shop.svc.cluster.local.", "AAAA", "2001:db8::1"),
    )
    wire = bytearray(message.to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DnsError):
        decode(bytes(wire))


def test_every_cut_of_an_answer_is_refused():
    wire = answer(question(), ("api.shop.svc.cluster.local.", "A", "10.0.0.1")).to_wire()
    for size in range(len(wire)):
        with pytest.raises(DnsError):
            decode(wire[:size])


def test_name_is_lower_case_without_final_dot():
    assert decode(question("API.Shop.svc.Cluster.LOCAL.").to_wire()).name == "api.shop.svc.cluster.local"


def test_root_is_a_dot():
    assert decode(question(".").to_wire()).name == "."


def test_unprintable_bytes_and_dots_in_a_label_are_escaped():
    assert name_text(b"\x05a.b\\\x07\x01\x20\x00") == r"a\.b\\\007.\032"


def test_addresses_are_found_behind_aliases_in_any_order():
    message = answer(
        question("a.example."),
        ("c.example.", "A", "10.0.0.3"),
        ("b.example.", "CNAME", "c.example."),
        ("a.example.", "CNAME", "b.example."),
    )
    decoded = decode(message.to_wire())
    assert (decoded.name, decoded.addresses) == ("a.example", ("10.0.0.3",))


def test_a_record_that_hangs_on_no_chain_is_left_out():
    message = answer(question("a.example."), ("evil.example.", "A", "10.6.6.6"), ("a.example.", "A", "10.0.0.1"))
    assert decode(message.to_wire()).addresses == ("10.0.0.1",)


def test_a_loop_of_aliases_ends():
    message = answer(
        question("a.example."), ("a.example.", "CNAME", "b.example."), ("b.example.", "CNAME", "a.example.")
    )
    assert decode(message.to_wire()).addresses == ()


def test_an_address_of_another_class_is_left_out():
    wire = HEADER + QUESTION + b"\xc0\x0c\x00\x01\x00\x03\x00\x00\x00\x1e\x00\x04\x0a\x00\x00\x01"
    assert decode(wire).addresses == ()


def test_rotated_answers_are_equal():
    first = answer(question(), *[("api.shop.svc.cluster.local.", "A", f"10.0.0.{n}") for n in (3, 1, 2)])
    second = answer(question(), *[("api.shop.svc.cluster.local.", "A", f"10.0.0.{n}") for n in (2, 3, 1)])
    assert decode(first.to_wire()) == decode(second.to_wire())


def test_many_addresses_are_cut_to_a_bound():
    message = answer(
        question(), *[("api.shop.svc.cluster.local.", "A", f"10.0.{n // 250}.{n % 250}") for n in range(300)]
    )
    assert len(decode(message.to_wire(max_size=65535)).addresses) == MAX_ADDRESSES


def test_nxdomain_has_its_code_and_no_address():
    decoded = decode(answer(question(), rcode="NXDOMAIN").to_wire())
    assert (decoded.rcode, decoded.addresses) == (NXDOMAIN, ())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xc0\x0c" + QUESTION[-4:], id="pointer to itself"),
        pytest.param(b"\xc0\x0e\xc0\x0c" + QUESTION[-4:], id="two pointers in a circle"),
        pytest.param(b"\xc0\x20" + QUESTION[-4:] + b"\0" * 40, id="forward pointer"),
        pytest.param(b"\xff\xff" + QUESTION[-4:], id="pointer behind the end"),
        pytest.param(b"\x03api\xc0\x0c" + QUESTION[-4:], id="pointer to its own beginning"),
        pytest.param(b"\x40" + b"a" * 64 + b"\0" + QUESTION[-4:], id="label of 64 bytes"),
        pytest.param(b"\x80" + b"a" * 64 + b"\0" + QUESTION[-4:], id="label of an unknown kind"),
        pytest.param((b"\x3f" + b"a" * 63) * 4 + b"\0" + QUESTION[-4:], id="name of 257 bytes"),
        pytest.param((b"\x3f" + b"a" * 63) * 160 + b"\0" + QUESTION[-4:], id="name of 10 kB"),
        pytest.param(b"\x01a" * 5000, id="name without end"),
        pytest.param(QUESTION, id="an answer counted that is not there"),
        pytest.param(QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\xff\xff\x0a\0\0\1", id="record longer than the message"),
        pytest.param(QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\5\x0a\0\0\1\1", id="address of five bytes"),
        pytest.param(
            QUESTION + b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\4\xc0\x0c\0\0", id="alias that does not fill its record"
        ),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(body):
    with pytest.raises(DnsError):
        decode(HEADER + body)


def test_a_pointer_that_leads_forwards_from_where_another_led_is_refused():
    """The owner's pointer leads back to an odd record, and what stands there leads forwards again."""
    odd = QUESTION + b"\0\0\x10\0\1\0\0\0\x1e\0\6"
    place = len(HEADER) + len(odd)
    data = (0xC000 | place + 2).to_bytes(2, "big") + b"\x01a\0\0"
    owner = (0xC000 | place).to_bytes(2, "big")
    wire = HEADER[:6] + b"\0\2" + HEADER[8:] + odd + data + owner + b"\0\1\0\1\0\0\0\x1e\0\4\x0a\0\0\1"
    with pytest.raises(DnsError, match="backwards"):
        decode(wire)


@pytest.mark.parametrize(("pointers", "accepted"), [(100, True), (300, False)])
def test_a_chain_of_pointers_may_be_as_long_as_any_honest_one(pointers, accepted):
    # An odd record carries the chain: each pointer leads to the one before it, the first to the question's name.
    head = HEADER[:6] + b"\0\2" + HEADER[8:] + QUESTION + b"\0\0\x10\0\1\0\0\0\x1e" + (2 * pointers).to_bytes(2, "big")
    chain = b"\xc0\x0c" + b"".join((0xC000 | len(head) + 2 * n).to_bytes(2, "big") for n in range(pointers - 1))
    owner = (0xC000 | len(head) + len(chain) - 2).to_bytes(2, "big")
    wire = head + chain + owner + b"\0\1\0\1\0\0\0\x1e\0\4\x0a\0\0\1"
    if accepted:
        assert decode(wire).addresses == ("10.0.0.1",)
    else:
        with pytest.raises(DnsError):
            decode(wire)


@pytest.mark.parametrize("name_length", [253, 254])
def test_a_name_may_fill_255_bytes_and_no_more(name_length):
    labels = [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * (name_length - 192)]
    wire = b"".join(bytes([len(part)]) + part for part in labels) + b"\0"
    message = b"\0\0\1\0\0\1\0\0\0\0\0\0" + wire + QUESTION[-4:]
    if len(wire) <= 255:
        assert len(decode(message).name) == name_length
    else:
        with pytest.raises(DnsError):
            decode(message)


@pytest.mark.parametrize("flags", [0x2800, 0x9000])
def test_an_opcode_other_than_query_is_refused(flags):
    with pytest.raises(DnsError):
        decode(b"\0\0" + flags.to_bytes(2, "big") + HEADER[4:6] + b"\0" * 6 + QUESTION)


@pytest.mark.parametrize("count", [0, 2])
def test_anything_but_one_question_is_refused(count):
    with pytest.raises(DnsError):
        decode(b"\0\0\1\0" + count.to_bytes(2, "big") + b"\0" * 6 + QUESTION * 2)


def test_damage_behind_the_answers_does_no_harm():
    wire = answer(question(), ("api.shop.svc.cluster.local.", "A", "10.0.0.1")).to_wire()
    wire = wire[:8] + b"\x00\x09\x00\x09" + wire[12:] + b"\xff" * 5
    assert decode(wire).addresses == ("10.0.0.1",)
