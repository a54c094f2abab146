"""Freezes reports and decides when they are sent, again or for the first time. No I/O and no clock: both come in.

One report is on its way at a time. Its bytes are encoded once and go out unchanged, under the same (node, boot,
sequence), until the mapper has answered, so that a lost answer never counts twice. Meanwhile observations fold into the
next one. Nothing but a refusal makes a report go away, and a refusal is counted, row by row, and logged.

A report without rows is a heartbeat: it says that this node is watched and that nothing happened. The first report is
always one, so that the mapper knows the node is covered before anything from it arrives.

Where there is no report door but GraphQL, the mapper is the Otterize one, and the same frozen reports go out in its
words (`agent.legacy`), mutation by mutation. It knows no heartbeats, so every half minute it is asked whether it is
there. Mappers are replaced: every five minutes, and whenever the connection was lost, what is to be said is tried at
the report door first.
"""

from __future__ import annotations

import enum
import logging
import os
import random
import time
from typing import TYPE_CHECKING, Literal

import msgspec

from network_mapper.agent import legacy
from network_mapper.agent.exchange import (
    ABSENT,
    Request,
    Verdict,
    ahead_of,
    native,
    receipt_of,
    retry_after,
    verdict_of,
)
from network_mapper.model import Drop, Tally
from network_mapper.wire.report import Report, SourceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.agent.fold import Fold
    from network_mapper.model import Observation
    from network_mapper.wire.report import Receipt

logger = logging.getLogger(__name__)

_FIRST_DELAY = 500
_LONGEST_DELAY = 3_000
"""Milliseconds between two tries, however long the mapper has been away: when it is back the map should be, too."""
_REMINDER = 300_000
"""Milliseconds between two lines of the log about a mapper that does not answer."""
_CLOSING_DELAY = 250
_HEALTH_INTERVAL = 30_000
_KNOCK_INTERVAL = 300_000
_QUOTED = 300

Wire = Literal["auto", "native", "graphql"]


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
    """A report on its way: its bytes, rows nobody has answered for, and what is left of it to say in GraphQL."""

    body: bytes
    rows: int
    mutations: list[legacy.Mutation] = []
    shortened: bool = False


