"""What a cluster costs: CPU and memory from a snapshot's bytes to answers, with pods that are gone and without.

    python bench/cluster_index.py [--pods 10000] [--nodes 100] [--gone 100000] [--runs 3]

Reads the synthetic cluster (`synthetic.py`) in fresh processes, as the mapper does, and prints the medians as one JSON
object:

- `read_seconds`: CPU seconds (user and system) to decode every object and take it into the index;
- `decode_seconds`: of these, what decoding alone takes;
- `base_mib`, `index_mib`: resident memory with the modules imported, and what the index adds;
- `bytes_per_pod`: memory that is allocated, of all the index holds, over the pods;
- `bytes_per_sighting`: what it adds that each pod was seen by its node;
- `peak_mib`: highest resident memory, the bytes of the largest file included;
- `lookups_per_second`: `Index.at` over the addresses of all pods, per CPU second.

Then pods come and go in turn on 500 addresses, 200 to an address where there are 100,000:

- `gone_bytes_each`: memory that is allocated, over those that are remembered;
- `gone_microseconds`: CPU time for a pod to be decoded, to come and to go, the forgetting of an older one included;
- `past_lookups_per_second`: `Index.at` at random times of these addresses, per CPU second.
"""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
from typing import Any

import msgspec
import synthetic

from network_mapper.cluster.index import Claim, Index
from network_mapper.cluster.objects import POD, Pod
from network_mapper.cluster.snapshot import load
from network_mapper.model import PodRef, PodSighting

INSTANT = 1_900_000_000_000


def memory(field: str) -> float:
    """A line of /proc/self/status, in MiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return round(int(status.split(f"{field}:")[1].split()[0]) / 1024, 1)


def measure(folder: str) -> dict[str, Any]:
    """Read the snapshot in this process and take the figures."""
    base = memory("VmRSS")
    index = Index()
    begin = time.process_time()
    snapshot = load(folder, take=index.apply)
    read = time.process_time() - begin
    if problems := snapshot.problems.lines() + index.problems.lines():
        sys.exit("\n".join(problems))
    gc.collect()
    after, peak, counts = memory("VmRSS"), memory("VmHWM"), index.counts()
    begin = time.process_time()
    load(folder, take=lambda *_: None)
    decode = time.process_time() - begin
    addresses = [synthetic.pod_address(pod) for pod in range(counts["pods"])]
    begin = time.process_time()
    found = sum(isinstance(index.at(address, INSTANT), Claim) for _ in range(20) for address in addresses)
    spent = time.process_time() - begin
    return {
        "read_seconds": round(read, 2),
        "decode_seconds": round(decode, 2),
        "base_mib": base,
        "index_mib": round(after - base, 1),
        "peak_mib": peak,
        "lookups_per_second": round(found / spent),
        "snapshot_mib": sum(file.stat().st_size for file in pathlib.Path(folder).iterdir()) >> 20,
        "objects": sum(snapshot.kinds.values()),
        **counts,
    }


def measure_memory(folder: str, gone: int) -> dict[str, Any]:
    """Count what is allocated, in this process; that takes several times the time."""
    tracemalloc.start()
    index = Index(remember=10**12, remember_most=gone)
    load(folder, take=index.apply)
    pods = index.counts()["pods"]
    live = _allocated()
    for pod in range(pods):
        found = index.at(synthetic.pod_address(pod), INSTANT)
        assert isinstance(found, Claim)
        ref = PodRef(*(bytes(text, "utf-8").decode() for text in ("load", found.owner.name, found.owner.uid)))
        index.sight("node-0001", PodSighting(ref, (synthetic.pod_address(pod),), INSTANT - pod, INSTANT + pod), 0)
    sighted = _allocated()
    for number in range(gone):
        _come_and_go(index, number, gone)
    assert index.remembered == gone
    return {
        "bytes_per_pod": round(live / pods),
        "bytes_per_sighting": round((sighted - live) / pods),
        "gone_bytes_each": round((_allocated() - sighted) / gone) if gone else 0,
    }


def measure_past(gone: int) -> dict[str, Any]:
    """Let pods come and go in this process, twice as many as are remembered, and ask for them."""
    index = Index(remember=10**12, remember_most=gone)
    for number in range(gone):
        _come_and_go(index, number, gone)
    begin = time.process_time()
    for number in range(gone, 2 * gone):
        _come_and_go(index, number, gone)
    spent = time.process_time() - begin
    draw = random.Random(1)
    asked = [
        (_past_address(n), _born(n) + draw.randrange(1000)) for n in draw.choices(range(gone, 2 * gone), k=100_000)
    ]
    begin = time.process_time()
    found = sum(isinstance(index.at(address, instant), Claim) for address, instant in asked)
    return {
        "gone_microseconds": round(spent / gone * 1e6),
        "past_lookups_per_second": round(found / (time.process_time() - begin)),
    }


_decode = msgspec.json.Decoder(Pod).decode


def _come_and_go(index: Index, number: int, most: int) -> None:
    """A pod of one of a thousand workloads lives for two seconds."""
    name, uid = (
        f"job-{number % 1000}-{number % most:05x}",
        uuid.UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128),
    )
    began, ended = _text(_born(number)), _text(_born(number) + 2000)
    state = {"terminated": {"startedAt": began, "finishedAt": ended}}
    item = {
        "metadata": {
            "name": name,
            "namespace": "load",
            "uid": str(uid),
            "creationTimestamp": began,
            "labels": {"app": f"job-{number % 1000}", "team": "a"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": f"job-{number % 1000}"}],
        },
        "spec": {"nodeName": f"node-{number % 100:04d}", "containers": [{"name": "app"}]},
        "status": {
            "phase": "Succeeded",
            "podIPs": [{"ip": _past_address(number)}],
            "startTime": began,
            "containerStatuses": [{"state": state}],
        },
    }
    index.apply(POD, _decode(msgspec.json.encode(item)), _born(number))
    index.delete(POD, "load", name, _born(number) + 2500)


def _past_address(number: int) -> str:
    return f"10.200.{number % 500 // 250}.{number % 250 + 1}"


def _born(number: int) -> int:
    """Each address is used again two seconds after the pod before has ended."""
    return 1_800_000_000_000 + number // 500 * 4000


def _text(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment // 1000))


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    """Write the snapshot, measure it in fresh processes, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--gone", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        what, folder = args.measure
        took = {
            "time": measure,
            "memory": lambda f: measure_memory(f, args.gone),
            "past": lambda _: measure_past(args.gone),
        }
        print(json.dumps(took[what](folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write_snapshot(pathlib.Path(folder), args.pods, args.nodes)
        found: dict[str, float] = {}
        for what in ("time", "memory", "past") if args.gone else ("time",):
            command = [sys.executable, __file__, "--gone", str(args.gone), "--measure", what, folder]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(args.runs)]
            found |= {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
