"""Knows the pods of this node, and which addresses they have and had, without asking anybody.

The names are those of the folders of the pods' logs (`capture.podfolders`), the network namespaces those of the pods'
processes (`capture.podprocesses`), the addresses those of the namespaces (`capture.podaddresses`); all of it may be
read without any capability, through the host's `/proc`. So a pod is known that nobody could tell of: one that came and
went within two seconds while the API server was away. What is not certain is not said (`capture.podstays`).

Nothing is walked while nothing changes. Five times a second the folder's time of change is asked for. A new folder
means that a pod is being made: processes are looked for then, and every fifth of a second until those of the new pod
are found, at last every second, half a minute at most. The kernel's link events tell of networks that come and go by
themselves. Every ten seconds one look is made in any case, since a container may be started anew without either, and
twice a minute the addresses of all pods are read again.

Pods on the host's network have no address of their own and are never an owner.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING

import msgspec

from network_mapper.capture.links import LinkEvents
from network_mapper.capture.podaddresses import LONGEST_TABLE, addresses
from network_mapper.capture.podfolders import PodFolders
from network_mapper.capture.podprocesses import Processes
from network_mapper.capture.podstays import Stays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.capture.podstays import Stay
    from network_mapper.model import PodRef, PodSighting

logger = logging.getLogger(__name__)

FOLDER_INTERVAL = 0.2
_DENSE, _SPARSE, _REST = 0.2, 1.0, 10.0
"""Seconds between two looks: while a pod is being made, while it takes long, and else."""
_MADE_SOON, _MADE_LATE = 5.0, 30.0
"""Seconds after which looks for a new pod become sparse, and are given up."""
_READ_AGAIN = 30.0
"""Seconds between two readings of all pods' addresses."""
_AFTER_LINKS = 2.0
"""Seconds after a link event in which there are sparse looks."""
_AFTER_FAILURE = 10.0
_SET_BACK = 1_000


class PodCounts(msgspec.Struct):
    """What is known, and what went wrong since the start.

    Attributes:
        named: Pods that have a folder.
        present: Pods whose addresses are known.
        remembered: Stays of pods at their addresses that have ended.
        looks: Times that the processes were looked at.
        failures: By what went wrong: `folder_unreadable` and `proc_unreadable` in times that it was tried,
            `process_unreadable` in tries too, `folders_left_out` in folders now, `pods_left_out` and `namespace_shared`
            in pods, `never_found` in pods that had no process with an address half a minute after they were made.
    """

    named: int
    present: int
    remembered: int
    looks: int
    failures: dict[str, int]


class _Pod(msgspec.Struct):
    """A pod with a network namespace.

    Attributes:
        ref: Who.
        space: The namespace.
        stay: Its stay at the addresses there; None while it has none.
        tables: The tables that these were read from, but for the routes.
    """

    ref: PodRef
    space: int
    stay: Stay | None = None
    tables: tuple[bytes, bytes] = (b"", b"")


class _Awaited(msgspec.Struct):
    """A pod that is being made.

    Attributes:
        found: When its folder was found, by the steady clock.
        absent: When that was not there yet, by the wall clock; 0 where nobody knows.
    """

    found: float
    absent: int


