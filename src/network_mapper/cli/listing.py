"""What commands ask their source for, and how a list is rendered: the same for `list` and for `list --watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from network_mapper.cli.console import colours, state

if TYPE_CHECKING:
    from network_mapper.cli.sources.base import MapQuery
    from network_mapper.export.groups import GroupBy
    from network_mapper.export.selection import Selection
    from network_mapper.model import Edge
    from network_mapper.wire.api import MapDocument


def query_of(selection: Selection, by: GroupBy | None = None, output: str = "text") -> MapQuery:
    """What to ask the source for, at this moment. A document of everything may be kept, so it holds labels too."""
    from network_mapper.cli.sources.base import MapQuery  # noqa: PLC0415  --help needs no HTTP client

    start = max(1, int(time.time() * 1000) - selection.since) if selection.since else 0
    keys = (*selection.label_keys, *([by.label] if by and by.label else ()))
    kept = selection.everything and by is None and output in ("json", "yaml")
    return MapQuery(selection.namespaces, start, bool(keys) or kept, keys)


def render(answer: MapDocument, edges: list[Edge], selection: Selection, output: str, by: GroupBy | None) -> str:
    """Those `edges` of an answer that were chosen, in one of the formats."""
    if by is not None:
        return _groups(answer, edges, selection, output, by)
    if output in ("json", "yaml"):
        from network_mapper.export import document, encode  # noqa: PLC0415  one format is loaded, not all
        from network_mapper.export.selection import hidden  # noqa: PLC0415  likewise

        built = document.build(answer, edges, hidden(answer, selection))
        return encode.to_json(built) if output == "json" else encode.to_yaml(built)
    tags = None
    if selection.distinct_by_label:
        from network_mapper.export.selection import client_tags  # noqa: PLC0415  likewise

        tags = client_tags(answer, selection.distinct_by_label)
    if output == "text":
        from network_mapper.export import text  # noqa: PLC0415  likewise

        return text.render(edges, tags=tags, colour=colours())
    from network_mapper.export import wide  # noqa: PLC0415  likewise

    return wide.render(
        edges, answer.generated_at, headers=state().headers, columns=_columns(), tags=tags, colour=colours()
    )


def _groups(answer: MapDocument, edges: list[Edge], selection: Selection, output: str, by: GroupBy) -> str:
    from network_mapper.export import groups  # noqa: PLC0415  for those who ask for groups

    folded = groups.fold(answer, edges, by)
    if output == "text":
        return groups.render(folded, by, colour=colours())
    if output == "wide":
        return groups.render_wide(
            folded, by, answer.generated_at, headers=state().headers, columns=_columns(), colour=colours()
        )
    from network_mapper.export import encode  # noqa: PLC0415  likewise
    from network_mapper.export.selection import hidden  # noqa: PLC0415  likewise

    built = groups.build(answer, folded, by, hidden(answer, selection))
    return encode.to_json(built) if output == "json" else encode.to_yaml(built)


def _columns() -> int:
    """Of the terminal; 0 where the output goes elsewhere and no line is too long."""
    import shutil  # noqa: PLC0415  for tables alone
    import sys  # noqa: PLC0415  likewise

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
