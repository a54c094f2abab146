"""Builds the image without a container engine and without a registry, as an archive that containerd can import.

The steps are those of `image/Containerfile`, run by the same script (`image/rootfs.py`), so the content is the same.
What comes from elsewhere, the lower layer and whole images are kept in the cache, each named by what it was made from:
after a change of this project's sources only the upper layer is made anew.

    python tools/image.py build [--arch amd64|arm64] [--fresh] [--output FILE]
    python tools/image.py prefetch
    python tools/image.py inspect FILE
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cache
import image_archive
import image_cache
from image_archive import ArchiveError, Image
from image_cache import packages, rootfs

import rootfs_sbom  # isort: skip  from the folder that image_cache put on the path

ROOT = Path(__file__).resolve().parent.parent

ARCHITECTURES = ("amd64", "arm64")
REPOSITORY = "ghcr.io/network-mapper/network-mapper"
HOMEPAGE = "https://github.com/network-mapper/network-mapper"
INPUTS = ("src/network_mapper", "image", "requirements.lock", "LICENSE")
"""What images are made from, beside this file."""
ImageMissingError = packages.BuildError
"""There is no image and none can be made here; the message says what to do."""
say = packages.say
KEPT, KEPT_LAYERED = 4, 8
"""How many images are kept for each architecture, and how many derived ones."""


def machine() -> str:
    """The architecture of this machine, as images name it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def epoch() -> int:
    """When the image says it was made: `SOURCE_DATE_EPOCH`, or the last commit that changed what it is made from."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = subprocess.run(
        ["git", "log", "-1", "--format=%ct", "--", *INPUTS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return int(asked.stdout) if asked.stdout.strip() else rootfs.TIME


def reference() -> str:
    """The image's name: repository and tag."""
    return f"{REPOSITORY}:{rootfs.version()}"


def config(arch: str, moment: int) -> dict[str, Any]:
    """The image's configuration, as `image/Containerfile` has it."""
    created = dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    steps = ("image/rootfs.py base", "image/rootfs.py project")
    return {
        "architecture": arch,
        "os": "linux",
        "created": created,
        "config": {
            "Entrypoint": ["/" + rootfs.PROGRAM],
            "Env": ["PATH=/usr/local/bin:/usr/bin"],
            "ExposedPorts": {"9090/tcp": {}},
            "Labels": {
                "org.opencontainers.image.title": "network-mapper",
                "org.opencontainers.image.description": "Draws the map of who talks to whom inside a Kubernetes"
                " cluster.",
                "org.opencontainers.image.version": rootfs.version(),
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.url": HOMEPAGE,
                "org.opencontainers.image.source": HOMEPAGE,
                "org.opencontainers.image.created": created,
            },
            "User": f"{rootfs.USER}:{rootfs.USER}",
            "WorkingDir": "/",
        },
        "history": [{"created": created, "created_by": step} for step in steps],
    }


def _scripts() -> list[Path]:
    return [Path(module.__file__ or "") for module in (sys.modules[__name__], rootfs, rootfs_sbom, image_archive)]


def _made_from(base: image_archive.Blob, parts: Path, moment: int) -> str:
    """Hash of everything that an image is made of."""
    content = hashlib.sha256(f"{base.digest} {moment}".encode() + (parts / packages.LIST).read_bytes())
    for file in [*rootfs.project_files(), ROOT / "LICENSE", *_scripts()]:
        content.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:16]


