"""Reads a page of commands and what they print, so that a test can do what a reader does and compare.

A block of `sh` is a step: its lines are typed, in one shell after the other steps' lines. A block of anything else
directly after it is what it prints. These rules, and no others, make a page hold for every run:

- `…` alone in a line stands for any lines, within a line for any text.
- An age such as `12s ago` is any age.
- In a table, a count other than 0 is any count other than 0: the columns that hold counts are named in `COUNTS`.
- Where the paragraph before a step says `within N seconds`, it is repeated for so long until it prints what it should.
- What is in a box (`<details>`) is another way for the step before it, and takes its place when that way is chosen.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COUNTS = {"CONNECTIONS", "ATTEMPTS", "LOOKUPS", "SOCKETS", "REQUESTS"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PATIENCE = re.compile(r"\bwithin (\d+) seconds\b")
_AGE = re.compile(r"\b(?:\d+(?:ms|[smhd]))+ ago\b")
_GAP = re.compile(r" {2,}")
_POLL = 1.0


class Step(NamedTuple):
    """Commands and what they print.

    Attributes:
        section: Heading that it stands under.
        commands: Lines of shell.
        output: What the page shows; None where it shows nothing.
        patience: Seconds for which it may be repeated.
        other: The step in the box that may take its place.
    """

    section: str
    commands: str
    output: str | None
    patience: float
    other: Step | None = None


def steps(page: str) -> list[Step]:
    """Every step of a page, in its order.

    Raises:
        ValueError: A block is neither commands nor the output of some, or a box stands behind no step.
    """
    found: list[Step] = []
    for part in re.split(r"^(?=## )", page, flags=re.MULTILINE):
        section = part.partition("\n")[0].removeprefix("## ") if part.startswith("## ") else ""
        for number, text in enumerate(re.split(r"^</?details>$", part, flags=re.MULTILINE)):
            here = _plain(section, text)
            if number % 2:
                if not found or len(here) != 1:
                    raise ValueError(f"{section}: a box holds one step, in place of the one before it")
                here = [found.pop()._replace(other=here[0])]
            found += here
    return found


def _plain(section: str, text: str) -> list[Step]:
    found: list[Step] = []
    end = 0
    for block in _FENCE.finditer(text):
        language, content = block.groups()
        before = text[end : block.start()].strip()
        end = block.end()
        if language == "sh":
            said = _PATIENCE.search(" ".join(before.rpartition("\n\n")[2].split()))
            found.append(Step(section, content, None, float(said[1]) if said else 0))
        elif before or not found or found[-1].output is not None:
            raise ValueError(f"{section}: this is the output of nothing:\n{content}")
        else:
            found[-1] = found[-1]._replace(output=content)
    return found


def prints(expected: str, output: str) -> bool:
    """Whether an output is what a page shows."""
    return re.fullmatch("".join(_patterns(expected.splitlines())), output.rstrip("\n") + "\n") is not None


def _patterns(lines: Iterable[str]) -> Iterable[str]:
    counts: set[int] = set()
    for line in lines:
        cells = _GAP.split(line)
        if line == "…":
            yield r"(?:.*\n)*?"
        elif COUNTS.intersection(cells):
            counts = {number for number, cell in enumerate(cells) if cell in COUNTS}
            yield " {2,}".join(map(re.escape, cells)) + r"\n"
        elif counts and len(cells) > max(counts):
            yield " {2,}".join(_cell(cell, counted=number in counts) for number, cell in enumerate(cells)) + r"\n"
        else:
            yield _cell(line, counted=False) + r"\n"


def _cell(text: str, *, counted: bool) -> str:
    if counted and text != "0":
        return r"[1-9]\d*"
    pieces = re.split(rf"(…|{_AGE.pattern})", text)
    known = {"…": r"[^\n]*"}
    return "".join(
        re.escape(piece) if not number % 2 else known.get(piece, _AGE.pattern) for number, piece in enumerate(pieces)
    )


def follow(step: Step, run: Callable[[str], str]) -> None:
    """Do a step as a reader does.

    Args:
        step: The step.
        run: Runs lines of shell and returns what they print; raises where one fails.

    Raises:
        AssertionError: It printed something else; the message holds both.
    """
    until = time.monotonic() + step.patience
    while True:
        output = run(step.commands)
        if step.output is None or prints(step.output, output):
            return
        if time.monotonic() > until:
            raise AssertionError(f"{step.commands}should print\n\n{step.output}\nand printed\n\n{output}")
        time.sleep(_POLL)
