"""Intake and queries at the GraphQL door, over the shipped mapper's real socket and with its store on.

    python bench/model_wire.py [--pods 10000] [--edges 50000] [--requests 400]

The mapper knows a cluster of 10,000 pods. Their edges are reported first, 50,000 of them, so that they are stored;
then requests of 1,000 observations follow as the model's sniffers send them (TCP connections, DNS lookups and socket
scans in turn, one destination an observation), in which 5 % of the observations belong to edges that were never seen.
What counts is the CPU time of the mapper's process between two moments at which everything is answered; a last
checkpoint is inside. Every answer must be `true`, and after that every edge that was reported must be in the map.

The queries: `intents` as a command line asks for it, of the whole map and of 5,000 edges.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import pathlib
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import mapper as native
import medians
import synthetic
from mapper import CHECKPOINT, SENDERS, Load, cpu_seconds, resident

from network_mapper.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = 100
"""Clients in a request."""
DESTINATIONS = 10
"""Observations of each."""
HEADERS = {"Content-Type": "application/json"}

OPERATIONS = {
    "tcp": ("reportTCPCaptureResults", "CaptureTCPResults"),
    "dns": ("reportCaptureResults", "CaptureResults"),
    "sockets": ("reportSocketScanResults", "SocketScanResults"),
}
QUERY = """
query ServiceIntents($namespaces: [String!]) {
  intents(namespaces: $namespaces) {
    client { name namespace podOwnerKind { group version kind } labels { key value } }
    server { name namespace kubernetesService podOwnerKind { group version kind } }
    type
    kafkaTopics { name operations }
    httpResources { path methods }
  }
}
"""


def timestamp() -> str:
    """Now, as Go writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def body(kind: str, sources: list[dict[str, Any]]) -> bytes:
    """One request as the model's sniffer writes it."""
    name, argument = OPERATIONS[kind]
    query = f"mutation {name}($results: {argument}!) {{\n\t{name}(results: $results)\n}}\n"
    document = {"query": query, "variables": {"results": {"results": sources}}, "operationName": name}
    return json.dumps(document, separators=(",", ":")).encode()


