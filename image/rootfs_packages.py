"""What the image is made of, and how it is fetched: packages of Debian 12, and the wheels that the lock names.

apt fetches for any architecture, with this machine's sources of Debian 12 and state of its own, so nothing of the
machine changes; it verifies signatures and hashes as ever. Debian's packages have no fixed versions here: whoever
builds anew gets the security updates, and the image lists what went in. pip fetches the wheels and compares their
hashes with the lock. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SUITES = {"bookworm", "bookworm-updates", "bookworm-security"}
PYTHON = "3.11"
"""The Python of Debian 12."""

PACKAGES = [
    "base-files",  # os-release, by which scanners know the system; the texts of the licences
    "ca-certificates",
    "gcc-12-base",  # the copyright of libgcc-s1
    "libc6",
    "libexpat1",  # the interpreter is linked with it
    "libffi8",  # ctypes
    "libgcc-s1",  # resvg-py
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libsqlite3-0",
    "libssl3",
    "python3.11-minimal",
    "zlib1g",
]
"""The Debian packages in the image, each named: nothing comes in as somebody's dependency."""
INTERPRETER = ["libc6", "libexpat1", "libpython3.11-minimal", "python3.11-minimal", "zlib1g"]
"""Those that make an interpreter which compiles modules on this machine."""

ARCHITECTURES = {
    "amd64": ("x86_64", "lib64/ld-linux-x86-64.so.2"),
    "arm64": ("aarch64", "lib/ld-linux-aarch64.so.1"),
}
"""The image's architectures by their names in Debian and Kubernetes: the name that wheels have for each, its loader."""
_GLIBC = (36, 35, 34, 31, 28, 27, 26, 25, 24, 17, 12, 5)
"""Minor versions of glibc that wheels are built for, from Debian 12's on."""
ELSEWHERE = "A container engine needs none of this: docker build -f image/Containerfile ."
LIST = "packages.json"


class BuildError(Exception):
    """The image cannot be built; the message says why and what to do."""


