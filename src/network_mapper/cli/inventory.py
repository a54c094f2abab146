"""What the commands and their options are, read from their declarations, for the pages that are written from them.

The manual pages, `docs/cli.md` and the tests of both ask here, so that none of them can know less than `--help` does.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from network_mapper.cli.command import CONTEXT, Command, common_parameters
from network_mapper.cli.commands import COMMANDS
from network_mapper.cli.main import cli
from network_mapper.cli.options import connection_options, selection_options

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLES = {
    "KUBECONFIG": "The kubeconfigs, where none is named; several as in PATH.",
    "NO_COLOR": "Not empty: no colours, as everywhere but on a terminal.",
    "TERM": "`dumb`: no colours.",
    "XDG_CONFIG_HOME, APPDATA": "Where the file of settings is looked for.",
}
"""Variables that are read beside those of the options."""


@dataclass(frozen=True)
class Row:
    """One option for people.

    Attributes:
        flags: All spellings with their value, such as `-o, --output FILE`.
        variables: Its environment variables, ours first.
        default: As text; empty for none to speak of.
        help: One or more sentences.
    """

    flags: str
    variables: tuple[str, ...]
    default: str
    help: str


def load() -> dict[str, Command]:
    """Every command, in the order of the program's help."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if isinstance(command, Command)}


def row(option: click.Option) -> Row:
    """One option for people."""
    value = _value(option)
    flags = ", ".join(option.opts + option.secondary_opts)
    names = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
    default = "" if option.is_flag or not option.show_default or option.default is None else str(option.default)
    return Row(f"{flags} {value}".rstrip(), tuple(names), default, option.help or "")


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    return option.type.name.upper()


def visible(parameters: Iterable[click.Parameter]) -> list[click.Option]:
    """The options that `--help` shows."""
    return [parameter for parameter in parameters if isinstance(parameter, click.Option) and not parameter.hidden]


def common() -> list[click.Option]:
    """The options of every command."""
    return visible(common_parameters())


def of_connection() -> list[click.Option]:
    """The options of all commands that ask a mapper."""
    return _declared(connection_options)


def of_selection() -> list[click.Option]:
    """The options of all commands that show a part of the map."""
    return _declared(selection_options)


def _declared(decorate: Any) -> list[click.Option]:
    def nothing(**_: Any) -> None:
        """Stands for a command."""

    command: click.Command = click.command()(decorate(nothing))
    return visible(command.params)


def has_all(command: click.Command, group: list[click.Option]) -> bool:
    """Whether a command has all options of a group."""
    return {tuple(option.opts) for option in group} <= {tuple(option.opts) for option in visible(command.params)}


def without(command: click.Command, *groups: list[click.Option]) -> list[click.Option]:
    """The options of a command that are in none of these groups."""
    known = {(tuple(option.opts), option.help) for group in groups for option in group}
    return [option for option in visible(command.params) if (tuple(option.opts), option.help) not in known]


def usage(name: str, command: click.Command) -> str:
    """Such as `network-mapper completion [OPTIONS] {bash|zsh}`."""
    # With the settings of every command: click keeps the help option that it makes here.
    context = click.Context(command, info_name=f"network-mapper {name}".rstrip(), **CONTEXT)
    return f"{context.info_name} {' '.join(command.collect_usage_pieces(context))}"


def paragraphs(command: click.Command) -> list[tuple[bool, str]]:
    """The help as paragraphs; True for one whose lines stay as they are."""
    text = inspect.cleandoc(command.help or "")
    found = []
    for paragraph in text.split("\n\n"):
        kept = paragraph.startswith("\b\n")
        lines = paragraph.removeprefix("\b\n")
        found.append((kept, lines if kept else " ".join(lines.split())))
    return found
