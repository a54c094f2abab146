"""Traffic that no well-behaved workload makes, as reports, beside traffic of workloads that behave.

Each flood is an endless row of groups; `told` cuts them into reports and puts a little of everybody else's traffic into
each, so that what the others get can be compared exactly.
"""

import collections
import ipaddress
import itertools
import json
import pathlib
import time

from cluster_objects import pod

from network_mapper.wire.report import Client, Flow, Lookup, Report

WEB, DB, SCANNER, BOMB = "10.0.0.1", "10.0.1.2", "10.0.0.60", "10.0.0.61"
ROWS = 2_000
"""Rows of a flood in one report."""


def add_hostile_pods(folder):
    """Put the pods that misbehave into a snapshot's folder."""
    items = [pod(f"{name}-0", "node-a", address, ("StatefulSet", name)) for name, address in HOSTILE.items()]
    (pathlib.Path(folder) / "hostile.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return folder


HOSTILE = {"scanner": SCANNER, "bomb": BOMB}


def port_scan(count):
    """A pod knocks at every address of a /16 outside, at one port after the other."""
    network = ipaddress.ip_network("198.18.0.0/16")
    for number in range(count):
        port, host = divmod(number, network.num_addresses)
        yield Client(SCANNER, attempts=[Flow(str(network[host]), port + 1, "tcp", 1, -900, -100)])


def outside_clients(count):
    """As many addresses of the internet call one pod, each once."""
    for number in range(count):
        address = str(ipaddress.ip_address(0x20000000 + number * 2_654_435 % 0x40000000))
        yield Client(address, connections=[Flow(WEB, 8080, "tcp", 1, -900, -100)])


def random_names(count):
    """A pod asks for names that nobody has asked for, half of them under one domain."""
    for number in range(count):
        name = f"x{number * 7919:x}.evil.example" if number % 2 else f"a.x{number * 7919:x}.example"
        yield Client(BOMB, lookups=[Lookup(name, 1, -900, -100, ("203.0.113.9",))])


def new_workloads(count):
    """Workloads of which there is a new one all the time, each with a connection of its own."""
    for number in range(count):
        yield Client(f"workload:ci/run-{number}", connections=[Flow(WEB, 8080, "tcp", 1, -900, -100)])


class Well:
    """Workloads that behave: what they do, and how often it was told."""

    def __init__(self):
        self.told = 0

    def clients(self):
        """A little of everything, once more."""
        self.told += 1
        names = [Lookup(f"api-{n}.partner.example", 1, -800, -200, ("203.0.113.9",)) for n in range(20)]
        outside = [Flow(f"203.0.{n}.7", 443, "tcp", 1, -800, -200) for n in range(20)]
        inside = [Flow("10.96.0.5", 5432, "tcp", 2, -800, -200, DB, 8080)]
        return [
            Client(WEB, connections=[*inside, *outside], lookups=names),
        ], [Client(DB, connections=[Flow(WEB, 9000, "tcp", 3, -800, -200)])]

    def expected(self):
        """Edges by client, server, port and protocol, with the count of each."""
        edges = {("web", "db", 5432, "tcp"): 2 * self.told, ("db", "web", 9000, "tcp"): 3 * self.told}
        edges |= {("web", f"203.0.{n}.0/24", 443, "tcp"): self.told for n in range(20)}
        return edges | {("web", f"api-{n}.partner.example", 0, "dns"): self.told for n in range(20)}


def told(flood, well, sequences):
    """Reports of a flood, with the traffic of those that behave in each."""
    while groups := list(itertools.islice(flood, ROWS)):
        of_client = collections.defaultdict(list)
        for group in groups:
            of_client[group.address].append(group)
        merged = []
        for same in of_client.values():
            first = same[0]
            for other in same[1:]:
                for rows in ("connections", "attempts", "lookups"):
                    getattr(first, rows).extend(getattr(other, rows))
            merged.append(first)
        base = time.time_ns() // 1_000_000
        on_a, on_b = well.clients()
        for node, clients in (("node-a", [*merged, *on_a]), ("node-b", on_b)):
            yield Report(
                node,
                "boot",
                next(sequences),
                base,
                started=base - 5_000,
                clients=clients,
                watched_until=base,
            )
