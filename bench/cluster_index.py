"""What a cluster costs: CPU and memory from a snapshot's bytes to answers.

    python bench/cluster_index.py [--pods 10000] [--nodes 100] [--runs 3]

Reads the synthetic cluster (`synthetic.py`) in fresh processes, as the mapper does, and prints the medians as one JSON
object:

- `read_seconds`: CPU seconds (user and system) to decode every object and take it into the index;
- `decode_seconds`: of these, what decoding alone takes;
- `base_mib`, `index_mib`: resident memory with the modules imported, and what the index adds;
- `peak_mib`: highest resident memory, the bytes of the largest file included;
- `lookups_per_second`: `Index.at` over the addresses of all pods, per CPU second.
"""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import synthetic

from network_mapper.cluster.index import Claim, Index
from network_mapper.cluster.snapshot import load

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


def main() -> None:
    """Write the snapshot, measure it in fresh processes, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write_snapshot(pathlib.Path(folder), args.pods, args.nodes)
        command = [sys.executable, __file__, "--measure", folder]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(args.runs)]
    print(json.dumps({key: statistics.median(run[key] for run in runs) for key in runs[0]}))


if __name__ == "__main__":
    main()
