"""`network-mapper visualize`: the map as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from network_mapper.cli.command import Command, option
from network_mapper.cli.console import notice, warn
from network_mapper.cli.options import connection_options, names, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.cli.sources.base import Connection
    from network_mapper.export.picture.graph import Graph
    from network_mapper.export.picture.scene import Scene
    from network_mapper.export.selection import Selection
    from network_mapper.model import Edge
    from network_mapper.wire.api import MapDocument

FORMATS = ("svg", "png", "pdf", "jpg", "jpeg", "dot", "mermaid", "html")
_ENDINGS = {"gv": "dot", "mmd": "mermaid", "htm": "html"}
_DEFAULT = "png"
_TITLE = "Network map"
_TEXTS = ("dot", "mermaid", "html")
"""Formats that are not laid out here."""
_PIXELS = ("png", "jpg", "jpeg")
_EXTRA = "network-mapper[pictures]"

_EXAMPLES = [
    ("visualize -o map.svg", "the whole map, as a drawing that scales"),
    ("visualize -n shop -o shop.png", "what the namespace shop calls"),
    ("visualize --focus checkout.shop -o checkout.png", "one workload, who calls it and whom it calls"),
    ("visualize -o map.html", "a page to search and unfold the map in a browser"),
    ("visualize --format mermaid -o - >> README.md", "a diagram for Markdown, on the standard output"),
    ("visualize --format dot -o - | dot -Tsvg > map.svg", "drawn by Graphviz"),
]


class _Wanted(NamedTuple):
    """How the picture shall look."""

    format: str
    title: str
    theme: str
    fold: str
    engine: str
    scale: float


def _format(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    lower = value.lower()
    found = _ENDINGS.get(lower, lower)
    if found not in FORMATS:
        raise click.UsageError(f"unsupported format: {value}. There are {', '.join(FORMATS)}")
    return found


def _format_of(path: str) -> str:
    """The format that a file's ending stands for."""
    ending = Path(path).suffix.lstrip(".").lower()
    return _ENDINGS.get(ending, ending) if _ENDINGS.get(ending, ending) in FORMATS else _DEFAULT


