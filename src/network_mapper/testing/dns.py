"""As much DNS as the lab speaks: questions for addresses, and a cluster's answers to them (RFC 1035, RFC 3596).

It is written apart from the sniffer's decoder on purpose: a mistake shared by both sides would hide itself. Standard
library only, because every pod's program imports it. Messages that are not well-formed raise ValueError.
"""

from __future__ import annotations

import socket
import struct

A = 1
CNAME = 5
SOA = 6
AAAA = 28

NOERROR = 0
NXDOMAIN = 3
NOTIMP = 4

_HEADER = struct.Struct("!6H")
_TTL = 30
_POINTER_TO_QUESTION = b"\xc0\x0c"


def encode_name(name: str) -> bytes:
    """Write a name as labels; the final dot may be left out."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(ident: int, name: str, qtype: int) -> bytes:
    """Write a recursive query for one name and type."""
    return _HEADER.pack(ident, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!2H", qtype, 1)


def _skip_name(message: bytes, at: int) -> int:
    while True:
        if at >= len(message):
            raise ValueError("name beyond the end")
        length = message[at]
        if length == 0:
            return at + 1
        if length & 0xC0:
            return at + 2
        at += 1 + length


def read_question(message: bytes) -> tuple[str, int, int]:
    """Read a query's name (lower case, no final dot), its type, and where the question ends."""
    if len(message) < 17 or message[2] & 0x80 or message[4:6] != b"\0\1":
        raise ValueError("no query with one question")
    end = _skip_name(message, 12)
    if end + 4 > len(message):
        raise ValueError("question cut short")
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii"))
        at += 1 + message[at]
    return ".".join(labels).lower(), struct.unpack_from("!H", message, end)[0], end + 4


def answer(query: bytes, records: dict[str, list[str]], domain: str) -> bytes:
    """Answer a query as a cluster's DNS server does.

    Args:
        query: The message that came in.
        records: Addresses of both families by name; an entry that is no address is the name's CNAME.
        domain: The zone that is answered for with authority.
    """
    name, qtype, end = read_question(query)
    found: list[bytes] = []
    owner, current = _POINTER_TO_QUESTION, name
    while len(found) < 8 and (entries := records.get(current)) and not _is_address(entries[0]):
        target = encode_name(entries[0])
        found.append(owner + struct.pack("!HHIH", CNAME, 1, _TTL, len(target)) + target)
        owner, current = target, entries[0]
    addresses = records.get(current)
    for text in addresses or ():
        if (":" in text) == (qtype == AAAA) and qtype in (A, AAAA):
            packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
            found.append(owner + struct.pack("!HHIH", qtype, 1, _TTL, len(packed)) + packed)
    authority = b""
    if not found:
        start = encode_name(f"ns.dns.{domain}") + encode_name(f"hostmaster.{domain}")
        soa = start + struct.pack("!5I", 1_700_000_000, 7200, 1800, 86400, _TTL)
        authority = encode_name(domain) + struct.pack("!HHIH", SOA, 1, _TTL, len(soa)) + soa
    code = NOERROR if found or addresses else NXDOMAIN
    # Response, authoritative, recursion available; "recursion desired" is copied.
    flags = 0x8480 | (query[2] & 1) << 8 | code
    ident = struct.unpack_from("!H", query)[0]
    header = _HEADER.pack(ident, flags, 1, len(found), 1 if authority else 0, 0)
    return header + query[12:end] + b"".join(found) + authority


def _is_address(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()


def read_answer(message: bytes) -> tuple[int, int, list[str]]:
    """Read an answer's id, its code (RFC 1035 RCODE) and all addresses in it, whatever names they stand under."""
    try:
        ident, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        at = 12
        for _ in range(questions):
            at = _skip_name(message, at) + 4
        addresses = []
        for _ in range(answers):
            at = _skip_name(message, at)
            kind, _, _, length = struct.unpack_from("!HHIH", message, at)
            at += 10
            if kind in (A, AAAA):
                packed = message[at : at + length]
                addresses.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, packed))
            at += length
    except struct.error:
        raise ValueError("answer cut short") from None
    return ident, flags & 0xF, addresses
