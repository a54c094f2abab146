"""Open a connection to the API: TCP, the way through a proxy, TLS; and say which of them failed, and why."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.parse
from typing import TYPE_CHECKING

from network_mapper.kube.connection import Connection, tls_words
from network_mapper.kube.errors import UnreachableError, reason
from network_mapper.kube.status import read_status

if TYPE_CHECKING:
    from network_mapper.kube.access import Access

_HOST_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_ADDRESS_MISMATCH = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_YET = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


async def connect(access: Access, context: ssl.SSLContext | None, limit: float) -> Connection:
    """Open a connection.

    Args:
        access: Where to.
        context: TLS; None for a server that speaks none.
        limit: Seconds for all of it.

    Raises:
        UnreachableError: It failed; the message names the server and says at which step.
    """
    parts = urllib.parse.urlsplit(access.server)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    through = access.proxy
    peer = f"proxy {through.host}:{through.port}" if through else ""
    named = f"{access.server} (through {peer})" if peer else access.server
    name = (access.tls.name or host).rstrip(".")
    loop = asyncio.get_running_loop()
    connection = Connection(access.server, peer)
    step = "connecting with TLS" if context and not through else "connecting"
    try:
        async with asyncio.timeout(limit):
            if through is None:
                await loop.create_connection(
                    lambda: connection, host, port, ssl=context, server_hostname=name if context else None
                )
            else:
                await loop.create_connection(lambda: connection, through.host, through.port)
                if context is not None:
                    await _tunnel(connection, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", access, limit)
                    step = "the TLS handshake"
                    await connection.start_tls(context, name)
    except TimeoutError:
        words = f"{step} took more than {limit:g} s"
    except ssl.SSLCertVerificationError as error:
        words = _distrust(error, name, access)
    except ssl.SSLError as error:
        words = f"TLS failed: {tls_words(error)}"
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            words += "; the server may speak no TLS on this port"
    except (OSError, UnicodeError) as error:
        words = f"cannot connect: {reason(error)}"
    except BaseException:
        connection.abort()
        raise
    else:
        return connection
    connection.abort()
    raise UnreachableError(f"{named}: {words}")


def _distrust(error: ssl.SSLCertVerificationError, name: str, access: Access) -> str:
    said = tls_words(error)
    if error.verify_code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
        return f"its certificate is for another name than {name}; set tls-server-name if that is right"
    if error.verify_code in (_NOT_YET, _EXPIRED):
        return f"its certificate is not valid now: {said}"
    signers = "certificate-authority" if access.tls.authority else "the system's authorities (none is configured)"
    return f"its certificate was not signed by {signers}: {said}"


async def _tunnel(connection: Connection, target: str, access: Access, limit: float) -> None:
    assert access.proxy is not None
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if access.proxy.authorization:
        lines.append(f"Proxy-Authorization: {access.proxy.authorization}")
    connection.start("\r\n".join([*lines, "", ""]).encode("latin-1"))
    await connection.wait_head(limit)
    if not 200 <= connection.status < 300:
        body = b""
        with contextlib.suppress(UnreachableError):
            body = b"".join(await connection.take(1.0))
        said = read_status(connection.status, connection.headers, body).message
        raise UnreachableError(
            f"{access.server} (through proxy {access.proxy.host}:{access.proxy.port}): the proxy refused: {said}"
        )
    connection.tunnelled()
