"""The manual pages: one for the program and one for each command, written from the declarations of the commands.

They are made when a release is packed (`make dist`) and kept nowhere else, so there is no second copy to go stale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper import __version__
from network_mapper.cli import inventory
from network_mapper.cli.commands import COMMANDS, PROGRAM
from network_mapper.cli.errors import EXIT_CODES
from network_mapper.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click


def _escape(text: str) -> str:
    """Text for troff: no escapes of its own, dashes that can be copied, no line that is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("^", "\\(ha").replace("~", "\\(ti").replace("…", "...")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in escaped.split("\n"))


def _quoted(text: str) -> str:
    return '"' + _escape(text).replace('"', "\\(dq") + '"'


def _options(options: Iterable[click.Option]) -> list[str]:
    lines = []
    for option in options:
        row = inventory.row(option)
        notes = f" Default: {row.default}." if row.default else ""
        variables = f" Variable: {' or '.join(row.variables)}." if row.variables else ""
        lines += [".TP", f".B {_escape(row.flags)}", _escape(row.help + notes + variables)]
    return lines


def _description(command: click.Command) -> list[str]:
    lines: list[str] = []
    for kept, text in inventory.paragraphs(command):
        if lines:
            lines.append(".PP")
        lines += [".nf", _escape(text), ".fi"] if kept else [_escape(text)]
    return lines


def _exit_codes() -> list[str]:
    return [line for code, meaning in EXIT_CODES.items() for line in (".TP", f".B {code}", _escape(meaning))]


def _page(title: str, summary: str, sections: dict[str, list[str]], date: str) -> str:
    head = [
        f'.TH {_quoted(title.upper())} 1 "{date}" {_quoted(f"{PROGRAM} {__version__}")} "User Commands"',
        ".SH NAME",
        f"{_escape(title)} \\- {_escape(summary[0].lower() + summary[1:].rstrip('.'))}",
    ]
    for heading, lines in sections.items():
        head += [f".SH {_quoted(heading)}", *lines]
    return "\n".join(head) + "\n"


def _program(date: str) -> str:
    commands = [
        line
        for name, summary in COMMANDS.items()
        for line in (".TP", f".B {_escape(name)}", _escape(f"{summary} See {PROGRAM}-{name}(1)."))
    ]
    variables = [
        line
        for name, meaning in inventory.VARIABLES.items()
        for line in (".TP", f".B {_escape(name)}", _escape(meaning.replace("`", "")))
    ]
    return _page(
        PROGRAM,
        "Draw the map of who talks to whom inside a Kubernetes cluster.",
        {
            "SYNOPSIS": [_escape(inventory.usage("", cli))],
            "DESCRIPTION": _description(cli),
            "OPTIONS": _options(inventory.visible(cli.params)),
            "COMMANDS": commands,
            "ENVIRONMENT": variables,
            "EXIT STATUS": _exit_codes(),
            "SEE ALSO": [_escape(", ".join(f"{PROGRAM}-{name}(1)" for name in COMMANDS))],
        },
        date,
    )


def _command(name: str, date: str) -> str:
    command = inventory.load()[name]
    examples = []
    for arguments, meaning in command.examples:
        examples += [".TP", _escape(meaning), f".B {_escape(f'{PROGRAM} {arguments}')}"]
    return _page(
        f"{PROGRAM}-{name}",
        COMMANDS[name],
        {
            "SYNOPSIS": [_escape(inventory.usage(name, command))],
            "DESCRIPTION": _description(command),
            "OPTIONS": _options(inventory.visible(command.params)),
            "EXAMPLES": examples,
            "EXIT STATUS": _exit_codes(),
            "SEE ALSO": [f"{_escape(PROGRAM)}(1)"],
        },
        date,
    )


def pages(date: str) -> dict[str, str]:
    """The pages by file name.

    Args:
        date: Of the release, `YYYY-MM-DD`; it stands at the foot of each page.
    """
    written = {f"{PROGRAM}.1": _program(date)}
    written.update({f"{PROGRAM}-{name}.1": _command(name, date) for name in inventory.load()})
    return written
