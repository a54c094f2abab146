"""Which pod a process belongs to, from the names of its control groups.

`/proc/PID/cgroup` (cgroups(7)) may be read by anybody, of every process. A kubelet puts a pod's containers into groups
that are named by the pod's UID, with one level below for each container:

    0::/kubepods/besteffort/pod9f0c…/5d41…                                               cgroupfs
    0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod9f0c_….slice/…   systemd, where _ stands for -

with cgroup v1 once for each hierarchy, below a root of its own where the kubelet has one (`--cgroup-root`, nested
clusters), and seen from within another cgroup namespace with `/../..` before. All that counts here is the part that
names the pod. Whether such a pod exists on this node is for the caller to say: a program may name its groups at will
below its own, and a cluster within a container has pods in pods, so the outermost name that is known is the pod's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CGROUPFS = re.compile(rb"pod([A-Za-z0-9][A-Za-z0-9.-]{0,127})")
_SYSTEMD = re.compile(rb"(?:[A-Za-z0-9_.-]{1,255}-)?pod([A-Za-z0-9_.]{1,128})\.slice")
_MONITOR = b"crio-conmon-"
"""CRI-O's monitor of a container may be in the pod's group, and is in the node's network."""
_MOST = 64


class Membership(NamedTuple):
    """That a process is in a pod's group.

    Attributes:
        uid: The pod's.
        depth: Levels below that group: 1 for a container's own processes, more for what it has put into groups below.
    """

    uid: str
    depth: int


def memberships(text: bytes) -> list[Membership]:
    """The pods that a process may belong to, by its `/proc/PID/cgroup`; outer ones before those within them."""
    found: dict[str, int] = {}
    if b"pod" not in text:
        return []
    for line in text.split(b"\n", _MOST)[:_MOST]:
        path = line.split(b":", 2)[-1]
        if b"pod" not in path:
            continue
        parts = path.rstrip(b"/").split(b"/")
        for place, part in enumerate(parts):
            uid = _uid(part)
            if uid and len(found) < _MOST:
                below = parts[place + 1 :]
                if below and below[0].startswith(_MONITOR):
                    return []
                found[uid] = min(found.get(uid, len(below)), len(below))
    return [Membership(uid, depth) for uid, depth in found.items()]


def _uid(part: bytes) -> str:
    if systemd := _SYSTEMD.fullmatch(part):
        return systemd[1].decode("ascii").replace("_", "-")
    if (plain := _CGROUPFS.fullmatch(part)) and not part.endswith((b".slice", b".scope", b".service")):
        return plain[1].decode("ascii")
    return ""
