"""The proxy on the way to the API: `proxy-url` of a cluster, or else the environment's, as Go's programs read it."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import urllib.parse
from typing import TYPE_CHECKING

import msgspec

from network_mapper.kube.errors import KubeConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy.

    Attributes:
        host: Name or address, without brackets.
        port: TCP port.
        authorization: Value of `Proxy-Authorization`; empty for none.
    """

    host: str
    port: int
    authorization: str = ""


def parse(url: str, where: str) -> Proxy:
    """Read a proxy's URL; without a scheme it is an HTTP proxy.

    Raises:
        KubeConfigError: It is no URL of an HTTP proxy; the message begins with `where`.
    """
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urllib.parse.SplitResult("", "", "", "", ""), None, None
    if parts.scheme in ("https", "socks5", "socks5h", "socks4"):
        raise KubeConfigError(f"{where}: {parts.scheme} proxies are not supported, name one as http://host:port")
    if parts.scheme != "http" or not host or not _plain(host):
        raise KubeConfigError(f"{where}: this is no URL of a proxy, expected http://host:port")
    authorization = ""
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host, port or 80, authorization)


def _plain(host: str) -> bool:
    return host.isascii() and host.isprintable() and " " not in host


def from_environment(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the environment names for a URL, if any; never for this machine itself.

    Raises:
        KubeConfigError: It names something else than an HTTP proxy.
    """
    name = f"{scheme}_proxy"
    for key in (name.upper(), name):
        if environ.get(key):
            break
    else:
        return None
    if _direct(host, port, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    return parse(environ[key], f"environment variable {key}")


def _direct(host: str, port: int, exceptions: str) -> bool:
    """Whether a host is reached without the proxy: loopback always is, and what `NO_PROXY` lists."""
    host = host.lower().rstrip(".")
    address = None
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_listed(entry.strip().lower(), host, port, address) for entry in exceptions.split(",") if entry.strip())


def _listed(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    if address is not None:
        with contextlib.suppress(ValueError):
            return address in ipaddress.ip_network(entry, strict=False)
    name, _, number = entry.rpartition(":")
    if name and number.isdigit() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        entry = name.strip("[]")
    else:
        entry = entry.strip("[]")
    if address is not None:
        return entry == str(address)
    if entry.startswith("*."):
        entry = entry[1:]
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith(f".{entry}")
