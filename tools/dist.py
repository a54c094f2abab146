"""Packs a release: the wheel, one file for all systems, an archive for each, manifests for package managers.

The same tree gives the same bytes: files carry the time of the commit (or SOURCE_DATE_EPOCH), are sorted, and belong
to nobody. Nothing is uploaded; the manifests name where the files will be (`--base-url`).

    python tools/dist.py [--base-url URL] [--output FOLDER] [wheels | dist]
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from string import Template
from typing import NamedTuple

import chart
import pyz
import wheels
from wheels import ROOT, say

from network_mapper import __version__
from network_mapper.cli import manual

HOMEPAGE = "https://github.com/network-mapper/network-mapper"
BASE_URL = f"{HOMEPAGE}/releases/download/v{__version__}"
"""Where a release is expected to be, unless `--base-url` says otherwise."""
SHELLS = {"bash": "network-mapper.bash", "zsh": "_network-mapper", "fish": "network-mapper.fish",
          "powershell": "network-mapper.ps1"}  # fmt: skip


class System(NamedTuple):
    """An archive of the release.

    Attributes:
        os: As Go and krew name it.
        arch: Likewise.
        platforms: The names of `wheels.PLATFORMS` that it is for.
    """

    os: str
    arch: str
    platforms: list[str]

    @property
    def archive(self) -> str:
        """The file's name."""
        suffix = "zip" if self.os == "windows" else "tar.gz"
        return f"network-mapper-{__version__}-{self.os}-{self.arch}.{suffix}"

    @property
    def program(self) -> str:
        """The program's name in it."""
        return "network-mapper.exe" if self.os == "windows" else "network-mapper"


SYSTEMS = [
    System("linux", "amd64", ["linux-gnu-x86_64", "linux-musl-x86_64"]),
    System("linux", "arm64", ["linux-gnu-aarch64", "linux-musl-aarch64"]),
    System("darwin", "amd64", ["darwin-x86_64"]),
    System("darwin", "arm64", ["darwin-arm64"]),
    System("windows", "amd64", ["windows-amd64"]),
]


def epoch() -> int:
    """The time that all files carry, seconds."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(asked.stdout) if asked.stdout.strip() else 315_532_800


def build_wheel(at: Path, moment: int) -> Path:
    """Our own wheel."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
            check=True,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(moment)},
        )
        (built,) = Path(folder).glob("*.whl")
        return Path(shutil.copy(built, at))


def completions() -> dict[str, bytes]:
    """The completion scripts by file name."""
    environ = {key: value for key, value in os.environ.items() if "NETWORK_MAPPER" not in key}
    return {
        name: subprocess.run(
            [sys.executable, "-m", "network_mapper", "completion", shell], env=environ, capture_output=True, check=True
        ).stdout
        for shell, name in SHELLS.items()
    }


def beside(moment: int) -> dict[str, bytes]:
    """What lies in an archive beside the program."""
    day = dt.datetime.fromtimestamp(moment, dt.UTC).date().isoformat()
    files = {"LICENSE": (ROOT / "LICENSE").read_bytes()}
    files.update({f"man/{name}": page.encode() for name, page in manual.pages(day).items()})
    files.update({f"completions/{name}": script for name, script in completions().items()})
    return files


def tar(files: dict[str, bytes], program: str, moment: int) -> bytes:
    """A .tar.gz in which `program` may be run."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=moment) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), moment, 0o755 if name == program else 0o644
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zipped(files: dict[str, bytes], program: str, moment: int) -> bytes:
    """A .zip in which `program` may be run."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in sorted(files.items()):
            pyz.add(archive, name, content, moment, mode=0o755 if name == program else 0o644)
    return packed.getvalue()


def pack(system: System, project: Path, fetched: Path, files: dict[str, bytes], moment: int) -> bytes:
    """The archive for a system."""
    body = pyz.build(project, fetched, moment, system.platforms)
    if system.os == "windows":
        program = pyz.launcher(fetched) + pyz.WINDOWS_SHEBANG + body
        return zipped({**files, system.program: program}, system.program, moment)
    return tar({**files, system.program: pyz.UNIX_SHEBANG + body}, system.program, moment)


