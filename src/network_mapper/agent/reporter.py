"""Freezes reports and decides when they are sent, again or for the first time. No I/O and no clock: both come in.

One report is on its way at a time. Its bytes are encoded once and go out unchanged, under the same (node, boot,
sequence), until the mapper has answered, so that a lost answer never counts twice. Meanwhile observations fold into the
next one. Nothing but a refusal makes a report go away, and a refusal is counted, row by row, and logged.

A report without rows is a heartbeat: it says that this node is watched and that nothing happened. The first report is
always one, so that the mapper knows the node is covered before anything from it arrives.
"""

from __future__ import annotations

import logging
import math
import os
import random
import time
from typing import TYPE_CHECKING

import msgspec

from network_mapper.model import Drop, Tally
from network_mapper.wire.report import JSON, Receipt, Report, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.agent.fold import Fold
    from network_mapper.model import Observation

logger = logging.getLogger(__name__)

_FIRST_DELAY = 500
_LONGEST_DELAY = 30_000
_LONGEST_RETRY_AFTER = 300_000
_SHORTEST_RETRY_AFTER = 100
_CLOSING_DELAY = 250
_TRANSIENT = frozenset({408, 425, 429})
_QUOTED = 300


class Totals(msgspec.Struct):
    """What became of the reports, since the start.

    Attributes:
        sent: Reports that the mapper took.
        rows: Rows in them.
        failed: Tries that were not answered, or answered with "later".
        refused: Reports that were refused for good.
        last_success: When the last report was taken, milliseconds since the epoch; 0 when none was.
    """

    sent: int = 0
    rows: int = 0
    failed: int = 0
    refused: int = 0
    last_success: int = 0