class _Asked(enum.Enum):
    """What the last request was."""

    REPORT = enum.auto()
    MUTATION = enum.auto()
    HEALTH = enum.auto()


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Reporter:
    """Turns a fold into a sequence of requests. Not for several threads at once.

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
        wire: What to speak: `native`, `graphql`, or `auto`, which begins with the first and falls back to the second.
        capture: What reports say of how this is watched.
        capture_reason: Likewise, of why there is no better way.
    """

    def __init__(
        self,
        fold: Fold,
        *,
        node: str,
        agent: str,
        started: int,
        heartbeat_interval: float = 4.0,
        on_forgotten: Callable[[], None] | None = None,
        wall: Callable[[], int] = wall_clock,
        boot: str = "",
        spread: random.Random | None = None,
        limit: int = 2000,
        wire: Wire = "native",
        capture: str = "",
        capture_reason: str = "",
    ) -> None:
        self.fold = fold
        self.totals = Totals()
        self._node = node
        self._agent = agent
        self._started = started
        self.capture = capture
        self._capture_reason = capture_reason
        self._heartbeat = round(heartbeat_interval * 1000)
        self._on_forgotten = on_forgotten
        self._wall = wall
        self._boot = boot or os.urandom(8).hex()
        self._spread = spread or random.Random()  # noqa: S311  jitter is no secret
        self._limit = limit
        self._automatic = wire == "auto"
        self._graphql = wire == "graphql"
        """Which wire is spoken now."""
        self._asked = _Asked.REPORT
        self._no_door: tuple[int, bytes] | None = None
        """What the report door answered, while the other one is asked for."""
        self._greeted = False
        self._health_at = 0
        self._knock_at = 0
        self._cut_off = False
        self._told_elsewhere = False
        self._sequence = 0
        self._fold_time = 0
        self._watched_until = 0
        self._frozen: _Frozen | None = None
        self._frozen_at: int | None = None
        self._asked_at = 0
        """When the last request was made, by the wall clock."""
        self._ahead = 0
        self._retry_at = 0
        self._failures = 0
        self._told_away_at = 0
        """When the log was last told that the mapper does not answer; 0 while it does."""
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
    def wire(self) -> Literal["native", "graphql"]:
        """What is spoken now; before the mapper has answered, what is tried."""
        return "graphql" if self._graphql else "native"

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way and nothing would be sent but a heartbeat."""
        greeted = self._greeted if self._graphql else self._sequence > 0
        return self._frozen is None and greeted and not self._work()

    def _work(self) -> bool:
        if self.fold.has_due(self._fold_time):
            return True
        return self._closing and not self._graphql and self._state() != self._farewell

    def _state(self) -> tuple[list[SourceState], Tally]:
        return self.sources, self.drops

    def next_request(self, now: int) -> Request | None:
        """What to send now: what is not answered, when its retry is due, or what comes next."""
        if now < self._retry_at:
            return None
        if self._frozen is None and self._due(now):
            self._frozen = self._freeze(now)
        says = self._graphql and not self._knocks(now)
        if says:
            self._end_translated()
        if self._no_door is not None or (self._frozen is None and self._health_due(now)):
            self._asked = _Asked.HEALTH
            return legacy.health()
        if self._frozen is None:
            return None
        self._asked_at = self._wall()
        if says:
            self._asked = _Asked.MUTATION
            return self._frozen.mutations[0].request()
        self._asked = _Asked.REPORT
        return native(self._native_body(self._frozen))

    def _due(self, now: int) -> bool:
        if self._work():
            return True
        if self._graphql:
            return not self._closing and self._knocks(now)
        return self._frozen_at is None or (not self._closing and now >= self._frozen_at + self._heartbeat)

    def _health_due(self, now: int) -> bool:
        return self._graphql and (not self._greeted or (not self._closing and now >= self._health_at))

    def _knocks(self, now: int) -> bool:
        """Whether a mapper with a report door is looked for, on the other wire."""
        return self._automatic and now >= self._knock_at

    def wait(self, now: int) -> int:
        """Milliseconds until `next_request` may return something, if nothing new is fed meanwhile."""
        if now < self._retry_at:
            return self._retry_at - now
        if self._frozen is not None or self._due(now) or self._health_due(now):
            return 0
        if self._graphql:
            return max(0, (min(self._health_at, self._knock_at) if self._automatic else self._health_at) - now)
        return self._heartbeat if self._frozen_at is None else max(0, self._frozen_at + self._heartbeat - now)

    def _freeze(self, now: int) -> _Frozen:
        first = not (self._sequence or self._graphql)
        batch = None if first else self.fold.take(self._fold_time, self._limit)
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
            ahead=self._ahead,
            capture=self.capture,
            capture_reason=self._capture_reason,
        )
        frozen = _Frozen(self._encoder.encode(report), batch.rows if batch else 0)
        if self._graphql:
            self._translate(frozen, report)
        return frozen

    def _translate(self, frozen: _Frozen, report: Report) -> None:
        """Find the words of the other wire for a report; rows that it has none for are refused."""
        frozen.mutations = legacy.mutations_of(report)
        unsayable = frozen.rows - sum(mutation.rows for mutation in frozen.mutations)
        if unsayable:
            self._complain("unsayable", "the mapper's GraphQL has no words for some rows", 0, b"")
            self._own_drops.add(Drop.REPORT_REFUSED, unsayable)
            frozen.rows -= unsayable
            frozen.shortened = True

    def _native_body(self, frozen: _Frozen) -> bytes:
        """The report's bytes, without the rows that the other wire has answered for already."""
        if frozen.shortened:
            report = msgspec.msgpack.decode(frozen.body, type=Report)
            legacy.keep_lists(report, {name for mutation in frozen.mutations for name in mutation.lists})
            frozen.body, frozen.shortened = self._encoder.encode(report), False
        return frozen.body

    def answered(self, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        """Take the answer to the last request. Header names are lower case."""
        match self._asked:
            case _Asked.REPORT if self._frozen is not None:
                self._report_answered(status, headers, body, now)
            case _Asked.MUTATION if self._frozen is not None:
                self._mutation_answered(self._frozen, status, headers, body, now)
            case _Asked.HEALTH:
                self._health_answered(status, headers, body, now)

    def _report_answered(self, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        receipt = receipt_of(status, headers, body)
        verdict = verdict_of(status)
        if receipt is not None:
            self._taken(receipt)
        elif self._graphql:
            self._knock_at = now + _KNOCK_INTERVAL
        elif verdict is Verdict.NO_DOOR and self._automatic:
            self._no_door = status, body
        elif verdict is Verdict.TAKEN:
            self._complain("receipt", "what answers is no mapper's report door", status, body)
            self._back_off(now)
        elif verdict is Verdict.LATER:
            self._later(status, headers, body, now)
        else:
            self._refused(status, body)

    def _health_answered(self, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        verdict = legacy.judge(status, body, legacy.HEALTH_FIELD)
        if self._no_door is not None:
            (first_status, first_body), self._no_door = self._no_door, None
            if verdict is Verdict.TAKEN:
                self._speak_graphql(now)
            elif verdict is Verdict.LATER:
                self._later(status, headers, body, now)
            else:
                self._refused(first_status, first_body)
        elif verdict is Verdict.TAKEN:
            self.totals.last_success = self._wall()
            self._reached(now)
        else:
            self._graphql_failed(verdict, status, headers, body, now)

    def _mutation_answered(self, frozen: _Frozen, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        mutation = frozen.mutations[0]
        verdict = legacy.judge(status, body, mutation.operation)
        if verdict is Verdict.TAKEN:
            self.totals.sent += 1
            self.totals.rows += mutation.rows
            self.totals.last_success = self._wall()
            self._told_elsewhere = True
            self._reached(now)
        elif verdict is Verdict.REFUSED or (verdict is Verdict.NO_DOOR and not self._automatic):
            message = "this URL has no GraphQL door" if status in ABSENT else "the mapper refused a mutation"
            self._complain((mutation.operation, status), message, status, body)
            self.totals.refused += 1
            self._own_drops.add(Drop.REPORT_REFUSED, mutation.rows)
            self._greeted, self._failures = True, 0
        else:
            self._graphql_failed(verdict, status, headers, body, now)
            return
        frozen.rows -= mutation.rows
        del frozen.mutations[0]
        frozen.shortened = True
        self._end_translated()

    def _graphql_failed(self, verdict: Verdict, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        if verdict is Verdict.NO_DOOR and self._automatic:
            logger.info("the mapper's GraphQL door is gone: looking for its report door")
            self._graphql = False
        if verdict is Verdict.LATER:
            self._later(status, headers, body, now)
        else:
            self._complain("graphql", "what answers is no mapper's GraphQL", status, body)
            self._back_off(now)
        if status != 200:  # a full queue is no sign of another mapper
            self._knock_at = min(self._knock_at, now)

    def _later(self, status: int, headers: dict[str, str], body: bytes, now: int) -> None:
        self._complain(status, "the mapper cannot take reports now; trying again", status, body, logging.WARNING)
        self._back_off(now, retry_after(headers))

    def failed(self, error: BaseException, now: int) -> None:
        """Note that the last request was not answered."""
        if not self._told_away_at or now >= self._told_away_at + _REMINDER:
            again = "still no" if self._told_away_at else "no"
            told = {"error": _words(error), "waiting_rows": self.unsent_rows, "tries": self._failures + 1}
            logger.warning("%s answer from the mapper; trying again every few seconds", again, extra=told)
            self._told_away_at = now or 1
        self._no_door = None
        self._cut_off = self._cut_off or isinstance(error, ConnectionError)
        self._knock_at = min(self._knock_at, now)
        self._back_off(now)

    def _speak_graphql(self, now: int) -> None:
        logger.info("the mapper has no report door but GraphQL: speaking that")
        self._graphql = self._greeted = True
        self._knock_at, self._health_at = now + _KNOCK_INTERVAL, now + _HEALTH_INTERVAL
        self._cut_off = False
        if self._map is not None:
            self._tell_again()
        if self._frozen is not None:
            self._translate(self._frozen, msgspec.msgpack.decode(self._frozen.body, type=Report))
            self._end_translated()

    def _end_translated(self) -> None:
        """Be done with a report when the other wire has nothing left to say of it; of a heartbeat it never has."""
        if self._frozen is not None and not self._frozen.mutations:
            self._frozen = None

    def _reached(self, now: int) -> None:
        """Note that the mapper behind GraphQL answers. It keeps its map in memory: a new process knows nothing."""
        if self._failures:
            logger.info("the mapper answers", extra={"tries": self._failures + 1})
        self._greeted = True
        self._health_at = now + _HEALTH_INTERVAL
        self._failures = 0
        self._complained.clear()
        self._told_away_at = 0
        if self._cut_off:
            self._tell_again()

    def _tell_again(self) -> None:
        self._cut_off = self._told_elsewhere = False
        self.fold.forget()
        if self._on_forgotten is not None:
            self._on_forgotten()

    def _taken(self, receipt: Receipt) -> None:
        assert self._frozen is not None
        if self._failures:
            logger.info("the mapper answers", extra={"tries": self._failures + 1})
        if self._graphql:
            logger.info("the mapper has a report door: reporting there")
            self._graphql = False
        self.totals.sent += 1
        self.totals.rows += self._frozen.rows
        self.totals.last_success = self._wall()
        self._frozen = None
        self._failures = 0
        self._cut_off = False
        self._complained.clear()
        self._told_away_at = 0
        self._ahead = ahead_of(receipt.now, self._asked_at, self._wall())
        current = (receipt.store, receipt.epoch)
        another = self._map != current and (self._map is not None or self._lost_before_map)
        if another or self._told_elsewhere:
            logger.info("the mapper's map is another one: telling everything again", extra={"store": receipt.store})
            self._tell_again()
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


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
