"""Times of which the map does not know what happened, because nobody looked.

A window that has ended is written down, and outlasts restarts. One that lasts is worked out when somebody asks: of a
node from what its sniffers have told (`coverage`), of the cluster's objects from how following them goes. An outage of
the API server may outlast the mapper, so it is written down a minute at a time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from network_mapper.store.database import Blind
from network_mapper.wire.api import BlindWindow

if TYPE_CHECKING:
    from collections.abc import Iterable

NEVER_WATCHED: Final = "never_watched"
SNIFFER_AWAY: Final = "sniffer_away"
SNIFFER_SILENT: Final = "sniffer_silent"
API_AWAY: Final = "api_away"
FORBIDDEN: Final = "forbidden"

MOST: Final = 10_000
"""Windows that are kept in memory, the newest."""
_PIECE: Final = 60_000


class BlindWindows:
    """The windows that have ended, and those of the cluster as a whole.

    Attributes:
        forgotten: Windows that went because there were too many, since the mapper started.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._recorded: deque[Blind] = deque()
        self._new: list[Blind] = []
        self._api_since = 0
        self._forbidden_since = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._recorded)

    def record(self, node: str, start: int, end: int, reason: str) -> None:
        """Note a window that has ended; one of no length is none."""
        if start < end:
            window = Blind(node, start, end, reason)
            self._new.append(window)
            self._keep(window)

    def _keep(self, window: Blind) -> None:
        last = self._recorded[-1] if self._recorded else None
        if last is not None and (last.node, last.end, last.reason) == (window.node, window.start, window.reason):
            self._recorded[-1] = last._replace(end=window.end)
            return
        self._recorded.append(window)
        if len(self._recorded) > self._most:
            self._recorded.popleft()
            self.forgotten += 1

    def look(self, away_since: int, now: int, *, forbidden: bool) -> None:
        """See how the following of the cluster goes; call it often.

        Args:
            away_since: Since when the API server cannot be watched, milliseconds since the epoch; 0 while it can.
            now: Milliseconds since the epoch.
            forbidden: Whether a kind may not be read.
        """
        if self._api_since and (not away_since or now - self._api_since >= _PIECE):
            self.record("", self._api_since, now, API_AWAY)
            self._api_since = now if away_since else 0
        elif away_since and not self._api_since:
            self._api_since = away_since
        if forbidden:
            self._forbidden_since = self._forbidden_since or now
        elif self._forbidden_since:
            self.record("", self._forbidden_since, now, FORBIDDEN)
            self._forbidden_since = 0

    def windows(self) -> Iterable[BlindWindow]:
        """What was recorded, and what lasts for the cluster as a whole; an end of 0 is none."""
        for one in self._recorded:
            yield BlindWindow(one.node, one.start, one.end, one.reason)
        if self._api_since:
            yield BlindWindow("", self._api_since, 0, API_AWAY)
        if self._forbidden_since:
            yield BlindWindow("", self._forbidden_since, 0, FORBIDDEN)

    def restore(self, windows: Iterable[Blind]) -> None:
        """Take over what the store has, in the order in which it began."""
        for window in windows:
            self._keep(window)

    def clear(self, now: int) -> None:
        """Begin anew: the map was emptied, and nobody asks what was before."""
        self._recorded.clear()
        self._new.clear()
        self._api_since = now if self._api_since else 0
        self._forbidden_since = now if self._forbidden_since else 0

    def forget(self, before: int) -> None:
        """Forget the windows that ended before then."""
        while self._recorded and self._recorded[0].end < before:
            self._recorded.popleft()

    def take(self) -> list[Blind]:
        """What the store does not have yet; the caller writes it or gives it back."""
        new, self._new = self._new, []
        return new

    def give_back(self, windows: list[Blind]) -> None:
        """Undo `take`: the store could not write them."""
        self._new = windows + self._new
