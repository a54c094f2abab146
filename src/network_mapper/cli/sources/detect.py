"""Which kind of mapper answers at an address.

Ours is taken for granted, so it costs nothing to find it: its first request is the one that was wanted anyway. Only
where the answer is none of ours is the model's GraphQL tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import EVERYTHING, MapQuery, MapSource
from network_mapper.cli.sources.exchange import NoAnswerError, ask, describe
from network_mapper.cli.sources.rest import ForeignError, RestSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from network_mapper.http_client import HttpClient
    from network_mapper.wire.api import MapDocument, ResetDocument, Status

T = TypeVar("T")

_PROBE = msgspec.json.encode({"query": "query Health { health }", "operationName": "Health"})


def source_at(client: HttpClient, where: str, why: str = "") -> MapSource:
    """The map of the mapper that a client is connected to; which kind it is turns out with the first request.

    Args:
        client: Closed with the source. Its path prefix does not include `/query`.
        where: What the mapper is called in messages.
        why: What stands before the message that nobody answers there, where the address was not named.
    """
    return _Undecided(client, where, why)


class _Undecided(MapSource):
    """Ours, until an answer says otherwise."""

    def __init__(self, client: HttpClient, where: str, why: str) -> None:
        self._client = client
        self._why = why
        self.where = where
        self._source: MapSource = RestSource(client, where)
        self._decided = False

    def map(self, query: MapQuery = EVERYTHING) -> MapDocument:
        return self._first(lambda source: source.map(query))

    def status(self) -> Status:
        return self._first(lambda source: source.status())

    def reset(self) -> ResetDocument:
        return self._first(lambda source: source.reset())

    def _first(self, request: Callable[[MapSource], T]) -> T:
        if self._decided:
            return request(self._source)
        try:
            answer = request(self._source)
        except NoAnswerError as error:
            raise NoAnswerError(self._why + error.message) from error
        except ForeignError as error:
            self._source = self._other(error)
            answer = None
        self._decided = True
        return request(self._source) if answer is None else answer

    def _other(self, error: ForeignError) -> MapSource:
        """The model's mapper, if that is what answers."""
        response = ask(self._client, self.where, "POST", "/query", _PROBE)
        if not _is_graphql(response.body):
            raise CliError(
                f"what answers at {self.where} is no mapper: /api/v1 gives {describe(error.response)}, and /query "
                f"{describe(response)}. Check --mapper-url."
            ) from error
        from network_mapper.cli.sources.model import ModelSource  # noqa: PLC0415  for the few who need it

        return ModelSource(self._client, self.where)

    def close(self) -> None:
        self._client.close()


def _is_graphql(body: bytes) -> bool:
    """Whether an answer is GraphQL's, be it data or a refusal."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(content, dict) and ("data" in content or isinstance(content.get("errors"), list))
