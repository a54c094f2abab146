"""`network-mapper reset`: empty the map."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command
from network_mapper.cli.errors import CliError
from network_mapper.cli.options import connection_options

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource

_EXAMPLES = [
    ("reset", "asks first"),
    ("reset --yes", "in a script"),
]


def _edges(source: MapSource) -> int:
    """How many edges there are to lose."""
    from network_mapper.cli.sources.base import NoStatusError  # noqa: PLC0415  --help needs no HTTP client

    try:
        return source.status().edges
    except NoStatusError:
        return len(source.map().edges)


@click.command(cls=Command, examples=_EXAMPLES)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@connection_options
def command(yes: bool, connection: Connection) -> None:
    """Empty the map.

    All edges are removed for everybody who reads this mapper. Connections that are still in use come back with the
    sniffers' next reports.
    """
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  --help needs no HTTP client

    if not yes and not sys.stdin.isatty():
        raise CliError("reset removes every edge and asks first, but there is no terminal to ask on. Give --yes.")
    with open_source(connection) as source:
        if not yes:
            edges = _edges(source)
            if not click.confirm(f"Remove all {edges} edges of the map at {source.where}?", err=True):
                raise CliError("nothing was removed.")
        removed = source.reset().removed_edges
    click.echo(f"Removed {removed} {'edge' if removed == 1 else 'edges'}.")
