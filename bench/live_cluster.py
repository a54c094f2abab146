"""What following a cluster of ten thousand pods costs, from a real API server to edges in the map.

    python bench/live_cluster.py [--events 6000] [--runs 3]

An etcd and a kube-apiserver hold 10,000 pods (two containers, twenty environment variables each), 1,000 Deployments and
20,000 ReplicaSets; making them takes minutes once, after that they come from the cache. Two things are measured:

- The following by itself, in a fresh process: CPU seconds until everything is in the index, of these the decoding
  alone, resident memory, and watch events a CPU second while it catches up with thousands of changed pods.
- The shipped mapper: CPU and memory until it is ready, and what becomes of 20,000 edges that the 10,000 pods report at
  the GraphQL door: all of them must be in the map two seconds after the last answer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("tests/cluster", "tests/support", "tools")]

import kubernetes  # noqa: E402  found through the line above
import medians  # noqa: E402
import model_wire  # noqa: E402
from harness import bulk  # noqa: E402
from harness.control_plane import ControlPlane  # noqa: E402
from mapper import cpu_seconds, resident  # noqa: E402
from mapper_process import MapperProcess  # noqa: E402

from network_mapper.cluster.index import Index  # noqa: E402
from network_mapper.cluster.live.cluster import LiveCluster  # noqa: E402
from network_mapper.cluster.live.decode import codec  # noqa: E402
from network_mapper.cluster.live.resources import METADATA_LIST  # noqa: E402
from network_mapper.kube.client import ApiClient  # noqa: E402
from network_mapper.kube.config import find_access  # noqa: E402

PATCHERS = 4
EDGES_A_POD = 2
DEADLINE = 2.0
"""Seconds after the last answer in which every edge must be in the map."""


def memory() -> float:
    """Resident memory of this process, MiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


async def follow(kubeconfig: str, events: int) -> dict[str, Any]:
    """Follow the cluster in this process; waits for a line on standard input before events are expected."""
    base = memory()
    client = ApiClient(find_access(kubeconfig))
    index = Index()
    cluster = LiveCluster(client, index)
    began = time.process_time()
    task = asyncio.create_task(cluster.run())
    await cluster.synced.wait()
    figures: dict[str, Any] = {"listed_cpu_s": round(time.process_time() - began, 2), **index.counts()}
    gc.collect()
    figures |= {"base_mib": base, "listed_mib": memory()}
    print("listed", flush=True)
    before, cpu = cluster.totals().events, time.process_time()
    while cluster.totals().events - before < events:  # noqa: ASYNC110  nobody tells us of events
        await asyncio.sleep(0.05)
    spent = time.process_time() - cpu
    figures |= {"events": events, "event_cpu_s": round(spent, 3), "events_per_cpu_s": round(events / spent)}
    await cluster.close()
    await task
    figures["decode_cpu_s"] = round(await decode_alone(client), 2)
    await client.close()
    return figures


async def decode_alone(client: ApiClient) -> float:
    """CPU seconds to decode the pages of pods and ReplicaSets, without reading and without the index."""
    spent = 0.0
    for kind, path, accept in (
        ("Pod", "/api/v1/pods", "application/json"),
        ("ReplicaSet.apps", "/apis/apps/v1/replicasets", METADATA_LIST),
    ):
        token = ""
        while True:
            answer = await client.get(path, {"limit": "500", "continue": token}, accept=accept)
            began = time.process_time()
            meta, _ = codec(kind).page(answer.body)
            spent += time.process_time() - began
            token = meta.more or ""
            if not token:
                break
    return spent


def change_pods(plane: ControlPlane, events: int) -> None:
    """Change as many pods as events are wanted."""

    def change(number: int) -> None:
        name = names[number % len(names)]
        plane.admin.patch("pods", bulk.NAMESPACE, name, {"metadata": {"labels": {"round": str(number)}}})

    names = [item["metadata"]["name"] for item in plane.admin.list("pods", bulk.NAMESPACE)]
    with ThreadPoolExecutor(PATCHERS) as threads:
        list(threads.map(change, range(events)))


def measure_following(plane: ControlPlane, kubeconfig: pathlib.Path, events: int) -> dict[str, Any]:
    """A fresh process that follows. It sleeps while the pods are changed, and then catches up."""
    command = [sys.executable, __file__, "--follow", str(kubeconfig), "--events", str(events)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline().strip() != "listed":
        sys.exit("the follower ended early")
    process.send_signal(signal.SIGSTOP)
    change_pods(plane, events)
    process.send_signal(signal.SIGCONT)
    figures: dict[str, Any] = json.loads(process.stdout.read())
    process.wait()
    return figures


def measure_mapper(folder: pathlib.Path, kubeconfig: pathlib.Path, size: bulk.Size) -> dict[str, Any]:
    """The shipped mapper on that cluster."""
    mapper = MapperProcess(folder, None, "--kubeconfig", str(kubeconfig)).start().wait_ready(120)
    assert mapper.process is not None
    pid = mapper.process.pid
    figures: dict[str, Any] = {"ready_cpu_s": cpu_seconds(pid), "ready_mib": round(resident(pid), 1)}
    bodies = []
    for first in range(0, size.pods, model_wire.SOURCES):
        sources = []
        for pod in range(first, first + model_wire.SOURCES):
            workload, place = divmod(pod, size.pods_per_workload)
            destinations = []
            for n in range(EDGES_A_POD):
                target = (workload + 1 + place * EDGES_A_POD + n) % size.workloads
                address = bulk.pod_address(target * size.pods_per_workload + place)
                destinations.append(
                    {
                        "destination": address,
                        "destinationIP": address,
                        "destinationPort": 8080,
                        "TTL": None,
                        "lastSeen": model_wire.timestamp(),
                        "srcPorts": [40_000],
                    }
                )
            sources.append({"srcIp": bulk.pod_address(pod), "srcHostname": "", "destinations": destinations})
        bodies.append(model_wire.body("tcp", sources))
    cpu = cpu_seconds(pid)
    figures["refused"] = model_wire.send(mapper.url, bodies)
    time.sleep(DEADLINE)
    edges = len(mapper.get("/api/v1/map")["edges"])
    figures |= {"edges_reported": size.pods * EDGES_A_POD, "edges_after_2_s": edges}
    figures |= {"edges_cpu_s": round(cpu_seconds(pid) - cpu, 2), "with_edges_mib": round(resident(pid), 1)}
    mapper.stop()
    return figures


def measure(events: int) -> dict[str, Any]:
    """Run once and return the figures."""
    size = bulk.Size()
    programs = kubernetes.programs()
    data = bulk.filled(programs, size, lambda line: print(f"==> {line}", file=sys.stderr, flush=True))
    with tempfile.TemporaryDirectory(prefix="network-mapper-bench-") as name:
        folder = pathlib.Path(name)
        with ControlPlane(programs, parent=folder, controllers=(), etcd_data=data) as plane:
            kubeconfig = plane.kubeconfig(folder / "kubeconfig")
            figures = measure_following(plane, kubeconfig, events)
            return figures | measure_mapper(folder, kubeconfig, size)


def main() -> None:
    """Print the figures as JSON, one object a run, and their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--follow", metavar="KUBECONFIG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.follow:
        import uvloop  # noqa: PLC0415  as the mapper does

        print(json.dumps(uvloop.run(follow(arguments.follow, arguments.events))))
        return
    medians.report("live_cluster", arguments.runs, lambda: measure(arguments.events))


if __name__ == "__main__":
    main()
