"""Turns the signals that end a process into something that a loop can wait for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType


class Interrupted(Exception):  # noqa: N818  nothing went wrong
    """The end was asked for while something was waited for that has no descriptor."""


class Stop:
    """A request to end, made by SIGTERM, SIGINT or `request`.

    As a context it listens to the signals; outside the main thread, where Python allows no handlers, only `request`
    works. The descriptor becomes readable with the request, so a loop that waits for packets wakes at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self._interrupts = False
        self._read, self._write = os.pipe()
        self._former: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        for descriptor in (self._read, self._write):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
        if self._interrupts:
            raise Interrupted

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a signal break off what is done inside, by `Interrupted`: opening a pipe waits for its other end."""
        self._interrupts = True
        try:
            if self.requested:
                raise Interrupted
            yield
        finally:
            self._interrupts = False

    def request(self) -> None:
        """Ask for the end. Asking again changes nothing."""
        if not self.requested:
            self.requested = True
            os.write(self._write, b"\0")

    def fileno(self) -> int:
        """Readable once the end was asked for."""
        return self._read
