"""A saved map: what `list -o json` or `list -o yaml` printed, or the mapper's own `/api/v1/map`.

It holds the edges that were shown when it was saved, with their totals. So there is nothing to reset, no status, and no
answer to what was seen since some moment within it; those are refused with a line that says what to do.
"""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper import __version__
from network_mapper.cli.errors import CliError
from network_mapper.cli.progress import progress
from network_mapper.cli.sources.base import EVERYTHING, MapQuery, MapSource, NoStatusError
from network_mapper.cli.sources.exchange import short
from network_mapper.export.document import ListDocument, TimeError, restore
from network_mapper.export.labels import namespace_of
from network_mapper.model import Workload
from network_mapper.wire.api import MapDocument, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.wire.api import ResetDocument, Status

LARGEST: Final = 1 << 30
"""Bytes; the bound of what is read from a mapper, too."""

LARGEST_YAML: Final = 64 << 20
"""Bytes; YAML takes twenty times the time of JSON to read, some fifteen seconds at this bound."""

_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""What Windows PowerShell puts before what it redirects into a file."""

_HOW: Final = "Save one with 'network-mapper list --all -o json'."


class _Head(msgspec.Struct):
    """What both documents have. The mapper writes times as numbers, a list as text."""

    store: str
    generated_at: int | str | None


class FileSource(MapSource):
    """A map in a file, which is read when it is first asked for, and once.

    Args:
        path: Of the file; `-` for the standard input.

    Raises:
        CliError: From every method, when there is no usable answer.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.where = "the standard input" if path == "-" else path
        self._document: MapDocument | None = None

    def map(self, query: MapQuery = EVERYTHING) -> MapDocument:
        """The part of the map that is asked for."""
        if query.since:
            raise CliError(
                f"{self.where} is a saved map: it holds totals, and cannot tell what of them was seen since when. "
                "Leave out --since, or save a map of that time with 'network-mapper list --all --since 1h -o json'."
            )
        if self._document is None:
            with progress(f"reading {self.where}"):
                self._document = self._read()
        if not query.namespaces:
            return self._document
        edges = [edge for edge in self._document.edges if namespace_of(edge.client) in query.namespaces]
        ends = {end for edge in edges for end in (edge.client, edge.server)}
        return msgspec.structs.replace(
            self._document,
            edges=edges,
            own=[workload for workload in self._document.own if workload in ends],
            workloads=[row for row in self._document.workloads if Workload(row.name, row.namespace, row.kind) in ends],
        )

    def status(self) -> Status:
        """There is none."""
        raise NoStatusError(f"{self.where} is a saved map, which has no status. Ask the mapper, without --map-file.")

    def reset(self) -> ResetDocument:
        """There is nothing to empty."""
        raise CliError(f"{self.where} is a saved map, and only a mapper's can be emptied. Leave out --map-file.")

    def _read(self) -> MapDocument:
        data = self._bytes()
        for mark, encoding in _BOMS:
            if data.startswith(mark):
                data = data.decode(encoding, "replace").encode()
        start = data[:4096].lstrip()
        if not start and not data.strip():
            raise CliError(f"{self.where} is empty. {_HOW}")
        if not start.startswith((b"{", b"[")):
            return self._from_yaml(data)
        return self._decode(data, msgspec.json.decode)

    def _bytes(self) -> bytes:
        """What the file holds, or an error where that is more than is read."""
        try:
            if self._path == "-":
                data = sys.stdin.buffer.read(LARGEST + 1)
            else:
                with Path(self._path).expanduser().open("rb") as file:
                    data = file.read(LARGEST + 1)
        except OSError as error:
            folder = isinstance(error, IsADirectoryError) or (self._path != "-" and Path(self._path).is_dir())
            reason = "it is a folder" if folder else error.strerror or error
            raise CliError(f"the saved map {self.where} cannot be read ({reason}). Check --map-file.") from error
        if len(data) > LARGEST:
            raise CliError(f"{self.where} is larger than a map is allowed to be ({LARGEST >> 30} GiB). {_HOW}")
        return data

    def _decode(self, content: Any, decode: Callable[..., Any]) -> MapDocument:
        """Make a map of JSON's text or of YAML's data, by the function that reads it."""
        try:
            head: _Head = decode(content, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._foreign(content, decode, error) from error
        try:
            if isinstance(head.generated_at, int):
                answer: MapDocument = decode(content, type=MapDocument)
                return answer
            return restore(decode(content, type=ListDocument))
        except (msgspec.DecodeError, UnicodeDecodeError, TimeError) as error:
            raise CliError(
                f"{self.where} holds a map that version {__version__} does not understand ({error}). "
                "Use the version of network-mapper that saved it."
            ) from error

    def _from_yaml(self, data: bytes) -> MapDocument:
        from network_mapper.cli.sources import plain_yaml  # noqa: PLC0415  30 ms, for those whose map is YAML

        if len(data) > LARGEST_YAML:
            raise CliError(
                f"{self.where} is larger than YAML is read ({LARGEST_YAML >> 20} MiB). Save the map with -o json."
            )
        try:
            content = plain_yaml.load(data)
        except plain_yaml.YamlError as error:
            raise CliError(f"{self.where} is neither JSON nor a map in YAML ({short(str(error))}). {_HOW}") from error
        return self._decode(content, msgspec.convert)

    def _foreign(self, content: Any, decode: Callable[..., Any], error: Exception) -> CliError:
        if not isinstance(error, msgspec.ValidationError):
            return CliError(f"{self.where} is no usable JSON ({error}); perhaps it was cut short. {_HOW}")
        try:
            problem: Problem = decode(content, type=Problem)
        except msgspec.ValidationError:
            return CliError(f"{self.where} is no saved map ({error}). {_HOW}")
        detail = short(f"{problem.title}: {problem.detail}".removesuffix(": "))
        return CliError(f"{self.where} is no map but a mapper's refusal ({problem.status} {detail}). {_HOW}")

    def close(self) -> None:
        """Nothing is open."""