class Package(NamedTuple):
    """What went into the image.

    Attributes:
        kind: `deb` or `pypi`, the type of its package URL.
        name: Its name there.
        version: Its version there.
        architecture: Debian's, or empty.
        sha256: Of the package's file, hexadecimal.
        file: The file's name.
    """

    kind: str
    name: str
    version: str
    architecture: str
    sha256: str
    file: str


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What a program prints.

    Raises:
        BuildError: It is missing, or failed.
    """
    words = [str(part) for part in command]
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BuildError(
            f"{words[0]} is not here, and the image is put together from Debian's packages. {ELSEWHERE}"
        ) from None
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise BuildError(f"{Path(words[0]).name} failed: {told[-1] if told else f'exit status {done.returncode}'}")
    return done.stdout


def machine() -> str:
    """Debian's name for this machine's architecture."""
    return run("dpkg", "--print-architecture").strip()


def _stanza(text: str) -> str:
    """An entry of sources with our suites and component only, for every architecture; empty when there are none."""
    fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", text, re.MULTILINE))
    suites = [suite for suite in fields.get("Suites", "").split() if suite in SUITES]
    if not suites or "main" not in fields.get("Components", "").split() or fields.get("Enabled", "yes") == "no":
        return ""
    kept = {"Types": "deb", "URIs": fields["URIs"], "Suites": " ".join(suites), "Components": "main"}
    if "Signed-By" in fields:
        kept["Signed-By"] = fields["Signed-By"]
    return "".join(f"{name}: {value}\n" for name, value in kept.items())


def sources(apt: Path = Path("/etc/apt")) -> str:
    """This machine's sources of Debian 12, as one file of apt's newer format; what else it has is left out."""
    found = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        text = file.read_text(encoding="utf-8") if file.suffix in {".list", ".sources"} and file.is_file() else ""
        text = re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE)
        if file.suffix == ".sources":
            found += [_stanza(part) for part in re.split(r"\n\s*\n", text)]
            continue
        for options, uri, rest in re.findall(r"^deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(.+)$", text, re.MULTILINE):
            suite, *components = rest.split()
            signed = re.search(r"signed-by=(\S+)", options)
            found.append(_stanza(
                f"URIs: {uri}\nSuites: {suite}\nComponents: {' '.join(components)}\n"
                + (f"Signed-By: {signed[1]}\n" if signed else "")
            ))  # fmt: skip
    return "\n".join(entry for entry in found if entry)


def download(architecture: str, names: list[str], folder: Path) -> list[Path]:
    """Fetch Debian packages for an architecture, whatever this machine's is, verified by apt.

    Args:
        architecture: Debian's name of it.
        names: The packages.
        folder: Where they go, and apt's state while it works.

    Returns:
        The files, in the order of their names.

    Raises:
        BuildError: There is no apt, no source of Debian 12, or no network.
    """
    entries = sources()
    if not entries:
        raise BuildError(
            f"the image is made of packages of Debian 12, and this machine's apt has no sources of it. {ELSEWHERE}"
        )
    state = folder / ".apt"
    for part in ("state/lists/partial", "cache/archives/partial", "sources"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources" / "debian.sources").write_text(entries, encoding="utf-8")
    settings = {
        "Dir::State": state / "state",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": state / "sources",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Update::Error-Mode": "any",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    environ = {**os.environ, "LC_ALL": "C"}
    run("apt-get", *options, "-qq", "update", env=environ)
    run("apt-get", *options, "-qq", "download", *names, cwd=folder, env=environ)
    shutil.rmtree(state)
    files = sorted(folder.glob("*.deb"), key=lambda file: file.name.partition("_")[0])
    missing = set(names) - {file.name.partition("_")[0] for file in files}
    if missing:
        raise BuildError(f"Debian 12 has no {', '.join(sorted(missing))} for {architecture}")
    return files


def _wheels(architecture: str, lock: Path, folder: Path) -> list[Path]:
    processor = ARCHITECTURES[architecture][0]
    platforms = [f"manylinux_2_{minor}_{processor}" for minor in _GLIBC] + [f"manylinux2014_{processor}"]
    run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "--implementation", "cp", "--python-version", PYTHON, *(f"--platform={name}" for name in platforms),
        "--dest", folder, "-r", lock)  # fmt: skip
    return sorted(folder.glob("*.whl"))


def _deb(file: Path) -> Package:
    fields = run("dpkg-deb", "--show", "--showformat=${Package}\t${Version}\t${Architecture}", file).split("\t")
    return Package("deb", *fields, hashlib.sha256(file.read_bytes()).hexdigest(), file.name)


def _wheel(file: Path) -> Package:
    name, version = file.name.split("-")[:2]
    return Package("pypi", re.sub(r"[-_.]+", "-", name).lower(), version, "",
                   hashlib.sha256(file.read_bytes()).hexdigest(), file.name)  # fmt: skip


def fetch(architecture: str, lock: Path, folder: Path) -> None:
    """Fetch everything that comes from elsewhere: `debs/`, `wheels/`, `interpreter/` for this machine, and a list."""
    here = machine()
    for part in ("debs", "wheels", "interpreter"):
        (folder / part).mkdir(parents=True)
    say(f"fetching {len(PACKAGES)} Debian packages for {architecture}")
    debs = download(architecture, PACKAGES, folder / "debs")
    if here == architecture:
        compiler = [file for file in debs if file.name.partition("_")[0] in INTERPRETER]
    else:
        say(f"fetching an interpreter for {here}, which compiles the modules")
        compiler = download(here, INTERPRETER, folder / "interpreter")
    for file in compiler:
        run("dpkg-deb", "--extract", file, folder / "interpreter")
    for file in (folder / "interpreter").glob("*.deb"):
        file.unlink()
    say(f"fetching the locked wheels for {architecture}")
    packages = [*map(_deb, debs), *map(_wheel, _wheels(architecture, lock, folder / "wheels"))]
    listed = json.dumps([package._asdict() for package in packages], indent=1)
    (folder / LIST).write_text(listed + "\n", encoding="utf-8")


def fetched(folder: Path) -> list[Package]:
    """What `fetch` left there.

    Raises:
        BuildError: It did not, or not all of it.
    """
    try:
        listed = (folder / LIST).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BuildError(f"{folder} has no {LIST}: let `image/rootfs.py fetch` fill a new folder first") from None
    return [Package(**entry) for entry in json.loads(listed)]
