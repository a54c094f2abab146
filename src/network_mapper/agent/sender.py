"""Carries reports to the mapper in a thread beside the capture, so that a mapper that hangs never stops the watching.

The thread is a daemon: a request that is still waiting when the process ends is abandoned, and its rows are counted as
unsent, which is what they are for all that is known.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from network_mapper.agent.exchange import Request
    from network_mapper.agent.reporter import Reporter
    from network_mapper.http_client import HttpClient
    from network_mapper.model import Observation, Tally
    from network_mapper.wire.report import SourceState

logger = logging.getLogger(__name__)

T = TypeVar("T")

_GLANCE = 0.25
"""Seconds after which a waiting main thread looks again, because a signal may have changed its mind."""


def steady_clock() -> int:
    """Milliseconds of a clock that never jumps."""
    return time.monotonic_ns() // 1_000_000


class Sender:
    """One thread that sends what a reporter freezes. All methods may be called from any thread.

    Args:
        reporter: Belongs to the sender from now on.
        client: Likewise.
    """

    def __init__(self, reporter: Reporter, client: HttpClient) -> None:
        self._reporter = reporter
        self._client = client
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Start with the first heartbeat."""
        self._thread.start()

    def feed(
        self,
        observations: Iterable[Observation],
        fold_time: int,
        watched_until: int,
        sources: list[SourceState],
        drops: Tally,
    ) -> None:
        """Hand over what was seen; arguments as those of `Reporter.feed` and `Reporter.set_sources`."""
        with self._changed:
            self._reporter.feed(observations, fold_time, watched_until)
            self._reporter.set_sources(sources, drops)
            if self._reporter.wait(steady_clock()) == 0:
                self._changed.notify_all()

    def look(self, question: Callable[[Reporter], T]) -> T:
        """Ask the reporter something while nobody changes it."""
        with self._changed:
            return question(self._reporter)

    def wait_until(self, condition: Callable[[Reporter], bool], patience: float) -> bool:
        """Wait until something holds.

        Args:
            condition: Asked after each answer.
            patience: Seconds without a report taken or refused, after which waiting is given up.

        Returns:
            Whether the condition holds.
        """
        with self._changed:
            progress, since = self._progress(), time.monotonic()
            while not condition(self._reporter):
                if self._progress() != progress:
                    progress, since = self._progress(), time.monotonic()
                left = since + patience - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, _GLANCE))
            return True

    def _progress(self) -> tuple[int, int]:
        return self._reporter.totals.sent, self._reporter.totals.refused

    def flush(self) -> None:
        """Make everything that waits due now."""
        with self._changed:
            self._reporter.fold.flush()
            self._changed.notify_all()

    def close(self) -> None:
        """Send everything, with a last report of the totals, and then end."""
        with self._changed:
            self._stopping = True
            self._reporter.close(steady_clock())
            self._changed.notify_all()

    def finish(self, patience: float) -> int:
        """After `close`: wait for the thread.

        Args:
            patience: Seconds.

        Returns:
            Rows that were not sent; they are counted and logged.
        """
        self._thread.join(patience)
        with self._changed:
            unsent = self._reporter.give_up()
        if unsent:
            logger.warning("stopped while the mapper had not taken everything", extra={"unsent_rows": unsent})
        return unsent

    def _run(self) -> None:
        while (request := self._next()) is not None:
            try:
                answer = self._client.request("POST", request.path, request.body, request.headers)
            except OSError as error:
                self._note(error)
            except Exception as error:
                logger.exception("a report could not be sent")
                self._note(error)
            else:
                with self._changed:
                    self._reporter.answered(answer.status, answer.headers, answer.body, steady_clock())
                    self._changed.notify_all()
        self._client.close()

    def _next(self) -> Request | None:
        """Wait for a request that is due; None when everything is sent and the end has come."""
        with self._changed:
            while (request := self._reporter.next_request(steady_clock())) is None:
                if self._stopping and self._reporter.idle:
                    return None
                self._changed.wait(max(0.01, self._reporter.wait(steady_clock()) / 1000))
            return request

    def _note(self, error: Exception) -> None:
        with self._changed:
            self._reporter.failed(error, steady_clock())
            self._changed.notify_all()
