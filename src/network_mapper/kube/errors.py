"""What can go wrong between us and the Kubernetes API, each told in one line that a person can act on."""

from __future__ import annotations

import os

_LONGEST = 600


class KubeConfigError(ValueError):
    """A kubeconfig, or what stands in for one, cannot be used; the message says what to change."""


class NoClusterError(KubeConfigError):
    """No cluster is configured at all: no kubeconfig, and no service account."""


class ApiError(Exception):
    """A request to the Kubernetes API came to nothing."""


class UnreachableError(ApiError):
    """No connection, a failure of TLS, a time-out, a connection that broke, or an answer that is no HTTP."""


class RefusedError(ApiError):
    """The API answered, and did not do as asked.

    Args:
        message: One line.
        code: HTTP status of its answer.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class CredentialsError(ApiError):
    """What proves who we are cannot be had: a token file that is gone, a plugin that failed."""


def one_line(text: str) -> str:
    """The text on one line and of bounded length, for a message that quotes somebody else."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * _LONGEST]).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def reason(error: BaseException) -> str:
    """What an exception says, without its number and file name."""
    if isinstance(error, OSError) and error.strerror:
        if error.errno and error.strerror.startswith("Connect call failed"):  # asyncio's words in place of the system's
            return os.strerror(error.errno)
        return one_line(error.strerror)
    return one_line(str(error)) or type(error).__name__
