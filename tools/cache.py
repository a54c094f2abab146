"""The folder of what is expensive to fetch or build, shared by every clone of this project on a machine.

A thing lies in `<tool>/<version>-<toolchain>-<lock hash>/`: what it was made from is its name, so nothing in it ever
grows stale. It is made aside and renamed under a lock, so a folder that exists is whole. Standard library only: this
runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def home() -> Path:
    """Folder that holds one folder per tool."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "network-mapper"


def digest(*files: Path) -> str:
    """Sixteen hexadecimal digits that change with the content of any of the files."""
    content = b"\0".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time work on a folder; where there is no flock, the final rename alone keeps it whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as handle:
        with contextlib.suppress(ImportError):
            import fcntl  # noqa: PLC0415  not on Windows

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(folder: Path, make: Callable[[Path], None], check: Callable[[Path], bool] = Path.is_dir) -> Path:
    """The folder, made by `make` in a folder aside unless it is there and `check` accepts it."""
    with locked(folder):
        if folder.is_dir():
            if check(folder):
                return folder
            shutil.rmtree(folder)
        for left in folder.parent.glob(folder.name + ".*/"):  # by a process that was killed
            shutil.rmtree(left)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name + "."))
        try:
            make(aside)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder
