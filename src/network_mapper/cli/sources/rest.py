"""The map of a mapper, by its REST interface.

Each way in which that can fail becomes one line that says what was tried and what to do. Fields that this version does
not know are ignored, and what an older mapper does not know is asked for in another way, so a command works with
mappers of other versions.
"""

from __future__ import annotations

import urllib.parse
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from network_mapper import __version__
from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import EVERYTHING, MapQuery, MapSource
from network_mapper.cli.sources.exchange import ask, refusal, short
from network_mapper.model import Workload
from network_mapper.wire.api import MapDocument, Problem, ResetDocument, Status, WorkloadsDocument

if TYPE_CHECKING:
    from network_mapper.http_client import HttpClient, Response

T = TypeVar("T")

_ELSEWHERE = frozenset(
    {
        HTTPStatus.OK,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.GONE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""Statuses by which a server says that it has no such interface; 200 is for those that have a page for every path."""


class ForeignError(CliError):
    """What answers is not our REST interface, and may be another that can be asked.

    Attributes:
        response: The answer.
    """

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response


class _ProblemError(CliError):
    """The mapper says what is wrong."""

    def __init__(self, message: str, problem: Problem) -> None:
        super().__init__(message)
        self.problem = problem


class _Ours(msgspec.Struct):
    """What every version of our map and status has, and no other program's answer."""

    store: str
    epoch: int


def _advice(response: Response) -> str:
    """What to do about what a mapper says is wrong."""
    if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE):
        return f". It may be of another version than this program ({__version__}); use the mapper's version."
    if response.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return ". Try again in a while."
    return ". Its log may say more." if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""


class RestSource(MapSource):
    """The map that one mapper serves.

    Args:
        client: Connected to the mapper; closed with the source.
        where: What the mapper is called in messages.

    Raises:
        CliError: From every method, when there is no usable answer.
    """

    def __init__(self, client: HttpClient, where: str) -> None:
        self._client = client
        self.where = where

    def map(self, query: MapQuery = EVERYTHING) -> MapDocument:
        """The part of the map that is asked for."""
        words = [("namespace", namespace) for namespace in query.namespaces]
        if query.since:
            words.append(("since", str(query.since)))
        if not query.labels:
            return self._map(words)
        try:
            answer = self._map([*words, ("labels", "true")])
        except _ProblemError as error:
            if error.problem.status != HTTPStatus.BAD_REQUEST or "labels" not in error.problem.detail:
                raise
            answer = self._map(words)
        else:
            if "labels" not in answer.ignored:
                return answer
        # An older mapper refuses the parameter or ignores it, and has the labels in a document of their own.
        ends = {end for edge in answer.edges for end in (edge.client, edge.server) if isinstance(end, Workload)}
        rows = self._ask("GET", "/api/v1/workloads", WorkloadsDocument).workloads
        answer.workloads = [row for row in rows if Workload(row.name, row.namespace, row.kind) in ends]
        return answer

    def _map(self, words: list[tuple[str, str]]) -> MapDocument:
        path = "/api/v1/map" + ("?" + urllib.parse.urlencode(words) if words else "")
        answer = self._ask("GET", path, MapDocument)
        if "since" in answer.ignored:
            raise CliError(f"the mapper at {self.where} does not know --since. Upgrade it, or leave out the option.")
        return answer

    def status(self) -> Status:
        """The state of the mapper and of its sniffers."""
        return self._ask("GET", "/api/v1/status", Status)

    def reset(self) -> ResetDocument:
        """Empty the map."""
        return self._ask("POST", "/api/v1/reset", ResetDocument)

    def _ask(self, method: str, path: str, expected: type[T]) -> T:
        # No browser sends JSON to another site unasked, so the mapper wants it for changes.
        response = ask(self._client, self.where, method, path, b"{}" if method == "POST" else None)
        if response.status != HTTPStatus.OK:
            raise self._refusal(response)
        try:
            return msgspec.json.decode(response.body, type=expected)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._misunderstood(response, error) from error

    def _refusal(self, response: Response) -> CliError:
        try:
            problem = msgspec.json.decode(response.body, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = refusal(self.where, response)
            return ForeignError(message, response) if response.status in _ELSEWHERE else CliError(message)
        detail = f": {short(problem.detail).rstrip('.')}" if problem.detail else ""
        return _ProblemError(
            f"the mapper at {self.where} answered {response.status} {short(problem.title)}{detail}{_advice(response)}",
            problem,
        )

    def _misunderstood(self, response: Response, error: Exception) -> CliError:
        try:
            msgspec.json.decode(response.body, type=_Ours)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ForeignError(
                f"the answer of {self.where} is none that version {__version__} understands ({error}). "
                "Check that the URL is a mapper's; 'network-mapper status' and 'network-mapper version' show versions.",
                response,
            )
        return CliError(
            f"the mapper at {self.where} is of another version than this program ({__version__}), which does not "
            f"understand its answer ({error}). Use the mapper's version of network-mapper."
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
