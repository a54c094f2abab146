"""The image of the workloads: the product's own, which has an interpreter, and one layer with their program.

The layer brings its own copies of the modules it needs, so it does not matter how the product is installed there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import network_mapper

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = "registry.example.org/tests/workload:1"

_FOLDER = "/workload"
_MODULES = ("__init__.py", "testing/__init__.py", "testing/dns.py", "testing/pod.py")


def files() -> Mapping[str, bytes]:
    """What the layer holds, by absolute path."""
    package = Path(network_mapper.__file__).parent
    held = {f"{_FOLDER}/network_mapper/{module}": (package / module).read_bytes() for module in _MODULES}
    return held | {f"{_FOLDER}/program.py": Path(__file__).with_name("program.py").read_bytes()}


def command(python: str) -> list[str]:
    """The container's command; site-packages are left out, as they cost memory in each pod."""
    return [python, "-S", "-E", f"{_FOLDER}/program.py"]
