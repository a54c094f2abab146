"""Daemons that belong to a test process: started with a log each, waited for, and never left behind.

A daemon asks the kernel to be killed when its parent dies (`setpriv --pdeathsig`), so even SIGKILL of the test process
ends it. The kernel means the thread that started it, hence daemons are started from the main thread only. What is on
disk is removed by `Workspace`'s own little process, which waits on a pipe for the test process to end in any way.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL = 0.03
KILL_AFTER = 1.0
TAIL_LINES = 25
OPEN_FILES = 16384

# The shell closes the gap in which the parent may die before the kernel knows that we want to follow it.
_FOLLOW = ("setpriv", "--pdeathsig", "KILL", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')

# Daemons killed a moment ago may still write; so it tries until nothing is left.
_SWEEP = 'cat >/dev/null; for _ in $(seq 100); do rm -rf -- "$0" && exit; sleep 0.05; done'


class HarnessError(RuntimeError):
    """A part did not start or did not answer in time; the message says what, with the end of its log."""


class ProgramMissingError(HarnessError):
    """A program is not installed; the message says how to get it."""


class Workspace:
    """A temporary folder that goes away with this process, however that ends.

    Args:
        parent: Folder to make it in; the system's folder for temporary files if None.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="network-mapper-cluster-", dir=parent))
        self._sweeper = subprocess.Popen(
            ["sh", "-c", _SWEEP, str(self.path)], stdin=subprocess.PIPE, start_new_session=True
        )

    def remove(self) -> None:
        """Remove the folder now."""
        assert self._sweeper.stdin
        self._sweeper.stdin.close()
        self._sweeper.wait(10)


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this address now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


class Daemon:
    """A program that runs until it is stopped; may be started again.

    Args:
        name: What people call it.
        command: Program and arguments.
        folder: Where its log goes, as NAME.log; a restart appends.
        environment: Variables on top of ours.
        prefix: A program that starts it elsewhere, such as nsenter with a network namespace.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [*prefix, *command]
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id.

        Raises:
            HarnessError: It does not run.
        """
        if not self._process:
            raise HarnessError(f"{self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the process.

        Raises:
            HarnessError: The program cannot be started, or this is not the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise HarnessError(f"{self.name} would die with this thread; start it from the main thread")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = min(OPEN_FILES, hard) if hard != resource.RLIM_INFINITY else OPEN_FILES
        limits = ("prlimit", "--core=0", f"--nofile={files}:{files}")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*limits, *_FOLLOW, str(os.getpid()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        return self

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` says so; an OSError of it means not yet.

        Raises:
            HarnessError: The process ended, or it was not ready in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.running:
                raise HarnessError(f"{self.name} ended (exit {self._status()}):\n{self.tail()}")
            with contextlib.suppress(OSError):
                if ready():
                    return
            time.sleep(POLL)
        raise HarnessError(f"{self.name} was not ready after {seconds:.0f} s:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        return "(no log)"

    def signal(self, number: int) -> None:
        """Send a signal if the process lives."""
        if self.running and self._process:
            self._process.send_signal(number)

    def stop(self, seconds: float = KILL_AFTER) -> None:
        """Ask the process to end; kill it when it has not after so many seconds."""
        self.signal(signal.SIGTERM)
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Wait for the end after a signal; kill the process when it has not ended after so many seconds."""
        if not self._process:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _status(self) -> int | None:
        return self._process.poll() if self._process else None


def stop_all(daemons: Sequence[Daemon], seconds: float = KILL_AFTER) -> None:
    """Ask all of them to end at once, then wait for each; whoever is still there after so many seconds is killed."""
    for daemon in daemons:
        daemon.signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for daemon in daemons:
        daemon.wait(max(0.0, deadline - time.monotonic()))


def require(programs: Mapping[str, str]) -> None:
    """Make sure that programs are installed.

    Args:
        programs: Names, and the Debian packages that have them.

    Raises:
        ProgramMissingError: Some are not; the message says how to get them.
    """
    missing = sorted({package for name, package in programs.items() if not shutil.which(name)})
    if missing:
        names = " ".join(missing)
        raise ProgramMissingError(f"missing on this machine: {names}; on Debian: sudo apt install {names}")
