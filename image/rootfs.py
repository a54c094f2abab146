"""Puts the image's file system together, in three steps; `Containerfile` and `tools/image.py` both run them.

`fetch` gets packages and wheels, `base` makes of them what changes rarely, `project` what changes with this project.
Each of the last two is a layer. There is no shell, no package manager and no pip in the image: only what the list in
`rootfs_packages.py` names, less what `LEFT_OUT` and `TAKEN` say. The same packages and sources give the same bytes:
modules are compiled by Debian's own interpreter of the same version, all files carry one time, and modes are normal.

    python3 image/rootfs.py fetch   --arch ARCH FETCHED
    python3 image/rootfs.py base    --arch ARCH FETCHED ROOT
    python3 image/rootfs.py project --arch ARCH FETCHED ROOT
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import rootfs_packages as packages
import rootfs_sbom as sbom
from rootfs_packages import PYTHON, BuildError, run, say

ROOT = Path(__file__).resolve().parent.parent
SITE = f"usr/local/lib/python{PYTHON}/dist-packages"
"""Where Debian's Python looks for what Debian has not packed."""
PROGRAM = "usr/local/bin/network-mapper"
USER = 65532
"""The user and group that the image runs as."""
TIME = 315_532_800
"""What every file is dated: 1 January 1980, the first day that zip archives know."""

TAKEN = {
    "base-files": ["etc/debian_version", "etc/os-release", "usr/lib/os-release", "usr/share/common-licenses/*"],
    "ca-certificates": ["usr/share/ca-certificates/mozilla/*"],
    "gcc-12-base": [],
}
"""All that is taken of some packages, beside their copyright; of others it is all but `LEFT_OUT`."""
LEFT_OUT = [
    "usr/share/[!d]*",  # manuals, menus, overrides for Debian's own checks
    "usr/share/doc/*/[!c]*",
    "usr/share/doc/*/changelog*",
    "etc/ld.so.conf.d/*",
    "usr/lib/*/gconv/*",  # iconv's tables, 8 MB; Python has its own
    "usr/lib/*/libnss_*",  # name services other than files and DNS
    "usr/lib/*/engines-3/*",  # OpenSSL's drivers for hardware
    "usr/lib/*/libmvec*",
    "usr/lib/*/libc_malloc_debug*",
    "usr/lib/*/libthread_db*",
    "usr/lib/*/audit/*",
    *(f"usr/lib/python3.11/{name}/*" for name in
      ("curses", "dbm", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo",
       "venv", "*/test", "*/tests")),
    "usr/lib/python3.11/turtle.py",
    *(f"usr/lib/python3.11/lib-dynload/{name}.*" for name in
      ("_bz2", "_crypt", "_curses*", "_dbm", "_lzma", "_uuid", "nis", "readline", "_ctypes_test", "_test*", "_xx*")),
    f"{SITE}/*.pyx",
    f"{SITE}/*.pxd",
    f"{SITE}/*.[ch]",
    f"{SITE}/*.dist-info/RECORD",  # it would name what is left out
]  # fmt: skip
"""What the image does without; `*` goes across folders."""

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/nonexistent\n"
    f"network-mapper:x:{USER}:{USER}:network-mapper:/nonexistent:/nonexistent\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/nonexistent\n",
    "etc/group": f"root:x:0:\nnetwork-mapper:x:{USER}:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
FOLDERS = ["data", "dev", "etc", "proc", "run", "sys", "tmp"]
MODES = {"tmp": 0o1777}
OWNERS = {"data": USER}
"""Whatever does not belong to root; what packs a layer gives it to them."""

LAUNCHER = f"""#!/usr/bin/python{PYTHON} -I
import sys

from network_mapper.__main__ import start

sys.exit(start())
"""
"""-I: neither the environment nor the working directory says what is imported."""

