"""Says a report in the GraphQL that the Otterize network mapper understands, and reads its answers.

A report becomes up to three mutations, because that mapper has one for each kind of evidence: names looked up, TCP
connections, open sockets. They carry who, whom and when; that wire has no place for counts, for how often, or for what
a node had to drop. A connection that nobody answered goes with the answered ones, because the sniffers of that mapper
report the first packet of either. A socket is told with the port of its server, which is where that mapper expects it.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.agent.exchange import Request, Verdict, verdict_of
from network_mapper.wire import party
from network_mapper.wire.report import JSON, Lookup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from network_mapper.wire.report import Client, Flow, Report

QUERY: Final = "/query"

_HEADERS = {"Content-Type": JSON, "Accept": JSON}
_LAST_TIME = 253_402_300_799_999
"""The end of the year 9999 in milliseconds: RFC 3339 has four digits for a year, and a time that cannot be read would
have the whole mutation refused."""

_PASSING = ("context canceled", "context deadline exceeded", "timeout", "timed out", "unavailable", "try again")
"""Words of errors that pass: that mapper gives the first two when its caller or its shutdown was faster."""

_MUTATIONS: Final = (
    ("reportCaptureResults", "CaptureResults", ("lookups",)),
    ("reportTCPCaptureResults", "CaptureTCPResults", ("connections", "attempts")),
    ("reportSocketScanResults", "SocketScanResults", ("sockets",)),
)
"""Operation, type of its argument, and the lists of a client that it carries."""


class Mutation(msgspec.Struct):
    """One report of that wire, frozen.

    Attributes:
        operation: Its name, and the field of its answer.
        body: What is sent, the same each time.
        rows: How many rows of ours are in it.
        lists: Which lists of a client they come from.
    """

    operation: str
    body: bytes
    rows: int
    lists: tuple[str, ...]

    def request(self) -> Request:
        """What is sent."""
        return Request(QUERY, self.body, _HEADERS)


class _Destination(msgspec.Struct):
    destination: str
    address: str | None = msgspec.field(name="destinationIP")
    port: int | None = msgspec.field(name="destinationPort")
    ttl: None = msgspec.field(name="TTL")
    last_seen: str = msgspec.field(name="lastSeen")
    source_ports: tuple[int, ...] = msgspec.field(name="srcPorts", default=())


class _Source(msgspec.Struct):
    address: str = msgspec.field(name="srcIp")
    hostname: str = msgspec.field(name="srcHostname")
    destinations: list[_Destination]


class _Error(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    data: dict[str, Any] | None = None
    errors: list[_Error] | None = None


_answers = msgspec.json.Decoder(_Answer)


def health() -> Request:
    """Asks whether a mapper is there that speaks this wire."""
    body = msgspec.json.encode({"query": "query Health { health }", "operationName": "Health", "variables": {}})
    return Request(QUERY, body, _HEADERS)


HEALTH_FIELD: Final = "health"


def judge(status: int, body: bytes, field: str) -> Verdict:
    """What an answer means.

    Args:
        status: Of HTTP. Validation errors come with 422, errors of a later stage with 200.
        body: Of the answer.
        field: The operation that was sent; it answers true, or false when the queue for its kind is full.
    """
    verdict = verdict_of(status)
    if verdict is not Verdict.TAKEN:
        return verdict
    try:
        answer = _answers.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Verdict.FOREIGN
    if answer.errors:
        texts = [error.message.lower() for error in answer.errors]
        passing = all(any(word in text for word in _PASSING) for text in texts)
        return Verdict.LATER if passing else Verdict.REFUSED
    said = (answer.data or {}).get(field)
    if said is True:
        return Verdict.TAKEN
    return Verdict.LATER if said is False else Verdict.FOREIGN


def mutations_of(report: Report) -> list[Mutation]:
    """The mutations that tell a report's rows; none for a heartbeat.

    Rows that this wire has no words for (requests, volumes, and parties that are no addresses) are in none of them.
    """
    made = []
    for operation, argument, lists in _MUTATIONS:
        rows = 0
        sources = []
        for client in report.clients:
            address, hostname = _source(client)
            told = [(row, list(_destinations(row, report.base))) for name in lists for row in getattr(client, name)]
            destinations = [destination for _, each in told for destination in each]
            if address and destinations:
                rows += sum(1 for _, each in told if each)
                sources.append(_Source(address, hostname, destinations))
        if rows:
            query = f"mutation {operation}($results: {argument}!) {{ {operation}(results: $results) }}"
            body = {"query": query, "operationName": operation, "variables": {"results": {"results": sources}}}
            made.append(Mutation(operation, msgspec.json.encode(body), rows, lists))
    return made


def keep_lists(report: Report, lists: set[str]) -> None:
    """Take out of a report what stands in other lists of its clients."""
    for client in report.clients:
        for _, _, names in _MUTATIONS:
            for name in names:
                if name not in lists:
                    setattr(client, name, [])
        client.requests, client.volumes = [], []
    report.clients = [client for client in report.clients if client.rows()]


def _source(client: Client) -> tuple[str, str]:
    named = party.read(client.address)
    return (named.address, named.name) if named else (client.address, "")


def _destinations(row: Flow | Lookup, base: int) -> Iterator[_Destination]:
    last_seen = _time(base + row.last)
    if isinstance(row, Lookup):
        for address in row.addresses or (None,):
            yield _Destination(row.name, address, None, None, last_seen)
        return
    named = party.read(row.server)
    address = named.address if named else row.server
    if address:
        yield _Destination(address, address, row.port, None, last_seen)


def _time(moment: int) -> str:
    """RFC 3339 with milliseconds, in UTC."""
    seconds, milliseconds = divmod(min(max(moment, 0), _LAST_TIME), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
