"""Writes `docs/cli.md` from the declarations of the commands, so that the page and the program cannot disagree.

python -m network_mapper.cli.markdown docs/cli.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from network_mapper.cli import inventory
from network_mapper.cli.commands import COMMANDS, PROGRAM
from network_mapper.cli.errors import EXIT_CODES
from network_mapper.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

    from network_mapper.cli.command import Command

EVERYWHERE = "Options of every command"

_INTRODUCTION = f"""\
# The command line

```
{inventory.usage("", cli)}
```

It is the same program as the kubectl plugin: `kubectl network-mapper list` is `network-mapper list`. Results go to the
standard output, everything else to the standard error, so that output can always be piped.

`{PROGRAM} --help`, `{PROGRAM} COMMAND --help`, and the manual pages (`man {PROGRAM}-list`) where they are installed
say the same as this page. It is written by `make docs` from the declarations in the code, and a test compares them;
another runs the examples.

## Commands
"""

_OUTPUT = """\
## What `-o` and `--format` mean

A command that prints has the format of what it prints in `-o`. A command that makes files has the place in `-o`, as
compilers do, and the format in `--format`.
"""

_VARIABLES = """\
## Environment variables

The variables of an option stand beside it above: `NETWORK_MAPPER_` and its long name in capitals, with `_` for `-`. The
names of the Otterize command line, `OTTERIZE_…`, are read after ours. An empty variable counts as not set. A switch is
on with `true`, `1`, `yes` or `on`, and off with their opposites. Beside them are read:
"""

_CONFIG = """\
## The file of settings

A flag wins over a variable, that over the file of `--config`, and that over the default. The file is TOML or YAML; its
keys are the long names of options without the dashes. A table with the name of a command counts for that command alone.

```toml
# ~/.config/network-mapper/config.toml
context = "staging"
mapper-namespace = "observability"
quiet = true

[list]
output = "wide"
exclude-services = ["prometheus", "grafana"]
```

Without `--config` this file is read if it is there: `network-mapper/config.toml` in `$XDG_CONFIG_HOME`, else in
`~/.config`, on Linux and macOS, and in `%APPDATA%` on Windows. `--config ''` reads none. A key that no command has is
warned of, a value of another type is an error. `--config ~/.otterize/config` reads the file of the Otterize command
line; what it says about the Otterize cloud is passed over.

`mapper` and `sniffer` take their settings from files of their own: [configuration.md](configuration.md).
"""

_OTTERIZE = """\
## Coming from the Otterize command line

`otterize network-mapper list` is `network-mapper list`; so are `export`, `visualize` and `reset`. Its flags have their
meaning here, its variables are read, its telemetry flags are taken and do nothing, and a switch may be written
`--quiet=false`. [migration.md](migration.md) has what is different.
"""


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join([_cells(*heads), _cells(*["---"] * len(heads)), *(_cells(*row) for row in rows)]) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _options(options: Iterable[click.Option]) -> str:
    rows = []
    for option in options:
        row = inventory.row(option)
        meaning = f"{row.help} Default: `{row.default}`." if row.default else row.help
        rows.append((_code(row.flags), meaning, ", ".join(_code(name) for name in row.variables)))
    return _table(("option", "meaning", "variables"), rows)


def _output_row(name: str, command: Command) -> tuple[str, str, str]:
    described = {"-o": "", "--format": ""}
    for option in inventory.visible(command.params):
        for flag in described:
            if flag in option.opts:
                row = inventory.row(option)
                values = row.flags.rpartition(" ")[2]
                default = f"; else `{row.default}`" if row.default else ""
                described[flag] = f"{row.help.rstrip('.')}: `{values}`{default}"
                if {"-o", "--format"} <= set(option.opts) and flag == "--format":
                    described[flag] = "the same as `-o`"
    return f"`{name}`", described["-o"], described["--format"]


def _about(command: Command, groups: dict[str, list[click.Option]]) -> str:
    linked = [
        f"[{title.lower()}](#{_anchor(title)})"
        for title, group in groups.items()
        if title != EVERYWHERE and inventory.has_all(command, group)
    ]
    return f"Also the options of {' and of '.join(linked)}.\n" if linked else ""


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _command(name: str, command: Command, groups: dict[str, list[click.Option]]) -> str:
    lines = [f"### {name}\n", f"```\n{inventory.usage(name, command)}\n```\n"]
    for kept, text in inventory.paragraphs(command):
        lines.append(f"```\n{text}\n```\n" if kept else f"{text}\n")
    if not command.common:
        lines.append("Its settings are in [configuration.md](configuration.md).\n")
    elif own := inventory.without(command, *groups.values()):
        lines.append(_options(own))
    lines.append(_about(command, groups))
    examples = "\n".join(f"# {meaning}\n{PROGRAM} {arguments}" for arguments, meaning in command.examples)
    lines.append(f"```sh\n{examples}\n```\n")
    return "\n".join(line for line in lines if line)


def render() -> str:
    """The whole page."""
    commands = inventory.load()
    groups = {
        "Reaching the mapper": inventory.of_connection(),
        "Choosing a part of the map": inventory.of_selection(),
        EVERYWHERE: inventory.common(),
    }
    outputs = [_output_row(name, command) for name, command in commands.items()]
    parts = [
        _INTRODUCTION,
        _table(("command", "what it does"), [(f"[{name}](#{name})", COMMANDS[name]) for name in commands]),
        _OUTPUT,
        _table(("command", "`-o`", "`--format`"), [row for row in outputs if row[1] or row[2]]),
    ]
    for title, group in groups.items():
        parts += [f"## {title}\n", _options(group)]
    parts += [
        "## Each command\n",
        *(_command(name, command, groups) for name, command in commands.items()),
        "## Exit codes\n",
        _table(("code", "meaning"), [(str(code), meaning) for code, meaning in EXIT_CODES.items()]),
        _VARIABLES,
        _table(("variable", "meaning"), [(_code(name), meaning) for name, meaning in inventory.VARIABLES.items()]),
        _CONFIG,
        _OTTERIZE,
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8", newline="\n")
