"""The native report: what one sniffer saw since its last one.

A report is frozen when it is made. It keeps its bytes and its `(node, boot, sequence)` until the mapper has answered,
so a retry after a lost answer counts once. Rows are grouped by client, because the client resolves once for all of its
rows, and each row is an array, because a row's names would cost more than its values. JSON and MessagePack carry the
same shapes (`docs/reports.md` documents them, with examples that a test runs).

Times in rows are milliseconds relative to the report's `base`, which is milliseconds since the epoch (UTC).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MSGPACK = "application/msgpack"
JSON = "application/json"
PATH = "/api/v1/reports"
VERSION = 1

LEGACY_NODE = "~legacy"
"""Node of reports that came through a door whose senders do not say where they run; no node can have this name."""

Count = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Offset = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""Milliseconds relative to the report's `base`."""
Instant = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""Milliseconds since the epoch; whether it makes sense is for the mapper to say."""
Text = Annotated[str, msgspec.Meta(max_length=1024)]
LongText = Annotated[str, msgspec.Meta(max_length=4096)]
"""Paths, and names of a cloud's resources."""
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]


class Flow(msgspec.Struct, array_like=True, gc=False):
    """`[server, port, protocol, count, first, last, answered_by, answered_port]`; the last two may be left out."""

    server: Text
    port: Port
    protocol: Text
    count: Count
    first: Offset
    last: Offset
    answered_by: Text = ""
    answered_port: Port = 0


class Lookup(msgspec.Struct, array_like=True, gc=False):
    """`[name, count, first, last, addresses]`; the addresses may be left out."""

    name: Text
    count: Count
    first: Offset
    last: Offset
    addresses: tuple[Text, ...] = ()


class Request(msgspec.Struct, array_like=True, gc=False):
    """`[server, protocol, name, action, count, first, last, service]`; the last may be left out.

    What a watcher saw of one kind of request: for `http` a path and a method, for `kafka` a topic and an operation, for
    `aws`, `gcp` and `azure` the field of `Edge.details` and a value of it. `service` is `namespace/name` of the
    Kubernetes Service that was asked, where that is known.
    """

    server: LongText
    protocol: Text
    name: LongText
    action: Text
    count: Count
    first: Offset
    last: Offset
    service: Text = ""


class Volume(msgspec.Struct, array_like=True, gc=False):
    """`[server, bytes, flows, first, last]`: how much the client sent to the server."""

    server: Text
    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    flows: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    first: Offset
    last: Offset


class PodRef(msgspec.Struct):
    """The pod that a client is, where the node knows it for certain."""

    namespace: Text
    name: Text
    uid: Text


class Client(msgspec.Struct, omit_defaults=True):
    """All rows of one client (`wire.party`) first seen at one tap. The lists are named in `ROWS`."""

    address: Text
    tap: Offset = 0
    pod: PodRef | None = None
    connections: list[Flow] = []
    attempts: list[Flow] = []
    sockets: list[Flow] = []
    lookups: list[Lookup] = []
    requests: list[Request] = []
    volumes: list[Volume] = []

    def rows(self) -> int:
        """How many rows this client has."""
        flows = len(self.connections) + len(self.attempts) + len(self.sockets)
        return flows + len(self.lookups) + len(self.requests) + len(self.volumes)


Row = Flow | Lookup | Request | Volume

ROWS: dict[str, type[Row]] = {
    "connections": Flow,
    "attempts": Flow,
    "sockets": Flow,
    "lookups": Lookup,
    "requests": Request,
    "volumes": Volume,
}
"""The lists of a client and what stands in each."""


class SourceState(msgspec.Struct):
    """One source of observations on the node, with totals since `boot`."""

    name: Text
    seen: Offset
    passed: Offset


class Report(msgspec.Struct, omit_defaults=True):
    """One sniffer's report; a heartbeat is a report without clients.

    Attributes:
        node: Name of the node, as in Kubernetes.
        boot: Chosen anew at each start of the sniffer.
        sequence: From 1, one higher with each report of this boot.
        base: Milliseconds since the epoch that the rows' times are relative to.
        started: When this sniffer began to watch, milliseconds since the epoch.
        watched_until: Time of the newest thing it looked at, milliseconds since the epoch; 0 stands for now.
        version: Of this format.
        agent: Program and version, for people.
        clients: The rows.
        drops: Total per `model.Drop` since `boot`; totals, so a lost report loses no count.
        sources: What the node watches with.
        ahead: By how many milliseconds the sender's clock was at least ahead of the mapper's, when that last answered;
            negative when behind, 0 when the difference could not be told from the time an answer takes.
        capture: The way in which the node is watched: `packets`, `sockets` (tables alone), `file`, or a watcher's own.
        capture_reason: Why there is no better one; empty when there is none.
    """

    node: Identifier
    boot: Identifier
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    base: Instant
    started: Instant = 0
    watched_until: Instant = 0
    version: int = VERSION
    agent: Text = ""
    clients: list[Client] = []
    drops: dict[Text, Offset] = {}
    sources: list[SourceState] = []
    ahead: Offset = 0
    capture: Text = ""
    capture_reason: Text = ""


class Receipt(msgspec.Struct):
    """The answer to a report, given only when its effect cannot be lost any more.

    Attributes:
        store: Identity of the map; another one than before means that this mapper knows nothing of what was sent.
        epoch: Counts the resets of the map; a new one means that everything still true should be sent again.
        repeated: This report had been counted already.
        rows: Rows that were accepted.
        dropped: Rows that were not, by `model.Drop`.
        now: The mapper's clock as it answered, milliseconds since the epoch; 0 when it does not say.
    """

    store: str
    epoch: int
    repeated: bool = False
    rows: int = 0
    dropped: dict[str, int] = {}
    now: int = 0
