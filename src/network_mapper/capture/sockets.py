"""Finds the connections that were open before anybody watched.

The packet sources see connections being made. What was made earlier stands only in the kernel's socket tables, so each
network namespace has its tables read once when it is first seen, and again only every few minutes: reading all of them
every second would cost a large part of a core on a busy node and tell nothing that the packets have not told. Whoever
has lost what was found may have everything read once more (`rescan`), but never more often than every few seconds. For
each reading the kernel walks the hash table of the whole machine (3.5 ms where it has 262,144 buckets), however few
sockets the namespace has, so tables that its cheap counters show to be without connections are not read at all.

Where no packets are watched the tables are all there is, and are read as often as a share of a core allows.

A namespace is found through the processes in it, so finding new ones means walking `/proc`. That is done when a link
event says that an interface came or went, at most once a second, and once more a little later, because a pod's first
process may start after its interface was made. Processes of one namespace show one and the same file as their
`net/tcp`, by its inode (`fs/proc/proc_net.c`). That tells namespaces apart without any capability, where reading
`ns/net` of somebody else's process takes CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from network_mapper.capture.links import LinkEvents
from network_mapper.capture.source import SourceStats
from network_mapper.capture.tcp_table import EPHEMERAL, ClientFinder, Clients, parse_port_range, statistic
from network_mapper.model import Drop, Kind, Observation, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_INTERVAL = 300.0
"""Seconds between two readings that cost much, however little they may; and of those beside packets."""

_LOOKS = 2
_LOOK_SPACING = 900
"""Milliseconds between looks; a little less than the second between two drains, so that none is missed by a hair."""
_CLOCK_SET_BACK = 1000
"""Milliseconds. A wall clock that jumps back further must not postpone a scan by as much."""

_RESCAN_SPACING = 3000
"""Milliseconds between a reading of everything and another one that was asked for."""

_PIDS_A_NAMESPACE = 4
_SOCKETS_A_DRAIN = 20_000


class SocketTables:
    """The socket tables of all network namespaces of the node. A `Source`.

    Args:
        proc_dir: Where the host's procfs is mounted.
        interval: Seconds between two readings of all namespaces.
        share: Share of a core that these readings may take: where one takes more, the next is later, five minutes at
            most. None for as much as it takes.
        clock: Seconds of CPU time of the thread that drains.

    Raises:
        OSError: There is no procfs, or no routing socket.
    """

    name = "sockets"

    def __init__(
        self,
        proc_dir: str = "/proc",
        interval: float = LONGEST_INTERVAL,
        share: float | None = None,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        with os.scandir(proc_dir):
            pass
        self._proc = proc_dir
        self._interval = round(interval * 1000)
        self._share = share
        self._clock = clock
        self._spent = 0.0
        self._links = LinkEvents()
        self._ephemeral = self._read_port_range()
        self._known: set[int] = set()
        self._young: set[int] = set()
        self._queue: dict[int, list[str]] = {}
        self._all_at = 0
        self._all_read = 0
        self._wanted_at = 0
        self._looks_left = 0
        self._look_at = 0
        self._latest = 0
        self._stats = SourceStats(seen=0, passed=0, drops=Tally())

    def _read_port_range(self) -> tuple[int, int]:
        try:
            text = Path(self._proc, "sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        except (OSError, ValueError):
            return EPHEMERAL
        return parse_port_range(text) or EPHEMERAL

    def fileno(self) -> int:
        """The routing socket."""
        return self._links.fileno()

    def read(self, now: int) -> None:  # noqa: ARG002  the seam's signature
        """Note that links changed; the next drains look for new namespaces."""
        if self._links.happened():
            self._looks_left = _LOOKS

    def rescan(self, now: int) -> None:
        """Have everything read that is open from now on: at the next drain, or three seconds after the last reading.

        May be called from another thread.
        """
        self._wanted_at = now

    def drain(self, now: int) -> list[Observation]:
        """Do the scans that are due and hand over what they found.

        At most some 20,000 sockets are looked at in one call; further namespaces follow in the next.
        """
        began = self._clock()
        if now < self._latest - _CLOCK_SET_BACK:
            self._all_at = self._look_at = 0
        self._latest = now
        # A drain that began before it was asked for says of an older moment what it finds.
        wanted = self._all_read < self._wanted_at <= now and now >= self._all_read + _RESCAN_SPACING
        if now >= self._all_at or wanted:
            self._all_at, self._all_read = now + self._interval, now
            self._spent = 0.0
            self._known.clear()
            self._look(now)
        elif self._looks_left > 0 and now >= self._look_at:
            self._looks_left -= 1
            self._look(now)
        found = self._read_queue(now)
        if self._share:
            self._spent += self._clock() - began
            self._all_at = max(self._all_at, self._all_read + round(self._affordable(self._share) * 1000))
        return found

    def _affordable(self, share: float) -> float:
        """Seconds after which what was spent since the last reading is no more than its share."""
        return min(self._spent / share, LONGEST_INTERVAL)

    def _look(self, now: int) -> None:
        """Walk procfs: queue namespaces that are new, or were so at the last look; forget those that have gone."""
        self._look_at = now + _LOOK_SPACING
        namespaces = self._namespaces()
        if namespaces is None:
            self._stats.drops.add(Drop.SOCKET_TABLE_UNREADABLE)
            return
        new = namespaces.keys() - self._known
        due = new | self._young | self._queue.keys()
        self._queue = {name: pids for name, pids in namespaces.items() if name in due}
        self._young = new if self._known else set()
        self._known = set(namespaces)

    def _namespaces(self) -> dict[int, list[str]] | None:
        """Every network namespace with a few of its processes; None when procfs itself cannot be listed."""
        namespaces: dict[int, list[str]] = {}
        try:
            entries = os.listdir(self._proc)  # noqa: PTH208  a Path per process would double the cost of the walk
        except OSError:
            return None
        for pid in entries:
            if not pid.isdecimal():
                continue
            try:
                name = os.stat(f"{self._proc}/{pid}/net/tcp").st_ino  # noqa: PTH116  likewise
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile, or is a zombie: it has no sockets any more
            except OSError:
                self._stats.drops.add(Drop.SOCKET_TABLE_UNREADABLE)
                continue
            pids = namespaces.setdefault(name, [])
            if len(pids) < _PIDS_A_NAMESPACE:
                pids.append(pid)
        return namespaces

    def _read_queue(self, now: int) -> list[Observation]:
        observations: list[Observation] = []
        left = _SOCKETS_A_DRAIN
        while self._queue and left > 0:
            name = next(iter(self._queue))
            clients = self._read_tables(self._queue.pop(name))
            if clients is None:
                self._stats.drops.add(Drop.SOCKET_TABLE_UNREADABLE)
                continue
            left -= clients.lines
            self._count(clients)
            observations.extend(
                Observation(Kind.SOCKETS, client, server, port, "tcp", count, now, now)
                for (client, server, port), count in clients.pairs.items()
            )
        return observations

    def _count(self, clients: Clients) -> None:
        self._stats.seen += clients.established + clients.malformed
        self._stats.passed += sum(clients.pairs.values())
        for reason, count in (
            (Drop.SOCKET_MALFORMED, clients.malformed),
            (Drop.SOCKET_SIDE_UNKNOWN, clients.undecided),
            (Drop.PAIRS_FULL, clients.crowded),
        ):
            if count:
                self._stats.drops.add(reason, count)

    def _read_tables(self, pids: list[str]) -> Clients | None:
        """Both tables of a namespace, through the first of its processes that still lives; None if none does."""
        for pid in pids:
            finder = ClientFinder(self._ephemeral)
            if self._statistic(pid, "snmp", "Tcp", "CurrEstab") == 0:
                return finder.result()
            try:
                if self._statistic(pid, "sockstat", "TCP", "inuse") != 0:
                    self._read_table(finder, pid, "tcp")
            except OSError:
                continue
            try:
                if self._statistic(pid, "sockstat6", "TCP6", "inuse") != 0:
                    self._read_table(finder, pid, "tcp6")
            except OSError:
                if not Path(self._proc, pid, "net/tcp").exists():
                    continue
                if Path(self._proc, pid, "net/tcp6").exists():  # else this kernel has no IPv6
                    self._stats.drops.add(Drop.SOCKET_TABLE_UNREADABLE)
            return finder.result()
        return None

    def _statistic(self, pid: str, file: str, group: str, name: str) -> int | None:
        """A count that the kernel keeps; None when it cannot be had."""
        try:
            return statistic(Path(self._proc, pid, "net", file).read_text(encoding="ascii"), group, name)
        except (OSError, ValueError):
            return None

    def _read_table(self, finder: ClientFinder, pid: str, table: str) -> None:
        with Path(self._proc, pid, "net", table).open("rb") as lines:
            next(lines, None)
            finder.feed(lines)

    def flush(self, now: int) -> list[Observation]:
        """Hand over what is due; a table is either read or not."""
        return self.drain(now)

    def stats(self) -> SourceStats:
        """Sockets looked at, client ends passed on, and what was left out."""
        return self._stats

    def close(self) -> None:
        """Stop listening to link events."""
        self._links.close()