# Runs in Debian's interpreter. The hash of its source is in each file and never compared: the image does not change.
_COMPILE = """
import importlib.util, py_compile, sys
for name in sys.stdin.read().splitlines():
    py_compile.compile(f"{sys.argv[1]}/{name}", importlib.util.cache_from_source(f"{sys.argv[1]}/{name}"), "/" + name,
                       True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""


def left_out(path: str) -> bool:
    """Whether the image does without a file."""
    return any(fnmatchcase(path, pattern) for pattern in LEFT_OUT)


def _merged(path: str) -> str:
    """Where a file of a package lies now that /lib is a link to /usr/lib."""
    path = path.removeprefix("./")
    return f"usr/{path}" if path.split("/")[0] in {"bin", "sbin", "lib", "lib64"} else path


def _write(file: Path, content: bytes, *, program: bool = False) -> None:
    if os.path.lexists(file):
        raise BuildError(f"two packages bring {file}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o755 if program else 0o644)


def _wanted(path: str, package: str) -> bool:
    if path == f"usr/share/doc/{package}/copyright":
        return True
    if package in TAKEN:
        return any(fnmatchcase(path, pattern) for pattern in TAKEN[package])
    return not left_out(path)


def unpack_deb(file: Path, root: Path, name: str) -> None:
    """Unpack what is wanted of a Debian package."""
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            path = _merged(member.name)
            if member.isdir() or not _wanted(path, name):
                continue
            target = root / path
            if member.issym():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(member.linkname)
            elif member.isreg():
                _write(target, archive.extractfile(member).read(), program=bool(member.mode & 0o111))
            else:
                raise BuildError(f"{file.name} has {path}, which is neither a file nor a symbolic link")
    if process.returncode:
        raise BuildError(f"{file} is damaged")


def unpack_wheel(file: Path, root: Path) -> None:
    """Unpack what is wanted of a wheel; programs that it brings are not."""
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", entry.filename)
            if entry.is_dir() or left_out(f"{SITE}/{name}") or re.match(r"[^/]+\.data/scripts/", name):
                continue
            if re.match(r"[^/]+\.data/", name) or ".." in Path(name).parts or name.startswith("/"):
                raise BuildError(f"{file.name} has {entry.filename}, for which the image has no place")
            _write(root / SITE / name, archive.read(entry))


def compile_modules(root: Path, fetched: Path) -> None:
    """Compile every module under a root, as it will be named in the image."""
    interpreter = fetched / "interpreter"
    here = packages.machine()
    if here not in packages.ARCHITECTURES:
        raise BuildError(f"this machine is {here}; the modules are compiled on amd64 or arm64. {packages.ELSEWHERE}")
    processor, loader = packages.ARCHITECTURES[here]
    libraries = ":".join(f"{interpreter}/{part}/{processor}-linux-gnu" for part in ("lib", "usr/lib"))
    names = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.py"))
    # The loader's own path in the package is a link from the root.
    (loader_file,) = (interpreter / f"lib/{processor}-linux-gnu").glob(Path(loader).name)
    done = subprocess.run(
        [loader_file, "--library-path", libraries, interpreter / f"usr/bin/python{PYTHON}", "-S", "-s", "-B",
         "-c", _COMPILE, root],
        input="\n".join(names), env={"PYTHONHOME": f"{interpreter}/usr", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"a module does not compile: {done.stderr.strip().splitlines()[-1]}")


def finish(root: Path) -> None:
    """Give everything under a root its one time and a normal mode."""
    for path in sorted([root, *root.rglob("*")], reverse=True):
        name = path.relative_to(root).as_posix()
        if not path.is_symlink():
            normal = 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644
            path.chmod(MODES.get(name, normal))
        os.utime(path, (TIME, TIME), follow_symlinks=False)


def base(architecture: str, fetched: Path, root: Path) -> None:
    """Lay out Debian's part and the wheels."""
    say(f"unpacking packages for {architecture}")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    if (packages.ARCHITECTURES[architecture][1]).startswith("lib64/"):
        (root / "lib64").symlink_to("usr/lib64")
    for package in packages.fetched(fetched):
        if package.kind == "pypi":
            unpack_wheel(fetched / "wheels" / package.file, root)
            continue
        file = fetched / "debs" / package.file
        unpack_deb(file, root, package.name)
        # Where scanners look for Debian's packages in an image without dpkg.
        _write(root / "var/lib/dpkg/status.d" / package.name, run("dpkg-deb", "--field", file).encode())
    for name, content in FILES.items():
        _write(root / name, content.encode())
    _certificates(root)
    say("compiling modules")
    compile_modules(root, fetched)
    finish(root)