class _Frozen(msgspec.Struct):
    body: bytes
    rows: int


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Reporter:
    """Turns a fold into a sequence of reports. Not for several threads at once.

    `now` is milliseconds of a clock that never jumps. Observations carry the times of the wall clock, or of a capture
    file; the fold is told about time through `feed`, in whichever clock suits it.

    Args:
        fold: What waits to be reported.
        node: Name of the node, as in Kubernetes.
        agent: Program and version, for people.
        started: When watching began, milliseconds since the epoch.
        heartbeat_interval: Seconds of silence after which a heartbeat is due.
        on_forgotten: Called when the mapper turns out to know nothing of what it was told: another store, or a reset.
        wall: The wall clock.
        boot: Names this start; chosen at random.
        spread: Source of the back-off's jitter.
        limit: Most rows in one report; a larger one costs memory here and saves little there.
    """

    def __init__(
        self,
        fold: Fold,
        *,
        node: str,
        agent: str,
        started: int,
        heartbeat_interval: float = 5.0,
        on_forgotten: Callable[[], None] | None = None,
        wall: Callable[[], int] = wall_clock,
        boot: str = "",
        spread: random.Random | None = None,
        limit: int = 2000,
    ) -> None:
        self.fold = fold
        self.totals = Totals()
        self._node = node
        self._agent = agent
        self._started = started
        self._heartbeat = round(heartbeat_interval * 1000)
        self._on_forgotten = on_forgotten
        self._wall = wall
        self._boot = boot or os.urandom(8).hex()
        self._spread = spread or random.Random()  # noqa: S311  jitter is no secret
        self._limit = limit
        self._sequence = 0
        self._fold_time = 0
        self._watched_until = 0
        self._frozen: _Frozen | None = None
        self._frozen_at: int | None = None
        self._retry_at = 0
        self._failures = 0
        self._closing = False
        self._farewell: tuple[list[SourceState], Tally] | None = None
        self._map: tuple[str, int] | None = None
        self._lost_before_map = False
        self._complained: set[object] = set()
        self._encoder = msgspec.msgpack.Encoder()
        self.sources: list[SourceState] = []
        self._source_drops = Tally()
        self._own_drops = Tally()

    def feed(self, observations: Iterable[Observation], fold_time: int, watched_until: int = 0) -> None:
        """Fold observations in.

        Args:
            observations: What was seen since the last call.
            fold_time: What time it is for the fold, in milliseconds of a clock of its own.
            watched_until: Time of the newest thing that was looked at, milliseconds since the epoch; 0 stands for the
                moment in which the mapper hears of it.
        """
        self.fold.add(observations)
        self._fold_time = fold_time
        self._watched_until = watched_until

    def set_started(self, started: int) -> None:
        """Say when watching began, where that was not known at first (0)."""
        self._started = started

    def set_sources(self, sources: list[SourceState], drops: Tally) -> None:
        """Say what the sources have seen and dropped since the start; the next report carries it."""
        self.sources = sources
        self._source_drops = drops

    @property
    def drops(self) -> Tally:
        """Everything dropped since the start: by sources, fold and transport."""
        total = Tally(self._source_drops)
        for tally in (self.fold.drops, self._own_drops):
            for reason, count in tally.items():
                total.add(reason, count)
        return total

    @property
    def unsent_rows(self) -> int:
        """Rows that the mapper has not answered for."""
        return self.fold.spans + (self._frozen.rows if self._frozen else 0)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way and nothing would be sent but a heartbeat."""
        return self._frozen is None and self._sequence > 0 and not self._work()

    def _work(self) -> bool:
        return self.fold.has_due(self._fold_time) or (self._closing and self._state() != self._farewell)

    def _state(self) -> tuple[list[SourceState], Tally]:
        return self.sources, self.drops

    def next_request(self, now: int) -> bytes | None:
        """The report to send now, in MessagePack: the unanswered one when its retry is due, or the next one."""
        if self._frozen is None:
            if not self._due(now):
                return None
            self._frozen = self._freeze(now)
            self._retry_at = now
        return self._frozen.body if now >= self._retry_at else None

    def _due(self, now: int) -> bool:
        if self._frozen_at is None or self._work():
            return True
        return not self._closing and now >= self._frozen_at + self._heartbeat

    def wait(self, now: int) -> int:
        """Milliseconds until `next_request` may return a report, if nothing new is fed meanwhile."""
        if self._frozen is not None:
            return max(0, self._retry_at - now)
        if self._due(now):
            return 0
        return self._heartbeat if self._frozen_at is None else max(0, self._frozen_at + self._heartbeat - now)

    def _freeze(self, now: int) -> _Frozen:
        batch = self.fold.take(self._fold_time, self._limit) if self._sequence else None
        self._sequence += 1
        self._frozen_at = now
        self._farewell = self._state()
        report = Report(
            node=self._node,
            boot=self._boot,
            sequence=self._sequence,
            base=batch.base if batch else self._wall(),
            started=self._started,
            watched_until=self._watched_until,
            agent=self._agent,
            clients=batch.clients if batch else [],
            drops={reason.value: count for reason, count in self.drops.items()},
            sources=self.sources,
        )
        return _Frozen(self._encoder.encode(report), batch.rows if batch else 0)

    def answered(self, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        """Take the answer to the last request. Header names are lower case."""
        if self._frozen is None:
            return
        if status == 200:
            receipt = _receipt(headers, body)
            if receipt is not None:
                self._taken(receipt)
                return
            self._complain("receipt", "what answers is no mapper's report door", status, body)
            self._back_off(now)
        elif 400 <= status < 500 and status not in _TRANSIENT:
            self._refused(status, body)
        else:
            self._complain(status, "the mapper cannot take reports now; trying again", status, body, logging.WARNING)
            self._back_off(now, _retry_after(headers))

    def failed(self, error: BaseException, now: int) -> None:
        """Note that the last request was not answered."""
        if not self._failures:
            logger.warning("no answer from the mapper; trying again", extra={"error": _words(error)})
        self._back_off(now)

    def _taken(self, receipt: Receipt) -> None:
        assert self._frozen is not None
        if self._failures:
            logger.info("the mapper answers", extra={"tries": self._failures + 1})
        self.totals.sent += 1
        self.totals.rows += self._frozen.rows
        self.totals.last_success = self._wall()
        self._frozen = None
        self._failures = 0
        self._complained.clear()
        current = (receipt.store, receipt.epoch)
        if self._map != current and (self._map is not None or self._lost_before_map):
            logger.info("the mapper's map is another one: telling everything again", extra={"store": receipt.store})
            self.fold.forget()
            if self._on_forgotten is not None:
                self._on_forgotten()
        self._map = current

    def _refused(self, status: int, body: bytes) -> None:
        assert self._frozen is not None
        message = "this URL has no report door" if status == 404 else "the mapper refused a report"
        self._complain(status, message, status, body)
        self.totals.refused += 1
        if self._frozen.rows:
            self._own_drops.add(Drop.REPORT_REFUSED, self._frozen.rows)
            self._lost_before_map = True
        self._frozen = None
        self._failures = 0

    def _complain(self, kind: object, message: str, status: int, body: bytes, level: int = logging.ERROR) -> None:
        """Log once for each kind, until a report goes through again."""
        if kind not in self._complained:
            self._complained.add(kind)
            answer = body[:_QUOTED].decode("utf-8", "replace").strip()
            logger.log(level, message, extra={"status": status, "answer": answer})

    def _back_off(self, now: int, delay: int | None = None) -> None:
        if delay is None:
            longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(self._failures, 10))
            delay = round(longest * self._spread.uniform(0.5, 1.0))
        if self._closing:
            delay = min(delay, _CLOSING_DELAY)
        self._failures += 1
        self.totals.failed += 1
        self._retry_at = now + delay

    def close(self, now: int) -> None:
        """Make everything due at once, with a last report of the totals, and send no heartbeats any more."""
        self._closing = True
        self._retry_at = min(self._retry_at, now)
        self.fold.flush()

    def give_up(self) -> int:
        """Count what is left as `Drop.STOPPED_UNSENT` and return how many rows that is."""
        rows = self.unsent_rows
        if rows:
            self._own_drops.add(Drop.STOPPED_UNSENT, rows)
        return rows


def _receipt(headers: dict[str, str], body: bytes) -> Receipt | None:
    as_json = headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
    try:
        if as_json:
            return msgspec.json.decode(body, type=Receipt)
        return msgspec.msgpack.decode(body, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _retry_after(headers: dict[str, str]) -> int | None:
    """Milliseconds, from a Retry-After in seconds (RFC 9110, 10.2.3); None for its other form, or for nonsense."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return round(min(max(seconds * 1000, _SHORTEST_RETRY_AFTER), _LONGEST_RETRY_AFTER))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
