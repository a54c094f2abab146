"""`network-mapper list`: who calls whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, option, output_option
from network_mapper.cli.console import notice
from network_mapper.cli.listing import query_of, render
from network_mapper.cli.options import connection_options, selection_options

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import Connection, MapSource
    from network_mapper.export.groups import GroupBy
    from network_mapper.export.selection import Selection
    from network_mapper.wire.api import MapDocument

_EXAMPLES = [
    ("list", "everything that was seen"),
    ("list -n shop,db", "only clients in the namespaces shop and db"),
    ("list --to redis.shop", "who calls redis"),
    ("list --since 15m -o wide", "the last quarter of an hour, with ports and counts"),
    ("list --group-by namespace", "which namespace calls which"),
    ("list --watch", "the list, and then what is new, as it appears"),
    ("list -o json | jq '.edges[] | {client, server, connections}'", "for a program"),
    ("list --all", "also cluster DNS, nodes and outside addresses as clients"),
]
_INTERVAL = 2_000
"""Milliseconds between two questions of --watch."""
_SHORTEST_INTERVAL = 100
"""Shorter ones only keep the mapper busy."""


def _group_by(_: click.Context, __: click.Parameter, value: str | None) -> GroupBy | None:
    if not value:
        return None
    from network_mapper.export.groups import GroupBy  # noqa: PLC0415  for those who ask for groups
    from network_mapper.export.selection import SelectionError  # noqa: PLC0415  likewise

    try:
        return GroupBy.of(value)
    except SelectionError as error:
        raise click.BadParameter(str(error)) from None


def _interval(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from network_mapper.cli import duration  # noqa: PLC0415  --help needs none

    span = duration.option_callback(ctx, parameter, value)
    if span is not None and span < _SHORTEST_INTERVAL:
        raise click.BadParameter(f"the mapper is asked no more often than every {_SHORTEST_INTERVAL}ms, not {value}")
    return span


@click.command(cls=Command, examples=_EXAMPLES)
@output_option("text", "json", "yaml", "wide")
@option(
    "--group-by",
    "by",
    metavar="namespace|label=KEY",
    callback=_group_by,
    help="Fold workloads to namespaces, or to the values of a label.",
)
@option(
    "-w",
    "--watch",
    is_flag=False,
    flag_value=f"{_INTERVAL // 1000}s",
    metavar="[SPAN]",
    callback=_interval,
    help=f"Then print what is new, as it appears; asks every {_INTERVAL // 1000}s. With -o json one document a line.",
)
@option("--watch-only", is_flag=True, help="Watch without printing first what the map holds already.")
@selection_options
@connection_options
def command(
    *,
    output: str,
    by: GroupBy | None,
    watch: int | None,
    watch_only: bool,
    selection: Selection,
    connection: Connection,
) -> None:
    """Show who calls whom.

    One block per client, with the servers that it calls, and under a server the paths, topics and cloud actions that
    were asked for, where a watcher told of them. A server in the client's own namespace stands by its bare name. Where
    no answer was seen, the line says what was: "DNS lookup only" or "attempted, never answered".

    Cluster DNS, this program's own traffic, and clients that are nodes or outside the cluster, are hidden unless --all
    is given. An empty list says on stderr why it is empty, and is no failure (exit code 0); a mapper that cannot be
    asked is one (exit code 1).
    """
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  --help needs no HTTP client
    from network_mapper.export.selection import choose  # noqa: PLC0415  likewise

    if by is not None and selection.distinct_by_label:
        raise click.UsageError(
            "--distinct-by-label tells workloads apart that --group-by folds; to fold by a label: --group-by "
            f"label={selection.distinct_by_label}"
        )
    if watch is not None or watch_only:
        _refuse_with_watch(output, by, connection)
        from network_mapper.cli.watch import Watch  # noqa: PLC0415  for those who watch

        Watch(connection, selection, watch or _INTERVAL, as_json=output == "json", only_new=watch_only).run()
        return
    with open_source(connection) as source:
        answer = source.map(query_of(selection, by, output))
        edges = choose(answer, selection)
        click.echo(render(answer, edges, selection, output, by), nl=False)
        notes = _notes(source, answer, selection, by, shown=len(edges), wide=output == "wide")
    for note in notes:
        notice(note)


def _notes(
    source: MapSource, answer: MapDocument, selection: Selection, by: GroupBy | None, *, shown: int, wide: bool
) -> list[str]:
    """What a person should know beside the list of so many edges."""
    from network_mapper.export.selection import Selection, hidden  # noqa: PLC0415  --help needs no model

    key = by.label if by else ""
    filtered = bool(key) or selection != Selection(everything=selection.everything)
    if shown and not filtered and not wide:
        return []
    from network_mapper.cli import empty  # noqa: PLC0415  in these cases only

    if not shown:
        return empty.explain(source, answer, selection, key)
    notes = empty.unmatched(source, answer, selection, key) if filtered else []
    routine = hidden(answer, selection) if wide else 0
    return [*notes, empty.hidden_note(routine)] if routine else notes


def _refuse_with_watch(output: str, by: GroupBy | None, connection: Connection) -> None:
    """What cannot be told line by line, or does not change, cannot be watched."""
    if output in ("yaml", "wide"):
        raise click.UsageError(f"--watch prints text, or JSON Lines with -o json, and no {output}")
    if by is not None:
        raise click.UsageError("--watch tells of single edges as they appear and cannot be used with --group-by")
    if connection.file:
        raise click.UsageError("--watch needs a mapper; a file of --map-file does not change")
