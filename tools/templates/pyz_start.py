"""Finds the unpacked packages of `network-mapper.pyz`, or has them unpacked, and runs the program from there.

Compiled modules cannot be loaded out of an archive, and Python modules in one are compiled anew at every start. So the
wheels for this system and this Python are unpacked once, into the account's cache folder. Nothing is imported here that
a start with unpacked packages does not need.
"""

from __future__ import annotations

import os
import stat
import sys
import time

BUILD = "@BUILD@"
"""Sixteen digits of the hash of everything in the archive."""
COMPLETE = ".complete"
"""A file that is there when everything else is; its time says when the folder was last started from."""
DAY = 86_400


def platform() -> str:
    """The system as the index of the archive names it, such as `linux-gnu-x86_64`; it need not be in there."""
    if sys.platform == "win32":
        return "windows-amd64" if "amd64" in sys.version.lower() else "windows-other"
    machine = os.uname().machine
    if sys.maxsize < 2**32:
        machine += "-32bit"
    if sys.platform != "linux":
        return f"{sys.platform}-{machine}"
    try:
        libc = "gnu" if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc") else "musl"
    except (ValueError, OSError):
        libc = "musl"
    return f"linux-{libc}-{machine}"


def python() -> str:
    """The Python as wheels name it, such as `cp311`."""
    kind = "cp" if sys.implementation.name == "cpython" else sys.implementation.name
    return f"{kind}{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"


def places() -> list[str]:
    """Folders for what is unpacked, the best first."""
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA", "")
        temporary = os.environ.get("TEMP", "") + "/network-mapper"
    else:
        # An empty HOME would be the root folder.
        home = os.path.expanduser("~") if os.environ.get("HOME", "~") else ""  # noqa: PTH111  pathlib is slow to load
        below = "/Library/Caches" if sys.platform == "darwin" else "/.cache"
        cache = os.environ.get("XDG_CACHE_HOME") or (home and home + below)
        # One folder deep: in /tmp nobody else can rename what is ours, but could in a folder of theirs.
        temporary = f"{os.environ.get('TMPDIR') or '/tmp'}/network-mapper-{os.getuid()}"  # noqa: S108  see `ours`
    found = [cache and f"{cache}/network-mapper/pyz", temporary]
    return [place for place in found if os.path.isabs(place)]  # noqa: PTH117  likewise


def ours(folder: str) -> bool:
    """Whether a folder is there, and nobody else could have put something into it."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return False
    return sys.platform == "win32" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


def _is_complete(folder: str) -> bool:
    marker = os.path.join(folder, COMPLETE)  # noqa: PTH118
    try:
        used = os.stat(marker).st_mtime  # noqa: PTH116
        if abs(time.time() - used) > DAY:
            os.utime(marker)
    except FileNotFoundError:
        return False
    except OSError:  # a file system that is read only
        pass
    return ours(os.path.dirname(folder)) and ours(folder)  # noqa: PTH120  likewise


def run() -> int:
    """Run the program; returns its exit code."""
    name = f"{BUILD}-{platform()}-{python()}"
    folder = next((at for place in places() if _is_complete(at := os.path.join(place, name))), "")  # noqa: PTH118
    if not folder:
        import pyz_unpack  # noqa: PLC0415  once

        folder = pyz_unpack.unpack(name, places())
    archive = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100,PTH120
    sys.path[:] = [folder, *(entry for entry in sys.path if os.path.abspath(entry) != archive)]  # noqa: PTH100
    from network_mapper.__main__ import start  # noqa: PLC0415  it is there only now

    return start()
