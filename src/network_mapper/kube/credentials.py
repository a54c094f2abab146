"""Who we are to the API, kept fresh: a token, a token file, name and password, or what a plugin prints.

A service account's token is replaced every hour or so while we run, and a plugin's may live for minutes. What is
refused is asked for anew once; what expires is asked for anew in time. Nothing here knows HTTP beyond one header.
"""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from network_mapper.kube.errors import CredentialsError, reason

if TYPE_CHECKING:
    from collections.abc import Callable

REREAD = 5.0
"""Seconds for which a token that was read from a file is used before the file is looked at again."""


class Proof(msgspec.Struct, frozen=True):
    """What a request shows.

    Attributes:
        authorization: Value of the `Authorization` header; empty for none.
        certificate: Client certificate with its chain in PEM; empty for none, or where the settings name one.
        key: Its private key in PEM.
    """

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = b""


class Credentials(Protocol):
    """Where proofs come from. Belongs to one event loop."""

    async def current(self) -> Proof:
        """The proof for the next request.

        Raises:
            CredentialsError: It cannot be had.
        """

    def reject(self, proof: Proof) -> None:
        """Hear that the API answered 401 to this proof; the next `current` looks for another."""


class Fixed:
    """A proof that never changes: a token, name and password, or nothing at all."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof

    async def current(self) -> Proof:
        """The proof that was given."""
        return self._proof

    def reject(self, proof: Proof) -> None:
        """There is no other."""


def bearer(token: str) -> Proof:
    """The proof that is a token."""
    return Proof(f"Bearer {token}")


def basic(username: str, password: str) -> Proof:
    """The proof that is a name and a password."""
    return Proof("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())


class TokenFile:
    """A token in a file that somebody replaces, such as a service account's in a pod.

    Args:
        file: Where it is.
        fallback: The token to use as long as the file was never readable; empty for none.
        clock: Seconds of a clock that never jumps.
    """

    def __init__(self, file: str, fallback: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._file = Path(file)
        self._clock = clock
        self._proof = bearer(fallback) if fallback else None
        self._read_at: float | None = None

    async def current(self) -> Proof:
        """The token in the file, as of at most `REREAD` seconds ago; the last one where the file cannot be read.

        Raises:
            CredentialsError: The file was never readable.
        """
        now = self._clock()
        if self._read_at is None or now - self._read_at >= REREAD:
            try:
                self._proof = bearer(self._read())
                self._read_at = now
            except CredentialsError:
                if self._proof is None:
                    raise
        assert self._proof is not None
        return self._proof

    def reject(self, proof: Proof) -> None:
        """Look into the file at the next request."""
        if proof == self._proof:
            self._read_at = None

    def _read(self) -> str:
        try:
            token = self._file.read_bytes().decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise CredentialsError(f"cannot read the token file {self._file}: {reason(error)}") from None
        if not token or not token.isprintable() or " " in token:
            raise CredentialsError(f"the token file {self._file} holds no token")
        return token
