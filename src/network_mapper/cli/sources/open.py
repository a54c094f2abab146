"""From what a person asked for to a source: a file, a URL, or a mapper inside a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource

DEFAULT_URL = "http://localhost:9090"


def open_source(connection: Connection) -> MapSource:
    """Open the map that is meant.

    Raises:
        CliError: What was asked for cannot be opened, or two ways were asked for at once.
    """
    from network_mapper.cli.sources.rest import RestSource  # noqa: PLC0415  one kind is loaded, not all

    return RestSource(connection.url or DEFAULT_URL)
