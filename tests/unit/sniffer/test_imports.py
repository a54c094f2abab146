"""What the sniffer imports is its memory, so its imports are part of its contract."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "aiohttp",
    "asyncio",
    "click",
    "multiprocessing",
    "starlette",
    "uvicorn",
    "yaml",
    "http.client",
    "ssl",
    "hashlib",
    "email",
    "network_mapper.cli",
    "network_mapper.cluster",
    "network_mapper.mapper",
    "network_mapper.store",
)


def imported_by(*modules: str) -> set[str]:
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "modules",
    [
        ("network_mapper.sniffer",),
        ("network_mapper.sniffer.run", "network_mapper.sniffer.live"),
        ("network_mapper.sniffer.run", "network_mapper.sniffer.replay"),
        ("network_mapper.sniffer.live", "network_mapper.capture.ring", "network_mapper.capture.sockets"),
    ],
)
def test_no_kubernetes_and_no_web_library_comes_in(modules):
    assert imported_by(*modules).isdisjoint(HEAVY)


def test_playing_files_brings_in_nothing_that_only_linux_has():
    linux_only = {f"network_mapper.capture.{name}" for name in ("ring", "sockets", "links", "cbpf")}
    assert imported_by("network_mapper.sniffer.run", "network_mapper.sniffer.replay").isdisjoint(linux_only)
