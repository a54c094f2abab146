"""The control groups of nodes: one for each node in every hierarchy of cgroup v1, below the sandbox's own name.

A node's kubelet and containers make theirs below, in a cgroup namespace whose root is the node's. The sandbox removes
what is left when it ends (`network_mapper.testing.sandbox.cgroups`); a node removes its own when it is killed.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from harness.processes import HarnessError
from network_mapper.testing import sandbox

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
EMPTYING = 10.0
POLL = 0.02


def hierarchies() -> dict[str, str]:
    """Folders of the hierarchies of cgroup v1 that are mounted, and the options that mount each of them anew.

    Raises:
        HarnessError: One that a kubelet needs is not there.
    """
    found: dict[str, str] = {}
    controllers: set[str] = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        own, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        folder = Path(own.split(" ")[4])
        if kind != "cgroup" or folder.parent != ROOT:
            continue
        kept = [option for option in options.split(",") if option in NEEDED or option.startswith("name=")]
        if kept:
            found[folder.name] = ",".join(["none", *kept] if kept[0].startswith("name=") else kept)
            controllers.update(kept)
    if missing := [name for name in NEEDED if name not in controllers]:
        raise HarnessError(
            f"the nodes of a test cluster need control groups of version 1, and this system has none for "
            f"{', '.join(missing)}; start it with systemd.unified_cgroup_hierarchy=0"
        )
    return found


class NodeGroups:
    """The control groups of one node.

    Args:
        node: Its name.

    Raises:
        HarnessError: This is no sandbox, which would remove them.
    """

    def __init__(self, node: str) -> None:
        self._name = sandbox.cgroups()
        if not self._name:
            raise HarnessError(
                "a cluster with nodes runs in a sandbox only, which removes what is left of it: "
                "python -m network_mapper.testing.sandbox --net -- COMMAND"
            )
        self.hierarchies = hierarchies()
        self._folders = [ROOT / hierarchy / self._name / node for hierarchy in self.hierarchies]

    def make(self) -> None:
        """Make them, empty."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            self._allow_processors(folder)

    def enter(self) -> list[str]:
        """The prefix that starts a program in them."""
        files = [str(folder / "cgroup.procs") for folder in self._folders]
        return ["sh", "-c", f'for file in {" ".join(files)}; do echo $$ > "$file" || exit; done; exec "$@"', "sh"]

    def pids(self, part: str = "") -> list[int]:
        """Processes in them, in our numbers: all, or those in groups with this in their path.

        Args:
            part: A container's or a pod's id.
        """
        root = self._folders[0]
        found: list[int] = []
        for file in [root / "cgroup.procs", *root.rglob("cgroup.procs")]:
            if part in str(file.relative_to(root)):
                with contextlib.suppress(OSError):
                    found += [int(pid) for pid in file.read_text().split()]
        return sorted({pid for pid in found if pid})

    def remove(self) -> None:
        """Remove them once they are empty.

        Raises:
            HarnessError: Something lives on in them.
        """
        deadline = time.monotonic() + EMPTYING
        while time.monotonic() < deadline:
            for root in self._folders:
                for folder in [*sorted(root.rglob("*/"), key=lambda found: -len(found.parts)), root]:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
            if not any(folder.exists() for folder in self._folders):
                return
            time.sleep(POLL)
        raise HarnessError(f"processes {self.pids()} of a node that was killed live on")

    def _allow_processors(self, folder: Path) -> None:
        """Give what it needs to a group of the cpuset hierarchy, which takes no process before."""
        *groups, _ = folder.relative_to(ROOT).parents[:-1]  # without the hierarchy's own, and from the node's upwards
        for path in (*(ROOT / group for group in reversed(groups)), folder):
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (path / name).exists() and not (path / name).read_text().strip():
                    (path / name).write_text((path.parent / name).read_text())
