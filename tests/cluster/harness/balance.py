"""Whether the balance sheet of a mapper and of its sniffers balances: nothing leaves a hop without a reason."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from network_mapper.model import Drop, Hop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.wire.api import HopRow, Status

_MAPPER = (Hop.INTAKE, Hop.RESOLVE, Hop.GRAPH, Hop.STORE)
_UNIT = "observations"


def unbalanced(status: Status) -> list[str]:
    """One sentence for each row, of mapper and sniffers, in which something is missing or too much."""
    rows = [*status.accounting, *(row for sniffer in status.sniffers for row in sniffer.hops)]
    sentences = []
    for row in rows:
        accounted = row.passed + row.held + sum(row.dropped.values())
        if row.seen != accounted:
            sentences.append(f"{_name(row)}: {row.seen} seen, {accounted} accounted for: {row}")
        sentences += [f"{_name(row)}: {name} is no reason" for name in row.dropped if not _is_reason(name)]
        if min(row.seen, row.passed, row.held, *row.dropped.values(), 0) < 0:
            sentences.append(f"{_name(row)}: less than nothing: {row}")
    return sentences


def torn(status: Status) -> list[str]:
    """Where a hop of the mapper passed on another number of observations than the next has seen."""
    rows = {row.hop: row for row in status.accounting if row.unit == _UNIT}
    hops = [rows[hop] for hop in _MAPPER if hop in rows]
    return [
        f"{one.hop} passed {one.passed} {_UNIT} on, and {other.hop} has seen {other.seen}"
        for one, other in itertools.pairwise(hops)
        if one.passed != other.seen
    ]


def lost(status: Status) -> dict[str, int]:
    """What should be in the map and was dropped, by reason: by the mapper and by sniffers since their starts."""
    found: dict[str, int] = {}
    for row in [*status.accounting, *(row for sniffer in status.sniffers for row in sniffer.hops)]:
        for name, count in row.dropped.items():
            if count and _is_reason(name) and Drop(name).is_loss:
                found[name] = found.get(name, 0) + count
    return found


def sheet(rows: Iterable[HopRow]) -> str:
    """Rows for a message."""
    return "\n".join(map(str, rows))


def _is_reason(name: str) -> bool:
    return name in set(Drop)


def _name(row: HopRow) -> str:
    return f"{row.node or 'mapper'}: {row.hop}, {row.unit}"
