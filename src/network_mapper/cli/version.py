"""`network-mapper version`: which version this is."""

from __future__ import annotations

import sys

import click

from network_mapper import __version__
from network_mapper.cli.command import Command, output_option

_EXAMPLES = [
    ("version", "for people"),
    ("version -o json", "for a program"),
]


@click.command(cls=Command, examples=_EXAMPLES)
@output_option("text", "json")
def command(output: str) -> None:
    """Print the version of this program.

    The versions of the mapper and of the sniffers are in `network-mapper status`.
    """
    python = ".".join(str(part) for part in sys.version_info[:3])
    if output == "json":
        import json  # noqa: PLC0415  text needs none

        click.echo(json.dumps({"version": __version__, "python": python, "platform": sys.platform}))
    else:
        click.echo(f"network-mapper {__version__} (Python {python} on {sys.platform})")
