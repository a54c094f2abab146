"""Why a list is empty, or holds less than was asked for, in sentences that say what to do.

An empty map has many causes that look the same: nobody watches, nobody speaks, addresses that nobody knows, a filter.
The mapper's status tells them apart. A filter with a name that nothing bears is most often a name mistyped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cli.sources.base import MapQuery, NoStatusError
from network_mapper.export.labels import clean, namespace_of
from network_mapper.export.selection import hidden, ways
from network_mapper.export.times import age
from network_mapper.model import Drop, Hop, Service

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from network_mapper.cli.sources.base import MapSource
    from network_mapper.export.selection import Selection
    from network_mapper.model import Edge, Peer
    from network_mapper.wire.api import MapDocument, SnifferStatus, Status

NOTHING = "No connections found."
_DROPS = {str(drop): drop for drop in Drop}
_ORDINARY = {Drop.DNS_NO_ADDRESS, Drop.DNS_NXDOMAIN}
"""Answers that lead nowhere; a resolver that tries the suffixes of names gets them all day."""
_SHOWN = 8
"""Names in one line; more would bury the sentence."""


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(clean(name) for name in names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def describe_drop(reason: str, count: int) -> str:
    """`12 rows client_unknown: no pod or node had …`; a reason that only a newer mapper knows stands by its name."""
    drop = _DROPS.get(reason)
    if drop is None:
        return f"{count} {clean(reason)}"
    unit = drop.unit.removesuffix("s") if count == 1 else drop.unit
    return f"{count} {unit} {drop.value}: {drop.text}"


def is_rows(reason: str) -> bool:
    """Whether a reason counts rows; a reason that only a newer mapper knows is taken to."""
    drop = _DROPS.get(reason)
    return drop is None or drop.unit == "rows"


def hidden_note(count: int) -> str:
    """That so many routine edges are not shown."""
    edges = "1 edge is" if count == 1 else f"{count} edges are"
    return f"{edges} hidden (cluster DNS, our own traffic, clients that are nodes or outside); --all shows them."


def explain(source: MapSource, answer: MapDocument, selection: Selection, key: str = "") -> list[str]:
    """Why nothing of an answer is shown.

    Args:
        source: Of the answer; it may be asked for more.
        answer: To the query that the selection makes.
        selection: What was asked for.
        key: Label that groups are made by.

    Raises:
        CliError: The source does not answer any more.
    """
    routine = hidden(answer, selection)
    if routine:
        return [NOTHING, hidden_note(routine)]
    missed = unmatched(source, answer, selection, key)
    if missed:
        return [NOTHING, *missed]
    if answer.edges:
        return [NOTHING, f"No edge of those that were seen ({len(answer.edges)}) passes all of these filters."]
    try:
        status = source.status()
    except NoStatusError:  # a file, or a mapper that knows only the model's queries: there is nothing more to learn
        return [NOTHING]
    if not status.edges:
        return [NOTHING, *_empty_map(status, source.where)]
    if selection.since:
        return [
            NOTHING,
            f"Nothing was seen in that time; what the map holds is older ({status.edges} edges). Try a longer --since.",
        ]
    return [NOTHING]


def _last_report(sniffers: Sequence[SnifferStatus], now: int) -> str:
    return age(now - max(sniffer.last_report for sniffer in sniffers)) + " ago"


def _watching(status: Status, where: str) -> str:
    connected = [sniffer for sniffer in status.sniffers if sniffer.connected]
    if connected:
        names = some([sniffer.node for sniffer in connected])
        return f"Sniffers connected: {names} (last report {_last_report(connected, status.now)})."
    if status.sniffers:
        names = some([sniffer.node for sniffer in status.sniffers])
        return (
            f"No sniffer is connected; the last report came {_last_report(status.sniffers, status.now)} from {names}."
        )
    said = "No sniffer has reported to this mapper."
    if status.installation.namespace:
        return f"{said} 'network-mapper status' says what is known of each node."
    url = where if "://" in where else "URL"
    return f"{said} Start one on each node: network-mapper sniffer --mapper-url {url}"


def _lost(drops: dict[str, int]) -> list[str]:
    """The drops that explain a missing edge; a connection that another node counts is not missing."""
    harmless = {Drop.SEEN_ELSEWHERE, Drop.REPORT_REPEATED, Drop.LOOPBACK}
    return [describe_drop(reason, count) for reason, count in drops.items() if count and reason not in harmless]


def _empty_map(status: Status, where: str) -> list[str]:
    """Why the map holds nothing at all."""
    lines = [_watching(status, where)]
    lost = _lost(status.drops)
    if lost:
        lines.append("What was reported made no edge:")
        lines += [f"  {line}" for line in lost]
    elif status.sniffers:
        missed = [
            f"{clean(sniffer.node)}: {describe_drop(reason, count)}"
            for sniffer in status.sniffers
            if sniffer.started >= status.reset_at  # else what it counts may be older than the map
            for reason, count in sniffer.drops.items()
            if count and reason in _DROPS and _DROPS[reason].hop is Hop.CAPTURE and reason not in _ORDINARY
        ]
        if missed:
            lines.append("Nothing that was seen could be reported:")
            lines += [f"  {line}" for line in missed[:_SHOWN]]
        else:
            since = f" since the map was emptied {age(status.now - status.reset_at)} ago" if status.reset_at else " yet"
            lines.append(f"They have seen no connection and no lookup{since}.")
    lines += [f"Cluster: {clean(problem)}" for problem in status.cluster.problems[:_SHOWN]]
    lines += [f"Installation: {clean(problem)}" for problem in status.installation.problems[:_SHOWN]]
    return lines


def unmatched(source: MapSource, answer: MapDocument, selection: Selection, key: str = "") -> list[str]:
    """A sentence for each name of a filter that nothing in the answer bears, with names that come near.

    Args:
        source: Of the answer; it is asked for the whole map where a namespace has no client in the answer.
        answer: To the query that the selection makes.
        selection: What was asked for.
        key: Label that groups are made by.

    Raises:
        CliError: The source does not answer any more.
    """
    lines = _namespaces(source, answer.edges, selection)
    clients, servers = _names_of(edge.client for edge in answer.edges), _names_of(_served(answer.edges))
    for name in selection.sources:
        if name not in clients:
            how = "was seen as a server only" if name in servers else "was not seen as a client"
            lines.append(f"{clean(name)} {how}, so --from shows nothing for it.{_near(name, clients)}")
    for name in selection.targets:
        if name not in servers:
            how = "was seen as a client only" if name in clients else "was not seen as a server"
            lines.append(f"{clean(name)} {how}, so --to shows nothing for it.{_near(name, servers)}")
    if selection.server and selection.server not in servers:
        lines.append(f"Nobody was seen to call {clean(selection.server)} (--server).{_near(selection.server, servers)}")
    either = clients | servers
    for name in selection.without:
        if name not in either:
            lines.append(f"{clean(name)} was not seen, so --exclude-services leaves out nothing.{_near(name, either)}")
    return lines + _labels(answer, selection, key)


def _namespaces(source: MapSource, edges: Iterable[Edge], selection: Selection) -> list[str]:
    present = {namespace_of(edge.client) for edge in edges}
    missing = [name for name in selection.namespaces if name not in present]
    if not missing:
        return []
    existing = {namespace_of(edge.client) for edge in source.map(MapQuery()).edges} - {""}
    if not existing:
        return []
    older = [name for name in missing if name in existing]
    lines = [f"In namespace {some(older)} no client was seen in that time. Try a longer --since."] if older else []
    unseen = [name for name in missing if name not in existing]
    if unseen:
        near = "".join(_near(name, existing) for name in unseen[:_SHOWN])
        there = some(sorted(existing))
        lines.append(
            f"No client in namespace {some(unseen)} was seen.{near} Namespaces with clients in the map: {there}."
        )
    return lines


def _labels(answer: MapDocument, selection: Selection, key: str) -> list[str]:
    if not answer.edges or not (key or selection.needs_labels):
        return []
    keys = {name for row in answer.workloads for name in row.labels}
    lines = [
        f"No workload here has the label {clean(wanted)}.{_near(wanted, keys)}"
        for wanted in dict.fromkeys((selection.distinct_by_label, key))
        if wanted and wanted not in keys
    ]
    pairs = {f"{name}={value}" for row in answer.workloads for name, value in row.labels.items()}
    lines += [
        f"No workload here has the label {clean(label)}, so --exclude-labels leaves out nothing."
        f"{_near(label, pairs if '=' in label else keys)}"
        for label in selection.without_labels
        if label not in keys and label not in pairs
    ]
    return lines


def _served(edges: Iterable[Edge]) -> Iterable[Peer]:
    for edge in edges:
        yield edge.server
        if edge.service:
            yield Service(edge.service.name, edge.service.namespace)


def _names_of(peers: Iterable[Peer]) -> set[str]:
    return {way for peer in set(peers) for way in ways(peer)}


def _near(name: str, known: Collection[str]) -> str:
    """` Did you mean cart?`, with names written as the one that was given; empty where none comes near."""
    import difflib  # noqa: PLC0415  only needed after a typo

    alike = sorted(other for other in known if ("/" in other) == ("/" in name) and ("." in other) == ("." in name))
    close = difflib.get_close_matches(name, alike, n=3)
    return f" Did you mean {' or '.join(map(clean, close))}?" if close else ""
