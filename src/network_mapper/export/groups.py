"""The map folded: who talks to whom among namespaces, or among the values of a label, in place of single workloads.

A group's edge says how many pairs of workloads it stands for, and adds up their counters kind by kind. What has no
namespace and no label of its own, a node or the outside world, is a group of its own, so that nothing is left out.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from network_mapper.export import table
from network_mapper.export.document import counted, origin
from network_mapper.export.labels import clean, named, namespace_of
from network_mapper.export.pairs import Evidence, group
from network_mapper.export.selection import NO_VALUE, SelectionError, label_values
from network_mapper.export.text import bold, dim, mark
from network_mapper.export.times import ago
from network_mapper.export.wide import OUTCOMES, counters, fits, paragraph, sources
from network_mapper.model import Ambiguous, External, Node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from network_mapper.model import Edge, Peer
    from network_mapper.wire.api import MapDocument

HEADER = (
    "CLIENT",
    "SERVER",
    "PAIRS",
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
_RIGHT = frozenset({2, 3, 4, 5, 6, 7, 9, 10})


class GroupBy(msgspec.Struct, frozen=True):
    """What groups are made by: namespaces, or a label's values where `label` is its key."""

    label: str = ""

    @classmethod
    def of(cls, text: str) -> GroupBy:
        """Read `namespace` or `label=KEY`.

        Raises:
            SelectionError: It is neither.
        """
        kind, _, key = text.partition("=")
        if text == "namespace":
            return cls()
        if kind != "label" or not key or "=" in key:
            raise SelectionError(f"{text!r} is nothing to group by; there are namespace and label=KEY")
        return cls(key)

    def __str__(self) -> str:
        return f"label={self.label}" if self.label else "namespace"


class Group(msgspec.Struct, frozen=True, cache_hash=True, order=True):
    """One group.

    Attributes:
        type: `namespace`, `label`, `nodes`, `external`, or `ambiguous` for what may belong to more than one.
        name: The namespace, or the label's value; null for workloads without the label, and for the other types.
    """

    type: str
    name: str | None = None


class GroupPair(Evidence):
    """What goes from one group to another; `pairs` counts the pairs of client and server within."""

    client: Group
    server: Group
    pairs: int = 0


class GroupEntry(msgspec.Struct):
    """A `GroupPair` as programs read it; times are RFC 3339."""

    client: Group
    server: Group
    pairs: int
    connections: int
    attempts: int
    lookups: int
    sockets: int
    requests: int
    bytes: int
    flows: int
    first_seen: str | None
    last_seen: str | None


class GroupsDocument(msgspec.Struct):
    """What `list --group-by … -o json` prints; the other fields are those of `document.ListDocument`.

    Attributes:
        group_by: `namespace` or `label=KEY`.
        groups: Sorted by client, then by server.
    """

    store: str
    epoch: int
    watching_since: str | None
    generated_at: str | None
    since: str | None
    until: str | None
    hidden: int
    group_by: str
    groups: list[GroupEntry]


def fold(answer: MapDocument, edges: Sequence[Edge], by: GroupBy) -> list[GroupPair]:
    """Those `edges` of the mapper's `answer` that are to be shown, as groups; sorted by client, then by server."""
    values = label_values(answer, by.label) if by.label else {}
    known: dict[Peer, Group] = {}
    found: dict[tuple[Group, Group], GroupPair] = {}
    for pair in group(edges):
        for peer in (pair.client, pair.server):
            if peer not in known:
                known[peer] = _group_of(peer, by, values)
        key = (known[pair.client], known[pair.server])
        folded = found.get(key)
        if folded is None:
            folded = found[key] = GroupPair(*key)
        folded.pairs += 1
        folded.add(pair)
    return sorted(found.values(), key=lambda folded: (_order(folded.client), _order(folded.server)))


def _order(one: Group) -> tuple[bool, bool, str, str]:
    """What has a name first, by it."""
    return one.type not in ("namespace", "label"), one.name is None, one.name or "", one.type


def _group_of(peer: Peer, by: GroupBy, values: Mapping[Peer, str]) -> Group:
    match peer:
        case Node():
            return Group("nodes")
        case External():
            return Group("external")
        case Ambiguous():
            possible = {_group_of(candidate, by, values) for candidate in peer.candidates}
            return possible.pop() if len(possible) == 1 else Group("ambiguous")
    return Group("label", values.get(peer)) if by.label else Group("namespace", namespace_of(peer))


def name_of(one: Group, by: GroupBy) -> str:
    """A group in text: `namespace shop`, `team=checkout`, `nodes`, `outside the cluster`."""
    match one.type:
        case "namespace":
            return f"namespace {named(one.name or '')}"
        case "label":
            return f"{clean(by.label)}={clean(NO_VALUE if one.name is None else one.name)}"
        case "external":
            return "outside the cluster"
        case _:
            return one.type


def _plural(pairs: int) -> str:
    return f"{pairs} pair{'' if pairs == 1 else 's'}"


def render(folded: Sequence[GroupPair], by: GroupBy, *, colour: bool = False) -> str:
    """The groups as a list. Empty without edges."""
    lines = []
    for client, pairs in groupby(folded, key=lambda pair: pair.client):
        lines.append(f"{bold(name_of(client, by), colour)} calls:\n")
        lines += [f"  - {name_of(pair.server, by)}: {_plural(pair.pairs)}{dim(mark(pair), colour)}\n" for pair in pairs]
    return "".join(lines)


def render_wide(
    folded: Sequence[GroupPair],
    by: GroupBy,
    now: int,
    *,
    headers: bool = True,
    columns: int = 0,
    colour: bool = False,
) -> str:
    """The groups as a table, as `wide.render` makes it. Empty without edges."""
    if not folded:
        return ""
    rows = [
        (
            name_of(pair.client, by),
            name_of(pair.server, by),
            str(pair.pairs),
            *counters(pair),
            OUTCOMES[pair.outcome],
            ago(pair.first_seen, now),
            ago(pair.last_seen, now),
            sources(pair),
        )
        for pair in folded
    ]
    if fits([HEADER, *rows] if headers else rows, columns):
        return table.render(HEADER, rows, _RIGHT, headers=headers)
    return "".join(paragraph(f"{bold(row[0], colour)} calls {row[1]}", HEADER[2:], row[2:], columns) for row in rows)


def build(answer: MapDocument, folded: Sequence[GroupPair], by: GroupBy, hidden: int) -> GroupsDocument:
    """The document for programs; `hidden` edges were left out because they are routine."""
    return GroupsDocument(
        **origin(answer),
        hidden=hidden,
        group_by=str(by),
        groups=[
            GroupEntry(
                client=pair.client,
                server=pair.server,
                pairs=pair.pairs,
                **counted(pair),
            )
            for pair in folded
        ],
    )