@click.command(cls=Command, examples=_EXAMPLES)
@option(
    "-o",
    "--output-path",
    "--output",
    "path",
    required=True,
    metavar="PATH",
    help="File to write to; - for the standard output.",
)
@option(
    "--format",
    "format_",
    metavar="FORMAT",
    callback=_format,
    help=f"One of {', '.join(FORMATS)}; else that of the file's ending, else {_DEFAULT}.",
)
@option("--title", default="", metavar="TEXT", help="What stands above the picture.")
@option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True, help="Its colours.")
@option(
    "--focus",
    multiple=True,
    metavar="NAME[,NAME]",
    help="Only these workloads, who calls them and whom they call: a name, NAME.NAMESPACE or NAMESPACE/NAME.",
)
@option(
    "--fold",
    type=click.Choice(["auto", "never", "always"]),
    default="auto",
    show_default=True,
    help="Fold workloads to namespaces: where there are many of them, never, or always.",
)
@option(
    "--engine",
    type=click.Choice(["auto", "builtin", "dot"]),
    default="auto",
    show_default=True,
    help="What lays out an unfolded map: this program, or Graphviz, which auto uses for large ones where it is found.",
)
@option(
    "--scale",
    type=click.FloatRange(0.1, 8),
    metavar="NUMBER",
    default=2.0,
    show_default=True,
    help="Pixels of PNG and JPG for each of the picture's.",
)
@option("--force", is_flag=True, help="Replace any file; else only those of an earlier run.")
@selection_options
@connection_options
def command(  # noqa: PLR0917  click passes them by name
    path: str,
    format_: str | None,
    title: str,
    theme: str,
    focus: tuple[str, ...],
    fold: str,
    engine: str,
    scale: float,
    force: bool,
    selection: Selection,
    connection: Connection,
) -> None:
    """Draw the map: SVG, PNG, PDF, DOT, Mermaid, or a page to explore it.

    A map of up to some twenty workloads is drawn whole: a frame for each namespace, an arrow for each pair that talks.
    A larger one is folded: a tile for each namespace with the names of its workloads, and arrows or a table with the
    numbers of pairs between them. Nothing is left out; the SVG names the pairs where the pointer rests.

    SVG, PNG, DOT, Mermaid and HTML need nothing else. PDF and JPG need the extra "pictures".
    """
    from network_mapper.cli import empty, outputs  # noqa: PLC0415  --help draws nothing
    from network_mapper.cli.listing import query_of  # noqa: PLC0415  likewise
    from network_mapper.cli.progress import progress  # noqa: PLC0415  likewise
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  likewise
    from network_mapper.export.selection import Selection, choose  # noqa: PLC0415  likewise

    wanted = _Wanted(format_ or _format_of(path), title, theme, fold, engine, scale)
    _check_sense(wanted)
    target = None if path == outputs.STDOUT else outputs.file_path(path)
    if target is not None:
        outputs.check(target, force=force, ours=_is_earlier)
    _check_extra(wanted.format)
    with progress("reading the map") as line, open_source(connection) as source:
        answer = source.map(query_of(selection))
        edges = choose(answer, selection)
        notes: list[str] = []
        if not edges:
            notes = empty.explain(source, answer, selection)
        elif selection != Selection(everything=selection.everything):
            notes = empty.unmatched(source, answer, selection)
        if focus:
            edges, missing = _focussed(edges, names(focus))
            notes += missing
        line.update("drawing the picture")
        content, warnings = _draw(answer, edges, selection, wanted, notes)
    if target is None:
        outputs.write_stdout(content)
    else:
        outputs.write_file(target, content, force=force, ours=_is_earlier)
    for note in notes:
        notice(note)
    for warning in warnings:
        warn(warning)
    if target is not None:
        notice(f"Exported graph as {wanted.format} format to path {path}")


def _focussed(edges: list[Edge], wanted: Sequence[str]) -> tuple[list[Edge], list[str]]:
    """The edges of which one end bears such a name, and what to say when there is none."""
    from network_mapper.export.labels import clean  # noqa: PLC0415  for those who ask for it
    from network_mapper.export.selection import matches  # noqa: PLC0415  likewise

    found = [edge for edge in edges if matches(edge.client, wanted) or matches(edge.server, wanted)]
    if found or not edges:
        return found, []
    return [], [f"Nothing in this map is called {' or '.join(clean(name) for name in wanted)} (--focus)."]


def _draw(
    answer: MapDocument, edges: list[Edge], selection: Selection, wanted: _Wanted, notes: Sequence[str]
) -> tuple[bytes, list[str]]:
    """The content of the file, and what is wrong with it."""
    if wanted.format == "html":
        from network_mapper.export.page import render as render_page  # noqa: PLC0415  one format is loaded, not all

        return render_page(answer, edges, title=wanted.title).encode(), []
    from network_mapper.export.picture import graph  # noqa: PLC0415  likewise
    from network_mapper.export.selection import client_tags  # noqa: PLC0415  likewise

    key = selection.distinct_by_label
    drawn = graph.build(edges, client_tags(answer, key) if key else None)
    if wanted.format in _TEXTS:
        return _text(drawn, wanted)
    return _picture(drawn, wanted, answer.generated_at, notes)


def _text(drawn: Graph, wanted: _Wanted) -> tuple[bytes, list[str]]:
    if wanted.format == "dot":
        from network_mapper.export.picture import dot  # noqa: PLC0415  one format is loaded, not all

        return dot.render(drawn, wanted.title).encode(), []
    from network_mapper.export.picture import mermaid  # noqa: PLC0415  likewise

    text = mermaid.render(drawn, wanted.title)
    reason = mermaid.too_large(drawn, text)
    advice = "Draw a part of the map (-n, --focus), or use another format."
    return text.encode(), [f"a renderer may refuse this diagram: {reason}. {advice}"] if reason else []


