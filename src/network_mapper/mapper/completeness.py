"""How much of what happened in a time range the map has, as far as anybody can tell.

What is not known is of two kinds. Some of it was seen and then lost, and is counted. Some happened where nobody looked,
and of that only the time is known. Both are told with every answer, since an edge that is not there looks the same as
one that nobody saw.

A loss that was counted before an observation was made of it (a packet, a DNS message, a report that cannot be read)
counts as one observation. Names of paths and topics are no observations: what they were asked with is in the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from network_mapper.mapper.outcome import MAPPED
from network_mapper.model import Drop
from network_mapper.wire.api import BlindWindow, Completeness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from network_mapper.mapper.state import State

MOST_WINDOWS: Final = 100
"""Blind windows that are told one by one."""


def completeness(
    state: State,
    accounts: Mapping[str, int] | None,
    since: int,
    until: int,
    now: int,
    *,
    kept_since: int = 0,
) -> Completeness:
    """Tell how complete the map is in a time range.

    Args:
        state: The map.
        accounts: What the store has of that range (`store.accounts_between`), by `mapped` or a `model.Drop`; None for
            the whole map, which its balance sheet answers without a look at the store.
        since: Start of the range, milliseconds since the epoch; 0 for when the map began.
        until: End of it, exclusive; 0 for now.
        now: The mapper's clock.
        kept_since: From when on the store has counts of time ranges.
    """
    began = state.began
    whole = accounts is None
    since = max(since, began) if whole else since
    until = min(until or now, now)
    counts = state.accounts.totals() if accounts is None else accounts
    waiting = state.waiting if whole else state.waiting_between(since, until)
    lost: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for name, count in sorted(counts.items()):
        reason = _REASONS.get(name)
        if reason is None or not count:
            continue
        if reason.is_loss:
            lost[name] = count
        else:
            left_out[name] = count
    mapped = counts.get(MAPPED, 0)
    windows = [cut for one in state.windows(now) if (cut := _cut(one, since, until)) is not None]
    windows.sort(key=lambda one: (one.end or now, one.start, one.node), reverse=True)
    return Completeness(
        since=since,
        until=until,
        observations=mapped + waiting + sum(lost.values()) + sum(left_out.values()),
        mapped=mapped,
        waiting=waiting,
        lost=lost,
        left_out=left_out,
        blind=windows[:MOST_WINDOWS],
        blind_windows=len(windows),
        watched_share=watched_share(state.nodes(), windows, max(since, began), until),
        kept_since=kept_since,
    )


def watched_share(nodes: Mapping[str, int], windows: Iterable[BlindWindow], since: int, until: int) -> float:
    """Of the nodes' time, the share in which they were watched; 1 where there was no time.

    Args:
        nodes: When each was created.
        windows: Within the range; those of other nodes, and of none, do not matter.
        since: Start of the range.
        until: End of it.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for one in windows:
        if one.node in nodes:
            spans.setdefault(one.node, []).append((one.start, one.end or until))
    total = away = 0
    for node, created in nodes.items():
        start = max(since, created)
        total += max(0, until - start)
        for first, last in sorted(spans.get(node, ())):
            away += max(0, min(last, until) - max(first, start))
            start = max(start, last)
    return 1.0 - away / total if total > 0 else 1.0


def _cut(window: BlindWindow, since: int, until: int) -> BlindWindow | None:
    """The part of a window that lies in a range; None where none does. What lasts until its end or longer has none."""
    start = max(window.start, since)
    if start >= until or (window.end and window.end <= start):
        return None
    end = 0 if window.end >= until else window.end
    return BlindWindow(window.node, start, end, window.reason)


_BESIDE: Final = frozenset(
    (
        Drop.DETAILS_FULL,
        Drop.REPEATED,
        Drop.REPORT_REPEATED,
        Drop.REPORT_ASKED_AGAIN,
        Drop.REPORT_HELD_TOO_LONG,
    )
)
"""What was no observation of its own, or is counted by its observations or with the report that came first."""
_REASONS: Final = {reason.value: reason for reason in Drop if reason not in _BESIDE}
