"""Writing what a command made: to a file, to a folder of files, or to the standard output.

A file appears whole or not at all: it is written beside its place and then renamed, so that an interrupted run or a
full disk leaves what was there. What is in the way is not lost by a slip of the pen: a file that is there is replaced
only when it holds an earlier output of the same kind, or with `--force`. Output is bytes, because the ends of lines
belong to the format and not to the system.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Ours = Callable[[bytes], bool]
    """Whether the beginning of a file (its first HEAD bytes) is that of an earlier output."""

STDOUT = "-"
HEAD = 4096
"""Bytes of a file that are looked at to see whether it is ours."""
_LONGEST_NAME = 240
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in "123456789")})
"""Names that Windows keeps for devices, whatever follows their first dot."""


def nothing(_: bytes) -> bool:
    """For outputs that do not show who wrote them: none of these may be replaced."""
    return False


def file_path(text: str) -> Path:
    """The path of a file to write.

    Raises:
        CliError: It names a folder by what it ends with, which a Path forgets.
    """
    if text.endswith(("/", os.sep)):
        raise CliError(f"{text} names a folder. Name a file in it.")
    return Path(text)


def check(path: Path, *, force: bool, ours: Ours = nothing) -> None:
    """See whether a file may be written, before anything is asked for it.

    Args:
        path: Of the file.
        force: Whether any file there may be replaced.
        ours: Says of a file there by its beginning whether it may be replaced even so.

    Raises:
        CliError: There is something in the way, or nowhere to write to.
    """
    try:
        if path.is_dir():
            raise CliError(f"{path} is a folder. Name a file in it.")
        if not path.exists():
            _check_parent(path)
        elif path.is_file() and not force and not _may_be_replaced(path, ours):
            raise CliError(f"{path} exists already. Name another file, or replace it with --force.")
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_write(path, error) from error


def check_folder(folder: Path) -> None:
    """See whether a folder may be made or written to.

    Raises:
        CliError: There is something in the way.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise CliError(f"{folder} is a file and no folder. Name a folder, or another kind of output.")
        if folder.is_dir() and not os.access(folder, os.W_OK):
            raise CliError(f"cannot write to {folder}: you have no right to. Name another folder.")
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_write(folder, error) from error


def write_file(path: Path, content: bytes, *, force: bool = False, ours: Ours = nothing) -> None:
    """Write a file.

    A link stays one: what it leads to is written. A file that is replaced keeps its rights. A device or a pipe is
    written to.

    Raises:
        CliError: As `check`, or the file system refuses.
    """
    check(path, force=force, ours=ours)
    _write({path: content})


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False, ours: Ours = nothing) -> list[str]:
    """Write files into a folder, which is made, for its owner alone, where it does not exist.

    Nothing is written when any of the files may not be, or finds no room.

    Args:
        folder: Where to.
        files: Contents by file name.
        force: Whether any file may be replaced.
        ours: Says of a file there by its beginning whether it is of an earlier output.

    Returns:
        The names of the files of earlier outputs in that folder that are not among these, sorted.

    Raises:
        CliError: As `check`, or the file system refuses.
    """
    check_folder(folder)
    existed = folder.exists()
    if existed:
        for name in files:
            check(folder / name, force=force, ours=ours)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write({folder / name: content for name, content in files.items()})
        if not existed:
            return []
        endings = {Path(name).suffix for name in files} or {".yaml", ".json"}
        others = [path for path in folder.iterdir() if path.name not in files and path.suffix in endings]
        return sorted(path.name for path in others if path.is_file() and _may_be_replaced(path, ours, empty=False))
    except CliError:
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    except OSError as error:
        raise _cannot_write(folder, error) from error


def write_stdout(content: bytes) -> None:
    """Write to the standard output, and let it out at once.

    Raises:
        OSError: It cannot be written to, or nobody reads it any more; `cli.main` knows what to say.
    """
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def file_name(name: str, ending: str) -> str:
    """A name for a file on any system, of a text of letters, digits, dots, dashes and underscores.

    Args:
        name: Without its ending.
        ending: With its dot.
    """
    stem, dot, rest = name.partition(".")
    if stem.lower() in _DEVICES:
        name = f"{stem}_{dot}{rest}"
    if len(name) > _LONGEST_NAME:
        import hashlib  # noqa: PLC0415  names are hardly ever so long

        name = f"{name[: _LONGEST_NAME - 13]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name + ending


def _write(files: Mapping[Path, bytes]) -> None:
    """Write all of the files beside their places, and only then put them there.

    Raises:
        CliError: The file system refuses.
    """
    staged: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, content in files.items():
            place = path.resolve()
            found = place.stat() if place.exists() else None
            if found is not None and not stat.S_ISREG(found.st_mode):
                with place.open("wb") as file:
                    file.write(content)
                continue
            beside = place.with_name(f".network-mapper-{os.urandom(6).hex()}.part")
            staged.append((beside, place))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(beside, flags, 0o666), "wb") as file:
                file.write(content)
            if found is not None:
                beside.chmod(stat.S_IMODE(found.st_mode))
        for beside, path in staged:
            beside.replace(path)
    except BrokenPipeError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_write(path, error) from error
    finally:
        for beside, _ in staged:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def _may_be_replaced(path: Path, ours: Ours, *, empty: bool = True) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except PermissionError:
        return False
    return ours(head) if head else empty


def _check_parent(path: Path) -> None:
    folder = path.resolve().parent if path.is_symlink() else path.absolute().parent
    if not folder.is_dir():
        raise CliError(f"cannot write {path}: there is no folder {folder}. Make it first, or name another place.")
    if not os.access(folder, os.W_OK):
        raise CliError(f"cannot write {path}: you have no right to write in {folder}. Name another place.")


def _cannot_write(path: Path, error: OSError | ValueError | RuntimeError) -> CliError:
    reason = getattr(error, "strerror", None) or error  # a loop of links is a RuntimeError
    return CliError(f"cannot write {path}: {reason}. Name another place, or look at the rights and the space there.")
