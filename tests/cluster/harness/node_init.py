"""The first process of a node: makes it a machine of its own to what runs there, then only takes in orphans.

Runs as `python node_init.py SETTINGS` in new mount, host name, IPC, process-id and cgroup namespaces; SETTINGS is JSON.
The files are the real system's, but for what a node keeps of its own: `/proc`, `/sys`, `/run`, `/var/lib`, `/var/log`,
`/tmp`, who it is in `/etc`, and its control groups. What a kubelet would write into the whole system's settings goes
into private files. Standard library only; the file `/run/ready` tells that everything is mounted.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import uuid
from pathlib import Path

# <linux/mount.h>
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_SHARED = 0x1000, 0x2000, 0x4000, 1 << 18, 1 << 20

PROGRAMS = "bin"
OWN = ("var/lib", "var/log", "tmp")
KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""By which a kubelet knows that its machine was started again."""


def private_file(folder: Path, target: str) -> Path:
    """The file of a node's own that lies over one of the system's."""
    return folder / "etc" / target.strip("/").replace("/", "_")


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    if libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} at {target}: {os.strerror(number)}")


def lay_over(folder: Path, target: str, content: str = "") -> None:
    """Put a private file over one of the system's."""
    file = private_file(folder, target)
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    mount(file, target, flags=MS_BIND)


def prepare(name: str, folder: Path, programs: Path, hierarchies: dict[str, str], hosts: str) -> None:
    """Mount everything.

    Args:
        name: The node's name.
        folder: What it keeps; seen at the same path.
        programs: Folder with its own programs; seen there as `PROGRAMS`, wherever it lies.
        hierarchies: Folders and mount options of the control groups' hierarchies.
        hosts: Its `/etc/hosts`.
    """
    socket.sethostname(name)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("cgroup", "/sys/fs/cgroup", "tmpfs", options="mode=755")
    for hierarchy, options in hierarchies.items():
        (Path("/sys/fs/cgroup") / hierarchy).mkdir()
        mount("cgroup", Path("/sys/fs/cgroup") / hierarchy, "cgroup", options=options)
    (folder / PROGRAMS).mkdir(exist_ok=True)
    mount(programs, folder / PROGRAMS, flags=MS_BIND)
    for own in OWN:
        (folder / own).mkdir(parents=True, exist_ok=True)
        mount(folder / own, f"/{own}", flags=MS_BIND)
    # The node's folder lies below the /run that is replaced, so it goes along.
    run = folder / "run"
    run.mkdir(exist_ok=True)
    mount("tmpfs", run, "tmpfs", options="mode=755")
    kept = run / folder.relative_to("/run")
    kept.mkdir(parents=True)
    mount(folder, kept, flags=MS_BIND | MS_REC)
    mount(run, "/run", flags=MS_MOVE)
    for path in ("/run/lock", "/run/containerd", "/var/lib/kubelet"):
        Path(path).mkdir(exist_ok=True)
    for key, value in KERNEL.items():
        if Path("/proc/sys", key).exists():
            lay_over(folder, f"/proc/sys/{key}", value + "\n")
    lay_over(folder, "/etc/hosts", hosts)
    lay_over(folder, "/etc/hostname", name + "\n")
    if Path("/etc/machine-id").exists():
        lay_over(folder, "/etc/machine-id", uuid.uuid5(uuid.NAMESPACE_DNS, name).hex + "\n")
    lay_over(folder, BOOT_ID, f"{uuid.uuid4()}\n")
    lay_over(folder, "/etc/resolv.conf", "nameserver 127.0.0.1\n")
    lay_over(folder, "/dev/kmsg")  # else every kill for lack of memory on this machine is an event of every node
    mount("none", "/", flags=MS_REC | MS_SHARED)


def main() -> None:
    """Prepare, then reap until killed."""
    settings = json.loads(sys.argv[1])
    folder, programs = Path(settings["folder"]), Path(settings["programs"])
    prepare(settings["name"], folder, programs, settings["hierarchies"], settings["hosts"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    Path("/run/ready").touch()
    while True:
        reap()
        signal.sigwaitinfo({signal.SIGCHLD})


def reap() -> None:
    """Take in everybody who has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
