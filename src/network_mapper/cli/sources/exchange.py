"""One request to what answers at an address, and what can be wrong with it, each in one line.

What stands at an address that a person gave need not be a mapper: it may be a proxy, a login page, another program, or
nothing. So every failure says what was found there, and what to do.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING

from network_mapper.cli.errors import CliError
from network_mapper.cli.progress import progress
from network_mapper.http_client import CutShortError, HttpError

if TYPE_CHECKING:
    from network_mapper.http_client import HttpClient, Response

JSON = "application/json"

_STATUSES = frozenset(HTTPStatus)
_LOGIN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})
_BEHIND = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_SHOWN = 200
"""Characters of a foreign text in a message."""


class NoAnswerError(CliError):
    """Nobody answers at the address."""


def ask(client: HttpClient, where: str, method: str, path: str, content: bytes | None = None) -> Response:
    """Send one request; `content` is JSON.

    Args:
        client: Connected to the address.
        where: What the address is called in messages.
        method: Of HTTP.
        path: With the query string.
        content: To send.

    Raises:
        CliError: There is no answer.
    """
    headers = {"accept": JSON} | ({"content-type": JSON} if content is not None else {})
    try:
        with progress(f"asking {where}"):
            return client.request(method, path, content, headers)
    except CutShortError as error:
        raise CliError(
            f"the connection to {where} ended too early: {error}. Try again; if it stays so, the log of the mapper, or "
            "of a proxy before it, says why."
        ) from error
    except HttpError as error:
        raise CliError(f"what answers at {where} is no mapper: {error}. Check --mapper-url.") from error
    except TimeoutError as error:
        if "handshake" in str(error):
            raise CliError(
                f"no trusted connection to the mapper at {where}: nobody answered the TLS handshake in time. "
                "Check whether it speaks plain http."
            ) from error
        raise CliError(
            f"the mapper at {where} did not answer in time ({error.strerror or error}). "
            "Try again, or look whether it is overloaded, and whether a firewall stands between."
        ) from error
    except OSError as error:
        if "ssl" in sys.modules and isinstance(error, sys.modules["ssl"].SSLError):  # not loaded for plain http
            raise CliError(
                f"no trusted connection to the mapper at {where} ({error.strerror or error}). "
                "Check its certificate, or whether it speaks plain http."
            ) from error
        raise NoAnswerError(
            f"no mapper answers at {where} ({error.strerror or error}). "
            "Start one with 'network-mapper mapper', or name a running one with --mapper-url."
        ) from error


def refusal(where: str, response: Response) -> str:
    """What an answer means that is no mapper's."""
    status = response.status
    reason = f"HTTP {status} ({HTTPStatus(status).phrase if status in _STATUSES else 'unknown status'})"
    target = response.headers.get("location", "")
    if 300 <= status < 400 and target:
        return f"{where} answered {reason} and sends to {short(target)}. Give --mapper-url the mapper's own address."
    if status in _LOGIN:
        return (
            f"{where} answered {reason}: something before the mapper asks who you are, and no credentials are sent "
            "to a URL. Reach the mapper through the cluster, with --kubeconfig or --context in place of --mapper-url."
        )
    if status in _BEHIND:
        return f"{where} answered {reason}, not as a mapper does: a proxy reaches no mapper. Check that it runs."
    return f"{where} answered {reason}, not as a mapper does. Check --mapper-url."


def describe(response: Response) -> str:
    """What an answer is, for a person who wonders what stands there."""
    start = response.body[:512].lstrip()
    if not start:
        kind = "empty"
    elif start.startswith(b"<"):
        kind = "a web page"
    elif start.startswith((b"{", b"[")):
        kind = "other JSON"
    else:
        kind = "text"
    return f"HTTP {response.status}, {kind}"


def short(text: str) -> str:
    """A foreign text for a message: one line, not too long, and nothing that a terminal would act on."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in text).split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