def _certificates(root: Path) -> None:
    """One file of all authorities, where OpenSSL and everything else looks for it."""
    folder = root / "usr/share/ca-certificates"
    bundle = b"".join(file.read_bytes().rstrip() + b"\n" for file in sorted(folder.rglob("*.crt")))
    shutil.rmtree(folder)
    _write(root / "etc/ssl/certs/ca-certificates.crt", bundle)
    (root / "usr/lib/ssl").mkdir(exist_ok=True)
    (root / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")


def version(source: Path = ROOT) -> str:
    """This project's version."""
    found = re.search(r'__version__ = "(.+)"', (source / "src/network_mapper/__init__.py").read_text(encoding="utf-8"))
    if not found:
        raise BuildError(f"{source}/src/network_mapper/__init__.py names no version")
    return found[1]


def project_files(source: Path = ROOT) -> list[Path]:
    """The files of this project that go into the image: the package without what tests and the demo need."""
    package = source / "src" / "network_mapper"
    return sorted(
        file
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.relative_to(package).parts[0] != "testing"
    )


def project(architecture: str, fetched: Path, root: Path, moment: int) -> None:
    """Lay out this project's part, and the list of everything that is in the image."""
    for file in project_files():
        _write(root / SITE / file.relative_to(ROOT / "src"), file.read_bytes())
    ours = version()
    metadata = root / SITE / f"network_mapper-{ours}.dist-info"
    _write(metadata / "METADATA", f"Metadata-Version: 2.1\nName: network-mapper\nVersion: {ours}\n".encode())
    _write(metadata / "licenses" / "LICENSE", (ROOT / "LICENSE").read_bytes())
    _write(root / PROGRAM, LAUNCHER.encode(), program=True)
    listed = sbom.document(ours, architecture, packages.fetched(fetched), moment)
    _write(root / "usr/share/network-mapper/packages.spdx.json", listed.encode())
    compile_modules(root, fetched)
    finish(root)


def _give_away(root: Path) -> None:
    """Change owners where we may: a container engine copies them, and there we are root."""
    for name, owner in OWNERS.items():
        if (root / name).exists():
            with contextlib.suppress(OSError):
                os.chown(root / name, owner, owner)


def main(arguments: list[str]) -> int:
    """Do one step."""
    parser = argparse.ArgumentParser(description="Put the image's file system together.")
    parser.add_argument("step", choices=["fetch", "base", "project"])
    parser.add_argument("--arch", required=True, choices=sorted(packages.ARCHITECTURES))
    parser.add_argument("fetched", type=Path, help="folder of what was fetched")
    parser.add_argument("root", type=Path, nargs="?", help="folder that becomes a layer")
    asked = parser.parse_args(arguments)
    if asked.step != "fetch" and asked.root is None:
        parser.error(f"{asked.step} needs a ROOT")
    fetched = asked.fetched.resolve()
    target = fetched if asked.step == "fetch" else asked.root.resolve()
    if target.is_dir() and any(target.iterdir()):
        print(f"Error: {target} is not empty; name a new folder", file=sys.stderr)
        return 1
    target.mkdir(parents=True, exist_ok=True)
    try:
        if asked.step == "fetch":
            packages.fetch(asked.arch, ROOT / "requirements.lock", fetched)
        elif asked.step == "base":
            base(asked.arch, fetched, target)
        else:
            project(asked.arch, fetched, target, int(os.environ.get("SOURCE_DATE_EPOCH") or TIME))
        _give_away(target)
    except BuildError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