def _picture(drawn: Graph, wanted: _Wanted, seen: int, notes: Sequence[str]) -> tuple[bytes, list[str]]:
    from network_mapper.cli.errors import CliError  # noqa: PLC0415  --help draws nothing
    from network_mapper.export.picture.draw import Engine, Fold, Options, scene  # noqa: PLC0415  likewise
    from network_mapper.export.picture.graphviz import LayoutError  # noqa: PLC0415  likewise
    from network_mapper.export.picture.scene import THEMES  # noqa: PLC0415  likewise

    options = Options(wanted.title or _TITLE, Fold(wanted.fold), Engine(wanted.engine), seen)
    try:
        made = scene(drawn, options, " ".join(notes))
    except LayoutError as error:
        raise CliError(f"{error}. {_advice(wanted)}") from error
    theme = THEMES[wanted.theme]
    match wanted.format:
        case "svg":
            from network_mapper.export.picture import svg  # noqa: PLC0415  one format is loaded, not all

            return svg.render(made, theme).encode(), []
        case "pdf":
            from network_mapper.export.picture import pdf  # noqa: PLC0415  likewise

            return pdf.render(made, theme), []
    return _pixels(made, theme, wanted)


def _pixels(made: Scene, theme: Any, wanted: _Wanted) -> tuple[bytes, list[str]]:
    from network_mapper.export.picture import raster  # noqa: PLC0415  one format is loaded, not all

    scale = raster.fitting_scale(made, wanted.scale)
    warnings = []
    if scale < wanted.scale:
        warnings.append(
            f"the picture is {made.width:,.0f} x {made.height:,.0f} pixels large and was drawn at scale {scale:.2f} "
            f"instead of {wanted.scale:g}. An SVG has no such limit; -n and --focus draw a part."
        )
    draw = raster.png if wanted.format == "png" else raster.jpeg
    return draw(made, theme, scale), warnings


def _advice(wanted: _Wanted) -> str:
    if wanted.engine == "dot":
        return "Leave out --engine dot, or draw a part of the map (-n, --focus)."
    return "Leave out --fold never, or draw a part of the map (-n, --focus)."


def _check_sense(wanted: _Wanted) -> None:
    """Refuse what was typed and would change nothing."""
    typed = click.get_current_context().get_parameter_source("scale") is ParameterSource.COMMANDLINE
    if typed and wanted.format not in _PIXELS:
        raise click.UsageError(f"--scale is for PNG and JPG; {wanted.format} has no pixels")
    if wanted.engine == "dot" and wanted.fold == "always":
        raise click.UsageError(
            "--engine dot lays out an unfolded map, and --fold always folds it; leave one of them out"
        )


def _check_extra(format_: str) -> None:
    """Say before the mapper is asked that a library is missing."""
    import importlib.util  # noqa: PLC0415  --help draws nothing

    from network_mapper.cli.errors import CliError  # noqa: PLC0415  likewise

    needs = {"pdf": "reportlab", "jpg": "PIL", "jpeg": "PIL"}.get(format_)
    if needs and importlib.util.find_spec(needs) is None:
        raise CliError(
            f"{format_} needs a library that is not installed. Install it with: pip install '{_EXTRA}' "
            "(svg and png need none)"
        )
    if format_ in _PIXELS and importlib.util.find_spec("resvg_py") is None:
        raise CliError(
            f"{format_} needs the library resvg-py, which has no build for this machine. Use svg, or install it with: "
            "pip install resvg-py"
        )


def _is_earlier(head: bytes) -> bool:
    """Whether a file that begins so was drawn by this command."""
    from network_mapper.export.picture import MADE_BY  # noqa: PLC0415  --help draws nothing

    return MADE_BY.encode() in head
