"""The tools that build and check the page of `visualize --format html`: fetched once, as the lock file has them.

Tests run where there is no network to fetch from, so this runs before them. Standard library only, like everything that
runs before anything is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cache

WEB = Path(__file__).resolve().parent.parent / "web"
_NAMED = ("package.json", "package-lock.json", ".npmrc")


class MissingError(Exception):
    """The tools cannot be had on this machine; the message says what to do."""


def _npm() -> str:
    npm = shutil.which("npm")  # npm.cmd on Windows
    if npm is None or not shutil.which("node"):
        raise MissingError("no npm: on Debian, apt install nodejs npm")
    return npm


def folder() -> Path:
    """Where `node_modules` lies, for this Node and this lock file.

    Raises:
        MissingError: There is no Node.
    """
    _npm()
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    version = re.sub(r"[^\w.]", "", told.stdout.strip())
    return cache.home() / "npm" / f"{version}-{sys.platform}-{cache.digest(WEB / 'package-lock.json')}"


def fetch() -> Path:
    """Install the tools into `folder()`, unless they are there.

    Raises:
        MissingError: There is no Node, or no way to the packages.
    """
    npm = _npm()

    def install(aside: Path) -> None:
        for name in _NAMED:
            shutil.copy(WEB / name, aside)
        done = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=aside,
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            raise MissingError(f"npm cannot install what web/package-lock.json names: {done.stderr.strip()[-400:]}")

    return cache.ensure(folder(), install)
