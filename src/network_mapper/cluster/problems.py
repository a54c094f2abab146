"""What is wrong with the cluster's objects right now, for a person to read.

Not a log: each line belongs to what it is about, and goes when that is mended or deleted, so that a status shows the
present. Both the lines and what is remembered for them are bounded; the rest is a number.
"""

from __future__ import annotations

from typing import Final

LISTED: Final = 100
"""Lines that are shown."""
KEPT: Final = 1000
"""Lines that are kept, so that others move up when shown ones are mended."""
_LONGEST: Final = 400


class Problems:
    """Lines by subject. `len()` counts all of them, shown or not."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._more = 0

    def put(self, about: str, causes: list[str]) -> None:
        """Replace what is wrong with `about`; no causes: nothing any more."""
        if not causes:
            self._lines.pop(about, None)
            return
        if about not in self._lines and len(self._lines) >= KEPT:
            self._more += 1
            return
        line = f"{about}: {'; '.join(causes)}"
        self._lines[about] = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"

    def lines(self) -> list[str]:
        """At most `LISTED` lines, and one more that counts the rest."""
        shown = list(self._lines.values())[:LISTED]
        rest = len(self) - len(shown)
        return [*shown, f"and {rest} more"] if rest else shown

    def __len__(self) -> int:
        return len(self._lines) + self._more
