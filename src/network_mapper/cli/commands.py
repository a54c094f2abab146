"""The commands, by name and summary: what the whole program's help needs, and nothing that a command would import."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

PROGRAM = "network-mapper"
COMPLETE_VARIABLE = "_NETWORK_MAPPER_COMPLETE"

COMMANDS = {
    "list": "Show who calls whom.",
    "export": "Write the map as ClientIntents, or for tools of your own.",
    "visualize": "Draw the map: SVG, PNG, PDF, DOT, Mermaid, or a page to explore it.",
    "status": "Show what watches, what reports, and what did not reach the map.",
    "reset": "Empty the map.",
    "mapper": "Run the mapper: gather reports, draw the map, serve it.",
    "sniffer": "Run the node agent: see connections and DNS lookups, report them to a mapper.",
    "install": "Put mapper and sniffers into a cluster, without Helm.",
    "upgrade": "Bring an installation to this version, or to other options.",
    "uninstall": "Remove what install has made.",
    "snapshot": "Write what the mapper would read of a cluster.",
    "completion": "Print the completion script of a shell.",
    "version": "Print the version of this program.",
}


def load(name: str) -> click.Command:
    """Import one of COMMANDS; each is in the module of its name."""
    command: click.Command = importlib.import_module(f"network_mapper.cli.{name}").command
    return command
