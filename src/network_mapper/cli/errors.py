"""Errors that a person can do something about, and the exit codes that a script can tell apart."""

from __future__ import annotations

import click

EXIT_CODES = {
    0: "It did what was asked for. A map without an edge is no failure.",
    1: "It failed: no mapper answers, a file cannot be written, an answer was no. One line on stderr says why.",
    2: "Wrong usage: an option, a value or a command that does not exist, also from a variable or a file of settings.",
    130: "Interrupted with Ctrl-C (128 + SIGINT).",
    141: "Whoever read the output went away, as in `list | head -1` (128 + SIGPIPE, what a shell says of cat). Nothing "
    "is printed; a shell looks at the last program of a pipe, unless `pipefail` is set.",
    143: "Ended from outside (128 + SIGTERM, what a shell says of it).",
}
FAILED, INTERRUPTED, OUTPUT_CLOSED = 1, 130, 141


class CliError(click.ClickException):
    """Shown as one line, `Error: …`, with exit code 1. The message says what happened, why, and what to do next."""
