"""Runs a command where it can make network namespaces freely, and where nothing it makes can outlive it.

The command gets its own mount and process-id namespaces, and for an ordinary user a user namespace in which it is
root. A private tmpfs lies over `/run`, so named network namespaces never appear on the host. The first process in
there is the init of its process-id namespace: when it ends, the kernel ends everything else, and the mounts and
network namespaces go with the last process.

A pipe from outside, the lifeline, carries signals to be passed on as single bytes. When the outer process dies, even
by SIGKILL, the pipe closes and the inner init ends at once. (Relying on `prctl(PR_SET_PDEATHSIG)` alone would miss the
moments before it is set and the `unshare` process in between.)

Control groups are the one thing that no namespace takes along. What runs in here makes its own below `cgroups()`, and a
little process outside removes them when all is over.

    python -m network_mapper.testing.sandbox [--net] -- pytest -m lab
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

# Debian and its kin keep these in folders that an ordinary user's PATH lacks.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# What the lab needs, and the Debian package that has it.
TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "mount": "mount", "ip": "iproute2", "nft": "nftables"}

_MARK = "NETWORK_MAPPER_SANDBOX"
_LIFELINE = "NETWORK_MAPPER_SANDBOX_LIFELINE"
_CGROUPS = "NETWORK_MAPPER_SANDBOX_CGROUPS"
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_USER = ("--user", "--map-root-user")

# Waits for the end of whoever holds its input. The last processes may need a moment to leave their groups.
_SWEEP = """
cat > /dev/null
for _ in $(seq 200); do
  left=
  for group in /sys/fs/cgroup/"$0" /sys/fs/cgroup/*/"$0"; do
    [ -d "$group" ] && left=1 && find "$group" -depth -type d -delete
  done
  [ "$left" ] || exit 0
  sleep 0.05
done 2> /dev/null
"""

# Everything of which a kernel or a container's policy may forbid one: a tmpfs, a namespace with a name, veth, bridge,
# the sysctls of a router, and address translation with a random choice.
_PROBE = """
set -e
mount -t tmpfs tmpfs /run
mkdir /run/netns
touch /run/netns/probe
unshare --net=/run/netns/probe true
ip -n probe link add probe0 type veth peer name probe1
ip -n probe link add probe2 type bridge
nsenter --net=/run/netns/probe sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
nsenter --net=/run/netns/probe nft -f - <<'RULES'
table inet probe {
  chain one {
    meta l4proto tcp dnat ip to 192.0.2.1:80
  }
  chain nat {
    type nat hook prerouting priority dstnat
    ip daddr 192.0.2.2 tcp dport 80 numgen random mod 1 vmap { 0 : goto one }
  }
  chain out {
    type nat hook postrouting priority srcnat
    meta mark 1 masquerade
  }
}
RULES
"""


def extend_path() -> None:
    """Make the system's administration tools findable by an ordinary user."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders += [folder for folder in SYSTEM_FOLDERS if folder not in folders]
    os.environ["PATH"] = os.pathsep.join(folders)


def inside() -> bool:
    """Whether this process runs in a sandbox of ours (and not merely in an environment copied out of one)."""
    try:
        return os.environ.get(_MARK, "") == str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return False


def cgroups() -> str:
    """Name below which control groups may be made, relative to a hierarchy's root; they are removed with the sandbox.

    Empty outside a sandbox.
    """
    return os.environ.get(_CGROUPS, "") if inside() else ""


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _install(packages: Sequence[str]) -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    _say(f"installing {' '.join(packages)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=False).returncode:
        subprocess.run(["apt-get", "update"], env=environ, stdout=subprocess.DEVNULL, check=False)
        subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=False)


def _modes() -> list[tuple[str, ...]]:
    # A container's root may lack CAP_SYS_ADMIN and still be allowed a user namespace.
    return [(), _AS_USER] if os.geteuid() == 0 else [_AS_USER]


def _find_mode() -> tuple[tuple[str, ...] | None, str]:
    reason = ""
    for mode in _modes():
        try:
            probe = subprocess.run(
                [*_UNSHARE, *mode, "--", "sh", "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
            continue
        if probe.returncode == 0:
            return mode, ""
        reason = probe.stderr.strip().splitlines()[0] if probe.stderr.strip() else f"exit status {probe.returncode}"
    return None, f"this system forbids private namespaces: {reason}"


def _prepare(*, install: bool) -> tuple[tuple[str, ...] | None, str]:
    if not sys.platform.startswith("linux"):
        return None, f"network namespaces are a feature of Linux, and this is {sys.platform}"
    extend_path()
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing and install and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(missing)
        missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        return None, f"tools are missing; install them with: sudo apt-get install {' '.join(missing)}"
    return _find_mode()


def obstacle(*, install: bool = True) -> str | None:
    """Why no sandbox can be made here, as a sentence for people, or None when it can.

    Args:
        install: Install missing tools with apt where this is a Debian-like system and we are root.
    """
    return None if inside() else _prepare(install=install)[1] or None


def run(command: Sequence[str], *, net: bool = False, environ: dict[str, str] | None = None) -> int:
    """Run a command in a sandbox until it ends; SIGINT and SIGTERM are passed on to it.

    Args:
        command: Program and arguments.
        net: Give it a network namespace of its own as well, with loopback up.
        environ: Its environment instead of ours.

    Returns:
        Its exit status; 128 plus the signal when a signal ended it.

    Raises:
        OSError: No sandbox can be made here; the message says why.
    """
    mode, reason = _prepare(install=True)
    if mode is None:
        raise OSError(reason)
    far, near = os.pipe()
    # A sandbox in a sandbox makes its groups below the outer one's, which are removed at the latest with that.
    groups = "/".join(filter(None, [cgroups(), f"network-mapper-{os.getpid()}-{secrets.token_hex(3)}"]))
    environ = {**(os.environ if environ is None else environ), "PATH": os.environ["PATH"]}
    environ |= {_LIFELINE: str(far), _CGROUPS: groups}
    inner = [sys.executable, "-m", "network_mapper.testing.sandbox", "--inner", "--", *command]
    unshare = [*_UNSHARE, *mode, *(["--net"] if net else []), "--", *inner]

    def pass_on(number: int, _: object) -> None:
        os.write(near, bytes([number]))

    former = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    # An ordinary user may make no control groups. The sweeper holds nothing of ours, such as a terminal's pipe.
    sweeper = None if mode else subprocess.Popen(["sh", "-c", _SWEEP, groups], stdin=subprocess.PIPE,
                                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                                 start_new_session=True)  # fmt: skip
    try:
        # Its own session, because Ctrl-C would otherwise reach everything in there at once, and the command twice.
        process = subprocess.Popen(unshare, env=environ, pass_fds=[far], start_new_session=True)
        os.close(far)
        status = process.wait()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        os.close(near)
        if sweeper:
            sweeper.communicate()
    return status if status >= 0 else 128 - status


def _guard(lifeline: int, child: int) -> None:
    while byte := os.read(lifeline, 1):
        try:
            os.kill(child, byte[0])
        except ProcessLookupError:
            continue
    os._exit(128 + signal.SIGKILL)


def _be_init(command: Sequence[str]) -> NoReturn:
    """Run as the first process of the namespaces: prepare them, start the command, reap, end with its status."""
    lifeline = int(os.environ.pop(_LIFELINE))
    os.set_inheritable(lifeline, False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    Path("/run/netns").mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], stderr=subprocess.DEVNULL, check=False)
    os.environ[_MARK] = str(Path("/proc/self/ns/pid").readlink())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        child = subprocess.Popen(command, preexec_fn=_default_signals)  # noqa: PLW1509  no thread runs yet
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
        os._exit(127)
    threading.Thread(target=_guard, args=(lifeline, child.pid), daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def main(arguments: Sequence[str]) -> int:
    """Run from the command line."""
    if "--" not in arguments or not arguments[arguments.index("--") + 1 :]:
        _say("usage: python -m network_mapper.testing.sandbox [--net] -- COMMAND [ARGUMENT ...]")
        return 2
    split = list(arguments).index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    if "--inner" in options:
        _be_init(command)
    try:
        return run(command, net="--net" in options)
    except OSError as error:
        _say(f"no sandbox: {error}")
        return 125


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
