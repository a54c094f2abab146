"""Runs inside the image, with its interpreter: uses it as its users would, and prints what came of it as JSON.

It knows nothing but the standard library and paths of the image. As the first process of an emulated machine
(`image_machine.start`) it first makes a system of it, and switches it off at the end.
"""

import ctypes
import http.client
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = "/usr/local/bin/network-mapper"
USER = 65532
AS_USER = {"user": USER, "group": USER, "extra_groups": []}
SOCKET = "/tmp/m.sock"  # noqa: S108  the image's own folder
URL = f"unix:{SOCKET}"
PICTURE = "/tmp/map.png"  # noqa: S108  likewise
BEGIN, END = "<<<trial", "trial>>>"
STORE = "/data/map.db"
SECONDS = 60


class Mapper(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def ready():
    """The status of /readyz once the mapper answers 200, or the last thing that it said."""
    answer, deadline = None, time.monotonic() + SECONDS
    while answer != 200 and time.monotonic() < deadline:
        try:
            connection = Mapper("mapper", timeout=10)
            connection.request("GET", "/readyz")
            answer = connection.getresponse().status
        except OSError as error:
            answer = str(error)
        time.sleep(0.1)
    return answer


def run(*words):
    done = subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False, **AS_USER)
    return {"code": done.returncode, "out": done.stdout.decode(errors="replace"), "err": done.stderr.decode()}


def cpu_of_help():
    """CPU time of `network-mapper --help`, the least of some runs, seconds; emulated, it tells nothing."""
    least = float("inf")
    for _ in range(0 if os.getpid() == 1 else 5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least


def writable():
    """The folders outside /proc, /sys and /dev that the image's user may write to."""
    found = []
    for folder, names, _ in os.walk("/"):
        if folder == "/":
            names[:] = [name for name in names if name not in {"proc", "sys", "dev"}]
        state = Path(folder).stat()
        if state.st_uid == USER or state.st_mode & 0o002:
            found.append(folder)
    return sorted(found)


def live():
    """Which sources a sniffer on this very kernel has, as the mapper tells it; only where we are the system's root."""
    sniffer = subprocess.Popen(
        [PROGRAM, "sniffer", "--mapper-url", URL, "--node", "emulated"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        status = json.loads(run("status", "--mapper-url", URL, "-o", "json")["out"] or "{}")
        for each in status.get("sniffers", ()):
            if each["node"] == "emulated":
                sniffer.terminate()
                return {"sources": each["sources"], "code": sniffer.wait(SECONDS)}
    sniffer.kill()
    return {"error": sniffer.communicate()[1].decode()}


def trial():
    told = {"machine": platform.machine(), "version": run("version"), "help": run("--help")}
    told["help_cpu"], told["writable"] = cpu_of_help(), writable()
    mapper = subprocess.Popen(
        [PROGRAM, "mapper", "--snapshot", "/trial/cluster.json", "--listen", URL, "--store", STORE],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **AS_USER,
    )  # fmt: skip
    try:
        told["ready"] = ready()
        told["sniffer"] = run("sniffer", "--pcap", "/trial/node-1.pcap", "--mapper-url", URL)
        told["list"] = run("list", "--mapper-url", URL)
        told["picture"] = run("visualize", "--mapper-url", URL, "--output-path", PICTURE)
        told["picture_bytes"] = Path(PICTURE).stat().st_size
        if os.getpid() == 1:
            told["live"] = live()
    finally:
        mapper.terminate()
        told["log"] = mapper.communicate(timeout=SECONDS)[1].decode()
        told["ended"] = mapper.returncode
    return told


def make_system():
    """What a container's runtime does: /proc, /sys, /dev, a writable /tmp and /data, everything else read-only."""
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(kind, at, options=b"", flags=0):
        if libc.mount(kind, at, kind, flags, options):
            raise OSError(ctypes.get_errno(), at.decode())

    for kind, at in ((b"proc", b"/proc"), (b"sysfs", b"/sys"), (b"devtmpfs", b"/dev")):
        mount(kind, at)
    mount(b"tmpfs", b"/tmp", b"mode=1777")
    mount(b"tmpfs", b"/data", b"mode=755,uid=%d,gid=%d" % (USER, USER))
    if libc.mount(None, b"/", None, 32 | 1, None):  # MS_REMOUNT | MS_RDONLY
        raise OSError(ctypes.get_errno(), "/")


def switch_off():
    os.sync()
    ctypes.CDLL(None).reboot(0x4321FEDC)


if __name__ == "__main__":
    try:
        if os.getpid() == 1:
            make_system()
        sys.stdout.write(f"\n{BEGIN}{json.dumps(trial())}{END}\n")
        sys.stdout.flush()
    finally:
        if os.getpid() == 1:
            switch_off()
