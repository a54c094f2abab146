"""How a request fails: the status and the errors of the answer, as the model's clients expect them."""

from __future__ import annotations

from typing import Any, Final

PARSE_FAILED: Final = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED: Final = "GRAPHQL_VALIDATION_FAILED"


class RequestError(Exception):
    """The request is answered with errors.

    Attributes:
        status: Of the HTTP answer.
        errors: As GraphQL writes them.
        headers: Beside the usual ones.
    """

    def __init__(self, status: int, errors: list[dict[str, Any]], headers: dict[str, str] | None = None) -> None:
        super().__init__(errors[0]["message"])
        self.status = status
        self.errors = errors
        self.headers = headers or {}


def refused(status: int, message: str, headers: dict[str, str] | None = None) -> RequestError:
    """The request is none that can be understood."""
    return RequestError(status, [{"message": message}], headers)


def invalid(message: str, *, code: str = VALIDATION_FAILED, path: list[str | int] | None = None) -> RequestError:
    """The document, or what it is to be run with, is not valid: 422, by which the model's clients know old mappers."""
    error: dict[str, Any] = {"message": message}
    if path:
        error["path"] = path
    error["extensions"] = {"code": code}
    return RequestError(422, [error])


def failed(message: str, key: str) -> RequestError:
    """A field that may not be null has no value, so the answer has none: 200 with errors."""
    return RequestError(200, [{"message": message, "path": [key]}])
