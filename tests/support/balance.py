"""Whether a balance sheet balances: at each hop and in each unit, what was seen is passed on, held, or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.model import Drop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from network_mapper.capture.packets import PacketTracker
    from network_mapper.capture.source import HopTotals
    from network_mapper.wire.report import HopState


def imbalances(hops: Iterable[HopTotals | HopState], drops: Mapping[str, int]) -> list[str]:
    """What does not balance, in words; and drops of a hop and unit that are on no line."""
    found = []
    lines = set()
    for hop in hops:
        dropped = sum(count for reason, count in drops.items() if _place(reason) == (hop.hop, hop.unit))
        lines.add((str(hop.hop), hop.unit))
        if hop.seen != hop.passed + hop.held + dropped or min(hop.seen, hop.passed, hop.held) < 0:
            found.append(f"{hop.hop} {hop.unit}: {hop.seen} != {hop.passed} + {hop.held} + {dropped}")
    return found + [f"{reason} is on no line" for reason in drops if _place(reason) not in lines]


def _place(reason: str) -> tuple[str, str]:
    drop = Drop(reason)
    return str(drop.hop), drop.unit


def assert_balance(tracker: PacketTracker, seen: int) -> None:
    """Assert that each of `seen` packets has its one fate, and what is said to be held is what the tables hold."""
    stats = tracker.stats(seen)
    assert imbalances(stats.hops, stats.drops) == []
    held = {hop.unit: hop.held for hop in stats.hops}
    connections, questions = tracker._connections, tracker._questions
    assert held["packets"] == sum(not each.decided for each in (*connections._recent, *connections._waiting))
    waiting = {id(each) for table in (questions._asked, questions._asked_before) for each in table.values()}
    assert held["messages"] == len(waiting)
