"""Writes objects as a snapshot that `snapshot.load` takes: a file for each resource, as `kubectl get -o json` has it.

Only what the map needs is written, which is what was decoded: no environment, no annotations but those that can name a
workload. A folder appears whole or not at all: it is filled beside its place and then renamed.
"""

from __future__ import annotations

import os
import shutil
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from network_mapper.cluster.objects import Object

SUFFIX: Final = ".json"

_encode = msgspec.json.Encoder(order="deterministic").encode


class WriteError(Exception):
    """A snapshot cannot be written where it should be; one line for a person."""


class Collected:
    """The objects of a snapshot, as bytes: a tenth of what they take as objects."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[tuple[str, str], bytes]] = {}

    def add(self, resource: str, api_version: str, kind: str, item: Object) -> None:
        """Add an object; one that was added before under the same name is replaced.

        Args:
            resource: Name of its file, such as `deployments.apps`.
            api_version: As in objects, `apps/v1`.
            kind: As in objects, `Deployment`.
            item: The object, with its metadata.
        """
        meta = item.metadata
        if meta is None:
            return
        content = {"apiVersion": api_version, "kind": kind} | _without_nothing(msgspec.to_builtins(item))
        self._resources.setdefault(resource, {})[meta.namespace or "", meta.name] = _encode(content)

    def write_list(self, file: IO[bytes]) -> None:
        """Write everything as one list."""
        _write(file, (item for items in self._resources.values() for _, item in sorted(items.items())))

    def write_folder(self, folder: Path, *, force: bool = False) -> None:
        """Write a file for each resource.

        Args:
            folder: Where; it must not exist, or be empty.
            force: Replace a folder that holds another snapshot.

        Raises:
            WriteError: There is something in the way, or the file system refuses.
        """
        folder = folder.absolute()
        check(folder, force=force)
        beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            beside.mkdir()
            try:
                for resource, items in self._resources.items():
                    with (beside / f"{resource}{SUFFIX}").open("wb") as file:
                        _write(file, (item for _, item in sorted(items.items())))
                _put_in_place(beside, folder)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
        except OSError as error:
            raise WriteError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error


def check(folder: Path, *, force: bool) -> None:
    """See whether a snapshot may be written to a folder, before a cluster is asked for it.

    Raises:
        WriteError: There is something in the way.
    """
    try:
        found = sorted(folder.iterdir()) if folder.exists() or folder.is_symlink() else []
    except OSError as error:
        raise WriteError(f"cannot write to {folder}: {error.strerror or error}") from error
    foreign = [item.name for item in found if item.suffix != SUFFIX or not item.is_file() or item.is_symlink()]
    if foreign and force:
        raise WriteError(
            f"{folder} holds more than a snapshot ({foreign[0]}), so it is not replaced: name another folder"
        )
    if found and not force:
        raise WriteError(f"{folder} is not empty: name another folder, or replace it with --force")


def _put_in_place(beside: Path, folder: Path) -> None:
    """Rename; a folder that was there is moved away first and removed last."""
    if not folder.exists():
        beside.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(file: IO[bytes], items: Iterable[bytes]) -> None:
    """A list with a line for each object, so that two of them can be compared line by line."""
    file.write(b'{"apiVersion":"v1","kind":"List","items":[')
    before = b"\n"
    for item in items:
        file.write(before + item)
        before = b",\n"
    file.write(b"\n]}\n")


def _without_nothing(value: Any) -> Any:
    """A value without the fields that say nothing. An empty text may say something: labels have such values."""
    if isinstance(value, dict):
        cleaned = {key: _without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item is not None and item not in ([], {})}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value
