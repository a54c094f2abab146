"""Has freed memory given back to the system.

Every second the sniffer builds tables of a few hundred kilobytes and drops them. glibc learns from that to keep such
blocks for itself, each thread in a place of its own, and the resident set creeps up by some megabytes. Fixed limits
(mallopt(3)) keep it down. A C library without them is left as it is.
"""

from __future__ import annotations

import contextlib
import ctypes

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_SETTINGS = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 64 * 1024), (_M_TRIM_THRESHOLD, 128 * 1024))


def keep_small() -> None:
    """Set the limits of this process. Call it before other threads are started."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _SETTINGS:
            mallopt(parameter, value)
