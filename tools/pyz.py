"""Makes `network-mapper.pyz`: one file with the wheels for every system that it runs on.

Compared on Linux with Python 3.11, `--help` of an unpacked archive, CPU time; the interpreter alone took 41 ms:

    shiv          82 ms    3.9 MB    one system, one Python
    pex          508 ms    5.1 MB    several, but not Windows
    pex --venv   184 ms    5.1 MB    likewise; it starts two interpreters
    this          78 ms   46.8 MB    seven systems with four Pythons each

So there is a small loader of our own, `templates/pyz_*.py`. The wheels go in as they are, so that whoever wants to can
compare them with the registry's.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from pathlib import Path

import wheels

TEMPLATES = Path(__file__).resolve().parent / "templates"
UNIX_SHEBANG = b"#!/usr/bin/env python3\n"
WINDOWS_SHEBANG = b"#!/usr/bin/env python.exe\r\n"
"""The launcher looks for a program of this name on PATH."""


def add(
    archive: zipfile.ZipFile, name: str, content: bytes, epoch: int, *, mode: int = 0o644, packed: bool = True
) -> None:
    """Add a file whose bytes in the archive depend on nothing but the arguments."""
    moment = time.gmtime(max(epoch, 315_532_800))  # the format begins with 1980
    info = zipfile.ZipInfo(name, moment[:6])
    info.create_system = 3  # Unix, wherever this runs, so that the mode counts
    info.external_attr = (0o100000 | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    archive.writestr(info, content)


def build(project: Path, fetched: Path, epoch: int, platforms: list[str]) -> bytes:
    """The archive, without the line that names its interpreter.

    Args:
        project: Our own wheel.
        fetched: Folder of the others.
        epoch: Time of the files in it, seconds.
        platforms: Which systems it is for.
    """
    index: dict[str, dict[str, object]] = {"wheels": {}, "targets": {}}
    contents: dict[str, bytes] = {}
    for platform, python in wheels.targets():
        if platform not in platforms:
            continue
        chosen = [project, *wheels.choose(fetched, platform, python)]
        index["targets"][f"{platform}-cp{python[0]}{python[1]}"] = [wheel.name for wheel in chosen]
        contents.update({wheel.name: wheel.read_bytes() for wheel in chosen if wheel.name not in contents})
    index["wheels"] = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    listed = json.dumps(index, indent=1, sort_keys=True).encode()
    sources = {name: (TEMPLATES / f"pyz_{name}.py").read_bytes() for name in ("main", "start", "unpack")}
    digest = hashlib.sha256(listed + b"".join(sources.values())).hexdigest()[:16]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        add(archive, "__main__.py", sources["main"], epoch)
        add(archive, "pyz_start.py", sources["start"].replace(b"@BUILD@", digest.encode()), epoch)
        add(archive, "pyz_unpack.py", sources["unpack"], epoch)
        add(archive, "index.json", listed, epoch)
        for name, content in sorted(contents.items()):
            add(archive, f"wheels/{name}", content, epoch, packed=False)
    return target.getvalue()


def launcher(fetched: Path) -> bytes:
    """The Windows program that starts the archive behind it."""
    (wheel,) = fetched.glob("distlib-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("distlib/t64.exe")
