"""Packets as they come from the wire, IP header first, crafted with scapy; DNS messages by dnspython."""

import dns.message
import dns.rcode
import dns.rrset
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw, raw

NOW = 1_790_000_000_000


def ip(source, destination, **fields):
    return IPv6(src=source, dst=destination) if ":" in source else IP(src=source, dst=destination, **fields)


def options(stamp=None, echo=0):
    """The TCP options of a SYN as Linux writes them; without `stamp`, as Windows does."""
    if stamp is None:
        return [("MSS", 1460), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
    return [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (stamp, echo)), ("NOP", None), ("WScale", 7)]


def segment(source, port, destination, to_port, *, payload=b"", headers=None, **fields):
    head = headers if headers is not None else ip(source, destination)
    return raw(head / TCP(sport=port, dport=to_port, **fields) / Raw(payload))


class Handshake:
    """The packets of one connection: `client` and `server` are (address, port)."""

    def __init__(self, client, server, *, isn=1000, stamp=7, server_stamp=99):
        self.client, self.server, self.isn, self.stamp, self.server_stamp = client, server, isn, stamp, server_stamp

    def syn(self, *, client=None, server=None, stamp=None, flags="S", payload=b"", headers=None):
        """The SYN, as a tap behind a translation of `client` or `server` shows it."""
        return segment(
            *(client or self.client),
            *(server or self.server),
            seq=self.isn,
            flags=flags,
            payload=payload,
            headers=headers,
            options=options(stamp if stamp is not None else self.stamp),
        )

    def syn_ack(self, *, client=None, server=None, acknowledged=1, flags="SA"):
        stamped = None not in (self.stamp, self.server_stamp)
        return segment(
            *(server or self.server),
            *(client or self.client),
            seq=5_000,
            ack=(self.isn + acknowledged) % 2**32,
            flags=flags,
            options=options(self.server_stamp, self.stamp) if stamped else options(),
        )

    def rst(self, *, client=None, server=None, acknowledged=1):
        return segment(
            *(server or self.server),
            *(client or self.client),
            seq=0,
            ack=(self.isn + acknowledged) % 2**32,
            flags="RA",
        )


def question(name="api.shop.svc.cluster.local.", kind="A", *, ident=77):
    message = dns.message.make_query(name, kind, id=ident)
    message.flags &= ~0x20
    return message


def answer(asked, *records, rcode="NOERROR"):
    """Answer a question; a record is (owner, type, data)."""
    message = dns.message.make_response(asked)
    message.set_rcode(dns.rcode.from_text(rcode))
    for owner, kind, data in records:
        message.answer.append(dns.rrset.from_text(owner, 30, "IN", kind, data))
    return message


def datagram(source, port, destination, to_port, message, *, headers=None):
    head = headers if headers is not None else ip(source, destination)
    payload = message if isinstance(message, bytes) else message.to_wire()
    return raw(head / UDP(sport=port, dport=to_port) / Raw(payload))
