"""Deliberate faults in the core, each with the test that must go red: proof that the tests would notice.

    python tests/support/mutations.py              try each in a copy of the tree; fails unless all are found
    python tests/support/mutations.py --write      write the table in docs/mutations.md

A fault is a change of one place in one file, as text. The suite checks that each can still be made.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mutations.md"
COPIED = ("src", "tests", "tools", "docs", "pyproject.toml", "conftest.py")
PATIENCE = 300

_HEAD = """\
# Faults that the tests find

Each line is a deliberate fault in the core and a test that goes red with it. `python tests/support/mutations.py` makes
each in a copy of the tree and runs its test; the suite checks that each can still be made. This page is written by
`python tests/support/mutations.py --write`.

| fault | where | test that goes red |
| --- | --- | --- |
"""


class Mutation(NamedTuple):
    """One fault.

    Attributes:
        words: What is wrong then, for people.
        file: Where, below `src/network_mapper`.
        old: What stands there once.
        new: What stands there then.
        test: Goes red.
    """

    words: str
    file: str
    old: str
    new: str
    test: str

    @property
    def path(self) -> str:
        """The file, from the root of the tree."""
        return f"src/network_mapper/{self.file}"

    def made(self, source: str) -> str:
        """A file's text with the fault.

        Raises:
            ValueError: It cannot be made there any more.
        """
        if source.count(self.old) != 1:
            raise ValueError(f"{self.path} has {source.count(self.old)} times: {self.old}")
        return source.replace(self.old, self.new)


MUTATIONS: tuple[Mutation, ...] = ()


def page() -> str:
    """The table for people."""
    return _HEAD + "".join(f"| {each.words} | `{each.path}` | `{each.test}` |\n" for each in MUTATIONS)


def copy(folder: pathlib.Path) -> None:
    """Copy what tests need of the tree."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.exists():
            shutil.copy(source, folder / name)


def is_green(folder: pathlib.Path, test: str) -> bool:
    """Whether a test passes in a copy of the tree.

    Raises:
        RuntimeError: It could not be run.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", test]
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}
    done = subprocess.run(command, cwd=folder, env=env, check=False, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{test} could not be run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def attempt(mutation: Mutation) -> str:
    """Make a fault in a copy of the tree and run its test; returns what is wrong with that, empty for nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        copy(folder)
        if not is_green(folder, mutation.test):
            return f"{mutation.test} is red without the fault"
        file = folder / mutation.path
        file.write_text(mutation.made(file.read_text()))
        return f"{mutation.test} stays green" if is_green(folder, mutation.test) else ""


def main() -> int:
    """Try them all, or write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page())
        return 0
    failed = 0
    for mutation in MUTATIONS:
        began = time.monotonic()
        wrong = attempt(mutation)
        failed += bool(wrong)
        sys.stdout.write(f"{time.monotonic() - began:5.1f} s  {wrong or 'found'}: {mutation.words}\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
