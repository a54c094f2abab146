"""Starts an image in an emulated machine: a real kernel of its architecture, and nothing in it but the image.

QEMU emulates the processor, so this needs no hardware of that kind, and no virtualisation; Debian's kernel for clouds
boots within seconds even so. The image is the first file system, handed over in memory: no disk, no network.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import image_archive
import image_cache

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator

EMULATOR = "qemu-system-aarch64"
# -nic none: otherwise it looks for the firmware of a network card. A processor without pointer authentication, which
# emulation pays for at each call.
MACHINE = ["-M", "virt", "-cpu", "cortex-a72", "-accel", "tcg", "-m", "768", "-display", "none", "-serial", "stdio",
           "-monitor", "none", "-nic", "none", "-no-reboot"]  # fmt: skip
CONSOLE = "console=ttyAMA0 rdinit=/init panic=-1 quiet"
SECONDS = 420
"""How long a machine may run; alone on two cores it takes thirty."""

_NEWC = "070701"
_CONSOLE_DEVICE = (5, 1)


def _entry(
    number: int, name: str, mode: int, owner: tuple[int, int], *, content: bytes = b"", device: tuple[int, int] = (0, 0)
) -> bytes:
    """One entry of a cpio archive in the form "newc" (Linux: Documentation/driver-api/early-userspace)."""
    path = name.encode() + b"\0"
    fields = [number, mode, *owner, 1, 0, len(content), 0, 0, *device, len(path), 0]
    head = _NEWC.encode() + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def _type_and_content(layer: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[int, bytes]:
    if member.isdir():
        return 0o040000, b""
    if member.issym():
        return 0o120000, member.linkname.encode()
    stream = layer.extractfile(member)
    assert stream is not None
    return 0o100000, stream.read()


def _entries(archive: Path, files: dict[str, bytes]) -> Iterator[bytes]:
    yield _entry(0, ".", 0o040755, (0, 0))
    yield _entry(0, ".", 0o040755, (0, 0))
    number, folders = 1, set()
    for layer in image_archive.layers(archive):
        for member in layer:
            if member.isdir() and member.name in folders:
                continue
            folders.add(member.name)
            kind, content = _type_and_content(layer, member)
            yield _entry(number, member.name, kind | member.mode, (member.uid, member.gid), content=content)
            number += 1
    yield _entry(number, "dev/console", 0o020600, (0, 0), device=_CONSOLE_DEVICE)
    yield _entry(number + 1, "trial", 0o040755, (0, 0))
    for name, content in files.items():
        number += 1
        yield _entry(number + 1, name.lstrip("/"), 0o100755, (0, 0), content=content)
    yield _entry(0, "TRAILER!!!", 0, (0, 0))


def start(archive: Path, files: dict[str, bytes]) -> str:
    """Boot an arm64 image and return what its console showed until it switched itself off.

    Args:
        archive: The image.
        files: What lies in it beside the image: `/init`, which the kernel starts, and what that needs in `/trial`.

    Raises:
        BuildError: QEMU or the kernel is missing.
        TimeoutError: It did not switch itself off; the message ends with what it showed.
    """
    if not shutil.which(EMULATOR):
        raise image_cache.packages.BuildError(
            f"{EMULATOR} is missing. Install it, on Debian with: sudo apt install qemu-system-arm"
        )
    started = image_cache.kernel()
    with tempfile.TemporaryDirectory() as scratch:
        memory = Path(scratch, "initramfs")
        with memory.open("wb") as stream:
            for part in _entries(archive, files):
                stream.write(part)
        command = [EMULATOR, *MACHINE, "-kernel", started, "-initrd", memory, "-append", CONSOLE]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        ) as process:  # fmt: skip
            try:
                return process.communicate(timeout=SECONDS)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                shown = process.communicate()[0]
                raise TimeoutError(f"the machine ran for more than {SECONDS} s: {shown[-2000:]}") from None
            except BaseException:
                process.kill()
                raise
