"""Named network namespaces, and processes and functions that run in them.

The names are those of `ip netns` (a file in `/run/netns` each), so `ip -n NAME` works on them. They are made here with
unshare(2) and mount(2) in a thread of its own, because `ip netns add` wants to go back to the namespace it came from,
which an ordinary user's sandbox may not when that is the host's. For the same reason `call` uses a thread that enters
and never returns. `ip netns exec` is avoided: it mounts another `/sys`.

A `Host` is a process-id namespace with its own `/proc`: what a node's agent sees of processes is its own node's.

Meant to be used inside `sandbox`, where `/run` is private.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FOLDER = Path("/run/netns")

# <linux/sched.h> and <linux/mount.h>
_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000

T = TypeVar("T")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _in_thread(function: Callable[[], T]) -> T:
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            result.append(function())
        except BaseException as error:  # noqa: BLE001  handed to the caller, whatever it is
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def enter(name: str) -> None:
    """Move the calling thread into a namespace. There may be no way back.

    Raises:
        OSError: No such namespace, or not allowed.
    """
    with (FOLDER / name).open("rb") as file:
        _checked(_libc().setns(file.fileno(), _CLONE_NEWNET), f"setns {name}")


def call(name: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function inside a namespace. Sockets and files of `/proc/sys/net` that it opens belong there."""

    def body() -> T:
        enter(name)
        return function(*arguments)

    return _in_thread(body)


def command(name: str, argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` inside a namespace, with the same process id and the same mounts."""
    return ["nsenter", f"--net={FOLDER / name}", "--", *argv]


def spawn(name: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a process inside a namespace; `options` are those of `subprocess.Popen`."""
    return subprocess.Popen(command(name, argv), **options)


class Host:
    """A process-id namespace and a mount namespace with a `/proc` of it, until the end of the `with` block."""

    def __init__(self) -> None:
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        self._holder = subprocess.Popen(
            [*argv, "sh", "-c", "echo; exec sleep 2000000000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        # The line comes when /proc is mounted.
        if not self._holder.stdout.readline():
            raise OSError(f"no process-id namespace: unshare ended with status {self._holder.wait()}")

    def spawn(self, name: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process here and in a network namespace; `options` are those of `subprocess.Popen`.

        What is returned is its parent, which ends with the same status. Stop it with `stop`.
        """
        entry = f"/proc/{self._holder.pid}/ns"
        enter_host = ["nsenter", f"--mount={entry}/mnt", f"--pid={entry}/pid_for_children", f"--net={FOLDER / name}"]
        return subprocess.Popen([*enter_host, "--", *argv], **options)

    def close(self) -> None:
        """End everything in here."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def interrupt(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """Send a signal to what `Host.spawn` started; nsenter, which it returned, passes none on."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        return
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), number)


def ip(name: str, lines: Iterable[str]) -> None:
    """Run lines of `ip` (without the word itself) inside a namespace, as one batch.

    Raises:
        OSError: One of them failed; the message is that of `ip`.
    """
    _feed(["ip", "-n", name, "-batch", "-"], "\n".join(lines) + "\n")


def nft(name: str, rules: str) -> None:
    """Load a ruleset inside a namespace.

    Raises:
        OSError: It was refused; the message is that of `nft`.
    """
    _feed(command(name, ["nft", "-f", "-"]), rules)


def _feed(argv: list[str], text: str) -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")


def sysctl(name: str, settings: dict[str, str]) -> None:
    """Set sysctls of a namespace; keys are paths under `/proc/sys/net`. Keys the kernel does not have are left out."""

    def body() -> None:
        for key, value in settings.items():
            path = Path("/proc/sys/net") / key
            if path.exists():
                path.write_text(value)

    call(name, body)


class Namespaces:
    """A set of named network namespaces, removed at the end of the `with` block, each with its loopback up."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, *names: str) -> None:
        """Make namespaces.

        Raises:
            OSError: Not allowed here, or one of the names is taken.
        """

        def body() -> None:
            libc = _libc()
            for name in names:
                path = FOLDER / name
                path.touch(exist_ok=False)
                self.names.append(name)
                _checked(libc.unshare(_CLONE_NEWNET), "unshare")
                # The thread's own entry: /proc/self is the process, which stays where it was.
                source = b"/proc/thread-self/ns/net"
                _checked(libc.mount(source, os.fsencode(path), None, _MS_BIND, None), f"mount {path}")

        FOLDER.mkdir(exist_ok=True)
        _in_thread(body)
        for name in names:
            ip(name, ["link set lo up"])

    def close(self) -> None:
        """Take the names away; a namespace itself ends with its last process and socket."""
        libc = _libc()
        while self.names:
            path = FOLDER / self.names.pop()
            libc.umount2(os.fsencode(path), 0)
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
