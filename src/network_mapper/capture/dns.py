"""Decodes DNS messages (RFC 1035): which name was asked for, and which addresses were answered.

Only what draws an edge is decoded: the header, the one question, and of the answer section the address and alias
records. The name that counts is the one the client asked for, so addresses are followed from there through the whole
chain of aliases; a record that hangs on no chain is a stranger's and is left out. The bytes come from anybody who can
send a packet, so every length is checked, a compression pointer must lead backwards, and the work is bounded by the
size of the message.
"""

from __future__ import annotations

import struct
from collections import defaultdict

import msgspec

from network_mapper.capture.addresses import address_text

HEADER_SIZE = 12
MAX_NAME = 255
MAX_POINTERS = 127
"""A name has at most 127 labels, so no honest encoder needs more pointers."""
MAX_ADDRESSES = 128
"""More of them add nothing: the edge is drawn by the name."""

NXDOMAIN = 3

_HEADER = struct.Struct("!2xHHH")
_RECORD = struct.Struct("!HH4xH")

_TYPE_A, _TYPE_CNAME, _TYPE_AAAA = 1, 5, 28
_CLASS_IN = 1
_ADDRESS_SIZE = {_TYPE_A: 4, _TYPE_AAAA: 16}

# What a name shows as it is. A dot inside a label and a backslash are escaped (RFC 1035 section 5.1), and so is all
# that is not printable; upper case never comes here.
_SHOWN = {byte: chr(byte) for byte in range(0x21, 0x7F)}
_SHOWN |= {ord("."): "\\.", ord("\\"): "\\\\"}


class DnsError(ValueError):
    """The bytes are no DNS message that we understand; the message says where they stop making sense."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a DNS message says.

    Attributes:
        is_answer: The QR bit.
        rcode: Response code (RFC 1035 section 4.1.1): 0 is success, 3 is NXDOMAIN.
        name: The name asked for: lower case, no final dot, at most 1,020 characters; the root is `.`.
        kind: Type of the record asked for.
        question: The question section in lower case, type and class included: the same for a question and its answer.
        addresses: Every address that the aliases lead to from `name`, each once, in the order of their bytes.
    """

    is_answer: bool
    rcode: int
    name: str
    kind: int
    question: bytes
    addresses: tuple[str, ...]


def decode(message: bytes) -> Message:
    """Decode a whole message, beginning with its identifier.

    Raises:
        DnsError: It is cut short, contradicts itself, or is not a standard query with one question.
    """
    if len(message) < HEADER_SIZE:
        raise DnsError("the header is cut short")
    flags, questions, answers = _HEADER.unpack_from(message)
    if flags & 0x7800:
        raise DnsError("not a standard query")
    if questions != 1:
        raise DnsError(f"{questions} questions instead of one")
    name, offset = _read_name(message, HEADER_SIZE, {})
    fixed = message[offset : offset + 4]
    if len(fixed) < 4:
        raise DnsError("the question is cut short")
    is_answer = bool(flags & 0x8000)
    return Message(
        is_answer=is_answer,
        rcode=flags & 0x000F,
        name=name_text(name),
        kind=int.from_bytes(fixed[:2], "big"),
        question=name + fixed,
        addresses=_addresses(message, offset + 4, answers, name) if is_answer else (),
    )


def name_text(name: bytes) -> str:
    """Write a name in wire format (RFC 1035 section 3.1, lower case) as text without a final dot."""
    labels = []
    offset = 0
    while name[offset]:
        end = offset + 1 + name[offset]
        labels.append("".join([_SHOWN.get(byte) or f"\\{byte:03d}" for byte in name[offset + 1 : end]]))
        offset = end
    return ".".join(labels) or "."


def _addresses(message: bytes, offset: int, count: int, name: bytes) -> tuple[str, ...]:
    """Read `count` records and return the addresses that `name` leads to."""
    addresses: defaultdict[bytes, list[bytes]] = defaultdict(list)
    aliases: defaultdict[bytes, list[bytes]] = defaultdict(list)
    known = {HEADER_SIZE: name}
    for _ in range(count):
        owner, offset = _read_name(message, offset, known)
        data = offset + _RECORD.size
        if data > len(message):
            raise DnsError("a record is cut short")
        kind, family, size = _RECORD.unpack_from(message, offset)
        offset = data + size
        if offset > len(message):
            raise DnsError("a record is longer than the message")
        if family != _CLASS_IN:
            continue
        if kind == _TYPE_CNAME:
            target, end = _read_name(message, data, known)
            if end != offset:
                raise DnsError("an alias does not fill its record")
            aliases[owner].append(target)
        elif kind in _ADDRESS_SIZE:
            if size != _ADDRESS_SIZE[kind]:
                raise DnsError(f"an address of {size} bytes")
            addresses[owner].append(message[data:offset])

    found: set[bytes] = set()
    reached = {name}
    waiting = [name]
    while waiting:
        owner = waiting.pop()
        found.update(addresses.get(owner, ()))
        for target in aliases.get(owner, ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    # Once more made unique: an address and its v4-mapped form are written alike.
    return tuple(dict.fromkeys(address_text(raw) for raw in sorted(found)[:MAX_ADDRESSES]))


def _read_name(message: bytes, offset: int, known: dict[int, bytes]) -> tuple[bytes, int]:
    """Read the name at `offset`; return it in lower case without compression, and the offset behind it.

    `known` remembers names by the offset of their first byte, because most owners are one pointer to the question.
    """
    start = lowest = offset
    behind = 0
    pointers = 0
    name = b""
    while True:
        part = message[offset : offset + 1]
        if not part:
            raise DnsError("a name is cut short")
        length = part[0]
        if length == 0:
            name += b"\0"
            offset += 1
            break
        if length < 0x40:
            end = offset + 1 + length
            if end > len(message):
                raise DnsError("a label is cut short")
            # Length bytes are at most 63 and so no letters: lower() leaves them alone.
            name += message[offset:end].lower()
            if len(name) >= MAX_NAME:
                raise DnsError("a name is longer than 255 bytes")
            offset = end
        elif length >= 0xC0:
            if offset + 2 > len(message):
                raise DnsError("a pointer is cut short")
            target = (length & 0x3F) << 8 | message[offset + 1]
            behind = behind or offset + 2
            pointers += 1
            if target >= lowest or pointers > MAX_POINTERS:
                raise DnsError("a pointer does not lead backwards to a name")
            if target in known:
                name += known[target]
                break
            lowest = offset = target
        else:
            raise DnsError("a label of an unknown kind")
    if len(name) > MAX_NAME:
        raise DnsError("a name is longer than 255 bytes")
    known[start] = name
    return name, behind or offset
