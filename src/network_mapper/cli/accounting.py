"""The balance sheet as a table: what came to each hop, and what became of it.

The hops of the sniffers are added up, for a cluster has many nodes; with `-o json` every node's stand by themselves. A
line that does not add up is marked, since that would be a fault of ours and not a loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cli.console import state
from network_mapper.cli.empty import describe_drop
from network_mapper.export import completeness, table
from network_mapper.export.labels import clean
from network_mapper.model import Hop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.wire.api import HopRow, Status

_HEADER = ("HOP", "COUNTED", "SEEN", "PASSED ON", "HELD", "DROPPED", "")
_ORDER = {str(hop): number for number, hop in enumerate(Hop)}
_RIGHT = frozenset({2, 3, 4, 5})


def sheet(status: Status) -> str:
    """The sheet, what was dropped and why, and how complete the map is; as lines of text."""
    if not status.accounting:
        return f"The mapper, version {clean(status.version)}, keeps no balance sheet. Upgrade it.\n"
    nodes = len({row.node for sniffer in status.sniffers for row in sniffer.hops})
    rows = [*_together(row for sniffer in status.sniffers for row in sniffer.hops), *status.accounting]
    rows.sort(key=lambda row: (_ORDER.get(row.hop, len(_ORDER)), row.unit))
    cells = [
        (
            clean(row.hop),
            clean(row.unit),
            str(row.seen),
            str(row.passed),
            str(row.held),
            str(sum(row.dropped.values())),
            "" if balance(row) == 0 else f"{balance(row):+} UNACCOUNTED",
        )
        for row in rows
    ]
    lines = table.render(_HEADER, cells, _RIGHT, headers=state().headers).splitlines()
    who = f"{nodes} {'sniffer' if nodes == 1 else 'sniffers'}"
    lines.append(f"Up to transport: {who}, since each started. The others: the mapper, since the map began.")
    dropped = [(reason, count) for row in rows for reason, count in sorted(row.dropped.items()) if count]
    if dropped:
        lines += ["Dropped:", *(f"  {describe_drop(reason, count)}" for reason, count in dropped)]
    if status.completeness is not None:
        lines.append(completeness.sentence(status.completeness))
        lines += [f"  {completeness.window(one)}" for one in status.completeness.blind]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def balance(row: HopRow) -> int:
    """What a hop has seen and cannot account for; 0 where all is well."""
    return row.seen - row.passed - row.held - sum(row.dropped.values())


def _together(rows: Iterable[HopRow]) -> list[HopRow]:
    """Rows of several nodes, added up by hop and unit."""
    from network_mapper.wire.api import HopRow  # noqa: PLC0415  --help needs none

    found: dict[tuple[str, str], HopRow] = {}
    for row in rows:
        total = found.setdefault((row.hop, row.unit), HopRow(row.hop, row.unit, 0, 0, 0, {}))
        total.seen += row.seen
        total.passed += row.passed
        total.held += row.held
        for reason, count in row.dropped.items():
            total.dropped[reason] = total.dropped.get(reason, 0) + count
    return list(found.values())
