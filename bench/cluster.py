"""Measures the product on a real cluster of two nodes: how soon it shows an edge, and what its parts use.

    python -m network_mapper.testing.sandbox --net -- python bench/cluster.py [INSTALLATIONS]

Started by itself it puts itself into the sandbox. The cluster, the image, the chart with its default values and the
Online Boutique with every special case are those of `make test-cluster`. CPU time and memory are those that the kernel
accounts to the one process of each pod: at rest, and while the boutique makes ten connections a second over its two
nodes. "First edge" is from the start of `helm install`, with the image on the nodes, until the mapper's map has the
edge that every cluster shows: its DNS reads the API.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("tests/cluster", "tools")]

import image  # noqa: E402  found through the line above
import image_archive  # noqa: E402
import kubernetes  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.door import MapperDoor  # noqa: E402
from harness.parts import Parts  # noqa: E402
from harness.release import Release  # noqa: E402
from harness.workloads import image as workload_image  # noqa: E402
from harness.workloads.manifests import Image  # noqa: E402
from harness.workloads.scene import Scene  # noqa: E402

from network_mapper.model import Workload  # noqa: E402
from network_mapper.testing import sandbox  # noqa: E402

if TYPE_CHECKING:
    from harness.workloads.judge import Row

SECONDS = 60
RATE = 2.0
"""Connections a second of each of the boutique's five clients."""
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = ("mapper", "sniffer on node1", "sniffer on node2")


def first_edge(release: Release) -> MapperDoor:
    """Wait for the first edge of the map."""
    door = MapperDoor.of(release)
    while True:
        try:
            edges = door.map().edges
        except OSError:
            edges = []
        if any(isinstance(edge.client, Workload) and edge.client.name == "coredns" for edge in edges):
            return door
        time.sleep(0.05)


def usage(parts: Parts) -> dict[str, tuple[float, float]]:
    """CPU seconds and the peak of the resident set in MiB, of each part."""
    pods = (parts.mapper(), parts.sniffer("node1"), parts.sniffer("node2"))
    found = {}
    for name, pod in zip(NAMES, pods, strict=True):
        (pid,) = parts.processes(pod)
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0])
        found[name] = ((int(fields[11]) + int(fields[12])) / TICKS, peak / 1024)
    return found


def used(parts: Parts, what: Any) -> dict[str, Any]:
    """Percent of a core that each part uses while something is done, and its peak until then."""
    before, began = usage(parts), time.monotonic()
    what()
    seconds, after = time.monotonic() - began, usage(parts)
    shares = {f"{name}, % of a core": round(100 * (after[name][0] - before[name][0]) / seconds, 2) for name in NAMES}
    return shares | {f"{name}, peak MiB": round(after[name][1], 1) for name in NAMES}


def shop_at_work(scene: Scene, rows: list[Row]) -> None:
    """Let each client of the boutique make its share of the connections, at its rate."""
    clients = [row.client for row in rows]
    paced = []
    for row in rows:
        count = round(SECONDS * RATE / clients.count(row.client))
        paced.append(dataclasses.replace(row, call={**row.call, "count": count, "rate": RATE}))
    scene.workloads.order(paced, seconds=4 * SECONDS)


def say(what: str, figures: dict[str, Any]) -> None:
    """Print one line of figures."""
    print(json.dumps({what: figures}), flush=True)


def main(installations: int) -> None:
    """Measure and print."""
    archive = image.build()
    command = workload_image.command("/usr/bin/python3.11")
    workloads = image.layered(archive, workload_image.REFERENCE, workload_image.files(), command)
    unpacked = sum(member.size for layer in image_archive.layers(archive) for member in layer)
    say("image", {"unpacked MB": round(unpacked / 1e6, 1)})
    programs = kubernetes.programs(), kubernetes.node_programs(), kubernetes.tool("coredns")
    with Cluster(*programs, images=[archive, workloads]) as cluster:
        say("cluster", {"from nothing to names resolved, s": round(cluster.started_in, 1)})
        times = []
        for number in range(installations):
            began = time.monotonic()
            with Release(cluster, f"network-mapper-{number}") as release:
                first_edge(release)
                times.append(round(time.monotonic() - began, 1))
        say("helm install to the first edge, s", {"each": times, "median": statistics.median(times)})
        with Release(cluster) as release:
            door = first_edge(release)
            release.wait_ready()
            parts = Parts(release)
            with Scene(cluster, Image(workload_image.REFERENCE, tuple(command)), door) as scene:
                say("at rest", used(parts, lambda: time.sleep(SECONDS)))
                shop = scene.shop.rows
                say("ten connections a second", used(parts, lambda: shop_at_work(scene, shop)))
                scene.act()
                delays = sorted(scene.delays)
                say(
                    "a new edge in the map, s",
                    {
                        "edges": len(delays),
                        "median": round(statistics.median(delays), 2),
                        "p99": round(delays[round(0.99 * (len(delays) - 1))], 2),
                        "slowest": round(delays[-1], 2),
                    },
                )
            user = f"system:serviceaccount:{release.namespace}:{release.namespace}"
            asked = cluster.api_requests(user=user)
            kinds = {(one.group, one.resource) for one in asked if one.verb == "watch"}
            say(
                "requests to the API",
                {
                    "kinds": len(kinds),
                    "lists": sum(one.verb == "list" for one in asked),
                    "watches": sum(one.verb == "watch" for one in asked),
                    "of the sniffers": len(cluster.api_requests(user=f"{user}-sniffer")),
                },
            )


if __name__ == "__main__":
    if sandbox.inside():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    else:
        image.build()
        sys.exit(sandbox.run([sys.executable, *sys.argv], net=True))
