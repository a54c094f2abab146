"""How complete a map is, in words and as programs read it.

A list that lacks an edge looks like one of a cluster in which nobody made that connection. So whatever leaves the map
says how much of what was seen is in it, and when nobody looked. The words are the same in every format, and they hold
no time of day as long as all is well, so that two exports of one map are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from network_mapper.export.labels import clean
from network_mapper.export.times import age, milliseconds, rfc3339
from network_mapper.wire.api import BlindWindow, Completeness

if TYPE_CHECKING:
    from collections.abc import Iterable

WORTH_A_WORD: Final = 0.99
"""Share of the nodes' time below which a list for people says that somebody did not look."""
_SHOWN: Final = 5
_WORDS: Final = {
    "never_watched": "had no sniffer",
    "sniffer_away": "had no sniffer",
    "sniffer_silent": "is not heard",
    "api_away": "the API server could not be followed",
    "forbidden": "objects may not be read",
}


class Blind(msgspec.Struct):
    """A `wire.api.BlindWindow` with times as RFC 3339; `end` is null while it lasts."""

    node: str
    start: str | None
    end: str | None
    reason: str


class CompletenessDocument(msgspec.Struct):
    """A `wire.api.Completeness` with times as RFC 3339, and with `share`, of what should be in the map, 0 to 1."""

    since: str | None
    until: str | None
    share: float
    watched_share: float
    observations: int = 0
    mapped: int = 0
    waiting: int = 0
    lost: dict[str, int] = {}
    left_out: dict[str, int] = {}
    blind: list[Blind] = []
    blind_windows: int = 0
    kept_since: str | None = None


def share(known: Completeness) -> float:
    """Of what was seen and should be in the map, how much is, 0 to 1; 1 where nothing was seen."""
    due = known.mapped + known.waiting + sum(known.lost.values())
    return known.mapped / due if due else 1.0


def is_complete(known: Completeness) -> bool:
    """Whether nothing is missing that anybody knows of."""
    return not (known.waiting or any(known.lost.values()) or known.blind_windows or known.watched_share < 1)


def is_worth_a_word(known: Completeness) -> bool:
    """Whether a person who reads a list should be told."""
    return any(known.lost.values()) or known.watched_share < WORTH_A_WORD


def percent(part: float) -> str:
    """A share such as `99.98 %`: never rounded up to all, nor down to nothing."""
    if part in {0.0, 1.0}:
        return f"{part:.0%}".replace("%", " %")
    return f"{min(max(part * 100, 0.01), 99.99):.2f} %"


def sentence(known: Completeness) -> str:
    """One line, `Complete: …` or `Not complete: …`."""
    if is_complete(known):
        return "Complete: all that was seen is in the map, and every node was watched."
    parts = []
    lost = {reason: count for reason, count in known.lost.items() if count}
    if lost:
        named = ", ".join(f"{clean(reason)} {count}" for reason, count in sorted(lost.items()))
        parts.append(f"{percent(share(known))} of what was seen is in the map (lost: {named})")
    if known.waiting:
        parts.append(f"{known.waiting} observations wait until their pods are known")
    if known.blind_windows or known.watched_share < 1:
        parts.append(f"nodes were watched {percent(known.watched_share)} of the time{_windows(known)}")
    return f"Not complete: {'; '.join(parts)}."


def brief(known: Completeness | None) -> str:
    """A few words for the heading of a picture; empty where nothing is known."""
    if known is None:
        return ""
    if is_complete(known):
        return "complete"
    return f"{percent(share(known))} of what was seen, nodes watched {percent(known.watched_share)} of the time"


def _windows(known: Completeness) -> str:
    shown = [window(one) for one in known.blind[:_SHOWN]]
    more = known.blind_windows - len(shown)
    if more > 0:
        shown.append(f"{more} more times")
    return f" ({'; '.join(shown)})" if shown else ""


def window(one: BlindWindow) -> str:
    """A blind window in words: `node3 had no sniffer for 12s from 2026-01-31T12:00:00.000Z`."""
    word = _WORDS.get(one.reason, clean(one.reason))
    who = f"{clean(one.node)} {word}" if one.node else word
    since = f"from {rfc3339(one.start)}" if one.start else "from the beginning"
    return f"{who} for {age(one.end - one.start)} {since}" if one.end else f"{who} {since} until now"


def to_document(known: Completeness | None) -> CompletenessDocument | None:
    """For programs."""
    if known is None:
        return None
    return CompletenessDocument(
        since=rfc3339(known.since),
        until=rfc3339(known.until),
        share=share(known),
        watched_share=known.watched_share,
        observations=known.observations,
        mapped=known.mapped,
        waiting=known.waiting,
        lost=known.lost,
        left_out=known.left_out,
        blind=[Blind(one.node, rfc3339(one.start), rfc3339(one.end), one.reason) for one in known.blind],
        blind_windows=known.blind_windows,
        kept_since=rfc3339(known.kept_since),
    )


def restore(document: CompletenessDocument | None) -> Completeness | None:
    """The inverse of `to_document`.

    Raises:
        TimeError: A time is no RFC 3339.
    """
    if document is None:
        return None
    return Completeness(
        since=milliseconds(document.since),
        until=milliseconds(document.until),
        observations=document.observations,
        mapped=document.mapped,
        waiting=document.waiting,
        lost=document.lost,
        left_out=document.left_out,
        blind=_windows_of(document.blind),
        blind_windows=document.blind_windows,
        watched_share=document.watched_share,
        kept_since=milliseconds(document.kept_since),
    )


def _windows_of(rows: Iterable[Blind]) -> list[BlindWindow]:
    return [BlindWindow(row.node, milliseconds(row.start), milliseconds(row.end), row.reason) for row in rows]
