"""Writes `docs/configuration.md` from the declarations of the settings, so that the two cannot disagree.

python -m network_mapper.cli.reference docs/configuration.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from network_mapper.mapper.settings import MapperSettings
from network_mapper.settings import settings_of
from network_mapper.sniffer.settings import SnifferSettings

if TYPE_CHECKING:
    from network_mapper.settings import Setting

_INTRODUCTION = """\
# Configuration

Everything that can be set about `network-mapper mapper` and `network-mapper sniffer`. Each setting is a flag and an
environment variable; a flag wins over the variable, the variable over the default. An empty variable counts as not
set. A boolean is switched by `--x` and `--no-x`, or by a variable that is `true` or `false`.

This page is written by `python -m network_mapper.cli.reference` from the declarations in the code, and a test
compares them.
"""

_COMMON = """\
## All commands

| flag | variable | default | meaning |
| --- | --- | --- | --- |
| `--debug` | `NETWORK_MAPPER_DEBUG` | off | Show the traceback of an error; `mapper` and `sniffer` also log more. |
| `--log-format FORMAT` | `NETWORK_MAPPER_LOG_FORMAT` | `auto` | Of `mapper` and `sniffer`: `text`, `json`, or `auto` (text on a terminal). |
| `--mapper-url URL` | `NETWORK_MAPPER_MAPPER_URL` | `http://localhost:9090` | Of `list`, `status` and `reset`: where the mapper answers. |
| `--namespace NAME` | `NETWORK_MAPPER_NAMESPACE` | all | Of `list`: only clients in these namespaces. |
|  | `NO_COLOR` |  | Not empty: no colour, as on anything but a terminal. |
"""  # noqa: E501  a row of a table is one line


def _default(setting: Setting) -> str:
    if setting.default is msgspec.NODEFAULT:
        return "required"
    if setting.type is bool:
        return "on" if setting.default else "off"
    if isinstance(setting.default, float):
        return f"`{setting.default:g}`"
    return f"`{setting.default}`" if setting.default not in ("", None) else ""


def _flag(setting: Setting) -> str:
    if setting.type is bool:
        return f"`{setting.flag}`, `--no-{setting.flag.removeprefix('--')}`"
    return f"`{setting.flag} {setting.metavar}`" if setting.metavar else f"`{setting.flag}`"


def _table(title: str, component: type[msgspec.Struct]) -> str:
    lines = [f"## {title}\n", "| flag | variable | default | meaning |", "| --- | --- | --- | --- |"]
    for setting in settings_of(component):
        cells = (_flag(setting), f"`{setting.env}`", _default(setting), setting.help)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def render() -> str:
    """The whole page."""
    return "\n".join(
        [_INTRODUCTION, _table("mapper", MapperSettings), _table("sniffer", SnifferSettings), _COMMON],
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
