"""Why a list is empty, in sentences that say what to do.

An empty map has many causes that look the same: nobody watches, nobody speaks, addresses that nobody knows, a filter.
The mapper's status tells them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.export.labels import clean
from network_mapper.export.times import age
from network_mapper.model import Drop, Hop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.wire.api import SnifferStatus, Status

_DROPS = {str(drop): drop for drop in Drop}
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


def _last_report(sniffers: Sequence[SnifferStatus], now: int) -> str:
    return age(now - max(sniffer.last_report for sniffer in sniffers)) + " ago"


def _watching(status: Status, url: str) -> str:
    connected = [sniffer for sniffer in status.sniffers if sniffer.connected]
    if connected:
        names = some([sniffer.node for sniffer in connected])
        return f"Sniffers connected: {names} (last report {_last_report(connected, status.now)})."
    if status.sniffers:
        names = some([sniffer.node for sniffer in status.sniffers])
        return (
            f"No sniffer is connected; the last report came {_last_report(status.sniffers, status.now)} from {names}."
        )
    return f"No sniffer has reported to this mapper. Start one on each node: network-mapper sniffer --mapper-url {url}"


def _lost(drops: dict[str, int]) -> list[str]:
    """The drops that explain a missing edge; a connection that another node counts is not missing."""
    harmless = {Drop.SEEN_ELSEWHERE, Drop.REPORT_REPEATED, Drop.LOOPBACK}
    return [describe_drop(reason, count) for reason, count in drops.items() if count and reason not in harmless]


def explain(status: Status, url: str) -> list[str]:
    """Why the map holds nothing at all.

    Args:
        status: The mapper's.
        url: Where the mapper answers.
    """
    lines = [_watching(status, url)]
    lost = _lost(status.drops)
    if lost:
        lines.append("What was reported made no edge:")
        lines += [f"  {line}" for line in lost]
    elif status.sniffers:
        missed = [
            f"{clean(sniffer.node)}: {describe_drop(reason, count)}"
            for sniffer in status.sniffers
            for reason, count in sniffer.drops.items()
            if count and reason in _DROPS and _DROPS[reason].hop is Hop.CAPTURE
        ]
        if missed:
            lines.append("Nothing that was seen could be reported:")
            lines += [f"  {line}" for line in missed[:_SHOWN]]
        else:
            since = f" since the map was emptied {age(status.now - status.reset_at)} ago" if status.reset_at else " yet"
            lines.append(f"They have seen no connection and no lookup{since}.")
    lines += [f"Cluster: {clean(problem)}" for problem in status.cluster.problems[:_SHOWN]]
    return lines


def explain_filter(namespaces: Sequence[str], existing: Sequence[str]) -> list[str]:
    """Why `-n` left nothing of a map that is not empty.

    Args:
        namespaces: Those asked for.
        existing: Those of the clients in the map.
    """
    asked = some(namespaces)
    there = some(existing) if existing else "none"
    return [f"No client in namespace {asked} was seen. Namespaces with clients in the map: {there}."]
