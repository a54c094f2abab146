"""Starts a program for every pod of a plan, lets them call each other, and collects what they counted.

One control pipe to each pod; nothing is shared with them, so what they report is what they did.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

import network_mapper
from network_mapper.testing import topology
from network_mapper.testing.plan import CLUSTER_DOMAIN, DNS_PORT

if TYPE_CHECKING:
    from network_mapper.testing.network import Network
    from network_mapper.testing.plan import PodPlan
    from network_mapper.testing.topology import Call

_PROGRAM = (sys.executable, "-S", "-P", "-m", "network_mapper.testing.pod")


class TrafficReport(msgspec.Struct):
    """What the pods counted since they started.

    Attributes:
        running: Calls that have not ended; those that hold their connections run until stopped.
        connections: By client pod (`namespace.pod`), dialled address and port.
        failures: By client pod and what went wrong.
        lookups: By client pod, full name and outcome (`asked`, `answered` with an address, `nxdomain`, `empty`).
    """

    running: int
    connections: Counter[tuple[str, str, int]]
    failures: Counter[tuple[str, str]]
    lookups: Counter[tuple[str, str, str]]


class _Pod:
    def __init__(self, network: Network, pod: PodPlan, records: dict[str, list[str]]) -> None:
        self.plan = pod
        plan = network.plan
        self.process = network.spawn_in_pod(
            pod,
            _PROGRAM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(network_mapper.__file__).parent.parent)},
        )
        serves_dns = pod in plan.dns.pods
        listen = [port.pod_port for port in pod.workload.ports if port.state != "refused" and port.port != DNS_PORT]
        self.send(
            {
                "listen": listen,
                "records": records if serves_dns else None,
                "domain": CLUSTER_DOMAIN,
                "nameservers": {"4": plan.dns.address4, "6": plan.dns.address6},
                "search": [f"{pod.namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN],
            }
        )

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise OSError(f"the program of pod {self.plan.netns} ended with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Traffic:
    """The programs of all pods, from the start to the end of the `with` block.

    Raises:
        OSError: A pod's program cannot be started, or ended.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._plan = network.plan
        self._pods: list[_Pod] = []

    def __enter__(self) -> Self:
        records = self._plan.records()
        try:
            self._pods = [_Pod(self._network, pod, records) for pod in self._plan.pods]
            for pod in self._pods:
                pod.receive()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A pod's program ends when its input ends.
        for pod in self._pods:
            if pod.process.stdin is not None:
                with contextlib.suppress(OSError):
                    pod.process.stdin.close()
        for pod in self._pods:
            pod.process.wait()
            if pod.process.stdout is not None:
                pod.process.stdout.close()
        self._pods = []

    def start(self, *, rate: float | None = None, without: tuple[str, ...] = ()) -> None:
        """Let the calls begin.

        Args:
            rate: Connections a second of every call, until stopped; None makes each call's known number once.
            without: Client workloads that stay silent, by name.
        """
        for ident, call in enumerate(self._plan.topology.calls):
            if call.client in without:
                continue
            order = self._order(ident, call)
            if rate is not None:
                order |= {"count": 0, "rate": rate, "hold": False}
            for pod in self._clients(call):
                pod.send(order)

    def _clients(self, call: Call) -> list[_Pod]:
        plans = self._plan.pods_of(self._plan.topology.workload(call.client))
        return [pod for pod in self._pods if pod.plan in plans]

    def _order(self, ident: int, call: Call) -> dict[str, Any]:
        plan = self._plan
        server = plan.topology.workload(call.server)
        service = plan.service_of(server)
        name, addresses = "", [pod.address(call.family) for pod in plan.pods_of(server)]
        if call.via == "service" and service:
            addresses = [service.address(call.family)]
        elif call.via == "name" and service:
            # As people write it: the short name within the namespace, with the namespace outside.
            same = plan.namespace_of(server) == plan.namespace_of(plan.topology.workload(call.client))
            name = service.name if same else f"{service.name}.{service.namespace}"
        port = plan.topology.port_of(call)
        return {
            "do": "call",
            "id": ident,
            "name": name,
            "addresses": addresses,
            "port": port.pod_port if topology.dials_pods(call, server) else port.port,
            "family": call.family,
            "lookup": call.lookup,
            "count": call.connections,
            "rate": call.rate,
            "hold": call.hold,
        }

    def stop(self, client: str = "") -> None:
        """Stop all calls, or those of one client workload; connections that were held are closed."""
        for ident, call in enumerate(self._plan.topology.calls):
            if client in ("", call.client):
                for pod in self._clients(call):
                    pod.send({"do": "stop", "id": ident})

    def report(self) -> TrafficReport:
        """Ask every pod what it counted."""
        report = TrafficReport(0, Counter(), Counter(), Counter())
        for pod in self._pods:
            pod.send({"do": "report"})
        for pod in self._pods:
            answer = pod.receive()
            report.running += answer["running"]
            for call in answer["calls"].values():
                for target, count in call["connections"].items():
                    address, _, port = target.partition(" ")
                    report.connections[pod.plan.netns, address, int(port)] += count
                for reason, count in call["failures"].items():
                    report.failures[pod.plan.netns, reason] += count
            for name, outcomes in answer["lookups"].items():
                for outcome, count in outcomes.items():
                    report.lookups[pod.plan.netns, name, outcome] += count
        return report

    def wait(self, seconds: float = 30.0) -> TrafficReport:
        """Wait until all calls have ended (or this long), then report."""
        end = time.monotonic() + seconds
        while True:
            report = self.report()
            if not report.running or time.monotonic() > end:
                return report
            time.sleep(0.1)
