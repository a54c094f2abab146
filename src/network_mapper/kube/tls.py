"""TLS towards the API as Go's client does it: who may sign the server's certificate, and the certificate we show.

Certificates on disk are renewed while we run (by kubelet, cert-manager, cloud plugins), so a context is made anew as
soon as one of its files has changed. Making one costs milliseconds; looking at the files costs three system calls for
each request.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from network_mapper.kube.errors import CredentialsError, KubeConfigError, reason

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class Material(msgspec.Struct, frozen=True):
    """PEM text that is given in a file, or directly. The data win, as with kubectl.

    Attributes:
        file: Path of a file; empty for none.
        data: The text itself; empty for none.
    """

    file: str = ""
    data: bytes = b""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.file or self.data)

    def read(self, what: str) -> bytes:
        """The text.

        Raises:
            CredentialsError: The file cannot be read.
        """
        if self.data or not self.file:
            return self.data
        try:
            return Path(self.file).read_bytes()
        except (OSError, ValueError) as error:
            raise CredentialsError(f"cannot read {what} {self.file}: {reason(error)}") from None

    def version(self) -> object:
        """Something that changes when the file does."""
        if self.data or not self.file:
            return self.data
        try:
            found = Path(self.file).stat()
        except (OSError, ValueError):
            return None
        return self.file, found.st_mtime_ns, found.st_size, found.st_ino


class Tls(msgspec.Struct, frozen=True):
    """What a kubeconfig says of TLS.

    Attributes:
        authority: Certificates of those who may sign the server's; without any, those that the system trusts.
        verify: Whether the server's certificate is checked at all.
        name: The name that the server's certificate must bear, where it is not the URL's.
        certificate: The certificate that we show, with its chain.
        key: Its private key.
    """

    authority: Material = Material()
    verify: bool = True
    name: str = ""
    certificate: Material = Material()
    key: Material = Material()

    def version(self) -> object:
        """Something that changes when one of the files does."""
        return self.authority.version(), self.certificate.version(), self.key.version()


def material(file: str | None, data: str | None, folder: Path, where: str) -> Material:
    """Read a pair of fields such as `client-key` and `client-key-data`.

    Args:
        file: Path, relative to the kubeconfig's folder.
        data: The text in base64.
        folder: The kubeconfig's folder.
        where: How messages name the field that holds data.

    Raises:
        KubeConfigError: The data are no base64.
    """
    if data:
        try:
            return Material(data=base64.b64decode("".join(data.split()), validate=True))
        except (binascii.Error, ValueError):
            raise KubeConfigError(f"{where} is no base64") from None
    return Material(file=str(folder / file)) if file else Material()


def make_context(tls: Tls, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """Make the context for one server.

    Args:
        tls: The settings.
        certificate: A certificate from a plugin, used where the settings have none.
        key: Its private key.

    Raises:
        CredentialsError: A certificate or key cannot be read or used.
    """
    import ssl  # noqa: PLC0415  five megabytes, for those who use it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # As Go: an intermediate certificate may be the anchor; many clusters' own authorities lack what strict mode wants.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with contextlib.suppress(AttributeError):
        context.hostname_checks_common_name = False
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.authority:
        text = tls.authority.read("certificate-authority")
        try:
            context.load_verify_locations(cadata=text.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):
            named = tls.authority.file or "certificate-authority-data"
            raise CredentialsError(f"{named} holds no certificate in PEM form") from None
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if tls.certificate:
        certificate, key = tls.certificate.read("client-certificate"), tls.key.read("client-key")
    if certificate:
        _load_pair(context, certificate, key, tls.certificate.file or "the client certificate")
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, named: str) -> None:
    import ssl  # noqa: PLC0415  see above

    with _as_file(certificate + b"\n" + key) as path:
        try:
            context.load_cert_chain(path, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            said = getattr(error, "reason", None) or str(error)
            words = said.replace("_", " ").lower()
            raise CredentialsError(f"{named} and its key cannot be used: {words or 'no PEM'}") from None


@contextlib.contextmanager
def _as_file(text: bytes) -> Iterator[str]:
    """A path at which OpenSSL finds this text: in memory where there is Linux, else in a file of ours for a moment."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as handle:
                handle.write(text)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    descriptor, path = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as handle:  # noqa: PTH123  a descriptor has no path
            handle.write(text)
        yield path
    finally:
        Path(path).unlink()
