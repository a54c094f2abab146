"""What nodes saw, in the model's words, to rows of our report: DNS answers, TCP connections, open sockets, volumes.

Rows of one client are kept together and equal rows are folded, because that is what a report is. Nothing in a row stops
the rows beside it: what cannot be used is counted. Only a time that is none refuses the whole report, as in the model.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from network_mapper.cluster.address import canonical
from network_mapper.mapper.graphql.times import milliseconds
from network_mapper.model import Drop, Tally
from network_mapper.wire.party import hosted
from network_mapper.wire.report import Client, Flow, Lookup, Volume

if TYPE_CHECKING:
    from network_mapper.mapper.graphql.inputs import Capture, Destination, TrafficLevels

EPHEMERAL = 32768
"""From here on systems give ports to clients: Linux up to 60999 unless set otherwise, others up to the end."""

WINDOW = 1000
"""Milliseconds. Equal rows are folded within one window alone: an address may have another owner soon after, and a time
that makes no sense must not take the rows beside it along."""

_HIGHEST_PORT = 65535
_LONGEST_NAME = 253
_MOST_ADDRESSES = 32
_MOST_BYTES, _MOST_FLOWS = 2**53, 2**40
_POD_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9.]{0,251}[A-Za-z0-9])?", re.ASCII)

# The addresses of a cluster come again and again.
_address = functools.lru_cache(maxsize=16384)(canonical)


class Batch:
    """Rows by client, and what was dropped on the way.

    Attributes:
        base: Milliseconds since the epoch that the rows' times are relative to.
        drops: In rows.
    """

    def __init__(self, base: int) -> None:
        self.base = base
        self.drops = Tally()
        self._clients: dict[str, Client] = {}

    @property
    def clients(self) -> list[Client]:
        """Every client that has a row."""
        return [client for client in self._clients.values() if client.rows()]

    def client(self, text: str) -> Client:
        """The client of this name (`wire.party`)."""
        found = self._clients.get(text)
        if found is None:
            found = self._clients[text] = Client(text)
        return found

    def source(self, address: str, hostname: str, rows: int) -> str | None:
        """The name of a client that is known by its address; None, with its rows counted, where that is none."""
        text = _address(address)
        if text is None:
            self.drops.add(Drop.ADDRESS_INVALID, rows)
            return None
        if hostname and not _POD_NAME.fullmatch(hostname):
            self.drops.add(Drop.ROW_MALFORMED, rows)
            return None
        return hosted(hostname, text)


def lookups(report: Capture, batch: Batch) -> None:
    """DNS answers. The names of one client are folded; the addresses of a name are united.

    Raises:
        TimeError: A time is none.
    """
    held: dict[str, dict[tuple[str, int], Lookup]] = {}
    base, malformed = batch.base, 0
    for source in report.results:
        client = batch.source(source.src_ip, source.src_hostname, len(source.destinations))
        names = held.setdefault(client, {}) if client is not None else None
        for item in source.destinations:
            seen = milliseconds(item.last_seen) - base
            if names is None:
                continue
            name = item.destination.lower().removesuffix(".")
            if not 0 < len(name) <= _LONGEST_NAME:
                malformed += 1
                continue
            address = _address(item.destination_ip) if item.destination_ip else None
            key = (name, seen // WINDOW)
            lookup = names.get(key)
            if lookup is None:
                names[key] = Lookup(name, 1, seen, seen, (address,) if address else ())
                continue
            lookup.count += 1
            lookup.first = min(lookup.first, seen)
            lookup.last = max(lookup.last, seen)
            if address and address not in lookup.addresses and len(lookup.addresses) < _MOST_ADDRESSES:
                lookup.addresses += (address,)
    for client, names in held.items():
        batch.client(client).lookups.extend(names.values())
    if malformed:
        batch.drops.add(Drop.ROW_MALFORMED, malformed)


def connections(report: Capture, batch: Batch) -> None:
    """TCP connections: as many as there are different source ports.

    Raises:
        TimeError: A time is none.
    """
    held: dict[str, _Flows] = {}
    base = batch.base
    for source in report.results:
        client = batch.source(source.src_ip, source.src_hostname, len(source.destinations))
        flows = held.setdefault(client, {}) if client is not None else None
        for item in source.destinations:
            seen = milliseconds(item.last_seen) - base
            if flows is None:
                continue
            server = _address(item.destination)
            if server is None:
                server = _server(item)
                if server is None:
                    batch.drops.add(Drop.ADDRESS_INVALID)
                    continue
            port = item.destination_port or 0
            if not 0 <= port <= _HIGHEST_PORT:
                batch.drops.add(Drop.ROW_MALFORMED)
                continue
            _fold(flows, server, port, len(set(item.src_ports)) if item.src_ports else 1, seen)
    for client, flows in held.items():
        batch.client(client).connections.extend(flows.values())


def sockets(report: Capture, batch: Batch) -> None:
    """Open sockets, one row for each server and port of it, however many sockets there are.

    Raises:
        TimeError: A time is none.
    """
    held: dict[str, _Flows] = {}
    base = batch.base
    swapped = ports_are_swapped(report)
    for source in report.results:
        client = batch.source(source.src_ip, source.src_hostname, len(source.destinations))
        flows = held.setdefault(client, {}) if client is not None else None
        for item in source.destinations:
            seen = milliseconds(item.last_seen) - base
            if flows is None:
                continue
            server = _address(item.destination) or _server(item)
            if server is None:
                batch.drops.add(Drop.ADDRESS_INVALID)
                continue
            own = set(item.src_ports or ())
            if swapped and own:
                ports, count = own, 1
            else:
                ports, count = {item.destination_port or 0}, max(1, len(own))
            for port in ports:
                if 0 <= port <= _HIGHEST_PORT:
                    _fold(flows, server, port, count, seen)
                else:
                    batch.drops.add(Drop.ROW_MALFORMED)
    for client, flows in held.items():
        batch.client(client).sockets.extend(flows.values())


def ports_are_swapped(report: Capture) -> bool:
    """Whether a socket scan names the client's port as the destination's, as the model's sniffer does.

    A report has one sender, and a sender has one order, so the rows vote. A row in which one port alone is one that
    systems give to clients says which is which. Where no such row decides, rows with two lower ports do: servers have
    the lower one. Where there are only higher ones, a row of several source ports can hardly be the model's, and all
    else is taken for the model's, because its sniffers are who sends here.
    """
    sure = likely = several = 0
    for source in report.results:
        for item in source.destinations:
            port, own = item.destination_port, item.src_ports
            if port is None or not own:
                continue
            several += len(own) > 1
            high = port >= EPHEMERAL
            if all(other < EPHEMERAL for other in own):
                if high:
                    sure += 1
                elif port != own[0]:
                    likely += 1 if port > max(own) else -1
            elif not high:
                sure -= 1
    return (sure or likely or (-1 if several else 1)) > 0


def volumes(report: TrafficLevels, batch: Batch) -> None:
    """Bytes and flows between two addresses, as of now."""
    held: dict[tuple[str, str], Volume] = {}
    for item in report.results:
        client = batch.source(item.src_ip, "", 1)
        if client is None:
            continue
        server = _address(item.dst_ip)
        if server is None:
            batch.drops.add(Drop.ADDRESS_INVALID)
            continue
        volume = held.get((client, server)) or Volume(server, 0, 0, 0, 0)
        size, flows = volume.bytes + item.bytes_sent, volume.flows + item.flows
        if item.bytes_sent < 0 or item.flows < 0 or size > _MOST_BYTES or flows > _MOST_FLOWS:
            batch.drops.add(Drop.ROW_MALFORMED)
            continue
        volume.bytes, volume.flows = size, flows
        held[client, server] = volume
    for (client, _), volume in held.items():
        batch.client(client).volumes.append(volume)


_Flows = dict[tuple[str, int, int], Flow]


def _fold(flows: _Flows, server: str, port: int, count: int, seen: int) -> None:
    key = (server, port, seen // WINDOW)
    flow = flows.get(key)
    if flow is None:
        flows[key] = Flow(server, port, "tcp", count, seen, seen)
        return
    flow.count += count
    flow.first = min(flow.first, seen)
    flow.last = max(flow.last, seen)


def _server(item: Destination) -> str | None:
    """A server whose `destination` is no address: its pod's name (the model's sniffer on AWS), or nothing at all."""
    address = _address(item.destination_ip) if item.destination_ip else None
    if address is None or not item.destination:
        return address
    return hosted(item.destination, address) if _POD_NAME.fullmatch(item.destination) else None
