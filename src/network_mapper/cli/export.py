"""`network-mapper export`: the map as ClientIntents, or for tools of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, option
from network_mapper.cli.console import notice, state, warn
from network_mapper.cli.options import connection_options, selection_options
from network_mapper.export.clientintents.versions import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from network_mapper.cli.sources.base import Connection
    from network_mapper.export.clientintents.convert import Converted, Left
    from network_mapper.export.clientintents.model import Document
    from network_mapper.export.selection import Selection
    from network_mapper.model import Edge
    from network_mapper.wire.api import MapDocument

_EXAMPLES = [
    ("export", "ClientIntents of the whole map, as YAML"),
    ("export -n shop,db -o intents.yaml", "clients of two namespaces, in a file"),
    ("export --output-type dir -o intents/", "a file for each client"),
    ("export --output-version v1 --format json | jq '.[].metadata.name'", "the older resource, as JSON"),
    ("export --connected-only --since 7d --include-internet", "what was connected to in a week, the Internet included"),
    ("export --format csv -o map.csv", "a row per edge, for a spreadsheet"),
    ("export --format json-graph | jq '.graph.nodes | keys'", "for libraries that read graphs"),
]
_INTENTS = ("yaml", "json")
_SINGLE, _DIR = "single-file", "dir"
_SHOWN = 5


@click.command(cls=Command, examples=_EXAMPLES)
@option(
    "--format",
    "format_",
    type=click.Choice([*_INTENTS, "csv", "json-graph"]),
    default="yaml",
    show_default=True,
    help="ClientIntents as YAML or JSON; a row per edge; or the JSON Graph Format.",
)
@option(
    "-o",
    "--output",
    default="",
    metavar="PATH",
    help="File to write to, or the folder of --output-type dir; else, and with -, the standard output.",
)
@option(
    "--output-type",
    type=click.Choice([_SINGLE, _DIR]),
    default=None,
    help=f"One file, or a folder with a file for each client; {_SINGLE} by default.",
)
@option(
    "--output-version",
    type=click.Choice(list(VERSIONS)),
    default=None,
    help="Version of ClientIntents: v2 is v2beta1, the default, and v1 is v1alpha3.",
)
@option("--force", is_flag=True, help="Replace any file; else only those of an earlier export.")
@option(
    "--connected-only", is_flag=True, help="Without servers that were only looked up in DNS and not seen connected to."
)
@option("--include-attempted", is_flag=True, help="Also servers that never answered.")
@option("--include-internet", is_flag=True, help="ClientIntents also name what lies outside the cluster.")
@selection_options
@connection_options
def command(  # noqa: PLR0917  click passes them by name
    format_: str,
    output: str,
    output_type: str | None,
    output_version: str | None,
    force: bool,
    connected_only: bool,
    include_attempted: bool,
    include_internet: bool,
    selection: Selection,
    connection: Connection,
) -> None:
    """Write the map as ClientIntents, or for tools of your own.

    ClientIntents are the resources of the Otterize intents operator: each says what one workload calls. Edges that were
    only attempted stay out unless --include-attempted is given, and so do the Internet, nodes, and ends of which more
    than one workload is possible.

    Files appear whole or not at all. Files of an earlier export are replaced; others only with --force.
    """
    from network_mapper.cli import empty  # noqa: PLC0415  --help needs no HTTP client
    from network_mapper.cli.listing import query_of  # noqa: PLC0415  likewise
    from network_mapper.cli.progress import progress  # noqa: PLC0415  likewise
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  likewise
    from network_mapper.export import evidence  # noqa: PLC0415  likewise
    from network_mapper.export.selection import Selection, choose  # noqa: PLC0415  likewise

    _check_flags(format_, output, output_type, output_version, selection)
    target = _Target(format_, output, is_folder=output_type == _DIR, force=force)
    with progress("reading the map"), open_source(connection) as source:
        answer = source.map(query_of(selection))
        edges = choose(answer, selection)
        notes = []
        if not edges:
            notes = empty.explain(source, answer, selection)
        elif selection != Selection(everything=selection.everything):
            notes = empty.unmatched(source, answer, selection)
    found = evidence.choose(edges, attempted=include_attempted, lookups=not connected_only)
    left = _Left(found.attempted, found.lookups)
    if format_ in _INTENTS:
        version = VERSIONS[output_version or "v2"]
        converted = _convert(found.edges, answer, version, selection, include_internet)
        left.add(converted.left)
        _write_intents(target, converted.documents, version)
        is_empty = not converted.documents
    else:
        target.write(_table(format_, answer, found.edges))
        is_empty = not found.edges
    if is_empty and edges:
        notes.insert(0, empty.NOTHING)
    for note in [*notes, *left.notes(), *target.notes]:
        notice(note)
    for warning in [*left.warnings(), *target.warnings]:
        warn(warning)


def _check_flags(
    format_: str, output: str, output_type: str | None, output_version: str | None, selection: Selection
) -> None:
    if output_type and not output:
        raise click.UsageError("flag --output-type requires --output to specify output path")
    if output_type == _DIR and output == "-":
        raise click.UsageError("--output-type dir writes several files, so --output must name a folder, not -")
    if format_ in _INTENTS:
        return
    if output_type == _DIR:
        raise click.UsageError(f"--output-type dir is for ClientIntents; --format {format_} is one file")
    if output_version:
        raise click.UsageError(f"--output-version is for ClientIntents; --format {format_} has no versions")
    if selection.distinct_by_label:
        raise click.UsageError(f"--distinct-by-label is for ClientIntents; --format {format_} shows every workload")


def _convert(
    edges: list[Edge], answer: MapDocument, version: str, selection: Selection, include_internet: bool
) -> Converted:
    from network_mapper.export.clientintents.convert import Options, convert  # noqa: PLC0415  one format is loaded
    from network_mapper.export.selection import label_values  # noqa: PLC0415  likewise

    key = selection.distinct_by_label
    labels = label_values(answer, key) if key else None
    return convert(edges, Options(include_internet, azure_actions=version != "v1alpha3", labels=labels))


def _write_intents(target: _Target, documents: Sequence[Document], version: str) -> None:
    from network_mapper.cli.outputs import file_name  # noqa: PLC0415  as above
    from network_mapper.export.clientintents import write  # noqa: PLC0415  as above

    text = write.to_yaml if target.format == "yaml" else write.to_json
    if not target.is_folder:
        target.write(text(documents, version), end=b"\n")
        return
    target.write_folder(
        {
            file_name(f"{document.name}.{document.namespace}".rstrip("."), f".{target.format}"): text(
                [document], version
            )
            for document in documents
        }
    )


def _table(format_: str, answer: MapDocument, edges: list[Edge]) -> bytes:
    if format_ == "csv":
        from network_mapper.export.table_csv import to_csv  # noqa: PLC0415  as above

        return to_csv(edges, header=state().headers)
    from network_mapper.export.json_graph import to_json_graph  # noqa: PLC0415  as above

    return to_json_graph(answer, edges)


class _Target:
    """Where the export goes. That it can go there is seen before the mapper is asked.

    Attributes:
        notes: What to say when it is written.
        warnings: What is wrong there.

    Raises:
        CliError: It cannot go there; from every method.
    """

    def __init__(self, format_: str, output: str, *, is_folder: bool, force: bool) -> None:
        from network_mapper.cli import outputs  # noqa: PLC0415  --help writes nothing

        self.format = format_
        self.is_folder = is_folder
        self._path = None
        if output not in {"", outputs.STDOUT}:
            self._path = Path(output) if is_folder else outputs.file_path(output)
        self._force = force
        self.notes: list[str] = []
        self.warnings: list[str] = []
        if self._path is None:
            return
        self.notes = [f"Successfully wrote {'intents' if format_ in _INTENTS else 'edges'} into {self._path}"]
        if is_folder:
            outputs.check_folder(self._path)
        else:
            outputs.check(self._path, force=force, ours=self._ours())

    def _ours(self) -> Callable[[bytes], bool]:
        match self.format:
            case "csv":
                from network_mapper.export.table_csv import is_earlier  # noqa: PLC0415  one format is loaded
            case "json-graph":
                from network_mapper.export.json_graph import is_earlier  # noqa: PLC0415  likewise
            case _:
                from network_mapper.export.clientintents.write import is_earlier  # noqa: PLC0415  likewise
        return is_earlier

    def write(self, content: bytes, end: bytes = b"") -> None:
        """Write the one file; `end` follows on the standard output only."""
        from network_mapper.cli import outputs  # noqa: PLC0415  as above

        if self._path is None:
            outputs.write_stdout(content + end)
        else:
            outputs.write_file(self._path, content, force=self._force, ours=self._ours())

    def write_folder(self, files: dict[str, bytes]) -> None:
        """Write a file for each client, and see what an earlier export has left."""
        from network_mapper.cli import outputs  # noqa: PLC0415  as above

        assert self._path is not None
        stale = outputs.write_folder(self._path, files, force=self._force, ours=self._ours())
        if stale:
            more = f" and {len(stale) - _SHOWN} more" if len(stale) > _SHOWN else ""
            names = ", ".join(stale[:_SHOWN]) + more
            self.warnings.append(
                f"{self._path} also holds what an earlier export wrote: {names}. Remove what is no longer of use."
            )


class _Left:
    """What was left out, and why."""

    def __init__(self, attempted: int, lookups: int) -> None:
        self._reasons = {"only attempted (--include-attempted)": attempted, "only looked up": lookups}
        self._left: Left | None = None

    def add(self, left: Left) -> None:
        """Add what has no place in ClientIntents."""
        self._left = left
        self._reasons |= {
            "out of the cluster (--include-internet)": left.internet,
            "from nodes, from outside the cluster, or from one of several workloads": left.clients,
            "to nodes or to one of several workloads": left.servers,
        }

    def notes(self) -> list[str]:
        """What is as it should be."""
        reasons = "; ".join(f"{count} {reason}" for reason, count in self._reasons.items() if count)
        return [f"Edges left out: {reasons}."] if reasons else []

    def warnings(self) -> list[str]:
        """What is not."""
        left = self._left
        if left is None:
            return []
        lines = []
        if left.nameless:
            lines.append(f"{_edges(left.nameless)} left out: an end has no name, or a namespace that cannot exist.")
        if left.azure:
            lines.append(
                f"{_edges(left.azure)} left out: v1alpha3 has no place for what is done in Azure, v2beta1 has."
            )
        for words, what, where in ((left.methods, "HTTP methods", "paths"), (left.operations, "operations", "topics")):
            if words:
                named = ", ".join(ascii(word) for word in sorted(words)[:_SHOWN])
                more = ", …" if len(words) > _SHOWN else ""
                times = sum(words.values())
                lines.append(
                    f"ClientIntents do not know the {what} {named}{more}; they are left out of "
                    f"{times} {where.removesuffix('s') if times == 1 else where}."
                )
        return lines


def _edges(count: int) -> str:
    return "1 edge is" if count == 1 else f"{count} edges are"