class NodePods:
    """The pods of this node. `owner` and `tell_again` may be called from any thread, the rest from one.

    Args:
        pods_dir: Folder of the folders of the pods' logs.
        proc_dir: Where the host's procfs is mounted.
        wall: Milliseconds since the epoch.
        steady: Seconds of a clock that never jumps.
        most: Stays of pods at their addresses that are kept.
    """

    def __init__(
        self,
        pods_dir: str = "/var/log/pods",
        proc_dir: str = "/proc",
        *,
        wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        steady: Callable[[], float] = time.monotonic,
        most: int = 4096,
    ) -> None:
        self._folders = PodFolders(pods_dir)
        self._processes = Processes(proc_dir)
        self._stays = Stays(most)
        self._pods_dir, self._proc_dir = pods_dir, proc_dir
        self._wall, self._steady = wall, steady
        self._pods: dict[str, _Pod] = {}
        self._awaited: dict[str, _Awaited] = {}
        self._absent_at = 0
        """When the folder was last read, or asked for its time of change, by the wall clock."""
        self._looked_at = 0
        """When the last look began that saw everything, by the wall clock; 0 before the first."""
        self._last_look = self._read_at = -math.inf
        self._next_folder = self._next_look = steady()
        self._links_until = 0.0
        self._latest = 0
        self._looks = 0
        self._failures = dict.fromkeys(("folder_unreadable", "proc_unreadable", "never_found"), 0)
        self._complained: set[str] = set()
        self._links: LinkEvents | None = None
        with contextlib.suppress(OSError):
            self._links = LinkEvents()

    def fileno(self) -> int:
        """The routing socket; -1 where the kernel offers none."""
        return self._links.fileno() if self._links else -1

    def read(self) -> None:
        """Note that links changed; the next `work` looks."""
        if self._links and self._links.happened():
            now = self._steady()
            self._links_until = now + _AFTER_LINKS
            self._next_look = min(self._next_look, max(now, self._last_look + _DENSE))

    def due(self) -> float:
        """When `work` has something to do, by the steady clock."""
        return min(self._next_folder, self._next_look) if self._has_pods() else self._next_folder

    def _has_pods(self) -> bool:
        return bool(self._folders.names or self._pods)

    def work(self) -> None:
        """Do what is due."""
        now = self._steady()
        if now < self.due():
            return
        wall = self._wall()
        if wall < self._latest - _SET_BACK:
            self._stays.forget_times(wall)
            self._looked_at = self._absent_at = 0
        self._latest = wall
        if now >= self._next_folder:
            self._read_folder(now, wall)
        if now >= self._next_look and self._has_pods():
            self._look(now)

    def _read_folder(self, now: float, wall: int) -> None:
        self._next_folder = now + FOLDER_INTERVAL
        try:
            new = self._folders.look()
        except OSError as error:
            self._next_folder = now + _AFTER_FAILURE
            self._fail("folder_unreadable", self._pods_dir, error)
            return
        self._complained.discard("folder_unreadable")
        for uid in new:
            self._awaited[uid] = _Awaited(now, self._absent_at)
        if new:
            self._next_look = now
        self._absent_at = wall

    def _look(self, now: float) -> None:
        """Look at the processes, and take in what that shows."""
        began = self._wall()
        self._looks += 1
        try:
            changed, complete = self._processes.look(self._folders.names, now)
        except OSError as error:
            self._next_look = now + _AFTER_FAILURE
            self._fail("proc_unreadable", self._proc_dir, error)
            return
        self._complained.discard("proc_unreadable")
        for uid in changed:
            self._take_in(uid)
        for pod in self._pods.values():
            if pod.stay is not None:
                pod.stay.last = max(pod.stay.last, began)
        if now - self._read_at >= _READ_AGAIN:
            self._read_at = now
            self._read_addresses(self._pods)
        else:
            self._read_addresses(self._awaited.keys() & self._pods.keys())
        if complete:
            self._looked_at = began
        self._last_look = now
        self._give_up(now)
        self._stays.forget(began)
        self._processes.forget_pods(self._folders.names)
        self._next_look = now + self._pause(now)

    def _take_in(self, uid: str) -> None:
        """Note that a pod has its namespace, or has it no more."""
        home = self._processes.pods[uid].home
        known = self._pods.get(uid)
        if known and known.space == home:
            return
        if known:
            self._end(known)
            del self._pods[uid]
        ref = self._folders.names.get(uid)
        if ref and home:
            self._pods[uid] = _Pod(ref, home)
        if ref and (known or home):
            # Its next container comes, or its addresses do; seldom soon, and a second before the sighting is trusted.
            self._awaited.setdefault(uid, _Awaited(self._steady() - _MADE_SOON, 0))

    def _read_addresses(self, uids: Iterable[str]) -> None:
        """Bring the stays of pods up to date."""
        for uid in uids:
            pid = self._processes.living(uid)
            if pid is not None:
                self._read_tables(uid, self._pods[uid], pid)

    def _read_tables(self, uid: str, pod: _Pod, pid: str) -> None:
        before = self._wall()
        fib_trie, if_inet6 = self._table(pid, "fib_trie"), self._table(pid, "if_inet6")
        if pod.stay is not None and (fib_trie, if_inet6) == pod.tables:
            pod.stay.last = before
            return
        has = addresses(fib_trie, self._table(pid, "route"), if_inet6)
        if self._processes.space_of(pid) != pod.space:
            return  # it has ended meanwhile
        if pod.stay is not None and pod.stay.addresses == has:
            pod.stay.last = before
        else:
            self._move(uid, pod, has, before)
        pod.tables = fib_trie, if_inet6

    def _table(self, pid: str, name: str) -> bytes:
        return self._processes.read(pid, f"net/{name}", LONGEST_TABLE) or b""

    def _move(self, uid: str, pod: _Pod, has: tuple[str, ...], now: int) -> None:
        """A pod has other addresses than before."""
        since = self._looked_at
        if pod.stay is not None:
            since = pod.stay.last
            self._end(pod)
        if awaited := self._awaited.get(uid):
            since = max(since, awaited.absent)
        if has:
            pod.stay = self._stays.begin(pod.ref, has, since, now)
            self._awaited.pop(uid, None)

    def _end(self, pod: _Pod) -> None:
        if pod.stay is not None:
            self._stays.end(pod.stay, self._wall())
            pod.stay = None

    def _give_up(self, now: float) -> None:
        """Wait no longer for pods that are on the host's network or do not get on."""
        for uid, awaited in list(self._awaited.items()):
            waited = now - awaited.found
            processes = self._processes.pods.get(uid)
            on_host = bool(processes and processes.spaces and not processes.home)
            if uid not in self._folders.names or waited > _MADE_LATE or (on_host and waited > _MADE_SOON):
                del self._awaited[uid]
                if awaited.absent and not on_host and waited > _MADE_LATE:
                    self._failures["never_found"] += 1

    def _pause(self, now: float) -> float:
        youngest = min((now - awaited.found for awaited in self._awaited.values()), default=_MADE_LATE)
        if youngest < _MADE_SOON:
            return _DENSE
        if self._awaited or now < self._links_until:
            return _SPARSE
        return _REST

    def _fail(self, what: str, where: str, error: OSError) -> None:
        self._failures[what] += 1
        if what not in self._complained:
            self._complained.add(what)
            # Where there is no kubelet there is no such folder, and nothing is amiss.
            missing = what == "folder_unreadable" and isinstance(error, FileNotFoundError)
            level = logging.INFO if missing else logging.WARNING
            reason = error.strerror or str(error)
            logger.log(level, "%s cannot be read, so pods are known by their addresses alone: %s", where, reason)

    def confirm(self, clients: Iterable[str]) -> None:
        """Make sure that whoever is at these addresses is there still, so that `owner` can say so up to now.

        Where somebody has gone, the processes are looked at, so that `owner` knows of that too.
        """
        gone = False
        for address in clients:
            for stay in self._stays.here(address):
                before = self._wall()
                if self._is_there(stay, address):
                    stay.last = before
                else:
                    gone = True
        if gone:
            self._look(self._steady())

    def _is_there(self, stay: Stay, address: str) -> bool:
        uid = stay.pod.uid
        if self._processes.living(uid) is None:
            return False
        if sum((":" in address) == (":" in each) for each in stay.addresses) > 1:
            # One of several may be a floating one, which moves from pod to pod.
            self._read_addresses([uid])
        return stay.until is None

    def owner(self, address: str, first: int, last: int) -> PodRef | None:
        """The pod that for certain had an address for all of a span.

        Args:
            address: Canonical.
            first: Milliseconds since the epoch.
            last: Likewise.

        Returns:
            None where it was nobody's that is known here, or not certainly one pod's.
        """
        return self._stays.owner(address, first, last)

    def take_news(self) -> list[PodSighting]:
        """Pods that are new, have gone, or have been there for a while since they were told."""
        return self._stays.take_news(self._wall())

    def tell_again(self) -> None:
        """Have the next news be all that is known."""
        self._stays.tell_again()

    def counts(self) -> PodCounts:
        """What is known, and what went wrong."""
        failures = {
            **self._failures,
            "process_unreadable": self._processes.unreadable,
            "namespace_shared": self._processes.shared,
            "folders_left_out": self._folders.left_out,
            "pods_left_out": self._stays.crowded,
        }
        return PodCounts(len(self._folders.names), self._stays.present, self._stays.remembered, self._looks, failures)

    def close(self) -> None:
        """Stop listening to link events."""
        if self._links:
            self._links.close()
