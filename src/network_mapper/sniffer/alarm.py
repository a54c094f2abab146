"""Wakes a loop that waits for descriptors, from another thread."""

from __future__ import annotations

import contextlib
import os
import threading


class Alarm:
    """Readable from the first `ring` until `silence`. Ringing again meanwhile changes nothing.

    After `close` it can still be rung, and nobody hears it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = True
        self._read, self._write = os.pipe()
        for descriptor in (self._read, self._write):
            os.set_blocking(descriptor, False)

    def ring(self) -> None:
        """Wake whoever waits."""
        with self._lock, contextlib.suppress(BlockingIOError):  # the pipe is full, so it rings already
            if self._open:  # else the descriptor may be somebody else's by now
                os.write(self._write, b"\0")

    def silence(self) -> bool:
        """End it; returns whether it rang."""
        try:
            return bool(os.read(self._read, 4096))
        except BlockingIOError:
            return False

    def fileno(self) -> int:
        """Readable while it rings."""
        return self._read

    def close(self) -> None:
        """Release the descriptors."""
        with self._lock:
            self._open = False
            for descriptor in (self._read, self._write):
                os.close(descriptor)
