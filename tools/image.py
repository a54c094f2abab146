"""Builds the image without a container engine and without a registry, as an archive that containerd can import.

The steps are those of `image/Containerfile`, run by the same script (`image/rootfs.py`), so the content is the same.
What comes from elsewhere, the lower layer and whole images are kept in the cache, each named by what it was made from:
after a change of this project's sources only the upper layer is made anew.

    python tools/image.py build [--arch amd64|arm64] [--fresh] [--output FILE]
    python tools/image.py inspect FILE
"""

from __future__ import annotations

import argparse
import contextlib
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
from image_archive import ArchiveError, Image

ROOT = Path(__file__).resolve().parent.parent
BUILDER = ROOT / "image"
sys.path.append(str(BUILDER))

import rootfs as builder  # noqa: E402  the script that Containerfile runs, from a folder that is no package

ARCHITECTURES = ("amd64", "arm64")
REPOSITORY = "ghcr.io/network-mapper/network-mapper"
HOMEPAGE = "https://github.com/network-mapper/network-mapper"
INPUTS = ("src/network_mapper", "image", "requirements.lock", "LICENSE")
"""What images are made from, beside this file."""
KEPT = 4
"""Images that are kept for each architecture, and derived ones."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"==> {text}", file=sys.stderr, flush=True)


class ImageMissingError(Exception):
    """There is no image and none can be made here; the message says what to do."""


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
    return int(asked.stdout) if asked.stdout.strip() else builder.TIME


def reference() -> str:
    """The image's name: repository and tag."""
    return f"{REPOSITORY}:{builder.version()}"


def config(arch: str, moment: int) -> dict[str, Any]:
    """The image's configuration, as `image/Containerfile` has it."""
    created = dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    steps = ("image/rootfs.py base", "image/rootfs.py project")
    return {
        "architecture": arch,
        "os": "linux",
        "created": created,
        "config": {
            "Entrypoint": ["/" + builder.PROGRAM],
            "Env": ["PATH=/usr/local/bin:/usr/bin"],
            "ExposedPorts": {"9090/tcp": {}},
            "Labels": {
                "org.opencontainers.image.title": "network-mapper",
                "org.opencontainers.image.description": "Draws the map of who talks to whom inside a Kubernetes"
                " cluster.",
                "org.opencontainers.image.version": builder.version(),
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.url": HOMEPAGE,
                "org.opencontainers.image.source": HOMEPAGE,
                "org.opencontainers.image.created": created,
            },
            "User": f"{builder.USER}:{builder.USER}",
            "WorkingDir": "/",
        },
        "history": [{"created": created, "created_by": step} for step in steps],
    }


def _step(step: str, arch: str, *folders: Path, moment: int = builder.TIME) -> None:
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(moment)}
    done = subprocess.run(
        [sys.executable, "-B", BUILDER / "rootfs.py", step, "--arch", arch, *folders], env=environ, check=False,
        stderr=subprocess.PIPE if step == "project" else None, text=True,
    )  # fmt: skip
    if done.returncode:
        raise ImageMissingError(done.stderr.strip() if done.stderr else f"the step {step!r} failed; see above")


def _foundation_digest() -> str:
    scripts = sorted(BUILDER.glob("*.py"))
    return cache.digest(*scripts, ROOT / "requirements.lock")


def fetched(arch: str) -> Path:
    """Folder of the packages and wheels for an architecture, fetched when they are not there yet.

    Raises:
        ImageMissingError: They cannot be fetched here.
    """
    folder = cache.home() / "image" / f"fetched-{arch}-{_foundation_digest()}"
    return cache.ensure(folder, lambda aside: _step("fetch", arch, aside))


def foundation(arch: str) -> Path:
    """The lower layer: Debian's part and the wheels."""
    packages = fetched(arch)

    def make(aside: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            _step("base", arch, packages, root)
            image_archive.pack_layer(root, aside / "layer.tar", builder.OWNERS, builder.TIME)
            (aside / "digest").write_text(image_archive.file_blob(aside / "layer.tar").digest)

    return cache.ensure(cache.home() / "image" / f"base-{arch}-{_foundation_digest()}", make) / "layer.tar"


def _inputs_digest(moment: int) -> str:
    content = hashlib.sha256(f"{_foundation_digest()} {moment} ".encode())
    for file in [*builder.project_files(), ROOT / "LICENSE", Path(__file__), Path(image_archive.__file__)]:
        content.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:16]


def _layer(layer: Path) -> image_archive.Blob:
    return image_archive.Blob((layer.parent / "digest").read_text(), layer.stat().st_size, layer)


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
    moment = epoch()
    folder = cache.home() / "image" / f"{builder.version()}-{arch}-{_inputs_digest(moment)}"

    def make(aside: Path) -> None:
        lower = foundation(arch)
        say(f"building the image for {arch}")
        with tempfile.TemporaryDirectory() as scratch:
            root, upper = Path(scratch, "root"), Path(scratch, "layer.tar")
            _step("project", arch, fetched(arch), root, moment=moment)
            image_archive.pack_layer(root, upper, builder.OWNERS, builder.TIME)
            layers = [_layer(lower), image_archive.file_blob(upper)]
            image_archive.write(aside / "image.tar", reference(), config(arch, moment), layers)

    found = cache.ensure(folder, make) / "image.tar"
    _keep_newest(folder, f"*-{arch}-" + "?" * 16)
    return found


def _keep_newest(used: Path, pattern: str) -> None:
    """Note that a thing was used now, and remove those of its kind that were not for longest."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(used)
    alike = [found for found in used.parent.glob(pattern + "/") if not found.name.startswith(("fetched-", "base-"))]
    for old in sorted(alike, key=lambda found: found.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
        old.with_name(old.name + ".lock").unlink(missing_ok=True)


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
    folder = cache.home() / "image" / "layered" / hashlib.sha256(f"{digest} {asked}".encode()).hexdigest()[:16]

    def make(aside: Path) -> None:
        image_archive.derive(base, aside / "image.tar", reference, files, command=command, env=env or {})

    found = cache.ensure(folder, make) / "image.tar"
    _keep_newest(folder, "?" * 16)
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
    command = commands.add_parser("inspect", help="say what an archive holds")
    command.add_argument("file", type=Path)
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "inspect":
            _inspect(asked.file)
            return 0
        if asked.fresh:
            for kind in ("fetched", "base", builder.version()):
                for old in (cache.home() / "image").glob(f"{kind}-{asked.arch or machine()}-*/"):
                    shutil.rmtree(old)
        found = build(asked.arch)
        if asked.output:
            found = Path(shutil.copyfile(found, asked.output))
        print(found)
        _inspect(found)
    except (ImageMissingError, ArchiveError, OSError) as error:
        print(f"Error: {str(error).removeprefix('Error: ')}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
