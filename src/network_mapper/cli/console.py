"""How this program speaks to people: what a run was asked to say, remarks and warnings on stderr, colours.

Results go to stdout and are written by the commands; everything here is for whoever watches. It may fail to be read
without making a result a failure.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

import click


class State:
    """How this run speaks to people.

    Attributes:
        debug: Show the traceback of an error, and what is done on the way.
        quiet: Say on stderr only what is an error or a warning.
        headers: Print the headings of tables.
        config: The `--config` that stood before the command's name, None for none.
    """

    def __init__(self) -> None:
        self.debug = False
        self.quiet = False
        self.headers = True
        self.config: str | None = None


def state_of(ctx: click.Context) -> State:
    """The State of the run that a context belongs to."""
    return ctx.find_root().ensure_object(State)


def state() -> State:
    """The State of the command that runs."""
    return state_of(click.get_current_context())


def printable(text: str) -> str:
    """Without what would move the cursor of a terminal; ends of lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def notice(text: str) -> None:
    """Tell a person something on stderr that is no result, unless `--quiet` is given."""
    if not state().quiet:
        tell(printable(text))


def warn(text: str) -> None:
    """Tell of something that is not as it should be, on stderr, whatever is asked for."""
    label = click.style("Warning:", fg="yellow") if colours(err=True) else "Warning:"
    tell(f"{label} {printable(text)}")


def tell(line: str) -> None:
    """Write to stderr; where nobody can read that, it makes no result a failure."""
    try:
        click.echo(line, err=True)
    except OSError:
        forget(sys.stderr)


def forget(stream: TextIO) -> None:
    """Lead a stream nowhere, so that the interpreter's last flush has nothing to complain of."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


_WINDOWS_TERMINALS = ("WT_SESSION", "ConEmuANSI", "TERM_PROGRAM", "TERM")
"""Variables that a Windows terminal sets which understands colours; the old console does not unless it is told to."""


def colours(*, err: bool = False) -> bool:
    """Whether a stream is a terminal that shows colours (`NO_COLOR` asks for none)."""
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.platform != "win32" or any(os.environ.get(name) for name in _WINDOWS_TERMINALS)
