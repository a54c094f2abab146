"""What every source of a map can do, whatever stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import msgspec

from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from network_mapper.wire.api import MapDocument, ResetDocument, Status


class Connection(msgspec.Struct, frozen=True):
    """How a person asked for the map; empty fields were not given.

    Attributes:
        url: Of a mapper.
        file: A saved map, as `list -o json` or `-o yaml` prints it; `-` for the standard input.
        kubeconfig: File to find a cluster in.
        context: Of that file.
        namespace: Namespace of the mapper.
        service: Name of the mapper's service.
        port: Of that service, else of its pod.
    """

    url: str = ""
    file: str = ""
    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    service: str = ""
    port: int = 0


class MapQuery(msgspec.Struct, frozen=True):
    """Which part of the map is wanted.

    Attributes:
        namespaces: Of clients; empty for all.
        since: Only what was seen from this moment on, milliseconds since the epoch; 0 for everything.
        labels: Whether `MapDocument.workloads` is wanted, which carries the labels of the edges' ends.
        label_keys: Keys of the labels that the answer depends on: a mapper that cannot tell them is an error, and old
            ones tell only those that are named. Without keys all labels are wanted, as far as they are to be had.
    """

    namespaces: tuple[str, ...] = ()
    since: int = 0
    labels: bool = False
    label_keys: tuple[str, ...] = ()


EVERYTHING = MapQuery()


class NoStatusError(CliError):
    """What holds the map has no status, which is no reason to fail for a command that can do without."""


class MapSource(Protocol):
    """One map. Every method raises CliError when there is no usable answer.

    Attributes:
        where: What it is called in messages, such as a URL, `service network-mapper/mapper of context kind` or a path.
    """

    where: str

    def map(self, query: MapQuery = EVERYTHING) -> MapDocument:
        """The part of the map that is asked for."""

    def status(self) -> Status:
        """The state of the mapper and of its sniffers; NoStatusError where there is none to be had."""

    def reset(self) -> ResetDocument:
        """Empty the map."""

    def close(self) -> None:
        """End connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
