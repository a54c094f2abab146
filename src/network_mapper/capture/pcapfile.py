"""Plays a capture file, or a pipe that one is written into, as a source of observations.

Time passes as it did in the file: connections stay unanswered for four seconds of the packets' own clock, however fast
the file is read. Everything behind the link-layer header is what the packet ring does as well.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from network_mapper.capture.linklayers import KNOWN, LinkError, strip_link
from network_mapper.capture.packets import PacketTracker
from network_mapper.capture.pcap_format import MAGIC_SIZE, CaptureFileError, CaptureReader, DamagedError
from network_mapper.capture.source import SourceStats
from network_mapper.model import Drop, Tally

if TYPE_CHECKING:
    from network_mapper.capture.pcap_format import Record
    from network_mapper.model import Observation

__all__ = ["CaptureFileError", "FileSource"]

PIECE = 2**18
"""Bytes read at once."""


class FileSource:
    """A source of observations (see `capture.source.Source`) that reads a pcap or pcapng file.

    Attributes:
        finished: Whether the end was reached; the next drain hands over the rest.
    """

    name = "pcap"

    def __init__(self, path: str, *, tracker: PacketTracker | None = None) -> None:
        """Open `path`, or standard input for `-`, and wait for its first four bytes.

        Raises:
            CaptureFileError: It is no capture file. This is an OSError too.
            OSError: It cannot be read.
        """
        self.finished = False
        self._tracker = tracker or PacketTracker()
        self._unfed = 0
        self._owned = path != "-"
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)) if self._owned else sys.stdin.fileno()
        try:
            self._head = self._read_head()
            self._reader = CaptureReader(self._head)
            self._waits = not stat.S_ISREG(os.fstat(self._file).st_mode)
        except CaptureFileError as error:
            self.close()
            raise CaptureFileError(f"{path}: {error}") from None
        except OSError:
            self.close()
            raise

    @property
    def clock(self) -> int:
        """Time of the newest packet, milliseconds since the epoch; 0 before the first."""
        return self._reader.newest

    def fileno(self) -> int:
        """Return the descriptor of a pipe; a regular file never makes anybody wait, so it gives -1."""
        return self._file if self._waits else -1

    def read(self, now: int) -> None:  # noqa: ARG002  the packets' own time counts
        """Take in the next 256 KiB; on a pipe, wait until there are some."""
        if self.finished:
            return
        piece = os.read(self._file, PIECE)
        try:
            for record in self._reader.feed(self._head + piece):
                self._take(record)
            if not piece:
                self.finished = True
                self._reader.end()
        except DamagedError:
            self.finished = True
            self._tracker.tally.add(Drop.FILE_DAMAGED)
        self._head = b""

    def drain(self, now: int) -> list[Observation]:  # noqa: ARG002  the packets' own time counts
        """Hand over what was decided since the last drain, and at the end everything."""
        return self._tracker.flush(self.clock) if self.finished else self._tracker.drain(self.clock)

    def flush(self, now: int) -> list[Observation]:  # noqa: ARG002  the packets' own time counts
        """Hand over everything that was read, because no more will be."""
        return self._tracker.flush(self.clock)

    def stats(self) -> SourceStats:
        """Totals so far; `seen` are all packets of the file."""
        tracker = self._tracker
        return SourceStats(seen=tracker.seen + self._unfed, passed=tracker.passed, drops=Tally(tracker.tally))

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._owned and self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read_head(self) -> bytes:
        head = b""
        while len(head) < MAGIC_SIZE:
            piece = os.read(self._file, MAGIC_SIZE - len(head))
            if not piece:
                break
            head += piece
        return head

    def _take(self, record: Record) -> None:
        try:
            if record.link not in KNOWN:
                self._unfed += 1
                self._tracker.tally.add(Drop.LINK_UNKNOWN)
                return
            frame = strip_link(record.link, record.frame)
        except LinkError:
            self._unfed += 1
            self._tracker.tally.add(Drop.PACKET_MALFORMED)
            return
        if frame is None:
            self._unfed += 1
            return
        self._tracker.feed(record.frame[frame.offset :], record.when, frame.tap or record.tap)
