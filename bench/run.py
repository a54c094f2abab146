"""Runs benchmarks and keeps what they print, with what a reader must know about the run.

    python bench/run.py mapper sniffer

Each result goes to `bench/results/NAME.txt`: commit, date, duration, machine, then the benchmark's own output. A figure
without its commit and its machine is a rumour.
"""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import platform
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results"


def commit() -> str:
    """The commit that is measured, and whether the tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def processor() -> str:
    """Model of the processor, where the system tells."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def run(name: str) -> int:
    """Run one benchmark, show its output as it comes, and keep it."""
    began, started = dt.datetime.now(dt.UTC), time.monotonic()
    process = subprocess.Popen([sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    status = process.wait()
    head = [
        f"commit    {commit()}",
        f"date      {began:%Y-%m-%d %H:%M} UTC",
        f"duration  {time.monotonic() - started:.0f} s",
        f"machine   {os.cpu_count()} x {processor()}, {platform.system()} {platform.release()}",
        f"python    {platform.python_version()}",
        f"status    {status}",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.txt").write_text("\n".join(head) + "\n" + "".join(lines))
    return status


def main(names: list[str]) -> int:
    """Run all that are named; the exit code says whether one failed."""
    failed = 0
    for name in names:
        print(f"==> bench/{name}.py", file=sys.stderr, flush=True)
        failed |= run(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
