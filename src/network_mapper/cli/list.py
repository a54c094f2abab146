"""`network-mapper list`: who calls whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, notice, output_option
from network_mapper.cli.options import connection_options, selection_options

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource
    from network_mapper.export.selection import Selection
    from network_mapper.model import Edge
    from network_mapper.wire.api import MapDocument

_EXAMPLES = [
    ("list", "everything that was seen"),
    ("list -n shop,db", "only clients in the namespaces shop and db"),
    ("list --since 15m -o wide", "the last quarter of an hour, with ports and counts"),
    ("list -o json | jq '.edges[] | {client, server, connections}'", "for a program"),
    ("list --all", "also cluster DNS, nodes and outside addresses as clients"),
]


def _hidden_note(hidden: int) -> str:
    edges = "1 edge is" if hidden == 1 else f"{hidden} edges are"
    return f"{edges} hidden (cluster DNS, clients that are nodes or outside the cluster); --all shows them."


def _why_nothing(source: MapSource, answer: MapDocument, selection: Selection) -> list[str]:
    """Sentences for a person who expected a list."""
    from network_mapper.cli import empty  # noqa: PLC0415  needed in this case only
    from network_mapper.cli.sources.base import MapQuery  # noqa: PLC0415  likewise
    from network_mapper.export.labels import namespace_of  # noqa: PLC0415  likewise

    if answer.edges:
        return [_hidden_note(len(answer.edges))]
    status = source.status()
    if not status.edges:
        return empty.explain(status, source.where)
    if selection.namespaces:
        everywhere = source.map(MapQuery(since=answer.since)).edges
        if everywhere:
            existing = sorted({namespace_of(edge.client) for edge in everywhere} - {""})
            return empty.explain_filter(selection.namespaces, existing)
    return [f"Nothing was seen in that time; what the map holds is older ({status.edges} edges). Try a longer --since."]


def _render(answer: MapDocument, edges: list[Edge], output: str) -> str:
    match output:
        case "text":
            from network_mapper.export import text  # noqa: PLC0415  one format is loaded, not all

            return text.render(edges)
        case "wide":
            from network_mapper.export import wide  # noqa: PLC0415  likewise

            return wide.render(edges, answer.generated_at)
        case _:
            from network_mapper.export import document, encode  # noqa: PLC0415  likewise

            built = document.build(answer, edges)
            return encode.to_json(built) if output == "json" else encode.to_yaml(built)


@click.command(cls=Command, examples=_EXAMPLES)
@output_option("text", "json", "yaml", "wide")
@selection_options
@connection_options
def command(output: str, selection: Selection, connection: Connection) -> None:
    """Show who calls whom.

    One block per client, with the servers that it calls. A server in the client's own namespace stands by its bare
    name. Where no connection was seen, the line says what was: "DNS lookup only" or "attempted, never answered".

    Cluster DNS, this program's own traffic, and clients that are nodes or outside the cluster, are hidden unless --all
    is given. An empty list says on stderr why it is empty.
    """
    from network_mapper.cli.sources.base import MapQuery  # noqa: PLC0415  --help needs no HTTP client
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  likewise
    from network_mapper.export.selection import choose  # noqa: PLC0415  likewise

    start = max(1, int(time.time() * 1000) - selection.since) if selection.since else 0
    with open_source(connection) as source:
        answer = source.map(MapQuery(selection.namespaces, start, selection.needs_labels))
        edges = choose(answer, selection)
        click.echo(_render(answer, edges, output), nl=False)
        hidden = len(answer.edges) - len(edges)
        if not edges:
            notes = _why_nothing(source, answer, selection)
        else:
            notes = [_hidden_note(hidden)] if hidden and output == "wide" else []
    for note in notes:
        notice(note)
