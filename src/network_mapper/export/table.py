"""Text aligned in columns, by the cells that it takes on a terminal: some characters take two, some none."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_GAP = "  "


def width(text: str) -> int:
    """Cells of a terminal that a text takes (Unicode UAX #11; combining marks take none)."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Cells that each column takes; none without lines."""
    return [max(map(width, column)) for column in zip(*lines, strict=True)]


def render(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = frozenset(), *, headers: bool = True
) -> str:
    """A table with two spaces between its columns.

    Args:
        header: Headings of the columns.
        rows: As many cells each.
        right: Columns that are aligned to the right.
        headers: Whether the headings are printed.
    """
    lines = [header, *rows] if headers else rows
    columns = widths(lines)
    return "".join(_line(line, columns, right) for line in lines)


def _line(line: Sequence[str], columns: Sequence[int], right: Collection[int]) -> str:
    cells = []
    for column, (cell, cells_wide) in enumerate(zip(line, columns, strict=True)):
        blank = " " * (cells_wide - width(cell))
        cells.append(blank + cell if column in right else cell + blank)
    return _GAP.join(cells).rstrip() + "\n"


def total(lines: Sequence[Sequence[str]]) -> int:
    """Cells that the widest line of the table of these lines takes."""
    columns = widths(lines)
    return sum(columns) + len(_GAP) * max(0, len(columns) - 1)
