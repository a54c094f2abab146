"""The map of a mapper, by its REST interface.

Each way in which that can fail becomes one line that says what was tried and what to do. Fields that this version does
not know are ignored, so a command works with a newer mapper.
"""

from __future__ import annotations

import sys
import urllib.parse
from http import HTTPStatus
from typing import Self, TypeVar

import msgspec

from network_mapper import __version__
from network_mapper.cli.errors import CliError
from network_mapper.cli.sources.base import EVERYTHING, MapQuery
from network_mapper.http_client import HttpClient, HttpError, UrlError, mapper_address
from network_mapper.wire.api import MapDocument, Problem, ResetDocument, Status

T = TypeVar("T")

_STATUSES = frozenset(HTTPStatus)


class RestSource:
    """The map that one mapper serves.

    Args:
        url: As `--mapper-url` takes it.

    Raises:
        CliError: From every method, when there is no usable answer.
    """

    def __init__(self, url: str) -> None:
        self.url = self.where = url
        try:
            self._client = HttpClient(mapper_address(url))
        except UrlError as error:
            raise CliError(f"{error}. Name the mapper with --mapper-url.") from None

    def map(self, query: MapQuery = EVERYTHING) -> MapDocument:
        """The part of the map that is asked for."""
        words = [("namespace", namespace) for namespace in query.namespaces]
        if query.since:
            words.append(("since", str(query.since)))
        if query.labels:
            words.append(("labels", "true"))
        path = "/api/v1/map" + ("?" + urllib.parse.urlencode(words) if words else "")
        return self._ask("GET", path, MapDocument)

    def status(self) -> Status:
        """The state of the mapper and of its sniffers."""
        return self._ask("GET", "/api/v1/status", Status)

    def reset(self) -> ResetDocument:
        """Empty the map."""
        return self._ask("POST", "/api/v1/reset", ResetDocument)

    def _ask(self, method: str, path: str, expected: type[T]) -> T:
        headers, body = {"accept": "application/json"}, None
        if method == "POST":  # no browser sends this type to another site unasked, so the mapper wants it for changes
            headers["content-type"], body = "application/json", b"{}"
        try:
            response = self._client.request(method, path, body, headers)
        except HttpError as error:
            raise CliError(f"what answers at {self.url} is no mapper ({self._foreign(error)}).") from error
        except OSError as error:
            if "ssl" in sys.modules and isinstance(error, sys.modules["ssl"].SSLError):  # not loaded for plain http
                raise CliError(
                    f"no trusted connection to the mapper at {self.url} ({error.strerror or error}). "
                    "Check its certificate, or whether it speaks plain http."
                ) from error
            raise CliError(
                f"no mapper answers at {self.url} ({error.strerror or error}). "
                "Start one with 'network-mapper mapper', or name a running one with --mapper-url."
            ) from error
        if response.status != HTTPStatus.OK:
            raise CliError(self._refusal(response.status, response.body))
        try:
            return msgspec.json.decode(response.body, type=expected)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CliError(
                f"the answer of {self.url} is none that version {__version__} understands ({error}). "
                "Check that the URL is a mapper's; 'network-mapper status' and 'network-mapper version' show versions."
            ) from error

    def _foreign(self, error: Exception) -> str:
        return f"{type(error).__name__}: {error}".rstrip(": ") + ", check --mapper-url"

    def _refusal(self, status: int, body: bytes) -> str:
        try:
            problem = msgspec.json.decode(body, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            reason = HTTPStatus(status).phrase if status in _STATUSES else "unknown status"
            return f"{self.url} answered HTTP {status} ({reason}), not as a mapper does. Check --mapper-url."
        detail = f": {problem.detail}" if problem.detail else ""
        return f"the mapper at {self.url} answered {status} {problem.title}{detail}"

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
