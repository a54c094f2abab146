"""Unpacks the wheels for this system and this Python out of `network-mapper.pyz`.

A folder is filled beside its place and then renamed, so that one which is there is whole, whoever else is doing the
same at this moment. Each wheel is compared with the hash that was written when the archive was made. Where no cache
folder can be written to, a folder of this run alone is used and removed at its end.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from pyz_start import COMPLETE, DAY, ours, platform, python

KEPT = 3
"""Unpacked versions that are left in place, those that were started last."""
LONGEST_UNUSED = 30 * DAY


def unpack(name: str, places: list[str]) -> str:
    """Unpack what this Python needs.

    Args:
        name: Of the folder to make.
        places: Where it may be made, the best first.

    Returns:
        The folder.
    """
    archive = Path(__file__).resolve().parent
    with zipfile.ZipFile(archive) as outer:
        wheels = _wheels(outer, archive)
        for place in map(Path, places):
            try:
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
                if ours(str(place)):
                    made = _fill_aside(outer, wheels, place, name)
                    _remove_old(place, made)
                    return str(made)
            except OSError:  # read only, full, or not ours: the next place
                continue
        only_now = Path(tempfile.mkdtemp(prefix="network-mapper-"))
        atexit.register(shutil.rmtree, only_now, ignore_errors=True)
        try:
            _fill(outer, wheels, only_now)
        except OSError as error:
            sys.exit(f"Error: {archive.name} cannot be unpacked in {only_now} ({error.strerror or error}). "
                     "Make room, or name a folder in XDG_CACHE_HOME.")  # fmt: skip
        return str(only_now)


def _wheels(outer: zipfile.ZipFile, archive: Path) -> dict[str, str]:
    """The wheels for this Python, with their hashes."""
    index = json.loads(outer.read("index.json"))
    target = f"{platform()}-{python()}"
    names = index["targets"].get(target)
    if names is None:
        sys.exit(f"Error: {archive.name} carries nothing for {target}; it knows {', '.join(sorted(index['targets']))}. "
                 "Start it with another Python, or install the wheel: pip install network-mapper.")  # fmt: skip
    return {wheel: index["wheels"][wheel] for wheel in names}


def _fill(outer: zipfile.ZipFile, wheels: dict[str, str], folder: Path) -> None:
    for wheel, digest in wheels.items():
        content = outer.read(f"wheels/{wheel}")
        if hashlib.sha256(content).hexdigest() != digest:
            sys.exit(f"Error: {wheel} in this archive is damaged. Download the archive again.")
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            inner.extractall(folder)
    (folder / COMPLETE).touch()


def _fill_aside(outer: zipfile.ZipFile, wheels: dict[str, str], place: Path, name: str) -> Path:
    aside = Path(tempfile.mkdtemp(dir=place, prefix=".making-"))
    try:
        _fill(outer, wheels, aside)
        target = place / name
        if target.exists() and not (target / COMPLETE).exists():  # somebody removed a part of it
            shutil.rmtree(target)
        with contextlib.suppress(FileExistsError, OSError):
            aside.rename(target)
        if not (target / COMPLETE).exists() or not ours(str(target)):
            raise OSError(f"{target} cannot be made")
        return target
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_old(place: Path, made: Path) -> None:
    """Remove versions that are no longer started, and what an interrupted run left."""
    found = []
    for folder in place.iterdir():
        try:
            marker = folder if folder.name.startswith(".making-") else folder / COMPLETE
            found.append((marker.stat().st_mtime, folder))
        except OSError:
            continue
    now, kept = time.time(), 0
    for used, folder in sorted(found, reverse=True):
        if folder.name.startswith(".making-"):
            if now - used > DAY:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        kept += 1
        if folder != made and (kept > KEPT or now - used > LONGEST_UNUSED):
            gone = folder.with_name(f".making-{folder.name}-{os.getpid()}")
            with contextlib.suppress(OSError):
                folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
