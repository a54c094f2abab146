"""Which network namespace belongs to which pod, found through the pods' processes.

The walk over `/proc` looks at a process once, because what it is does not change: its pod is in its control group
(`capture.podgroups`), its network namespace is told by the inode of `net/tcp`, which takes no capability. Only while it
is young it is looked at again, since a runtime starts a container's first process outside and then moves it in. So a
look costs a listing of `/proc` and little more than the processes that have come since the last one.

A pod's namespace is that of its first process: of those nearest to the pod's own group the one that started first. What
else is below that group may be in namespaces of its own, such as the containers of an engine within the pod. Where the
first process is in the node's namespace, the pod is on the host's network and has none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from network_mapper.capture.podgroups import memberships

if TYPE_CHECKING:
    from collections.abc import Container

_YOUNG = 1.0
"""Seconds for which a process is looked at again."""
_MOST_INSPECTED = 4096
"""Processes that are looked at in one go."""
_LONGEST_FILE = 64 * 1024
_START = 19
"""Place of `starttime` (proc_pid_stat(5)) behind the command's closing bracket."""
_NEVER = 1 << 63


class PodProcesses(msgspec.Struct):
    """A pod's processes.

    Attributes:
        spaces: Of each the network namespace, by its inode.
        depths: Of each the levels below the pod's group.
        home: The pod's own namespace; 0 while none is known, and of pods on the host's network.
        depth: Of the process that `home` was taken from. A namespace that is further down never follows it.
    """

    spaces: dict[str, int] = {}
    depths: dict[str, int] = {}
    home: int = 0
    depth: int | None = None

    def at_home(self) -> str | None:
        """One that was in the pod's own namespace when it was looked at."""
        return next((pid for pid, space in self.spaces.items() if space == self.home), None)


class Processes:
    """The processes of pods on this node.

    Args:
        proc_dir: Where the host's procfs is mounted.
        most: Processes that are looked at in one go; the rest follows with the next look.

    Attributes:
        pods: By UID; a pod without processes is not there.
        unreadable: Processes of which something could not be read, since the start.
        shared: Pods whose first process was in the namespace of another pod, since the start.
    """

    def __init__(self, proc_dir: str, most: int = _MOST_INSPECTED) -> None:
        self.pods: dict[str, PodProcesses] = {}
        self.unreadable = 0
        self.shared = 0
        self._proc = proc_dir
        self._most = most
        self._known: set[str] = set()
        self._young: dict[str, float] = {}
        """When they were first seen."""
        self._pod_of: dict[str, str] = {}
        self._homes: dict[int, str] = {}
        self._nodes: set[int] = set()
        self._changed: set[str] = set()

    def look(self, uids: Container[str], now: float) -> tuple[set[str], bool]:
        """Take in what has come and gone since the last look.

        Args:
            uids: Those of this node's pods.
            now: Seconds of a clock that never jumps.

        Returns:
            UIDs of pods of which something has changed, and whether every process has been looked at.

        Raises:
            OSError: The procfs cannot be listed.
        """
        here = {name for name in os.listdir(self._proc) if name.isdecimal()}  # noqa: PTH208  a Path each costs double
        self._nodes = {inode for pid in ("self", "1") if (inode := self.space_of(pid))}
        self._forget(self._known - here)
        self._known &= here
        fresh = here - self._known
        complete = len(fresh) <= self._most
        if not complete:
            fresh = set(sorted(fresh, key=int)[: self._most])
        for pid in [*self._young, *fresh]:
            self._inspect(pid, uids)
            if now - self._young.setdefault(pid, now) >= _YOUNG or self._is_settled(pid):
                del self._young[pid]
        self._known |= fresh
        changed, self._changed = self._changed, set()
        for uid in changed:
            self._settle(uid)
        return changed, complete

    def living(self, uid: str) -> str | None:
        """A process that is in the pod's own namespace now; None where none is, which the next look takes in."""
        pod = self.pods[uid]
        while (pid := pod.at_home()) is not None:
            space = self.space_of(pid)
            if space == pod.home:
                return pid
            self._forget({pid})  # it has ended and its parent does not know yet, or it has moved
            if space:
                self._young[pid] = 0.0
        return None

    def space_of(self, pid: str) -> int:
        """The inode that stands for a process's network namespace; 0 when it has ended."""
        try:
            return os.stat(f"{self._proc}/{pid}/net/tcp").st_ino  # noqa: PTH116  likewise
        except (FileNotFoundError, ProcessLookupError):
            return 0
        except OSError:
            self.unreadable += 1
            return 0

    def read(self, pid: str, name: str, most: int = _LONGEST_FILE) -> bytes | None:
        """The beginning of a file of a process; None when it cannot be had."""
        try:
            file = os.open(f"{self._proc}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError:
            self.unreadable += 1
            return None
        parts: list[bytes] = []
        left = most
        try:
            while left > 0 and (part := os.read(file, left)):
                parts.append(part)
                left -= len(part)
        except OSError:  # it ended while it was read
            return None
        finally:
            os.close(file)
        return b"".join(parts)

    def _forget(self, ended: set[str]) -> None:
        for pid in ended:
            self._young.pop(pid, None)
            uid = self._pod_of.pop(pid, None)
            if uid is not None:
                self._changed.add(uid)
                del self.pods[uid].spaces[pid], self.pods[uid].depths[pid]

    def _inspect(self, pid: str, uids: Container[str]) -> None:
        """Take in which pod a process belongs to, if any, and which namespace it is in."""
        text = self.read(pid, "cgroup")
        member = next((each for each in memberships(text or b"") if each.uid in uids), None)
        if member is None or not (space := self.space_of(pid)):
            return
        former = self._pod_of.get(pid)
        if former is not None and former != member.uid:
            self._forget({pid})
        pod = self.pods.setdefault(member.uid, PodProcesses())
        if pod.spaces.get(pid) == space and pod.depths.get(pid) == member.depth:
            return
        self._pod_of[pid] = member.uid
        pod.spaces[pid], pod.depths[pid] = space, member.depth
        self._changed.add(member.uid)

    def _is_settled(self, pid: str) -> bool:
        uid = self._pod_of.get(pid)
        return uid is not None and self.pods[uid].spaces[pid] not in self._nodes

    def _settle(self, uid: str) -> None:
        """Choose the pod's own namespace anew if it has none, or no process there any more."""
        pod = self.pods[uid]
        if pod.home in pod.spaces.values():
            return
        self._homes.pop(pod.home, None)
        pod.home = 0
        if not pod.spaces:
            return
        least = min(pod.depths.values())
        if pod.depth is not None and least > pod.depth:
            return
        first = [pid for pid, depth in pod.depths.items() if depth == least]
        if len({pod.spaces[pid] for pid in first}) > 1:
            first.sort(key=self._start_of)
        home = pod.spaces[first[0]]
        if home in self._nodes:
            return
        if self._homes.setdefault(home, uid) != uid:
            self.shared += 1
            return
        pod.home, pod.depth = home, least

    def _start_of(self, pid: str) -> tuple[int, int]:
        """When a process started, in ticks since the system did, then by its number."""
        text = self.read(pid, "stat") or b""
        fields = text.rpartition(b")")[2].split()
        started = int(fields[_START]) if len(fields) > _START and fields[_START].isdigit() else _NEVER
        return started, int(pid)

    def forget_pods(self, uids: Container[str]) -> None:
        """Forget what is remembered of pods without processes that are none of these any more."""
        for uid in [uid for uid, pod in self.pods.items() if not pod.spaces and uid not in uids]:
            if uid not in self._changed:
                del self.pods[uid]
