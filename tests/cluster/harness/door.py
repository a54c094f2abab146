"""A mapper's REST interface, asked at an address that the tests reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from network_mapper.http_client import HttpClient
from network_mapper.wire.api import MapDocument, Status

if TYPE_CHECKING:
    from harness.release import Release

T = TypeVar("T")


class MapperDoor:
    """A mapper's REST interface.

    Args:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def of(cls, release: Release) -> MapperDoor:
        """The door of a release, by the address of its Service."""
        service = release.cluster.admin.get("services", release.namespace, "network-mapper")
        return cls(f"http://{service['spec']['clusterIP']}:9090")

    def map(self) -> MapDocument:
        """The whole map."""
        return self._ask("/api/v1/map", MapDocument)

    def status(self) -> Status:
        """What the mapper says of itself."""
        return self._ask("/api/v1/status", Status)

    def _ask(self, path: str, shape: type[T]) -> T:
        with HttpClient(self.url, 5.0) as client:
            answer = client.request("GET", path)
        if answer.status != 200:
            raise ConnectionError(f"{path}: {answer.status} {answer.body[:300]!r}")
        return msgspec.json.decode(answer.body, type=shape)
