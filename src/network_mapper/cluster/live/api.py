"""What following a cluster needs of a Kubernetes API client, and no more: `kube.client.ApiClient` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager


class Answer(Protocol):
    """A whole answer; names of headers are in lower case."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    @property
    def body(self) -> bytes:
        """All of it."""


class Stream(Protocol):
    """An answer whose body is still coming."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    def lines(self) -> AsyncIterator[bytes]:
        """Whole lines; raises `kube.errors.ApiError` when the connection breaks."""

    async def body(self) -> bytes:
        """The rest, of an answer that is an error."""


class Api(Protocol):
    """Reads the API. A failure to get any answer raises `kube.errors.ApiError`."""

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: str = "application/json"
    ) -> Answer:
        """One answer, whatever its status."""

    def stream(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        silence: float = 330.0,
    ) -> AbstractAsyncContextManager[Stream]:
        """An answer that comes line by line; `silence` seconds without a byte break it."""