class Traffic:
    """What the pods say, as destinations of the model's reports."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._pods = itertools.cycle(range(load.pods))
        self._fresh = 0

    def source(self, pod: int, destinations: list[dict[str, Any]]) -> dict[str, Any]:
        """One client's destinations."""
        return {"srcIp": synthetic.pod_address(pod), "srcHostname": "", "destinations": destinations}

    def destinations(self, kind: str, pod: int) -> Iterator[dict[str, Any]]:
        """The known edges of a pod, twice over: each call is seen more than once."""
        when = timestamp()
        for flow in itertools.islice(itertools.cycle(self._load.rows_of(pod)), DESTINATIONS):
            if kind == "dns":
                number = (pod + len(flow.server)) % self._load.workloads
                yield {"destination": synthetic.service_name(number), "destinationIP": "10.96.0.1",
                       "destinationPort": None, "TTL": 30, "lastSeen": when, "srcPorts": []}  # fmt: skip
            else:
                yield {"destination": flow.server, "destinationIP": flow.server, "destinationPort": flow.port,
                       "TTL": None, "lastSeen": when, "srcPorts": [40_000 + pod % 20_000]}  # fmt: skip

    def fresh(self) -> dict[str, Any]:
        """An edge that was never seen: a port of its own of some pod."""
        self._fresh += 1
        address = synthetic.pod_address(self._fresh % self._load.pods)
        return {"destination": address, "destinationIP": address,
                "destinationPort": 10_000 + self._fresh % 20_000, "TTL": None, "lastSeen": timestamp(),
                "srcPorts": [41_000]}  # fmt: skip

    def request(self, kind: str, fresh: float) -> bytes:
        """1,000 observations of 100 pods."""
        sources = []
        for pod in itertools.islice(self._pods, SOURCES):
            destinations = list(self.destinations(kind, pod))
            sources.append(self.source(pod, destinations))
        if kind != "dns":
            for n in range(round(SOURCES * DESTINATIONS * fresh)):
                sources[n % SOURCES]["destinations"][n // SOURCES] = self.fresh()
        return body(kind, sources)


class Sender(threading.Thread):
    """Sends requests one after the other, and believes nothing but `true`."""

    def __init__(self, url: str, bodies: list[bytes]) -> None:
        super().__init__()
        self._client = HttpClient(url, timeout=30)
        self._bodies = bodies
        self.refused = 0

    def run(self) -> None:
        """Send everything in order, and count what was not taken: such senders do not come again."""
        for content in self._bodies:
            answer = self._client.request("POST", "/query", content, HEADERS)
            if answer.status != 200 or True not in (json.loads(answer.body).get("data") or {}).values():
                self.refused += 1


def send(url: str, bodies: list[bytes]) -> int:
    """Send over a few connections; returns how many were refused."""
    senders = [Sender(url, bodies[n::SENDERS]) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return sum(sender.refused for sender in senders)


def status_of(client: HttpClient) -> dict[str, Any]:
    """The status document."""
    document: dict[str, Any] = json.loads(client.request("GET", "/api/v1/status").body)
    return document


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run once and return the figures."""
    with tempfile.TemporaryDirectory(prefix="network-mapper-bench-") as name:
        folder = pathlib.Path(name)
        load = Load(arguments.pods, arguments.nodes, arguments.edges)
        traffic = Traffic(load)
        synthetic.write_snapshot(folder / "cluster", arguments.pods, arguments.nodes)
        first = [traffic.request(kind, 0.0) for kind in ("tcp", "dns") for _ in range(arguments.pods // SOURCES)]
        kinds = itertools.cycle(OPERATIONS)
        second = [traffic.request(next(kinds), 0.05) for _ in range(arguments.requests)]
        with native.mapper(folder, "full") as (process, url):
            client = HttpClient(url, timeout=60)
            figures: dict[str, Any] = {"refused_at_first": send(url, first)}
            figures["edges_stored_before"] = status_of(client)["edges"]
            time.sleep(CHECKPOINT)
            before, cpu = status_of(client), cpu_seconds(process.pid)
            figures["refused"] = send(url, second)
            time.sleep(CHECKPOINT)  # what is still to be written of it is part of its price
            cpu = cpu_seconds(process.pid) - cpu
            after = status_of(client)
            observations = len(second) * SOURCES * DESTINATIONS
            figures |= {"observations": observations, "cpu_s": round(cpu, 2)}
            figures["observations_per_cpu_s"] = round(observations / cpu)
            figures["edges_after"] = after["edges"]
            figures["drops"] = {
                reason: count - before["drops"].get(reason, 0) for reason, count in after["drops"].items()
            }
            figures["resident_mib"] = round(resident(process.pid), 1)
            return figures | measure_queries(process.pid, client)


def measure_queries(pid: int, client: HttpClient) -> dict[str, Any]:
    """CPU of `intents`, per 5,000 of the intents in its answer."""
    content = json.dumps({"query": QUERY, "variables": {"namespaces": None}, "operationName": "ServiceIntents"})
    intents = len(json.loads(client.request("POST", "/query", content.encode(), HEADERS).body)["data"]["intents"])
    cpu = cpu_seconds(pid)
    for _ in range(20):
        client.request("POST", "/query", content.encode(), HEADERS)
    spent = (cpu_seconds(pid) - cpu) / 20 * 1000
    return {"intents": intents, "query_ms_per_5000_intents": round(spent / intents * 5000, 1)}


def main() -> None:
    """Print the figures as JSON, one object a run, and their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--edges", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    medians.report("model_wire", arguments.runs, lambda: measure(arguments))


if __name__ == "__main__":
    sys.exit(main())
