"""`network-mapper reset`: empty the map."""

from __future__ import annotations

import sys

import click

from network_mapper.cli.command import Command, debug_option, mapper_url_option
from network_mapper.cli.errors import CliError

_EXAMPLES = [
    ("reset", "asks first"),
    ("reset --yes", "in a script"),
]


@click.command(cls=Command, examples=_EXAMPLES)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@mapper_url_option
@debug_option
def command(yes: bool, mapper_url: str) -> None:
    """Empty the map.

    All edges are removed for everybody who reads this mapper. Connections that are still in use come back with the
    sniffers' next reports.
    """
    from network_mapper.cli.source import MapSource  # noqa: PLC0415  --help needs no HTTP client

    if not yes and not sys.stdin.isatty():
        raise CliError("reset removes every edge and asks first, but there is no terminal to ask on. Give --yes.")
    with MapSource(mapper_url) as source:
        if not yes:
            edges = source.status().edges
            if not click.confirm(f"Remove all {edges} edges of the map at {mapper_url}?", err=True):
                raise CliError("nothing was removed.")
        removed = source.reset().removed_edges
    click.echo(f"Removed {removed} {'edge' if removed == 1 else 'edges'}.")
