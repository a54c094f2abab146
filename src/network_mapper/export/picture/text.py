"""How wide a text is: known before anything is drawn, so that every box is as large as its name.

The pictures bring their own font, because a machine that has none must draw them too. Its widths are those of Arial
and Helvetica, which stand first in an SVG's list of fonts.
"""

from __future__ import annotations

import functools
import pathlib

import msgspec

FAMILY = "Arimo, 'Liberation Sans', Helvetica, Arial, sans-serif"
"""What an SVG asks for: fonts whose characters have the same widths."""
FOLDER = pathlib.Path(__file__).parent / "font"
_UNKNOWN = 1000
"""Thousandths of the size that a character outside the font takes: a full square, as in East Asian scripts."""


@functools.cache
def _widths() -> dict[str, dict[str, int]]:
    return msgspec.json.decode((FOLDER / "widths.json").read_bytes(), type=dict[str, dict[str, int]])


def face(*, bold: bool) -> str:
    """Name of the face, which is also part of its file's name."""
    return "bold" if bold else "regular"


def font_file(*, bold: bool) -> pathlib.Path:
    """The TrueType file of a face."""
    return FOLDER / f"arimo-{face(bold=bold)}.ttf"


@functools.lru_cache(100_000)
def width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of one line of text, in the unit of `size`."""
    table = _widths()[face(bold=bold)]
    return sum(table.get(character, _UNKNOWN) for character in text) * size / 1000


def covered(text: str) -> bool:
    """Whether the font has all its characters."""
    table = _widths()["regular"]
    return all(character in table for character in text)


def broken(text: str, size: float, limit: float) -> list[str]:
    """The whole text in lines no wider than `limit`, broken behind a dot, dash or space where there is one."""
    lines = []
    while width(text, size) > limit:
        end = next(n for n in range(1, len(text) + 1) if n == len(text) or width(text[: n + 1], size) > limit)
        soft = max(text.rfind(mark, end // 2, end) for mark in ".-/ |") + 1
        lines.append(text[: soft or end])
        text = text[soft or end :]
    return [*lines, text] if text or not lines else lines


def wrap(words: list[str], size: float, limit: float, *, between: str = " ") -> list[str]:
    """Lines of whole words, each no wider than `limit` unless a single word is."""
    lines: list[str] = []
    for word in words:
        longer = lines[-1] + between + word if lines else ""
        if lines and width(longer, size) <= limit:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
