"""Measures what one packet costs the capture code, without a network: microseconds of CPU per packet.

The mix is that of a busy node: each connection is a SYN and a SYN-ACK, each DNS exchange a question and an answer, and
each of them is seen at two interfaces. Names and servers repeat, as they do between services.

    python bench/capture_packets.py [SECONDS OF TRAFFIC]
"""

from __future__ import annotations

import random
import statistics
import struct
import sys
import time

import dns.message
import dns.rrset

from network_mapper.capture.packets import PacketTracker

RATE = 4000
"""Connections, and DNS exchanges, in each second of traffic."""
CLIENTS, SERVERS, NAMES = 100, 200, 200
ROUNDS = 5

Packet = tuple[bytes, int, int]


def ipv4(protocol: int, source: int, destination: int, payload: bytes) -> bytes:
    """Put an IPv4 header without checksum before `payload`; addresses are the last two bytes within 10.0.0.0/8."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0)
    return head + struct.pack("!II", 0x0A000000 + source, 0x0A000000 + destination) + payload


def tcp(ports: tuple[int, int], sequence: int, ack: int, flags: int, times: tuple[int, int]) -> bytes:
    """Write the TCP header of a SYN or SYN-ACK as Linux does."""
    head = struct.pack("!HHIIBBHHH", *ports, sequence, ack, 0xA0, flags, 64240, 0, 0)
    return head + struct.pack("!HHHBBIIBBH", 0x0204, 1460, 0x0402, 8, 10, *times, 1, 3, 0x0307)


def udp(port: int, to_port: int, payload: bytes) -> bytes:
    """Put a UDP header without checksum before `payload`."""
    return struct.pack("!HHHH", port, to_port, 8 + len(payload), 0) + payload


def messages() -> list[tuple[bytes, bytes]]:
    """Make questions and their answers, both without identifier; every second answer has an alias."""
    made = []
    for number in range(NAMES):
        name = f"service-{number}.shop.svc.cluster.local."
        question = dns.message.make_query(name, "A", use_edns=True)
        answer = dns.message.make_response(question)
        owner = name
        if number % 2:
            owner = f"real-{number}.shop.svc.cluster.local."
            answer.answer.append(dns.rrset.from_text(name, 30, "IN", "CNAME", owner))
        answer.answer.append(dns.rrset.from_text(owner, 30, "IN", "A", f"10.96.{number // 250}.{number % 250}"))
        made.append((question.to_wire()[2:], answer.to_wire()[2:]))
    return made


def traffic(seconds: int, chance: random.Random) -> list[Packet]:
    """Make the packets in the order in which a node sees them."""
    known = messages()
    packets: list[Packet] = []
    for event in range(seconds * RATE):
        when = 1_700_000_000_000 + event * 1000 // RATE
        client, server = chance.randrange(CLIENTS), 1000 + chance.randrange(SERVERS)
        port, isn = chance.randrange(32768, 61000), chance.randrange(2**32)
        times = (chance.randrange(2**32), 0)
        syn = ipv4(6, client, server, tcp((port, 8080), isn, 0, 0x02, times))
        ack = tcp(
            (8080, port), chance.randrange(2**32), isn + 1 & 0xFFFFFFFF, 0x12, (chance.randrange(2**32), times[0])
        )
        question, answer = chance.choice(known)
        identifier = chance.randbytes(2)
        ask = ipv4(17, client, 2000, udp(port, 53, identifier + question))
        tell = ipv4(17, 2000, client, udp(53, port, identifier + answer))
        for packet, came, went in (
            (syn, client, server),
            (ipv4(6, server, client, ack), server, client),
            (ask, client, 2000),
            (tell, 2000, client),
        ):
            packets += [(packet, when, came + 1), (packet, when, -went - 1)]
    return packets


def measure(packets: list[Packet]) -> tuple[float, int]:
    """Feed everything, draining each second of traffic; return microseconds per packet and the events counted."""
    tracker = PacketTracker()
    counted = 0
    drained = packets[0][1]
    started = time.process_time()
    for packet, when, tap in packets:
        tracker.feed(packet, when, tap)
        if when - drained >= 1000:
            drained = when
            counted += sum(row.count for row in tracker.drain(when))
    counted += sum(row.count for row in tracker.flush(drained))
    spent = time.process_time() - started
    return spent * 1e6 / len(packets), counted


def main() -> None:
    """Print the cost of the whole mix and of its parts."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    packets = traffic(seconds, random.Random(1))
    events = seconds * RATE
    parts = {
        "mix": (packets, 2 * events),
        "connections": ([item for item in packets if item[0][9] == 6], events),
        "dns": ([item for item in packets if item[0][9] == 17], events),
    }
    for name, (part, expected) in parts.items():
        figures = [measure(part) for _ in range(ROUNDS)]
        cost = statistics.median(figure[0] for figure in figures)
        share = cost * len(part) / seconds / 1e4
        exact = "exact" if all(figure[1] == expected for figure in figures) else f"WRONG: {figures[0][1]}"
        print(f"{name}: {cost:.2f} us/packet, {share:.1f} % of a core at {len(part) // seconds}/s, counts {exact}")


if __name__ == "__main__":
    main()
