"""What a node saw, before anybody knows whose addresses those are.

An observation is already folded: it stands for `count` events of one kind between the same two addresses, that were
no more than a second apart. A second of silence ends its span, so that an address that is used again by another pod is
never folded together with its former owner.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.StrEnum):
    """The kinds of evidence. Each has its own counter on an edge; they are never added up."""

    CONNECTIONS = "connections"
    """TCP connections that were answered (SYN and SYN-ACK)."""
    ATTEMPTS = "attempts"
    """TCP connections that were refused (RST) or never answered."""
    LOOKUPS = "lookups"
    """DNS answers with an address, to a question that this client asked."""
    SOCKETS = "sockets"
    """Established client sockets found when the node's tables were read."""


class Observation(msgspec.Struct, gc=False):
    """One folded sighting. Times are milliseconds since the epoch (UTC) on the node's clock.

    Attributes:
        kind: What was counted.
        client: Address that opened the connection or asked the question, canonical text (RFC 5952 for IPv6).
        server: Address that was dialled, canonical text; for lookups the name asked for, lower case, no final dot.
        port: Port that was dialled, 0 for lookups.
        protocol: `tcp`, `udp`, `sctp`; for lookups the transport of the question.
        count: Number of events, at least 1.
        first: Time of the first event.
        last: Time of the last event.
        tap: Interface index where the connection was first seen, negative when it was leaving through it (a process
            of the node itself), 0 when unknown. It tells two successive owners of a client address apart.
        answered_by: Address that the connection was translated to, when a later tap showed it; else empty.
        answered_port: Port that the connection was translated to, else 0.
        addresses: For lookups the addresses in the answer.
    """

    kind: Kind
    client: str
    server: str
    port: int
    protocol: str
    count: int
    first: int
    last: int
    tap: int = 0
    answered_by: str = ""
    answered_port: int = 0
    addresses: tuple[str, ...] = ()
