"""A certificate authority of one control plane, made with the `openssl` program.

One process of openssl makes a key and its certificate at once (`req -x509 -CA`, OpenSSL 3), on a P-256 curve, in some
10 ms. Extensions are written out, so that the system's openssl.cnf does not matter and strict verifiers (Python 3.13)
are content.
"""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.processes import HarnessError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAYS = 30

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
{subject}
[extensions]
subjectKeyIdentifier = hash
{extensions}
"""
_OF_AUTHORITY = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign"
_OF_LEAF = """\
authorityKeyIdentifier = keyid
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth"""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path

    def data(self) -> tuple[str, str]:
        """Certificate and key in base64, as a kubeconfig holds them."""
        cert, key = (base64.b64encode(file.read_bytes()).decode() for file in (self.cert, self.key))
        return cert, key


class Authority:
    """A certificate authority that keeps all its files in one folder.

    Args:
        folder: Where the files go; made if missing.
        name: Common name, and the files' stem.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._own = self._make(name, {"CN": name}, _OF_AUTHORITY, ())

    @property
    def cert(self) -> Path:
        """The authority's own certificate."""
        return self._own.cert

    @property
    def key(self) -> Path:
        """The authority's own key, for controllers that sign."""
        return self._own.key

    def issue(self, name: str, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> Certificate:
        """Make a certificate for servers and clients.

        Args:
            name: The files' stem.
            user: Common name: the user's name to a kube-apiserver.
            groups: Organizations: the user's groups.
            hosts: Addresses and DNS names it is valid for.
        """
        extensions = _OF_LEAF
        if hosts:
            extensions += "\nsubjectAltName = " + ", ".join(f"{_kind(host)}:{host}" for host in hosts)
        subject = {f"{number}.O": group for number, group in enumerate(groups)} | {"CN": user}
        signer = ("-CA", str(self._own.cert), "-CAkey", str(self._own.key))
        return self._make(name, subject, extensions, signer)

    def _make(self, name: str, subject: dict[str, str], extensions: str, signer: Sequence[str]) -> Certificate:
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        config = self._folder / f"{name}.cnf"
        lines = "\n".join(f"{key} = {value}" for key, value in subject.items())
        config.write_text(_CONFIG.format(subject=lines, extensions=extensions))
        _openssl("req", "-x509", "-config", str(config), "-extensions", "extensions", "-days", str(DAYS),
                 "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *signer,
                 "-keyout", str(made.key), "-out", str(made.cert))  # fmt: skip
        return made


def signing_key(file: Path) -> Path:
    """Make the key with which service-account tokens are signed, in the form that kube-apiserver reads (SEC 1)."""
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(file))
    return file


def _kind(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "DNS"
    return "IP"


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