def digest(file: Path) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _template(name: str) -> Template:
    return Template((pyz.TEMPLATES / name).read_text(encoding="utf-8"))


def _where(system: System, at: Path, base_url: str) -> dict[str, str]:
    return {"uri": f"{base_url}/{system.archive}", "sha256": digest(at / system.archive)}


def krew(at: Path, base_url: str) -> str:
    """The manifest of the kubectl plugin."""
    each = _template("krew_platform.yaml")
    platforms = "".join(
        each.substitute(os=system.os, arch=system.arch, program=system.program, **_where(system, at, base_url))
        for system in SYSTEMS
    )
    return _template("krew.yaml").substitute(version=__version__, homepage=HOMEPAGE, platforms=platforms.rstrip("\n"))


def homebrew(at: Path, base_url: str) -> str:
    """The formula; it installs what the archives hold."""
    lines = []
    for ours, theirs in (("darwin", "macos"), ("linux", "linux")):
        lines.append(f"  on_{theirs} do")
        for arch, block in (("arm64", "arm"), ("amd64", "intel")):
            (system,) = [found for found in SYSTEMS if (found.os, found.arch) == (ours, arch)]
            where = _where(system, at, base_url)
            lines += [
                f"    on_{block} do",
                f'      url "{where["uri"]}"',
                f'      sha256 "{where["sha256"]}"',
                "    end",
            ]
        lines += ["  end", ""]
    return _template("formula.rb").substitute(version=__version__, homepage=HOMEPAGE, systems="\n".join(lines))


def scoop(at: Path, base_url: str) -> str:
    """The manifest of Scoop."""
    (system,) = [found for found in SYSTEMS if found.os == "windows"]
    where = _where(system, at, base_url)
    manifest = {
        "version": __version__,
        "description": "Draws the map of who talks to whom inside a Kubernetes cluster.",
        "homepage": HOMEPAGE,
        "license": "Apache-2.0",
        "depends": "python",
        "architecture": {"64bit": {"url": where["uri"], "hash": where["sha256"]}},
        "bin": [system.program, [system.program, "kubectl-network_mapper"]],
    }
    return json.dumps(manifest, indent=4) + "\n"


def dist(at: Path, base_url: str) -> None:
    """Fill the folder with a release; what an earlier one left there is removed."""
    moment = epoch()
    fetched = wheels.folder()
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    say("building the wheel")
    project = build_wheel(at, moment)
    everything = at / "network-mapper.pyz"
    say(f"packing {everything.name}")
    everything.write_bytes(pyz.UNIX_SHEBANG + pyz.build(project, fetched, moment, list(wheels.PLATFORMS)))
    everything.chmod(0o755)
    files = beside(moment)
    for system in SYSTEMS:
        say(f"packing {system.archive}")
        (at / system.archive).write_bytes(pack(system, project, fetched, files, moment))
    (at / f"network-mapper-{__version__}.tgz").write_bytes(tar(chart.contents(), "", moment))
    for name, render in (
        ("network-mapper.yaml", krew),
        ("network-mapper.rb", homebrew),
        ("network-mapper.json", scoop),
    ):
        (at / name).write_text(render(at, base_url), encoding="utf-8", newline="\n")
    sums = "".join(f"{digest(file)}  {file.name}\n" for file in sorted(at.iterdir()))
    (at / "SHA256SUMS").write_text(sums, encoding="utf-8", newline="\n")
    for file in sorted(at.iterdir()):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file}")


def main(arguments: list[str]) -> int:
    """Do the step that is asked for."""
    parser = argparse.ArgumentParser(description="Pack a release.")
    parser.add_argument("step", nargs="?", choices=["wheels", "dist"], default="dist", help="wheels: only fetch them")
    parser.add_argument("--base-url", default=BASE_URL, help="where the files will be downloaded from (%(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder to fill (%(default)s)")
    given = parser.parse_args(arguments)
    try:
        if given.step == "wheels":
            say(f"wheels are in {wheels.folder()}")
        else:
            dist(given.output, given.base_url.rstrip("/"))
    except (subprocess.CalledProcessError, LookupError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
