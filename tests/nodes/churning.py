"""A cluster with few addresses, the product on it, and pods that live two seconds; prints what came of it as JSON.

    python churning.py [--pods 200]

Started in a sandbox of its own, with the folders of the harness and the tools on its path.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

import image
import kubernetes
from harness import balance
from harness.cluster import Cluster
from harness.door import MapperDoor
from harness.release import Release
from harness.workloads import image as workload_image
from harness.workloads import visits
from harness.workloads.churn import Churn
from harness.workloads.manifests import Image

NAMESPACE = "churn"
PODS = ("10.244.0.0/27", "fd00:10:244::/56")
PREFIXES = (28, 64)
AT_ONCE = 9
SETTLING = 75.0
"""Seconds for which rows may wait for their pods to be told of, and some to report them."""
SECONDS_A_POD = 3.0
VALUES = {"sniffer": {"settings": {"repeatInterval": 3}}}
_POLL = 1.0


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"==> {line}", file=sys.stderr, flush=True)  # noqa: T201  what it is for


def settled(churn: Churn, door: MapperDoor) -> visits.Verdict:
    """The verdict once nothing is missing any more and what may come late has come; or when it is too late."""
    deeds, deadline = churn.deeds(), time.monotonic() + SETTLING
    while True:
        verdict = visits.compare(deeds, door.map().edges, NAMESPACE)
        if not verdict.missed or time.monotonic() > deadline:
            break
        time.sleep(_POLL)
    time.sleep(2 * VALUES["sniffer"]["settings"]["repeatInterval"])
    return visits.compare(deeds, door.map().edges, NAMESPACE)


def churned(cluster: Cluster, pods: int) -> dict[str, Any]:
    """Let pods come and go, and judge the map."""
    for archive in archives():
        cluster.load_image(archive)
    seen = Image(workload_image.REFERENCE, tuple(workload_image.command("/usr/bin/python3.11", "visitor.py")))
    with Release(cluster, values=VALUES) as release:
        release.wait_ready()
        door = MapperDoor.of(release)
        with Churn(cluster, seen, NAMESPACE, pods, AT_ONCE) as churn:
            say("the pods begin")
            began = time.monotonic()
            churn.run(60 + pods * SECONDS_A_POD)
            took = time.monotonic() - began
            say(f"{churn.so_far()} pods in {took:.0f} s")
            verdict, status = settled(churn, door), door.status()
            counted, deeds = churn.counted(), churn.deeds()
    reasons = Counter(f"{deed.service or 'pod'}: {deed.server}" for deed in deeds if deed.what == "failed")
    found = {
        **counted._asdict(),
        **verdict._asdict(),
        "seconds": round(took, 1),
        "reasons": reasons,
        "drops": status.drops,
    }
    return {**found, "waiting": status.waiting, "unbalanced": balance.unbalanced(status), "lost": balance.lost(status)}


def archives() -> list[Any]:
    """The images of the product and of the visitors."""
    product = image.build()
    return [product, image.layered(product, workload_image.REFERENCE, workload_image.files())]


def main() -> None:
    """Print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=200)
    given = parser.parse_args()
    programs = kubernetes.programs(), kubernetes.node_programs(), kubernetes.tool("coredns")
    with Cluster(*programs, pod_blocks=PODS, node_prefixes=PREFIXES, say=say) as cluster:
        print(json.dumps(churned(cluster, given.pods)), flush=True)  # noqa: T201  what it is for


if __name__ == "__main__":
    main()
