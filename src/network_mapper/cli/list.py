"""`network-mapper list`: who calls whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from network_mapper.cli import duration
from network_mapper.cli.command import Command, debug_option, mapper_url_option, output_option

if TYPE_CHECKING:
    from network_mapper.cli.source import MapSource
    from network_mapper.model import Edge
    from network_mapper.wire.api import MapDocument

_EXAMPLES = [
    ("list", "everything that was seen"),
    ("list -n shop,db", "only clients in the namespaces shop and db"),
    ("list --since 15m -o wide", "the last quarter of an hour, with ports and counts"),
    ("list -o json | jq '.edges[] | {client, server, connections}'", "for a program"),
    ("list --all", "also cluster DNS, nodes and outside addresses as clients"),
]


def _names(values: tuple[str, ...]) -> list[str]:
    """`-n a,b -n c` as one list without repetitions."""
    pieces = (piece.strip() for value in values for piece in value.split(","))
    return list(dict.fromkeys(piece for piece in pieces if piece))


def _hidden_note(hidden: int) -> str:
    edges = "1 edge is" if hidden == 1 else f"{hidden} edges are"
    return f"{edges} hidden (cluster DNS, clients that are nodes or outside the cluster); --all shows them."


def _why_nothing(source: MapSource, answer: MapDocument, namespaces: list[str]) -> list[str]:
    """Sentences for a person who expected a list."""
    from network_mapper.cli import empty  # noqa: PLC0415  needed in this case only
    from network_mapper.export.labels import namespace_of  # noqa: PLC0415  likewise

    if answer.edges:
        return [_hidden_note(len(answer.edges))]
    status = source.status()
    if not status.edges:
        return empty.explain(status, source.url)
    if namespaces:
        everywhere = source.map(since=answer.since).edges
        if everywhere:
            existing = sorted({namespace_of(edge.client) for edge in everywhere} - {""})
            return empty.explain_filter(namespaces, existing)
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
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME[,NAME]",
    envvar="NETWORK_MAPPER_NAMESPACE",
    help="Only clients in this namespace; may be repeated.",
)
@output_option("text", "json", "yaml", "wide")
@click.option(
    "--since",
    metavar="SPAN",
    callback=duration.option_callback,
    help="Only what was seen in the last 90s, 15m, 1h30m, 2d.",
)
@click.option(
    "-a",
    "--all",
    "everything",
    is_flag=True,
    help="Also cluster DNS, and clients that are nodes or outside the cluster.",
)
@mapper_url_option
@debug_option
def command(namespaces: tuple[str, ...], output: str, since: int | None, everything: bool, mapper_url: str) -> None:
    """Show who calls whom.

    One block per client, with the servers that it calls. A server in the client's own namespace stands by its bare
    name. Where no connection was seen, the line says what was: "DNS lookup only" or "attempted, never answered".

    Cluster DNS, and clients that are nodes or outside the cluster, are hidden unless --all is given.
    An empty list says on stderr why it is empty.
    """
    from network_mapper.cli.source import MapSource  # noqa: PLC0415  --help needs no HTTP client
    from network_mapper.export.pairs import is_routine  # noqa: PLC0415  likewise

    asked = _names(namespaces)
    start = max(1, int(time.time() * 1000) - since) if since else 0
    with MapSource(mapper_url) as source:
        answer = source.map(asked, start)
        edges = answer.edges if everything else [edge for edge in answer.edges if not is_routine(edge)]
        click.echo(_render(answer, edges, output), nl=False)
        hidden = len(answer.edges) - len(edges)
        if not edges:
            notes = _why_nothing(source, answer, asked)
        else:
            notes = [_hidden_note(hidden)] if hidden and output == "wide" else []
    for note in notes:
        click.echo(note, err=True)
