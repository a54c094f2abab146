"""What images are made from, kept in the cache that clones of this project share.

Each thing's name has the hash of what it was made from: what was fetched, of the list of packages and the lock; the
lower layer, of what was fetched; so nothing is stale, and a change of this project's sources makes none of them anew.
Debian's updates alone have no name beforehand: `forget` makes the next build fetch again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cache
import image_archive

ROOT = Path(__file__).resolve().parent.parent
BUILDER = ROOT / "image"
sys.path.append(str(BUILDER))

import rootfs  # noqa: E402  the script that Containerfile runs, from a folder that is no package
import rootfs_packages as packages  # noqa: E402  likewise

IN_USE_SECONDS = 3600
LOCK = ROOT / "requirements.lock"
KERNEL = "linux-image-cloud-arm64"
"""A package that depends on the newest kernel for clouds in Debian 12."""


def folder() -> Path:
    """Where all of it is."""
    return cache.home() / "image"


def keep_newest(used: Path, pattern: str, number: int) -> None:
    """Note that a thing is used now, and remove of its kind all but those that were used last.

    Others may be using what was built within the hour: that stays.
    """
    with contextlib.suppress(FileNotFoundError):
        os.utime(used)
    kind = [found for found in used.parent.glob(pattern) if found.is_dir()]
    for old in sorted(kind, key=lambda found: found.stat().st_mtime, reverse=True)[number:]:
        if old.stat().st_mtime > time.time() - IN_USE_SECONDS:
            continue
        shutil.rmtree(old, ignore_errors=True)
        old.with_name(old.name + ".lock").unlink(missing_ok=True)


def _pattern(name: str) -> str:
    """What folders of a kind are called, for any hash: those that are still being made have a longer name."""
    return name + "-" + "[0-9a-f]" * 16


def fetched(arch: str) -> Path:
    """Folder of the packages and wheels for an architecture, fetched when they are not there yet.

    Raises:
        BuildError: They cannot be fetched here.
    """
    found = folder() / f"fetched-{arch}-{cache.digest(Path(packages.__file__), LOCK)}"
    cache.ensure(found, lambda aside: packages.fetch(arch, LOCK, aside))
    keep_newest(found, _pattern(f"fetched-{arch}"), 2)
    return found


def forget(arch: str) -> None:
    """Remove what was fetched."""
    for old in folder().glob(_pattern(f"fetched-{arch}")):
        shutil.rmtree(old)


def base(arch: str) -> image_archive.Blob:
    """The lower layer: Debian's part and the wheels.

    Raises:
        BuildError: What it is made of cannot be fetched here.
    """
    parts = fetched(arch)
    made_from = cache.digest(
        parts / packages.LIST, Path(rootfs.__file__), Path(packages.__file__), Path(image_archive.__file__)
    )
    found = folder() / f"base-{arch}-{made_from}"

    def make(aside: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch, "root")
            rootfs.base(arch, parts, root)
            image_archive.pack_layer(root, aside / "layer.tar", rootfs.OWNERS, rootfs.TIME)
        (aside / "digest").write_text(image_archive.file_blob(aside / "layer.tar").digest, encoding="utf-8")

    layer = cache.ensure(found, make) / "layer.tar"
    keep_newest(found, _pattern(f"base-{arch}"), 2)
    return image_archive.Blob((found / "digest").read_text(encoding="utf-8"), layer.stat().st_size, layer)


def kernel() -> Path:
    """A kernel for arm64, to start the image in an emulated machine.

    Raises:
        BuildError: It cannot be fetched here.
    """
    found = folder() / f"kernel-arm64-{cache.digest(Path(packages.__file__))}"

    def fetch(aside: Path) -> None:
        packages.say("fetching a kernel for arm64")
        with tempfile.TemporaryDirectory() as scratch:
            for part in ("newest", "kernel"):
                Path(scratch, part).mkdir()
            (newest,) = packages.download("arm64", [KERNEL], Path(scratch, "newest"))
            depends = packages.run("dpkg-deb", "--field", newest, "Depends")
            names = re.findall(r"linux-image-[\w.+-]+", depends)
            (file,) = packages.download("arm64", names[:1], Path(scratch, "kernel"))
            packages.run("dpkg-deb", "--extract", file, Path(scratch, "unpacked"))
            (unpacked,) = Path(scratch, "unpacked", "boot").glob("vmlinuz-*")
            shutil.copyfile(unpacked, aside / "vmlinuz")

    cache.ensure(found, fetch)
    keep_newest(found, _pattern("kernel-arm64"), 1)
    return found / "vmlinuz"
