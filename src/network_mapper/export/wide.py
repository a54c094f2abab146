"""The map as a table: one line per edge, with the evidence for it.

Where a terminal is too narrow for the table, each edge is a short paragraph instead: a line that a terminal breaks
anywhere cannot be read, and one that is cut hides what it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.export import table
from network_mapper.export.labels import Labels, clean, named
from network_mapper.export.pairs import Outcome, doors, group, outcome_of
from network_mapper.export.text import bold
from network_mapper.export.times import ago

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from network_mapper.export.pairs import Evidence
    from network_mapper.model import Edge, Peer

HEADER = (
    "CLIENT",
    "SERVER",
    "SERVICE",
    "PORT",
    "PROTOCOL",
    "CONNECTIONS",
    "ATTEMPTS",
    "LOOKUPS",
    "SOCKETS",
    "REQUESTS",
    "OUTCOME",
    "FIRST SEEN",
    "LAST SEEN",
    "SOURCES",
)
_RIGHT = frozenset({3, 5, 6, 7, 8, 9, 11, 12})
OUTCOMES = {
    Outcome.ANSWERED: "answered",
    Outcome.UNANSWERED: "refused or silent",
    Outcome.LOOKUP_ONLY: "lookup only",
    Outcome.UNKNOWN: "not counted",
}


def sources(evidence: Edge | Evidence) -> str:
    """The ways in which it was seen; `-` where nothing is counted."""
    seen = {
        "connections": evidence.connections or evidence.attempts,
        "sockets": evidence.sockets,
        "DNS": evidence.lookups,
        "requests": evidence.requests,
        "volumes": evidence.bytes or evidence.flows,
    }
    return ",".join(name for name, count in seen.items() if count) or "-"


def counters(evidence: Edge | Evidence) -> tuple[str, str, str, str, str]:
    """Connections, attempts, lookups, sockets and requests."""
    return (
        str(evidence.connections),
        str(evidence.attempts),
        str(evidence.lookups),
        str(evidence.sockets),
        str(evidence.requests),
    )


def fits(lines: Sequence[Sequence[str]], columns: int) -> bool:
    """Whether a table of these lines is no wider than a terminal of so many columns; 0 columns have no end."""
    return not columns or table.total(lines) <= columns


def paragraph(first: str, header: Sequence[str], row: Sequence[str], columns: int) -> str:
    """One row in words: the first line, then what each column says, by its heading, in lines that fit if they can."""
    parts = [f"{name.lower()} {cell}" for name, cell in zip(header, row, strict=True) if cell not in ("0", "-")]
    lines = [first]
    for part in parts:
        longer = f"{lines[-1]}, {part}"
        if len(lines) > 1 and table.width(longer) < columns:
            lines[-1] = longer
        else:
            lines.append(f"  {part}")
    return "".join(f"{line}\n" for line in lines)


def render(
    edges: Sequence[Edge],
    now: int,
    *,
    headers: bool = True,
    columns: int = 0,
    tags: Mapping[Peer, str] | None = None,
    colour: bool = False,
) -> str:
    """The table. Empty without edges.

    Args:
        edges: To show.
        now: The mapper's clock in milliseconds since the epoch.
        headers: Whether the headings are printed.
        columns: Of the terminal; 0 where there is none.
        tags: Words to put behind the names of clients.
        colour: Whether a terminal shows it.
    """
    if not edges:
        return ""
    labels = Labels(edges, tags)
    rows = [
        (
            labels.cell(edge.client, client=True),
            labels.cell(edge.server),
            f"{clean(edge.service.namespace)}/{named(edge.service.name)}" if edge.service else "-",
            str(edge.port) if edge.port else "-",
            clean(edge.protocol) or "-",
            *counters(edge),
            OUTCOMES[outcome_of(edge)],
            ago(edge.first_seen, now),
            ago(edge.last_seen, now),
            sources(edge),
        )
        for pair in group(edges)
        for edge in doors(pair)
    ]
    if fits([HEADER, *rows] if headers else rows, columns):
        return table.render(HEADER, rows, _RIGHT, headers=headers)
    return "".join(paragraph(f"{bold(row[0], colour)} calls {row[1]}", HEADER[2:], row[2:], columns) for row in rows)
