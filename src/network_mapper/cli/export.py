"""`network-mapper export`: the map as ClientIntents, or for tools of one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, notice, option, warn
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
    from network_mapper.cli.sources.base import MapQuery  # noqa: PLC0415  --help needs no HTTP client
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  likewise
    from network_mapper.export import evidence  # noqa: PLC0415  likewise
    from network_mapper.export.selection import choose  # noqa: PLC0415  likewise

    _check_flags(format_, output, output_type, output_version, selection)
    target = _Target(format_, output, is_folder=output_type == _DIR, force=force)
    start = max(1, int(time.time() * 1000) - selection.since) if selection.since else 0
    with open_source(connection) as source:
        answer = source.map(MapQuery(selection.namespaces, start, selection.needs_labels))
    found = evidence.choose(choose(answer, selection), attempted=include_attempted, lookups=not connected_only)
    notes = _Notes(found.attempted)
    if format_ in _INTENTS:
        version = VERSIONS[output_version or "v2"]
        converted = _convert(found.edges, answer, version, selection, include_internet)
        notes.add(converted.left)
        _write_intents(target, converted.documents, version)
        empty = not converted.documents
    else:
        target.write(_table(format_, answer, found.edges))
        empty = not found.edges
    notes.tell(empty)


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

    label_of = None
    if selection.distinct_by_label:
        from network_mapper.model import Workload  # noqa: PLC0415  likewise

        values = {
            Workload(row.name, row.namespace, row.kind): row.labels.get(selection.distinct_by_label)
            for row in answer.workloads
        }
        label_of = values.get
    return convert(edges, Options(include_internet, azure_actions=version != "v1alpha3", label_of=label_of))


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

        return to_csv(edges)
    from network_mapper.export.json_graph import to_json_graph  # noqa: PLC0415  as above

    return to_json_graph(answer, edges)


class _Target:
    """Where the export goes. That it can go there is seen before the mapper is asked.

    Raises:
        CliError: It cannot.
    """

    def __init__(self, format_: str, output: str, *, is_folder: bool, force: bool) -> None:
        from network_mapper.cli import outputs  # noqa: PLC0415  --help writes nothing

        self.format = format_
        self.is_folder = is_folder
        self._path = None if output in {"", outputs.STDOUT} else Path(output)
        self._force = force
        if self._path is None:
            return
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
            return
        outputs.write_file(self._path, content, force=self._force, ours=self._ours())
        what = "intents" if self.format in _INTENTS else "edges"
        notice(f"Successfully wrote {what} into {self._path}")

    def write_folder(self, files: dict[str, bytes]) -> None:
        """Write a file for each client, and tell of those that an earlier export has left."""
        from network_mapper.cli import outputs  # noqa: PLC0415  as above

        assert self._path is not None
        stale = outputs.write_folder(self._path, files, force=self._force, ours=self._ours())
        notice(f"Successfully wrote intents into {self._path}")
        if stale:
            more = f" and {len(stale) - _SHOWN} more" if len(stale) > _SHOWN else ""
            warn(
                f"{self._path} also holds what an earlier export wrote: {', '.join(stale[:_SHOWN])}{more}. "
                "Remove what is no longer of use."
            )


def _edges(count: int) -> str:
    return "1 edge is" if count == 1 else f"{count} edges are"


class _Notes:
    """What was left out, told in one remark, and what is wrong with it, in warnings."""

    def __init__(self, attempted: int) -> None:
        self._reasons = []
        self._warnings: list[str] = []
        if attempted:
            self._reasons.append(f"{attempted} only attempted (--include-attempted)")

    def add(self, left: Left) -> None:
        """Add what has no place in ClientIntents."""
        reasons = {
            "out of the cluster (--include-internet)": left.internet,
            "from nodes, from outside the cluster, or from one of several workloads": left.clients,
            "to nodes or to one of several workloads": left.servers,
        }
        self._reasons += [f"{count} {reason}" for reason, count in reasons.items() if count]
        if left.nameless:
            self._warnings.append(
                f"{_edges(left.nameless)} left out: an end has no name, or a namespace that no cluster can have."
            )
        if left.azure:
            self._warnings.append(
                f"v1alpha3 has no place for actions in Azure, so {_edges(left.azure)} left out; "
                "--output-version v2 has one."
            )
        for words, what, where in ((left.methods, "HTTP methods", "paths"), (left.operations, "operations", "topics")):
            if words:
                named = ", ".join(f"{word!a}" for word in sorted(words)[:_SHOWN])
                self._warnings.append(
                    f"ClientIntents do not know the {what} {named}{', …' if len(words) > _SHOWN else ''}; "
                    f"they are left out of {sum(words.values())} {where}."
                )

    def tell(self, empty: bool) -> None:
        """Tell it on stderr."""
        if empty:
            notice("No connections found.")
        if self._reasons:
            notice(f"Edges left out: {'; '.join(self._reasons)}.")
        elif empty:
            notice("'network-mapper list' with the same options says why.")
        for warning in self._warnings:
            warn(warning)
