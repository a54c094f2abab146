"""One line on the terminal about what is going on, when it takes longer than a second.

    with progress("connecting to context kind") as line:
        ...
        line.update("reading the map")

It is for people alone: only where stderr is a terminal and `--quiet` is not given. The line is written by a thread,
because the one that works may wait in a system call, and it is erased when the block ends, so results and errors stand
alone. Inside the block nothing else may be written to the terminal. A block within a block takes over the line.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from network_mapper.cli.console import State

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY = 1.0
"""Seconds of silence before the first line, and between two."""

_current: Line | None = None


class Line:
    """A line that can be changed while it stands. Made by `progress`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._began = time.monotonic()
        self._width = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    def update(self, text: str) -> None:
        """Say something else from now on; an open line changes at once."""
        with self._lock:
            self._text = text
            if self._width:
                self._write()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._width:
            self._put("\r" + " " * self._width + "\r")

    def _tell(self) -> None:
        while not self._ended.wait(DELAY):
            with self._lock:
                self._write()

    def _write(self) -> None:
        import shutil  # noqa: PLC0415  not before there is something to write

        room = max(10, shutil.get_terminal_size().columns - 1)
        line = f"{self._text} … {time.monotonic() - self._began:.0f} s"
        if len(line) > room:
            line = line[: room - 1] + "…"
        # Blanks erase what a longer line left: not every terminal knows the sequences for that.
        self._put("\r" + line + " " * max(0, self._width - len(line)))
        self._width = len(line)

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that went away is no reason to fail
            sys.stderr.write(text)
            sys.stderr.flush()


def _wanted() -> bool:
    context = click.get_current_context(silent=True)
    state = context.find_root().obj if context else None
    return sys.stderr.isatty() and not (isinstance(state, State) and state.quiet)


@contextlib.contextmanager
def progress(text: str) -> Iterator[Line]:
    """Show a text while the block runs, from the second second on.

    Args:
        text: What is being done, such as `reading the map`; without dots at its end.
    """
    global _current  # noqa: PLW0603  there is one terminal
    if _current is not None:
        outer, before = _current, _current.text
        outer.update(text)
        try:
            yield outer
        finally:
            outer.update(before)
        return
    line = _current = Line(text)
    if _wanted():
        line._start()  # noqa: SLF001  the two are one
    try:
        yield line
    finally:
        _current = None
        line._stop()  # noqa: SLF001  likewise