def build(arch: str = "") -> Path:
    """The image of this tree as an archive, made when it is not there yet.

    Args:
        arch: Of `ARCHITECTURES`; this machine's without one.

    Raises:
        ImageMissingError: It cannot be built here.
    """
    arch = arch or machine()
    if arch not in ARCHITECTURES:
        raise ImageMissingError(f"there is no image for {arch}; say --arch {' or --arch '.join(ARCHITECTURES)}")
    base, parts, moment = image_cache.base(arch), image_cache.fetched(arch), epoch()
    folder = image_cache.folder() / f"{rootfs.version()}-{arch}-{_made_from(base, parts, moment)}"

    def make(aside: Path) -> None:
        say(f"building the image for {arch}")
        with tempfile.TemporaryDirectory() as scratch:
            root, upper = Path(scratch, "root"), Path(scratch, "layer.tar")
            rootfs.project(arch, parts, root, moment)
            image_archive.pack_layer(root, upper, rootfs.OWNERS, rootfs.TIME)
            layers = [base, image_archive.file_blob(upper)]
            image_archive.write(aside / "image.tar", reference(), config(arch, moment), layers)

    found = cache.ensure(folder, make) / "image.tar"
    image_cache.keep_newest(folder, f"[0-9]*-{arch}-" + "[0-9a-f]" * 16, KEPT)
    return found


def prefetch() -> None:
    """Build the images for every architecture, and fetch what starts them: tests may have no network afterwards.

    Raises:
        ImageMissingError: They cannot be built here.
    """
    for arch in ARCHITECTURES:
        say(f"the image for {arch} is {build(arch)}")
    say(f"the kernel that starts it is {image_cache.kernel()}")


def layered(
    base: Path,
    reference: str,
    files: dict[str, bytes],
    command: list[str] | None = None,
    env: dict[str, str] | None = None,
) -> Path:
    """An image with one more layer, for tests: its archive, in the cache.

    Args:
        base: The archive of the image below.
        reference: Repository and tag of the new one.
        files: What the layer holds, by absolute path; everybody may read and run it.
        command: The entrypoint instead of that of the image below.
        env: Variables beside those of the image below.
    """
    asked = json.dumps([
        image_archive.read(base).digest, reference, command, env,
        {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    ], sort_keys=True)  # fmt: skip
    digest = cache.digest(Path(__file__), Path(image_archive.__file__))
    folder = image_cache.folder() / "layered" / hashlib.sha256(f"{digest} {asked}".encode()).hexdigest()[:16]

    def make(aside: Path) -> None:
        image_archive.derive(base, aside / "image.tar", reference, files, command=command, env=env or {})

    found = cache.ensure(folder, make) / "image.tar"
    image_cache.keep_newest(folder, "[0-9a-f]" * 16, KEPT_LAYERED)
    return found


def _inspect(file: Path) -> None:
    found: Image = image_archive.read(file)
    sizes = [(layer["digest"], layer["size"]) for layer in found.manifest["layers"]]
    print(f"reference  {found.reference}")
    print(f"digest     {found.digest}")
    print(f"platform   {found.config['os']}/{found.config['architecture']}")
    print(f"created    {found.config['created']}")
    print(f"user       {found.config['config']['User']}")
    print(f"entrypoint {' '.join(found.config['config']['Entrypoint'])}")
    for digest, size in sizes:
        print(f"layer      {digest}  {size / 1e6:.1f} MB")
    print(f"unpacked   {sum(size for _, size in sizes) / 1e6:.1f} MB")


def main(arguments: list[str]) -> int:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description="Build the image without a container engine, or look into one.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="write the image as an archive that containerd imports")
    command.add_argument("--arch", choices=ARCHITECTURES, default="", help="default: this machine's")
    command.add_argument("--fresh", action="store_true", help="fetch Debian's packages anew, with their updates")
    command.add_argument("--output", type=Path, help="the archive; default: its place in the cache")
    commands.add_parser("prefetch", help="build it for every architecture, so that tests need no network")
    command = commands.add_parser("inspect", help="say what an archive holds")
    command.add_argument("file", type=Path)
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "inspect":
            _inspect(asked.file)
            return 0
        if asked.command == "prefetch":
            prefetch()
            return 0
        if asked.fresh:
            image_cache.forget(asked.arch or machine())
        found = build(asked.arch)
        if asked.output:
            found = Path(shutil.copyfile(found, asked.output))
        print(found)
        _inspect(found)
    except (ImageMissingError, ArchiveError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
