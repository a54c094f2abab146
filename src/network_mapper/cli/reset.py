"""`network-mapper reset`: empty the map."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, option, output_option
from network_mapper.cli.console import notice
from network_mapper.cli.errors import CliError
from network_mapper.cli.options import connection_options

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource
    from network_mapper.wire.api import ResetDocument

_EXAMPLES = [
    ("reset", "asks first"),
    ("reset --yes", "in a script"),
    ("reset --yes -o json", "for a program: what was removed, and from which map"),
]


def _edges(source: MapSource) -> tuple[int, int]:
    """How many edges there are to lose, and since when they were gathered; 0 where that is not known."""
    from network_mapper.cli.sources.base import NoStatusError  # noqa: PLC0415  --help needs no HTTP client

    try:
        status = source.status()
    except NoStatusError:
        return len(source.map().edges), 0
    return status.edges, status.watching_since


def _count(edges: int) -> str:
    return f"{edges} edge{'' if edges == 1 else 's'}"


def _since(watching_since: int) -> str:
    from network_mapper.export.times import rfc3339  # noqa: PLC0415  --help needs no model

    return f", seen since {rfc3339(watching_since)}" if watching_since else ""


def _report(done: ResetDocument, where: str) -> str:
    if not done.removed_edges:
        return f"The map at {where} was empty already; nothing was removed.\n"
    return f"Removed {_count(done.removed_edges)}{_since(done.removed_since)}, from the map at {where}.\n"


@click.command(cls=Command, examples=_EXAMPLES)
@output_option("text", "json", "yaml")
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@connection_options
def command(output: str, yes: bool, connection: Connection) -> None:
    """Empty the map.

    All edges are removed for everybody who reads this mapper. Sniffers learn of it with their next report and tell of
    the connections that are still open, so a live edge is back within seconds; what was seen before the reset and
    arrives late does not count any more.
    """
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  --help needs no HTTP client

    if connection.file:
        raise click.UsageError("reset empties the map of a mapper and changes no file; leave out --map-file")
    if not yes and not sys.stdin.isatty():
        raise CliError("reset removes every edge and asks first, but there is no terminal to ask on. Give --yes.")
    with open_source(connection) as source:
        if not yes:
            edges, since = _edges(source)
            if not click.confirm(f"Remove all {_count(edges)}{_since(since)}, of the map at {source.where}?", err=True):
                raise CliError("nothing was removed.")
        done = source.reset()
        where = source.where
    if output == "text":
        click.echo(_report(done, where), nl=False)
        if done.removed_edges:
            notice("Connections that are still open are back in some seconds, others when they are used again.")
        return
    from network_mapper.export import encode  # noqa: PLC0415  one format is loaded, not all

    click.echo(encode.to_json(done) if output == "json" else encode.to_yaml(done), nl=False)
