"""The cluster domain, as the kubelet tells it to every pod.

A pod that uses the cluster's DNS has a line `search <namespace>.svc.<domain> svc.<domain> <domain>` in its resolv.conf.
A pod on the host's network usually has its node's file instead, and a folder of files on a desk has none: then the
domain cannot be told from here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

RESOLV_CONF: Final = Path("/etc/resolv.conf")
_LONGEST: Final = 64 * 1024  # bytes that are read
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


def cluster_domain(text: str) -> str | None:
    """The cluster domain that a resolv.conf names, in lower case; None when it names none, or several.

    Two of the three names that the kubelet writes must agree, because people, too, call things `svc`.
    """
    names = _searched(text)
    domains = {domain for name in names if (domain := _domain_of(name))}
    agreed = [
        domain
        for domain in domains
        if _DOMAIN.fullmatch(domain) and (domain in names) + sum(_domain_of(name) == domain for name in names) > 1
    ]
    # In a namespace that is called svc, svc.<domain> seems to be a domain, too.
    agreed = [domain for domain in agreed if not domain.startswith("svc.") or domain[4:] not in agreed]
    return agreed[0] if len(agreed) == 1 else None


def detect(path: Path = RESOLV_CONF) -> str | None:
    """The cluster domain of the place where this process runs; None when it cannot be told."""
    try:
        with path.open("rb") as file:
            return cluster_domain(file.read(_LONGEST).decode(errors="replace"))
    except OSError:
        return None


def _searched(text: str) -> set[str]:
    names: set[str] = set()
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "search":  # of several such lines the last one counts (resolv.conf(5))
            names = {word.lower().removesuffix(".") for word in words[1:]}
    return names


def _domain_of(name: str) -> str:
    """`cluster.local` for `svc.cluster.local` and `shop.svc.cluster.local`, else nothing."""
    if name.startswith("svc."):
        return name.removeprefix("svc.")
    namespace, _, domain = name.partition(".svc.")
    return "" if "." in namespace else domain
