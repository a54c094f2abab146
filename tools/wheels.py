"""The wheels that a release carries: for every system and Python that it runs on, verified by the hashes of the lock.

They are fetched once into the cache folder that clones of this project share, so that packing a release needs no
network afterwards. pip chooses the files, with the configuration of this machine, and checks them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import cache
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
_GLIBC = (28, 27, 26, 25, 24, 17, 12, 5)
"""Minor versions of glibc that wheels are built for; 2.28 is that of the oldest distributions with support."""
PLATFORMS = {
    "linux-gnu-x86_64": [f"manylinux_2_{n}_x86_64" for n in _GLIBC] + ["manylinux2014_x86_64"],
    "linux-gnu-aarch64": [f"manylinux_2_{n}_aarch64" for n in _GLIBC] + ["manylinux2014_aarch64"],
    "linux-musl-x86_64": ["musllinux_1_2_x86_64", "musllinux_1_1_x86_64"],
    "linux-musl-aarch64": ["musllinux_1_2_aarch64", "musllinux_1_1_aarch64"],
    "darwin-arm64": [f"macosx_{n}_0_{kind}" for n in (12, 11) for kind in ("arm64", "universal2")],
    "darwin-x86_64": [
        f"macosx_{version}_{kind}"
        for version in ("12_0", "11_0", *(f"10_{n}" for n in range(16, 8, -1)))
        for kind in ("x86_64", "universal2")
    ],
    "windows-amd64": ["win_amd64"],
}
"""Systems by the names that `templates/pyz_start.py` gives them, with the tags of wheels that run there."""
LAUNCHER = "distlib==0.4.4 --hash=sha256:cf09d55b1e85a89576b036aeb71550bfd68320f3f21761ca329eadadad918638\n"
"""Has the small Windows program that starts a Python archive appended to it, the one that pip makes scripts with."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def locked() -> dict[str, str]:
    """The entries of the lock file by the packages' names."""
    entries = re.split(r"^(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {canonicalize_name(entry.partition("==")[0]): entry for entry in entries if "==" in entry}


def needed() -> list[str]:
    """The packages that the command line needs, with what they need in turn, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = locked()
    wanted = [Requirement(text) for text in project["project"]["dependencies"]]
    found: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in found or name not in lock or not applies:
            continue
        found.add(name)
        wanted += [Requirement(text) for text in importlib.metadata.requires(name) or ()]
    return sorted(found)


def requirements() -> str:
    """What pip is asked for."""
    lock = locked()
    return "".join(lock[name] for name in needed())


def tags(platform: str, python: tuple[int, int]) -> list[Tag]:
    """The tags of wheels for a system and a Python, the best first."""
    names = PLATFORMS[platform]
    interpreter = f"cp{python[0]}{python[1]}"
    return [*cpython_tags(python, platforms=names), *compatible_tags(python, interpreter, names)]


def targets() -> Iterator[tuple[str, tuple[int, int]]]:
    """Every system with every Python."""
    return ((platform, python) for platform in PLATFORMS for python in PYTHONS)


def _pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                    "--require-hashes", *map(str, arguments)], check=True)  # fmt: skip


def folder() -> Path:
    """Where the wheels are, fetched when they are not there yet."""
    wanted = requirements()
    asked = "\n".join(
        [wanted, LAUNCHER, *(f"{name} {' '.join(each)}" for name, each in PLATFORMS.items()), str(PYTHONS)]
    )
    digest = hashlib.sha256(asked.encode()).hexdigest()[:16]

    def fetch(at: Path) -> None:
        (at / "requirements.txt").write_text(wanted, encoding="utf-8")
        (at / "launcher.txt").write_text(LAUNCHER, encoding="utf-8")
        every = list(targets())
        for number, (platform, python) in enumerate(every, 1):
            version = ".".join(map(str, python))
            say(f"fetching wheels for {platform}, Python {version} ({number} of {len(every)})")
            flags = [flag for name in PLATFORMS[platform] for flag in ("--platform", name)]
            _pip("--implementation", "cp", "--python-version", version, *flags,
                 "--dest", at, "-r", at / "requirements.txt")  # fmt: skip
        say("fetching the launcher for Windows")
        _pip("--dest", at, "-r", at / "launcher.txt")

    return cache.ensure(cache.home() / "wheels" / f"dist-{digest}", fetch)


def choose(at: Path, platform: str, python: tuple[int, int]) -> list[Path]:
    """The wheels for a system and a Python, one for each package, in the order of their names.

    Raises:
        LookupError: A package has none.
    """
    ranks = {tag: rank for rank, tag in enumerate(tags(platform, python))}
    best: dict[str, tuple[int, Path]] = {}
    for wheel in sorted(at.glob("*.whl")):
        name, _, _, built_for = parse_wheel_filename(wheel.name)
        rank = min((ranks[tag] for tag in built_for if tag in ranks), default=None)
        if rank is not None and (name not in best or rank < best[name][0]):
            best[name] = (rank, wheel)
    missing = [name for name in needed() if name not in best]
    if missing:
        raise LookupError(f"no wheel of {', '.join(missing)} for {platform}, Python {'.'.join(map(str, python))}")
    return [best[canonicalize_name(name)][1] for name in needed()]
